"""What the times in a published file say about the clock and the files of its build (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from rebuilder.ecosystems.pypi.build_recipe import Circumstances
from rebuilder.ecosystems.pypi.file_times import epoch
from rebuilder.ecosystems.pypi.requirements import BuildSystem
from rebuilder.ecosystems.pypi.trying import Guess
from rebuilder.ecosystems.pypi.wheel_traces import Generator
from rebuilder.model.definition import Input

DEFAULT_UMASK = 0o022


@dataclass(frozen=True)
class Marks:
    """What was read off one published file."""

    what: str
    """``wheel`` or ``source archive``, for sentences."""
    times: Mapping[str, str]
    """Time by member."""
    uniform_time: str | None
    """The one time all members carry, if they do."""
    source_umask: int | None
    """What files copied from the source were not given."""
    generated_umask: int | None
    """The same for the files the backend wrote."""


def guesses(marks: Marks, file_times: Input, restored: int) -> list[Guess]:
    """The two explanations for the times in a file, the one that fits first.

    Args:
        marks: What the file says.
        file_times: Document with the times to restore.
        restored: How many there are in it.
    """
    one_time, working_tree = _one_time(marks), _restored_times(marks, file_times, restored)
    return [working_tree, *one_time] if marks.uniform_time is None else [*one_time, working_tree]


def epoch_guess(marks: Marks, name: str, seconds: int, sentence: str) -> Guess:
    """SOURCE_DATE_EPOCH set to ``seconds``; a sentence says why."""
    return Guess(name, sentence, _circumstances(marks, source_date_epoch=seconds))


def untried(candidates: Iterable[Guess]) -> list[Guess]:
    """The guesses in order, each time once."""
    found: dict[int | Input | None, Guess] = {}
    for each in candidates:
        found.setdefault(each.circumstances.source_date_epoch or each.circumstances.file_times, each)
    return list(found.values())


def shown_time(seconds: int) -> str:
    """A time for a sentence."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"


def with_what(system: BuildSystem, generator: Generator | None, python: str, uploaded: datetime) -> str:
    """Which tools a build uses, as sentences; what was chosen of them has notes of its own."""
    packed = f"the wheel names {generator.name} {generator.version}" if generator else "the wheel names no build tool"
    return (
        f"Built with {system.backend.partition(':')[0]} ({packed}) on Python {python}, with nothing "
        f"newer than the upload on {uploaded:%Y-%m-%d %H:%M} UTC."
    )


def _one_time(marks: Marks) -> list[Guess]:
    common = max(Counter(marks.times.values()).most_common(1), default=("", 0))[0]
    seconds = epoch(marks.uniform_time or common)
    if seconds is None:
        return []
    if marks.uniform_time is not None:
        shown = marks.uniform_time.replace("T", " ")
        sentence = (
            f"Every member of the published {marks.what} carries the time {shown}, as SOURCE_DATE_EPOCH leaves it."
        )
    else:
        shown = common.replace("T", " ")
        sentence = f"Should there have been one time for everything after all: {shown} is the most common one."
    return [epoch_guess(marks, "source-date-epoch", seconds, sentence)]


def _restored_times(marks: Marks, file_times: Input, restored: int) -> Guess:
    distinct = len(set(marks.times.values()))
    found = (
        f"The members of the published {marks.what} carry {distinct} different times, as files of a working tree do"
        if distinct > 1
        else f"The one time in the published {marks.what} may be that of the files"
    )
    return Guess(
        "restored-times",
        f"{found}: {restored} source files get the time they have in the {marks.what}; SOURCE_DATE_EPOCH is not set.",
        _circumstances(marks, file_times=file_times),
    )


def _circumstances(
    marks: Marks, *, source_date_epoch: int | None = None, file_times: Input | None = None
) -> Circumstances:
    umask = DEFAULT_UMASK if marks.generated_umask is None else marks.generated_umask
    return Circumstances(
        source_date_epoch=source_date_epoch,
        file_times=file_times,
        source_umask=umask if marks.source_umask is None else marks.source_umask,
        umask=umask,
    )
