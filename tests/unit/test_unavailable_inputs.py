"""When what cannot be had is our trouble, and when it is missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rebuilder.ecosystems.unavailable_inputs import PATIENCE, UnavailableInputs, unavailable
from rebuilder.errors import UnavailableError
from rebuilder.model.attempt import Attempt
from rebuilder.model.comparison import Level
from rebuilder.model.decision import decide
from rebuilder.model.evidence import Evidence, Obstacle, Source, SourceKind
from rebuilder.model.value import sha256_hex
from rebuilder.model.verdict import Verdict
from rebuilder.verification.findings import with_settled, withheld
from tests.fakes.clock import FixedClock
from tests.fakes.memo import MemoryMemo
from tests.fakes.verifications import artifact, attempt

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ONE, OTHER = artifact("one", "1.0", sha256_hex(b"one")), artifact("other", "1.0", sha256_hex(b"other"))
REFUSED = unavailable("The repository refuses us.", for_everybody=False).obstacle


def after(hours: float, memo: MemoryMemo) -> UnavailableInputs:
    """What remembers, so many hours later."""
    return UnavailableInputs(memo, FixedClock(NOW + timedelta(hours=hours)))


def test_an_answer_for_everybody_is_missing_at_once() -> None:
    """Anything else is our trouble first."""
    assert Verdict.INPUTS_MISSING is unavailable("There is none.", for_everybody=True).obstacle.verdict
    assert Verdict.INFRA_ERROR is REFUSED.verdict


def test_what_stays_so_is_missing() -> None:
    """Nobody hides by refusing us: twelve hours after the first try it is told, with what was asked and since when."""
    memo = MemoryMemo()
    for hours in (0, 1, PATIENCE.total_seconds() / 3600 - 0.1):
        with pytest.raises(UnavailableError, match=r"The repository refuses us\. If it stays so for 12 hours"):
            after(hours, memo).settled(ONE, REFUSED)
    for hours in (12, 13, 1000):
        told = after(hours, memo).settled(ONE, REFUSED)
        assert (Verdict.INPUTS_MISSING, REFUSED.cause) == (told.verdict, told.cause)
        assert told.sentence.startswith("The repository refuses us. ")
        assert told.sentence.endswith(" since 2026-01-01 00:00 UTC.")
    with pytest.raises(UnavailableError):
        after(13, memo).settled(OTHER, REFUSED)


def test_a_report_in_between_begins_anew() -> None:
    """An outage of ours in January says nothing about one in March."""
    memo = MemoryMemo()
    with pytest.raises(UnavailableError):
        after(0, memo).settled(ONE, REFUSED)
    after(1, memo).forget(ONE)
    after(2, memo).forget(OTHER)
    assert {ONE.sha256: None} == memo.documents
    with pytest.raises(UnavailableError):
        after(13, memo).settled(ONE, REFUSED)


COMMIT = Source(kind=SourceKind.GIT, uri="https://forge.example/o/r", digest={"gitCommit": "1" * 40})
MISSING = Obstacle(verdict=Verdict.INPUTS_MISSING, sentence="There is no source.")


def built(level: Level | None, source: Source | None = None) -> Attempt:
    """An attempt, from the source archive or from a commit."""
    made = attempt(ONE, level)
    definition = made.hypothesis.definition
    definition = definition if source is None else definition.replace(source=source)
    return made.replace(hypothesis=made.hypothesis.replace(definition=definition))


@pytest.mark.parametrize(
    ("attempts", "obstacle", "said"),
    [
        ([built(Level.IDENTICAL)], None, None),  # what stands without it stands
        ([built(Level.IDENTICAL, COMMIT)], REFUSED, None),
        ([built(Level.DIFFERENT)], None, None),  # from the source archive, which is published beside it
        ([built(Level.DIFFERENT, COMMIT)], None, "The repository refuses us."),  # of a commit that is not whole here
        ([built(None, COMMIT)], None, "The repository refuses us."),
        ([], MISSING, "There is no source. The repository refuses us."),
        ([], Obstacle(verdict=Verdict.UNSUPPORTED, sentence="It is compiled."), None),
        ([], REFUSED, "The repository refuses us."),
    ],
)
def test_which_verdicts_wait(attempts: list[Attempt], obstacle: Obstacle | None, said: str | None) -> None:
    """Those that what was asked for in vain might have changed."""
    decision = decide(tuple(attempts), obstacle)
    found = withheld(decision, obstacle, REFUSED, attempts)
    assert said == (found.sentence if found is not None else None)
    assert withheld(decision, MISSING, None, attempts) is None


def test_no_report_says_what_waits() -> None:
    """Settled, it is the obstacle; where it did not matter, a note."""
    evidence = Evidence(artifact=ONE, index_sha256=ONE.sha256, obstacle=REFUSED)
    assert MISSING == with_settled(evidence, MISSING).obstacle
    told = with_settled(evidence, None)
    assert (None, (REFUSED.sentence,)) == (told.obstacle, told.notes)
    assert MISSING == with_settled(evidence.replace(obstacle=MISSING), None).obstacle
