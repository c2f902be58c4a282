"""The uv executable as an input of builds: the one this program was installed with, bound by its digest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from uv import find_uv_bin

from rebuilder.atomic_file import write_whole
from rebuilder.errors import BuildEnvironmentError
from rebuilder.model.definition import Input, Role
from rebuilder.model.value import Sha256
from rebuilder.store.protocol import Blobs

_LARGEST = 512 << 20


def uv_input(blobs: Blobs, cache_dir: Path, *, executable: Path | None = None) -> Input:
    """The executable as an input, kept as a blob.

    Storing and hashing some 40 MB is done once: a note below ``cache_dir`` remembers the digest together with what
    ``stat`` says, and is believed as long as that is unchanged. It is no more than a memory: the blob itself is
    checked whenever a sandbox takes it.

    Args:
        blobs: Where it goes.
        cache_dir: Directory for the note, made when it is missing.
        executable: Another file to use; the one of the installed Python package ``uv`` when None.

    Raises:
        BuildEnvironmentError: there is none, or it cannot be read.
        StoreError: the blobs cannot be written.
    """
    try:
        program = (executable or Path(find_uv_bin())).resolve(strict=True)
        mark, version = _mark(program), (metadata.version("uv") if executable is None else None)
        sha256 = _remembered(cache_dir / "uv.json", mark)
        if sha256 is None or not blobs.has(sha256):
            sha256, _ = blobs.put_stream(_chunks(program), max_bytes=_LARGEST)
            _remember(cache_dir / "uv.json", mark, sha256)
    except OSError as error:
        raise BuildEnvironmentError(
            f"The uv program that builds need cannot be read: {error}.",
            hint="Install the Python package uv beside this one.",
        ) from error
    return Input(
        role=Role.BUILD_TOOL,
        name="uv",
        sha256=sha256,
        path="/tools/uv",
        uri=f"pkg:pypi/uv@{version}" if version else None,
        version=version,
        executable=True,
    )


def _mark(program: Path) -> list[Any]:
    status = program.stat()
    return [
        str(program),
        *(status.st_dev, status.st_ino, status.st_size),
        *(str(status.st_mtime_ns), str(status.st_ctime_ns)),
    ]


def _remembered(note: Path, mark: list[Any]) -> Sha256 | None:
    try:
        found = json.loads(note.read_bytes())
        return Sha256(str(found["sha256"])) if found["file"] == mark else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(note: Path, mark: list[Any], sha256: Sha256) -> None:
    note.parent.mkdir(parents=True, exist_ok=True)
    write_whole(note, json.dumps({"file": mark, "sha256": sha256}).encode(), durable=True)


def _chunks(program: Path) -> Iterator[bytes]:
    with program.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk
