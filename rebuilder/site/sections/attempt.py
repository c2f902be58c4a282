"""Every attempt in a row, and what the decisive one showed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rebuilder.model.attempt import Attempt, Outcome, Run
from rebuilder.model.comparison import Comparison, Diffoscope, Level, MemberChange
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.replayed import EXTENSIONS, MOST_BITS, Replayed, When, bits_before
from rebuilder.site.display import LONG, SHORT, Digest, Moment, count, digest, duration, memory, moment, visible
from rebuilder.site.marks import meaning, step_words

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
    """One attempt in the table of attempts."""

    number: int
    step: str
    """From what to what, such as ``Commit → wheel``."""
    target: str
    """File name of what it was to give."""
    name: str
    sentence: str
    changes: tuple[str, ...]
    """How its definition differs from that of the first attempt at the same step."""
    base: int
    """Number of that first attempt."""
    outcome: str
    level: str
    tone: str
    digest: Digest | None
    seconds: str
    memory: str
    started: Moment
    log_href: str
    definition_href: str
    decisive: bool


@dataclass(frozen=True, slots=True)
class NamedRow:
    """A name with what it means."""

    name: str
    meaning: str


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    """One member that differs."""

    member: str
    change: str
    detail: str
    parts: tuple[str, ...]
    """The detail with each quoted side in a line of its own, so that two lines of a file stand one above the other."""


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
    normalisations: tuple[NamedRow, ...]
    differences: tuple[DifferenceRow, ...]
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
    definition = attempt.hypothesis.definition
    level, tone = _LEVELS[attempt.comparison.level] if attempt.comparison else ("– Nothing to compare", "mute")
    if attempt.finished_identical:
        level, tone = "✓ Identical with recorded values written", "good"
    sentence = attempt.hypothesis.sentence
    if attempt.repeat:
        sentence = f"The same build once more, to see whether it gives the same file twice. {sentence}"
    return AttemptRow(
        number=index + 1,
        step=step_words(attempt.hypothesis),
        target=visible(attempt.hypothesis.target, SHORT),
        name=visible(attempt.hypothesis.name, SHORT),
        sentence=visible(sentence, LONG),
        changes=_changes(attempts[base].hypothesis.definition, definition),
        base=base + 1,
        outcome=outcome_words(attempt.run, left_a_file=attempt.rebuilt is not None),
        level=level,
        tone=tone,
        digest=digest(attempt.rebuilt.sha256) if attempt.rebuilt else None,
        seconds=duration(attempt.run.wall_seconds),
        memory=memory(attempt.run.peak_memory_bytes),
        started=moment(attempt.run.started),
        log_href=f"log-{index + 1}.txt",
        definition_href=f"definition-{index + 1}.json",
        decisive=decisive,
    )


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
        normalisations=tuple(NamedRow(visible(name, SHORT), meaning(name)) for name in comparison.normalisations),
        differences=tuple(
            DifferenceRow(visible(each.member, 200), each.change.words, visible(each.detail), _parts(each.detail))
            for each in shown
        ),
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


def _parts(detail: str) -> tuple[str, ...]:
    return tuple(_SIDES.split(visible(detail)))


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
        before=tuple(_replayed_row(each) for each in values if each.when is When.BEFORE_BUILD),
        bits=f"{bits_before(values)} of at most {MOST_BITS} bits",
        after=tuple(_replayed_row(each) for each in values if each.when is When.FINISHED_ARCHIVE),
        finished=finished,
        problem=visible(attempt.finishing_problem) if attempt.finishing_problem else _unlike(attempt),
    )


def _unlike(attempt: Attempt) -> str | None:
    if attempt.finishing is None or attempt.finished_identical:
        return None
    return "The recorded values were written into the finished archive, and still it is not the published file."


def _replayed_row(value: Replayed) -> ReplayedRow:
    after = value.when is When.FINISHED_ARCHIVE
    shown = value.value if value.value is not None else f"sha256 {(value.sha256 or '')[:16]}…"
    return ReplayedRow(
        name=visible(value.name, SHORT),
        value=visible(shown, SHORT),
        meaning=meaning(value.name) if after else _MEANINGS.get(value.name, ""),
        extent=f"{value.bits // 8:,} bytes" if after else count(value.bits, "bit", "bits"),
    )
