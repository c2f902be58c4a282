"""Which toolchain a wheel is rebuilt on."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rebuilder.ecosystems.pypi.obstacles import Stopped
from rebuilder.ecosystems.pypi.toolchain_choice import choose, named_python
from rebuilder.model.inspection import Inspection, Member, MemberKind
from rebuilder.model.verdict import Verdict

ALL = ["trixie", "bookworm", "bullseye"]


@pytest.mark.parametrize(
    ("requires_python", "year", "expected"),
    [
        (None, 2026, ALL),
        (">=3.9", 2025, ALL),
        (">=3.9", 2024, ["bookworm", "bullseye", "trixie"]),
        (">=3.9", 2021, ["bullseye", "bookworm", "trixie"]),
        (">=2.7", 2015, ["bullseye", "bookworm", "trixie"]),
        (">=3.10", 2015, ["bookworm", "trixie"]),
        (">=3.12", 2026, ["trixie"]),
        (">=3.12", 2023, ["trixie"]),
        (">=3.14", 2026, ["forky"]),
        ("<3.13", 2026, ["bookworm", "bullseye"]),
        (">=3.11.4", 2026, ["trixie", "bookworm"]),
        ("not a specifier", 2026, ALL),
    ],
)
def test_choice(requires_python: str | None, year: int, expected: list[str]) -> None:
    """The newest Python there was at the upload, among those the release supports."""
    found = choose(requires_python, datetime(year, 1, 2, tzinfo=UTC))
    assert expected == [each.toolchain for each in found]


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("3.9", ["bullseye", "trixie", "bookworm"]),
        ("3.14", ["forky", *ALL]),
        ("3.10", ALL),
    ],
)
def test_named(named: str, expected: list[str]) -> None:
    """The Python the wheel names comes first, if there is one."""
    found = choose(None, datetime(2026, 1, 2, tzinfo=UTC), named=named)
    assert expected == [each.toolchain for each in found]


def test_no_toolchain() -> None:
    """A release for other Pythons only is not supported, and the sentence says which there are."""
    with pytest.raises(Stopped, match=r"'<3'.*3\.9, 3\.11, 3\.13, 3\.14") as caught:
        choose("<3", datetime(2026, 1, 1, tzinfo=UTC))
    assert Verdict.UNSUPPORTED is caught.value.obstacle.verdict


def wheel(name: str, scripts: str = "") -> Inspection:
    """With a file of that name, and these entry points."""
    member = Member(name=name, kind=MemberKind.FILE, size=1, mtime="2020-01-01T00:00:00")
    texts = {"x-1.dist-info/entry_points.txt": f"[console_scripts]\n{scripts}"}
    return Inspection(format="zip", members=(member,), texts=texts)


@pytest.mark.parametrize(
    ("name", "scripts", "expected"),
    [
        ("x-1-py3.9-nspkg.pth", "", "3.9"),
        ("x-1-py3.10-nspkg.pth", "", "3.10"),
        ("x.py", "x = x:main\nx3 = x:main\nx3.9 = x:main\n", "3.9"),
        ("x.py", "x = x:main\nx-3.12 = x:main\n", "3.12"),
        ("x.py", "x = x:main\ny3.9 = x:main\n", None),
        ("x.py", "x = x:main\nx3.9 = x:other\n", None),
        ("x.py", "", None),
    ],
)
def test_named_python(name: str, scripts: str, expected: str | None) -> None:
    """The version is in the name of a namespace file, or of a command beside the one without it."""
    found = named_python(wheel(name, scripts))
    assert expected == (found.python if found else None)
