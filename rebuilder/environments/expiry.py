"""Whether a signed state of the archive may be used after the date it is valid until.

Such a date (``Valid-Until``) keeps a mirror from showing an old state for ever. Mirrors that are no longer updated and
releases that are in an archive have passed theirs; using them is for somebody to decide, and for a report to show.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from rebuilder.model.environment import Release

_CHECKS = ("Acquire::Check-Valid-Until", "Acquire::Check-Date")
_NO = {"no", "false", "without", "off", "disable", "0"}
"""What apt takes for no (apt.conf(5))."""


@dataclass(frozen=True)
class Permission:
    """Whether apt may take an expired state of some suites, and who says so."""

    options: tuple[str, ...]
    """For apt, in the form of apt.conf(5)."""
    by: str | None
    """The setting that allows it, for a sentence; None when it is not allowed."""


def permission(suites: Collection[str], settings: Mapping[str, str], accept: Sequence[str] | None) -> Permission:
    """Decide for the suites of one tree, of which all have to be allowed.

    Where ``accept`` is None, apt's settings say which expired states are accepted.
    """
    if accept is None:
        said = next((name for name in _CHECKS if settings.get(name, "").lower() in _NO), None)
        if said is not None:
            return Permission(tuple(f'{name} "{settings.get(name, "true")}";' for name in _CHECKS), _of_apt(said))
    if accept is not None and set(suites) <= set(accept):
        return Permission((f'{_CHECKS[0]} "false";', f'{_CHECKS[1]} "true";'), "[environments] accept_expired")
    return Permission(tuple(f'{name} "true";' for name in _CHECKS), None)


def _of_apt(name: str) -> str:
    return f"{name} of apt's settings on that machine"


def notes(releases: Iterable[Release], permitted: Permission, now: datetime) -> tuple[str, ...]:
    """One sentence for each state that had expired."""
    return tuple(
        f"The mirror's signed state of {each.suite} is from {each.date} and was valid until {each.valid_until}; "
        f"it was used nevertheless, as {permitted.by or 'a setting'} allows."
        for each in releases
        if _expired(each, now)
    )


def _expired(release: Release, now: datetime) -> bool:
    try:
        end = parsedate_to_datetime(release.valid_until or "")
    except ValueError:
        return False  # no date, or one that apt itself would have refused
    return (end if end.tzinfo else end.replace(tzinfo=UTC)) < now
