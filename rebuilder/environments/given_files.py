"""Taking the files of an interpreter that the settings name: from a directory, or from an archive with its digest."""

from __future__ import annotations

import copy
import hashlib
import lzma
import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rebuilder.environments.exchange import MOST_BYTES, MOST_ENTRIES
from rebuilder.environments.tree import listing, walk
from rebuilder.errors import BuildEnvironmentError
from rebuilder.model.settings import InterpreterSettings
from rebuilder.model.value import Sha256, sha256_hex

_OWN_FILTER: dict[str, Any] = {"filter": "fully_trusted"} if hasattr(tarfile, "data_filter") else {}
"""Newer Pythons want to be told that members were looked at."""


class GivenOrigin(NamedTuple):
    """Where files are from."""

    words: str
    sha256: Sha256
    """Of the archive, or of the listing of the directory."""


def unpacked(name: str, settings: InterpreterSettings, place: Path) -> GivenOrigin:
    """Put the files below ``place``, an empty directory, and say in a few words what they are, with a digest.

    Devices, sockets and pipes are left out: no interpreter needs them.

    Raises:
        BuildEnvironmentError: there is no such directory or archive, it has another digest, or is far too large.
    """
    given = Path(settings.archive or settings.path or "")
    try:
        if settings.archive is not None:
            _extract(name, given, settings.sha256 or "", place)
            return GivenOrigin(f"the archive {given.name} (SHA-256 {settings.sha256})", Sha256(settings.sha256 or ""))
        _copy(name, given, place)
        sha256 = sha256_hex(listing(place))
        return GivenOrigin(f"a directory (SHA-256 of its listing {sha256})", sha256)
    except (tarfile.TarError, zlib.error, lzma.LZMAError) as error:
        raise _unusable(name, f"{given} cannot be unpacked ({str(error).partition(':')[0][:200]})") from error
    except shutil.Error as error:
        source, _, reason = error.args[0][0]
        raise _unusable(name, f"{source} cannot be copied ({reason})") from error
    except (OSError, EOFError) as error:
        raise _unusable(name, f"{given} cannot be read ({getattr(error, 'strerror', None) or error})") from error


def _unusable(name: str, why: str) -> BuildEnvironmentError:
    return BuildEnvironmentError(
        f"The interpreter {name} cannot be used: {why}.", hint="Correct [interpreters] in the settings."
    )


def _extract(name: str, archive: Path, sha256: str, place: Path) -> None:
    with archive.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise _unusable(name, f"{archive} has not the SHA-256 that the settings name")
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:*") as members:
            # Bounded and held inside by us, and bound by the digest: S202 is about archives of strangers.
            members.extractall(place, members=_bounded(name, members, place), **_OWN_FILTER)  # noqa: S202


def _bounded(name: str, members: tarfile.TarFile, place: Path) -> Iterator[tarfile.TarInfo]:
    size = 0
    for number, member in enumerate(members):
        size += member.size
        if size > MOST_BYTES or number >= MOST_ENTRIES:
            raise _too_large(name)
        if member.isreg() or member.isdir() or member.issym() or member.islnk():
            yield _held_inside(member, place)


def _held_inside(member: tarfile.TarInfo, place: Path) -> tarfile.TarInfo:
    """The member without leading slashes and without rights nobody needs, as the standard library's tar filter has it.

    That filter came with Python 3.11.4; Debian's is older.
    """
    name = member.name.lstrip("/")
    target = (place / name).resolve()  # through links that were unpacked before
    if not target.is_relative_to(place.resolve()):
        raise tarfile.TarError(f"{name!r} leads out of it")
    held = copy.copy(member)
    held.name, held.mode = name, member.mode & 0o755
    return held


def _too_large(name: str) -> BuildEnvironmentError:
    return _unusable(name, f"it has more than {MOST_BYTES >> 30} GB or {MOST_ENTRIES} files")


def _copy(name: str, directory: Path, place: Path) -> None:
    if not directory.is_dir():
        raise _unusable(name, f"{directory} is not a directory")
    if place.resolve().is_relative_to(directory.resolve()):
        raise _unusable(name, f"the build environments themselves lie below {directory}")
    size = 0
    for number, (_, status) in enumerate(walk(directory)):
        size += status.st_size
        if size > MOST_BYTES or number >= MOST_ENTRIES:
            raise _too_large(name)
    shutil.copytree(directory, place, symlinks=True, ignore=_special, dirs_exist_ok=True)


def _special(directory: str, names: list[str]) -> list[str]:
    modes = {name: os.lstat(os.path.join(directory, name)).st_mode for name in names}  # noqa: PTH118 - texts
    known = (stat.S_ISREG, stat.S_ISDIR, stat.S_ISLNK)
    return [name for name, mode in modes.items() if not any(kind(mode) for kind in known)]
