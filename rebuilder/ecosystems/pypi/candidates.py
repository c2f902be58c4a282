"""What the times in a published file say about the clock and the files of its build (pure).

A clock is set where something depends on it. Content may: a generated file with a date in it. Then the build is made
again where the clock shows that time. The times that a wheel keeps of the files a build wrote depend on the clock too,
but need no build: they are written into the finished archive. With the setting ``clock = "kernel"`` a clock is set for
those as well, as long as they are one time: the clock is one scalar, and stands still while the build works, however
slow this machine is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from rebuilder.ecosystems.inspection import inspect
from rebuilder.ecosystems.pypi.build_inputs import (
    CLOCK_SANDBOX,
    SECONDS,
    UMASKS,
    BuildConditions,
    build_definition,
    replayed,
)
from rebuilder.ecosystems.pypi.context import PlanningContext
from rebuilder.ecosystems.pypi.requirements import BuildSystem
from rebuilder.ecosystems.pypi.search import Candidate, Reached
from rebuilder.ecosystems.pypi.wheel_traces import Generator, epoch, parse_time
from rebuilder.model.attempt import Attempt, History, Hypothesis
from rebuilder.model.comparison import Comparison, Difference, Level, MemberChange
from rebuilder.model.definition import Input, Role
from rebuilder.model.evidence import Evidence, MemberKind


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


_INTO = timedelta(seconds=0.25)
"""How far into the two seconds that ZIP cannot tell apart a file is written."""
_NEAR = timedelta(days=2)
"""How far a time in a text may be from the time the archive keeps: time zones, and a build over midnight."""
_DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)[-/.]?(0[1-9]|1[0-2])[-/.]?(0[1-9]|[12]\d|3[01])(?!\d)")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAMED_DATE = re.compile(
    rf"\b({'|'.join(_MONTHS)})[a-z]*\.? +(\d\d?)(?:,? +| +\d\d:\d\d:\d\d +)((?:19|20)\d\d)\b"
    rf"|\b(\d\d?)[ -]({'|'.join(_MONTHS)})[a-z]*\.?[ -]((?:19|20)\d\d)\b",
    re.IGNORECASE,
)
_TIME = re.compile(r"(?<!\d)([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?(?!\d)")
_SECONDS = re.compile(r"(?<![\d.])(1\d{9})(?=\.\d|\D|$)")
_RECORD = ".dist-info/RECORD"


def by_the_clock(
    context: PlanningContext, evidence: Evidence, published: Mapping[str, str], history: History, reached: Reached
) -> None:
    """Try the same build with the recorded clock, if what is left depends on a clock."""
    comparison = reached.attempt.comparison
    if CLOCK_SANDBOX not in context.sandboxes or reached.candidate.conditions.source_date_epoch is not None:
        return
    if comparison is None or comparison.level is Level.IDENTICAL:
        return
    if comparison.level is Level.DIFFERENT:
        moment, why = time_in_content(comparison, published), "A time is all that differs in what the build generates"
    else:
        moment, why = None, "Only the times of files that the build writes are left, and they are one"
        if context.clock == "kernel" and only_times_differ(comparison):
            moment = one_time(published, _listed_times(context, evidence, reached.attempt))
    if moment is None:
        return
    conditions = replace(reached.candidate.conditions, clock=moment)
    history.of(
        Hypothesis(
            name="wall-clock",
            sentence=(
                f"{why}, {moment:%Y-%m-%d %H:%M:%S}: the clock of the sandbox stands there while the build works. "
                f"{reached.candidate.sentence} {reached.about}"
            ),
            definition=build_definition(reached.build_inputs, conditions),
            replayed=replayed(reached.build_inputs, conditions),
        )
    )


def only_times_differ(comparison: Comparison | None) -> bool:
    """Whether nothing but times in the archive keeps two wheels from being the same bytes."""
    return (
        comparison is not None
        and comparison.level is Level.EQUIVALENT
        and set(comparison.normalisations) == {"zip-times"}
    )


def one_time(published: Mapping[str, str], rebuilt: Mapping[str, str]) -> datetime | None:
    """The one time of all members that have another one in the rebuilt wheel; None when they have several."""
    times = {text for name, text in published.items() if rebuilt.get(name) not in {None, text}}
    moment = parse_time(times.pop()) if len(times) == 1 else None
    return moment + _INTO if moment is not None else None


def time_in_content(comparison: Comparison, published: Mapping[str, str]) -> datetime | None:
    """The time that a generated text has where the rebuilt one has another; None when more than times differ."""
    found: list[datetime] = []
    for each in comparison.differences:
        if each.member.endswith(_RECORD) or each.change is MemberChange.METADATA:
            continue
        recorded = parse_time(published.get(each.member, ""))
        moment = _time_that_differs(each, recorded) if recorded is not None else None
        if moment is None:
            return None
        found.append(moment)
    return min(found) if found and comparison.differences_total == len(comparison.differences) else None


def _time_that_differs(difference: Difference, recorded: datetime) -> datetime | None:
    """What the clock showed, if both sides are the same text but for a time near the recorded one."""
    content = difference.content
    if content is None or not content.text or not content.complete or len(content.published) != len(content.rebuilt):
        return None
    if [_masked(line) for line in content.published] != [_masked(line) for line in content.rebuilt]:
        return None
    for line in content.published:
        moment = moment_in(line, recorded)
        if moment is not None and abs(moment - recorded) <= _NEAR:
            return moment
    return None


def _masked(line: str) -> str:
    """A line without dates, times and numbers that belong to them."""
    for pattern in (_NAMED_DATE, _DATE, _SECONDS, _TIME):
        line = pattern.sub("#", line)
    return re.sub(r"\b(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\b|\.\d{1,9}", "", line, flags=re.IGNORECASE)


def moment_in(line: str, recorded: datetime) -> datetime | None:
    """The time a line has; what it does not say is taken from the recorded one."""
    seconds = _SECONDS.search(line)
    if seconds is not None:
        return datetime.fromtimestamp(int(seconds[1]), UTC)
    date, named, time = _DATE.search(line), _NAMED_DATE.search(line), _TIME.search(line)
    if date is not None:
        year, month, day = (int(each) for each in date.groups())
    elif named is not None:
        first, second, third, fourth, fifth, sixth = named.groups()
        year, day = int(third or sixth), int(second or fourth)
        month = _MONTHS.index((first or fifth).lower()[:3]) + 1
    elif time is not None:
        year, month, day = recorded.year, recorded.month, recorded.day
    else:
        return None
    hour, minute, second_of = recorded.hour, recorded.minute, recorded.second
    if time is not None:
        hour, minute, second_of = int(time[1]), int(time[2]), int(time[3] or 0)
    try:
        return datetime(year, month, day, hour, minute, second_of, tzinfo=UTC) + _INTO
    except ValueError:
        return None


def _listed_times(context: PlanningContext, evidence: Evidence, attempt: Attempt) -> dict[str, str]:
    rebuilt = attempt.rebuilt
    if rebuilt is None:
        return {}
    file = Input(role=Role.PARAMETERS, name=rebuilt.filename, sha256=rebuilt.sha256, path="/inputs/rebuilt.whl")
    [listing] = context.notebook.once(evidence, ("times", rebuilt.sha256), lambda: inspect(context, [file], texts=()))
    return {member.name: member.mtime for member in listing.members if member.kind is MemberKind.FILE}
