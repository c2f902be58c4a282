"""``pnpm-lock.yaml``, versions 5 to 9 (pure).

Packages are keyed by name and version, with what they were resolved with behind that: ``/NAME/VERSION_PEERS`` in
version 5, ``/NAME@VERSION(PEERS)`` in version 6, ``NAME@VERSION`` in version 9
(https://github.com/pnpm/spec/tree/master/lockfile).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
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

_FIVE = re.compile(r"(?:[a-z0-9.-]+(?::[0-9]+)?)?/(?P<name>(?:@[^/@]+/)?[^/@]+)/(?P<version>[^/_@()]+)(?:_.*)?")
_LATER = re.compile(r"/?(?P<name>(?:@[^/@]+/)?[^/@]+)@(?P<version>[^()]+)(?:\(.*\))?")


def read_pnpm_lock(data: bytes) -> tuple[LockedPackage, ...]:
    """All packages but those of the project itself, in the order of the file.

    Raises:
        LockFileError: it is none, or of a version that is not known.
    """
    from rebuilder.foreign_yaml import UnreadableYaml, read_yaml  # its parser takes time to load

    try:
        documents = read_yaml(data)
    except UnreadableYaml as reason:
        raise LockFileError(f"This lock file {reason}.") from None
    # pnpm 11 puts what it needs itself into a document of its own.
    return limited(each for document in documents for each in _document(members(document, "pnpm-lock.yaml")))


def _document(document: Mapping[str, Any]) -> Iterator[LockedPackage]:
    version = text(document.get("lockfileVersion"), "lockfileVersion") or ""
    major = re.match(r"([0-9]+)(?:\.|$)", version)
    if major is None or int(major[1]) not in {5, 6, 7, 9}:
        raise LockFileError(f"Version {quoted(version)} of pnpm-lock.yaml is not read; versions 5 to 9 are.")
    optional = _optional(_members(document, "snapshots"))
    for key, row in _members(document, "packages").items():
        yield _package(key, members(row, key), _FIVE if major[1] == "5" else _LATER, optional)


def _members(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One part of it, which may be there without anything in it."""
    found = document.get(name, "")
    return {} if found == "" else members(found, name)


def _optional(snapshots: Mapping[str, Any]) -> dict[str, bool]:
    """Whether a package is only wanted where it can be had, by its key without what it was resolved with."""
    found: dict[str, bool] = {}
    for key, row in snapshots.items():
        plain = key.partition("(")[0]
        found[plain] = found.get(plain, True) and members(row, key).get("optional") == "true"
    return found


def _package(key: str, row: Mapping[str, Any], form: re.Pattern[str], optional: Mapping[str, bool]) -> LockedPackage:
    resolution = members(row.get("resolution", {}), key)
    tarball = text(resolution.get("tarball"), key)
    named = form.fullmatch(key)
    name = text(row.get("name"), key) or (named["name"] if named else key)
    version = text(row.get("version"), key) or (named["version"] if named else "")
    address = tarball
    if "repo" in resolution or resolution.get("type") == "git":
        origin, address = Origin.GIT, text(resolution.get("repo"), key)
    elif resolution.get("type") == "directory" or "directory" in resolution:
        origin, address = Origin.DIRECTORY, checked_path(text(resolution.get("directory"), key) or "", key)
    elif tarball is not None and not tarball.startswith("file:"):
        origin = origin_of(tarball)
    else:
        reference = tarball or (named["version"] if named else key)
        origin = origin_of(reference)
        if origin is Origin.DIRECTORY:
            address = checked_path(reference.removeprefix("file:"), key)
    if origin is Origin.REGISTRY:
        checked_name(name, key)
    return LockedPackage(
        place=key,
        name=name,
        version=version if is_version(version) else None,
        origin=origin,
        address=address,
        digests=digests(resolution.get("integrity")),
        os=words(row.get("os"), key),
        cpu=words(row.get("cpu"), key),
        libc=words(row.get("libc"), key),
        optional=row.get("optional") == "true" or optional.get(key, False),
    )
