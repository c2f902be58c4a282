"""Unpacking source archives, ordinary and hostile ones."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rebuilder.programs.archive.unpack import MALFORMED, main

Fill = Callable[[tarfile.TarFile], None]


def tar(path: Path, fill: Fill) -> Path:
    """A tar archive."""
    with tarfile.open(path, "w:gz") as archive:
        fill(archive)
    return path


def add(archive: tarfile.TarFile, name: object, content: bytes = b"", **fields: object) -> None:
    """A member; fields as in :class:`tarfile.TarInfo`."""
    info = tarfile.TarInfo(str(name))
    info.size = len(content)
    for field, value in ({"mtime": 1_000_000_000} | fields).items():
        setattr(info, field, value)
    archive.addfile(info, io.BytesIO(content))


def unpack(source: Path, *options: str) -> tuple[int, Path]:
    """Exit code, and the directory."""
    into = source.parent / "into"
    return main(["--source", str(source), "--into", str(into), *options]), into


def mode(path: Path) -> int:
    """Permission bits."""
    return stat.S_IMODE(path.lstat().st_mode)


def test_modes_come_from_the_umask_and_the_executable_bit(tmp_path: Path) -> None:
    """What else the archive says about modes, setuid included, does not reach the tree."""

    def fill(archive: tarfile.TarFile) -> None:
        add(archive, "x-1/a.py", b"a", mode=0o600)
        add(archive, "x-1/run", b"r", mode=0o6711)

    code, into = unpack(tar(tmp_path / "x.tar.gz", fill), "--umask", "0002")
    assert code == 0
    assert mode(into / "x-1/a.py") == 0o664
    assert mode(into / "x-1/run") == 0o775


def test_times_come_from_the_archive(tmp_path: Path) -> None:
    """Files and directories have the archive's times, as far as a ZIP file can hold them."""

    def fill(archive: tarfile.TarFile) -> None:
        add(archive, "./x-1", type=tarfile.DIRTYPE, mode=0o700)
        add(archive, "./x-1/a.py")
        add(archive, "./x-1/old.py", mtime=0)
        add(archive, "./x-1/far.py", mtime=1 << 33)

    code, into = unpack(tar(tmp_path / "x.tar.gz", fill))
    assert code == 0
    times = [time.gmtime((into / each).stat().st_mtime)[:6] for each in ("x-1/old.py", "x-1/far.py")]
    assert [(1980, 1, 1, 0, 0, 0), (2107, 12, 31, 23, 59, 58)] == times
    assert [1_000_000_000] * 2 == [(into / each).stat().st_mtime for each in ("x-1/a.py", "x-1")]


def test_zip(tmp_path: Path) -> None:
    """ZIP source archives are unpacked the same way, their times read as UTC."""
    source = tmp_path / "x.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr(zipfile.ZipInfo("x-1/", (2024, 1, 2, 3, 4, 6)), b"")
        run = zipfile.ZipInfo("x-1/run", (2024, 1, 2, 3, 4, 6))
        run.external_attr = 0o100755 << 16
        archive.writestr(run, b"r")
        link = zipfile.ZipInfo("x-1/link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "run")
    code, into = unpack(source)
    assert code == 0
    assert (mode(into / "x-1/run"), (into / "x-1/run").stat().st_mtime) == (0o755, 1_704_164_646)
    assert os.readlink(into / "x-1/link") == "run"  # noqa: PTH115


def test_links_inside_the_tree(tmp_path: Path) -> None:
    """Symbolic and hard links that stay inside are kept; a later member replaces an earlier one."""

    def fill(archive: tarfile.TarFile) -> None:
        add(archive, "x-1/a", b"old")
        add(archive, "x-1/a", b"new")
        add(archive, "x-1/d/link", type=tarfile.SYMTYPE, linkname="../a")
        add(archive, "x-1/hard", type=tarfile.LNKTYPE, linkname="x-1/a")

    code, into = unpack(tar(tmp_path / "x.tar.gz", fill))
    assert code == 0
    assert (into / "x-1/d/link").read_bytes() == b"new"
    assert (into / "x-1/hard").read_bytes() == b"new"
    assert (into / "x-1/hard").stat().st_nlink == 1


HOSTILE: dict[str, list[dict[str, object]]] = {
    "absolute": [{"name": "/tmp/evil"}],
    "above": [{"name": "x-1/../../evil"}],
    "link out": [{"name": "x-1/l", "type": tarfile.SYMTYPE, "linkname": "../../evil"}],
    "absolute link": [{"name": "x-1/l", "type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}],
    "hard link out": [{"name": "x-1/l", "type": tarfile.LNKTYPE, "linkname": "../evil"}],
    "hard link to nothing": [{"name": "x-1/l", "type": tarfile.LNKTYPE, "linkname": "x-1/none"}],
    "device": [{"name": "x-1/null", "type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}],
    "fifo": [{"name": "x-1/pipe", "type": tarfile.FIFOTYPE}],
    "through a link": [
        {"name": "x-1/d", "type": tarfile.DIRTYPE},
        {"name": "x-1/l", "type": tarfile.SYMTYPE, "linkname": "d"},
        {"name": "x-1/l/evil"},
    ],
    "through a file": [{"name": "x-1/f"}, {"name": "x-1/f/evil"}],
    "file over directory": [{"name": "x-1/d/f"}, {"name": "x-1/d"}],
    "directory over link": [
        {"name": "x-1/l", "type": tarfile.SYMTYPE, "linkname": "."},
        {"name": "x-1/l", "type": tarfile.DIRTYPE},
    ],
    "link in two steps": [
        {"name": "x-1/a", "type": tarfile.SYMTYPE, "linkname": "."},
        {"name": "x-1/a/b", "type": tarfile.SYMTYPE, "linkname": "../.."},
    ],
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_members_end_the_program(tmp_path: Path, case: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is written outside the tree, and one sentence names the member."""

    def fill(archive: tarfile.TarFile) -> None:
        for fields in HOSTILE[case]:
            add(archive, fields["name"], b"", **{key: value for key, value in fields.items() if key != "name"})

    code, into = unpack(tar(tmp_path / "x.tar.gz", fill))
    assert code == MALFORMED
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("unpack: '")
    assert not (tmp_path / "evil").exists()
    assert {tmp_path / "x.tar.gz", into} == set(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"rubbish", b"\x1f\x8b\x08\x00broken", b"PK\x03\x04broken"])
def test_rubbish_is_one_sentence(tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no archive is said to be malformed."""
    source = tmp_path / "x.tar.gz"
    source.write_bytes(content)
    assert unpack(source)[0] == MALFORMED
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_truncated_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A short download does not look like a smaller project."""
    source = tar(tmp_path / "x.tar.gz", lambda archive: add(archive, "x-1/a", os.urandom(100_000)))
    source.write_bytes(source.read_bytes()[:50_000])
    assert unpack(source)[0] == MALFORMED
    assert "malformed" in capsys.readouterr().err
