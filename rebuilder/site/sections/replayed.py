"""What of the published file was used to make the same bytes, in words."""

from __future__ import annotations

from dataclasses import dataclass

from rebuilder.model.attempt import MOST_BITS, Attempt, Replayed, When, bits_before
from rebuilder.site.display import SHORT, count, visible
from rebuilder.site.marks import meaning


@dataclass(frozen=True, slots=True)
class ReplayedRow:
    """One value."""

    name: str
    value: str
    meaning: str
    extent: str
    """How much it can say."""


@dataclass(frozen=True, slots=True)
class ReplayedSection:
    """All values the attempt was given, before the build and after it."""

    before: tuple[ReplayedRow, ...]
    bits: str
    after: tuple[ReplayedRow, ...]
    finished: str | None
    """SHA-256 of the finished archive; None when nothing was written."""
    problem: str | None
    """Why nothing was written where something was left, as a sentence."""


_MEANINGS = {
    "source-date-epoch": "the time that tools are told to use",
    "clock": "what the clock shows while the build works",
    "umask": "of the source files, and of the build",
    "interpreter": "the Python of the build environment",
    "tool-version": "a tool that the published file holds to a version or a range",
    "setup-options": "options that the tags and the file name show",
    "windows": "packed on Windows, and which texts have its line ends",
    "search": "which of the definitions that were tried came out",
}


def replayed_section(attempt: Attempt) -> ReplayedSection | None:
    """What was used for an attempt; None where nothing was, and in reports from before it was listed."""
    values = attempt.replayed
    if not values and attempt.finishing_problem is None:
        return None
    done = attempt.finishing
    finished = done.finished.sha256 if done is not None and done.finished and attempt.finished_identical else None
    return ReplayedSection(
        before=tuple(_row(each) for each in values if each.when is When.BEFORE_BUILD),
        bits=f"{bits_before(values)} of at most {MOST_BITS} bits",
        after=tuple(_row(each) for each in values if each.when is When.FINISHED_ARCHIVE),
        finished=finished,
        problem=visible(attempt.finishing_problem) if attempt.finishing_problem else _unlike(attempt),
    )


def _unlike(attempt: Attempt) -> str | None:
    if attempt.finishing is None or attempt.finished_identical:
        return None
    return "The recorded values were written into the finished archive, and still it is not the published file."


def _row(value: Replayed) -> ReplayedRow:
    after = value.when is When.FINISHED_ARCHIVE
    shown = value.value if value.value is not None else f"sha256 {(value.sha256 or '')[:16]}…"
    return ReplayedRow(
        name=visible(value.name, SHORT),
        value=visible(shown, SHORT),
        meaning=meaning(value.name) if after else _MEANINGS.get(value.name, ""),
        extent=f"{value.bits // 8:,} bytes" if after else count(value.bits, "bit", "bits"),
    )
