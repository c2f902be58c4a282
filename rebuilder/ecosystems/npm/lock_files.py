"""Reads the lock files of npm, pnpm and yarn as one kind of value; every byte of them is hostile (pure).

``package-lock.json`` and ``npm-shrinkwrap.json``: the layout is described in
https://docs.npmjs.com/cli/configuring-npm/package-lock-json. Version 1 nests packages by where they are installed;
version 3 lists them by path; version 2 does both, for npm 6 and for npm 7, and has to say the same twice.

``pnpm-lock.yaml``, versions 5 to 9: packages are keyed by name and version, with what they were resolved with behind
that: ``/NAME/VERSION_PEERS`` in version 5, ``/NAME@VERSION(PEERS)`` in version 6, ``NAME@VERSION`` in version 9
(https://github.com/pnpm/spec/tree/master/lockfile).

``yarn.lock``: the format of Yarn 1 looks like YAML and is none; that of later versions is YAML.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from rebuilder.ecosystems.npm.integrity import Digest, digests
from rebuilder.ecosystems.npm.subject import is_name, is_version
from rebuilder.ecosystems.obstacles import quoted
from rebuilder.foreign_json import JsonLimits, UnreadableJson, read_json

MOST_PACKAGES = 100_000
"""Of one lock file; the largest of public projects name some thousands."""
_GIT = re.compile(
    r"git(?:\+[a-z]+)?:|git@|ssh:|(?:github|gitlab|bitbucket|gist):|[A-Za-z0-9_-]+/[A-Za-z0-9._-]+(?:#|$)", re.ASCII
)
_PATH = re.compile(r"(?:file|link|portal|workspace):", re.ASCII)
_REGISTRY_PATH = re.compile(r"/-/(?:[^/?#]+/)?[^/?#]+\.t(?:ar\.)?gz(?:[?#]|$)", re.ASCII)


class LockFileError(ValueError):
    """It is no lock file of its kind, or contradicts itself; the text is a sentence."""


class Origin(Enum):
    """Where a lock file takes a package from."""

    REGISTRY = auto()
    """From a registry, by name and version."""
    DIRECTORY = auto()
    """From a directory or a file beside it."""
    GIT = auto()
    ADDRESS = auto()
    """From an address that is none of a registry."""


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """One package at one place."""

    place: str
    """Its key in the lock file."""
    name: str
    """In the registry; what it is installed as may differ."""
    version: str | None
    origin: Origin
    address: str | None = None
    """As it is written; for :attr:`Origin.DIRECTORY` a path from the directory of the lock file."""
    digests: tuple[Digest, ...] = ()
    os: tuple[str, ...] = ()
    cpu: tuple[str, ...] = ()
    libc: tuple[str, ...] = ()
    optional: bool = False
    bundled: bool = False
    """It is in the tarball of the package above it."""

    def runs_on(self, system: str, cpu: str, libc: str | None = None) -> bool:
        """Whether a machine installs it, by npm's names (``linux``, ``x64``, ``glibc``)."""
        fits = _allows(self.os, system) and _allows(self.cpu, cpu)
        return fits and (libc is None or _allows(self.libc, libc))


def _allows(listed: tuple[str, ...], here: str) -> bool:
    """Whether a list of names, or of names with an exclamation mark before them, has the one of this machine."""
    allowed = [each for each in listed if not each.startswith("!")]
    return f"!{here}" not in listed and (not allowed or here in allowed or "any" in allowed)


def _origin_of(reference: str) -> Origin:
    """Where a reference leads to: a version, an address, a path, a repository."""
    if is_version(reference):
        return Origin.REGISTRY
    if _PATH.match(reference) or reference.startswith((".", "/", "~")):
        return Origin.DIRECTORY
    if reference.startswith(("http://", "https://")):
        if reference.partition("#")[0].endswith(".git"):
            return Origin.GIT
        return Origin.REGISTRY if _REGISTRY_PATH.search(reference) else Origin.ADDRESS
    return Origin.GIT if _GIT.match(reference) else Origin.ADDRESS


def _checked_name(name: Any, place: str) -> str:
    """The name of a package, as a registry can have it."""
    if not isinstance(name, str) or not is_name(name):
        raise LockFileError(f"{quoted(str(name))}, which {quoted(place)} names, is no name of a package.")
    return name


