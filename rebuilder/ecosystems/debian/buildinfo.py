"""What a builder wrote about its build of a Debian package (deb-buildinfo(5)).

Nothing that a ``.buildinfo`` says binds anything: whoever wrote it may know the published bytes and may want a build to
know them too. So what may enter a build comes from closed sets: versions of packages, a build path of the forms that
builders have, and values of a few variables. The rest is told by name and left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from rebuilder import deb822
from rebuilder.deb822 import MalformedStanzaError
from rebuilder.ecosystems.debian.index import SourceName, listed
from rebuilder.ecosystems.debian.subject import is_architecture, is_name
from rebuilder.ecosystems.debian.version import is_version, parsed, without_rebuild
from rebuilder.model.value import Sha256, is_sha256

BUILDINFO_BYTES = 4 << 20
"""Of a file that is read; the largest of the archive have some two hundred kilobytes."""
MOST_INSTALLED = 20_000
_MOST_VARIABLES = 400
_SOURCE = re.compile(r"(?P<name>\S+)(?:\s+\((?P<version>\S+)\))?")
_INSTALLED = re.compile(r"(?P<name>[^\s:]+)(?::(?P<architecture>\S+))? \(= (?P<version>[^\s)]+)\)")
_VARIABLE = re.compile(r'(?P<name>[A-Za-z_][A-Za-z0-9_]{0,99})="(?P<value>.*)"')
_SIZE = re.compile(r"[0-9]{1,15}", re.ASCII)
_LOCALE = re.compile(r"(?:C|POSIX|[a-z]{2,3}_[A-Z]{2})(?:\.(?:UTF-8|utf8))?", re.ASCII)
_CATEGORY = re.compile(
    r"LANG|LC_(?:ALL|CTYPE|NUMERIC|TIME|COLLATE|MONETARY|MESSAGES|PAPER|NAME|ADDRESS|TELEPHONE|MEASUREMENT"
    r"|IDENTIFICATION)"
)
_OPTION = re.compile(
    r"noautodbgsym|nobench|nocheck|noddebs|nodoc|noopt|nostrip|notest|notrimdch|terse|parallel=[1-9][0-9]{0,2}"
)
_PROFILE = re.compile(r"nobiarch|nocheck|nodoc|nogolang|nojava|nolua|noperl|nopython|noruby|noudeb|stage[12]")
_EPOCH = re.compile(r"[0-9]{1,11}", re.ASCII)


class BuiltFile(NamedTuple):
    """A file that the build gave."""

    name: str
    size: int
    """Bytes."""
    sha256: Sha256


class InstalledPackage(NamedTuple):
    """A package that was there during the build."""

    name: str
    architecture: str | None
    """None: that of the build, or ``all``."""
    version: str


class BuildInfo(NamedTuple):
    """A ``.buildinfo``, as far as a build may follow it."""

    source: SourceName
    version: str
    """Of the packages; that of the source with ``+bN`` where it is another build of it."""
    architectures: tuple[str, ...]
    """What was built for; ``source`` and ``all`` among them."""
    build_architecture: str
    build_path: str | None
    """None: it has none, or none of the forms that builders have."""
    environment: Mapping[str, str]
    """Variables that a build may be given, values of closed sets."""
    installed: tuple[InstalledPackage, ...]
    files: tuple[BuiltFile, ...]
    left_out: tuple[str, ...]
    """What of it is not followed, one sentence each."""


def build_info(text: bytes) -> BuildInfo:
    """Read a ``.buildinfo``. The text is one without a signature.

    Raises:
        MalformedStanzaError: it is none, contradicts itself, or is larger than any.
    """
    if len(text) > BUILDINFO_BYTES:
        raise MalformedStanzaError(f"it has more than {BUILDINFO_BYTES:,} bytes")
    fields = document(text)
    if not {"source", "version", "architecture", "installed-build-depends"} <= set(fields):
        raise MalformedStanzaError("it does not say which source was built, and with what")
    source, version = source_of(fields)
    architectures = tuple(fields["architecture"].split())
    build_architecture = fields.get("build-architecture", "")
    if not architectures or not all(map(is_architecture, (*architectures, build_architecture))):
        raise MalformedStanzaError("it names an architecture that is none")
    path, environment = fields.get("build-path"), dict(_variables(fields.get("environment", "")))
    allowed = {name: value for name, value in environment.items() if _allowed(name, value)}
    safe = path if path is not None and _is_build_path(path, source) else None
    return BuildInfo(
        source=source,
        version=version,
        architectures=architectures,
        build_architecture=build_architecture,
        build_path=safe,
        environment=allowed,
        installed=tuple(_installed(fields["installed-build-depends"])),
        files=checksums(fields),
        left_out=tuple(_left_out(environment, allowed, path, safe)),
    )


def document(text: bytes) -> dict[str, str]:
    """The fields of a document that is one stanza; names in small letters.

    Raises:
        MalformedStanzaError: it is none, or more than one.
    """
    found = list(deb822.stanzas(text))
    if len(found) != 1:
        raise MalformedStanzaError("it has more than one paragraph" if found else "there is nothing in it")
    return deb822.fields(found[0])


def source_of(fields: Mapping[str, str]) -> tuple[SourceName, str]:
    """The source package that a document names, and the version that was built of it.

    Raises:
        MalformedStanzaError: they are no names and versions, or two versions that do not belong together.
    """
    version, named = fields.get("version", ""), _SOURCE.fullmatch(fields.get("source", ""))
    source = SourceName(named["name"], named["version"] or version) if named else SourceName("", "")
    if not (is_name(source.name) and is_version(source.version) and is_version(version)):
        raise MalformedStanzaError("it names no source package and version as Debian's have")
    if source.version not in {version, without_rebuild(version)}:
        raise MalformedStanzaError(f"{version} is no build of the source version {source.version}")
    return source, version


def checksums(fields: Mapping[str, str]) -> tuple[BuiltFile, ...]:
    """The files that a document lists with their SHA-256.

    Raises:
        MalformedStanzaError: there are none, a name leads into another directory, or a line is none.
    """
    files = list(listed(fields.get("checksums-sha256", "")))
    if not files:
        raise MalformedStanzaError("it lists no files with SHA-256")
    if not all(_SIZE.fullmatch(size) and is_sha256(sha256) for _, size, sha256 in files):
        raise MalformedStanzaError("a file in it has no size or no SHA-256")
    return tuple(BuiltFile(name, int(size), Sha256(sha256)) for name, size, sha256 in files)


def _installed(text: str) -> Iterator[InstalledPackage]:
    seen: set[tuple[str, str | None]] = set()
    if text.count(",") > MOST_INSTALLED:
        raise MalformedStanzaError(f"it names more than {MOST_INSTALLED:,} packages that were installed")
    for each in filter(None, map(str.strip, text.replace("\n", " ").split(","))):
        found = _INSTALLED.fullmatch(each)
        if found is None or not is_name(found["name"]) or not is_version(found["version"]):
            raise MalformedStanzaError(f"it has an installed package in no form that is known ({each[:60]!r})")
        architecture = found["architecture"]
        if architecture is not None and not is_architecture(architecture):
            raise MalformedStanzaError(f"{architecture[:60]!r} is no architecture")
        if (found["name"], architecture) in seen:
            raise MalformedStanzaError(f"it has {found['name']} installed twice")
        seen.add((found["name"], architecture))
        yield InstalledPackage(found["name"], architecture, found["version"])


def _variables(text: str) -> Iterator[tuple[str, str]]:
    lines = [each for each in text.split("\n") if each]
    if len(lines) > _MOST_VARIABLES:
        raise MalformedStanzaError(f"it has more than {_MOST_VARIABLES} variables")
    for line in lines:
        found = _VARIABLE.fullmatch(line)
        if found is None:
            raise MalformedStanzaError(f"a line of its environment is none ({line[:60]!r})")
        yield found["name"], found["value"].replace('\\"', '"')


def _allowed(name: str, value: str) -> bool:
    """Whether a build may be given a variable: what other values could tell it has no end."""
    if _CATEGORY.fullmatch(name):
        return _LOCALE.fullmatch(value) is not None
    if name == "SOURCE_DATE_EPOCH":
        return _EPOCH.fullmatch(value) is not None
    words, form = value.split(" "), {"DEB_BUILD_OPTIONS": _OPTION, "DEB_BUILD_PROFILES": _PROFILE}.get(name)
    return form is not None and len(set(words)) == len(words) and all(map(form.fullmatch, words))


def _is_build_path(path: str, source: SourceName) -> bool:
    """Whether it has one of the forms that the archive's builders, sbuild and people have."""
    last = re.escape(f"{source.name}-{parsed(source.version).upstream}")
    between = rf"(?:reproducible-path/|{re.escape(source.name)}-[A-Za-z0-9]{{6}}/)?"
    return re.fullmatch(rf"/build/{between}{last}", path, re.ASCII) is not None


def _left_out(
    environment: Mapping[str, str], allowed: Mapping[str, str], path: str | None, safe: str | None
) -> Iterator[str]:
    names = sorted(set(environment) - set(allowed))
    if names:
        more = f" and {len(names) - 10} more" if len(names) > 10 else ""
        yield f"Its variables {', '.join(names[:10])}{more} have values that no build is given."
    if path is not None and safe is None:
        yield "Its build path has none of the forms that builders have."
