"""Writing the list of a build environment's shared libraries, ``/etc/ld.so.cache``.

The dynamic loader finds libraries without it, but ``ctypes.util.find_library`` does not (diffoscope needs libarchive).
The tree's own ``ldconfig`` writes it; it follows links as the tree means them without ``chroot(2)``, so it needs no
root, and what it writes depends on the tree alone.
"""

from __future__ import annotations

from pathlib import Path

from rebuilder.environments.command import CommandError, run
from rebuilder.errors import BuildEnvironmentError

_SECONDS = 60
_PROGRAM = "usr/sbin/ldconfig"


def has_program(root: Path) -> bool:
    """Whether the tree has the program that writes the cache; those with another C library need none."""
    return (root / _PROGRAM).is_file()


def write_cache(root: Path, *, log: Path) -> None:
    """Write the cache; no links are made or changed (``-X``).

    Args:
        root: The tree.
        log: File for what the program prints.

    Raises:
        BuildEnvironmentError: the tree has no ``ldconfig``, or it does not run on this machine.
    """
    command = [str(root / _PROGRAM), "-X", "-r", str(root)]
    try:
        run(command, environment={"LC_ALL": "C.UTF-8"}, log=log, seconds=_SECONDS)
    except CommandError as error:
        raise BuildEnvironmentError(
            f"The build environment's list of shared libraries cannot be written: {error}."
        ) from error