def _checked_path(path: str, place: str) -> str:
    """A path relative to the lock file, which may begin with ``..`` but does not go up again further on."""
    plain = path.removesuffix("/")
    parts = plain.split("/")
    while parts and parts[0] in {".", ".."}:
        parts.pop(0)
    if plain.startswith(("/", "~")) or "\\" in path or "\0" in path or {"", ".", ".."} & set(parts):
        raise LockFileError(f"{quoted(path)} of {quoted(place)} is no path beside the lock file.")
    return plain


def _object(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise LockFileError(f"{quoted(place)} is no object.")
    return value


def _words(value: Any, place: str) -> tuple[str, ...]:
    """One text or a list of them."""
    listed = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise LockFileError(f"What {quoted(place)} says of the machines that it is for is no list of names.")
    return tuple(listed)


def _text(value: Any, place: str) -> str | None:
    """A text, or nothing."""
    if value is not None and not isinstance(value, str):
        raise LockFileError(f"{quoted(place)} has something else where a text belongs.")
    return value or None


def _limited(found: Iterable[LockedPackage]) -> tuple[LockedPackage, ...]:
    """All of them, unless there are too many, or two at one place."""
    result: list[LockedPackage] = []
    places: set[str] = set()
    for each in found:
        if each.place in places:
            raise LockFileError(f"It names {quoted(each.place)} twice.")
        places.add(each.place)
        result.append(each)
        if len(result) > MOST_PACKAGES:
            raise LockFileError(f"It names more than {MOST_PACKAGES:,} packages.")
    return tuple(result)


_NPM_LIMITS = JsonLimits(values=3_000_000, depth=128)
_MODULES = "node_modules/"
_ALIAS = "npm:"


def _read_package_lock(data: bytes) -> tuple[LockedPackage, ...]:
    """All packages but the project itself and its workspaces, in the order of the file."""
    try:
        document = read_json(data, _NPM_LIMITS, pairs=_members)
    except UnreadableJson as reason:
        raise LockFileError(f"This lock file {reason}.") from None
    if not isinstance(document, dict):
        raise LockFileError("This is no package-lock.json: it has no packages.")
    if "packages" in document:
        listed = _object(document["packages"], "packages")
        _refuse_two_minds(document, listed)
        return _limited(_listed(listed))
    if "dependencies" in document:
        return _limited(_nested_package(key, row) for key, row in _nested(document["dependencies"], ""))
    if "lockfileVersion" not in document:
        raise LockFileError("This is no package-lock.json: it has no packages.")
    return ()  # what npm 5 and 6 write for a project without dependencies


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; of two members of one name, one reader takes the first and another the last."""
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise LockFileError(f"It names {quoted(counts.most_common(1)[0][0])} twice.")
    return found


def _refuse_two_minds(document: dict[str, Any], listed: dict[str, Any]) -> None:
    """Make sure that a file of version 2 says the same to npm 6, which reads its other half."""
    for key, row in _nested(document.get("dependencies", {}), ""):
        same = _object(listed.get(key, {}), key)
        if not same.get("link") and row.get("integrity") != same.get("integrity"):
            raise LockFileError(f"It says two things of {key}: “packages” and “dependencies” do not agree.")


def _nested(rows: Any, above: str) -> Iterator[tuple[str, dict[str, Any]]]:
    waiting = deque([(above, rows)])
    while waiting:
        above, rows = waiting.popleft()
        for name, row in _object(rows, above or "dependencies").items():
            key = f"{above}{_MODULES}{_checked_name(name, above or 'dependencies')}"
            yield key, _object(row, key)
            if "dependencies" in row:
                waiting.append((f"{key}/", row["dependencies"]))


def _nested_package(key: str, row: dict[str, Any]) -> LockedPackage:
    """A package of version 1: its version may be an address, or the name and version it stands for."""
    name, version = key.rpartition(_MODULES)[2], _text(row.get("version"), key)
    if version is not None and version.startswith(_ALIAS):
        name, _, version = version.removeprefix(_ALIAS).rpartition("@")
    reference = version or ""
    resolved = _text(row.get("resolved"), key)
    return _package(key, _checked_name(name, key), row, reference, resolved if is_version(reference) else reference)


def _listed(rows: dict[str, Any]) -> Iterator[LockedPackage]:
    for key, given in rows.items():
        row = _object(given, key or "the project")
        if key == "":
            continue
        _checked_path(key, key)
        if row.get("link") is True:
            _checked_path(_text(row.get("resolved"), key) or "", key)
            continue
        above, modules, installed = key.rpartition(_MODULES)
        if not modules:
            continue  # the directory of a workspace, or one that a link leads to
        if above and not above.endswith("/"):
            raise LockFileError(f"{quoted(key)} is no place of a package.")
        _checked_name(installed, key)
        name = _checked_name(row.get("name", installed), key)
        yield _package(key, name, row, _text(row.get("version"), key) or "", _text(row.get("resolved"), key))


def _package(key: str, name: str, row: dict[str, Any], version: str, address: str | None) -> LockedPackage:
    origin = _origin_of(address or version)
    if origin is Origin.DIRECTORY and address is not None:
        address = _checked_path(address.removeprefix("file:"), key)
    return LockedPackage(
        place=key,
        name=name,
        version=version if is_version(version) else None,
        origin=origin,
        address=address,
        digests=digests(row.get("integrity")),
        os=_words(row.get("os"), key),
        cpu=_words(row.get("cpu"), key),
        libc=_words(row.get("libc"), key),
        optional=row.get("optional") is True or row.get("devOptional") is True,
        # What the project itself bundles is marked, too, but comes from the registry.
        bundled=(row.get("inBundle") is True or row.get("bundled") is True) and not row.get("integrity"),
    )


_FIVE = re.compile(r"(?:[a-z0-9.-]+(?::[0-9]+)?)?/(?P<name>(?:@[^/@]+/)?[^/@]+)/(?P<version>[^/_@()]+)(?:_.*)?")
_LATER = re.compile(r"/?(?P<name>(?:@[^/@]+/)?[^/@]+)@(?P<version>[^()]+)(?:\(.*\))?")


def _read_pnpm_lock(data: bytes) -> tuple[LockedPackage, ...]:
    """All packages but those of the project itself, in the order of the file."""
    documents = _yaml(data)
    # pnpm 11 puts what it needs itself into a document of its own.
    return _limited(each for document in documents for each in _pnpm_document(_object(document, "pnpm-lock.yaml")))


def _yaml(data: bytes) -> Any:
    from rebuilder.foreign_yaml import UnreadableYaml, read_yaml  # its parser takes time to load

    try:
        return read_yaml(data)
    except UnreadableYaml as reason:
        raise LockFileError(f"This lock file {reason}.") from None


def _pnpm_document(document: Mapping[str, Any]) -> Iterator[LockedPackage]:
    version = _text(document.get("lockfileVersion"), "lockfileVersion") or ""
    major = re.match(r"([0-9]+)(?:\.|$)", version)
    if major is None or int(major[1]) not in {5, 6, 7, 9}:
        raise LockFileError(f"Version {quoted(version)} of pnpm-lock.yaml is not read; versions 5 to 9 are.")
    optional = _pnpm_optional(_part(document, "snapshots"))
    for key, row in _part(document, "packages").items():
        yield _pnpm_package(key, _object(row, key), _FIVE if major[1] == "5" else _LATER, optional)


def _part(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One part of it, which may be there without anything in it."""
    found = document.get(name, "")
    return {} if found == "" else _object(found, name)


def _pnpm_optional(snapshots: Mapping[str, Any]) -> dict[str, bool]:
    """Whether a package is only wanted where it can be had, by its key without what it was resolved with."""
    found: dict[str, bool] = {}
    for key, row in snapshots.items():
        plain = key.partition("(")[0]
        found[plain] = found.get(plain, True) and _object(row, key).get("optional") == "true"
    return found


def _pnpm_package(
    key: str, row: Mapping[str, Any], form: re.Pattern[str], optional: Mapping[str, bool]
) -> LockedPackage:
    resolution = _object(row.get("resolution", {}), key)
    tarball = _text(resolution.get("tarball"), key)
    named = form.fullmatch(key)
    name = _text(row.get("name"), key) or (named["name"] if named else key)
    version = _text(row.get("version"), key) or (named["version"] if named else "")
    address = tarball
    if "repo" in resolution or resolution.get("type") == "git":
        origin, address = Origin.GIT, _text(resolution.get("repo"), key)
    elif resolution.get("type") == "directory" or "directory" in resolution:
        origin, address = Origin.DIRECTORY, _checked_path(_text(resolution.get("directory"), key) or "", key)
    elif tarball is not None and not tarball.startswith("file:"):
        origin = _origin_of(tarball)
    else:
        reference = tarball or (named["version"] if named else key)
        origin = _origin_of(reference)
        if origin is Origin.DIRECTORY:
            address = _checked_path(reference.removeprefix("file:"), key)
    if origin is Origin.REGISTRY:
        _checked_name(name, key)
    return LockedPackage(
        place=key,
        name=name,
        version=version if is_version(version) else None,
        origin=origin,
        address=address,
        digests=digests(resolution.get("integrity")),
        os=_words(row.get("os"), key),
        cpu=_words(row.get("cpu"), key),
        libc=_words(row.get("libc"), key),
        optional=row.get("optional") == "true" or optional.get(key, False),
    )


_YARN_1 = re.compile(rb"\A(?:#[^\n]*\n|\s)*#[ \t]*yarn lockfile v1\b")
_YARN_WORD = r'(?:"(?:[^"\\\x00-\x1f]|\\.)*"|[^\s":,#][^\s":,]*(?::[^\s":,]+)*)'
_YARN_HEAD = re.compile(rf"(?P<names>{_YARN_WORD}(?:, {_YARN_WORD})*):")
_YARN_MEMBER = re.compile(rf"  (?P<name>{_YARN_WORD}) (?P<value>{_YARN_WORD})")
_YARN_SECTION = re.compile(rf"  {_YARN_WORD}:")
_YARN_INNER = re.compile(rf"    {_YARN_WORD} {_YARN_WORD}")
_LONGEST_LINE = 100_000
_DESCRIPTOR = re.compile(r"(?P<name>(?:@[^/@]+/)?[^/@]+)@(?P<reference>.*)", re.DOTALL)
_CONDITION = re.compile(r"\(?(os|cpu|libc)=([A-Za-z0-9_!-]+)\)?")


def _read_yarn_lock(data: bytes) -> tuple[LockedPackage, ...]:
    """All packages but those of the project itself, in the order of the file."""
    if _YARN_1.match(data):
        return _limited(_yarn_1(data))
    documents = _yaml(data)
    document = _object(documents[0] if len(documents) == 1 else None, "yarn.lock")
    if "__metadata" not in document:
        raise LockFileError("This is no yarn.lock: it says neither “yarn lockfile v1” nor “__metadata”.")
    rows = ((key, _object(row, key)) for key, row in document.items() if key != "__metadata")
    return _limited(found for key, row in rows if (found := _yarn_2_package(key, row)) is not None)


def _yarn_1(data: bytes) -> Iterator[LockedPackage]:
    try:
        lines = data.decode("utf-8").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError:
        raise LockFileError("This lock file is not text in UTF-8.") from None
    names: list[str] = []
    row: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        head = _YARN_HEAD.fullmatch(line) if len(line) <= _LONGEST_LINE else None
        if head is not None:
            if names:
                yield _yarn_1_package(names, row)
            names, row = [_plain(each) for each in re.findall(_YARN_WORD, head["names"])], {}
        elif names and (member := _YARN_MEMBER.fullmatch(line)) is not None:
            name = _plain(member["name"])
            if name in row:
                raise LockFileError(f"Line {number} says {quoted(name)} a second time.")
            row[name] = _plain(member["value"])
        elif not names or (_YARN_SECTION.fullmatch(line) is None and _YARN_INNER.fullmatch(line) is None):
            raise LockFileError(f"Line {number} is none of a yarn.lock: {quoted(line)}.")
    if names:
        yield _yarn_1_package(names, row)


def _plain(word: str) -> str:
    """A word without its quotation marks; the only escapes that names and addresses have are those of these marks."""
    return re.sub(r"\\(.)", r"\1", word[1:-1]) if word.startswith('"') else word


def _yarn_1_package(names: list[str], row: Mapping[str, str]) -> LockedPackage:
    place = ", ".join(names)
    wanted = {_yarn_target(each) for each in names}
    if len({name for name, _ in wanted}) != 1:
        raise LockFileError(f"{quoted(place)} names several packages at once.")
    name, reference = min(wanted)
    resolved, version = row.get("resolved"), row.get("version", "")
    fragment = (resolved or "").partition("#")[2]
    origin = _origin_of(resolved.partition("#")[0] if resolved else version if _is_range(reference) else reference)
    found = digests(row.get("integrity"))
    if not found and re.fullmatch("[0-9a-f]{40}", fragment) and origin is Origin.REGISTRY:
        found = (Digest("sha1", fragment),)
    if origin is Origin.DIRECTORY:
        resolved = reference.partition(":")[2] or reference
    return LockedPackage(
        place=place,
        name=_checked_name(name, place),
        version=version if is_version(version) else None,
        origin=origin,
        address=resolved,
        digests=found,
    )


def _yarn_target(descriptor: str) -> tuple[str, str]:
    """Name and range that a descriptor asks for, whatever it is installed as."""
    found = _DESCRIPTOR.fullmatch(descriptor)
    if found is None:
        return descriptor, ""
    name, reference = found["name"], found["reference"]
    if reference.startswith("npm:") and (alias := _DESCRIPTOR.fullmatch(reference.removeprefix("npm:"))) is not None:
        return alias["name"], alias["reference"]
    return name, reference


def _is_range(reference: str) -> bool:
    """Whether a reference is a range or a tag, so that a registry has what it asks for."""
    return ":" not in reference and "/" not in reference


def _yarn_2_package(key: str, row: Mapping[str, Any]) -> LockedPackage | None:
    """A package of Yarn 2 and later: its checksum is of an archive that Yarn makes; the registry binds the tarball."""
    resolution = _DESCRIPTOR.fullmatch(_text(row.get("resolution"), key) or "")
    if resolution is None:
        raise LockFileError(f"{quoted(key)} does not say what it was resolved to.")
    name, reference = resolution["name"], resolution["reference"]
    protocol, _, rest = reference.partition(":")
    if protocol in {"workspace", "link", "portal"}:
        return None
    version = rest.partition("::")[0]
    if protocol == "npm":
        origin, address = Origin.REGISTRY if is_version(version) else Origin.ADDRESS, None
    elif protocol in {"patch", "file"}:
        origin, address = Origin.DIRECTORY, ""  # what is patched has an entry of its own
    else:
        origin, address = (Origin.GIT if "commit=" in reference else _origin_of(reference)), reference
    conditions = [found.groups() for found in _CONDITION.finditer(_text(row.get("conditions"), key) or "")]
    machines = {kind: tuple(value for each, value in conditions if each == kind) for kind in ("os", "cpu", "libc")}
    return LockedPackage(
        place=key,
        name=_checked_name(name, key) if origin is Origin.REGISTRY else name,
        version=version if is_version(version) else None,
        origin=origin,
        address=address,
        os=machines["os"],
        cpu=machines["cpu"],
        libc=machines["libc"],
        optional=bool(conditions),
    )


MOST_BYTES = 64 << 20
FORMATS = {
    "npm-shrinkwrap.json": _read_package_lock,
    "package-lock.json": _read_package_lock,
    "pnpm-lock.yaml": _read_pnpm_lock,
    "yarn.lock": _read_yarn_lock,
}
"""The reader of each kind, by the name that its package manager looks for."""
LOCK_NAMES = {
    "npm": ("npm-shrinkwrap.json", "package-lock.json"),
    "pnpm": ("pnpm-lock.yaml",),
    "yarn": ("yarn.lock",),
}
"""Those that a package manager looks for; of several it takes the first."""


def read_lock(name: str, data: bytes) -> tuple[LockedPackage, ...]:
    """The packages that a lock file names.

    Raises:
        LockFileError: it is none of its kind, or contradicts itself.
    """
    if len(data) > MOST_BYTES:
        raise LockFileError(f"This lock file has more than {MOST_BYTES:,} bytes.")
    return FORMATS[name](data)
