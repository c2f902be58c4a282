"""Debian packages that are installed, and lists of an archive: which file each package came from.

dpkg keeps no digest of what it installed. The lists that apt verified and keeps on this machine have one for each name,
version and architecture; an archive never gives one of these to other bytes. Where two archives do, nobody knows which
it was.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

from rebuilder import deb822
from rebuilder.consumer.lock_files.dependency import Dependency, LockedFile
from rebuilder.ecosystems.debian.installed import ListedPackage, is_package_list, packages_in
from rebuilder.ecosystems.debian.subject import ECOSYSTEM, file_name
from rebuilder.model.value import Sha256, is_sha256

__all__ = ["is_package_list", "read_packages"]

_NAME = re.compile(rb"Package: *(\S+)")
_FIELDS = re.compile(r"^(Version|Architecture|SHA256): *(\S+)$", re.MULTILINE)
_UNLISTED = "No list of apt on this machine has its SHA-256: it is of an earlier version, or of no archive."
_TWICE = "Two archives have different files of this version: which one was installed is not known."

Known = Mapping[tuple[str, str], Collection[tuple[str, Sha256]]]
"""Architecture and digest of each file, by name and version."""


def read_packages(path: Path, text: str, lists: Path | None = None) -> list[Dependency]:
    """The packages of a list that dpkg or apt wrote.

    Args:
        path: For messages.
        text: For which :func:`is_package_list` holds.
        lists: Directory of apt's lists; None: where apt on this machine has them.

    Raises:
        FileError: it has a mistake.
    """
    found = list(packages_in(path, text))
    missing = {each.name for each in found if each.sha256 is None}
    known = _known(lists, missing) if missing else {}
    return [_dependency(path, each, known) for each in found]


def _dependency(path: Path, package: ListedPackage, known: Known) -> Dependency:
    place = f"{path.as_posix()}, {package.name}"
    listed = {(package.architecture or "all", package.sha256)} if package.sha256 is not None else set()
    for architecture, sha256 in known.get((package.name, package.version), ()) if not listed else ():
        if package.architecture in {None, architecture}:
            listed.add((architecture, sha256))
    files = tuple(
        LockedFile(file_name(package.name, package.version, architecture), sha256)
        for architecture, sha256 in sorted(listed)
    )
    problem = _UNLISTED if not files else _TWICE if len(files) > 1 else None
    one = files if len(files) == 1 else ()
    return Dependency(ECOSYSTEM, package.name, package.version, place, one, problem, any_file=True)


def _known(lists: Path | None, names: Collection[str]) -> Known:
    """The digests that apt's lists have of some packages."""
    from rebuilder.environments import sources

    lists = lists or sources.lists(sources.apt_settings())
    wanted = {name.encode() for name in names}
    found: dict[tuple[str, str], set[tuple[str, Sha256]]] = defaultdict(set)
    for file in sorted(lists.glob("*_Packages*")) if lists.is_dir() else ():
        for stanza in deb822.stanzas(sources.read_list(file)):
            name = _NAME.match(stanza)
            if name is None or name[1] not in wanted:
                continue
            fields = dict(_FIELDS.findall(stanza.decode("utf-8", "replace")))
            if len(fields) == 3 and is_sha256(fields["SHA256"]):
                file_of = (fields["Architecture"], Sha256(fields["SHA256"]))
                found[name[1].decode(), fields["Version"]].add(file_of)
    return found
