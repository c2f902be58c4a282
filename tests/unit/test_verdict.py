"""From attempts to a verdict: the one place verdicts come from."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rebuilder.model.attempt import Attempt, Hypothesis, Limit, Outcome, Output, Run
from rebuilder.model.comparison import Comparison, Difference, Level, MemberChange
from rebuilder.model.decision import decide
from rebuilder.model.definition import BuildDefinition, EnvironmentRef
from rebuilder.model.diagnosis import Cause
from rebuilder.model.environment import Package
from rebuilder.model.evidence import Obstacle, Source, SourceKind
from rebuilder.model.report import page_path
from rebuilder.model.value import Sha256
from rebuilder.model.verdict import Kind, Verdict

PUBLISHED = Sha256("a" * 64)


def attempt(
    level: Level | None = None,
    *,
    outcome: Outcome = Outcome.COMPLETED,
    umask: str = "0022",
    rebuilt: str = "b" * 64,
    repeat: bool = False,
    agreement: Level | None = None,
    members: int = 1,
) -> Attempt:
    """An attempt that ended in the given way."""
    definition = BuildDefinition(
        build_type="urn:example",
        purl="pkg:pypi/x@1",
        targets=("x-1-py3-none-any.whl",),
        toolchain=EnvironmentRef(name="trixie", sha256=PUBLISHED),
        commands=(("true",),),
        environment={},
        umask=umask,
    )
    differences = tuple(
        Difference(member=f"m{i}", change=MemberChange.CONTENT, detail="Other.") for i in range(members)
    )
    return Attempt(
        hypothesis=Hypothesis(name="h", sentence="Because.", definition=definition),
        run=Run(
            outcome=outcome,
            exit_code=None if outcome is Outcome.TIMED_OUT else int(outcome is Outcome.BUILD_FAILED),
            limit=Limit.MEMORY if outcome is Outcome.TIMED_OUT else None,
            log_sha256=PUBLISHED,
            wall_seconds=2,
            cpu_seconds=1,
            peak_memory_bytes=1,
            sandbox_version="fake 1",
            started=datetime(2026, 1, 1, tzinfo=UTC),
        ),
        rebuilt=Output(filename="x-1-py3-none-any.whl", sha256=Sha256(rebuilt), size=1) if level else None,
        comparison=Comparison(
            level=level,
            published_sha256=PUBLISHED,
            rebuilt_sha256=Sha256(rebuilt),
            normalisations=("zip-times",) if level is Level.EQUIVALENT else (),
            differences=differences if level is Level.DIFFERENT else (),
            differences_total=members if level is Level.DIFFERENT else 0,
        )
        if level
        else None,
        repeat=repeat,
        agreement=agreement,
    )


FAILED = attempt(outcome=Outcome.BUILD_FAILED)
STOPPED = attempt(outcome=Outcome.TIMED_OUT)
SAME = attempt(Level.IDENTICAL)
ALIKE = attempt(Level.EQUIVALENT)
OTHER = attempt(Level.DIFFERENT)


@pytest.mark.parametrize(
    ("attempts", "verdict", "index"),
    [
        ((SAME,), Verdict.REPRODUCED, 0),
        ((FAILED, ALIKE, SAME), Verdict.REPRODUCED, 2),
        ((OTHER, ALIKE, STOPPED), Verdict.EQUIVALENT, 1),
        ((FAILED, OTHER), Verdict.DIFFERS, 1),
        ((FAILED, STOPPED), Verdict.TIMED_OUT, 1),
        ((FAILED,), Verdict.BUILD_FAILED, 0),
        ((attempt(),), Verdict.BUILD_FAILED, 0),
    ],
)
def test_best_attempt_counts(attempts: tuple[Attempt, ...], verdict: Verdict, index: int) -> None:
    """Identical before equivalent before different; failures speak only when nothing was compared."""
    decision = decide(attempts, None)
    assert (verdict, index) == (decision.verdict, decision.attempt)


def unsigned(attempt: Attempt) -> Attempt:
    """The same with a package that nobody signed."""
    package = Package(name="libx", version="1-1", architecture="amd64", sha256=PUBLISHED, origin="pool")
    definition = attempt.hypothesis.definition
    definition = definition.replace(toolchain=definition.toolchain.replace(unauthenticated=(package,)))
    return attempt.replace(hypothesis=attempt.hypothesis.replace(definition=definition))


@pytest.mark.parametrize(
    ("attempts", "verdict", "index"),
    [
        ((OTHER, unsigned(SAME)), Verdict.UNAUTHENTICATED, 1),
        ((unsigned(SAME),), Verdict.UNAUTHENTICATED, 0),
        ((unsigned(SAME), SAME), Verdict.REPRODUCED, 1),
        ((unsigned(SAME), ALIKE), Verdict.EQUIVALENT, 1),
        ((FAILED, unsigned(ALIKE)), Verdict.INPUTS_MISSING, None),
        ((OTHER, unsigned(ALIKE)), Verdict.INPUTS_MISSING, None),
        ((attempt(Level.DIFFERENT, members=9), unsigned(OTHER)), Verdict.DIFFERS, 0),
        ((FAILED, unsigned(OTHER)), Verdict.BUILD_FAILED, 0),
        ((unsigned(OTHER),), Verdict.INPUTS_MISSING, None),
        ((unsigned(FAILED),), Verdict.INPUTS_MISSING, None),
        ((unsigned(STOPPED),), Verdict.INPUTS_MISSING, None),
    ],
)
def test_what_nobody_signed_confirms_and_accuses_nothing(
    attempts: tuple[Attempt, ...], verdict: Verdict, index: int | None
) -> None:
    """The same bytes are a verdict of their own, which confirms nothing; the rest counts for nothing."""
    decision = decide(attempts, None)
    assert (verdict, index) == (decision.verdict, decision.attempt)
    named = f"libx 1-1 (pool, SHA-256 {PUBLISHED})" in decision.sentence
    assert (verdict in {Verdict.UNAUTHENTICATED, Verdict.INPUTS_MISSING}) is named


def test_failure_is_never_a_difference() -> None:
    """A build that failed says nothing about the published bytes."""
    for attempts in ((FAILED,), (STOPPED,), (FAILED, STOPPED)):
        assert decide(attempts, None).verdict is not Verdict.DIFFERS


def test_repeat_tells_unstable_from_stable() -> None:
    """Two rebuilds of the same content are stable, others unstable; one alone says nothing."""
    agreeing = attempt(Level.DIFFERENT, rebuilt="c" * 64, repeat=True, agreement=Level.EQUIVALENT)
    disagreeing = attempt(Level.DIFFERENT, rebuilt="c" * 64, repeat=True, agreement=Level.DIFFERENT)
    failing = attempt(outcome=Outcome.BUILD_FAILED, repeat=True)
    other_definition = attempt(Level.DIFFERENT, umask="0002", rebuilt="d" * 64)
    assert decide((OTHER,), None).kind is None
    assert decide((OTHER, failing), None).kind is None
    assert Kind.STABLE is decide((OTHER, other_definition, agreeing), None).kind
    assert Kind.UNSTABLE is decide((OTHER, disagreeing), None).kind


def test_nearest_difference_is_shown() -> None:
    """Among attempts that differ, the one with the fewest differing members is the one to explain."""
    far = attempt(Level.DIFFERENT, members=9)
    near = attempt(Level.DIFFERENT, members=2, umask="0002")
    decision = decide((far, near), None)
    assert decision.attempt == 1
    assert decision.sentence == "2 files inside it differ: m0, m1."


def test_another_file_name_is_no_member() -> None:
    """The archive is neither counted nor listed among its own members."""
    other = Output(filename="x-1-py2.py3-none-any.whl", sha256=PUBLISHED, size=1)
    said = {
        members: decide((attempt(Level.DIFFERENT, members=members).replace(rebuilt=other),), None)
        for members in (0, 1, 2)
    }
    named = "The rebuilt file has another name (x-1-py2.py3-none-any.whl)"
    assert f"{named}." == said[0].sentence
    assert f"{named}; 1 file inside it differs: m0." == said[1].sentence
    assert f"{named}; 2 files inside it differ: m0, m1." == said[2].sentence


def test_obstacle_speaks_when_nothing_was_built() -> None:
    """What stands in the way is the verdict, unless something was tried all the same."""
    obstacle = Obstacle(verdict=Verdict.INPUTS_MISSING, sentence="There is no source archive.")
    assert decide((), obstacle).verdict is Verdict.INPUTS_MISSING
    assert decide((SAME,), obstacle).verdict is Verdict.REPRODUCED
    assert decide((OTHER,), obstacle).verdict is Verdict.DIFFERS


def test_nothing_at_all_is_unsupported() -> None:
    """No obstacle and no hypothesis still gives a sentence."""
    assert decide((), None).verdict is Verdict.UNSUPPORTED


@pytest.mark.parametrize("name", ["..", ".", "a/b", "<b>", "a\x00b", "ü", "a\nb", "\u202ex"])
def test_page_paths_stay_below_the_root(name: str) -> None:
    """Names from a registry never climb out of the site or carry markup."""
    parts = page_path("pypi", name, name, name, "a" * 64).split("/")
    assert len(parts) == 5
    assert not {"", ".", ".."} & set(parts)
    assert all(part.isascii() and part.isprintable() and "<" not in part for part in parts)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (SAME, Verdict.REPRODUCED),
        (ALIKE, Verdict.EQUIVALENT),
        (OTHER, Verdict.UNSUPPORTED),
        (FAILED, Verdict.UNSUPPORTED),
        (STOPPED, Verdict.UNSUPPORTED),
    ],
)
def test_something_stood_in(found: Attempt, expected: Verdict) -> None:
    """What was not built with what it needs is confirmed if it comes out, and is not accused if it does not."""
    lacks = Obstacle(verdict=Verdict.UNSUPPORTED, sentence="There is no Python 2.")
    stood_in = found.replace(hypothesis=found.hypothesis.replace(lacks=lacks))
    decision = decide((stood_in,), None)
    assert expected is decision.verdict
    assert decision.attempt is not None or decision.sentence == lacks.sentence


@pytest.mark.parametrize("level", [None, Level.DIFFERENT, Level.IDENTICAL])
def test_what_one_source_lacks_says_nothing_about_another(level: Level | None) -> None:
    """A commit that only points to a file hides neither a difference from the source archive nor a failure there."""
    archive, commit = (
        Source(kind=kind, uri="https://example.org/x", digest={name: "1" * 40})
        for kind, name in ((SourceKind.SDIST, "sha256"), (SourceKind.GIT, "gitCommit"))
    )
    lacks = Obstacle(verdict=Verdict.INPUTS_MISSING, sentence="A pointer.", cause=Cause.SOURCE_UNAVAILABLE)
    ended = Outcome.BUILD_FAILED if level is None else Outcome.COMPLETED
    built = _from(attempt(level, outcome=ended), archive, None)
    pointing = _from(attempt(Level.DIFFERENT), commit, lacks)
    expected = {None: Verdict.BUILD_FAILED, Level.DIFFERENT: Verdict.DIFFERS, Level.IDENTICAL: Verdict.REPRODUCED}
    assert expected[level] == decide((built, pointing), None).verdict
    assert Verdict.INPUTS_MISSING == decide((pointing,), None).verdict


def _from(made: Attempt, source: Source, lacks: Obstacle | None) -> Attempt:
    definition = made.hypothesis.definition.replace(source=source)
    return made.replace(hypothesis=made.hypothesis.replace(definition=definition, lacks=lacks))


def test_what_was_lacking_is_refuted() -> None:
    """A definition tried once more without a reservation takes it back, for all attempts that had the same one."""
    lacks = Obstacle(verdict=Verdict.UNSUPPORTED, sentence="Other tools made it.")

    def with_lacks(given: Attempt, lacking: Obstacle | None) -> Attempt:
        return given.replace(hypothesis=given.hypothesis.replace(lacks=lacking))

    first, second = with_lacks(OTHER, lacks), with_lacks(attempt(Level.DIFFERENT, umask="0002", members=3), lacks)
    assert Verdict.UNSUPPORTED is decide((first, second), None).verdict
    shown = decide((first, second, OTHER), None)
    assert (Verdict.DIFFERS, 2) == (shown.verdict, shown.attempt)
    other = with_lacks(attempt(Level.DIFFERENT, umask="0077"), lacks.replace(sentence="It was another Python."))
    assert Verdict.UNSUPPORTED is decide((first, OTHER, other), None).verdict
    unrelated = attempt(Level.DIFFERENT, umask="0027")
    assert Verdict.UNSUPPORTED is decide((first, unrelated), None).verdict
