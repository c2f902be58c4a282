"""Every attempt in a row, and what the decisive one showed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rebuilder.model.attempt import Attempt, Outcome, Run
from rebuilder.model.comparison import Comparison, Difference, Diffoscope, Level, MemberChange
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.replayed import EXTENSIONS, MOST_BITS, Replayed, When, bits_before
from rebuilder.site.display import SHORT, count, visible
from rebuilder.site.marks import meaning

MOST_DIFFERENCES = 200
"""Members a page lists; report.json has all that were kept."""

_LEVELS = {
    Level.IDENTICAL: ("✓ Identical", "good"),
    Level.EQUIVALENT: ("≈ Equivalent", "near"),
    Level.DIFFERENT: ("≠ Different", "bad"),
}


_SIDES = re.compile(r" (?=(?:published|rebuilt) “)")


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One attempt in the list of attempts."""

    number: int
    attempt: Attempt
    level: str
    tone: str
    changes: tuple[str, ...]
    """How its definition differs from that of the first attempt at the same step."""
    base: int
    """Number of that first attempt."""
    decisive: bool


@dataclass(frozen=True, slots=True)
class ComparisonSection:
    """What comparing the decisive rebuild with the published file gave."""

    attempt: int
    heading: str
    identical: bool
    equivalent: bool
    summary: str
    renamed: str | None
    """Set when the build gave its file another name than the published one has."""
    problem: str | None
    normalisations: tuple[str, ...]
    differences: Sequence[Difference]
    total: str
    hidden: str | None
    """A sentence when not all differences are listed."""
    diffoscope: tuple[str, ...]
    """Sentences about the diffoscope run."""
    text: str | None
    """The diffoscope text, when it is small."""


def attempt_rows(attempts: Sequence[Attempt], decisive: int | None) -> tuple[AttemptRow, ...]:
    """One row per attempt, in the order they were made; none is left out."""
    first: dict[tuple[str, str], int] = {}
    for index, attempt in enumerate(attempts):
        first.setdefault(_step(attempt), index)
    return tuple(
        _row(index, attempt, first[_step(attempt)], attempts, decisive=index == decisive)
        for index, attempt in enumerate(attempts)
    )


def _step(attempt: Attempt) -> tuple[str, str]:
    source = attempt.hypothesis.definition.source
    return (attempt.hypothesis.target, source.kind.value if source else "")


def _row(index: int, attempt: Attempt, base: int, attempts: Sequence[Attempt], *, decisive: bool) -> AttemptRow:
    level, tone = _LEVELS[attempt.comparison.level] if attempt.comparison else ("– Nothing to compare", "mute")
    if attempt.finished_identical:
        level, tone = "✓ Identical with recorded values written", "good"
    changes = _changes(attempts[base].hypothesis.definition, attempt.hypothesis.definition)
    return AttemptRow(index + 1, attempt, level, tone, changes, base + 1, decisive)


def outcome_words(run: Run, *, left_a_file: bool) -> str:
    """How a run ended, in words."""
    if run.outcome is Outcome.TIMED_OUT:
        return f"Stopped at the limit on {run.limit or 'something'}"
    if run.outcome is Outcome.BUILD_FAILED:
        return "Ended its own sandbox" if run.exit_code is None else f"A command failed with exit code {run.exit_code}"
    return "Completed" if left_a_file else "Completed, but left no file"


def _changes(base: BuildDefinition, other: BuildDefinition) -> tuple[str, ...]:
    changes = []
    for name in sorted(base.environment.keys() | other.environment.keys()):
        before, after = base.environment.get(name), other.environment.get(name)
        if before != after:
            shown = "not set" if after is None else visible(after, SHORT)
            changes.append(f"{visible(name, SHORT)}: {shown}")
    known = {(each.path, each.sha256) for each in base.inputs}
    changes += [f"with {visible(each.name, SHORT)}" for each in other.inputs if (each.path, each.sha256) not in known]
    kept = {(each.path, each.sha256) for each in other.inputs}
    changes += [f"without {visible(each.name, SHORT)}" for each in base.inputs if (each.path, each.sha256) not in kept]
    for label, before, after in (
        ("toolchain", base.toolchain.name, other.toolchain.name),
        ("umask", base.umask, other.umask),
        ("sandbox", base.sandbox, other.sandbox),
        ("CPUs", str(base.cpu_count), str(other.cpu_count)),
        ("directory", base.directory, other.directory),
    ):
        if before != after:
            changes.append(f"{label}: {visible(after, SHORT)}")
    if base.commands != other.commands:
        changes.append("other commands")
    return tuple(changes[:12])


