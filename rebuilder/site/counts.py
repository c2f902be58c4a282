"""Shares of a whole, always with the whole beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rebuilder.model.verdict import Verdict
from rebuilder.site.display import count
from rebuilder.site.marks import SHOWN, UNTESTED, Mark, mark


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


def count_rows(found: Mapping[Verdict, int], untested: int, *, linked: bool) -> tuple[CountRow, ...]:
    """A row for each published verdict and one for what has none: nothing is hidden.

    ``linked``: the lists by verdict are there, and the page is at the site's root.
    """
    pairs: list[tuple[Mark, int]] = [(mark(verdict), found.get(verdict, 0)) for verdict in SHOWN]
    pairs.append((UNTESTED, untested))
    total = sum(number for _, number in pairs)
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


def list_path(verdict: str) -> str:
    """Address of a list by verdict, below the site's root."""
    return f"verdicts/{verdict}.html"
