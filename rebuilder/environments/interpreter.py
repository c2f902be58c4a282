"""Making a tree with a Python of the user's own in it.

A relocatable Python (``bin/python3.12`` and ``lib/python3.12`` in one directory) is laid into ``/usr`` of an
environment, where Debian's own Python was: there it works like any, and virtual environments find it. A root file
system (with ``usr/bin/python3.12`` or ``usr/local/bin/python3.12``) is taken as it is.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rebuilder.environments.finishing import finish
from rebuilder.environments.given_files import unpacked
from rebuilder.environments.protocol import BuildEnvironment
from rebuilder.environments.settle import remove
from rebuilder.environments.tree import walk
from rebuilder.errors import BuildEnvironmentError
from rebuilder.model.environment import Image, Made
from rebuilder.model.settings import InterpreterSettings

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

    Args:
        name: Of the build environment.
        settings: Where the interpreter is.
        base: Gives a build environment by name.
        root: Where the tree goes.

    Raises:
        BuildEnvironmentError: there is no such interpreter, or it does not run; the sentence says why.
    """
    given = root.parent / "given"
    given.mkdir()
    origin = unpacked(name, settings, given)
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
