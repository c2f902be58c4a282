"""Reads lock files of several formats, files on disk and installed environments as one kind of value."""

from __future__ import annotations

import json
from pathlib import Path

from rebuilder.consumer.lock_files.debian import is_package_list, read_packages
from rebuilder.consumer.lock_files.dependency import Dependency, LockedFile, joined, locked_file
from rebuilder.consumer.platform_files import Target
from rebuilder.toml_files import FileError, parse_toml, read_text

__all__ = ["Dependency", "LockedFile", "dependencies", "locked_file", "read_lock"]

_LARGEST = 128 << 20
_HEAD = 4096
_LOCK_SUFFIXES = {".txt", ".in", ".toml", ".lock", ".json", ".yaml"}


def dependencies(path: Path, target: Target) -> list[Dependency]:
    """What a lock file asks for, what a directory has, or one file by its bytes.

    The kind of a lock file is told by its name and content.

    Args:
        path: ``requirements*.txt``, ``pylock*.toml``, ``uv.lock``, ``poetry.lock``, ``package-lock.json``,
            ``pnpm-lock.yaml``, ``yarn.lock``, a report of ``pip install --report``, what dpkg or apt list of packages,
            a directory, or any other file.
        target: Lines that are not for this platform are left out.

    Raises:
        FileError: it cannot be read, or contradicts itself.
    """
    from rebuilder.consumer.lock_files import on_disk

    if path.is_dir():
        return on_disk.read_directory(path)
    if not path.name.endswith(on_disk.PACKAGE_ENDINGS) and is_package_list(_head(path)):
        return read_packages(path, read_text(path, _LARGEST))
    if path.name.endswith(on_disk.PACKAGE_ENDINGS) or path.suffix not in _LOCK_SUFFIXES:
        return [on_disk.read_file(path)]
    return joined(read_lock(path, read_text(path, _LARGEST), target), path)


def _head(path: Path) -> str:
    """How a file begins; nothing where it cannot be read, which its reader says."""
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as opened:
            return opened.read(_HEAD).decode("utf-8", "replace")
    except OSError:
        return ""


def read_lock(path: Path, text: str, target: Target) -> list[Dependency]:
    """The lines of a lock file one by one, whatever others say of the same package.

    Raises:
        FileError: it is none, or has a mistake.
    """
    if path.suffix == ".yaml" or (path.suffix == ".lock" and "yarn" in path.name):
        from rebuilder.consumer.lock_files.node_locks import read_node_lock

        return read_node_lock(path, "yarn.lock" if path.suffix == ".lock" else "pnpm-lock.yaml", text, target)
    if path.suffix in {".toml", ".lock"}:
        from rebuilder.consumer.lock_files.python_locks import read_python_lock

        return read_python_lock(path, parse_toml(path, text), target)
    if path.suffix == ".json":
        from rebuilder.consumer.lock_files.node_locks import read_node_lock
        from rebuilder.consumer.lock_files.on_disk import read_report

        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            raise FileError(path, "This file is not JSON.") from None
        if isinstance(document, dict) and "install" in document:
            return read_report(path, document)
        return read_node_lock(path, "package-lock.json", text, target)
    from rebuilder.consumer.lock_files.requirements import read_requirements

    return read_requirements(path, text, target)
