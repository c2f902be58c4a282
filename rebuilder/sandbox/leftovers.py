"""What a run left in its file systems, looked at after all of its processes are gone.

It imports nothing of the rebuilder when it runs: the first process of a User Mode Linux guest uses it too.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rebuilder.model.definition import Limits
    from rebuilder.sandbox.meter import Meter

MOST_FILES = 1000
"""Outputs of one run; more than that is as good as too many bytes."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!~-]{0,254}")
_MOST_REMARKS = 20
_MOST_ENTRIES = 200_000
_DEEPEST = 60
_SIGXCPU, _SIGXFSZ = 24, 25


class Leftovers(NamedTuple):
    """What is in ``/out``."""

    files: tuple[tuple[str, int], ...]
    """Names and sizes of the files that count, by name."""
    remarks: tuple[str, ...]
    """A sentence for each entry that does not count (the first few)."""
    bytes: int


def list_outputs(directory: int) -> Leftovers:
    """Look through ``/out``: regular files directly in it, with plain names, that their owner can read."""
    files, remarks, ignored = [], [], 0
    os.fchmod(directory, 0o755)  # a build may have closed it even to its owner, and nothing of it runs any more
    with os.scandir(directory) as entries:
        for entry in entries:
            facts = entry.stat(follow_symlinks=False)
            if not stat.S_ISREG(facts.st_mode):
                remark = "is not a regular file"
            elif _NAME.fullmatch(entry.name) is None:
                remark = "has a name that is not taken"
            elif not facts.st_mode & stat.S_IRUSR:
                remark = "may not be read"
            else:
                files.append((entry.name, facts.st_size))
                continue
            ignored += 1
            if ignored <= _MOST_REMARKS:
                remarks.append(f"{ascii(entry.name)[:300]} in /out {remark}; it is ignored.")
    if ignored > _MOST_REMARKS:
        remarks.append(f"{ignored - _MOST_REMARKS:,} more entries in /out are ignored.")
    return Leftovers(tuple(sorted(files)), tuple(remarks), sum(size for _, size in files))


def limit_behind(meter: Meter, code: int | None, limits: Limits, listing: Leftovers) -> str | None:
    """The limit that made a run fail though no look at it saw it passed, found by measuring what it left.

    A full file system stays full, and a file that was cut off has exactly the largest size. The outputs are counted
    for successful runs too, with the holes in them.

    Returns:
        A value of :class:`rebuilder.model.attempt.Limit`.
    """
    if listing.bytes > limits.output_bytes or len(listing.files) > MOST_FILES:
        return "output size"
    if code == 0:
        return None
    signs = (
        ("disk", meter.disk_bytes() > limits.disk_bytes),
        ("output size", meter.output_bytes() > limits.output_bytes),
        ("file size", code == 128 + _SIGXFSZ or holds_file_of(meter.writable(), limits.file_bytes)),
        ("CPU time", code == 128 + _SIGXCPU),
    )
    return next((limit for limit, shown in signs if shown), None)


def holds_file_of(directories: Sequence[int], size: int) -> bool:
    """Whether a file of at least ``size`` bytes was left: the mark of a write that the file size limit cut off.

    Looks at the first entries only, and not below directories nested deeper than anybody builds.
    """
    return any(found >= size for found in islice(_sizes(directories, _DEEPEST), _MOST_ENTRIES))


def _sizes(directories: Sequence[int], depth: int) -> Iterator[int]:
    """Sizes of the regular files below; 0 for anything else, so that it counts as seen."""
    for directory in directories:
        with os.scandir(directory) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):  # closed to its owner, as a build may leave it
                    facts = entry.stat(follow_symlinks=False)
                    yield facts.st_size if stat.S_ISREG(facts.st_mode) else 0
                    if stat.S_ISDIR(facts.st_mode) and depth:
                        with open_directory(entry.name, directory) as descriptor:
                            yield from _sizes([descriptor], depth - 1)


@contextlib.contextmanager
def open_directory(name: str, parent: int) -> Iterator[int]:
    """A descriptor of a directory in another, never through a symlink."""
    descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
