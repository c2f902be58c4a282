"""More packages over a configured build environment: what one set of build dependencies needs, made once.

The base stays as it is. What its packages' files and scripts change comes to be in an overlay, and is brought into two
plain directories::

    root/      what is added or replaced
    hidden/    a whiteout (a character device 0:0) for each entry of the base that is gone; made where there are any

Seen together, ``root`` over ``hidden`` over the base, they are what the scripts left: a directory that took the place
of another is in ``root``, and a whiteout below it hides what the other had. So no attribute of a file means anything.
The listing names the base, and each whiteout as ``x PATH``: its digest, that of the layered environment, binds both.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote_to_bytes

from rebuilder.environments.maintainer_scripts import AsRoot, configure_over
from rebuilder.environments.protocol import BuildEnvironment, LayerPackage
from rebuilder.environments.settle import MOUNT_POINTS, level, remove
from rebuilder.environments.tree import above, listing, walk, whiteout
from rebuilder.errors import BuildEnvironmentError
from rebuilder.model.environment import Base, Made, Manifest, Release
from rebuilder.model.value import canonical_json, sha256_hex

_OPAQUE = "user.overlay.opaque"
"""Attribute of a directory that the kernel made in the place of one of the base."""


def manifest(base: BuildEnvironment, packages: Sequence[LayerPackage]) -> Manifest:
    """What is asked for; its name is that of this base with this set of packages, and who promised them.

    Raises:
        BuildEnvironmentError: the base cannot be one, or there are no packages, or one twice.
    """
    specification = base.specification
    if specification is None or specification.method != "configured" or base.layers:
        why = "lies over another one" if base.layers else "is not a configured one"
        raise BuildEnvironmentError(f"Nothing can be installed over {base.name}: it {why}.")
    wanted = sorted(f"{each.package.name}:{each.package.architecture}" for each in packages)
    if not wanted or len(set(wanted)) != len(wanted):
        raise BuildEnvironmentError(f"The packages to install over {base.name} are none, or one is there twice.")
    documents = sorted(canonical_json(each.package.document()).decode() for each in packages)
    key = sha256_hex(canonical_json([base.sha256, documents]))
    return Manifest(
        name=f"{base.name[:40]}-{key[:16]}",
        suite=specification.suite,
        also=specification.also,
        packages=tuple(sorted(f"{each.package.name}={each.package.version}" for each in packages)),
        configured=True,
        provides=base.provides,
        links=specification.links,
        prune=specification.prune,
        package_times=specification.package_times,
    )


def install(
    spec: Manifest,
    place: Path,
    *,
    base: BuildEnvironment,
    below: bytes,
    packages: Sequence[LayerPackage],
    releases: Sequence[Release],
    as_root: AsRoot,
) -> Made:
    """Make the directories ``root`` and ``hidden`` in a directory, which takes logs too.

    Raises:
        BuildEnvironmentError: a file is not the one that was promised, or a package cannot be installed.
        SandboxUnavailableError: this machine cannot give the isolation.
    """
    assert base.specification is not None  # noqa: S101 - asked before
    files, root = place / "packages", place / "root"
    files.mkdir()
    began = int(files.stat().st_mtime)
    root.mkdir()
    for number, each in enumerate(packages):
        _copy(each, files / f"{number:05}.deb")
    configure_over(spec, root, base.root, files, as_root)
    for directory in (files, place / "work"):
        shutil.rmtree(directory)
    _settle(root, below, place / "hidden", began if spec.package_times else None)
    return Made(
        packages=tuple(sorted((each.package for each in packages), key=lambda each: (each.name, each.architecture))),
        releases=tuple(releases),
        base=Base(sha256=base.sha256, specification=base.specification),
        tool="dpkg",
    )


def _copy(wanted: LayerPackage, file: Path) -> None:
    """Copy a package to where its installation reads it, and look at its digest there."""
    with wanted.file.open("rb") as source, file.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    with file.open("rb") as copied:
        if hashlib.file_digest(copied, "sha256").hexdigest() != wanted.package.sha256:
            words = f"{wanted.package.name} {wanted.package.version}"
            raise BuildEnvironmentError(f"The file of the package {words} has not the digest that was promised.")


def _settle(root: Path, below: bytes, hidden: Path, began: int | None) -> None:
    """Bring what an overlay wrote into plain directories, without what is as in the base."""
    level(root, began)  # scripts may have locked directories and files
    for name in MOUNT_POINTS:
        remove(root / name)
    lines = set(below.splitlines())
    names = {unquote_to_bytes(line.rpartition(b" ")[2]) for line in lines}
    gone = set()
    for path, status in list(walk(root)):
        place = os.path.join(os.fsencode(root), path)  # noqa: PTH118 - bytes: names need not be valid text
        if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
            gone.add(path)
            os.unlink(place)  # noqa: PTH108
        else:
            attributes = os.listxattr(place, follow_symlinks=False)
            if _OPAQUE in attributes:
                gone.add(path)
            for each in attributes:
                if each.startswith("user."):
                    os.removexattr(place, each, follow_symlinks=False)
    gone = {path for path in gone & names if not above(path) & gone}
    level(root, began)
    for line in reversed(listing(root, times=began is not None).splitlines()):
        path = unquote_to_bytes(line.rpartition(b" ")[2])
        if line in lines and path != b"." and not ({path} | above(path)) & gone:
            _drop(os.path.join(os.fsencode(root), path), line)  # noqa: PTH118
    for path in sorted(gone):
        whiteout(hidden, path)
    level(root, began)
    if gone:
        level(hidden)


def _drop(place: bytes, line: bytes) -> None:
    """Take away an entry that the base has, too; a directory only where nothing is left in it."""
    if line.startswith(b"d "):
        with suppress(OSError):
            os.rmdir(place)  # noqa: PTH106
    else:
        os.unlink(place)  # noqa: PTH108


def installed(below: Sequence[str], above: Sequence[str]) -> tuple[str, ...]:
    """``name version`` of all packages, sorted: those of the base, without the ones that others took the place of."""
    names = {each.partition(" ")[0] for each in above}
    return tuple(sorted((*above, *(each for each in below if each.partition(" ")[0] not in names))))
