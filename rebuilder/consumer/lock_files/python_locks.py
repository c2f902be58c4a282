"""``pylock.toml`` (PEP 751), ``uv.lock`` and ``poetry.lock``: they name every file of every package with its digest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.markers import InvalidMarker, Marker
from packaging.pylock import Package, Pylock, PylockValidationError
from packaging.utils import canonicalize_name

from rebuilder.consumer.lock_files.dependency import UNHASHED, Dependency, LockedFile, locked_file, path_name
from rebuilder.consumer.platform_files import Target
from rebuilder.toml_files import FileError

_OTHER = "It comes from a repository or a directory, not from a file."
_OWN = {"virtual", "editable"}
"""Sources of the project that a lock file belongs to."""


def read_python_lock(path: Path, document: dict[str, Any], target: Target) -> list[Dependency]:
    """The packages of a lock file that this platform installs.

    Raises:
        FileError: it is of no kind that is known, or has a mistake.
    """
    if "lock-version" in document:
        return list(_pylock(path, document, target))
    packages = document.get("package", [])
    if not isinstance(packages, list) or not all(isinstance(each, dict) for each in packages):
        raise FileError(path, "“package” is not an array of tables, as lock files have it.")
    try:
        if "metadata" in document:
            return list(_poetry(path, packages, target))
        if "version" in document:
            return list(_uv(path, document, packages, target))
    except (KeyError, TypeError, AttributeError) as error:
        raise FileError(path, f"A package in it is not written as such a lock file has it ({error}).") from None
    except InvalidMarker as error:
        raise FileError(path, f"A marker in it cannot be understood: {str(error)[:200]}.") from None
    raise FileError(path, "This is neither pylock.toml nor uv.lock nor poetry.lock.")


def _pylock(path: Path, document: dict[str, Any], target: Target) -> Iterator[Dependency]:
    try:
        lock = Pylock.from_dict(document)
    except PylockValidationError as error:
        raise FileError(path, f"This is no pylock.toml that can be used: {str(error)[:200]}.") from None
    for number, each in enumerate(lock.packages, 1):
        if target.fits(each.marker):
            version = str(each.version) if each.version is not None else None
            listed, indexed = list(_pylock_files(each)), not (each.vcs or each.directory or each.archive)
            yield _dependency(path, each.name, version, f"package {number}", listed, from_index=indexed)


def _pylock_files(package: Package) -> Iterator[LockedFile]:
    listed = [*(package.wheels or ()), *([package.sdist] if package.sdist else ())]
    for each in listed:
        yield locked_file(path_name(each.name or each.path or each.url), dict(each.hashes))
    if package.archive is not None:
        yield locked_file(path_name(package.archive.path or package.archive.url), dict(package.archive.hashes))


def _uv(path: Path, document: dict[str, Any], packages: list[dict[str, Any]], target: Target) -> Iterator[Dependency]:
    wanted = list(packages) if target.every else _reached(document.get("manifest", {}), packages, target)
    for each in wanted:
        if _OWN & each["source"].keys():
            continue
        files = [*each.get("wheels", []), *([each["sdist"]] if "sdist" in each else [])]
        listed = [locked_file(path_name(_place(file)), _hashes(file.get("hash"))) for file in files]
        if each["source"].keys() & {"git", "directory"}:
            listed = []
        place, indexed = f"package {each['name']!r}", "registry" in each["source"]
        yield _dependency(path, each["name"], each.get("version"), place, listed, from_index=indexed)


def _reached(manifest: dict[str, Any], packages: list[dict[str, Any]], target: Target) -> list[dict[str, Any]]:
    """Those that are installed here: from the projects of the lock file on, where the marker of each step holds.

    All extras and groups count, those of the projects and those of a workspace that is none itself (``manifest``): more
    may be looked at than one command installs, never less.
    """
    by_name: dict[str, list[dict[str, Any]]] = {}
    for each in packages:
        by_name.setdefault(each["name"], []).append(each)
    own = [each for each in packages if _OWN & each["source"].keys()]
    if not own:
        return packages
    found: dict[int, dict[str, Any]] = {}
    extras: set[tuple[int, str]] = set()

    def go(step: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
        marker = step.get("marker")
        if marker is not None and "extra ==" not in marker and not target.fits(Marker(marker)):
            return
        for package in by_name[step["name"]]:
            if step.get("version", package.get("version")) != package.get("version"):
                continue
            if id(package) not in found:
                found[id(package)] = package
                yield from package.get("dependencies", [])
            for extra in step.get("extra", []):
                if (id(package), extra) not in extras:
                    extras.add((id(package), extra))
                    yield from package.get("optional-dependencies", {}).get(extra, [])

    waiting: list[Mapping[str, Any]] = [
        {"name": canonicalize_name(row["name"]), "extra": row.get("extras", []), "marker": row.get("marker")}
        for rows in (manifest.get("requirements", []), *manifest.get("dependency-groups", {}).values())
        for row in rows
    ]
    for each in own:
        groups = [each.get("optional-dependencies", {}), each.get("dev-dependencies", {})]
        waiting += [
            *each.get("dependencies", []),
            *(step for group in groups for row in group.values() for step in row),
        ]
    while waiting:
        waiting += go(waiting.pop())
    return [each for each in packages if id(each) in found]


def _poetry(path: Path, packages: list[dict[str, Any]], target: Target) -> Iterator[Dependency]:
    for each in packages:
        markers = each.get("markers")
        texts = list(markers.values()) if isinstance(markers, dict) else [markers] if markers else []
        if texts and not any(target.fits(Marker(text)) for text in texts):
            continue
        files = [locked_file(path_name(file["file"]), _hashes(file.get("hash"))) for file in each.get("files", [])]
        origin = each.get("source", {}).get("type", "legacy")
        if origin in {"git", "directory"}:
            files = []
        place = f"package {each['name']!r}"
        yield _dependency(path, each["name"], each["version"], place, files, from_index=origin == "legacy")


def _dependency(
    path: Path, name: str, version: str | None, place: str, files: list[LockedFile], *, from_index: bool
) -> Dependency:
    unhashed = [each for each in files if each.digest is None]
    problem = _OTHER if not files else UNHASHED if len(unhashed) == len(files) else None
    where = f"{path.as_posix()}, {place}"
    return Dependency("pypi", canonicalize_name(name), version, where, tuple(files), problem, from_index)


def _place(file: Mapping[str, Any]) -> str | None:
    found = file.get("filename") or file.get("path") or file.get("url")
    return str(found) if found is not None else None


def _hashes(text: str | None) -> dict[str, str]:
    kind, _, digest = (text or "").partition(":")
    return {kind: digest} if digest else {}
