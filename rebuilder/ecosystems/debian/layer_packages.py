"""The very packages that lie over a build environment, fetched again where somebody else made it.

Their digests say which bytes they are, so where they come from does not matter: the archive's pool, where the lists of
today have some version of them, or a snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from rebuilder import deb822
from rebuilder.deb822 import MalformedStanzaError
from rebuilder.ecosystems.debian.archive import DebianArchive
from rebuilder.ecosystems.debian.index import IndexedFile, binary_package
from rebuilder.ecosystems.debian.subject import file_name
from rebuilder.environments.protocol import LayerPackage
from rebuilder.errors import BuildEnvironmentError, FetchMismatchError, FileGoneError, UsageError
from rebuilder.model.environment import Package, Specification
from rebuilder.store.protocol import Blobs

_AT_ONCE = 8
"""Packages that are fetched at the same time."""


def layer_packages(archive: DebianArchive, blobs: Blobs, wanted: Specification, most_bytes: int) -> list[LayerPackage]:
    """Fetch what a specification installs over its base. ``most_bytes`` are those of one package.

    Raises:
        BuildEnvironmentError: nobody has one of them; it is named.
        UsageError: apt's settings name no archive, or none that has the suite.
        UnavailableError: a mirror does not answer.
    """
    directories = _directories(archive, wanted)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="debian-layer") as pool:
        found = list(pool.map(partial(_found, archive, blobs, directories, most_bytes), wanted.packages))
    if missing := [each for each, here in zip(wanted.packages, found, strict=True) if not here]:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        first = f"{missing[0].name} {missing[0].version} (SHA-256 {missing[0].sha256})"
        raise BuildEnvironmentError(f"Neither the archive nor a snapshot that is asked has the package {first}{more}.")
    return [LayerPackage(each, blobs.path(each.sha256)) for each in wanted.packages]


def _directories(archive: DebianArchive, wanted: Specification) -> Mapping[str, Sequence[str]]:
    """Addresses of the directories that have versions of each package today."""
    found: dict[str, dict[str, None]] = {each.name: {} for each in wanted.packages}
    releases = list(archive.releases(wanted.suite))
    for suite in wanted.also:
        with suppress(UsageError):
            releases += archive.releases(suite)
    for release in releases:
        for index in archive.indices(release, f"binary-{archive.settings.architecture}/Packages"):
            for name, stanza in deb822.found_any(archive.text(index), b"Package", found):
                with suppress(MalformedStanzaError):
                    address = archive.address(release, binary_package(stanza).file)
                    found[name][address.rpartition("/")[0]] = None
    return {name: list(each) for name, each in found.items()}


def _found(
    archive: DebianArchive, blobs: Blobs, directories: Mapping[str, Sequence[str]], most_bytes: int, wanted: Package
) -> bool:
    if blobs.has(wanted.sha256):
        return True
    name = file_name(wanted.name, wanted.version, wanted.architecture)
    for directory in directories[wanted.name]:
        with suppress(FileGoneError, FetchMismatchError):  # another archive may have other bytes under that name
            archive.fetcher.file(f"{directory}/{name}", sha256=wanted.sha256, max_bytes=most_bytes)
            return True
    return any(_taken(archive, wanted, name))


def _taken(archive: DebianArchive, wanted: Package, name: str) -> Iterator[bool]:
    """Whether the snapshot gave it."""
    snapshot = archive.snapshot
    for each in snapshot.of_binary(wanted.name, wanted.version) if snapshot is not None else ():
        if snapshot is not None and each.name == name:
            with suppress(FetchMismatchError):
                yield snapshot.take(IndexedFile(each.name, each.path, each.size, wanted.sha256), [each]) is not None
