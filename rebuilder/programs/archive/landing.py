"""What lands where: the files that installers make of a wheel, one map for each way in which archives are read.

A pure model of the readers that matter: pip (Python's ``zipfile``, by the central directory), uv (by the central
directory, older ones by the local headers in their order in the file), and ``zipimport``. Two wheels may only be
called equivalent when all their maps are equal. Where readers make different maps of one archive, it is contradictory
(``contradictions``); where the order of members decides on some file systems only, the order is content.

Install schemes are those of the wheel format (PyPA "Binary distribution format"), folded as on Linux: purelib and
platlib are one directory.
"""

from __future__ import annotations

import posixpath
import re
import struct
import unicodedata
import zlib
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from rebuilder.programs.archive.dangers import implied_directories, plain_name
from rebuilder.programs.archive.deb import DebArchive, installed
from rebuilder.programs.archive.zip import ZipArchive, ZipMember, dos_seconds

UNICODE_PATH = 0x7075
_UTF8_FLAG = 1 << 11
_SCHEMES = {"purelib": "lib", "platlib": "lib", "scripts": "bin", "headers": "include", "data": ""}
_PACKAGES = re.compile(r"(?:(?:local/)?lib(?:64)?/(?:python|pypy)[0-9.]+t?|[Ll]ib)/(?:site|dist)-packages/")
_BIN = re.compile(r"(?:local/)?(?:bin|Scripts)/")
_HEADERS = re.compile(r"(?:(?:local/)?include/(?:site/)?(?:python|pypy)[0-9.]+[a-z]*|Include)/([^/]+)/")
_IGNORED = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
"""What file systems without case pass over besides formats (Unicode, "Default_Ignorable_Code_Point")."""
_SHORT_NAME = re.compile(r"[^.]{1,6}~[0-9]+(?:\.[^.]{0,3})?[. ]*", re.DOTALL)
"""What Windows itself may have given a longer name that it wrote before."""
_DRIVE = re.compile(r"^[A-Za-z]:")
_TIME_FIELDS = {0x000A, 0x5455, 0x5855}
_ZONE_SECONDS = 900
_ZONES_SECONDS = 15 * 3600

Place = tuple[str, str, bool, bool]
"""Path, SHA-256, and whether pip and uv make it executable."""


class Landed(NamedTuple):
    """Where one member lands."""

    path: str
    member: ZipMember


class Reader(NamedTuple):
    """A way to read the archive."""

    name: str
    """As it stands in a sentence."""
    member_name: Callable[[ZipMember], str]
    place: Callable[[str, str], str]
    """The path below the environment, from the name of a member and that of the release ("idna-3.10")."""
    physical: bool = False
    """Goes by the order in the file rather than that in the central directory."""


def spelt(member: ZipMember) -> str:
    """The name as Python's ``zipfile`` has it: code page 437 without the flag (APPNOTE 4.4.4), cut at a NUL."""
    return unicode_path(member.raw_name, member.extra, member.name).split("\0")[0]


def _spelt_utf8(member: ZipMember) -> str:
    try:
        name = member.raw_name.decode("utf-8")
    except UnicodeDecodeError:
        name = member.name
    return unicode_path(member.raw_name, member.extra, name)


def unicode_path(raw_name: bytes, extra: Iterable[tuple[int, Any]], name: str) -> str:
    """The name in a unicode path field that belongs to the name (APPNOTE 4.6.9); ``name`` if there is none."""
    for kind, data in extra:
        if kind == UNICODE_PATH and isinstance(data, bytes) and len(data) > 5 and data[0] == 1:
            (crc,) = struct.unpack_from("<L", data, 1)
            if crc == zlib.crc32(raw_name):
                return data[5:].decode("utf-8", "backslashreplace")
    return name


def _pip_place(name: str, release: str) -> str:
    top = name.split("/", 1)[0]
    plain = posixpath.normpath(name)
    return _scheme(plain, release) if top.endswith(".data") and release else f"lib/{plain}"


def _uv_place(name: str, release: str) -> str:
    plain = posixpath.normpath(name)
    data = f"{release}.data"
    return _scheme(plain, release) if release and plain.split("/", 1)[0] == data else f"lib/{plain}"


