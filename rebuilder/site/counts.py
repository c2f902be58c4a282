"""Shares of a whole, always with the whole beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self

from rebuilder.model.operations import Operations
from rebuilder.model.report import Summary
from rebuilder.model.verdict import Verdict
from rebuilder.site.display import count
from rebuilder.site.marks import REVOKED, STANDINGS, UNTESTED, Mark, standing, standing_mark


@dataclass(frozen=True, slots=True)
class Share:
    """Part of a whole."""

    label: str
    number: int
    whole: int

    @property
    def shown(self) -> str:
        """The part itself."""
        return f"{self.number:,}"

    @property
    def percent(self) -> str:
        """What it is of the whole, as it is read."""
        return percent(self.number, self.whole)

    @property
    def width(self) -> float:
        """The same, for a bar: 0 to 100."""
        return round(100 * self.number / self.whole, 2) if self.whole else 0.0


@dataclass(frozen=True, slots=True)
class CountRow(Share):
    """How many files have one verdict, of how many."""

    mark: Mark


@dataclass(frozen=True, slots=True)
class FileCounts:
    """All known files by what stands of them: what every percentage is made from."""

    standings: Mapping[str, int]
    """By the name of :data:`rebuilder.site.marks.STANDINGS`."""
    written: int
    """Of the reproduced ones, those with recorded values written into the finished archive."""
    untested: int

    @classmethod
    def of(cls, files: Iterable[Summary], untested: int) -> Self:
        """Count the newest verification of each file."""
        found, written = Counter[str](), 0
        for each in files:
            found[standing(each)] += 1
            written += _is_written(each)
        return cls(found, written, untested)

    @classmethod
    def of_operations(cls, operations: Operations) -> Self:
        """The counts among the figures of a service."""
        found = {each.value: number for each, number in operations.current.items()}
        return cls({**found, REVOKED.name: operations.revoked}, operations.written, operations.untested)

    @classmethod
    def read(cls, counts: Mapping[str, int], ways: Mapping[str, int]) -> Self | None:
        """What :meth:`by_name` and :meth:`ways` gave; None where it is something else."""
        if set(counts) != {*STANDINGS, UNTESTED.name} or "metadata-written" not in ways:
            return None
        return cls({each: counts[each] for each in STANDINGS}, ways["metadata-written"], counts[UNTESTED.name])

    @property
    def total(self) -> int:
        """The denominator."""
        return sum(self.standings.values()) + self.untested

    def number(self, name: str) -> int:
        """Files with one standing."""
        return self.standings.get(name, 0)

    def with_one(self, row: Summary, number: int = 1) -> Self:
        """The same and one file more."""
        found = {**self.standings, standing(row): self.number(standing(row)) + number}
        return replace(self, standings=found, written=self.written + number * _is_written(row))

    def without(self, row: Summary) -> Self:
        """The same and one file less."""
        return self.with_one(row, -1)

    def by_name(self) -> dict[str, int]:
        """As they are published."""
        return {**{each: self.number(each) for each in STANDINGS}, UNTESTED.name: self.untested}

    def document(self) -> dict[str, int]:
        """All of it, zeroes left out."""
        found = {**self.by_name(), "written": self.written}
        return {name: number for name, number in found.items() if number}

    @classmethod
    def from_document(cls, found: Mapping[str, int]) -> Self:
        """What :meth:`document` gave."""
        standings = {each: found[each] for each in STANDINGS if each in found}
        return cls(standings, found.get("written", 0), found.get(UNTESTED.name, 0))

    def ways(self) -> dict[str, int]:
        """The reproduced ones, by how."""
        return {
            "build-alone": self.number(Verdict.REPRODUCED.value) - self.written,
            "metadata-written": self.written,
        }


NOTHING = FileCounts({}, 0, 0)
"""Of no files."""


@dataclass(frozen=True, slots=True)
class Part(Share):
    """Files of which the same can be said, as a part of a bar."""

    tone: str
    x: float
    """Where it begins in the bar, in percent."""
    href: str | None


@dataclass(frozen=True, slots=True)
class Bar:
    """All files of something, divided by what stands of them: what is confirmed first, then what is not."""

    total: int
    confirmed: int
    spoken: str
    """All of it in words."""
    parts: tuple[Part, ...]
    """Those that have files."""


_PARTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("reproduced by the build alone", (Verdict.REPRODUCED.value,)),
    ("reproduced with recorded values written", ()),
    ("equivalent", (Verdict.EQUIVALENT.value,)),
    ("accounted for, not rebuilt", (Verdict.ACCOUNTED.value,)),
    ("identical, built with unsigned packages", (Verdict.UNAUTHENTICATED.value,)),
    ("differ", (Verdict.DIFFERS.value,)),
    ("could not be built", (Verdict.BUILD_FAILED.value, Verdict.INPUTS_MISSING.value, Verdict.TIMED_OUT.value)),
    ("cannot be rebuilt yet", (Verdict.UNSUPPORTED.value,)),
    ("signed by a key that was revoked", (REVOKED.name,)),
    ("not yet tested", ()),
)
"""Words, and the standings that it has: their marks have its tone."""
_OTHER_TONES = {"reproduced with recorded values written": "also", "not yet tested": "none"}


def bar(counts: FileCounts, root: str | None = None) -> Bar:
    """The bar; with ``root``, which leads to the site's root, its parts lead to lists where one list has them."""
    numbers = [sum(counts.number(name) for name in names) for _, names in _PARTS]
    numbers[0], numbers[1], numbers[-1] = numbers[0] - counts.written, counts.written, counts.untested
    total, x, parts = counts.total, 0.0, list[Part]()
    for (label, names), number in zip(_PARTS, numbers, strict=True):
        if number:
            tone = standing_mark(names[0]).tone if names else _OTHER_TONES[label]
            words = "differs" if (label, number) == ("differ", 1) else label
            href = f"{root}verdicts/{names[0]}.html" if root is not None and len(names) == 1 else None
            parts.append(Part(words, number, total, tone, round(x, 2), href))
            x += parts[-1].width
    spoken = ", ".join(f"{each.shown} {each.label}" for each in parts)
    return Bar(total, sum(numbers[:3]), f"Of {count(total, 'file', 'files')}: {spoken}.", tuple(parts))


