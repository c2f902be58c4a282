"""What a wheel would be if it had been packed on Windows."""

from __future__ import annotations

import sys
import venv
import zipfile
from pathlib import Path

import pytest

from rebuilder.programs.pypi.elsewhere import NOTHING_TO_CHANGE, as_windows, packed_on_windows

METADATA, WHEEL, RECORD = (f"x-1.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD"))
LINES = b"Metadata-Version: 2.1\nName: x\n"


def wheel(path: Path) -> Path:
    """As it is packed elsewhere."""
    members = {
        "x/run.exe": (b"MZ\n", 0o100777),
        METADATA: (LINES, 0o100644),
        WHEEL: (b"Wheel-Version: 1.0\n", 0o100644),
        RECORD: (f'x/run.exe,sha256=a,3\n"{METADATA}",sha256=b,31\n{RECORD},,\n'.encode(), 0o664),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, (data, mode) in members.items():
            info = zipfile.ZipInfo(name, (2020, 1, 2, 3, 4, 6))
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return path


def test_converted(tmp_path: Path) -> None:
    """Host and modes change; times, order and contents do not."""
    path = tmp_path / "x-1-py3-none-any.whl"
    path.write_bytes(packed_on_windows(str(wheel(path))))
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        content = {info.filename: archive.read(info) for info in infos}
    assert {(0, (2020, 1, 2, 3, 4, 6))} == {(info.create_system, info.date_time) for info in infos}
    assert [0o100666, 0o100666, 0o100666, 0o664] == [info.external_attr >> 16 for info in infos]
    assert {"x/run.exe": b"MZ\n", METADATA: LINES, WHEEL: b"Wheel-Version: 1.0\n"}.items() <= content.items()


def test_text_files_are_written_as_on_windows(tmp_path: Path) -> None:
    """By everything that runs in the environment; what says its line ends itself, and what is read, stays."""
    environment = tmp_path / "env"
    venv.create(environment, symlinks=True)
    program = """
import io, pathlib, zipfile
open('text', 'w').write('a\\n')
pathlib.Path('path').write_text('a\\r\\n')
open('bytes', 'wb').write(b'a\\n')
io.open('unix', 'w', newline='\\n').write('a\\n')
assert 'a\\n\\n' == open('path').read()
zipfile.ZipFile('out/x-1-py3-none-any.whl', 'w').close()
class Module:
    open = open
Module().open('text', 'a').write('b\\n')
"""
    (tmp_path / "out").mkdir()
    python, out = environment / "bin/python", tmp_path / "out"
    command = ["/usr/bin/env", f"--chdir={tmp_path}", str(python), "-c", program]
    assert 0 == as_windows([f"--out={out}", f"--environment={environment}", "--", *command])
    found = {name: (tmp_path / name).read_bytes() for name in ("text", "path", "bytes", "unix")}
    assert {"text": b"a\r\nb\r\n", "path": b"a\r\r\n", "bytes": b"a\n", "unix": b"a\n"} == found


@pytest.mark.parametrize(("mounted", "record"), [("all", 0o100777), ("but-record", 0o100664)])
def test_on_a_mounted_disk(mounted: str, record: int, tmp_path: Path) -> None:
    """Every file may be executed, and Linux packed it; RECORD only where it was a file, too."""
    path = wheel(tmp_path / "x-1-py3-none-any.whl")
    content = path.read_bytes().replace((0o664 << 16).to_bytes(4, "little"), (0o100664 << 16).to_bytes(4, "little"))
    path.write_bytes(content)
    path.write_bytes(packed_on_windows(str(path), mounted))
    with zipfile.ZipFile(path) as archive:
        found = {info.filename: (info.create_system, info.external_attr >> 16) for info in archive.infolist()}
        assert LINES == archive.read(METADATA)
    assert {"x/run.exe": (3, 0o100777), METADATA: (3, 0o100777), WHEEL: (3, 0o100777), RECORD: (3, record)} == found


@pytest.mark.parametrize(("program", "expected"), [("raise SystemExit(7)", 7), ("pass", NOTHING_TO_CHANGE)])
def test_build_that_leaves_nothing(tmp_path: Path, program: str, expected: int) -> None:
    """The exit code of the build is the program's; a build without a wheel has one of its own."""
    assert expected == as_windows(["--out", str(tmp_path), "--", sys.executable, "-c", program])
