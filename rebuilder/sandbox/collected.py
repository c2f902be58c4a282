"""What a run is given and what it leaves: ``/out`` and the log go into the blobs.

Many inputs of one directory are shown to a run as one directory: a mount each would take seconds.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath
from time import time

from rebuilder.errors import StoreError
from rebuilder.model.attempt import Limit, Outcome, Output
from rebuilder.model.text import compose_log
from rebuilder.model.value import Sha256
from rebuilder.sandbox.leftovers import Leftovers
from rebuilder.store.protocol import Blobs

_CHUNK = 1 << 20


def store_outputs(directory: int, listing: Leftovers, blobs: Blobs) -> tuple[Output, ...]:
    """Store the files of a listing as blobs.

    Raises:
        StoreError: they cannot be stored.
    """
    outputs = []
    for name, expected in listing.files:
        digest, size = blobs.put_stream(_chunks(directory, name), max_bytes=expected)
        outputs.append(Output(filename=name, sha256=digest, size=size))
    return tuple(outputs)


def _chunks(directory: int, name: str) -> Iterator[bytes]:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, dir_fd=directory), "rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def outcome(limit: Limit | None, exit_code: int | None) -> Outcome:
    """How a run ended, as one word."""
    if limit is not None:
        return Outcome.TIMED_OUT
    return Outcome.COMPLETED if exit_code == 0 else Outcome.BUILD_FAILED


def ending(limit: Limit | None, exit_code: int | None) -> str:
    """How a run ended, as the last sentence of its log."""
    if limit is not None:
        return f"It was ended: it reached its limit on {limit.value}."
    if exit_code is None:
        return "It ended the sandbox it ran in, from inside."
    return f"It ended with exit code {exit_code}."


def store_log(chunks: Iterable[bytes], listing: Leftovers, blobs: Blobs, *, ending: str) -> Sha256:
    """Store what a run wrote, what is to be said about its outputs, and how it ended.

    Raises:
        StoreError: it cannot be stored.
    """
    return blobs.put(compose_log(b"".join(chunks), (*listing.remarks, ending)))


FEW = 64
"""Inputs of one directory that are mounted one by one. Each mount is compared with all before it: a thousand take eight
seconds, and there is an end to how many bubblewrap takes."""
_LEFT_SECONDS = 2 * 24 * 3600


@contextmanager
def collected(sources: Mapping[str, Path], scratch: Path) -> Iterator[dict[str, Path]]:
    """Path inside the sandbox to what to bind there: files, and directories of links to the files of many inputs.

    Args:
        sources: Path inside the sandbox to the file, for every input of a definition.
        scratch: Where such directories are made; on the file system of the files, they take no space. A link has the
            bytes and the mode of the file, as a mount has.

    Raises:
        StoreError: a directory cannot be made.
    """
    directories: dict[str, dict[str, Path]] = {}
    for path, file in sources.items():
        directories.setdefault(str(PurePosixPath(path).parent), {})[path] = file
    above = {str(parent) for directory in directories for parent in PurePosixPath(directory).parents}
    many = {name: files for name, files in directories.items() if len(files) > FEW and name not in above}
    if not many:
        yield dict(sources)
        return
    with ExitStack() as stack:
        try:
            scratch.mkdir(parents=True, exist_ok=True)
            _remove_left(scratch)
            place = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=scratch, ignore_cleanup_errors=True)))
            place.chmod(0o755)
            for number, (name, files) in enumerate(many.items()):
                _fill(place / str(number), files)
                directories[name] = {name: place / str(number)}
        except OSError as error:
            raise StoreError(
                f"A directory of inputs could not be made in {scratch} ({error.strerror}).",
                hint="Is the disk full or read-only?",
            ) from error
        yield {path: file for files in directories.values() for path, file in files.items()}


def _fill(directory: Path, files: Mapping[str, Path]) -> None:
    directory.mkdir(mode=0o755)
    for path, file in files.items():
        place = directory / PurePosixPath(path).name
        try:
            os.link(file, place)
        except OSError:  # of another file system or another owner
            shutil.copyfile(file, place)
            shutil.copymode(file, place)


def _remove_left(scratch: Path) -> None:
    """Remove what processes that were killed have left."""
    for each in scratch.iterdir():
        with suppress(OSError):
            if each.stat().st_mtime < time() - _LEFT_SECONDS:
                shutil.rmtree(each)
