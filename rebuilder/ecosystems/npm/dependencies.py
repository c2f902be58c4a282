"""What a build of an npm package installs: the packages of its lock file as inputs, and the commands that install them.

1. The nearest lock file of the package manager is read, in the package's own directory or above it.
2. Each package that this machine would install is asked of the registry in npm's settings, whatever address the lock
   file names, and bound by the SHA-512 of the lock file. Where that has a SHA-1 or nothing, what the registry says is
   the SHA-512 of the same version binds it, and the SHA-1 has to fit.
3. The addresses in the lock file are replaced by those of the registry that serves the inputs inside the sandbox
   (:mod:`rebuilder.programs.npm.install`); the package manager installs from there, with scripts off.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from rebuilder.ecosystems.npm.context import PlanningContext
from rebuilder.ecosystems.npm.integrity import Digest, strongest_first
from rebuilder.ecosystems.npm.lock_files import (
    LOCK_NAMES,
    LockedPackage,
    LockFileError,
    Origin,
    read_lock,
)
from rebuilder.ecosystems.npm.registry import NpmRegistry
from rebuilder.ecosystems.npm.settings import entries
from rebuilder.ecosystems.npm.subject import precedence, tarball_name
from rebuilder.ecosystems.obstacles import NotRebuildable, inputs_missing, quoted, unsupported
from rebuilder.ecosystems.unavailable_inputs import unavailable
from rebuilder.errors import FetchMismatchError, FileGoneError, UnavailableError, UnknownProjectError
from rebuilder.model.definition import Input, Role
from rebuilder.model.diagnosis import Cause
from rebuilder.model.value import Sha256
from rebuilder.programs.npm.loopback import ADDRESS, TARBALLS, file_name
from rebuilder.sandbox.prepared import CLEAN_INSTALL, TOOLS

MOST_PACKAGES = 5_000
"""Of one build."""
MOST_BYTES = 1 << 30
"""All tarballs of one build together."""
_AT_ONCE = 8
_LONGEST_NAME = 255
"""Of a file (NAME_MAX of limits.h)."""
_PYTHON = ("/usr/bin/python3", "-I", "-S")
_MACHINE = ("linux", "x64", "glibc")
_ADDRESS = re.compile(r"https?://[^\s\"'<>,{}]+")
_SCRIPTLESS = {
    "npm": CLEAN_INSTALL[1:],
    "pnpm": ("--frozen-lockfile", "--ignore-scripts"),
    "yarn": ("--frozen-lockfile", "--ignore-scripts", "--non-interactive"),
    # Not --immutable: what Yarn patches itself differs between its releases. What it could choose instead is no input.
    "berry": ("--mode=skip-build",),
}

Tool = Literal["npm", "pnpm", "yarn"]


@dataclass(frozen=True)
class Manager:
    """One version of a package manager."""

    name: Tool
    version: str

    @property
    def package(self) -> str:
        """The package of the registry that it is in."""
        return "@yarnpkg/cli-dist" if self.rewrites_lock else self.name

    @property
    def dialect(self) -> str:
        """Whose options its command line has: those of Yarn from version 2 on are others."""
        return "berry" if self.rewrites_lock else self.name

    @property
    def command(self) -> str:
        """What starts it in a build, on the Node that is on the path."""
        return f"{TOOLS}/{self.package.rpartition('/')[2]}-{self.version}/commands/{self.name}"

    @property
    def label(self) -> str:
        """For sentences."""
        return f"{self.name} {self.version}"

    @property
    def install(self) -> tuple[str, ...]:
        """Its command that installs what a lock file names."""
        number = precedence(self.version)[0]
        if self.name == "npm":
            # npm ci came with 5.7; npm 5 writes lock files that older versions do not read.
            return (self.command, CLEAN_INSTALL[0] if number >= (5, 7, 0) else "install", *_SCRIPTLESS["npm"])
        return (self.command, "install", *_SCRIPTLESS[self.dialect])

    @property
    def takes_all(self) -> bool:
        """Whether it asks for packages of other machines, too, as npm does that reads no ``os`` in lock files."""
        return self.name == "npm" and precedence(self.version)[0] < (7, 0, 0)

    @property
    def rewrites_lock(self) -> bool:
        """Whether it may write the lock file anew, as Yarn does from version 2 on."""
        return self.name == "yarn" and precedence(self.version)[0] >= (2, 0, 0)


@dataclass(frozen=True)
class Dependencies:
    """What a build installs."""

    inputs: tuple[Input, ...]
    commands: tuple[tuple[str, ...], ...]
    """Run with the source checked out, before anything of it is built."""
    sentence: str
    """What is installed, by whom."""
    notes: tuple[str, ...] = ()
    """What a reader may want to know of how the packages are bound."""


@dataclass(frozen=True)
class LockFile:
    """A lock file of the source."""

    path: str
    """In the repository."""
    data: bytes

    @property
    def name(self) -> str:
        """One of :data:`rebuilder.ecosystems.npm.lock_files.FORMATS`."""
        return posixpath.basename(self.path)

    @property
    def directory(self) -> str:
        """Where it is; empty for the top of the repository."""
        return posixpath.dirname(self.path)


def find_lock(files: Mapping[str, bytes], directory: str, tool: Tool) -> LockFile | None:
    """The lock file that a package manager takes for a package: in its directory, or the next one above it."""
    while True:
        for name in LOCK_NAMES[tool]:
            if (data := files.get(path := posixpath.join(directory, name))) is not None:
                return LockFile(path, data)
        if not directory:
            return None
        directory = posixpath.dirname(directory)


def dependencies(
    context: PlanningContext,
    lock: LockFile,
    *,
    manager: Manager,
    program: Input,
    source: str,
    own: bool = True,
    scopes: Mapping[str, str] | None = None,
) -> Dependencies:
    """The packages of a lock file as inputs, and the commands that install them.

    Args:
        context: Where packages come from and go to.
        lock: What :func:`find_lock` gave, or one that was made.
        manager: Installs them.
        program: The family ``npm`` of our own programs.
        source: Directory of the checked-out repository in the sandbox.
        own: Whether the lock file is one of the commit; another one is put in its place for the installation.
        scopes: Registries that the commit's own settings name for scopes; see :func:`scope_registries`.

    Raises:
        NotRebuildable: the lock file cannot be used, or something it names is not to be had.
        UnavailableError: the registry does not answer.
        StoreError: what was fetched cannot be stored.
    """
    try:
        packages = read_lock(lock.name, lock.data)
    except LockFileError as error:
        raise unsupported(f"{lock.path} cannot be used: {error}") from None
    # What Yarn patches it fetches for every machine.
    patched = {each.name for each in packages if each.origin is Origin.DIRECTORY}
    here = [each for each in packages if manager.takes_all or each.runs_on(*_MACHINE) or each.name in patched]
    wanted = [each for each in here if not each.bundled]
    for each in wanted:
        _check_origin(lock, each)
    # Yarn reads no .npmrc from version 2 on.
    _check_elsewhere(context.registry, lock, wanted, {} if manager.rewrites_lock else scopes or {})
    tarballs = _tarballs(lock, [each for each in wanted if each.origin is Origin.REGISTRY])
    found, notes = _fetched(context, lock, tarballs)
    inputs = tuple(_input(context.registry, tarball, sha256) for tarball, sha256 in found)
    if sum(context.blobs.path(each.sha256).stat().st_size for each in inputs) > MOST_BYTES:
        raise unsupported(f"The packages of {lock.path} have more than {MOST_BYTES:,} bytes together.")
    text, elsewhere = _with_loopback_addresses(context.registry, lock, wanted)
    if elsewhere:
        notes = (*notes, _elsewhere(lock, elsewhere))
    at = posixpath.join(source, lock.path)
    place: tuple[str, ...] = ()
    if text != lock.data or not own or manager.rewrites_lock:
        path = f"/inputs/{lock.name}"
        inputs = (*inputs, Input(role=Role.PARAMETERS, name=lock.name, sha256=context.blobs.put(text), path=path))
        place = ("--lock", path, "--at", at)
    directory = ("--directory", posixpath.dirname(at))
    return Dependencies(
        inputs=inputs,
        commands=((*_PYTHON, program.path, "install", *place, *directory, "--", *manager.install),),
        sentence=f"{len(found)} {'package is' if len(found) == 1 else 'packages are'} installed as {lock.path} "
        f"{'names it' if len(found) == 1 else 'names them'}, by {manager.label} without scripts.",
        notes=notes,
    )


@dataclass(frozen=True)
class _Tarball:
    """One release, however often it is installed."""

    name: str
    version: str
    digests: tuple[Digest, ...]
    optional: bool

    @property
    def label(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def bound(self) -> Digest | None:
        """The strongest digest that binds its bytes."""
        return next((each for each in self.digests if each.binds), None)

    @property
    def sha1(self) -> str | None:
        return next((each.value for each in self.digests if each.algorithm == "sha1"), None)

    @property
    def key(self) -> str:
        """What its SHA-256 is remembered under."""
        if self.bound is not None:
            return self.bound.key
        return f"release:{self.name}@{self.version}:{self.sha1 or ''}"


def _check_origin(lock: LockFile, package: LockedPackage) -> None:
    what = f"{lock.path} takes {package.name} from"
    if package.origin is Origin.GIT:
        raise unsupported(
            f"{what} a repository, {quoted(package.address or '')}; builds have packages of the registry only.",
            Cause.SOURCE_UNAVAILABLE,
        )
    if package.origin is Origin.ADDRESS:
        raise unsupported(
            f"{what} the address {quoted(package.address or '')}, which is none of a registry: nothing is fetched from "
            "where a lock file says.",
            Cause.SOURCE_UNAVAILABLE,
        )
    if package.origin is Origin.DIRECTORY:
        path = posixpath.normpath(posixpath.join(lock.directory, package.address or ""))
        if path.startswith(("../", "/")) or path == "..":
            sentence = f"{what} {quoted(package.address or '')}, which is outside the repository."
            raise inputs_missing(sentence, Cause.SOURCE_UNAVAILABLE)
    elif package.version is None:
        raise unsupported(f"{lock.path} names no exact version of {package.name}.")
    elif len(file_name(package.name, package.version)) > _LONGEST_NAME:
        raise unsupported(f"{lock.path} names a version of {package.name} that is too long.")


def scope_registries(settings: str) -> dict[str, str]:
    """The registries of scopes (``@scope``) that an ``.npmrc`` names; hostile."""
    found = entries(settings, {}).items()
    return {name.removesuffix(":registry"): value for name, value in found if name.startswith("@")}


def check_scopes(registry: NpmRegistry, names: Iterable[str], scopes: Mapping[str, str]) -> None:
    """Refuse what a commit takes from a registry of its own without a lock file that binds it.

    Raises:
        NotRebuildable: another registry than the one in npm's settings has it.
    """
    for name in sorted(names):
        address = scopes.get(name.partition("/")[0])
        if address is not None and _host(address) != _asked(registry, name):
            raise _of_another(f".npmrc takes {name}", _host(address), "no lock file binds it")


def _check_elsewhere(
    registry: NpmRegistry, lock: LockFile, packages: Sequence[LockedPackage], scopes: Mapping[str, str]
) -> None:
    """Refuse a package of another registry that nothing binds: one of the same name may be somebody else's here.

    A registry that has others of the lock file's packages, bound by their digests, is one that this one copies.
    """
    here = [each for each in packages if each.origin is Origin.REGISTRY]
    places = [(each, each.address or scopes.get(each.name.partition("/")[0])) for each in here]
    named = [(each, _host(place)) for each, place in places if place is not None and _ADDRESS.match(place)]
    copied = {host for each, host in named if each.digests and each.address is not None}
    for each, host in named:
        own = each.address is not None and each.address.startswith(ADDRESS)
        if not each.digests and not own and host not in copied and host != _asked(registry, each.name):
            raise _of_another(f"{lock.path} takes {each.name}", host, "has no digest of it")


def _asked(registry: NpmRegistry, name: str) -> tuple[str, str]:
    asked = urlsplit(registry.usual_address(name, ""))
    return asked.scheme, asked.netloc


def _of_another(what: str, host: tuple[str, str], why: str) -> NotRebuildable:
    return inputs_missing(
        f"{what} from {'://'.join(host)} and {why}: the registry in npm's settings may have another by that name.",
        Cause.SOURCE_UNAVAILABLE,
    )


def _tarballs(lock: LockFile, packages: Iterable[LockedPackage]) -> list[_Tarball]:
    """One for each release, in the order of names."""
    found: dict[tuple[str, str], _Tarball] = {}
    for each in packages:
        key = (each.name, each.version or "")
        before = found.get(key)
        optional = each.optional and (before is None or before.optional)
        known = before.digests if before is not None else ()
        alike = {one.algorithm for one in known} & {one.algorithm for one in each.digests}
        if alike and not set(known) & set(each.digests):
            raise unsupported(f"{lock.path} binds {each.name} {each.version} to different bytes at different places.")
        found[key] = _Tarball(*key, strongest_first((*known, *each.digests)), optional)
    if len(found) > MOST_PACKAGES:
        raise unsupported(f"{lock.path} names {len(found):,} packages; builds install at most {MOST_PACKAGES:,}.")
    return [found[key] for key in sorted(found)]


def _fetched(
    context: PlanningContext, lock: LockFile, tarballs: Sequence[_Tarball]
) -> tuple[list[tuple[_Tarball, Sha256]], tuple[str, ...]]:
    """All that are to be had; only what is optional may be missing."""
    registry = context.registry
    known = {each.key: registry.known(each.key) for each in tarballs}
    absent = [each for each in tarballs if known[each.key] is None]
    if absent:
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="npm-tarballs") as pool:
            answers = list(pool.map(lambda each: _fetch(context, lock, each), absent))
        for each, answer in zip(absent, answers, strict=True):
            if isinstance(answer, NotRebuildable) and not each.optional:
                raise answer
            if not isinstance(answer, NotRebuildable):
                registry.keep(each.key, answer)
                known[each.key] = answer
    found = [(each, sha256) for each in tarballs if (sha256 := known[each.key]) is not None]
    missing = [each.label for each in tarballs if known[each.key] is None]
    return found, tuple(_notes(lock, tarballs, missing))


def _notes(lock: LockFile, tarballs: Sequence[_Tarball], missing: Sequence[str]) -> Iterable[str]:
    unbound = [each for each in tarballs if each.bound is None]
    if old := [each.label for each in unbound if each.sha1 is not None]:
        yield (
            f"{lock.path} has only the SHA-1 of {some(old)}: the registry's SHA-512 of the same version binds the "
            "bytes, which have that SHA-1."
        )
    if bare := [each.label for each in unbound if each.sha1 is None]:
        yield f"{lock.path} has no digest of {some(bare)}: the registry's SHA-512 of the same version binds the bytes."
    if missing:
        yield f"The registry does not have {some(missing)}, which may be absent."


def some(labels: Sequence[str]) -> str:
    """The first three of some packages, and how many more there are, for a sentence."""
    shown = ", ".join(labels[:3])
    return shown if len(labels) <= 3 else f"{shown} and {len(labels) - 3} more packages"


def _fetch(  # noqa: PLR0911 - one for each thing that may be wrong
    context: PlanningContext, lock: LockFile, tarball: _Tarball
) -> Sha256 | NotRebuildable:
    """Fetch one, from where registries usually have it or from where this one says."""
    registry, bound = context.registry, tarball.bound
    if bound is not None:
        try:
            return registry.fetch(registry.usual_address(tarball.name, tarball.version), bound)
        except UnavailableError:
            pass  # the document of the package says whether it is elsewhere, gone, or another file
    try:
        release = registry.packument(tarball.name).release(tarball.version)
    except UnknownProjectError:
        release = None
    if release is None:
        return _missing(lock, tarball, "which the registry does not have")
    listed = release.integrity
    if bound is not None and listed.algorithm == bound.algorithm and listed.value != bound.value:
        return _missing(lock, tarball, f"with another {bound.algorithm.upper()} than the registry's file has")
    try:
        sha256 = registry.fetch(release.tarball, bound or listed)
    except FetchMismatchError:
        return _missing(lock, tarball, "and the registry has other bytes for it")
    except FileGoneError:
        return _missing(lock, tarball, "which the registry lists and does not have", for_everybody=False)
    if bound is None and tarball.sha1 is not None:
        with context.blobs.path(sha256).open("rb") as file:
            if hashlib.file_digest(file, "sha1").hexdigest() != tarball.sha1:
                return _missing(lock, tarball, "with another SHA-1 than the registry's file has")
    return sha256


def _missing(lock: LockFile, tarball: _Tarball, why: str, *, for_everybody: bool = True) -> NotRebuildable:
    return unavailable(f"{lock.path} names {tarball.label}, {why}.", for_everybody=for_everybody)


def _input(registry: NpmRegistry, tarball: _Tarball, sha256: Sha256) -> Input:
    return Input(
        role=Role.BUILD_DEPENDENCY,
        name=tarball.name,
        version=tarball.version,
        sha256=sha256,
        path=f"{TARBALLS}/{file_name(tarball.name, tarball.version)}",
        uri=registry.usual_address(tarball.name, tarball.version),
    )


def _with_loopback_addresses(
    registry: NpmRegistry, lock: LockFile, packages: Iterable[LockedPackage]
) -> tuple[bytes, list[str]]:
    """The lock file with the addresses of the registry in the sandbox, and the hosts of other registries it named."""
    addresses: dict[str, str] = {}
    hosts: set[str] = set()
    for each in packages:
        if each.origin is Origin.REGISTRY and each.address is not None and _ADDRESS.match(each.address):
            addresses[each.address] = f"{ADDRESS}/{each.name}/-/{tarball_name(each.name, each.version or '')}"
            named = _host(each.address)
            if named != _asked(registry, each.name) and not each.address.startswith(ADDRESS):
                hosts.add("://".join(named))
    seen: set[str] = set()

    def replaced(match: re.Match[str]) -> str:
        seen.add(match[0])
        return addresses.get(match[0], match[0])

    text = _ADDRESS.sub(replaced, lock.data.decode("utf-8", "surrogateescape"))
    if hidden := addresses.keys() - seen:
        sentence = f"{lock.path} writes the address {quoted(min(hidden))} in a way that no package manager does."
        raise unsupported(sentence)
    return text.encode("utf-8", "surrogateescape"), sorted(hosts)


def _host(address: str) -> tuple[str, str]:
    parts = urlsplit(address)
    return parts.scheme, quoted(parts.netloc.rpartition("@")[2])[1:-1]


def _elsewhere(lock: LockFile, hosts: Sequence[str]) -> str:
    named = ", ".join(hosts[:3])
    return f"{lock.path} names addresses at {named}; all packages were asked of the registry in npm's settings."
