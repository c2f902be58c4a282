"""What a source archive says about the build that made it (pure)."""

from __future__ import annotations

from dataclasses import dataclass

from rebuilder.ecosystems.pypi.wheel_traces import umask_of
from rebuilder.model.evidence import Inspection, Member, MemberKind, normal_path

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
