"""Taking in a container image, or a root file system in one tar archive, as a build environment.

Whoever made an image is a stranger. It is unpacked by a program of ours inside a sandbox that has nothing but the image
and an empty directory; what that leaves is listed, and has to be what an export of an environment may be. Nothing of
the image is run, and no link in it is followed outside.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import stat
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, BinaryIO

from pydantic import Field, StringConstraints, ValidationError

from rebuilder.environments import exchange
from rebuilder.environments.command import CommandError, run
from rebuilder.environments.settle import MOUNT_POINTS, level
from rebuilder.environments.tree import listing
from rebuilder.errors import BuildEnvironmentError, UsageError
from rebuilder.foreign_json import read_json
from rebuilder.model.environment import Image, Made, Manifest
from rebuilder.model.text import clipped
from rebuilder.model.value import Sha256Field, Value

Unpacking = Callable[[Path, Path], list[str]]
"""Gives the command that unpacks an image from its standard input with the programs of a build environment; it may
write to the directory ``out`` of the second path. Raises SandboxUnavailableError where this machine cannot do that."""

SUITE = "image"
"""What stands in the place of a release of Debian."""
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
"""How files begin that gzip, bzip2, xz and Zstandard made."""
_SECONDS = 3600
_REFUSED = 65
_TOLD_BYTES = 4 << 20
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_WHAT = re.compile(r"[a-z][a-z0-9_-]{0,39}", re.ASCII)
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,39}", re.ASCII)
_Text = Annotated[str, StringConstraints(max_length=4096)]


class _Told(Value):
    """What the program says of an image."""

    what: _Text
    sha256: Sha256Field
    variables: Annotated[dict[_Text, _Text], Field(max_length=100)]
    provides: Annotated[dict[_Text, _Text], Field(max_length=1000)]
    left_out: int


def read_provides(text: str) -> dict[str, str]:
    """What an environment provides, as it is written on a command line: ``python=3.12,gcc=14``.

    Raises:
        UsageError: it is written otherwise.
    """
    found: dict[str, str] = {}
    for each in text.split(","):
        what, _, version = each.partition("=")
        if not _WHAT.fullmatch(what) or not _VERSION.fullmatch(version) or what in found:
            raise UsageError(
                f"--provides: {each[:60]!r} is not WHAT=VERSION, each once.", hint="Write python=3.12,gcc=14, say."
            )
        found[what] = version
    return found


def require_archive(image: BinaryIO, called: str) -> None:
    """Make sure that a file begins as an image may, before anything is made to look into it.

    Raises:
        UsageError: it is no plain file, or neither a tar archive nor compressed as one may be.
        OSError: it cannot be read.
    """
    if not stat.S_ISREG(os.fstat(image.fileno()).st_mode):
        raise _refused(called, "it is no file that has an end")
    head = image.read(tarfile.BLOCKSIZE)
    image.seek(0)
    if head.startswith(_COMPRESSED):
        return
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        raise _refused(called, "it is no tar archive, and not compressed as one may be") from None


def unpack(
    image: BinaryIO,
    called: str,
    place: Path,
    *,
    name: str | None,
    provides: Mapping[str, str],
    base: Path,
    unpacking: Unpacking,
) -> tuple[Manifest, Made]:
    """Make the tree of an image at ``root`` in a directory.

    Args:
        image: A file, at its start.
        called: What a message calls it.
        place: The directory, which is there and empty.
        name: Of the build environment; None: after the digest of the image.
        provides: What it provides; in place of what is found inside.
        base: Root directory of the build environment whose programs unpack it.
        unpacking: Gives the command.

    Raises:
        UsageError: it is no image, or one that is not taken.
        BuildEnvironmentError: it cannot be unpacked here.
        SandboxUnavailableError: this machine cannot give the isolation.
    """
    work = place / "work"
    tree = work / "out" / "root"
    tree.mkdir(parents=True)
    told = _told(image, called, work, base=base, unpacking=unpacking)
    if not stat.S_ISDIR(tree.lstat().st_mode):
        raise _refused(called, "its root is no directory")
    try:
        level(tree)
        exchange.check(listing(tree))
    except (exchange.NotAnExportError, BuildEnvironmentError) as error:
        raise _refused(called, str(error).rstrip(".")) from error
    tree.rename(place / "root")
    shutil.rmtree(work)
    made = Made(
        packages=(),
        image=Image(sha256=told.sha256, variables=told.variables or None),
        tool="image",
        notes=(f"It was not made here of Debian's packages: it is {told.what} {told.sha256}, which was given.",),
    )
    found = {**told.provides, **provides}
    return Manifest(name=name or f"image-{told.sha256[:16]}", suite=SUITE, packages=(), provides=found), made


def _told(image: BinaryIO, called: str, work: Path, *, base: Path, unpacking: Unpacking) -> _Told:
    machine = _MACHINES.get(platform.machine(), platform.machine())
    command = [*unpacking(base, work), "--out", "/out", "--machine", machine, "--covered", ",".join(MOUNT_POINTS)]
    path = {"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")}
    try:
        run(command, environment=path, log=work / "unpack.log", seconds=_SECONDS, standard_input=image)
        with open(work / "out" / "image.json", "rb", opener=_no_link) as file:
            told = _Told.model_validate(read_json(file.read(_TOLD_BYTES)))
    except CommandError as error:
        said = clipped(error.output.strip().rpartition("\n")[2], 400)
        if error.code == _REFUSED:
            raise _refused(called, said) from error
        raise BuildEnvironmentError(f"{called} cannot be unpacked: {error}.", hint=said or None) from error
    except (OSError, ValueError, ValidationError) as error:
        raise _refused(called, "what was read of it cannot be") from error
    if not all(map(_WHAT.fullmatch, told.provides)) or not all(map(_VERSION.fullmatch, told.provides.values())):
        raise _refused(called, "what it provides has no names and versions")
    return told


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _refused(called: str, why: str) -> UsageError:
    return UsageError(f"{called} cannot be a build environment: {why}.", hint="Nothing of it was kept.")
