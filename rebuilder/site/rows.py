"""One verification as a row of a table, which rows stand today, and the history of a file and of its project."""

from __future__ import annotations

import itertools
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rebuilder.ecosystems.registry import conventions
from rebuilder.model.report import Summary
from rebuilder.model.verdict import Verdict
from rebuilder.site.display import count, page_href
from rebuilder.site.kinds import CAUSES
from rebuilder.site.marks import REVOKED, Mark, mark


@dataclass(frozen=True, slots=True)
class Row:
    """One verification in a list."""

    summary: Summary
    mark: Mark
    sentence: str
    """The diagnosed cause where there is one; else what the verdict says."""
    cause_href: str | None
    """Of the list of its cause."""
    href: str | None
    """The artifact's page; None when that page shows a later verification, or is the present page."""
    times: str | None = None
    """Set when the row stands for several verifications that said the same: ``5 times, last``."""


def row(summary: Summary, root: str, *, linked: bool = True, times: int = 1, listed: bool = False) -> Row:
    """The row of ``summary``, the last of ``times``, on a page from which ``root`` leads to the site's root."""
    cause = CAUSES.key(summary)
    unsigned = summary.verdict is Verdict.UNAUTHENTICATED  # its page lists by digest what nobody signed
    sentence = CAUSES.label(cause) if cause is not None else summary.verdict.spoken if unsigned else summary.sentence
    return Row(
        summary,
        mark=mark(summary.verdict, summary.kind) if summary.doubt is None else REVOKED,
        sentence=sentence if summary.doubt is None else summary.doubt,
        cause_href=f"{root}{CAUSES.path(cause)}" if cause is not None and listed else None,
        href=page_href(root, summary) if linked else None,
        times=f"{times:,} times, last" if times > 1 else None,
    )


_LETTERS = frozenset(string.ascii_lowercase)


def prefix_of(name: str, length: int) -> str:
    """How a project's name begins, for the names of pages: letters, and ``0`` for all that is none."""
    padded = name[:length].lower().ljust(length)
    return "".join(each if each in _LETTERS else "0" for each in padded[:length])


def artifact_key(summary: Summary) -> tuple[str, ...]:
    """What makes two verifications concern the same bytes under the same name."""
    return (summary.ecosystem, summary.name, summary.version, summary.filename, summary.sha256)


def newest_first(summaries: Iterable[Summary]) -> list[Summary]:
    """By time, newest first; equal times by name, so that equal input gives equal pages."""
    by_name = sorted(summaries, key=artifact_key)
    return sorted(by_name, key=lambda each: each.finished, reverse=True)


def current(summaries: Sequence[Summary]) -> list[Summary]:
    """The newest verification of each artifact, newest first; our own faults are no verdicts and are left out."""
    seen: dict[tuple[str, ...], Summary] = {}
    for each in newest_first(each for each in summaries if each.verdict.publishable):
        seen.setdefault(artifact_key(each), each)
    return list(seen.values())


def by_version(summaries: Iterable[Summary]) -> list[Summary]:
    """Newest version of a project first, by the rules of its ecosystem, then by file name."""
    ordered = sorted(summaries, key=lambda each: (each.filename, each.sha256))
    grouped = itertools.groupby(sorted(ordered, key=lambda each: each.version), key=lambda each: each.version)
    groups = [(version, list(group)) for version, group in grouped]
    groups.sort(key=lambda pair: conventions(pair[1][0].ecosystem).version_key(pair[0]), reverse=True)
    return [each for _, group in groups for each in group]


MOST_EARLIER = 10
MOST_OTHERS = 5
"""Their own page has all."""


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
