"""Causes that repeated builds show: what another run, or one thing changed, changes in the result."""

from __future__ import annotations

from collections.abc import Iterator

from rebuilder.diagnose.case import Case, Claim, claim, listed, named
from rebuilder.model.comparison import Level
from rebuilder.model.diagnosis import Cause, Certainty, EvidenceLine
from rebuilder.model.variation import Effect, Factor, VariationRow

CAUSES = {
    Factor.TIME: Cause.EMBEDDED_TIME,
    Factor.BUILD_PATH: Cause.EMBEDDED_PATH,
    Factor.UMASK: Cause.MODES_UMASK,
    Factor.LOCALE: Cause.LOCALE,
    Factor.TIME_ZONE: Cause.TIME_ZONE,
    Factor.HASH_SEED: Cause.HASH_OR_SET_ORDER,
    Factor.CPU_COUNT: Cause.CPU_DEPENDENT,
    Factor.HOST_NAME: Cause.HOST_OR_USER_NAME,
    Factor.FILE_ORDER: Cause.FILE_ORDER,
    Factor.USER: Cause.HOST_OR_USER_NAME,
}
"""What each factor's effect on the content means."""


def varied(case: Case) -> Iterator[Claim]:
    """A factor that changes members which also differ from what was published."""
    if case.variation is None:
        return
    differing = {each.member for each in case.differences if not case.explained(each)}
    for row in case.variation.rows:
        members = differing & set(row.members)
        if row.effect in {Effect.FLIPS, Effect.STEADIES} and row.level is Level.DIFFERENT and members:
            yield _changed(row, sorted(members), steady=case.variation.steady)


def _changed(row: VariationRow, members: list[str], *, steady: bool) -> Claim:
    shown = listed(members)
    sentence = (
        f"The {row.factor.value} decides: with it fixed, two builds are the same ({shown})."
        if row.effect is Effect.STEADIES
        else f"The result depends on the {row.factor.value}: changing nothing else changes {shown}."
    )
    return claim(
        CAUSES[row.factor],
        sentence,
        [EvidenceLine(note=f"{row.factor.value}: {row.change}"), *(EvidenceLine(member=each) for each in members)],
        members=members,
        certainty=Certainty.SHOWN if row.effect is Effect.STEADIES or not steady else Certainty.LIKELY,
    )


def unsteady(case: Case) -> Iterator[Claim]:
    """Members that differ between two builds of one definition, for no reason that was found."""
    repeated = case.disagreement
    if repeated is None or repeated.level is not Level.DIFFERENT:
        return
    between = {each.member: each for each in repeated.differences}
    found = [each for each in case.differences if each.member in between and not case.explained(each)]
    if found:
        yield claim(
            Cause.RANDOMNESS,
            "Two rebuilds of one definition differ from each other too, with nothing changed: something random, or "
            "the time, goes into the result.",
            named(between[each.member] for each in found),
            members=[each.member for each in found],
        )
