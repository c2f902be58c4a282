"""Causes that repeated builds show: what another run, or one thing changed, changes in the result."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rebuilder.diagnose.case import Claim, DiagnosisInput, Line, claim, listed, named, pairs_shown, quoted
from rebuilder.model.comparison import ChangedLine, Effect, Factor, Level, Variation, VariationRow
from rebuilder.model.diagnosis import Basis, Cause, Certainty, EvidenceLine

_BEGIN = re.compile(r"[^\s'\"=,;()\[\]{}]*$")
_END = re.compile(r"^[^\s'\"=,;()\[\]{}]*")
"""The part of a word that two values may have in common by chance."""
_LEAST_WORDS = 3
"""Fewer may stand in another order by chance."""
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


def varied(case: DiagnosisInput) -> Iterator[Claim]:
    """A factor that changes what also differs from what was published: lines where it can be told, else members.

    Of text, only lines are claimed that change with the factor and stand where the published file has another line of
    the same form; what else differs in the member is not said to come from it.
    """
    if case.variation is None:
        return
    for row in case.variation.rows:
        if row.effect not in {Effect.FLIPS, Effect.STEADIES} or row.level is not Level.DIFFERENT:
            continue
        pairs = [pair for each in row.lines if (pair := _same_form(case, each)) is not None]
        if pairs:
            members = list(dict.fromkeys(line[0] for _published, line in pairs))
            lines = [line for pair in pairs for line in pair]
            yield _changed(row, members, pairs_shown(pairs), lines=lines, certainty=Certainty.SHOWN)
        told = {each.member for each in row.lines}
        whole = [
            each.member
            for each in case.differences
            if each.member in row.members and each.member not in told and not case.explained(each)
        ]
        if whole:
            evidence = [EvidenceLine(member=each) for each in whole]
            yield _changed(row, whole, evidence, whole=whole, certainty=Certainty.LIKELY)


def _same_form(case: DiagnosisInput, changed: ChangedLine) -> tuple[Line, Line] | None:
    """The published line that is like a rebuilt one but for what the factor changes in it, and that line.

    What varies by itself was another line in each build, so that only its form is found in the decisive rebuild.
    """
    lines = case.lines(lambda member: member == changed.member)
    start = _shared(changed.before, changed.after)
    end = _shared(changed.before[start:][::-1], changed.after[start:][::-1])
    first = _BEGIN.sub("", changed.before[:start])
    last = _END.sub("", changed.before[len(changed.before) - end :])
    if not first.strip() and not last.strip():
        return _same_words(changed, lines)

    def alike(side: str) -> Line | None:
        return next(
            (
                line
                for line in lines
                if line[1] == side and line[2].startswith(first) and line[2][len(first) :].endswith(last)
            ),
            None,
        )

    exact = (changed.member, "rebuilt", changed.before)
    ours, theirs = exact if exact in lines else alike("rebuilt"), alike("published")
    return (theirs, ours) if ours is not None and theirs is not None else None


def _same_words(changed: ChangedLine, lines: Sequence[Line]) -> tuple[Line, Line] | None:
    """The pair of a line that is nothing but words which the factor puts into another order."""
    words = sorted(changed.before.split())
    ours = (changed.member, "rebuilt", changed.before)
    if len(words) < _LEAST_WORDS or words != sorted(changed.after.split()) or ours not in lines:
        return None
    return next(((each, ours) for each in lines if each[1] == "published" and words == sorted(each[2].split())), None)


def _shared(left: str, right: str) -> int:
    """How many characters two texts begin with that are the same."""
    differing = (at for at, both in enumerate(zip(left, right, strict=False)) if both[0] != both[1])
    return next(differing, min(len(left), len(right)))


def _changed(
    row: VariationRow,
    members: list[str],
    evidence: list[EvidenceLine],
    *,
    lines: Sequence[Line] = (),
    whole: Sequence[str] = (),
    certainty: Certainty,
) -> Claim:
    shown = listed(members)
    sentence = (
        f"What varies from build to build in {shown} follows the {row.factor.value}: with that fixed, it stays."
        if row.effect is Effect.STEADIES
        else f"The result depends on the {row.factor.value}: changing nothing else changes {shown}."
    )
    return claim(
        CAUSES[row.factor],
        sentence,
        [EvidenceLine(note=f"{row.factor.value}: {row.change}"), *evidence],
        members=whole,
        lines=lines,
        certainty=certainty,
        basis=Basis.EXPERIMENT,
    )


def shown_alone(variation: Variation) -> Iterator[Claim]:
    """What a table shows without any published file: each factor that changes the content by itself.

    The build as it is stands as ``rebuilt``, the one with the factor changed as ``published``.
    """
    for row in variation.rows:
        if row.effect not in {Effect.FLIPS, Effect.STEADIES} or row.level is not Level.DIFFERENT:
            continue
        evidence = [EvidenceLine(member=each.member, published=each.after, rebuilt=each.before) for each in row.lines]
        told = {each.member for each in row.lines}
        evidence += [EvidenceLine(member=each) for each in row.members if each not in told]
        yield _changed(row, list(row.members), evidence, certainty=Certainty.SHOWN)


def unsteady(case: DiagnosisInput) -> Iterator[Claim]:
    """Members that differ between two builds of one definition, for no reason that was found."""
    repeated = case.disagreement
    if repeated is None or repeated.level is not Level.DIFFERENT:
        return
    between = {each.member: each for each in repeated.differences}
    restless = {
        (each.member, "rebuilt", line)
        for each in repeated.differences
        if each.content is not None and each.content.text
        for line in each.content.published
    }
    told = {member for member, _side, _line in restless}
    found = [
        each
        for each in case.differences
        if each.member in between and each.member not in told and not case.explained(each)
    ]
    ours = [line for line in case.lines(told.__contains__) if line in restless]
    lines = [*ours, *_opposite(case, ours)]
    if found or lines:
        yield claim(
            Cause.RANDOMNESS,
            "Two rebuilds of one definition differ from each other too, with nothing changed: something random, or "
            "the time, goes into the result.",
            [*named(between[each.member] for each in found), *quoted(lines)],
            members=[each.member for each in found],
            lines=lines,
            basis=Basis.EXPERIMENT,
        )


def _opposite(case: DiagnosisInput, ours: list[Line]) -> list[Line]:
    """Published lines that stand where lines of ours vary: all of a member where no other line of it is left."""
    found: list[Line] = []
    for member in dict.fromkeys(line[0] for line in ours):
        left = case.lines(lambda each, member=member: each == member)  # type: ignore[misc]
        if all(line in ours for line in left if line[1] == "rebuilt"):
            published = [line for line in left if line[1] == "published"]
            found += published if len(published) <= len([line for line in ours if line[0] == member]) else []
    return found
