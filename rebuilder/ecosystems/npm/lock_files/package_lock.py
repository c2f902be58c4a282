"""``package-lock.json`` and ``npm-shrinkwrap.json`` of npm, all three versions (pure).

The layout is described in https://docs.npmjs.com/cli/configuring-npm/package-lock-json. Version 1 nests packages by
where they are installed; version 3 lists them by path; version 2 does both, for npm 6 and for npm 7, and has to say the
same twice.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

from rebuilder.ecosystems.npm.lock_files.locked import (
    LockedPackage,
    LockFileError,
    Origin,
    checked_name,
    checked_path,
    digests,
    limited,
    members,
    origin_of,
    text,
    words,
)
from rebuilder.ecosystems.npm.subject import is_version
from rebuilder.ecosystems.obstacles import quoted
from rebuilder.foreign_json import JsonLimits, UnreadableJson, read_json

_LIMITS = JsonLimits(values=3_000_000, depth=128)
_MODULES = "node_modules/"
_ALIAS = "npm:"


def read_package_lock(data: bytes) -> tuple[LockedPackage, ...]:
    """All packages but the project itself and its workspaces, in the order of the file.

    Raises:
        LockFileError: it is none, names something twice, or contradicts itself.
    """
    try:
        document = read_json(data, _LIMITS, pairs=_members)
    except UnreadableJson as reason:
        raise LockFileError(f"This lock file {reason}.") from None
    if not isinstance(document, dict):
        raise LockFileError("This is no package-lock.json: it has no packages.")
    if "packages" in document:
        listed = members(document["packages"], "packages")
        _refuse_two_minds(document, listed)
        return limited(_listed(listed))
    if "dependencies" in document:
        return limited(_nested_package(key, row) for key, row in _nested(document["dependencies"], ""))
    if "lockfileVersion" not in document:
        raise LockFileError("This is no package-lock.json: it has no packages.")
    return ()  # what npm 5 and 6 write for a project without dependencies


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; of two members of one name, one reader takes the first and another the last."""
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise LockFileError(f"It names {quoted(counts.most_common(1)[0][0])} twice.")
    return found


def _refuse_two_minds(document: dict[str, Any], listed: dict[str, Any]) -> None:
    """Make sure that a file of version 2 says the same to npm 6, which reads its other half."""
    for key, row in _nested(document.get("dependencies", {}), ""):
        same = members(listed.get(key, {}), key)
        if not same.get("link") and row.get("integrity") != same.get("integrity"):
            raise LockFileError(f"It says two things of {key}: “packages” and “dependencies” do not agree.")


def _nested(rows: Any, above: str) -> Iterator[tuple[str, dict[str, Any]]]:
    waiting = deque([(above, rows)])
    while waiting:
        above, rows = waiting.popleft()
        for name, row in members(rows, above or "dependencies").items():
            key = f"{above}{_MODULES}{checked_name(name, above or 'dependencies')}"
            yield key, members(row, key)
            if "dependencies" in row:
                waiting.append((f"{key}/", row["dependencies"]))


def _nested_package(key: str, row: dict[str, Any]) -> LockedPackage:
    """A package of version 1: its version may be an address, or the name and version it stands for."""
    name, version = key.rpartition(_MODULES)[2], text(row.get("version"), key)
    if version is not None and version.startswith(_ALIAS):
        name, _, version = version.removeprefix(_ALIAS).rpartition("@")
    reference = version or ""
    resolved = text(row.get("resolved"), key)
    return _package(key, checked_name(name, key), row, reference, resolved if is_version(reference) else reference)


def _listed(rows: dict[str, Any]) -> Iterator[LockedPackage]:
    for key, given in rows.items():
        row = members(given, key or "the project")
        if key == "":
            continue
        checked_path(key, key)
        if row.get("link") is True:
            checked_path(text(row.get("resolved"), key) or "", key)
            continue
        above, modules, installed = key.rpartition(_MODULES)
        if not modules:
            continue  # the directory of a workspace, or one that a link leads to
        if above and not above.endswith("/"):
            raise LockFileError(f"{quoted(key)} is no place of a package.")
        checked_name(installed, key)
        name = checked_name(row.get("name", installed), key)
        yield _package(key, name, row, text(row.get("version"), key) or "", text(row.get("resolved"), key))


def _package(key: str, name: str, row: dict[str, Any], version: str, address: str | None) -> LockedPackage:
    origin = origin_of(address or version)
    if origin is Origin.DIRECTORY and address is not None:
        address = checked_path(address.removeprefix("file:"), key)
    return LockedPackage(
        place=key,
        name=name,
        version=version if is_version(version) else None,
        origin=origin,
        address=address,
        digests=digests(row.get("integrity")),
        os=words(row.get("os"), key),
        cpu=words(row.get("cpu"), key),
        libc=words(row.get("libc"), key),
        optional=row.get("optional") is True or row.get("devOptional") is True,
        # What the project itself bundles is marked, too, but comes from the registry.
        bundled=(row.get("inBundle") is True or row.get("bundled") is True) and not row.get("integrity"),
    )
