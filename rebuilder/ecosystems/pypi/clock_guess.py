"""The clock that the files a build wrote in the published wheel were written by.

Without SOURCE_DATE_EPOCH, what a backend writes gets the time of day. When that is all that differs, the same build
is made again where the clock shows the recorded time. Mostly all these files carry one time, since ZIP keeps times in
steps of two seconds. The clock stands still while the build works. Where its files carry several times, the build
waits before it touches a file, and the clock goes, until the time has come that the file carries. Either way it does
not matter how fast this machine is.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from rebuilder.ecosystems.pypi.build_environment import parameters
from rebuilder.ecosystems.pypi.build_recipe import CLOCK_SANDBOX, PACE, build_definition
from rebuilder.ecosystems.pypi.file_times import parse_time
from rebuilder.ecosystems.pypi.listing import inspect
from rebuilder.ecosystems.pypi.trying import Reached
from rebuilder.ecosystems.pypi.workshop import Workshop
from rebuilder.model.attempt import Attempt, Hypothesis
from rebuilder.model.comparison import Comparison, Level
from rebuilder.model.definition import Input, Role
from rebuilder.model.inspection import MemberKind

LONGEST = timedelta(seconds=120)
"""A build whose files are further apart is not waited for."""

_INTO = timedelta(seconds=0.25)
"""How far into the two seconds that ZIP cannot tell apart a file is written."""

Written = Mapping[str, datetime]
"""Time by member, of those the build wrote, in the order of the archive."""


def by_the_clock(
    workshop: Workshop, published: Mapping[str, str], reached: Reached
) -> Generator[Hypothesis, Attempt, None]:
    """Yield the same build with the recorded clock, if nothing but times of files that it writes is left.

    Args:
        workshop: What to look at the attempt with.
        published: Time by member of the published wheel, in the order of the archive.
        reached: An attempt whose content is confirmed.
    """
    guess = reached.guess
    if CLOCK_SANDBOX not in workshop.sandboxes or guess.circumstances.source_date_epoch is not None:
        return
    if not only_times_differ(reached.attempt.comparison):
        return
    rebuilt = _listed_times(workshop, reached.attempt)
    written = {
        name: moment
        for name, text in published.items()
        if rebuilt.get(name) not in {None, text} and (moment := parse_time(text)) is not None
    }
    if not written or max(written.values()) - min(written.values()) > LONGEST:
        return
    circumstances = replace(guess.circumstances, clock=min(written.values()) + _INTO)
    if len(set(written.values())) > 1:
        plan = parameters(workshop, PACE, json.dumps(pace(written, list(published)), indent=0).encode())
        circumstances = replace(circumstances, pace=plan)
    yield Hypothesis(
        name="wall-clock",
        sentence=f"{_sentence(written)} {guess.sentence} {reached.about}",
        definition=build_definition(reached.bench, circumstances),
    )


def only_times_differ(comparison: Comparison | None) -> bool:
    """Whether nothing but times in the archive keeps two wheels from being the same bytes."""
    return (
        comparison is not None
        and comparison.level is Level.EQUIVALENT
        and set(comparison.normalisations) == {"zip-times"}
    )


def pace(written: Written, order: list[str]) -> dict[str, dict[str, float]]:
    """When files may be touched, as :mod:`rebuilder.guest.pace` reads it.

    Args:
        written: What the build writes.
        order: All members. RECORD takes its time when it is packed, right after the member before it was read.
    """
    write = {name.rpartition("/")[2]: (moment + _INTO).timestamp() for name, moment in written.items()}
    read = {}
    for name, moment in written.items():
        before = order[order.index(name) - 1]
        if name.endswith(".dist-info/RECORD") and before.rpartition("/")[0] == name.rpartition("/")[0]:
            read[before.rpartition("/")[2]] = (moment + _INTO).timestamp()
    return {"write": write, "read": read}


def _listed_times(workshop: Workshop, attempt: Attempt) -> dict[str, str]:
    rebuilt = attempt.rebuilt
    if rebuilt is None:
        return {}
    file = Input(role=Role.PARAMETERS, name=rebuilt.filename, sha256=rebuilt.sha256, path="/inputs/rebuilt.whl")
    [listing] = inspect(workshop, [file], texts=())
    return {member.name: member.mtime for member in listing.members if member.kind is MemberKind.FILE}


def _sentence(written: Written) -> str:
    first, last = (f"{each(written.values()):%Y-%m-%d %H:%M:%S}" for each in (min, max))
    if first == last:
        span, how = first, "the clock of the sandbox stands there while the build works"
    else:
        span, how = f"{first} to {last[11:]}", "the build waits before each until the clock of the sandbox shows it"
    return (
        f"Only the times of {len(written)} files that the build writes are left, which carry the time of day, {span}: "
        f"{how}; SOURCE_DATE_EPOCH is not set."
    )
