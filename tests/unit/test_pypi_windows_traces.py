"""What a wheel shows of having been built on Windows."""

from __future__ import annotations

import pytest

from rebuilder.ecosystems.pypi.wheel_traces import on_windows, read_traces
from rebuilder.model.evidence import Inspection, Member, MemberKind

LF = {"METADATA": "Metadata-Version: 2.1\n\n", "WHEEL": "Wheel-Version: 1.0\n"}


@pytest.mark.parametrize(("system", "expected"), [(0, True), (3, False)])
def test_on_windows(system: int, *, expected: bool) -> None:
    """The host system of the members says it."""
    written = {f"x-1.dist-info/{name}": text for name, text in LF.items()}
    members = tuple(
        Member(name=name, kind=MemberKind.FILE, size=1, mtime="2020-01-01T00:00:00", create_system=system)
        for name in written
    )
    listing = Inspection(format="zip", members=members, texts=written)
    found = on_windows(listing, read_traces(listing))
    assert expected == (found is not None and found.mounted is None)


@pytest.mark.parametrize(
    ("mode", "record", "expected"),
    [(0o100777, 0o100777, "all"), (0o100777, 0o664, "but-record"), (0o100755, 0o100755, None), (0o100644, 0o664, None)],
)
def test_on_a_mounted_disk(mode: int, record: int, expected: str | None) -> None:
    """Every file is executable, the written ones too: a file system that knows no modes."""
    modes = {f"x-1.dist-info/{name}": mode for name in LF} | {"x/__init__.py": mode, "x-1.dist-info/RECORD": record}
    members = tuple(
        Member(name=name, kind=MemberKind.FILE, size=1, mtime="2020-01-01T00:00:00", create_system=3, mode=each)
        for name, each in modes.items()
    )
    listing = Inspection(format="zip", members=members, texts={f"x-1.dist-info/{name}": LF[name] for name in LF})
    found = on_windows(listing, read_traces(listing))
    assert expected == (found.mounted if found else None)
    assert found is None or "0777" in found.sentence
