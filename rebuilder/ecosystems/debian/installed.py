"""Lists of Debian packages that people have: of what is installed, of an archive, or just of names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rebuilder import deb822
from rebuilder.ecosystems.debian.subject import is_architecture, is_name
from rebuilder.ecosystems.debian.version import is_version
from rebuilder.model.value import Sha256, is_sha256
from rebuilder.toml_files import FileError

_STANZAS = re.compile(r"\s*Package: ?[a-z0-9]")
_ROW = re.compile(
    r"(?P<state>[a-z][A-Za-z])[A-Z ]? +(?P<name>[a-z0-9][a-z0-9+.-]+)(?::[a-z0-9-]+)? +(?P<version>\S+)"
    r" +(?P<architecture>\S+)(?: .*)?"
)
"""``dpkg -l``."""
_PAIR = re.compile(r"(?P<name>[a-z0-9][a-z0-9+.-]+)(?::(?P<architecture>[a-z0-9-]+))?\t(?P<version>\S+)")
"""``dpkg-query -W``."""
_LISTED = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9+.-]+)/\S+ (?P<version>\S+) (?P<architecture>\S+)(?P<installed> \[.*\])?"
)
"""``apt list``."""
_HEADS = ("Desired=Unknown/Install", "| Status=", "|/ Err?=", "||/ Name", "+++-", "Listing...")
_HEAD = 4096


class ListedPackage(NamedTuple):
    """One line or stanza of such a list."""

    name: str
    version: str
    architecture: str | None
    sha256: Sha256 | None
    """Of the ``.deb``; only the list of an archive has it."""
    line: int
    """Where it stands; the number of the stanza in a list of stanzas."""


def is_package_list(text: str) -> bool:
    """Whether a text begins as one of the lists that dpkg and apt write, and nothing else does."""
    head = text[:_HEAD]
    first = next((line for line in head.split("\n") if line.strip()), "")
    return (
        _STANZAS.match(head) is not None
        or first.startswith(_HEADS)
        or any(each.fullmatch(first) for each in (_ROW, _PAIR, _LISTED))
    )


def packages_in(path: Path, text: str) -> Iterator[ListedPackage]:
    """What is installed by a list of dpkg's, or what the list of an archive has.

    Raises:
        FileError: a line or a stanza is none.
    """
    if _STANZAS.match(text):
        yield from _of_stanzas(path, text)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith(_HEADS):
            continue
        found = next((match for each in (_ROW, _PAIR, _LISTED) if (match := each.fullmatch(line.rstrip()))), None)
        if found is None:
            raise FileError(path, f"This line is none of a list of packages: {line[:80]!r}.", number)
        given = found.groupdict()
        if given.get("state", "ii")[1:2] != "i" or (
            "installed" in given and "installed" not in (given["installed"] or "")
        ):
            continue
        yield _checked(path, ListedPackage(given["name"], given["version"], given["architecture"], None, number))


def _of_stanzas(path: Path, text: str) -> Iterator[ListedPackage]:
    for number, stanza in enumerate(deb822.stanzas(text.encode()), 1):
        try:
            fields = deb822.fields(stanza)
        except deb822.MalformedStanzaError as error:
            raise FileError(path, f"Its entry {number} is no entry of a list of packages: {error}.") from None
        if not fields.get("status", "ok installed").endswith(" installed"):
            continue
        sha256 = fields.get("sha256", "")
        yield _checked(
            path,
            ListedPackage(
                fields.get("package", ""),
                fields.get("version", ""),
                fields.get("architecture"),
                Sha256(sha256) if is_sha256(sha256) else None,
                number,
            ),
        )


def _checked(path: Path, found: ListedPackage) -> ListedPackage:
    known = found.architecture is None or is_architecture(found.architecture)
    if not is_name(found.name) or not is_version(found.version) or not known:
        shown = f"{found.name} {found.version} {found.architecture}"[:120]
        raise FileError(path, f"This is no package with a version: {shown!r}.", found.line)
    return found
