"""The clock that the files a build wrote in the published wheel were written by.

Without SOURCE_DATE_EPOCH, what a backend writes gets the time of day. When that is all that differs, the same build
is made again where the clock shows the recorded time. Mostly all these files carry one time: ZIP keeps times in steps
of two seconds. Then the clock stands still there, so that it does not matter how long a build takes on this machine.
Where they carry several, the clock goes on, and the attempt before shows how long after the beginning each is written.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from rebuilder.ecosystems.pypi.build_recipe import CLOCK_SANDBOX, build_definition
from rebuilder.ecosystems.pypi.file_times import parse_time
from rebuilder.ecosystems.pypi.listing import inspect
from rebuilder.ecosystems.pypi.trying import Reached
from rebuilder.ecosystems.pypi.workshop import Workshop
from rebuilder.model.attempt import Attempt, Hypothesis
from rebuilder.model.comparison import Comparison, Level
from rebuilder.model.definition import Input, Role
from rebuilder.model.inspection import MemberKind

MOST_TRIES = 5
STEP = 2.0
"""Seconds between two times that ZIP can tell apart."""
_GRID = 0.1
_BEFORE = 30.0
"""Seconds before the earliest file within which the build may have begun."""
_UNSEEN = (0.8, 2.4)
"""How long after the beginning a file is written, in seconds, before anything was seen of it."""

Written = Mapping[str, datetime]
"""Time by member, of those the build wrote."""


@dataclass(frozen=True)
class Delays:
    """Between how many seconds after the beginning of the build each file was written."""

    bounds: Mapping[str, tuple[float, float]]

    @classmethod
    def unseen(cls, written: Written) -> Delays:
        """Before anything was seen."""
        return cls(dict.fromkeys(written, _UNSEEN))

    def seen(self, begun: datetime, written: Written, *, first: bool) -> Delays:
        """What one more build shows; where it contradicts what was seen before, it alone counts."""
        bounds = {}
        for name, (low, high) in self.bounds.items():
            delay = (written[name] - begun).total_seconds() if name in written else low
            found = (delay, delay + STEP)
            both = (max(low, found[0]), min(high, found[1]))
            bounds[name] = found if first or both[0] >= both[1] else both
        return Delays(bounds)

    def begin(self, wanted: Written) -> datetime:
        """When a build should begin so that its files are likeliest written at the wanted times."""
        earliest = min(wanted.values())
        offsets = [-_BEFORE + _GRID * number for number in range(int((_BEFORE + STEP) / _GRID) + 1)]
        scores = [self._score(earliest, offset, wanted) for offset in offsets]
        best = max(scores)
        fitting = [offset for offset, score in zip(offsets, scores, strict=True) if score > best - 1e-6]
        return earliest + timedelta(seconds=round(fitting[len(fitting) // 2], 3))

    def _score(self, earliest: datetime, offset: float, wanted: Written) -> float:
        """Logarithm of how likely all files get their times, given equally likely delays between the bounds.

        Files of one time are written together: they count once.
        """
        total = 0.0
        together = {(wanted[name], bounds): name for name, bounds in self.bounds.items()}
        for name in together.values():
            low, high = self.bounds[name]
            start = (wanted[name] - earliest).total_seconds() - offset
            overlap = min(high, start + STEP) - max(low, start)
            total += math.log(max(overlap / (high - low), 1e-4))
        return total


def by_the_clock(
    workshop: Workshop, published: Mapping[str, str], reached: Reached
) -> Generator[Hypothesis, Attempt, None]:
    """Yield the same build with other clocks, until every byte is equal or nothing more can be learned.

    Args:
        workshop: What to look at attempts with.
        published: Time by member of the published wheel.
        reached: An attempt whose content is confirmed.
    """
    guess, attempt = reached.guess, reached.attempt
    if CLOCK_SANDBOX not in workshop.sandboxes or guess.circumstances.source_date_epoch is not None:
        return
    if not only_times_differ(attempt.comparison):
        return
    times = _listed_times(workshop, attempt)
    wanted = {
        name: moment
        for name, text in published.items()
        if times.get(name) not in {None, text} and (moment := parse_time(text)) is not None
    }
    if not wanted:
        return
    stands = len(set(wanted.values())) == 1
    delays = Delays.unseen(wanted)
    for number in range(1 if stands else MOST_TRIES):
        begin = min(wanted.values()) + timedelta(seconds=STEP / 4) if stands else delays.begin(wanted)
        attempt = yield Hypothesis(
            name="wall-clock" if number == 0 else f"wall-clock-{number + 1}",
            sentence=f"{_sentence(wanted, begin, number, stands=stands)} {guess.sentence} {reached.about}",
            definition=build_definition(reached.bench, replace(guess.circumstances, clock=begin, clock_stands=stands)),
        )
        if not only_times_differ(attempt.comparison):
            return
        written = {
            name: moment
            for name, text in _listed_times(workshop, attempt).items()
            if name in wanted and (moment := parse_time(text)) is not None
        }
        delays = delays.seen(begin, written, first=number == 0)


def only_times_differ(comparison: Comparison | None) -> bool:
    """Whether nothing but times in the archive keeps two wheels from being the same bytes."""
    return (
        comparison is not None
        and comparison.level is Level.EQUIVALENT
        and set(comparison.normalisations) == {"zip-times"}
    )


def _listed_times(workshop: Workshop, attempt: Attempt) -> dict[str, str]:
    rebuilt = attempt.rebuilt
    if rebuilt is None:
        return {}
    file = Input(role=Role.PARAMETERS, name=rebuilt.filename, sha256=rebuilt.sha256, path="/inputs/rebuilt.whl")
    [listing] = inspect(workshop, [file], texts=())
    return {member.name: member.mtime for member in listing.members if member.kind is MemberKind.FILE}


def _sentence(wanted: Written, begin: datetime, number: int, *, stands: bool) -> str:
    first, last = (f"{each(wanted.values()):%Y-%m-%d %H:%M:%S}" for each in (min, max))
    span = first if first == last else f"{first} to {last[11:]}"
    shown = f"{begin.astimezone(UTC):%H:%M:%S.%f}"[:-5]
    how = (
        f"the clock of the sandbox stands at {shown} during the build"
        if stands
        else f"the build begins when the clock of the sandbox shows {shown}"
        + ("" if number == 0 else " (moved by what the attempt before showed)")
    )
    return (
        f"Only the times of {len(wanted)} files that the build writes are left, which carry the time of day, {span}: "
        f"{how}; SOURCE_DATE_EPOCH is not set."
    )
