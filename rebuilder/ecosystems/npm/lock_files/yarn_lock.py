"""``yarn.lock`` (pure): the format of Yarn 1 looks like YAML and is none; that of later versions is YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from rebuilder.ecosystems.npm.lock_files.locked import (
    Digest,
    LockedPackage,
    LockFileError,
    Origin,
    checked_name,
    digests,
    limited,
    members,
    origin_of,
    text,
)
from rebuilder.ecosystems.npm.subject import is_version
from rebuilder.ecosystems.obstacles import quoted

_FIRST = re.compile(rb"\A(?:#[^\n]*\n|\s)*#[ \t]*yarn lockfile v1\b")
_WORD = r'(?:"(?:[^"\\\x00-\x1f]|\\.)*"|[^\s":,#][^\s":,]*(?::[^\s":,]+)*)'
_HEAD = re.compile(rf"(?P<names>{_WORD}(?:, {_WORD})*):")
_MEMBER = re.compile(rf"  (?P<name>{_WORD}) (?P<value>{_WORD})")
_SECTION = re.compile(rf"  {_WORD}:")
_INNER = re.compile(rf"    {_WORD} {_WORD}")
_LONGEST_LINE = 100_000
_DESCRIPTOR = re.compile(r"(?P<name>(?:@[^/@]+/)?[^/@]+)@(?P<reference>.*)", re.DOTALL)
_CONDITION = re.compile(r"\(?(os|cpu|libc)=([A-Za-z0-9_!-]+)\)?")


def read_yarn_lock(data: bytes) -> tuple[LockedPackage, ...]:
    """All packages but those of the project itself, in the order of the file.

    Raises:
        LockFileError: it is none, or has something that Yarn does not write.
    """
    if _FIRST.match(data):
        return limited(_first(data))
    from rebuilder.foreign_yaml import UnreadableYaml, read_yaml  # its parser takes time to load

    try:
        documents = read_yaml(data)
    except UnreadableYaml as reason:
        raise LockFileError(f"This lock file {reason}.") from None
    document = members(documents[0] if len(documents) == 1 else None, "yarn.lock")
    if "__metadata" not in document:
        raise LockFileError("This is no yarn.lock: it says neither “yarn lockfile v1” nor “__metadata”.")
    rows = ((key, members(row, key)) for key, row in document.items() if key != "__metadata")
    return limited(found for key, row in rows if (found := _later(key, row)) is not None)


def _first(data: bytes) -> Iterator[LockedPackage]:
    try:
        lines = data.decode("utf-8").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError:
        raise LockFileError("This lock file is not text in UTF-8.") from None
    names: list[str] = []
    row: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        head = _HEAD.fullmatch(line) if len(line) <= _LONGEST_LINE else None
        if head is not None:
            if names:
                yield _first_package(names, row)
            names, row = [_plain(each) for each in re.findall(_WORD, head["names"])], {}
        elif names and (member := _MEMBER.fullmatch(line)) is not None:
            name = _plain(member["name"])
            if name in row:
                raise LockFileError(f"Line {number} says {quoted(name)} a second time.")
            row[name] = _plain(member["value"])
        elif not names or (_SECTION.fullmatch(line) is None and _INNER.fullmatch(line) is None):
            raise LockFileError(f"Line {number} is none of a yarn.lock: {quoted(line)}.")
    if names:
        yield _first_package(names, row)


def _plain(word: str) -> str:
    """A word without its quotation marks; the only escapes that names and addresses have are those of these marks."""
    return re.sub(r"\\(.)", r"\1", word[1:-1]) if word.startswith('"') else word


def _first_package(names: list[str], row: Mapping[str, str]) -> LockedPackage:
    place = ", ".join(names)
    wanted = {_target(each) for each in names}
    if len({name for name, _ in wanted}) != 1:
        raise LockFileError(f"{quoted(place)} names several packages at once.")
    name, reference = min(wanted)
    resolved, version = row.get("resolved"), row.get("version", "")
    fragment = (resolved or "").partition("#")[2]
    origin = origin_of(resolved.partition("#")[0] if resolved else version if _is_range(reference) else reference)
    found = digests(row.get("integrity"))
    if not found and re.fullmatch("[0-9a-f]{40}", fragment) and origin is Origin.REGISTRY:
        found = (Digest("sha1", fragment),)
    if origin is Origin.DIRECTORY:
        resolved = reference.partition(":")[2] or reference
    return LockedPackage(
        place=place,
        name=checked_name(name, place),
        version=version if is_version(version) else None,
        origin=origin,
        address=resolved,
        digests=found,
    )


def _target(descriptor: str) -> tuple[str, str]:
    """Name and range that a descriptor asks for, whatever it is installed as."""
    found = _DESCRIPTOR.fullmatch(descriptor)
    if found is None:
        return descriptor, ""
    name, reference = found["name"], found["reference"]
    if reference.startswith("npm:") and (alias := _DESCRIPTOR.fullmatch(reference.removeprefix("npm:"))) is not None:
        return alias["name"], alias["reference"]
    return name, reference


def _is_range(reference: str) -> bool:
    """Whether a reference is a range or a tag, so that a registry has what it asks for."""
    return ":" not in reference and "/" not in reference


def _later(key: str, row: Mapping[str, Any]) -> LockedPackage | None:
    """A package of Yarn 2 and later: its checksum is of an archive that Yarn makes; the registry binds the tarball."""
    resolution = _DESCRIPTOR.fullmatch(text(row.get("resolution"), key) or "")
    if resolution is None:
        raise LockFileError(f"{quoted(key)} does not say what it was resolved to.")
    name, reference = resolution["name"], resolution["reference"]
    protocol, _, rest = reference.partition(":")
    if protocol in {"workspace", "link", "portal"}:
        return None
    version = rest.partition("::")[0]
    if protocol == "npm":
        origin, address = Origin.REGISTRY if is_version(version) else Origin.ADDRESS, None
    elif protocol in {"patch", "file"}:
        origin, address = Origin.DIRECTORY, ""  # what is patched has an entry of its own
    else:
        origin, address = (Origin.GIT if "commit=" in reference else origin_of(reference)), reference
    conditions = [found.groups() for found in _CONDITION.finditer(text(row.get("conditions"), key) or "")]
    machines = {kind: tuple(value for each, value in conditions if each == kind) for kind in ("os", "cpu", "libc")}
    return LockedPackage(
        place=key,
        name=checked_name(name, key) if origin is Origin.REGISTRY else name,
        version=version if is_version(version) else None,
        origin=origin,
        address=address,
        os=machines["os"],
        cpu=machines["cpu"],
        libc=machines["libc"],
        optional=bool(conditions),
    )
