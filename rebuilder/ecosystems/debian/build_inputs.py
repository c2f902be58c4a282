"""What a build of a Debian source package is made from: its files, and the environment with its build dependencies."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

from rebuilder.ecosystems.debian.archive import SignedRelease
from rebuilder.ecosystems.debian.build_dependencies import Resolution
from rebuilder.ecosystems.debian.context import PlanningContext
from rebuilder.ecosystems.debian.index import IndexedFile, SourceName, SourcePackage, source_package, written_dsc
from rebuilder.ecosystems.debian.snapshot import UNNAMED
from rebuilder.ecosystems.obstacles import NotRebuildable, unsupported
from rebuilder.ecosystems.unavailable_inputs import unavailable
from rebuilder.environments.protocol import BuildEnvironment, LayerPackage
from rebuilder.environments.sources import without_password
from rebuilder.errors import (
    FileGoneError,
    InstallationLimitError,
    PackageInstallationError,
    UsageError,
)
from rebuilder.model.definition import Input, Role
from rebuilder.model.diagnosis import Cause
from rebuilder.model.environment import Package, Release
from rebuilder.model.verdict import Verdict

PLACE = "/inputs/source"
"""Directory of the files of a source package in a build."""
_AT_ONCE = 8
"""Packages that are fetched at the same time."""


class SourceFiles(NamedTuple):
    """The files of a source package."""

    inputs: tuple[Input, ...]
    """Below :data:`PLACE`, by their names."""
    dsc: Input
    """The one of them that describes the others."""
    notes: tuple[str, ...] = ()
    """What a report has to say about them, one sentence each."""


def source_files(context: PlanningContext, source: SourcePackage, release: SignedRelease) -> SourceFiles:
    """Fetch what a source package consists of.

    Its ``.dsc`` is written from the signed list where it is not to be had.

    Raises:
        NotRebuildable: a file of it is not to be had, or too large.
        UnavailableError: a mirror does not answer, or has other bytes than the archive signed.
    """
    described = source.dsc
    wanted = [each for each in source.files if each != described]
    for each in wanted:
        check_size(each, context.max_file_bytes)
    places = _all_fetched(context, [(_address(context, release, each), each, source) for each in wanted])
    if missing := [each for each, place in zip(wanted, places, strict=True) if place is None]:
        what = f"The source package {source.name} {source.version} is"
        raise unavailable_files(what, [each.name for each in missing], _that_bind(context, source, release))
    inputs = [_input(each, place) for each, place in zip(wanted, places, strict=True) if place is not None]
    notes: tuple[str, ...] = ()
    address = _address(context, release, described) if described is not None else ""
    if described is not None and (place := _fetched(context, address, described, source)) is not None:
        dsc = _input(described, place)
    else:
        name = described.name if described is not None else f"{source.name}.dsc"
        dsc = Input(role=Role.SOURCE, name=name, sha256=context.blobs.put(written_dsc(source)), path=f"{PLACE}/{name}")
        notes = (f"{name} is not to be had; it was written from what the signed list says of the source package.",)
    return SourceFiles((dsc, *inputs), dsc, notes)


def environment(context: PlanningContext, base: BuildEnvironment, resolution: Resolution) -> BuildEnvironment:
    """The build environment with the packages that were chosen installed; fetched and made where it is not here yet.

    Raises:
        NotRebuildable: a package is not to be had any more, or cannot be installed by what it does itself, or the
            environment would have to lose one.
        UnavailableError: see :func:`source_files`.
        BuildEnvironmentError, SandboxUnavailableError: they cannot be installed.
    """
    if resolution.removed:
        sentence = f"Its build dependencies want {', '.join(resolution.removed[:5])} removed from {base.name}."
        raise unsupported(sentence, Cause.NOT_SUPPORTED)
    if not resolution.packages:
        return base
    files = [
        IndexedFile(each.path.rpartition("/")[2], each.path, each.size, each.package.sha256)
        for each in resolution.packages
    ]
    places = _all_fetched(
        context, [(each.uri, file, each.package) for each, file in zip(resolution.packages, files, strict=True)]
    )
    pairs = zip(resolution.packages, files, places, strict=True)
    if missing := [package.package for package, _, place in pairs if place is None]:
        superseded = [each for each in missing if each.origin != "index"]
        states = () if superseded else resolution.releases
        names = [f"{each.name} {each.version}" for each in superseded or missing]
        raise unavailable_files("Build dependencies are", names, states)
    layer = [LayerPackage(each.package, context.blobs.path(each.package.sha256)) for each in resolution.packages]
    try:
        return context.environments.layered(base, layer, resolution.releases)
    except InstallationLimitError as error:
        raise NotRebuildable(Verdict.TIMED_OUT, str(error), Cause.RESOURCE_LIMIT) from error
    except PackageInstallationError as error:
        raise unsupported(str(error), Cause.NOT_SUPPORTED) from error


def check_size(file: IndexedFile, most: int) -> None:
    """Make sure that a file is not too large to be looked at.

    Raises:
        NotRebuildable: it is.
    """
    if file.size > most:
        raise unsupported(f"{file.name} has {file.size:,} bytes; files up to {most:,} bytes are taken.")


def _all_fetched(
    context: PlanningContext, wanted: Sequence[tuple[str, IndexedFile, SourcePackage | Package]]
) -> list[str | None]:
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="debian-files") as pool:
        return list(pool.map(lambda each: _fetched(context, *each), wanted))


def _fetched(context: PlanningContext, address: str, file: IndexedFile, of: SourcePackage | Package) -> str | None:
    """Fetch a file unless it is here, from the mirror or else from a snapshot; where from, None when nobody has it."""
    snapshot = context.archive.snapshot
    if context.blobs.has(file.sha256):
        return address
    if not address.startswith(UNNAMED):
        with suppress(FileGoneError):
            return context.archive.fetched(file, address)
    if snapshot is None:
        return None
    asked = snapshot.of_source if isinstance(of, SourcePackage) else snapshot.of_binary
    return snapshot.take(file, asked(of.name, of.version))


def _that_bind(context: PlanningContext, source: SourcePackage, release: SignedRelease) -> list[Release]:
    """The states that a suite and its updates have now, as far as their lists have a source package."""
    archive, wanted = context.archive, SourceName(source.name, source.version)
    with suppress(UsageError):  # the mirror has the suite no more
        return [
            each.kept
            for each in archive.releases(release.archive.suite.removesuffix(release.archive.pocket))
            for index in archive.indices(each, "source/Sources")
            if (found := source_package(archive.text(index), wanted)) and found.files == source.files
        ]
    return []


def unavailable_files(what: str, names: Sequence[str], states: Sequence[Release]) -> NotRebuildable:
    """Why nobody has some files: a mirror that lacks what its own list has is in trouble itself.

    ``states`` bind them today; none: they are superseded.
    """
    sentence = f"{what} not to be had: the mirror does not have {_some(names)}"
    if not states:
        return unavailable(f"{sentence}, and no list that the archive signs today names it.", for_everybody=True)
    dates = " and ".join(dict.fromkeys(f"{each.suite} of {each.date}" for each in states))
    return unavailable(f"{sentence}, which its signed list names ({dates}).", for_everybody=False)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"


def _address(context: PlanningContext, release: SignedRelease, file: IndexedFile) -> str:
    return without_password(context.archive.address(release, file))


def _input(file: IndexedFile, address: str) -> Input:
    return Input(role=Role.SOURCE, name=file.name, sha256=file.sha256, path=f"{PLACE}/{file.name}", uri=address)
