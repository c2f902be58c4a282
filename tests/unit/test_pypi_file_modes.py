"""Which modes source files had when they were packed."""

from __future__ import annotations

import pytest

from rebuilder.ecosystems.pypi.file_modes import source_modes
from rebuilder.model.inspection import Inspection, Member, MemberKind
from rebuilder.model.value import Sha256


def listing(name: str, mode: int | None, system: int = 3) -> Inspection:
    """An archive with one file."""
    member = Member(
        name=name,
        kind=MemberKind.FILE,
        size=1,
        sha256=Sha256("ab" * 32),
        mode=mode,
        mtime="2020-01-01T00:00:00",
        create_system=system,
    )
    return Inspection(format="zip", members=(member,))


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (0o100664, {"x-1/x/py.typed": "0664"}),
        (0o100666, {"x-1/x/py.typed": "0666"}),
        (0o100644, {}),
        (0o100755, {}),
        (0o100775, {"x-1/x/py.typed": "0664"}),
        (0o100444, {}),
        (0o120777, {}),
        (None, {}),
    ],
)
def test_modes(mode: int | None, expected: dict[str, str]) -> None:
    """What the umask does not explain is told; who may run a file never is."""
    assert expected == source_modes(listing("x/py.typed", mode), listing("x-1/x/py.typed", 0o644), umask=0o022)


def test_windows() -> None:
    """Windows has no such modes."""
    found = source_modes(listing("x/py.typed", 0o100666, system=0), listing("x-1/x/py.typed", 0o644), umask=0o022)
    assert {} == found
