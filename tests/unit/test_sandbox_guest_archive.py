"""The guest programs, packed."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

from rebuilder.model.definition import Role
from rebuilder.programs.__main__ import PROGRAMS
from rebuilder.sandbox.program_archive import program_archive, program_input
from tests.fakes.blobs import MemoryBlobs


def test_always_the_same_bytes() -> None:
    """Names in order, one time, one mode: the digest depends on the programs only."""
    program_archive.cache_clear()
    first = program_archive()
    program_archive.cache_clear()
    assert first == program_archive()
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        members = archive.infolist()
    assert sorted(member.filename for member in members) == [member.filename for member in members]
    assert {(1980, 1, 1, 0, 0, 0)} == {member.date_time for member in members}
    assert {0o100644 << 16} == {member.external_attr for member in members}


def test_guest_programs_only() -> None:
    """All of them, and nothing else of the rebuilder."""
    with zipfile.ZipFile(io.BytesIO(program_archive())) as archive:
        names = set(archive.namelist())
        assert archive.read("rebuilder/__init__.py") == b""
    assert {f"rebuilder/programs/{folder}/{program}.py" for program, folder in PROGRAMS.items()} < names
    own = {"__main__.py", "rebuilder/__init__.py"}
    assert all(name.startswith("rebuilder/programs/") for name in names - own)


def test_can_be_run(tmp_path: Path) -> None:
    """It needs a Python and nothing else."""
    file = tmp_path / "guest.pyz"
    file.write_bytes(program_archive())
    command = [sys.executable, "-I", "-S", str(file), "no-such-program"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ran.returncode == 64
    assert "must be named" in ran.stderr


def test_is_an_input() -> None:
    """Stored as a blob, at its fixed path."""
    blobs = MemoryBlobs()
    entry = program_input(blobs)
    assert (Role.GUEST_PROGRAM, "/tools/guest.pyz") == (entry.role, entry.path)
    assert program_archive() == blobs.read(entry.sha256)
