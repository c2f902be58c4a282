"""What the rules of a diagnosis read, :class:`DiagnosisInput`, and what they give back, :class:`Claim`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from rebuilder.model.attempt import Attempt
from rebuilder.model.comparison import Comparison, Difference, Level, MemberChange, Variation
from rebuilder.model.decision import Decision, towards
from rebuilder.model.definition import BuildDefinition, Role
from rebuilder.model.diagnosis import Basis, Cause, Certainty, EvidenceLine, Finding
from rebuilder.model.evidence import Evidence, SourceKind
from rebuilder.model.graph import SourceTrail

MOST_LINES = 8
"""Evidence lines kept of a finding."""
_LONGEST_NAME = 120
_LONGEST_TEXT = 400
_FIELD = re.compile(r"(?:^| )([A-Z][a-zA-Z0-9 ]*): published (.*?), rebuilt (.*?)\.(?= [A-Z]|$)")

Line = tuple[str, str, str]
"""Member, ``published`` or ``rebuilt``, and a line only that side has."""
LINE_ENDS = ("published", "\r\n")
"""With a member in front, stands for the line ends of all its lines."""
MOVED = ("published", "\v")
"""With a member in front, stands for the order of its lines, when nothing else differs."""
FILE_NAME: Line = ("", "published", "\f")
"""Stands for the name of the rebuilt file, where it is another one."""


@dataclass(frozen=True)
class Claim:
    """A finding, and what it explains: whole members, or single lines of them."""

    finding: Finding
    members: frozenset[str] = frozenset()
    lines: frozenset[Line] = frozenset()
    first: bool = False
    """Others may follow from it, so it is said before them."""

    @property
    def weight(self) -> int:
        """How much it explains."""
        return len(self.members | {member for member, _side, _line in self.lines})


@dataclass(frozen=True)
class EcosystemRules:
    """What an ecosystem knows of causes, beyond the general rules."""

    rules: Mapping[str, Rule] = field(default_factory=dict)
    """By name, in the order in which they look; before them come the rules that need no knowledge of the format."""
    instead: Mapping[str, Rule] = field(default_factory=dict)
    """In the place of the general rules of these names, where what those say does not fit."""
    advice: Mapping[Cause, str] = field(default_factory=dict)
    """What its own tools call what is to be changed, where the general advice cannot name it."""
    consequences: Callable[[DiagnosisInput], frozenset[Line]] = lambda _: frozenset()
    """Lines that differ only because another member does: they are no cause of their own."""
    hints: Callable[[str], Iterator[tuple[Cause, str]]] = lambda _: iter(())
    """What a line in the log of a failed build points to: a cause, and a sentence for it."""
    endings: Mapping[int, str] = field(default_factory=dict)
    """How its own sandbox programs failed, as a clause, by their exit codes."""
    description: re.Pattern[str] | None = None
    """How names of members begin in which a build describes its file, so that no source has them."""
    is_inventory: Callable[[str], bool] = lambda _: False
    """Whether a member lists the others with their digests, so that it differs wherever one of them does."""
    source_name: Callable[[str], str] = lambda member: member
    """The path in the source archive, below its top, that a member comes from if it was copied."""
    leftovers: re.Pattern[str] | None = None
    """Names of what earlier builds with its tools leave in a directory."""
    generated: tuple[str, ...] = ()
    """Ends of names that its builds write rather than people."""
    keeping: frozenset[str] = frozenset()
    """Build tools that pack from a directory where files stay that were deleted from the sources."""
    asks: Mapping[Cause, re.Pattern[str]] = field(default_factory=dict)
    """What lines of a project have that ask for what a cause is about."""
    asked_first: tuple[str, ...] = ()
    """Paths of files of a project that are run for its build, and whose lines come before those of others."""


@dataclass(frozen=True)
class DiagnosisInput:
    """One verification that did not come out byte for byte."""

    evidence: Evidence
    attempts: tuple[Attempt, ...]
    decision: Decision
    trail: SourceTrail | None = None
    log: str = ""
    """End of the log of the attempt the decision rests on."""
    variation: Variation | None = None
    ecosystem: EcosystemRules = field(default_factory=EcosystemRules)
    taken_members: frozenset[str] = frozenset()
    taken_lines: frozenset[Line] = frozenset()
    """What earlier rules explained: later ones, which are more general, do not see it."""

    def describes(self, member: str) -> bool:
        """Whether a member is one in which the build describes its file; see :attr:`EcosystemRules.description`."""
        return self.ecosystem.description is not None and self.ecosystem.description.match(member) is not None

    @property
    def attempt(self) -> Attempt | None:
        """The one the decision rests on."""
        return self.attempts[self.decision.attempt] if self.decision.attempt is not None else None

    @property
    def comparison(self) -> Comparison | None:
        """Of that attempt."""
        return self.attempt.comparison if self.attempt else None

    @property
    def definition(self) -> BuildDefinition | None:
        """Of that attempt."""
        return self.attempt.hypothesis.definition if self.attempt else None

    @property
    def different(self) -> bool:
        """Whether there is a comparison, and content differs."""
        return self.comparison is not None and self.comparison.level is Level.DIFFERENT

    @property
    def disagreement(self) -> Comparison | None:
        """How a repeat of that attempt differs from it; None when there is no repeat, or it does not."""
        attempt = self.attempt
        return next(
            (
                each.disagreement
                for each in self.attempts
                if each.repeat
                and each.disagreement is not None
                and attempt is not None
                and each.hypothesis.same(attempt.hypothesis)
            ),
            None,
        )

    @cached_property
    def differences(self) -> tuple[Difference, ...]:
        """Members whose content, name or kind differs; none when only archive metadata does."""
        return self.comparison.differences if self.comparison is not None and self.different else ()

    def having(self, *changes: MemberChange) -> list[Difference]:
        """Differences of some kinds that nothing explains so far."""
        return [each for each in self.differences if each.change in changes and not self.explained(each)]

    def lines(self, select: Callable[[str], bool] = lambda _: True) -> list[Line]:
        """Lines that only one side has and that nothing explains so far, of the members of some names."""
        return [
            line
            for each in self.differences
            if select(each.member) and each.member not in self.taken_members
            for line in _lines(each)
            if line not in self.taken_lines
        ]

    def explained(self, difference: Difference) -> bool:
        """Whether everything in which a member differs was explained."""
        content, member = difference.content, difference.member
        if member in self.taken_members:
            return True
        if difference.change is not MemberChange.CONTENT or content is None or not content.text:
            return False
        wanted = _lines(difference)
        if content.line_ends:
            wanted.append((member, *LINE_ENDS))
        elif content.moved and not wanted:
            wanted.append((member, *MOVED))
        return bool(wanted) and self.taken_lines.issuperset(wanted)

    def without(self, claim: Claim) -> DiagnosisInput:
        """The case after a claim was accepted."""
        return replace(
            self, taken_members=self.taken_members | claim.members, taken_lines=self.taken_lines | claim.lines
        )

    @cached_property
    def source_files(self) -> dict[str, str | None]:
        """Files of the published source archive below its top directory, with their SHA-256; empty when not read."""
        inspection = self.evidence.source_inspection
        members = inspection.members if inspection is not None else ()
        return {each.name.partition("/")[2]: each.sha256 for each in members if each.name.partition("/")[2]}

    @cached_property
    def from_archive(self) -> bool:
        """Whether the decisive rebuild began with the published source archive, and that was read."""
        source = self.definition.source if self.definition else None
        return source is not None and source.kind is not SourceKind.GIT and bool(self.source_files)

    def in_source(self, member: str) -> list[str]:
        """Paths in the source archive that may have become this member: the same path, there or in a directory."""
        wanted = self.ecosystem.source_name(member)
        return [path for path in self.source_files if path == wanted or path.endswith(f"/{wanted}")]

    @cached_property
    def at_commit(self) -> Comparison | None:
        """How the rebuild from the commit that comes closest compares with the published file, if there is one."""
        found = [self.attempts[index] for index in towards(self.attempts, self.evidence.artifact.filename)]
        known = [
            each.comparison
            for each in found
            if (source := each.hypothesis.definition.source) is not None and source.kind is SourceKind.GIT
            if not each.repeat and each.comparison is not None and not each.comparison.problem
        ]
        return min(known, key=lambda each: each.differences_total, default=None)

    @cached_property
    def tools(self) -> dict[str, str]:
        """Build dependencies of the rebuild, with their versions."""
        inputs = self.definition.inputs if self.definition else ()
        return {each.name: each.version or "?" for each in inputs if each.role is Role.BUILD_DEPENDENCY}


def _lines(difference: Difference) -> list[Line]:
    content, member = difference.content, difference.member
    if content is None or not content.text:
        return []
    return [
        *((member, "published", line) for line in content.published),
        *((member, "rebuilt", line) for line in content.rebuilt),
    ]


def alike(lines: Iterable[Line], template: Callable[[str], str | None]) -> list[tuple[Line, Line]]:
    """Pairs of a published and a rebuilt line of one member that become equal by ``template`` (None: no candidate)."""
    sides: dict[tuple[str, str], dict[str, list[Line]]] = {}
    for line in lines:
        form = template(line[2])
        if form is not None:
            sides.setdefault((line[0], form), {"published": [], "rebuilt": []})[line[1]].append(line)
    return [pair for both in sides.values() for pair in zip(both["published"], both["rebuilt"], strict=False)]


def pairs_shown(pairs: Iterable[tuple[Line, Line]]) -> list[EvidenceLine]:
    """Pairs as evidence, both sides of each."""
    return [EvidenceLine(member=left[0], published=left[2], rebuilt=right[2]) for left, right in pairs]


def fields(difference: Difference) -> dict[str, tuple[str, str]]:
    """Archive metadata a difference speaks of: label to published and rebuilt value."""
    return {label: (published, rebuilt) for label, published, rebuilt in _FIELD.findall(difference.detail)}


def claim(
    cause: Cause,
    sentence: str,
    evidence: Sequence[EvidenceLine],
    *,
    members: Iterable[str] = (),
    lines: Iterable[Line] = (),
    certainty: Certainty = Certainty.SHOWN,
    basis: Basis = Basis.COMPARISON,
    advice: str | None = None,
    first: bool = False,
) -> Claim:
    """A claim whose finding keeps the first lines of evidence."""
    finding = Finding(
        cause=cause,
        sentence=sentence,
        certainty=certainty,
        basis=basis,
        evidence=tuple(_brief(each) for each in evidence[:MOST_LINES]),
        advice=advice or cause.advice,
    )
    return Claim(finding, frozenset(members), frozenset(lines), first)


def about(cause: Cause, sentence: str, found: Sequence[Difference], certainty: Certainty = Certainty.SHOWN) -> Claim:
    """A claim on whole members, each shown in its own words."""
    return claim(cause, sentence, named(found), members=[each.member for each in found], certainty=certainty)


def about_pairs(
    cause: Cause, sentence: str, pairs: Sequence[tuple[Line, Line]], certainty: Certainty = Certainty.SHOWN
) -> Claim:
    """A claim on pairs of lines, both sides of each shown."""
    lines = [line for pair in pairs for line in pair]
    return claim(cause, sentence, pairs_shown(pairs), lines=lines, certainty=certainty)


def _brief(line: EvidenceLine) -> EvidenceLine:
    cut = {name: text[:_LONGEST_TEXT] + "…" for name, text in line if text is not None and len(text) > _LONGEST_TEXT}
    return line.replace(**cut) if cut else line


def quoted(lines: Iterable[Line]) -> list[EvidenceLine]:
    """Lines as evidence; blank ones are not worth showing unless there are no others."""
    found = [
        EvidenceLine(member=member, **{side: line if line.strip() else "(a blank line)"})
        for member, side, line in sorted(lines, key=lambda each: not each[2].strip())
    ]
    return list(dict.fromkeys(found))


def named(differences: Iterable[Difference]) -> list[EvidenceLine]:
    """Differences as evidence, in their own words."""
    return [EvidenceLine(member=each.member, note=each.detail) for each in differences]


def listed(names: Sequence[str]) -> str:
    """The first names, for a sentence."""
    first = [name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…" for name in names[:3]]
    return ", ".join([*first, "…"] if len(names) > len(first) else first)


def files(count: int) -> str:
    """``1 file`` or ``3 files``."""
    return f"{count:,} {'file' if count == 1 else 'files'}"


Rule = Callable[[DiagnosisInput], Iterator[Claim]]
"""Looks at a case and claims what it explains."""
