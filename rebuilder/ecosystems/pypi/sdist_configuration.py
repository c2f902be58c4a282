"""What a source archive and its project's configuration say of how it was made: files written and left out (pure)."""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rebuilder.ecosystems.pypi.wheel_traces import umask_of
from rebuilder.foreign_words import read_toml
from rebuilder.model.evidence import Inspection, Member, MemberKind, normal_path

_WRITTEN = (
    ("setuptools_scm", "version_file"),
    ("setuptools_scm", "write_to"),
    ("hatch", "build", "hooks", "vcs", "version-file"),
    ("hatch", "build", "targets", "sdist", "hooks", "vcs", "version-file"),
    ("versioningit", "write", "file"),
    ("versioningit", "onbuild", "source-file"),
    ("pdm", "version", "write_to"),
    ("versioneer", "versionfile_source"),
    ("setuptools-git-versioning", "version_file"),
)
"""Below ``[tool]``: files that backends write with a version taken from git."""
_EXCLUDED = (
    ("hatch", "build", "targets", "sdist", "exclude"),
    ("hatch", "build", "exclude"),
    ("flit", "sdist", "exclude"),
    ("pdm", "build", "excludes"),
    ("poetry", "exclude"),
)
"""Below ``[tool]``: patterns of files that are left out."""
_IN_TEXT = re.compile(r"\b(?:version_file|write_to|versionfile_source)[\"']?\s*[:=]\s*[\"']?([\w./-]{1,200}\.\w{1,8})")
_MANIFEST = re.compile(r"(exclude|global-exclude|prune|recursive-exclude)\s+(.+)")
_NAMED_IN_CFG = re.compile(r"^\[metadata\][^\[]*?^name\s*[=:]\s*([\w.-]{1,200})\s*$", re.MULTILINE | re.ASCII)
_SETUP_CALL = re.compile(r"\bsetup\(")
_NAMED_IN_CALL = re.compile(r"\bname\s*=\s*[\"']([\w.-]{1,200})[\"']", re.ASCII)
_LONGEST_CALL = 20_000
_MOST = 500


@dataclass(frozen=True)
class SourceProject:
    """What the commit says about how its source archive is made."""

    version_files: frozenset[str] = frozenset()
    """Paths that are configured to be written with the version."""
    excluded: tuple[str, ...] = ()
    """Patterns of files that are configured to be left out; a star matches slashes too."""


def read_project(
    pyproject: str | None, setup_py: str | None, setup_cfg: str | None, manifest: str | None
) -> SourceProject:
    """Read the texts of the commit; what cannot be understood explains nothing.

    Args:
        pyproject: ``pyproject.toml``.
        setup_py: Searched for the names of setuptools-scm's and versioneer's settings; not run.
        setup_cfg: Searched likewise.
        manifest: ``MANIFEST.in``; only the lines that leave files out count.
    """
    tool = _tool(pyproject)
    written = {text for path in _WRITTEN for text in _texts(tool, path)}
    for text in (setup_py, setup_cfg):
        written |= set(_IN_TEXT.findall(text)) if text and _takes_version_from_git(text) else set()
    excluded = [pattern for path in _EXCLUDED for text in _texts(tool, path) for pattern in _patterns(text)]
    return SourceProject(
        version_files=frozenset(posixpath.normpath(each) for each in written),
        excluded=tuple((excluded + list(_manifest(manifest or "")))[:_MOST]),
    )


def named_project(filename: str, text: str) -> str | None:
    """The name of the project that one of the files that say how it is built gives it, where it is written out."""
    if filename == "pyproject.toml":
        try:
            document = read_toml(text)
        except tomllib.TOMLDecodeError:
            return None
        named = [*_texts(document, ("project", "name")), *_texts(document, ("tool", "poetry", "name"))]
        return named[0] if named else None
    if filename == "setup.cfg":
        found = _NAMED_IN_CFG.search(text)
    else:
        call = _SETUP_CALL.search(text)
        found = _NAMED_IN_CALL.search(text, call.end(), call.end() + _LONGEST_CALL) if call else None
    return found[1] if found else None


def _takes_version_from_git(text: str) -> bool:
    return "use_scm_version" in text or "versioneer" in text or "setuptools_scm" in text


