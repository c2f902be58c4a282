"""Versions of packages that no list of a suite has now: from lists that it had, the pool, or a snapshot.

A suite's pool keeps a file for some time after its list has a newer version. What is found there by its name, or in a
snapshot, is bound by nobody: the digest is that of what lay there, and a report says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import NamedTuple

from rebuilder import deb822
from rebuilder.deb822 import MalformedStanzaError
from rebuilder.ecosystems.debian.archive import SignedIndex, SignedRelease
from rebuilder.ecosystems.debian.context import PlanningContext
from rebuilder.ecosystems.debian.index import (
    BinaryPackage,
    IndexedFile,
    binary_package,
    indexed_file,
)
from rebuilder.ecosystems.debian.relations import relations
from rebuilder.ecosystems.debian.subject import architecture_of, file_name
from rebuilder.ecosystems.inspection import inspect
from rebuilder.ecosystems.obstacles import NotRebuildable, inputs_missing, unsupported
from rebuilder.environments.sources import without_password
from rebuilder.model.definition import Input, Role
from rebuilder.model.diagnosis import Cause
from rebuilder.model.environment import Origin
from rebuilder.model.value import Sha256, Sha256Field, Value

_MOST = 2000
"""Packages that are looked for outside of the lists of a suite."""
_CONTROL = "control.tar/control"
_LISTED = frozenset({"filename", "size", "sha256", "sha1", "sha512", "md5sum"})


class Pin(Value):
    """A package that a build has in one version and no other."""

    name: str
    version: str
    sha256: Sha256Field | None = None
    """Of the file, where somebody says; another one is not taken."""
    installed: bool = False
    """Whether it is installed even where no other package wants it, or wants that version."""
    added: bool = False
    """Whether the build would not have the package at all by itself."""


class PinnedPackage(NamedTuple):
    """A package that no list of the suite has now."""

    name: str
    version: str
    architecture: str
    file: IndexedFile
    uri: str
    origin: Origin
    stanza: bytes
    """As a list would have it."""

    @property
    def note(self) -> str:
        """What a report says about where it is from."""
        if self.origin == "kept-index":
            return f"{self.name} {self.version} is from a list that the archive signed before."
        where = "lay in the archive's pool" if self.origin == "pool" else "is from a snapshot of the archive"
        return (
            f"{self.name} {self.version} is in no list any more; it {where} (SHA-256 {self.file.sha256}), and nobody "
            "signed those bytes."
        )


def preferences(pins: Sequence[Pin], pinned: Sequence[PinnedPackage]) -> str:
    """What tells apt (apt_preferences(5)) that no other version is taken, older ones of the environment included."""
    versions = {each.name: each.version for each in pinned} | {each.name: each.version for each in pins}
    return "\n".join(
        f"Package: {name}\nPin: version {version}\nPin-Priority: 1001\n" for name, version in sorted(versions.items())
    )


def pinned_packages(
    context: PlanningContext,
    releases: Sequence[SignedRelease],
    lists: Sequence[SignedIndex],
    pins: Sequence[Pin],
    architecture: str,
) -> tuple[PinnedPackage, ...]:
    """Find what is pinned and in no list, and what that depends on in one version, as packages of one source do.

    Raises:
        NotRebuildable: nobody has one of them, or it is not what it has to be.
        UnavailableError: a mirror does not answer.
    """
    search = _Search(context, releases, lists, architecture)
    found: dict[tuple[str, str], PinnedPackage] = {}
    given, waiting = set(pins), list(pins)
    while waiting:
        search.look_up({each.name for each in waiting})
        absent = [each for each in waiting if (each.name, each.version) not in found and not search.listed(each)]
        if len(found) + len(absent) > _MOST:
            sentence = f"More than {_MOST:,} build dependencies are in no list of the archive any more."
            raise inputs_missing(sentence, Cause.SOURCE_UNAVAILABLE)
        kept, waiting = search.kept(absent), []
        for pin in absent:
            package = kept.get(pin) or search.elsewhere(pin)
            if package is not None:
                found[pin.name, pin.version] = package
                waiting += _same_version(package)
            elif pin in given:  # of the others apt says which are lacking, where it matters
                raise _missing(pin)
    return tuple(found.values())


def there(
    context: PlanningContext,
    releases: Sequence[SignedRelease],
    lists: Sequence[SignedIndex],
    pins: Sequence[Pin],
    architecture: str,
) -> tuple[Pin, ...]:
    """Those of some pins that somebody has.

    Raises:
        UnavailableError: a mirror does not answer.
    """
    search = _Search(context, releases, lists, architecture)
    search.look_up({each.name for each in pins})
    kept = search.kept([each for each in pins if not search.listed(each)])

    def found(pin: Pin) -> bool:
        with suppress(NotRebuildable):  # another package than its name says is none
            return search.listed(pin) or pin in kept or search.elsewhere(pin) is not None
        return False

    return tuple(filter(found, pins))


def _missing(pin: Pin) -> NotRebuildable:
    sentence = (
        f"The build dependency {pin.name} {pin.version} is not to be had: no list of the archive that is or was seen "
        "here has it, and neither the archive's pool nor a snapshot that is asked has such a file."
    )
    return inputs_missing(sentence, Cause.SOURCE_UNAVAILABLE)


class _Search:
    """Looks in lists and in the pool."""

    def __init__(
        self,
        context: PlanningContext,
        releases: Sequence[SignedRelease],
        lists: Sequence[SignedIndex],
        architecture: str,
    ) -> None:
        self._context = context
        self._releases = releases
        self._lists = lists
        self._architecture = architecture
        self._current: dict[str, list[tuple[SignedIndex, BinaryPackage]]] = {}

    def look_up(self, names: AbstractSet[str]) -> None:
        """Find all entries of packages in one pass over each list."""
        new = names - set(self._current)
        self._current |= {name: [] for name in new}
        for index in self._lists if new else ():
            for name, stanza in deb822.found_any(self._context.archive.text(index), b"Package", new):
                self._current[name].append((index, self._package(index, name, stanza)))

    def listed(self, pin: Pin) -> bool:
        """Whether a list of the suite has the version; apt finds it there."""
        here = [package for _, package in self._current[pin.name] if package.version == pin.version]
        return any(pin.sha256 in {None, each.file.sha256} for each in here)

    def elsewhere(self, pin: Pin) -> PinnedPackage | None:
        """The version from the pool, or else from the snapshot."""
        return self._pool(pin) or self._snapshot(pin)

    @staticmethod
    def _package(index: SignedIndex, name: str, stanza: bytes) -> BinaryPackage:
        try:
            return binary_package(stanza)
        except MalformedStanzaError as error:
            raise unsupported(f"The entry of {name} in {index.path} cannot be used: {error}.") from None

    def kept(self, pins: Sequence[Pin]) -> dict[Pin, PinnedPackage]:
        """Those of the pins that a list has which was verified before; one pass over each, the newest first.

        The suites that are built in come first, then others.
        """
        archive, looked_at = self._context.archive, {each.sha256 for each in self._lists}
        wanted: dict[str, list[Pin]] = {}
        for pin in pins:
            wanted.setdefault(pin.name, []).append(pin)
        found: dict[Pin, PinnedPackage] = {}
        own = (each for current in self._releases for each in archive.earlier(current))
        for release in chain(own, archive.of_other_suites(self._releases)):
            if len(found) == len(set(pins)):
                break
            for index in archive.kept(release, f"binary-{self._architecture}/Packages"):
                if index.sha256 in looked_at:
                    continue
                looked_at.add(index.sha256)
                names = {name for name, each in wanted.items() if self._may_have(index, name, each)}
                seen: dict[str, list[str]] = {name: [] for name in names}
                for name, stanza in deb822.found_any(archive.text(index), b"Package", names) if names else ():
                    with suppress(MalformedStanzaError):
                        package = binary_package(stanza)
                        seen[name].append(package.version)
                        for pin in wanted[name]:
                            if pin not in found and _is(pin, package):
                                found[pin] = self._from_list(index, package, stanza)
                for name, versions in seen.items():
                    self._context.memo.put(f"versions:{index.sha256}:{name}", versions)
        return found

    def _may_have(self, index: SignedIndex, name: str, pins: Sequence[Pin]) -> bool:
        """Whether a list has one of some versions of a package, or was never looked through for it."""
        known = self._context.memo.get(f"versions:{index.sha256}:{name}")
        return known is None or any(pin.version in known for pin in pins)

    def _from_list(self, index: SignedIndex, package: BinaryPackage, stanza: bytes) -> PinnedPackage:
        uri = without_password(self._context.archive.address(index.release, package.file))
        return PinnedPackage(
            package.name, package.version, package.architecture, package.file, uri, "kept-index", stanza + b"\n"
        )

    def _pool(self, pin: Pin) -> PinnedPackage | None:
        """By the name that the archive gives files, where it has another version of the package."""
        for index, other in reversed(self._current[pin.name]):
            directory = other.file.path.rpartition("/")[0]
            for architecture in dict.fromkeys((other.architecture, self._architecture, "all")):
                path = f"{directory}/{file_name(pin.name, pin.version, architecture)}"
                try:
                    uri = self._context.archive.address(index.release, indexed_file(path, "0", "0" * 64))
                except MalformedStanzaError:
                    continue
                found = self._lying(pin, path, uri, "pool", partial(self._from_pool, uri))
                if found is not None:
                    return found
        return None

    def _from_pool(self, uri: str) -> Sha256 | None:
        fetcher, most = self._context.archive.fetcher, self._context.max_file_bytes
        sha256 = fetcher.digest(uri, max_bytes=most)
        return fetcher.file(uri, sha256=sha256, max_bytes=most) if sha256 is not None else None

    def _snapshot(self, pin: Pin) -> PinnedPackage | None:
        snapshot, most = self._context.archive.snapshot, self._context.max_file_bytes
        for each in snapshot.of_binary(pin.name, pin.version) if snapshot is not None else ():
            for architecture in (self._architecture, "all"):
                if snapshot is None or each.name != file_name(pin.name, pin.version, architecture):
                    continue
                uri, get = snapshot.address(each), partial(snapshot.digest, each, most)
                if (found := self._lying(pin, each.path, uri, "snapshot", get)) is not None:
                    return found
        return None

    def _lying(
        self, pin: Pin, path: str, uri: str, origin: Origin, get: Callable[[], Sha256 | None]
    ) -> PinnedPackage | None:
        """A file that no list binds: what it says of itself, and the digest that it has."""
        context = self._context
        key = f"pool:{without_password(uri)}"
        known = context.memo.get(key)
        if known is None:
            sha256 = get()
            if sha256 is None or pin.sha256 not in {None, sha256}:
                return None
            name = path.rpartition("/")[2]
            given = Input(role=Role.PARAMETERS, name=name, sha256=sha256, path="/inputs/package.deb")
            [inspection] = inspect(context, [given], texts=(_CONTROL,))
            size = context.blobs.path(sha256).stat().st_size
            known = {"sha256": sha256, "size": size, "control": inspection.texts.get(_CONTROL, "")}
            context.memo.put(key, known)
        if pin.sha256 not in {None, known["sha256"]}:
            return None
        file = indexed_file(path, str(known["size"]), known["sha256"])
        architecture = architecture_of(file.name) or ""
        stanza = _stanza(known["control"], file)
        try:
            package = binary_package(stanza)
        except MalformedStanzaError as error:
            raise unsupported(f"{file.name} of the {origin} cannot be used: {error}.") from None
        if (package.name, package.version, package.architecture) != (pin.name, pin.version, architecture):
            raise unsupported(f"{file.name} of the {origin} is another package than its name says.")
        return PinnedPackage(pin.name, pin.version, architecture, file, without_password(uri), origin, stanza)


def _is(pin: Pin, package: BinaryPackage) -> bool:
    return package.version == pin.version and pin.sha256 in {None, package.file.sha256}


def _stanza(control: str, file: IndexedFile) -> bytes:
    """The entry that a list would have of a package."""
    lines, kept = [], True
    for line in control.split("\n"):
        if not line.startswith((" ", "\t")):
            kept = line.partition(":")[0].lower() not in _LISTED
        if kept and line.strip():
            lines.append(line)
    lines += [f"Filename: {file.path}", f"Size: {file.size}", f"SHA256: {file.sha256}", ""]
    return "\n".join(lines).encode()


def _same_version(package: PinnedPackage) -> Iterator[Pin]:
    """What it depends on in exactly one version."""
    try:
        fields = deb822.fields(package.stanza)
        for field in ("pre-depends", "depends"):
            for first, *others in relations(fields.get(field, "")):
                if not others and first.operator == "=" and first.version is not None:
                    yield Pin(name=first.name, version=first.version)
    except MalformedStanzaError as error:
        raise unsupported(f"{package.name} {package.version}, a build dependency, cannot be used: {error}.") from None