def _scheme(plain: str, release: str) -> str:
    parts = plain.split("/", 2)
    if len(parts) < 3 or parts[1] not in _SCHEMES:
        return f"nowhere/{plain}"
    project = release.partition("-")[0]
    if parts[1] == "headers":
        return f"Include/{project}/{parts[2]}"
    if parts[1] != "data":
        return f"{_SCHEMES[parts[1]]}/{parts[2]}"
    headers = _HEADERS.match(parts[2])
    if headers and _any_spelling(headers[1]) == _any_spelling(project):
        return f"Include/{project}/{parts[2][headers.end() :]}"
    for found, scheme in ((_PACKAGES, "lib/"), (_BIN, "bin/")):
        if found.match(parts[2]):
            return found.sub(scheme, parts[2], count=1)
    return parts[2]


def _any_spelling(project: str) -> str:
    """A project's name as all its spellings have it (PyPA "Names and normalization")."""
    return re.sub(r"[-_.]+", "-", project).lower()


READERS = (
    Reader("pip", spelt, _pip_place),
    Reader("uv", _spelt_utf8, _uv_place),
    Reader("a reader of local headers", _spelt_utf8, _uv_place, physical=True),
    Reader("zipimport", spelt, lambda name, _release: f"archive/{name}"),
)


def release_of(archive: ZipArchive) -> str:
    """What stands before ``.dist-info`` in the one directory of that kind; empty when this is no wheel."""
    found = dist_infos(archive)
    return found.pop() if len(found) == 1 else ""


def dist_infos(archive: ZipArchive) -> set[str]:
    """What stands before ``.dist-info`` in every top directory of that kind that holds metadata."""
    tops = {each.name.partition("/")[0] for each in archive.members if each.name.count("/") == 1}
    return {top[: -len(".dist-info")] for top in tops if top.endswith(".dist-info")}


def landed(archive: ZipArchive, reader: Reader) -> list[Landed]:
    """Where each file lands, in the order in which the reader comes to them."""
    release = release_of(archive)
    members = sorted(archive.members, key=lambda each: each.rank) if reader.physical else archive.members
    return [Landed(reader.place(reader.member_name(each), release), each) for each in members if not _directory(each)]


def maps(archive: ZipArchive) -> dict[str, dict[str, tuple[Place, ...]]]:
    """What each reader makes of a wheel: for every path, on any file system, all that lands there, in order.

    Keys are paths as the least exact file system has them (:func:`_folded`). More than one file under a key means that
    the order decides, somewhere. A directory with nothing in it has a key that ends with a slash.
    """
    implied = implied_directories(archive.members)
    empty = {plain_name(each.name) for each in archive.members if _directory(each)} - implied
    result: dict[str, dict[str, tuple[Place, ...]]] = {}
    for reader in READERS:
        found: dict[str, list[Place]] = {}
        for path, member in landed(archive, reader):
            place = (path, member.lines or member.sha256, *executable(member))
            for key in _folded(path):
                found.setdefault(key, []).append(place)
        result[reader.name] = {key: tuple(places) for key, places in found.items()}
        result[reader.name].update((f"{name}/", ()) for name in empty)
    return result


def same_files(published: Any, rebuilt: Any) -> bool:
    """Whether all maps of two ZIP files are equal, or what dpkg makes of two packages; other archives have no maps."""
    if isinstance(published, DebArchive):
        return installed(published) == installed(rebuilt)
    return not isinstance(published, ZipArchive) or maps(published) == maps(rebuilt)


def executable(member: ZipMember) -> tuple[bool, bool]:
    """Whether pip and uv make a file executable: pip asks for a regular file, uv for a Unix host."""
    mode = member.external >> 16
    bits = bool(mode & 0o111)
    return bits and mode & 0o170000 == 0o100000, bits and member.host == 3


def _folded(path: str) -> set[str]:
    """The path as case-insensitive file systems and Windows have it; several where they disagree.

    Rather too much is folded than too little: what comes out alike makes the order of members count, and nothing else.
    """
    parts = path.replace("\\", "/").rstrip("/").split("/")
    streamless = "/".join(_fold(part.split(":")[0].rstrip(". ") or part) for part in parts)
    replaced = "/".join(_fold(re.sub(r'[:<>|"?*]', "_", part).rstrip(". ") or part) for part in parts)
    result = {streamless, replaced}
    if ":" in path and any(_DRIVE.match(part) for part in parts):
        result |= _folded("/".join(_DRIVE.sub("", part) for part in parts))
    return result


@lru_cache(maxsize=1 << 16)
def _fold(part: str) -> str:
    text = "".join(char for char in _IGNORED.sub("", part) if unicodedata.category(char) != "Cf")
    text = unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())
    return unicodedata.normalize("NFD", text.upper().casefold())


