"""What is dangerous about the members of an archive: sentences for a person, whatever the format."""

from __future__ import annotations

import posixpath
import re
import stat
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from rebuilder.programs.archive.reading import examples, shown


def dangers(members: Sequence[Any], *, rooted: bool = False) -> list[str]:
    """Sentences about names, links, types and modes that a careless reader would be harmed by.

    Args:
        members: Values with ``name``, ``kind``, ``link`` and ``mode``.
        rooted: They are unpacked at the root of a system, so that no link leads out of it.
    """
    checks = (
        ("has an absolute name", "have an absolute name", lambda each: _absolute(each.name)),
        (
            "has a name that climbs out with “..”",
            "have a name that climbs out with “..”",
            lambda each: ".." in re.split(r"[/\\]", each.name),
        ),
        ("has an empty name", "have an empty name", lambda each: not each.name.strip("/")),
        (
            "has a name with control or invisible characters",
            "have a name with control or invisible characters",
            lambda each: not each.name.isprintable(),
        ),
        ("has a backslash in its name", "have a backslash in its name", lambda each: "\\" in each.name),
        (
            "has a link target outside the archive",
            "have a link target outside the archive",
            lambda each: not rooted and _escapes(each),
        ),
        ("is a device", "are devices", lambda each: each.kind == "device"),
        ("is a named pipe", "are named pipes", lambda each: each.kind == "fifo"),
        ("has a set-user-id or set-group-id bit", "have a set-user-id or set-group-id bit", _privileged),
    )
    sentences = []
    for one, several, check in checks:
        found = [each.name for each in members if check(each)]
        if found:
            sentences.append(_sentence(found, one, several))
    counts = Counter(plain_name(each.name) for each in members if each.kind != "directory")
    sentences.extend(_several("The same name occurs more than once", [name for name, n in counts.items() if n > 1]))
    sentences.extend(_several("A member lies below another that is not a directory", below_non_directories(members)))
    return sentences


def plain_name(name: str) -> str:
    """The path a name leads to once ``.``, ``//`` and the like are resolved."""
    return posixpath.normpath(name.lstrip("/") or ".")


def below_non_directories(members: Iterable[Any]) -> list[str]:
    """Names of members whose path goes through a member that is a file or a link."""
    members = list(members)
    solid = {plain_name(each.name) for each in members if each.kind != "directory"}
    found = []
    checked: dict[str, bool] = {}
    for each in members:
        parent = posixpath.dirname(plain_name(each.name))
        if parent not in checked:
            checked[parent] = any(step in solid for step in _steps(parent))
        if checked[parent]:
            found.append(each.name)
    return found


def implied_directories(members: Sequence[Any]) -> set[str]:
    """Paths, resolved, that are directories because members lie below them, and are nothing else besides."""
    parents = {posixpath.dirname(plain_name(each.name)) for each in members}
    found = {step for parent in parents for step in _steps(parent)}
    return found - {plain_name(each.name) for each in members if each.kind != "directory"}


def _steps(path: str) -> Iterable[str]:
    while path not in {"", "/", "."}:
        yield path
        path = posixpath.dirname(path)


def _absolute(name: str) -> bool:
    return name.startswith(("/", "\\")) or bool(re.match(r"[A-Za-z]:", name))


def _escapes(member: Any) -> bool:
    if member.link is None:
        return False
    if _absolute(member.link):
        return True
    base = posixpath.dirname(member.name) if member.kind == "symlink" else ""
    return posixpath.normpath(posixpath.join(base, member.link)).split("/")[0] == ".."


def _privileged(member: Any) -> bool:
    return bool((member.mode or 0) & (stat.S_ISUID | stat.S_ISGID)) and member.kind != "directory"


def _sentence(names: Sequence[str], one: str, several: str) -> str:
    if len(names) == 1:
        return f"“{shown(names[0])}” {one}."
    return f"{len(names):,} members {several}: {examples(names)}."


def _several(what: str, names: Sequence[str]) -> list[str]:
    return [f"{what}: {examples(names)}."] if names else []
