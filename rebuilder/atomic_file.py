"""Files that are there whole or not at all, however the process that writes them ends."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

DRAFT = ".new-"
"""How the name of a draft begins; what a killed process left under such a name is in nobody's way."""

# What checks a log or a lock file runs on systems without the one or the other flag, too.
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


@contextlib.contextmanager
def replacing(
    file: Path | str,
    *,
    mode: int | None = 0o644,
    durable: bool = False,
    replace: bool = True,
    drafts: Path | str | None = None,
) -> Iterator[BinaryIO]:
    """A draft to write into, which becomes the file when the block ends; an error in the block leaves all as it was.

    Args:
        file: Where it is to be; its directory is there.
        mode: Its permissions, whatever the umask; until then nobody else can read it. None: the umask's.
        durable: It outlives losing power: the bytes are on the disk before the name is.
        replace: False: a file that is there already stays, whoever made it.
        drafts: Directory of the draft, on the same file system; None: beside the file.

    Raises:
        OSError: it cannot be written.
    """
    directory = os.path.dirname(file) or "."  # noqa: PTH120 - a site has a million files
    draft = f"{drafts or directory}/{DRAFT}{secrets.token_hex(12)}"
    descriptor = os.open(draft, _NEW, 0o666 if mode is None else 0o600)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            yield opened
            opened.flush()
            if mode is not None and os.name == "posix":
                os.fchmod(descriptor, mode)
            if durable:
                os.fsync(descriptor)
        if replace:
            os.replace(draft, file)  # noqa: PTH105
        else:
            with contextlib.suppress(FileExistsError):
                os.link(draft, file)
            os.unlink(draft)  # noqa: PTH108
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)  # noqa: PTH108
        raise
    if durable and os.name == "posix":
        sync_directory(directory)


def write_whole(file: Path, data: bytes, *, mode: int | None = 0o644, durable: bool = False) -> None:
    """Make a file hold ``data``; see :func:`replacing`.

    Raises:
        OSError: it cannot be written; what was there before is there.
    """
    with replacing(file, mode=mode, durable=durable) as draft:
        draft.write(data)


def sync_directory(path: Path | str) -> None:
    """Have the names in a directory on the disk.

    Raises:
        OSError: that failed.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
