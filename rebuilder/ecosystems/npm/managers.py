"""Which package manager installs what a build needs, and in which version, by rule (pure)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rebuilder.ecosystems.npm.dependencies import LockFile, Tool, find_lock
from rebuilder.ecosystems.npm.lock_files import LOCK_NAMES
from rebuilder.ecosystems.npm.node_versions import newest
from rebuilder.ecosystems.npm.subject import precedence

_NAMED = re.compile(r"(?P<tool>npm|pnpm|yarn)@(?P<version>[0-9]+\.[0-9]+\.[0-9]+(?:-[0-9A-Za-z.-]+)?)(?:\+.*)?")
_TOOLS: tuple[Tool, ...] = ("npm", "pnpm", "yarn")
_NPM_OF_NODE = {4: 2, 6: 3, 8: 6, 10: 6, 12: 6, 14: 6, 16: 8, 18: 10, 20: 10, 22: 10, 24: 11, 26: 11}
"""Series of npm that each series of Node comes with in the end (https://nodejs.org/dist/index.json)."""
_PNPM_OF_LOCK = (("9", 9), ("6.1", 8), ("6", 8), ("5.4", 7), ("5.3", 6), ("5", 5))
"""Series of pnpm that writes each form of its lock file."""
_YARN_OF_LOCK = {b"4": 2, b"5": 3, b"6": 3, b"7": 4, b"8": 4}
"""Series of Yarn from version 2 on that writes each form of its lock file."""
_YARN_LOCK_VERSION = re.compile(rb"^__metadata:\s+version:\s*(?P<version>[0-9]{1,3})\b", re.MULTILINE)
_LOCK_VERSION = re.compile(rb"^lockfileVersion:\s*['\"]?(?P<version>[0-9.]+)", re.MULTILINE)


_ALLOWED = (("pnpm", "onlyBuiltDependencies"), ("trustedDependencies",), ("lavamoat", "allowScripts"))
_MOST_ALLOWED = 50
_PLAIN = re.compile(r"(?:@[A-Za-z0-9][A-Za-z0-9._-]{0,99}/)?[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
"""A name that is nothing else to a shell, and no option."""


@dataclass(frozen=True)
class ManagerChoice:
    """A package manager, and what it installs from."""

    tool: Tool
    version: str | None
    """The exact one that the source names; None: one that fits."""
    lock: LockFile | None
    """The lock file of the source; None where it has none."""


def choose_manager(
    manifests: Sequence[Mapping[str, Any] | None], locks: Mapping[str, bytes], directory: str
) -> ManagerChoice:
    """The package manager that a source is made for: the one it names, else the one whose lock file is nearest.

    Args:
        manifests: The package.json of the package, and that of the repository; hostile.
        locks: Lock files by path.
        directory: Of the package.
    """
    for manifest in manifests:
        named = manifest.get("packageManager") if manifest is not None else None
        found = _NAMED.fullmatch(named) if isinstance(named, str) and len(named) < 400 else None
        if found is not None:
            tool = next(each for each in _TOOLS if each == found["tool"])
            return ManagerChoice(tool, found["version"], _lock(locks, directory, tool))
    having = [(tool, lock) for tool in _TOOLS if (lock := _lock(locks, directory, tool)) is not None]
    if having:
        tool, lock = max(having, key=lambda each: len(each[1].directory))
        return ManagerChoice(tool, None, lock)
    return ManagerChoice("npm", None, None)


def _lock(locks: Mapping[str, bytes], directory: str, tool: Tool) -> LockFile | None:
    return find_lock(locks, directory, tool) if tool in LOCK_NAMES else None


def fitting_version(choice: ManagerChoice, node: str, versions: Sequence[str]) -> str | None:
    """A version that runs on a Node and reads the lock file; None where there is none among those that can be had.

    Args:
        choice: What :func:`choose_manager` gave.
        node: Version of the Node.
        versions: Of the package manager.
    """
    if choice.version is not None:
        return choice.version if choice.version in versions else None
    if choice.tool == "npm":
        return newest(versions, npm_series(node))
    lock = choice.lock.data if choice.lock is not None else b""
    if choice.tool == "yarn":
        later = _YARN_LOCK_VERSION.search(lock)
        return newest(versions, _YARN_OF_LOCK.get(later["version"], 4) if later is not None else 1)
    found = _LOCK_VERSION.search(lock)
    written = found["version"].decode() if found is not None else "9"
    series = next((series for form, series in _PNPM_OF_LOCK if f"{written}.".startswith(f"{form}.")), 9)
    return newest(versions, series)


def allowed_scripts(manifests: Sequence[Mapping[str, Any] | None]) -> list[str]:
    """Packages whose scripts of installation a source allows by their names, in the fields of pnpm, Bun and LavaMoat.

    Args:
        manifests: The package.json of the package, and that of the repository; hostile.
    """
    found: list[Any] = []
    for manifest in manifests:
        for path in _ALLOWED:
            listed: Any = manifest
            for key in path:
                listed = listed.get(key) if isinstance(listed, Mapping) else None
            allowed = (
                [each for each, allows in listed.items() if allows is True] if isinstance(listed, dict) else listed
            )
            found += allowed if isinstance(allowed, list) else []
    return sorted({each for each in found if isinstance(each, str) and _PLAIN.fullmatch(each)})[:_MOST_ALLOWED]


def npm_series(node: str) -> int:
    """The series of npm that a Node comes with."""
    major = precedence(node)[0][0]
    return _NPM_OF_NODE[max((each for each in _NPM_OF_NODE if each <= major), default=4)]
