"""What the times in a published file say about the clock and the files of its build (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from rebuilder.ecosystems.pypi.build_inputs import SECONDS, UMASKS, BuildConditions
from rebuilder.ecosystems.pypi.file_times import epoch
from rebuilder.ecosystems.pypi.requirements import BuildSystem
from rebuilder.ecosystems.pypi.search import Candidate
from rebuilder.ecosystems.pypi.wheel_traces import Generator


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


def candidates(marks: Marks, source: str) -> list[Candidate]:
    """The two explanations for the times in a file, the one that fits first.

    Args:
        marks: What the file says.
        source: Whose times the files of the source tree have: ``source archive`` or ``commit``.
    """
    one_time, own = _one_time(marks), _own_times(marks, source)
    return [own, *one_time] if marks.uniform_time is None else [*one_time, own]


def epoch_candidate(marks: Marks, name: str, seconds: int, sentence: str, *, recorded: bool = True) -> Candidate:
    """SOURCE_DATE_EPOCH set to ``seconds``; a sentence says why. ``recorded``: read from the published file."""
    conditions = replace(_conditions(marks), source_date_epoch=seconds, epoch_is_recorded=recorded)
    return Candidate(name, sentence, conditions)


def untried(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The candidates in order, each time once."""
    found: dict[int | None, Candidate] = {}
    for each in candidates:
        found.setdefault(each.conditions.source_date_epoch, each)
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


def _one_time(marks: Marks) -> list[Candidate]:
    common = max(Counter(marks.times.values()).most_common(1), default=("", 0))[0]
    seconds = epoch(marks.uniform_time or common)
    if seconds is None or not 0 <= seconds < SECONDS:  # tar archives have any; what is told is of a closed set
        return []
    if marks.uniform_time is not None:
        shown = marks.uniform_time.replace("T", " ")
        sentence = (
            f"Every member of the published {marks.what} carries the time {shown}, as SOURCE_DATE_EPOCH leaves it."
        )
    else:
        shown = common.replace("T", " ")
        sentence = f"Second candidate: one time for all files, the most common one, {shown}."
    return [epoch_candidate(marks, "source-date-epoch", seconds, sentence)]


def _own_times(marks: Marks, source: str) -> Candidate:
    distinct = len(set(marks.times.values()))
    found = (
        f"The members of the published {marks.what} carry {distinct} different times, as files of a working tree do"
        if distinct > 1
        else f"The one time in the published {marks.what} may be that of the files"
    )
    return Candidate(
        f"{source.replace(' ', '-')}-times",
        f"{found}: source files keep the times of the {source}; SOURCE_DATE_EPOCH is not set.",
        _conditions(marks),
    )


def _conditions(marks: Marks) -> BuildConditions:
    umask = nearest(marks.generated_umask)
    return BuildConditions(
        source_umask=umask if marks.source_umask is None else nearest(marks.source_umask), umask=umask
    )


def nearest(umask: int | None) -> int:
    """The one of the two umasks that builds are given which leaves the group what this one leaves it."""
    usual, open_to_group = UMASKS
    return usual if umask is None or umask & 0o020 else open_to_group
