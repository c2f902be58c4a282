"""What was said before about this artifact, and about the other files of its project."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from rebuilder.model.report import Summary
from rebuilder.site.display import count
from rebuilder.site.rows import Row, artifact_key, by_version, current, newest_first, row

MOST_EARLIER = 50
MOST_OTHERS = 100


@dataclass(frozen=True, slots=True)
class HistorySection:
    """Earlier verifications, and a sentence for each thing that stands out."""

    worse: str | None
    """Set when this artifact was confirmed before and is not any more."""
    record: str | None
    """How the other files of the project fared, with the denominator."""
    earlier: tuple[Row, ...]
    others: tuple[Row, ...]
    hidden: int
    """Other files that are not listed for want of room."""


def history_section(this: Summary, history: Sequence[Summary], root: str) -> HistorySection:
    """Compute it; ``history`` may hold ``this`` and our own faults, which are no verdicts."""
    known = [each for each in history if each.verdict.publishable and _same_project(each, this)]
    same = [each for each in known if artifact_key(each) == artifact_key(this) and each.finished < this.finished]
    others = by_version(current([each for each in known if artifact_key(each) != artifact_key(this)]))
    earlier = newest_first(same)
    return HistorySection(
        worse=_worse(this, earlier),
        record=_record(others),
        earlier=tuple(row(each, root, linked=False, times=times) for each, times in _folded(earlier)[:MOST_EARLIER]),
        others=tuple(row(each, root) for each in others[:MOST_OTHERS]),
        hidden=max(0, len(others) - MOST_OTHERS),
    )


def _folded(earlier: Sequence[Summary]) -> list[tuple[Summary, int]]:
    """Each run of verifications that said the same, by its newest, and their number; a change is never folded away."""
    runs = (
        list(run) for _, run in itertools.groupby(earlier, key=lambda each: (each.verdict, each.kind, each.sentence))
    )
    return [(run[0], len(run)) for run in runs]


def _same_project(one: Summary, other: Summary) -> bool:
    return (one.ecosystem, one.name) == (other.ecosystem, other.name)


def _worse(this: Summary, earlier: Sequence[Summary]) -> str | None:
    if this.verdict.confirms:
        return None
    confirmed = next((each for each in earlier if each.verdict.confirms), None)
    if confirmed is None:
        return None
    return (
        f"This file was confirmed before, on {confirmed.finished:%Y-%m-%d} ({confirmed.verdict.value}), and is not now."
    )


def _record(others: Sequence[Summary]) -> str | None:
    if not others:
        return None
    good = sum(each.verdict.confirms for each in others)
    files = count(len(others), "other file", "other files")
    return f"Of {files} of this project that we verified, {good:,} came out reproduced or equivalent."
