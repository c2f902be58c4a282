"""Making a tree with a Python of the user's own in it.

A relocatable Python (``bin/python3.12`` and ``lib/python3.12`` in one directory) is laid into ``/usr`` of an
environment, where Debian's own Python was: there it works like any, and virtual environments find it. A root file
system (with ``usr/bin/python3.12`` or ``usr/local/bin/python3.12``) is taken as it is.

Its files come from a directory, or from an archive with its digest.
"""

from __future__ import annotations

import copy
import hashlib
import lzma
import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rebuilder.environments.exchange import MOST_BYTES, MOST_ENTRIES
from rebuilder.environments.protocol import BuildEnvironment
from rebuilder.environments.settle import finish, remove
from rebuilder.environments.tree import listing, walk
from rebuilder.errors import BuildEnvironmentError
from rebuilder.model.environment import Image, Made
from rebuilder.model.settings import InterpreterSettings
from rebuilder.model.value import Sha256, sha256_hex

_DEBIANS = ("usr/bin/python3*", "usr/lib/python3*", "usr/bin/pydoc3*", "usr/bin/pdb3*", "etc/python3*")
_PLACES = ("", "python", "install", "python/install")
"""Where archives have it."""


@dataclass(frozen=True)
class Base:
    """What an interpreter is laid over."""

    toolchain: BuildEnvironment
    made: Made


def make(name: str, settings: InterpreterSettings, base: Callable[[str], Base], root: Path) -> Made:
    """Make the tree at ``root``, which must not exist; its parent directory takes logs and what is unpacked.

    Raises:
        BuildEnvironmentError: there is no such interpreter, or it does not run; the sentence says why.
    """
    given = root.parent / "given"
    given.mkdir()
    origin = _unpacked(name, settings, given)
    found, prefix = _found(name, settings, given)
    if prefix is None:
        under = base(settings.base)
        _lay_over(under.toolchain.root, found, root)
        packages, over = under.made.packages, f", laid over {settings.base} ({under.toolchain.sha256})"
        image = Image(sha256=origin.sha256, base=under.toolchain.sha256)
        notes, prefix = under.made.notes, "usr"
    else:
        found.rename(root)
        packages, over, notes = (), ", a root file system of its own", ()
        image = Image(sha256=origin.sha256)
    shutil.rmtree(given, ignore_errors=True)
    links = _links(settings.version, prefix)
    for link in links:
        remove(root / link)
    finish(root, links, python=settings.version, prefix=prefix)
    note = f"Its Python {settings.version} is not Debian's: it is from the settings, {origin.words}{over}."
    return Made(packages=packages, image=image, tool="settings", sources=(origin.words,), notes=(note, *notes))


def _found(name: str, settings: InterpreterSettings, given: Path) -> tuple[Path, str | None]:
    """The directory the interpreter is in, and its prefix there if that is a root file system."""
    python = f"python{settings.version}"
    for place in [given, *(given / each for each in _PLACES[1:]), *_only_child(given)]:
        for prefix in ("usr", "usr/local"):
            if os.path.lexists(place / prefix / "bin" / python) and os.path.lexists(place / "bin/sh"):
                return place, prefix
        if (place / "bin" / python).is_file() and (place / "lib" / python / "os.py").is_file():
            return place, None
    raise BuildEnvironmentError(
        f"The interpreter {name} cannot be used: there is neither bin/{python} with lib/{python} in "
        f"{settings.path or settings.archive}, nor usr/bin/{python} of a root file system."
    )


def _only_child(given: Path) -> list[Path]:
    children = list(given.iterdir())
    return children if len(children) == 1 and children[0].is_dir() and not children[0].is_symlink() else []


def _links(version: str, prefix: str) -> dict[str, str]:
    python = f"python{version}"
    links = {f"{prefix}/bin/python3": python}
    if prefix != "usr":
        # Absolute, because a Python keeps the words of a relative link in the prefix it tells builds.
        links["usr/bin/python3"] = f"/{prefix}/bin/{python}"
    return links


def _lay_over(base: Path, found: Path, root: Path) -> None:
    shutil.copytree(base, root, symlinks=True)
    for pattern in _DEBIANS:
        for place in list(root.glob(pattern)):
            remove(place)
    for path, status in sorted(walk(found)):
        source, goal = found / os.fsdecode(path), root / "usr" / os.fsdecode(path)
        if stat.S_ISDIR(status.st_mode):
            if goal.is_symlink() or not goal.is_dir():
                remove(goal)
                goal.mkdir()
        elif not (goal.is_dir() and not goal.is_symlink()):  # what is a directory of the base stays one
            remove(goal)
            shutil.copy2(source, goal, follow_symlinks=False)


_OWN_FILTER: dict[str, Any] = {"filter": "fully_trusted"} if hasattr(tarfile, "data_filter") else {}
"""Newer Pythons want to be told that members were looked at."""


class GivenOrigin(NamedTuple):
    """Where files are from."""

    words: str
    sha256: Sha256
    """Of the archive, or of the listing of the directory."""


def _unpacked(name: str, settings: InterpreterSettings, place: Path) -> GivenOrigin:
    """Put the files below ``place``, an empty directory, and say in a few words what they are, with a digest.

    Devices, sockets and pipes are left out: no interpreter needs them.
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
