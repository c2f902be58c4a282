"""Reads the lock files of npm, pnpm and yarn as one kind of value; every byte of them is hostile."""

from __future__ import annotations

from rebuilder.ecosystems.npm.lock_files.locked import Digest, LockedPackage, LockFileError, Origin, strongest_first
from rebuilder.ecosystems.npm.lock_files.package_lock import read_package_lock
from rebuilder.ecosystems.npm.lock_files.pnpm_lock import read_pnpm_lock
from rebuilder.ecosystems.npm.lock_files.yarn_lock import read_yarn_lock

__all__ = [
    "FORMATS",
    "LOCK_NAMES",
    "MOST_BYTES",
    "Digest",
    "LockFileError",
    "LockedPackage",
    "Origin",
    "read_lock",
    "strongest_first",
]

MOST_BYTES = 64 << 20
FORMATS = {
    "npm-shrinkwrap.json": read_package_lock,
    "package-lock.json": read_package_lock,
    "pnpm-lock.yaml": read_pnpm_lock,
    "yarn.lock": read_yarn_lock,
}
"""The reader of each kind, by the name that its package manager looks for."""
LOCK_NAMES = {
    "npm": ("npm-shrinkwrap.json", "package-lock.json"),
    "pnpm": ("pnpm-lock.yaml",),
    "yarn": ("yarn.lock",),
}
"""Those that a package manager looks for; of several it takes the first."""


def read_lock(name: str, data: bytes) -> tuple[LockedPackage, ...]:
    """The packages that a lock file names.

    Args:
        name: One of :data:`FORMATS`.
        data: Its bytes.

    Raises:
        LockFileError: it is none of its kind, or contradicts itself.
    """
    if len(data) > MOST_BYTES:
        raise LockFileError(f"This lock file has more than {MOST_BYTES:,} bytes.")
    return FORMATS[name](data)
