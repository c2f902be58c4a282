"""Executable copies of blobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebuilder.errors import StoreError
from rebuilder.model.value import sha256_hex
from rebuilder.sandbox.executables import Executables

CONTENT = b"#!/bin/sh\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A blob."""
    file = tmp_path / "blob"
    file.write_bytes(CONTENT)
    file.chmod(0o444)
    return file


def test_copy_is_executable_and_made_once(source: Path, tmp_path: Path) -> None:
    """Mode 0555, the same bytes, no new copy for the next process."""
    digest = sha256_hex(CONTENT)
    copy = Executables(tmp_path / "copies").path(source, digest)
    assert copy.read_bytes() == CONTENT
    assert copy.stat().st_mode & 0o7777 == 0o555
    before = copy.stat()
    assert Executables(tmp_path / "copies").path(source, digest) == copy
    assert before == copy.stat()
    assert [copy] == list((tmp_path / "copies").iterdir())
    assert source.stat().st_mode & 0o7777 == 0o444


def test_changed_copy_is_made_again(source: Path, tmp_path: Path) -> None:
    """A copy that was tampered with is noticed, by the same process and by the next."""
    executables, digest = Executables(tmp_path / "copies"), sha256_hex(CONTENT)
    copy = executables.path(source, digest)
    for again in (executables, Executables(tmp_path / "copies")):
        copy.chmod(0o755)
        copy.write_bytes(b"#!/bin/evil\n")
        assert again.path(source, digest).read_bytes() == CONTENT


def test_wrong_source_leaves_nothing(source: Path, tmp_path: Path) -> None:
    """A source with another digest is refused."""
    with pytest.raises(StoreError, match="modified"):
        Executables(tmp_path / "copies").path(source, "0" * 64)
    assert [] == list((tmp_path / "copies").iterdir())


def test_unwritable_directory(source: Path) -> None:
    """Trouble with the disk is a sentence."""
    with pytest.raises(StoreError, match="could not be made"):
        Executables(Path("/proc/nowhere")).path(source, sha256_hex(CONTENT))
