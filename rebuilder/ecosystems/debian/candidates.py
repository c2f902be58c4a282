"""Finding packages, their sources, and what is built with them, in the signed lists of the archive."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from rebuilder import deb822
from rebuilder.deb822 import MalformedStanzaError
from rebuilder.ecosystems.debian.archive import DebianArchive, SignedIndex, SignedRelease
from rebuilder.ecosystems.debian.index import (
    BinaryPackage,
    SourceName,
    SourcePackage,
    binary_package,
    binary_packages,
    source_package,
)
from rebuilder.ecosystems.debian.subject import architecture_of
from rebuilder.errors import UnavailableError, UsageError
from rebuilder.model.artifact import Artifact, Subject
from rebuilder.model.value import Sha256

_SOURCES = "source/Sources"
_LIST = re.compile(r"/binary-([a-z0-9-]+)/Packages")
_ALL = "all"
_REMEMBERED = 64


@dataclass(frozen=True)
class Candidate:
    """A package, and the signed list that has it."""

    package: BinaryPackage
    index: SignedIndex
    earlier: bool = False
    """Whether the list is an earlier one than the suite has now."""

    @property
    def suite(self) -> str:
        """The release of Debian that has it, without a pocket such as ``-security``."""
        archive = self.index.release.archive
        return archive.suite.removesuffix(archive.pocket)


class Candidates:
    """Looks into the lists of the archive that apt's settings name.

    Args:
        archive: Gives the archive; asked for each time.
        releases: Names of releases to look in for what those of apt's settings lack.
    """

    def __init__(self, archive: Callable[[], DebianArchive], releases: Iterable[str] = ()) -> None:
        self._archive = archive
        self._others = tuple(releases)
        self._remembered: dict[tuple[Sha256, Sha256], Candidate] = {}

    def current(self, subject: Subject) -> Iterator[Candidate]:
        """What the suites have now."""
        archive = self._archive()
        for release in archive.releases(subject.suite):
            for index in archive.indices(release, self._kind(wanted_architecture(subject))):
                yield from _in(archive, index, subject.name, earlier=False)

    def earlier(self, subject: Subject) -> Iterator[Candidate]:
        """What the suites had, as far as lists of then are kept."""
        archive, looked_at = self._archive(), set()
        for current in archive.releases(subject.suite):
            for release in archive.earlier(current):
                for index in archive.kept(release, self._kind(wanted_architecture(subject))):
                    if index.sha256 not in looked_at:
                        looked_at.add(index.sha256)
                        yield from _in(archive, index, subject.name, earlier=True)

    def architectures(self, subject: Subject) -> list[str]:
        """Those that the suites have packages for now."""
        releases = self._archive().releases(subject.suite)
        named = (_LIST.search(path) for release in releases for path in release.files)
        return sorted({each[1] for each in named if each} - {_ALL})

    def elsewhere(self, subject: Subject) -> Iterator[Candidate]:
        """What other releases on the same mirrors have now."""
        for suite in self.other_releases():
            yield from self.current(subject.replace(suite=suite))

    def other_releases(self) -> Iterator[str]:
        """Releases on the same mirrors besides those of apt's settings."""
        archive = self._archive()
        own = {each.suite.removesuffix(each.pocket) for each in archive.settings.archives}
        for suite in self._others:
            if suite not in own:
                try:
                    archive.releases(suite)
                except UsageError:
                    continue
                yield suite

    def remember(self, candidate: Candidate) -> None:
        """Let :meth:`again` find it without looking: one of the last that evidence was made of."""
        while len(self._remembered) >= _REMEMBERED:
            self._remembered.pop(next(iter(self._remembered)), None)
        self._remembered[candidate.package.file.sha256, candidate.index.sha256] = candidate

    def again(self, artifact: Artifact, index_sha256: str) -> Candidate | None:
        """The candidate that evidence was made of, by the list that it rests on; None where no state has that list."""
        remembered = self._remembered.get((artifact.sha256, Sha256(index_sha256)))
        if remembered is not None:
            return remembered
        archive, kind = self._archive(), self._kind(architecture_of(artifact.filename))
        suites = [None, *self.other_releases()]
        now = [release for suite in suites for release in archive.releases(suite)]
        before = ((True, each) for release in now for each in archive.earlier(release))
        for earlier, release in chain(((False, each) for each in now), before):
            for index in archive.kept(release, kind):
                if index.sha256 == index_sha256:
                    found = _in(archive, index, artifact.name, earlier=earlier)
                    return next((each for each in found if each.package.file.sha256 == artifact.sha256), None)
        return None

    def source(self, candidate: Candidate) -> SourcePackage | None:
        """The signed description of the source package that a package was built from; None where no list has it.

        Raises:
            UnavailableError: a list cannot be had, or its entry cannot be used.
        """
        archive, wanted, release = self._archive(), candidate.package.source, candidate.index.release
        own = archive.kept(release, _SOURCES) if candidate.earlier else archive.indices(release, _SOURCES)
        for index in own:
            if (source := _source_in(archive, index, wanted)) is not None:
                return source
        for each in archive.releases(candidate.suite):
            for index in archive.indices(each, _SOURCES):
                if (source := _source_in(archive, index, wanted)) is not None:
                    return source
        return None

    def siblings(self, candidate: Candidate, source: SourcePackage) -> list[BinaryPackage]:
        """All packages that one run of the build gives: of the same source, for any machine or for one architecture.

        In the order of their names; the candidate's own is among them.
        """
        package, index, archive = candidate.package, candidate.index, self._archive()
        names = {*source.fields.get("binary", "").replace("\n", " ").replace(",", " ").split(), package.name}
        try:
            every = [binary_package(each) for _, each in deb822.found_any(archive.text(index), b"Package", names)]
        except MalformedStanzaError as error:
            raise _unusable(package.name, index, error) from None
        found = {
            each.name: each
            for each in every
            if (each.source, each.rebuild, each.architecture) == (package.source, package.rebuild, package.architecture)
        }
        return [found[name] for name in sorted(found | {package.name: package})]

    def versions(self, releases: Iterable[SignedRelease], name: str, architecture: str) -> Iterator[Candidate]:
        """What some states have of a package, for an architecture and for any."""
        archive = self._archive()
        for release in releases:
            for index in archive.indices(release, self._kind(architecture)):
                yield from _in(archive, index, name, earlier=False)

    def kept_versions(self, current: SignedRelease, name: str, architecture: str) -> list[str]:
        """Versions of a package that a suite listed before, newest states first."""
        archive = self._archive()
        return [
            each.package.version
            for release in archive.earlier(current)
            for index in archive.kept(release, self._kind(architecture))
            for each in _in(archive, index, name, earlier=True)
        ]

    def _kind(self, architecture: str | None) -> str:
        # Packages for any machine are in the list of every architecture.
        named = self._archive().settings.architecture if architecture in {None, _ALL} else architecture
        return f"binary-{named}/Packages"


def wanted_architecture(subject: Subject) -> str | None:
    """The architecture that a subject names, itself or by the name of a file."""
    return subject.architecture or (architecture_of(subject.filename) if subject.filename else None)


def _in(archive: DebianArchive, index: SignedIndex, name: str, *, earlier: bool) -> Iterator[Candidate]:
    try:
        for package in binary_packages(archive.text(index), name):
            yield Candidate(package, index, earlier)
    except MalformedStanzaError as error:
        raise _unusable(name, index, error) from None


def _source_in(archive: DebianArchive, index: SignedIndex, wanted: SourceName) -> SourcePackage | None:
    try:
        return source_package(archive.text(index), wanted)
    except MalformedStanzaError as error:
        raise _unusable(wanted.name, index, error) from None


def _unusable(name: str, index: SignedIndex, error: MalformedStanzaError) -> UnavailableError:
    return UnavailableError(
        f"The entry of {name} in {index.path} of {index.release.archive.suite} cannot be used: {error}."
    )
