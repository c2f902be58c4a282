"""Recorded values written into a finished archive: what counts, what is signed, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from rebuilder.compare.finisher import finishing_definition
from rebuilder.ecosystems.pypi.command_line import option_choices
from rebuilder.errors import SigningError
from rebuilder.model.attempt import MOST_HYPOTHESES, Attempt, Finishing, History, Hypothesis, Output, plan
from rebuilder.model.comparison import Level
from rebuilder.model.decision import decide
from rebuilder.model.definition import Input, Role
from rebuilder.model.evidence import Obstacle
from rebuilder.model.replayed import MOST_BITS, Replayed, When, bits_before, too_much
from rebuilder.model.report import Report, summarise
from rebuilder.model.value import Sha256
from rebuilder.model.verdict import Verdict
from rebuilder.signing.consistency import check_report
from rebuilder.signing.statements import Builder, verdict_statement
from rebuilder.signing.vocabulary import VERDICT_TYPE
from rebuilder.site.sections.attempt import comparison_section, replayed_section
from rebuilder.stopwatch import Stopwatch
from rebuilder.verification.attempts import AttemptRunner
from tests.fakes.progress import NoDisplay
from tests.fakes.verifications import artifact, attempt, digest, report

ARTIFACT = artifact()
BUILDER = Builder(id="tag:example.org,2026:rebuilder")
RECORD = digest("record")


def told(bits: int, name: str = "source-date-epoch") -> Replayed:
    """A value that a build is given."""
    return Replayed(name=name, when=When.BEFORE_BUILD, value="1", bits=bits)


def finished(sha256: Sha256 = ARTIFACT.sha256, names: tuple[str, ...] = ("zip-times",)) -> Attempt:
    """An equivalent attempt whose archive was finished."""
    equivalent = attempt(ARTIFACT, Level.EQUIVALENT)
    assert equivalent.rebuilt is not None
    program = Input(role=Role.PROGRAM, name="archive.pyz", sha256=digest("programs"), path="/tools/archive.pyz")
    definition = finishing_definition(
        equivalent.hypothesis.definition.toolchain, program, equivalent.rebuilt.sha256, RECORD, ARTIFACT.filename
    )
    output = Output(filename=ARTIFACT.filename, sha256=sha256, size=1)
    done = Finishing(
        definition=definition,
        run=equivalent.run.replace(outputs=(output,)),
        record_sha256=RECORD,
        replayed=tuple(
            Replayed(name=name, when=When.FINISHED_ARCHIVE, sha256=digest(name), bits=800) for name in names
        ),
        finished=output,
    )
    return equivalent.replace(finishing=done)


def changed(**fields: object) -> Attempt:
    """The same, where the finishing says something else."""
    good = finished()
    assert good.finishing is not None
    return good.replace(finishing=good.finishing.replace(**fields))


def test_the_build_alone_counts_for_more() -> None:
    """Identical by the build, then identical once finished, then equivalent."""
    alone, equivalent = attempt(ARTIFACT, Level.IDENTICAL), attempt(ARTIFACT, Level.EQUIVALENT)
    first = decide((equivalent, finished(), alone), None)
    assert (Verdict.REPRODUCED, 2) == (first.verdict, first.attempt)
    assert "by the build alone" in first.sentence
    second = decide((equivalent, finished()), None)
    assert (Verdict.REPRODUCED, 1) == (second.verdict, second.attempt)
    assert "written into the finished archive: zip-times" in second.sentence
    assert Verdict.EQUIVALENT is decide((finished(digest("other")),), None).verdict


def test_both_ways_are_told_apart() -> None:
    """In the summary, in the statement, and on the page."""
    done = report(ARTIFACT, finished())
    assert done.written
    assert summarise(done).written
    assert not report(ARTIFACT, attempt(ARTIFACT, Level.IDENTICAL)).written
    predicate = verdict_statement(done, BUILDER, None)["predicate"]
    assert ("PASSED", ["REBUILDER_BITWISE_METADATA_WRITTEN"]) == (
        predicate["verificationResult"],
        predicate["verifiedLevels"],
    )
    findings = predicate[VERDICT_TYPE]
    assert ["zip-times"] == [each["name"] for each in findings["replayed"]]
    assert {"sha256": ARTIFACT.sha256} == findings["attempts"][0]["finishing"]["finished"]["digest"]
    section = replayed_section(done.attempts[0])
    assert section is not None
    assert (ARTIFACT.sha256, ["zip-times"]) == (section.finished, [each.name for each in section.after])


def test_an_old_report_is_read() -> None:
    """Attempts from before this was recorded have none of it, and mean what they meant."""
    old = report(ARTIFACT, attempt(ARTIFACT, Level.IDENTICAL))
    document = old.document()
    assert document["attempts"]
    for each in document["attempts"]:
        assert "finishing" not in each
        each["hypothesis"].pop("replayed", None)
    again = Report.model_validate(document)
    assert not again.written
    assert () == again.attempts[0].replayed


def test_the_page_says_what_was_written_instead_of_what_differs() -> None:
    """The published bytes came out, so the names of what was written are no difference that is left."""
    section = comparison_section(finished(), 0, None)
    assert section is not None
    assert "What was written into the archive" == section.heading
    assert "every byte is the same" in section.summary
    assert "What differs" not in section.summary
    failed = comparison_section(finished(sha256=digest("another file")), 0, None)
    assert failed is not None
    assert "What differs" == failed.heading
    assert "every byte is the same" not in failed.summary
    assert failed.total.startswith("What the archives store about")


FORGED: dict[str, Callable[[], Attempt]] = {
    "another record": lambda: changed(record_sha256=digest("other record")),
    "more was written": lambda: finished(names=("zip-times", "zip-order")),
    "no output of its run": lambda: changed(finished=Output(filename="x", sha256=ARTIFACT.sha256, size=2)),
    "the published file was there": lambda: changed(
        definition=finishing_definition(
            finished().hypothesis.definition.toolchain,
            Input(role=Role.PROGRAM, name="archive.pyz", sha256=ARTIFACT.sha256, path="/tools/archive.pyz"),
            digest("equivalent 0022"),
            RECORD,
            ARTIFACT.filename,
        )
    ),
    "not equivalent": lambda: attempt(ARTIFACT, Level.DIFFERENT).replace(finishing=finished().finishing),
    "told too much": lambda: _telling(attempt(ARTIFACT, Level.IDENTICAL), told(MOST_BITS + 1)),
}


def _telling(one: Attempt, *values: Replayed) -> Attempt:
    return one.replace(hypothesis=one.hypothesis.replace(replayed=values))


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_forged_finishing_is_not_signed(forge: Callable[[], Attempt]) -> None:
    """The signer goes over what a worker says about the finished archive."""
    check_report(report(ARTIFACT, finished()))
    with pytest.raises(SigningError):
        check_report(report(ARTIFACT, forge()))


def refused(*hypotheses: Hypothesis) -> tuple[list[str], Obstacle | None]:
    """What was run of these, and what kept the rest from it."""
    ran: list[str] = []
    made = attempt(ARTIFACT, Level.DIFFERENT)

    def run(definition: object) -> object:
        ran.append(str(definition))
        return made.run.replace(outputs=())

    def each(history: History) -> None:
        assert hypotheses
        for one in hypotheses:
            assert history.of(one).hypothesis.definition == one.definition

    trial = AttemptRunner(
        {ARTIFACT.filename: ARTIFACT.sha256},
        run=run,  # type: ignore[arg-type]
        comparer=None,  # type: ignore[arg-type]
        diffoscope=None,  # type: ignore[arg-type]
        stopwatch=Stopwatch(NoDisplay()),
        record=lambda _ordinal, _attempt: None,
    )
    return ran, trial.follow(partial(plan, each))


def hypothesis(**definition: object) -> Hypothesis:
    """One that says nothing of the published file."""
    one = attempt(ARTIFACT, Level.DIFFERENT).hypothesis
    return one.replace(definition=one.definition.replace(**definition))


def test_a_build_that_would_be_told_too_much_is_not_run() -> None:
    """The reason names the values and their bits."""
    ran, obstacle = refused(hypothesis().replace(replayed=(told(90), told(10, "setup-options"))))
    assert [] == ran
    assert obstacle is not None
    assert Verdict.UNSUPPORTED is obstacle.verdict
    assert "100 bits" in obstacle.sentence
    assert "setup-options (10)" in obstacle.sentence
    assert too_much([told(MOST_BITS)]) is None
    assert 7 == bits_before([told(7), Replayed(name="zip-times", when=When.FINISHED_ARCHIVE, bits=8000)])


@pytest.mark.parametrize(
    ("sha256", "path", "words"),
    [
        (ARTIFACT.sha256, "/inputs/wheels/x.whl", "that very file"),
        (digest("times"), "/inputs/file-times.json", "the member times"),
        (digest("order"), "/inputs/order.json", "the member order"),
    ],
)
def test_a_build_that_would_see_the_published_file_is_not_run(sha256: Sha256, path: str, words: str) -> None:
    """Neither the file itself nor a document with a value for each of its members."""
    given = Input(role=Role.PARAMETERS, name="x", sha256=sha256, path=path)
    ran, obstacle = refused(hypothesis(inputs=(given,)))
    assert [] == ran
    assert obstacle is not None
    assert words in obstacle.sentence


def test_the_search_is_bounded() -> None:
    """Which of many definitions comes out says something, so there are few."""
    ran, obstacle = refused(*[hypothesis(hostname=f"h{each}") for each in range(MOST_HYPOTHESES + 3)])
    assert MOST_HYPOTHESES == len(ran)
    assert obstacle is not None
    assert "were tried" in obstacle.sentence


def test_a_build_number_is_counted_by_its_length() -> None:
    """A short one says little; a long one says more than any build is told."""
    short, long = (option_choices((f"--build-number={each}",)) for each in ("2", "1cHJpbnQoImhlbGxvIik"))
    assert (10, True) == (short, long > 1 << MOST_BITS)
