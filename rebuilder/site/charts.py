"""Stacked columns of verdicts over time, as numbers that a template draws with."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from rebuilder.model.operations import Bucket
from rebuilder.model.verdict import Verdict
from rebuilder.site.counts import CountRow
from rebuilder.site.display import count, moment
from rebuilder.site.marks import mark

FILES, VERIFICATIONS = ("file", "files"), ("verification", "verifications")
WIDTH, HEIGHT = 480, 180
"""Units of the drawing; it is scaled to the width there is."""
_FEWEST = 8
"""Columns there is room for at least: on the first days one of them is no wall."""
_LEAST = 1.5
"""Height of a segment that would be too thin to be seen."""

TEXTURES = {
    Verdict.REPRODUCED: "",
    Verdict.EQUIVALENT: "M0 3H6",
    Verdict.DIFFERS: "M-1 1 1 -1M-1 7 7 -1M5 7 7 5",
    Verdict.UNAUTHENTICATED: "M0 0H6V6",
    Verdict.BUILD_FAILED: "M1 1 5 5M5 1 1 5",
    Verdict.INPUTS_MISSING: "M2 3H4M3 2V4",
    Verdict.ACCOUNTED: "M3 0V6",
    Verdict.UNSUPPORTED: "",
    Verdict.TIMED_OUT: "M3 0V6",
    Verdict.INFRA_ERROR: "M0 3H6M3 0V6",
}
"""What is drawn over the tone of each verdict, in a tile of six by six units: verdicts that share a tone, and tones
that some eyes or a printer see as one, are still told apart."""


@dataclass(frozen=True, slots=True)
class Segment:
    """The part of a column that one verdict has."""

    name: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """One hour or one day."""

    x: float
    width: float
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class LegendEntry(CountRow):
    """How a verdict is drawn, and how often it was given."""

    texture: str
    path: str
    """All its segments as one SVG path: a printer makes a picture of each filled shape, and these are hundreds."""


@dataclass(frozen=True, slots=True)
class Chart:
    """Columns, their scale, and the same in words."""

    name: str
    """For ids in the page."""
    title: str
    spoken: str
    """All a listener has to know, in two sentences."""
    width: int
    height: int
    columns: tuple[Column, ...]
    scale: tuple[str, str, str]
    """Numbers at the top, the middle and the bottom."""
    first: str
    last: str
    """Starts of the first and the last column, to the day or without the year."""
    legend: tuple[LegendEntry, ...]
    """Verdicts that occur, in the order of :class:`Verdict`."""
    whole: str
    """What the percentages of the legend are of, such as ``10 verifications``."""
    unit: str
    """What the numbers of the table are: ``ended`` or ``stood``."""
    rows: Sequence[Bucket]
    """Columns that are not empty, newest first."""


def chart(name: str, title: str, buckets: Sequence[Bucket], *, standing: bool = False) -> Chart | None:
    """Draw ``buckets``, oldest first; None when there is nothing in any of them.

    ``standing``: they hold what stood then, and not what ended; the last of them is what there is now.
    """
    totals = Counter[Verdict]()
    for each in buckets[-1:] if standing else buckets:
        totals.update(each.verdicts)
    whole = totals.total()
    if not whole:
        return None
    top = _top(max(sum(each.verdicts.values()) for each in buckets))
    pitch = WIDTH / max(len(buckets), _FEWEST if standing else 1)
    columns = tuple(
        Column(round(pitch * (index + 0.1), 2), round(pitch * 0.8, 2), _segments(each.verdicts, top))
        for index, each in enumerate(buckets)
    )
    return Chart(
        name=name,
        title=title,
        spoken=_spoken(title, buckets, totals, FILES if standing else VERIFICATIONS),
        width=WIDTH,
        height=HEIGHT,
        columns=columns,
        scale=(f"{top:,}", f"{top // 2:,}", "0"),
        first=_end(buckets, 0),
        last=_end(buckets, -1),
        legend=tuple(
            LegendEntry(mark(each).word, totals[each], whole, mark(each), TEXTURES[each], _path(each, columns))
            for each in Verdict
            if totals[each]
        ),
        whole=count(whole, *(FILES if standing else VERIFICATIONS)),
        unit="stood" if standing else "ended",
        rows=[each for each in reversed(buckets) if sum(each.verdicts.values())],
    )


def outcomes(verdicts: Mapping[Verdict, int]) -> str:
    """Verdicts with their numbers in words: ``30 reproduced, 2 differ``."""
    return ", ".join(
        f"{verdicts[each]:,} {'differ' if each is Verdict.DIFFERS and verdicts[each] != 1 else mark(each).word.lower()}"
        for each in Verdict
        if verdicts.get(each)
    )


def _top(highest: int) -> int:
    """The next even number of one or two digits and zeroes: its half is a whole number too."""
    steps = (step * int(10**zeroes) for zeroes in itertools.count() for step in (2, 4, 6, 8, 12, 16))
    return next(each for each in steps if each >= highest)


def _segments(verdicts: Mapping[Verdict, int], top: int) -> tuple[Segment, ...]:
    heights = {each: max(_LEAST, HEIGHT * verdicts[each] / top) for each in Verdict if verdicts.get(each)}
    over = sum(heights.values()) - HEIGHT
    if over > 0:
        # What thin segments were given beyond their share is taken from the tallest.
        tallest = max(heights, key=lambda each: heights[each])
        heights[tallest] -= over
    found, y = [], float(HEIGHT)
    for verdict, height in heights.items():
        y -= height
        found.append(Segment(verdict.value, round(max(y, 0), 2), round(height, 2)))
    return tuple(found)


def _path(verdict: Verdict, columns: Sequence[Column]) -> str:
    return "".join(
        f"M{column.x} {each.y}h{column.width}v{each.height}h-{column.width}z"
        for column in columns
        for each in column.segments
        if each.name == verdict.value
    )


def _spoken(title: str, buckets: Sequence[Bucket], totals: Counter[Verdict], what: tuple[str, str]) -> str:
    highest = max(buckets, key=lambda each: sum(each.verdicts.values()))
    most = count(sum(highest.verdicts.values()), *what)
    return (
        f"{title}: {count(totals.total(), *what)}; {outcomes(totals)}. "
        f"The highest column has {most} and begins at {moment(highest.start).text}."
    )


def _end(buckets: Sequence[Bucket], index: int) -> str:
    text = moment(buckets[index].start).text
    by_day = buckets[-1].start - buckets[0].start >= timedelta(days=len(buckets) - 1)
    return text[:10] if by_day else text[5:]
