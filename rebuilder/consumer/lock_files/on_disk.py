"""Files on disk, and installed environments: what can honestly be said of which file was installed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from importlib.metadata import Distribution, DistributionFinder, MetadataPathFinder
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from rebuilder.consumer.lock_files.dependency import Dependency, LockedFile, locked_file, path_name
from rebuilder.model.value import Sha256
from rebuilder.toml_files import FileError

PACKAGE_ENDINGS = (".whl", ".tar.gz", ".tgz", ".zip", ".tar.bz2", ".tar.xz", ".deb", ".gem", ".crate")
_UNKNOWN = (
    "Nothing that was installed says from which file: the digest of a wheel is not kept. Check its lock file, or what "
    "`pip install --report` wrote."
)
_MADE_HERE = "It was installed from a directory or a repository, not from a file."


def read_file(path: Path) -> Dependency:
    """A file by its bytes.

    Raises:
        FileError: it cannot be read.
    """
    try:
        with path.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise FileError(path, f"This file cannot be read: {error.strerror}.") from None
    return Dependency("", path.name, None, str(path), (LockedFile(path.name, Sha256(digest)),), any_file=True)


def read_directory(path: Path) -> list[Dependency]:
    """What is installed in a virtual environment or a directory of packages; otherwise the package files in it.

    Raises:
        FileError: it has neither.
    """
    places = [each.parent for each in path.glob("*.dist-info")][:1]
    if (path / "pyvenv.cfg").is_file():
        places = [*path.glob("lib/python*/site-packages"), *path.glob("Lib/site-packages")][:1]
    if places:
        context = DistributionFinder.Context(path=[str(places[0])])
        found = [_installed(each) for each in MetadataPathFinder.find_distributions(context)]
        return sorted(found, key=lambda each: each.name)
    files = sorted(each for each in path.iterdir() if each.name.endswith(PACKAGE_ENDINGS) and each.is_file())
    if not files:
        raise FileError(path, "This directory is no environment of Python, and has no files of packages.")
    return [read_file(each) for each in files]


def _installed(distribution: Distribution) -> Dependency:
    name = canonicalize_name(distribution.metadata["Name"] or "unknown")
    place = f"installed {name}"
    # direct_url.json (PEP 610): installed by its address. provenance_url.json (PEP 710): from an index.
    for document in ("provenance_url.json", "direct_url.json"):
        try:
            said = json.loads(distribution.read_text(document) or "null")
        except ValueError:
            continue
        if isinstance(said, dict):
            files = tuple(_archive(said))
            return Dependency("pypi", name, distribution.version, place, files, None if files else _MADE_HERE)
    return Dependency("pypi", name, distribution.version, place, problem=_UNKNOWN)


def read_report(path: Path, document: dict[str, Any]) -> list[Dependency]:
    """What ``pip install --report`` wrote: exactly the files that were, or are to be, installed.

    Raises:
        FileError: it is none.
    """
    try:
        return [_reported(path, each) for each in document["install"]]
    except (KeyError, TypeError, AttributeError):
        raise FileError(path, "This is no report of pip that can be used.") from None


def _reported(path: Path, row: dict[str, Any]) -> Dependency:
    name = canonicalize_name(row["metadata"]["name"])
    files = tuple(_archive(row["download_info"]))
    problem = None if files else _MADE_HERE
    version = row["metadata"]["version"]
    return Dependency("pypi", name, version, f"{path.as_posix()}, {name}", files, problem, any_file=True)


def _archive(said: dict[str, Any]) -> Iterator[LockedFile]:
    archive = said.get("archive_info")
    if not isinstance(archive, dict):
        return
    kind, _, digest = str(archive.get("hash") or "").partition("=")
    hashes = archive.get("hashes") or {kind: digest}
    found = locked_file(path_name(str(said.get("url") or "")), hashes if isinstance(hashes, dict) else {})
    if found.digest is not None:
        yield found
