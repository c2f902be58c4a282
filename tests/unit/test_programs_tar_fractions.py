"""Fractions of seconds in tar archives, as listings give them."""

from __future__ import annotations

import pytest

from rebuilder.programs.archive.tar import fraction


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1727988004.309552", "309552"),
        ("1733354008.0260529", "0260529"),
        ("1733354002.0", None),
        ("1733354002", None),
        ("1733354002.", None),
        ("-1.5", None),
        ("1e5", None),
        ("1.5e3", None),
        ("1.0000000001", None),
        ("1.٣", None),
        ("", None),
    ],
)
def test_fraction_of_a_written_time(written: str, expected: str | None) -> None:
    """Digits as written; nothing where there is no fraction, or none that a file system could keep."""
    assert expected == fraction(written)
