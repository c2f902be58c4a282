"""A package in a commit: its directory, its package.json, its lock files, and what the release has besides."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from rebuilder.ecosystems.inspection import exactly, inspect, read_texts
from rebuilder.ecosystems.npm.context import PlanningContext
from rebuilder.ecosystems.npm.lock_files import FORMATS
from rebuilder.ecosystems.npm.tarball import MANIFEST, list_tarball, read_manifest
from rebuilder.ecosystems.obstacles import source_lacks, unsupported
from rebuilder.ecosystems.source_trees import CheckedOut, archive_input
from rebuilder.model.definition import Input
from rebuilder.model.evidence import Evidence, Inspection, MemberKind, Obstacle, normal_path
from rebuilder.model.graph import SourceCommit
from rebuilder.model.project import ProjectTree
from rebuilder.model.value import canonical_json, sha256_hex

_MOST_MANIFESTS = 150
_LARGEST = 1 << 20
"""Bytes of a package.json."""
_LONGEST = 16 << 20
"""Bytes of a lock file."""
_TEXTS = (MANIFEST, ".npmrc", ".nvmrc", ".node-version", ".github/workflows/*.yml", ".github/workflows/*.yaml")
"""At the top of a repository."""
_NOT_PACKAGES = frozenset({"node_modules", "test", "tests", "fixtures", "__fixtures__", "examples", "example"})


@dataclass(frozen=True)
class Checkout:
    """A package in a commit."""

    tree: CheckedOut
    directory: str
    """Of the package in the repository; empty when it is the repository."""
    manifest: Mapping[str, Any]
    """Its package.json; hostile."""
    above: Mapping[str, Any] | None
    """The package.json of the repository, where that is another one."""
    texts: Mapping[str, str]
    """Files at the top of the repository that say how it is built, by path."""
    locks: Mapping[str, bytes]
    """Lock files in the directory of the package and above it, by path."""
    lacks: tuple[str, ...]
    """Members of the release that the commit does not have, without ``package/``, in order of their names."""
    changed: tuple[str, ...]
    """Members that the commit has with other content; with CRLF for LF alone where :attr:`windows` is set."""
    windows: bool
    """Whether most of what is otherwise than in the commit has CRLF, as a checkout on Windows makes it."""
    committed: datetime
    missing: Obstacle | None
    """What of the release the commit only refers to, where that cannot be had."""
    files: Input
    """All files of the commit."""
    version: str | None
    """That of the release, where a tag of it, or an attestation, names the commit and its package.json has another."""
    packages: tuple[str, ...]
    """Directories with a package.json that is none of a test, those nearest to the top first."""


def read_checkout(context: PlanningContext, evidence: Evidence, commit: SourceCommit) -> Checkout:
    """Find the package in the commit: where its origin says, else by the package.json of its name.

    Raises:
        NotRebuildable: the commit has no package.json of that name.
    """
    archive, directory = archive_input(commit.tree), commit.origin.directory
    [listing] = inspect(context, [archive], texts=_TEXTS)
    if not listing.readable:
        raise unsupported(f"The files of the commit {commit.tree.commit.sha} cannot be listed.")
    texts = {normal_path(name): text for name, text in listing.texts.items()}
    at_top = read_manifest(texts.get(MANIFEST, ""))
    name = evidence.artifact.name
    found: tuple[str, dict[str, Any]] | None
    if not directory and at_top is not None and at_top.get("name") == name:
        found = "", at_top
    else:
        found = _below(context, archive, listing, name, directory)
    if found is None:
        said = f"{directory}/{MANIFEST}" if directory else MANIFEST
        large = next((each.size for each in listing.members if normal_path(each.name) == said), 0)
        why = (
            f"has a {said} of {large:,} bytes: none so large is read"
            if large > _LARGEST
            else f"has no {MANIFEST} of {name}"
        )
        raise unsupported(f"The commit {commit.tree.commit.sha} {why}.")
    place, manifest = found
    published = evidence.artifact_inspection
    lacks, changed = _compared(published, listing, place)
    crlf = {path for path, file in list_tarball(context, evidence.artifact.file).installed.items() if file.unix_blob}
    windows = 2 * len(crlf.intersection(changed)) > len(changed)
    return Checkout(
        tree=replace(CheckedOut.of(commit.tree, tag=commit.origin.tag, top=place, shallow=True), windows=windows),
        directory=place,
        manifest=manifest,
        above=at_top if place else None,
        texts=texts,
        locks=_locks(context, archive, listing, place),
        lacks=lacks,
        changed=tuple(each for each in changed if not (windows and each in crlf)),
        windows=windows,
        committed=commit.tree.commit.committed_at,
        missing=source_lacks(commit.tree, published, "tarball", below=place) if published is not None else None,
        files=archive,
        version=_other_version(evidence, commit, manifest),
        packages=tuple(posixpath.dirname(path) for path in _manifests(listing)),
    )


def own_checkout(context: PlanningContext, tree: ProjectTree) -> Checkout:
    """A package that is not released yet, in the tree of whoever is going to.

    Raises:
        NotRebuildable: its package.json cannot be read, or names no package.
    """
    if tree.checkout is None:
        raise unsupported(f"The repository of {tree.name} is damaged.")
    archive, below = archive_input(tree.checkout), f"{tree.top}/" if tree.top else ""
    [listing] = inspect(context, [archive], texts=tuple(f"{below}{each}" for each in _TEXTS))
    texts = {normal_path(name).removeprefix(below): text for name, text in listing.texts.items()}
    manifest = read_manifest(texts.get(MANIFEST, ""))
    if manifest is None:
        raise unsupported(f"{MANIFEST} of {tree.name} is no JSON object: mend it first.")
    if not all(isinstance(manifest.get(each), str) for each in ("name", "version")):
        raise unsupported(f"{MANIFEST} of {tree.name} names no package and version.")
    return Checkout(
        tree=CheckedOut.of(tree.checkout, top=tree.top),
        directory=tree.top,
        manifest=manifest,
        above=None,
        texts=texts,
        locks=_locks(context, archive, listing, tree.top),
        lacks=(),
        changed=(),
        windows=False,
        committed=tree.checkout.commit.committed_at,
        missing=None,
        files=archive,
        version=None,
        packages=(),
    )


def _below(
    context: PlanningContext, archive: Input, listing: Inspection, name: str, directory: str | None
) -> tuple[str, dict[str, Any]] | None:
    """The directory of a package and its package.json: where somebody says, else the nearest to the top of its name."""
    said = f"{directory}/{MANIFEST}"
    there = directory and any(normal_path(each.name) == said for each in listing.members)
    paths = [said] if there else _manifests(listing)
    found = manifests(context, archive, paths)
    return next(((place, each) for place, each in found.items() if each.get("name") == name), None)


def _other_version(evidence: Evidence, commit: SourceCommit, manifest: Mapping[str, Any]) -> str | None:
    version, origin = evidence.artifact.version, commit.origin
    return version if manifest.get("version") != version and (origin.tag is not None or origin.attested) else None


def _manifests(listing: Inspection) -> list[str]:
    """Every package.json below the top that is none of a test, the nearest first; where there are none, all."""
    paths = [path for each in listing.members if (path := normal_path(each.name)).endswith(f"/{MANIFEST}")]
    paths = [path for path in paths if not _NOT_PACKAGES & set(path.split("/"))] or paths
    return sorted(paths, key=lambda path: (path.count("/"), path))[:_MOST_MANIFESTS]


def manifests(context: PlanningContext, archive: Input, paths: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What each package.json of a commit says, by its directory; one that cannot be read is left out.

    Raises:
        NotRebuildable: reading them did not come to an end.
    """
    if not paths:
        return {}
    [read] = inspect(context, [archive], texts=[exactly(path) for path in paths])
    found = {posixpath.dirname(path): read_manifest(read.texts.get(path, "")) for path in paths}
    return {place: manifest for place, manifest in found.items() if manifest is not None}


