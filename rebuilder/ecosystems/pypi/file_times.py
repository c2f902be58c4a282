"""Times and names in archives, as they are read (pure)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

TIME_FORMAT = "%Y-%m-%dT%H:%M:%S"
INFO = re.compile(r"^[^/]+\.(?:dist|egg)-info/")
"""The directory in which a wheel describes itself, and its forerunner."""


def epoch(moment: str) -> int | None:
    """Seconds since 1970 of a ZIP time read as UTC; None when it is no time at all."""
    parsed = parse_time(moment)
    return int(parsed.timestamp()) if parsed else None


def parse_time(moment: str) -> datetime | None:
    """A ZIP time; None when the archive holds something impossible, such as month 0."""
    try:
        return datetime.strptime(moment, TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None


def metadata_file(member: str, *names: str) -> bool:
    """Whether a member is one of these files of ``.dist-info``; any of them when none is named."""
    return INFO.match(member) is not None and (not names or member.rpartition("/")[2] in names)
