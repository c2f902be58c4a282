"""Where the time of an artifact goes, and why some are not reproduced: one stacked bar a round, as SVG (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from rebuilder.model.report import Stage
from rebuilder.model.verdict import Verdict
from tests.bench.list_figures import RoundFigures
from tests.bench.list_table import heading

WIDTH, BAR, GAP, LEFT, RIGHT, TOP = 760, 34, 22, 120, 130, 64
_LINE = 20
_INK, _SOFT, _PAPER = "#1f2430", "#5b6270", "#ffffff"

COLOURS: dict[Stage, str] = {
    Stage.FETCH: "#4477aa",
    Stage.ATTESTATIONS: "#66ccee",
    Stage.ENVIRONMENT: "#bbbbbb",
    Stage.RESOLVE: "#aa3377",
    Stage.BUILD: "#228833",
    Stage.COMPARE: "#ccbb44",
    Stage.DIFFOSCOPE: "#ee6677",
}
"""Told apart by eyes of every kind (Paul Tol's bright scheme)."""
_CAUSES = ("#332288", "#88ccee", "#44aa99", "#117733", "#999933", "#ddcc77", "#cc6677", "#882255", "#aa4499")
"""The same for more kinds (his muted scheme)."""
_OTHER = ("other causes", "#dddddd")


@dataclass(frozen=True)
class Part:
    """One part of a bar."""

    name: str
    colour: str
    length: float
    told: str
    """What it stands for, for whoever points at it."""


@dataclass(frozen=True)
class Bar:
    """One round."""

    name: str
    parts: tuple[Part, ...]
    notes: tuple[str, str]
    """Two lines beside it."""


def chart(rounds: Sequence[RoundFigures]) -> str:
    """Mean seconds an artifact spends in each stage."""
    bars = [_stage_bar(each) for each in rounds]
    return _picture("Seconds per artifact by stage, mean", _spoken(rounds), bars)


def rest_chart(rounds: Sequence[RoundFigures]) -> str:
    """Share of artifacts that are not reproduced, by the cause that explains most of each."""
    counted = sum((Counter(each.rest) for each in rounds), Counter())
    colours = {cause: colour for (cause, _), colour in zip(counted.most_common(), _CAUSES, strict=False)}
    bars = []
    for each in rounds:
        if each.rest is None:
            continue
        found = Counter(
            {(cause.value, colour): each.rest[cause] for cause, colour in colours.items() if cause in each.rest}
        )
        found[_OTHER] = sum(each.rest.values()) + each.unexplained - found.total()
        parts = [
            Part(name, colour, 100 * number / each.asked, f"{name}: {number}")
            for (name, colour), number in found.items()
            if number
        ]
        bars.append(Bar(heading(each), tuple(parts), (f"{each.done - _reproduced(each)} of {each.done}", "")))
    told = "; ".join(f"{bar.name}: {', '.join(part.told for part in bar.parts) or 'none'}" for bar in bars)
    return _picture("Not reproduced, per cent of a list by cause", f"{told}.", bars)


def mean_seconds(figures: RoundFigures) -> float:
    """Seconds of wall time an artifact spends in all stages together."""
    return sum(each.total for each in figures.stages.values()) / max(figures.done, 1)


def _reproduced(figures: RoundFigures) -> int:
    return figures.verdicts.get(Verdict.REPRODUCED, 0)


def _spoken(rounds: Sequence[RoundFigures]) -> str:
    said = (
        f"{heading(each)}: {mean_seconds(each):.2f} seconds an artifact, {each.per_hour:,.0f} artifacts per hour"
        for each in rounds
    )
    return f"{'; '.join(said)}."


def _stage_bar(figures: RoundFigures) -> Bar:
    parts = []
    for stage, colour in COLOURS.items():
        if stage in figures.stages:
            seconds = figures.stages[stage].total / max(figures.done, 1)
            parts.append(Part(stage.value, colour, seconds, f"{stage.value}: {seconds:.3f} s"))
    return Bar(heading(figures), tuple(parts), (f"{mean_seconds(figures):.2f} s", f"{figures.per_hour:,.0f} an hour"))


def _picture(title: str, spoken: str, bars: Sequence[Bar]) -> str:
    """A picture that is complete in itself: its words are text, and ``spoken`` says the figures to be read aloud."""
    longest = max((sum(part.length for part in bar.parts) for bar in bars), default=0.0) or 1.0
    legend = list(_legend(bars))
    top = TOP + _LINE * (len(legend) - 1)
    height = top + len(bars) * (BAR + GAP) + 16
    return "".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"',
            ' font-family="system-ui, sans-serif" font-size="13" aria-labelledby="title">\n',
            f'<title id="title">{escape(spoken)}</title>\n',
            f'<rect width="{WIDTH}" height="{height}" fill="{_PAPER}"/>\n',
            f'<text x="16" y="24" fill="{_INK}" font-weight="600">{escape(title)}</text>\n',
            *legend,
            *(line for index, each in enumerate(bars) for line in _bar(each, top + index * (BAR + GAP), longest)),
            "</svg>\n",
        )
    )


def _legend(bars: Sequence[Bar]) -> Iterator[str]:
    """Its lines, each with as many names as there is room for."""
    line, x, y = "", 16.0, 38
    named = dict.fromkeys((part.name, part.colour) for bar in bars for part in bar.parts)
    for name, colour in sorted(named, key=lambda each: each == _OTHER):
        width = 38 + 7.0 * len(name)
        if x + width > WIDTH:
            yield line
            line, x, y = "", 16.0, y + _LINE
        line += f'<rect x="{x:.1f}" y="{y}" width="11" height="11" fill="{colour}"/>'
        line += f'<text x="{x + 16:.1f}" y="{y + 10}" fill="{_SOFT}">{escape(name)}</text>\n'
        x += width
    yield line


def _bar(bar: Bar, y: int, longest: float) -> Iterator[str]:
    scale = (WIDTH - LEFT - RIGHT) / longest
    middle = y + BAR / 2 + 5
    yield f'<text x="{LEFT - 10}" y="{middle}" fill="{_INK}" text-anchor="end">{escape(bar.name)}</text>\n'
    x = float(LEFT)
    for part in bar.parts:
        width = part.length * scale
        yield f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{part.colour}">'
        yield f"<title>{escape(part.told)}</title></rect>\n"
        x += width
    first, second = bar.notes
    yield f'<text x="{x + 8:.1f}" y="{middle}" fill="{_INK}">{escape(first)}</text>'
    yield f'<text x="{x + 8:.1f}" y="{middle + 14}" fill="{_SOFT}" font-size="11">{escape(second)}</text>\n'
