"""What schedules say, as frozen values: watches, rechecks, when they run, and what is wrong with a file."""

from __future__ import annotations

from datetime import date
from enum import StrEnum

from rebuilder.ecosystems.registry import DEFAULT
from rebuilder.model.definition import Limits
from rebuilder.model.value import Value
from rebuilder.model.work import Check, Tier

NIGHTLY = "nightly-replays"
"""Name of the recheck that runs a few published reports again."""


class VersionRule(StrEnum):
    """How versions are chosen."""

    LATEST = "latest"
    """The version an installer would take."""
    ALL = "all"
    LISTED = "listed"
    """The versions that lock files name; of a project without one, the latest."""
    NEWEST = "newest"
    """The newest few."""
    SINCE = "since"
    """All that were uploaded on a day or after it."""


class Versions(Value):
    """Which versions of a project are wanted."""

    rule: VersionRule
    newest: int | None = None
    """How many, for :attr:`VersionRule.NEWEST`."""
    since: date | None = None
    """The first day (UTC), for :attr:`VersionRule.SINCE`."""

    @property
    def label(self) -> str:
        """A few words for a person."""
        match self.rule:
            case VersionRule.LATEST:
                return "the latest version"
            case VersionRule.ALL:
                return "all versions"
            case VersionRule.LISTED:
                return "the versions the lock files name"
            case VersionRule.NEWEST:
                return f"the newest {self.newest} versions"
            case VersionRule.SINCE:
                return f"versions since {self.since}"


class Timing(Value):
    """When something runs: every so many seconds, or by the calendar."""

    every: int | None = None
    """Seconds between two runs; None: by ``cron``."""
    cron: str | None = None
    """Five fields as crontab(5) has them; None: by ``every``."""
    jitter: int = 0
    """A run is put off by up to so many seconds, by chance; less than the time between two runs."""
    time_zone: str = "UTC"
    """Name in the IANA time zone database; what ``cron`` is meant in."""


class Watch(Value):
    """Projects whose releases are looked for and verified."""

    name: str
    """Unique over all files."""
    file: str
    """Name of the schedule file that says it."""
    ecosystem: str = DEFAULT
    packages: tuple[str, ...] = ()
    """Normalised names, in order, each once."""
    patterns: tuple[str, ...] = ()
    """Names with ``*`` (any characters) or ``?`` (one), to be matched against the index."""
    pins: dict[str, tuple[str, ...]] = {}
    """Project to the versions that lock files name."""
    versions: Versions = Versions(rule=VersionRule.LATEST)
    prereleases: bool = False
    timing: Timing
    priority: int = 0
    """-9 (sooner) to 9 (later)."""
    double_runs: bool = False
    """Whether each build is made by two runners of a fleet."""
    tier: Tier = Tier.FULL
    limits: Limits | None = None
    """What one build may use; None for the limits of the settings."""


class Recheck(Value):
    """What was verified before and is verified again."""

    name: str
    """Unique over all files, among the watches too."""
    file: str
    ecosystem: str | None = None
    """None: every ecosystem."""
    packages: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    """With ``packages`` empty too: everything that was verified before."""
    older_than: int
    """Seconds since it was verified last."""
    check: Check
    at_most: int
    """So many artifacts in one run, the oldest results first."""
    timing: Timing
    priority: int = 0
    double_runs: bool = False


class Schedule(Value):
    """Everything that one reading of all files gave."""

    watches: tuple[Watch, ...] = ()
    rechecks: tuple[Recheck, ...] = ()

    def with_replays(self, at_most: int) -> Schedule:
        """The same with a few reports that are run again each night, unless a recheck says so, or nothing is watched.

        Args:
            at_most: How many; 0: none.
        """
        if not at_most or not self.watches or any(each.check is Check.REPLAY for each in self.rechecks):
            return self
        if any(each.name == NIGHTLY for each in self.items):
            return self
        nightly = Recheck(
            name=NIGHTLY,
            file="the settings",
            older_than=7 * 86_400,
            check=Check.REPLAY,
            at_most=at_most,
            timing=Timing(cron="17 2 * * *", jitter=3600),
            priority=9,
        )
        return self.replace(rechecks=(*self.rechecks, nightly))

    @property
    def items(self) -> tuple[Watch | Recheck, ...]:
        """All of it; names are unique."""
        return (*self.watches, *self.rechecks)
