"""Which toolchain a wheel is rebuilt on."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rebuilder.ecosystems.pypi.obstacles import Stopped
from rebuilder.ecosystems.pypi.toolchain_choice import choose
from rebuilder.model.verdict import Verdict


@pytest.mark.parametrize(
    ("requires_python", "year", "expected"),
    [
        (None, 2026, ["trixie", "bookworm"]),
        (">=3.9", 2025, ["trixie", "bookworm"]),
        (">=3.9", 2024, ["bookworm", "trixie"]),
        (">=2.7", 2015, ["bookworm", "trixie"]),
        (">=3.12", 2026, ["trixie"]),
        (">=3.12", 2023, ["trixie"]),
        ("<3.13", 2026, ["bookworm"]),
        (">=3.11.4", 2026, ["trixie", "bookworm"]),
        ("not a specifier", 2026, ["trixie", "bookworm"]),
    ],
)
def test_choice(requires_python: str | None, year: int, expected: list[str]) -> None:
    """The newest Python there was at the upload, among those the release supports."""
    found = choose(requires_python, datetime(year, 1, 2, tzinfo=UTC))
    assert expected == [each.toolchain for each in found]


def test_no_toolchain() -> None:
    """A release for other Pythons only is not supported, and the sentence says which there are."""
    with pytest.raises(Stopped, match=r"'<3'.*3\.11 and 3\.13") as caught:
        choose("<3", datetime(2026, 1, 1, tzinfo=UTC))
    assert Verdict.UNSUPPORTED is caught.value.obstacle.verdict
