"""What the times of a published file say about its build."""

from __future__ import annotations

import pytest

from rebuilder.ecosystems.pypi.candidates import Marks, candidates


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2024-03-01T12:00:00", [1709294400, None]),
        ("1970-01-01T00:00:00", [0, None]),
        ("1969-12-31T23:59:59", [None]),
        ("2107-01-01T00:00:00", [None]),
        ("9999-12-31T23:59:59", [None]),
    ],
)
def test_an_epoch_is_of_a_closed_set(time: str, expected: list[int | None]) -> None:
    """A tar archive can have any time; a build is told none outside of the seconds that its 32 bits are counted for."""
    marks = Marks("source archive", {"x-1/a": time}, time, None, None)
    assert expected == [each.conditions.source_date_epoch for each in candidates(marks, "commit")]
