"""uv as an input of builds."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebuilder.environments.uv_tool import uv_input
from rebuilder.errors import BuildEnvironmentError
from rebuilder.model.definition import Role
from rebuilder.model.value import sha256_hex
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.files import change_unseen


def program(tmp_path: Path, content: bytes = b"a program") -> Path:
    """An executable that stands for uv."""
    file = tmp_path / "uv"
    file.write_bytes(content)
    return file


def test_becomes_a_blob(tmp_path: Path) -> None:
    """The input has the digest of the executable, and its bytes are stored."""
    blobs = MemoryBlobs()
    found = uv_input(blobs, tmp_path / "cache", executable=program(tmp_path))
    assert (Role.BUILD_TOOL, "uv", "/tools/uv", True) == (found.role, found.name, found.path, found.executable)
    assert sha256_hex(b"a program") == found.sha256
    assert blobs.read(found.sha256) == b"a program"


def test_is_read_once(tmp_path: Path) -> None:
    """The second time the file is not even opened."""
    blobs, file = MemoryBlobs(), program(tmp_path)
    first = uv_input(blobs, tmp_path / "cache", executable=file)
    blobs.put_stream = None  # type: ignore[assignment, method-assign]
    assert first == uv_input(blobs, tmp_path / "cache", executable=file)


def test_another_uv_is_noticed(tmp_path: Path) -> None:
    """New bytes of the same size with the old time are another input."""
    blobs, file = MemoryBlobs(), program(tmp_path)
    first = uv_input(blobs, tmp_path / "cache", executable=file)
    change_unseen(file, b"b program")
    assert first.sha256 != uv_input(blobs, tmp_path / "cache", executable=file).sha256


@pytest.mark.parametrize("note", [b"", b"[]", b"{}", b'{"file": 1, "sha256": 2}', b"\xff"])
def test_broken_note(tmp_path: Path, note: bytes) -> None:
    """A note that cannot be read is written anew."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/uv.json").write_bytes(note)
    found = uv_input(MemoryBlobs(), tmp_path / "cache", executable=program(tmp_path))
    assert sha256_hex(b"a program") == found.sha256


def test_lost_blob_is_stored_again(tmp_path: Path) -> None:
    """The note is only a memory: without the blob the file is read again."""
    file = program(tmp_path)
    uv_input(MemoryBlobs(), tmp_path / "cache", executable=file)
    blobs = MemoryBlobs()
    assert blobs.has(uv_input(blobs, tmp_path / "cache", executable=file).sha256)


def test_missing(tmp_path: Path) -> None:
    """No uv is one sentence with what to do."""
    with pytest.raises(BuildEnvironmentError, match="cannot be read") as caught:
        uv_input(MemoryBlobs(), tmp_path, executable=tmp_path / "none")
    assert "Python package uv" in (caught.value.hint or "")


def test_the_installed_one(tmp_path: Path) -> None:
    """The Python package's own executable is found with its version."""
    found = uv_input(MemoryBlobs(), tmp_path)
    assert found.uri == f"pkg:pypi/uv@{found.version}"
