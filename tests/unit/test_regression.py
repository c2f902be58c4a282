"""When a result is news: what was confirmed before and is not any more."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from rebuilder.ecosystems.registry import conventions
from rebuilder.model import regression as rules
from rebuilder.model.alarm import AlarmKind, Severity
from rebuilder.model.comparison import Level
from rebuilder.model.evidence import Obstacle
from rebuilder.model.regression import severity, worse
from rebuilder.model.report import Report, Summary, summarise
from rebuilder.model.verdict import Verdict
from tests.fakes.verifications import NOW, artifact, attempt, digest, report

regression = partial(rules.regression, conventions=conventions("pypi"))
R, E, D, B, U, T, OURS = (
    Verdict.REPRODUCED,
    Verdict.EQUIVALENT,
    Verdict.DIFFERS,
    Verdict.BUILD_FAILED,
    Verdict.UNSUPPORTED,
    Verdict.TIMED_OUT,
    Verdict.INFRA_ERROR,
)
THIS = artifact(version="3.20")


def differs() -> Report:
    """A report about 3.20 that says its content differs."""
    return report(THIS, attempt(THIS, Level.DIFFERENT), attempt(THIS, Level.DIFFERENT, repeat=True))


def before(version: str, verdict: Verdict, *, days: int = 10, filename: str | None = None) -> Summary:
    """An earlier verification."""
    other = summarise(differs()).replace(verdict=verdict, kind=None, finished=NOW - timedelta(days=days), sentence="?")
    if version == "3.20":
        return other
    changes = {
        "version": version,
        "purl": f"pkg:pypi/idna@{version}",
        "filename": filename or f"idna-{version}-py3-none-any.whl",
        "sha256": digest(filename or version),
    }
    return other.replace(**changes)


def releases(*verdicts: Verdict, newest: int = 19) -> list[Summary]:
    """Releases before this one, the newest first: 3.19, 3.18 and so on."""
    return [before(f"3.{newest - index}", verdict) for index, verdict in enumerate(verdicts)]


def test_nine_releases_before() -> None:
    """The number is the news; 3.9 comes before 3.10, whatever their letters say."""
    alarm = regression(differs(), releases(*[R] * 9, newest=13))
    assert alarm is not None
    expected = "The nine releases before were reproduced; this one differs: 1 file inside it differs: a.py."
    assert expected == alarm.sentence
    assert (AlarmKind.REGRESSION, THIS.purl, THIS.filename, NOW) == (
        alarm.kind,
        alarm.purl,
        alarm.filename,
        alarm.raised,
    )


@pytest.mark.parametrize(
    ("history", "begins"),
    [
        (releases(R, R, R), "The three releases before were reproduced; this one differs:"),
        (releases(R, E, R), "The three releases before were confirmed; this one differs:"),
        (releases(*[R] * 15), "The 15 releases before were reproduced; this one differs:"),
        (releases(R, R, R, D, R), "The three releases before were reproduced; this one differs:"),
        (releases(R, R), None),
        (releases(D, R, R, R), None),
        (releases(R, R, U, R, R), None),
        ([], None),
        # Later releases are not releases before.
        (releases(R, R, R, newest=29), None),
        # Our own faults are not there.
        ([*releases(R, R, R), before("3.19.1", OURS)], "The three releases before were reproduced; this one differs:"),
        # The newest verification of a file counts.
        ([*releases(R, R, R), before("3.19", D, days=20)], "The three releases before were reproduced;"),
        ([*releases(R, R, R), before("3.19", D, days=5)], None),
        # Other kinds of files say nothing about this one.
        ([*releases(R, R, R), before("3.19", B, filename="idna-3.19.tar.gz")], "The three releases before"),
        ([*releases(R, R, R), before("3.19", U, filename="idna-3.19-cp313-cp313-linux.whl")], "The three releases"),
        ([before(f"3.{n}", R, filename=f"idna-3.{n}.tar.gz") for n in range(9)], None),
        # All files of this kind have to be confirmed.
        ([*releases(R, R, R), before("3.19", D, filename="idna-3.19-py2-none-any.whl")], None),
        ([before("3.20", R)], "This very file was reproduced on 2026-10-22; now it differs:"),
        ([before("3.20", D, days=1), before("3.20", E, days=3)], "This very file was equivalent on 2026-10-29; now it"),
        ([before("3.20", D)], None),
        ([before("3.20", R, days=-1)], None),
    ],
)
def test_what_counts_as_before(history: list[Summary], begins: str | None) -> None:
    """Releases in the order of their versions, files of one kind, the newest word on each."""
    alarm = regression(differs(), history)
    assert (begins is None) == (alarm is None)
    assert alarm is None or alarm.sentence.startswith(str(begins))


def test_other_projects_and_other_bytes_are_other_things() -> None:
    """A file of the same name with other bytes, and a project of the same name elsewhere, are not this one."""
    for changes in ({"ecosystem": "npm"}, {"name": "other"}, {"sha256": digest("other")}):
        assert regression(differs(), [before("3.20", R).replace(**changes)]) is None


def test_versions_without_an_order_of_their_own_are_ordered_by_their_numbers() -> None:
    """What PEP 440 does not know still has a before and an after."""
    this = artifact(version="release-10")
    found = report(this, attempt(this, Level.DIFFERENT))
    history = [before(f"release-{n}", R).replace(name=this.name, ecosystem="pypi") for n in (7, 8, 9)]
    assert regression(found, history) is not None
    later = artifact(version="release-6")
    assert regression(report(later, attempt(later, Level.DIFFERENT)), history) is None


def test_a_failed_build_is_a_regression_that_can_wait() -> None:
    """It says that it was not built, not that it differs."""
    alarm = regression(report(THIS, attempt(THIS, None)), releases(R, R, R))
    assert alarm is not None
    assert alarm.sentence.startswith("The three releases before were reproduced; this one was not built: ")
    assert [Severity.PAGE, Severity.TICKET, Severity.TICKET] == [severity(each) for each in (D, B, T)]


def test_unsupported_releases_are_no_regression_of_the_project() -> None:
    """That we cannot rebuild a new release says something about us; that we cannot any more does too, and is told."""
    now = report(THIS, obstacle=Obstacle(verdict=U, sentence="It has a compiled part."))
    assert regression(now, releases(R, R, R)) is None
    alarm = regression(now, [before("3.20", R)])
    assert alarm is not None
    expected = "This very file was reproduced on 2026-10-22; now it cannot be rebuilt: It has a compiled part."
    assert expected == alarm.sentence


def test_what_is_confirmed_is_no_regression() -> None:
    """Equivalent after reproduced is less, and still a confirmation."""
    assert regression(report(THIS, attempt(THIS, Level.EQUIVALENT)), [before("3.20", R)]) is None


@pytest.mark.parametrize(
    ("earlier", "later", "expected"),
    [
        (R, D, True),
        (E, D, True),
        (R, B, True),
        (R, T, True),
        (R, U, True),
        (R, E, True),
        (E, R, False),
        (R, R, False),
        (R, OURS, False),
        (B, D, False),
        (D, B, False),
        (OURS, D, False),
    ],
)
def test_worse(earlier: Verdict, later: Verdict, expected: bool) -> None:
    """Only what was confirmed can become worse; our own faults say nothing."""
    assert expected == worse(earlier, later)