def _tool(pyproject: str | None) -> Any:
    try:
        return read_toml(pyproject or "").get("tool", {})
    except tomllib.TOMLDecodeError:
        return {}


def _texts(table: Any, path: tuple[str, ...]) -> list[str]:
    for name in path:
        table = table.get(name) if isinstance(table, dict) else None
    if isinstance(table, str):
        return [table]
    return [each for each in table if isinstance(each, str)] if isinstance(table, list) else []


def _patterns(text: str) -> Iterator[str]:
    """A pattern as backends read it: a directory stands for what is in it; anywhere unless it begins with a slash."""
    plain = text.strip("/")
    if not plain:
        return
    anchored = text.startswith("/") or "/" in plain
    for each in (plain, f"{plain}/*"):
        yield each
        if not anchored:
            yield f"*/{each}"


def _manifest(text: str) -> Iterator[str]:
    """Patterns that MANIFEST.in leaves out (setuptools, "Controlling files in the distribution")."""
    for line in text.splitlines():
        found = _MANIFEST.fullmatch(line.strip())
        if found is None:
            continue
        command, words = found[1], found[2].split()
        if command == "prune":
            yield from (f"{each.strip('/')}/*" for each in words)
        elif command == "exclude":
            yield from words
        elif command == "global-exclude":
            yield from (pattern for each in words for pattern in (each, f"*/{each}"))
        else:
            yield from (f"{words[0].strip('/')}/{each}" for each in words[1:])
            yield from (f"{words[0].strip('/')}/*/{each}" for each in words[1:])


GENERATED = frozenset(
    {
        *("PKG-INFO", "SOURCES.txt", "requires.txt", "top_level.txt", "dependency_links.txt", "entry_points.txt"),
        *("not-zip-safe", "zip-safe", "namespace_packages.txt", "scm_file_list.json", "scm_version.json"),
    }
)
"""Names setuptools gives to what it writes into an ``.egg-info`` directory; PKG-INFO also lies at the top."""
GZIP_HEADER = 10
_NO_TIME = "1970-01-01T00:00:00"


@dataclass(frozen=True)
class SdistTraces:
    """What was found; None where the archive does not say."""

    uniform_time: str | None
    """The one time all members with a time carry, in whole seconds; None when they differ."""
    times: dict[str, str]
    """Time by file, in the order of the archive."""
    gzip_time: int | None
    """Time in the gzip header, seconds since 1970 (RFC 1952, MTIME); None when it has none."""
    source_umask: int | None
    generated_umask: int | None


def read_sdist_traces(sdist: Inspection, beginning: bytes) -> SdistTraces:
    """Read the traces out of a listing and the first :data:`GZIP_HEADER` bytes of the file."""
    top = sdist.top_directory
    files = [member for member in sdist.members if member.kind is MemberKind.FILE]
    generated = [each for each in files if is_generated(below(each.name, top))]
    copied = [each for each in files if each not in generated]
    # Files that a backend writes without a time are at 1970 whatever the clock says.
    timed = [each for each in files if each.mtime != _NO_TIME or each.fraction] or files
    distinct = {_moment(each) for each in timed}
    uniform = distinct.pop() if len(distinct) == 1 else None
    return SdistTraces(
        uniform_time=None if uniform is None or "." in uniform else uniform,
        times={each.name: _moment(each) for each in timed},
        gzip_time=_gzip_time(beginning),
        source_umask=umask_of(copied),
        generated_umask=umask_of(generated),
    )


def is_generated(path: str) -> bool:
    """Whether a path is that of metadata which backends write; ``path`` is relative to the project."""
    *above, name = path.split("/")
    if not above:
        return name == "PKG-INFO"
    return above[-1].endswith(".egg-info") and name in GENERATED


def below(name: str, top: str) -> str:
    """A member's path relative to the directory ``top``; empty when it is not below it."""
    path = normal_path(name)
    if not top:
        return path
    return path[len(top) + 1 :] if path.startswith(f"{top}/") else ""


def _moment(member: Member) -> str:
    return f"{member.mtime}.{member.fraction}" if member.fraction else member.mtime


def _gzip_time(beginning: bytes) -> int | None:
    if len(beginning) < GZIP_HEADER or beginning[:3] != b"\x1f\x8b\x08":
        return None
    return int.from_bytes(beginning[4:8], "little") or None
