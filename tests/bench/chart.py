"""Where the time of an artifact goes: one stacked bar a round, as an SVG picture (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from rebuilder.model.report import Stage
from tests.bench.list_figures import RoundFigures
from tests.bench.list_table import heading

WIDTH, BAR, GAP, LEFT, RIGHT, TOP = 760, 34, 22, 120, 130, 64
_LEGEND = 22
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


def chart(rounds: Sequence[RoundFigures]) -> str:
    """The picture, complete in itself: mean seconds an artifact spends in each stage.

    Its words are text and its title says the figures, so that it can be read aloud.
    """
    longest = max((mean_seconds(each) for each in rounds), default=0.0) or 1.0
    height = TOP + len(rounds) * (BAR + GAP) + 16
    return "".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"',
            ' font-family="system-ui, sans-serif" font-size="13" aria-labelledby="title">\n',
            f'<title id="title">{escape(_spoken(rounds))}</title>\n',
            f'<rect width="{WIDTH}" height="{height}" fill="{_PAPER}"/>\n',
            f'<text x="16" y="24" fill="{_INK}" font-weight="600">Seconds per artifact by stage, mean</text>\n',
            *_legend(rounds),
            *(line for index, each in enumerate(rounds) for line in _bar(each, TOP + index * (BAR + GAP), longest)),
            "</svg>\n",
        )
    )


def mean_seconds(figures: RoundFigures) -> float:
    """Seconds of wall time an artifact spends in all stages together."""
    return sum(each.total for each in figures.stages.values()) / max(figures.done, 1)


def _spoken(rounds: Sequence[RoundFigures]) -> str:
    said = (
        f"{heading(each)}: {mean_seconds(each):.2f} seconds an artifact, {each.per_hour:,.0f} artifacts per hour"
        for each in rounds
    )
    return f"{'; '.join(said)}."


def _legend(rounds: Sequence[RoundFigures]) -> Iterator[str]:
    x = 16.0
    for stage in _drawn(rounds):
        yield f'<rect x="{x:.1f}" y="38" width="11" height="11" fill="{COLOURS[stage]}"/>'
        yield f'<text x="{x + 16:.1f}" y="48" fill="{_SOFT}">{stage.value}</text>\n'
        x += _LEGEND + 16 + 7.0 * len(stage.value)


def _drawn(rounds: Sequence[RoundFigures]) -> list[Stage]:
    return [stage for stage in COLOURS if any(stage in each.stages for each in rounds)]


def _bar(figures: RoundFigures, y: int, longest: float) -> Iterator[str]:
    scale = (WIDTH - LEFT - RIGHT) / longest
    middle = y + BAR / 2 + 5
    yield f'<text x="{LEFT - 10}" y="{middle}" fill="{_INK}" text-anchor="end">{escape(heading(figures))}</text>\n'
    x = float(LEFT)
    for stage in _drawn([figures]):
        seconds = figures.stages[stage].total / max(figures.done, 1)
        width = seconds * scale
        yield f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{COLOURS[stage]}">'
        yield f"<title>{stage.value}: {seconds:.3f} s</title></rect>\n"
        x += width
    yield f'<text x="{x + 8:.1f}" y="{middle}" fill="{_INK}">{mean_seconds(figures):.2f} s</text>'
    rate = f"{figures.per_hour:,.0f} an hour"
    yield f'<text x="{x + 8:.1f}" y="{middle + 14}" fill="{_SOFT}" font-size="11">{rate}</text>\n'
