"""What a wheel shows of having been built on Windows."""

from __future__ import annotations

import pytest

from rebuilder.ecosystems.pypi.wheel_traces import read_traces
from rebuilder.ecosystems.pypi.windows_traces import on_windows
from rebuilder.model.evidence import Inspection, Member, MemberKind

LF = {"METADATA": "Metadata-Version: 2.1\n\n", "WHEEL": "Wheel-Version: 1.0\n"}


@pytest.mark.parametrize(
    ("system", "texts", "expected"),
    [
        (0, {"METADATA": LF["METADATA"].replace("\n", "\r\n")}, ("METADATA",)),
        (0, {"WHEEL": "Wheel-Version: 1.0\r\n"}, ("WHEEL",)),
        (0, {"METADATA": "Metadata-Version: 2.1\n\nText\r\n"}, ()),
        (0, {}, ()),
        (3, {"WHEEL": "Wheel-Version: 1.0\r\n"}, None),
    ],
)
def test_on_windows(system: int, texts: dict[str, str], expected: tuple[str, ...] | None) -> None:
    """The host system of the members says it, and files that end all lines with CR LF were written as text."""
    written = {f"x-1.dist-info/{name}": text for name, text in (LF | texts).items()}
    members = tuple(
        Member(name=name, kind=MemberKind.FILE, size=1, mtime="2020-01-01T00:00:00", create_system=system)
        for name in written
    )
    listing = Inspection(format="zip", members=members, texts=written)
    found = on_windows(listing, read_traces(listing))
    assert expected == (found.crlf if found else None)
