"""What a wheel says about the build that made it (pure: reads a listing, nothing else)."""

from __future__ import annotations

import re
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.parser import HeaderParser
from typing import Literal

from rebuilder.ecosystems.obstacles import NotRebuildable, unsupported
from rebuilder.model.evidence import Inspection, Member, MemberKind

_GENERATOR = re.compile(r"([A-Za-z0-9][A-Za-z0-9._ -]{0,60}?)[ ]*[ (]v?([0-9][A-Za-z0-9.+!_-]{0,60})\)?")
"""``hatchling 1.27.0``, ``setuptools (75.8.0)``, ``bdist_wheel (0.45.1)``."""


@dataclass(frozen=True)
class Generator:
    """``Generator`` of the WHEEL file: the program that packed the wheel."""

    name: str
    version: str


@dataclass(frozen=True)
class WheelTraces:
    """What was found; None where the wheel does not say."""

    dist_info: str
    """Name of the ``.dist-info`` directory."""
    generator: Generator | None
    root_is_purelib: bool
    tags: tuple[str, ...]
    uniform_time: str | None
    """The one time all members carry (``YYYY-MM-DDTHH:MM:SS``, no zone), or None when they differ."""
    times: dict[str, str]
    """Time by member, in the order of the archive."""
    source_umask: int | None
    """What files copied from the source were not given; None when the modes are not those of a file system."""
    generated_umask: int | None
    """The same for the files the backend wrote."""
    create_system: int | None
    """ZIP host all members agree on: 3 Unix, 0 Windows."""


def read_traces(wheel: Inspection) -> WheelTraces:
    """Read the traces out of a listing that has the texts of the ``.dist-info`` directory.

    The layout is that of the binary distribution format (https://packaging.python.org/specifications/).

    Raises:
        NotRebuildable: there is not exactly one ``.dist-info`` with a readable WHEEL and METADATA.
    """
    dist_info = _dist_info(wheel)
    header = _headers(wheel, f"{dist_info}/WHEEL")
    if "metadata-version" not in _headers(wheel, f"{dist_info}/METADATA"):
        raise _malformed(f"{dist_info}/METADATA has no Metadata-Version.")
    if "wheel-version" not in header:
        raise _malformed(f"{dist_info}/WHEEL has no Wheel-Version.")
    files = [member for member in wheel.members if member.kind is MemberKind.FILE]
    times = {member.name: member.mtime for member in files}
    distinct = set(times.values())
    systems = {member.create_system for member in files}
    return WheelTraces(
        dist_info=dist_info,
        generator=_generator(header.get("generator", [""])[0]),
        root_is_purelib=header.get("root-is-purelib", ["true"])[0].lower() == "true",
        tags=tuple(header.get("tag", [])),
        uniform_time=distinct.pop() if len(distinct) == 1 else None,
        times=times,
        source_umask=umask_of(_copied(files, dist_info)),
        generated_umask=umask_of([each for each in files if each.name in _generated(dist_info)]),
        create_system=systems.pop() if len(systems) == 1 else None,
    )


def _malformed(sentence: str) -> NotRebuildable:
    return unsupported(f"The published wheel is malformed: {sentence}")


def _dist_info(wheel: Inspection) -> str:
    directories = {
        member.name.split("/")[0] for member in wheel.members if re.match(r"[^/]+\.dist-info/WHEEL$", member.name)
    }
    if len(directories) != 1:
        raise _malformed(
            f"it has {len(directories) or 'no'} .dist-info directories with a WHEEL file; every wheel has one."
        )
    return directories.pop()


def _headers(wheel: Inspection, name: str) -> dict[str, list[str]]:
    text = wheel.texts.get(name)
    if text is None:
        raise _malformed(f"{name} is missing or is no text.")
    message = HeaderParser().parsestr(text)
    headers: dict[str, list[str]] = {}
    for key, value in message.items():
        headers.setdefault(key.lower(), []).append(str(value).strip())
    return headers


def _generator(text: str) -> Generator | None:
    match = _GENERATOR.fullmatch(text.strip())
    return Generator(match[1].strip(), match[2]) if match else None


def _generated(dist_info: str) -> set[str]:
    return {f"{dist_info}/{each}" for each in ("WHEEL", "METADATA", "RECORD", "entry_points.txt")}


def _copied(files: list[Member], dist_info: str) -> list[Member]:
    """The files that kept the mode of their source, as far as one can know.

    Backends copy licences and data with their modes; some give modules the mode of a new file instead.
    """
    licences = [each for each in files if each.name.startswith(f"{dist_info}/")]
    licences = [each for each in licences if each.name not in _generated(dist_info)]
    others = [each for each in files if not each.name.startswith(f"{dist_info}/")]
    data = [each for each in others if not each.name.endswith(".py")]
    return licences or data or others


def umask_of(members: Sequence[Member]) -> int | None:
    """The umask the modes of these members point to: of 0664 it is 0002, of 0644 it is 0022."""
    masks = Counter(
        ~member.mode & (0o777 if member.mode & 0o111 else 0o666) & 0o077
        for member in members
        if member.mode is not None and stat.S_IFMT(member.mode) in {0, stat.S_IFREG} and member.mode & 0o600 == 0o600
    )
    if not masks:
        return None
    mask, _ = masks.most_common(1)[0]
    # A file that is not executable tells nothing about the x bits; who may not read may not execute either.
    return mask | ((mask & 0o044) >> 2)


@dataclass(frozen=True)
class OnWindows:
    """The wheel was packed on Windows."""

    mounted: Literal["all", "but-record"] | None = None
    """Linux packed it, on a disk where every file may be executed by everybody; RECORD was written to it or not."""

    @property
    def sentence(self) -> str:
        """The evidence."""
        if self.mounted:
            return (
                "Everybody may execute every file (mode 0777), metadata too, as on a disk of Windows that Linux has "
                "mounted: the members are given that mode."
            )
        return "Every member was packed on Windows (ZIP host system 0): what Windows does differently is done."


def on_windows(wheel: Inspection, traces: WheelTraces) -> OnWindows | None:
    """What Windows left; None when the wheel does not say it was packed there."""
    if traces.create_system != 0:
        return _mounted(wheel, traces)
    return OnWindows()


def _mounted(wheel: Inspection, traces: WheelTraces) -> OnWindows | None:
    others = {each.mode for each in wheel.members if each.name != f"{traces.dist_info}/RECORD"}
    if traces.create_system != 3 or others != {stat.S_IFREG | 0o777}:
        return None
    record = {each.mode for each in wheel.members} == others
    return OnWindows(mounted="all" if record else "but-record")


TIME_FORMAT = "%Y-%m-%dT%H:%M:%S"
INFO = re.compile(r"^[^/]+\.(?:dist|egg)-info/")
"""The directory in which a wheel describes itself, and its forerunner."""


def epoch(moment: str) -> int | None:
    """Seconds since 1970 of a ZIP time read as UTC; None when it is no time at all."""
    parsed = parse_time(moment)
    return int(parsed.timestamp()) if parsed else None


def parse_time(moment: str) -> datetime | None:
    """A ZIP time; None when the archive holds something impossible, such as month 0."""
    try:
        return datetime.strptime(moment, TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None


def metadata_file(member: str, *names: str) -> bool:
    """Whether a member is one of these files of ``.dist-info``; any of them when none is named."""
    return INFO.match(member) is not None and (not names or member.rpartition("/")[2] in names)