def comparison_section(attempt: Attempt, index: int, text: str | None) -> ComparisonSection | None:
    """What the comparison of attempt ``index`` showed; ``text`` is the diffoscope text as visible lines."""
    comparison = attempt.comparison
    if comparison is None:
        return None
    shown = comparison.differences[:MOST_DIFFERENCES]
    renamed = _renamed(attempt)
    total = max(comparison.differences_total, len(comparison.differences))
    return ComparisonSection(
        attempt=index + 1,
        heading="What was written into the archive" if attempt.finished_identical else "What differs",
        identical=comparison.level is Level.IDENTICAL,
        equivalent=comparison.level is Level.EQUIVALENT,
        summary=_WRITTEN if attempt.finished_identical else _summary(comparison, renamed=renamed is not None),
        renamed=renamed,
        problem=visible(comparison.problem) if comparison.problem else None,
        normalisations=comparison.normalisations,
        differences=shown,
        total=_total(total, comparison),
        hidden=None if len(shown) >= total else f"The first {len(shown):,} of {total:,} are listed.",
        diffoscope=_diffoscope(comparison.diffoscope) if comparison.diffoscope else (),
        text=text,
    )


def _total(total: int, comparison: Comparison) -> str:
    """The files themselves differ, or what the archive stores about them."""
    if comparison.level is Level.EQUIVALENT:
        return f"What the archives store about {count(total, 'file', 'files')} differs"
    return f"{count(total, 'file', 'files')} inside the archive {'differs' if total == 1 else 'differ'}"


def detail_parts(detail: str) -> list[str]:
    """It with each quoted side in a line of its own, so that two lines of a file stand one above the other."""
    return _SIDES.split(visible(detail))


def _renamed(attempt: Attempt) -> str | None:
    published, rebuilt = attempt.hypothesis.target, attempt.rebuilt
    if rebuilt is None or rebuilt.filename == published:
        return None
    return f"Published as {visible(published, SHORT)}, rebuilt as {visible(rebuilt.filename, SHORT)}."


_WRITTEN = (
    "The build gave every member with the published name, content, link target and executable bit. What is named here "
    "was read from the published file and written into the finished archive, where no code of the build runs; "
    "with it, every byte is the same:"
)


def _summary(comparison: Comparison, *, renamed: bool) -> str:
    if comparison.level is Level.IDENTICAL:
        return "The two files have the same SHA-256: every byte is the same."
    if comparison.level is Level.EQUIVALENT:
        return (
            "Every member has the same name, content, link target and executable bit. The archives around them "
            "differ only in the metadata named here, and are equal byte for byte once it is set aside:"
        )
    kept = comparison.differences_total <= len(comparison.differences) and not comparison.problem
    if renamed and kept and all(each.change is MemberChange.METADATA for each in comparison.differences):
        return "The rebuilt file has another name; nothing but archive metadata differs inside."
    return "The rebuilt file does not hold the same content as the published one."


def _diffoscope(run: Diffoscope) -> tuple[str, ...]:
    said = []
    if run.problem:
        said.append(visible(run.problem))
    if run.missing_tools:
        tools = ", ".join(visible(each, SHORT) for each in run.missing_tools[:20])
        said.append(f"It would have shown more with these helper programs: {tools}.")
    return tuple(said)


@dataclass(frozen=True, slots=True)
class ReplayedSection:
    """All values the attempt was given, before the build and after it."""

    before: Sequence[Replayed]
    bits: str
    after: Sequence[Replayed]
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
    EXTENSIONS: "what the source's own build script reads, and leaves compiled extensions out for",
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
        before=[each for each in values if each.when is When.BEFORE_BUILD],
        bits=f"{bits_before(values)} of at most {MOST_BITS} bits",
        after=[each for each in values if each.when is When.FINISHED_ARCHIVE],
        finished=finished,
        problem=visible(attempt.finishing_problem) if attempt.finishing_problem else _unlike(attempt),
    )


def _unlike(attempt: Attempt) -> str | None:
    if attempt.finishing is None or attempt.finished_identical:
        return None
    return "The recorded values were written into the finished archive, and still it is not the published file."


def replayed_meaning(value: Replayed) -> str:
    """What a value is."""
    return meaning(value.name) if value.when is When.FINISHED_ARCHIVE else _MEANINGS.get(value.name, "")
