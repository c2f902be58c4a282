"""Steps that disagree: what a trail says against its own verdict."""

from __future__ import annotations

import pytest

from rebuilder.ecosystems.pypi.subject import PyPIStep
from rebuilder.model.decision import Decision
from rebuilder.model.graph import FileChange, SourceTrail, TreeChange, with_steps
from rebuilder.model.verdict import Verdict
from rebuilder.site.sections.trail import trail_section
from tests.fakes import trails
from tests.fakes.blobs import MemoryBlobs

NAMES = (PyPIStep.COMMIT_TO_SDIST, PyPIStep.SDIST_TO_WHEEL, PyPIStep.COMMIT_TO_WHEEL)
SAME, ALIKE, OTHER, FAILED = Verdict.REPRODUCED, Verdict.EQUIVALENT, Verdict.DIFFERS, Verdict.BUILD_FAILED
DECISION = Decision(verdict=SAME, sentence="So it is.")


def trail(*verdicts: Verdict | None, changes: tuple[FileChange, ...] = ()) -> SourceTrail:
    """A trail whose three steps have these verdicts; None: not tried."""
    found = trails.trail(trails.claimed(MemoryBlobs()), changes=changes)
    decisions = [Decision(verdict=each, sentence="x") if each is not None else None for each in verdicts]
    assert tuple(each.name for each in found.steps) == NAMES
    steps = zip(found.steps, decisions, strict=True)
    return found.replace(steps=tuple(each.replace(decision=said, attempts=()) for each, said in steps))


DISAGREEING = {
    "only the direct step": (
        (ALIKE, ALIKE, OTHER),
        (
            "The step from the commit to the wheel differs, although the steps from the commit to the source archive "
            "and from the source archive to the wheel pass."
        ),
    ),
    "only the last step passes": (
        (OTHER, SAME, OTHER),
        (
            "The steps from the commit to the source archive and from the commit to the wheel differ, although the "
            "step from the source archive to the wheel passes."
        ),
    ),
    "only the direct step passes": (
        (None, OTHER, SAME),
        "The step from the source archive to the wheel differs, although the step from the commit to the wheel passes.",
    ),
}


@pytest.mark.parametrize("label", DISAGREEING)
def test_steps_that_disagree_are_heard(label: str) -> None:
    """In the verdict's sentence, once, and loud on the page."""
    verdicts, sentence = DISAGREEING[label]
    value = trail(*verdicts)
    assert sentence == value.disagreement
    decision = with_steps(DECISION, value)
    assert (SAME, f"So it is. {sentence}") == (decision.verdict, decision.sentence)
    assert decision == with_steps(decision, value)
    report = trails.claimed(MemoryBlobs())
    section = trail_section(report.replace(trail=value))
    assert section is not None
    assert section.banner is not None


@pytest.mark.parametrize(
    "verdicts",
    [(SAME, SAME, SAME), (ALIKE, SAME, None), (OTHER, OTHER, OTHER), (FAILED, SAME, FAILED), (None, SAME, None)],
)
def test_steps_that_agree_or_failed_say_nothing(verdicts: tuple[Verdict | None, ...]) -> None:
    """A build of ours that did not complete says nothing against a step that passes."""
    value = trail(*verdicts)
    assert value.disagreement is None
    assert with_steps(DECISION, value) == DECISION == with_steps(DECISION, None)


@pytest.mark.parametrize(("verdict", "expected"), [(SAME, 0), (ALIKE, 1), (OTHER, 1), (None, 1)])
def test_what_the_build_itself_makes_needs_no_explanation(verdict: Verdict | None, expected: int) -> None:
    """Where the source archive came out of the commit bit for bit, no file in it is unexplained."""
    changes = (
        FileChange(path="a", change=TreeChange.ADDED),
        FileChange(path="b", change=TreeChange.ADDED, rule="generated-metadata"),
    )
    assert expected == trail(verdict, SAME, None, changes=changes).unexplained