def _compared(
    published: Inspection | None, listing: Inspection, directory: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What of the release the commit does not have, and what it has otherwise."""
    below = f"{directory}/" if directory else ""
    here = {
        path.removeprefix(below): each.sha256
        for each in listing.members
        if (path := normal_path(each.name)).startswith(below) and each.kind is MemberKind.FILE
    }
    members = {
        normal_path(each.name).partition("/")[2]: each.sha256
        for each in (published.members if published is not None else ())
        if each.kind is MemberKind.FILE
    }
    lacks = sorted(name for name in members if name not in here)
    changed = sorted(name for name, sha256 in members.items() if here.get(name, sha256) != sha256)
    return tuple(lacks), tuple(changed)


def _locks(context: PlanningContext, archive: Input, listing: Inspection, directory: str) -> dict[str, bytes]:
    """Lock files in a directory and above it."""
    known = {normal_path(each.name): each for each in listing.members}
    places = [directory]
    while places[-1]:
        places.append(posixpath.dirname(places[-1]))
    wanted = [path for place in places for name in FORMATS if (path := posixpath.join(place, name)) in known]
    return _read_files(context, archive, wanted) if wanted else {}


def _read_files(context: PlanningContext, archive: Input, paths: Sequence[str]) -> dict[str, bytes]:
    """Whole files of a commit, read inside the sandbox and kept among the blobs."""
    question = {
        "files": archive.sha256,
        "paths": list(paths),
        "program": context.programs.program_input("archive").sha256,
    }
    key = sha256_hex(canonical_json(question))
    known = context.memo.get(key)
    if not isinstance(known, dict) or not all(context.blobs.has(str(each)) for each in known.values()):
        read = read_texts(context, archive, paths, _LONGEST)
        known = {normal_path(name): context.blobs.put(text.encode()) for name, text in read.items()}
        context.memo.put(key, known)
    return {path: context.blobs.read(sha256) for path, sha256 in known.items()}
