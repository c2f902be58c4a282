"""Many inputs of one directory are shown to a run as one directory: a mount each would take seconds."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath
from time import time

from rebuilder.errors import StoreError

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
