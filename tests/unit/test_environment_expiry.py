"""A signed state that has expired is used only when a setting says so, and the report shows it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from rebuilder.environments.expiry import Permission, notes, permission
from rebuilder.model.environment import Release
from rebuilder.model.value import Sha256

STRICT = ('Acquire::Check-Valid-Until "true";', 'Acquire::Check-Date "true";')
LENIENT = ('Acquire::Check-Valid-Until "false";', 'Acquire::Check-Date "true";')
APT = {"Acquire::Check-Valid-Until": "false"}
NOW = datetime(2026, 11, 22, tzinfo=UTC)
OURS = "[environments] accept_expired"
THEIRS = "Acquire::Check-Valid-Until of apt's settings on that machine"


@pytest.mark.parametrize(
    ("accept", "settings", "expected"),
    [
        (None, {}, Permission(STRICT, None)),
        (None, {"Acquire::Check-Valid-Until": "true"}, Permission(STRICT, None)),
        (None, APT, Permission(LENIENT, THEIRS)),
        ((), APT, Permission(STRICT, None)),
        (("bullseye",), APT, Permission(STRICT, None)),
        (("forky",), {}, Permission(LENIENT, OURS)),
        (("forky",), APT, Permission(LENIENT, OURS)),
    ],
)
def test_who_may_say_so(accept: Sequence[str] | None, settings: dict[str, str], expected: Permission) -> None:
    """Our own setting counts above apt's; without either nothing expired is used."""
    assert expected == permission(("forky",), settings, accept)


def test_machine_without_a_clock() -> None:
    """Apt's other setting, for machines with a wrong clock, switches the same check off and is named too."""
    found = permission(("forky",), {"Acquire::Check-Date": "no"}, None)
    assert ('Acquire::Check-Valid-Until "true";', 'Acquire::Check-Date "no";') == found.options
    assert "Acquire::Check-Date of apt's settings on that machine" == found.by


@pytest.mark.parametrize(
    ("valid_until", "expected"),
    [
        ("Fri, 06 Nov 2026 08:08:01 UTC", 1),
        ("Fri, 27 Nov 2026 08:08:01 UTC", 0),
        (None, 0),
        ("some day", 0),
    ],
)
def test_what_is_noted(valid_until: str | None, expected: int) -> None:
    """Only a state that had expired is told, with its dates and the setting."""
    release = Release(suite="forky-updates", date="D", valid_until=valid_until, sha256=Sha256("a" * 64))
    found = notes([release], Permission(LENIENT, OURS), NOW)
    assert expected == len(found)
    if found:
        assert found[0] == (
            "The mirror's signed state of forky-updates is from D and was valid until Fri, 06 Nov 2026 08:08:01 UTC; "
            "it was used nevertheless, as [environments] accept_expired allows."
        )
