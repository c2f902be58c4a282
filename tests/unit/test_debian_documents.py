"""``.buildinfo``, ``.changes`` and ``.dsc`` files that somebody wrote to do harm."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebuilder.ecosystems.debian.candidates import Candidates
from rebuilder.ecosystems.debian.documents import subjects_in
from rebuilder.ecosystems.debian.subject import DOCUMENTS
from rebuilder.errors import UsageError
from rebuilder.model.artifact import Subject
from tests.fakes.blobs import MemoryBlobs

_DIGEST = "0" * 64
_PLAIN = f"""Source: tiny
Version: 1-1
Architecture: all
Binary: tiny
Build-Architecture: amd64
Installed-Build-Depends: base-files (= 13)
Checksums-Sha256:
 {_DIGEST} 3 tiny_1-1_all.deb
"""


class Nothing:
    """Lists that have no package; counts what they are asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def current(self, _subject: Subject) -> list[Any]:
        """None."""
        self.asked += 1
        return []

    earlier = current


def read(path: Path, lists: Nothing | None = None) -> list[Subject]:
    """What a file names."""
    return subjects_in(path, MemoryBlobs(), path.parent / "keys", cast("Candidates", lists or Nothing()))


def test_plain_ones(tmp_path: Path) -> None:
    """The packages with the digests that it says; debug symbols and other files are passed over."""
    more = f" {_DIGEST} 3 tiny-dbgsym_1-1_all.deb\n {_DIGEST} 3 tiny_1-1.dsc\n {_DIGEST} 3 a_1_all.udeb\n"
    for suffix in (".buildinfo", ".changes"):
        path = tmp_path / f"x{suffix}"
        path.write_text(_PLAIN + more)
        [found] = read(path)
        assert ("tiny", "1-1", "all", _DIGEST) == (found.name, found.version, found.architecture, found.local_sha256)
        assert (suffix == ".buildinfo") == (found.buildinfo_sha256 is not None)


@pytest.mark.parametrize(
    "name",
    ["../x_1_all.deb", "/etc/x_1_all.deb", "x/../y_1_all.deb", ".x_1_all.deb", "x\x1b_1_all.deb", "-x_1_all.deb"],
)
def test_names_that_lead_out(name: str, tmp_path: Path) -> None:
    """Refused in a sentence, without what a terminal would do."""
    for suffix in (".buildinfo", ".changes", ".dsc"):
        path = tmp_path / f"x{suffix}"
        path.write_text(_PLAIN.replace("tiny_1-1_all.deb", name))
        with pytest.raises(UsageError) as error:
            read(path)
        assert str(error.value).isprintable()


def test_what_lies_beside(tmp_path: Path) -> None:
    """A ``.buildinfo`` that a ``.changes`` lists is read where it has those bytes; pipes and devices are not."""
    beside, changes = tmp_path / "tiny.buildinfo", tmp_path / "tiny.changes"
    changes.write_text(f"{_PLAIN} {_DIGEST} 3 tiny.buildinfo\n")
    for make in (lambda: os.mkfifo(beside), lambda: beside.symlink_to("/dev/zero"), lambda: beside.write_text(_PLAIN)):
        make()
        [found] = read(changes)
        assert found.buildinfo_sha256 is None
        beside.unlink()


def test_what_is_no_file(tmp_path: Path) -> None:
    """Pipes, directories, devices, files of gigabytes: told, and not read."""
    pipe, directory, device, large = (tmp_path / f"{name}.dsc" for name in ("pipe", "directory", "device", "large"))
    os.mkfifo(pipe)
    directory.mkdir()
    device.symlink_to("/dev/zero")
    with large.open("wb") as file:
        file.truncate(1 << 33)
    for path in (pipe, directory, device, large, tmp_path / "none.dsc"):
        with pytest.raises(UsageError):
            read(path)


def test_as_many_names_as_there_is_room_for(tmp_path: Path) -> None:
    """Lists are not asked for each of a hundred thousand names."""
    path, lists = tmp_path / "tiny.dsc", Nothing()
    names = " ".join(f"tiny{number}" for number in range(100_000))
    path.write_text(_PLAIN.replace("Binary: tiny", f"Binary: {names}"))
    with pytest.raises(UsageError, match="tiny 1-1"):
        read(path, lists)
    assert 0 < lists.asked <= 200


_SOME = [
    *_PLAIN.splitlines(),
    "",
    " ",
    " .",
    "#x",
    "Source: a (1)",
    "Version: 1-1+b1",
    "Binary: ../x",
    "\x00",
    "\x1b[2J",
]
_SIGNED = [
    "-----BEGIN PGP SIGNED MESSAGE-----",
    "Hash: SHA512",
    "-----BEGIN PGP SIGNATURE-----",
    "-----END PGP SIGNATURE-----",
]


@settings(max_examples=60)
@given(st.sampled_from(sorted(DOCUMENTS)), st.lists(st.sampled_from(_SOME + _SIGNED) | st.text(max_size=20)))
def test_any_text(suffix: str, lines: list[str]) -> None:
    """Packages with plain names, or one sentence that a terminal can show."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / f"x{suffix}"
        path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
        try:
            found = read(path)
        except UsageError as error:
            assert str(error).isprintable() and len(str(error)) < 600  # noqa: PT017, PT018
            return
        assert all(each.local_sha256 == _DIGEST for each in found)
