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
class CountRow:
    """How many files have one verdict, of how many."""

    mark: Mark
    number: int
    shown: str
    percent: str
    width: float
    """Percent, for a bar."""
    href: str | None


@dataclass(frozen=True, slots=True)
class Share:
    """Part of a whole under a name of its own."""

    label: str
    shown: str
    percent: str
    width: float
    """Percent, for a bar."""


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

    def ways(self) -> dict[str, int]:
        """The reproduced ones, by how."""
        return {
            "build-alone": self.number(Verdict.REPRODUCED.value) - self.written,
            "metadata-written": self.written,
        }


def _is_written(row: Summary) -> bool:
    return row.written and row.doubt is None


def count_rows(counts: FileCounts, *, linked: bool) -> tuple[CountRow, ...]:
    """A row for each published verdict and one for what has none: nothing is hidden.

    ``linked``: the lists by verdict are there, and the page is at the site's root.
    """
    shown = [each for each in STANDINGS if each != REVOKED.name or counts.number(each)]
    pairs: list[tuple[Mark, int]] = [(standing_mark(each), counts.number(each)) for each in shown]
    pairs.append((UNTESTED, counts.untested))
    total = counts.total
    return tuple(
        CountRow(
            mark=each,
            number=number,
            shown=f"{number:,}",
            percent=percent(number, total),
            width=width(number, total),
            href=list_path(each.name) if linked and number and each is not UNTESTED else None,
        )
        for each, number in pairs
    )


def share(label: str, number: int, total: int) -> Share:
    """``number`` of ``total``; ``label`` is fit to be shown."""
    return Share(label, f"{number:,}", percent(number, total), width(number, total))


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


def width(part: int, total: int) -> float:
    """A percentage as the width of a bar, 0 to 100."""
    return round(100 * part / total, 2) if total else 0.0


def list_path(standing: str, kind: str = "html") -> str:
    """Address of a list of files with one standing, below the site's root."""
    return f"verdicts/{standing}.{kind}"