def _is_written(row: Summary) -> bool:
    return row.written and row.doubt is None


def count_rows(counts: FileCounts) -> tuple[CountRow, ...]:
    """A row for each published verdict and one for what has none: nothing is hidden."""
    shown = [each for each in STANDINGS if each != REVOKED.name or counts.number(each)]
    pairs: list[tuple[Mark, int]] = [(standing_mark(each), counts.number(each)) for each in shown]
    pairs.append((UNTESTED, counts.untested))
    return tuple(CountRow(each.word, number, counts.total, each) for each, number in pairs)


def reproduced_ways(reproduced: int, written: int) -> str | None:
    """The two ways of being reproduced, told apart; None when there is nothing to tell.

    Args:
        reproduced: Files that are.
        written: Those of them with recorded values written into the finished archive.
    """
    if not reproduced:
        return None
    alone = reproduced - written
    return (
        f"Of the {count(reproduced, 'reproduced file', 'reproduced files')}, {alone:,} ({percent(alone, reproduced)}) "
        f"by the build alone, {written:,} ({percent(written, reproduced)}) "
        "with recorded values written into the finished archive."
    )


def percent(part: int, total: int) -> str:
    """A percentage as it is read: never "100 %" or "0 %" for anything but all and nothing."""
    if not total:
        return "–"
    amount = 100 * part / total
    return f"{amount:.0f} %" if part in {0, total} else f"{min(max(amount, 0.1), 99.9):.1f} %"