def order_decides(archive: ZipArchive) -> bool:
    """Whether, for some reader on some file system, what is there afterwards depends on the order of members."""
    release = release_of(archive)
    as_pip = tuple((_pip_place(spelt(each), release), _directory(each)) for each in archive.members)
    as_uv = tuple((_uv_place(_spelt_utf8(each), release), _directory(each)) for each in archive.members)
    return names_meet(as_pip) or (as_uv != as_pip and names_meet(as_uv))


@lru_cache(maxsize=4)
def names_meet(places: tuple[tuple[str, bool], ...]) -> bool:
    """Whether two files meet on some file system, one lies in the way to another, or a directory is spelt in two ways.

    Places are paths, and whether each is a directory. A name that Windows may have given to another file by itself
    counts as one that meets.
    """
    if any(_SHORT_NAME.fullmatch(part) for path, _directory in places if "~" in path for part in path.split("/")):
        return True
    files: set[str] = set()
    for path, directory in places:
        keys = set() if directory else _folded(path)
        if keys & files:
            return True
        files |= keys
    spellings: dict[str, str] = {}
    for above in {step for path, directory in places for step in _above(f"{path}/" if directory else path)}:
        if any(key in files or spellings.setdefault(key, above) != above for key in _folded(above)):
            return True
    return False


def twins(archive: ZipArchive) -> list[tuple[str, tuple[ZipMember, ...]]]:
    """Paths at which two members with different content land, whatever the file system."""
    result: dict[str, tuple[ZipMember, ...]] = {}
    for reader in READERS[:3]:
        found: dict[str, list[ZipMember]] = {}
        for path, member in landed(archive, reader):
            found.setdefault(path, []).append(member)
        for path, members in found.items():
            if len({(each.sha256, each.kind, executable(each)) for each in members}) > 1:
                result.setdefault(path, tuple(members))
    return sorted(result.items())


def torn(archive: ZipArchive) -> tuple[ZipMember, str, str] | None:
    """A member that two readers put at different places, and those places; None when all agree."""
    release = release_of(archive)
    for each in archive.members:
        if _directory(each):
            continue
        places = {_pip_place(spelt(each), release), _uv_place(_spelt_utf8(each), release)}
        local = unicode_path(each.raw_name, each.local_extra, _spelt_utf8(each))
        places |= {_uv_place(local, release), _pip_place(each.name.split("\0")[0], release)}
        if len(places) > 1:
            first, second = sorted(places)[:2]
            return each, first, second
    return None


def _above(path: str) -> Iterable[str]:
    parts = path.split("/")[:-1]
    return ("/".join(parts[: index + 1]) for index in range(len(parts)))


def _directory(member: ZipMember) -> bool:
    return member.kind == "directory"


def timed_sources(archive: ZipArchive) -> set[bytes]:
    """Names of sources whose recorded time decides whether Python runs the byte code beside them.

    It takes byte code for ``x.py`` if the time and the size in it are those of the source: in ``zipimport`` and, where
    the archive was unpacked with its times, in ``__pycache__`` too. A member's time is read in the zone of whoever
    runs it, so every zone counts.
    """
    stamps: dict[bytes, list[tuple[int, int | None]]] = {}
    for each in archive.members:
        if each.stamp is not None:
            stamps.setdefault(_source_of(each.raw_name), []).append(each.stamp)
    return {
        each.raw_name
        for each in archive.members
        if any(_may_be_valid(stamp, each) for stamp in stamps.get(each.raw_name, ()))
    }


def _source_of(raw_name: bytes) -> bytes:
    """The source of byte code (PEP 3147): beside it, or a directory above and without the name of the Python."""
    directory, cache, name = raw_name.rpartition(b"__pycache__/")
    if cache and b"/" not in name and (not directory or directory.endswith(b"/")):
        return directory + name.split(b".")[0] + b".py"
    return raw_name[:-1]


def _may_be_valid(stamp: tuple[int, int | None], source: ZipMember) -> bool:
    moment, size = stamp
    if size is not None and size != source.size & 0xFFFFFFFF:
        return False
    if any(kind in _TIME_FIELDS for kind, _data in (*source.extra, *source.local_extra)):
        return True
    apart = moment - dos_seconds(source.time)
    return abs(apart) <= _ZONES_SECONDS and min(apart % _ZONE_SECONDS, -apart % _ZONE_SECONDS) <= 2
