"""Bringing a freshly extracted tree into the one form a build environment has.

The dynamic loader finds libraries without ``/etc/ld.so.cache``, but ``ctypes.util.find_library`` does not (diffoscope
needs libarchive). The tree's own ``ldconfig`` writes it; it follows links as the tree means them without ``chroot(2)``.

Without compiled modules every start of the interpreter compiles what it imports again (0.3 s for a handful of modules),
since builds cannot write beside them. The tree's own interpreter does it, started through its own dynamic loader, so
that neither root nor a namespace is needed. The result is the same wherever and whenever the tree is made: paths are
written as a build will see them, files are bound by their hash instead of their time, modules are compiled in one
process in sorted order, and the hash seed is fixed (before Python 3.11, the sets of constants in byte code come in an
order that depends on it).
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from rebuilder.environments.command import CommandError, run
from rebuilder.environments.tree import TIME, TIMES, walk
from rebuilder.errors import BuildEnvironmentError

RECIPE = 2
"""Raised whenever the same packages come out as another tree: the environments that are there are made again then."""

MOUNT_POINTS = ("proc", "sys", "dev", "build", "inputs", "out", "tools", "tmp", "run")

_PRUNED = (
    # What apt, dpkg and mmdebstrap leave behind, the last two taken from the machine itself.
    *("var", "etc/apt", "etc/dpkg", "etc/fstab", "etc/hostname", "etc/resolv.conf"),
    # Read by people, by desktops and by maintainer scripts.
    *(f"usr/share/{name}" for name in ("doc", "doc-base", "info", "lintian", "locale", "man", "menu", "bug")),
    *(f"usr/share/{name}" for name in ("applications", "icons", "metainfo", "pixmaps", "bash-completion")),
    *(f"usr/share/{name}" for name in ("debconf", "gcc", "gdb", "python3")),
    # The same time zones twice more, once of them with leap seconds.
    *("usr/share/zoneinfo/posix", "usr/share/zoneinfo/right"),
    # Needed to start a machine.
    *("boot", "etc/cron.daily", "etc/default", "etc/init.d", "etc/logrotate.d", "etc/systemd", "usr/lib/systemd"),
    *("etc/update-motd.d", "home", "media", "mnt", "opt", "root", "srv"),
    *MOUNT_POINTS,
)

FILES = {
    "etc/passwd": (
        "root:x:0:0:root:/root:/bin/sh\n"
        "build:x:1000:1000:build:/build:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    ),
    "etc/group": "root:x:0:\nbuild:x:1000:\nnogroup:x:65534:\n",
    "etc/hosts": "127.0.0.1 localhost rebuilder\n::1 localhost rebuilder\n",
    "etc/nsswitch.conf": (
        "passwd: files\ngroup: files\nshadow: files\nhosts: files\n"
        "protocols: files\nservices: files\nethers: files\nrpc: files\n"
    ),
}

LINKS = {"etc/localtime": "../usr/share/zoneinfo/Etc/UTC", "etc/mtab": "../proc/self/mounts"}


def settle(root: Path, links: Mapping[str, str], prune: Sequence[str] = ()) -> None:
    """Remove what no build needs, add the few files maintainer scripts would have made, level the attributes.

    Running it again changes nothing.

    Args:
        root: The tree.
        links: Symbolic links to add, path to target; an existing entry stays.
        prune: Patterns (as in :meth:`pathlib.Path.glob`) of what to remove besides.
    """
    for name in _PRUNED:
        remove(root / name)
    for pattern in prune:
        for place in list(root.glob(pattern)):
            remove(place)
    for name in (*MOUNT_POINTS, "etc", "var/tmp"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name, text in FILES.items():
        remove(root / name)
        (root / name).write_text(text, encoding="ascii", newline="")
    for name, target in {**LINKS, **links}.items():
        if not os.path.lexists(root / name):
            (root / name).symlink_to(target)
    level(root)


def level(root: Path, began: int | None = None) -> None:
    """Give every entry a plain mode and the one time; as root, give it to root.

    Where packages were installed, files and links that they hold, and copies that kept their times, keep those: all but
    what has a time since the installation began. Directories have none: dpkg leaves most of them the time of the
    installation. A time that is not in :data:`rebuilder.environments.tree.TIMES` is not kept, nor a part of a second.
    ``began`` is in seconds since 1970, on the clock of the file system; None: no entry keeps its time.

    Directories and files that somebody may execute become 0755, other files 0644: readable for the unprivileged
    user a build runs as, and without setuid and setgid bits, which mean nothing there or worse. Files keep their
    owner's write bit, because tools copy modes into what they build, and an environment should look like any Debian; it
    is mounted read-only, and :func:`rebuilder.environments.tree.fingerprint` tells when it was written to.
    """
    top = os.fsencode(root)
    for path, status in walk(root):
        place = os.path.join(top, path)  # noqa: PTH118 - bytes: names need not be valid text
        if os.geteuid() == 0 and (status.st_uid or status.st_gid):
            os.lchown(place, 0, 0)
        mode = 0o755 if stat.S_ISDIR(status.st_mode) or status.st_mode & 0o111 else 0o644
        if not stat.S_ISLNK(status.st_mode) and stat.S_IMODE(status.st_mode) != mode:
            os.chmod(place, mode)  # noqa: PTH101 - bytes
    retime(root, {} if began is None else _of_packages(root, range(began, int(time.time()) + 1)))


def _of_packages(root: Path, installation: range) -> dict[bytes, int]:
    found = {
        path: status.st_mtime_ns // 1_000_000_000 for path, status in walk(root) if not stat.S_ISDIR(status.st_mode)
    }
    return {path: seconds for path, seconds in found.items() if seconds in TIMES and seconds not in installation}


def retime(root: Path, own: Mapping[bytes, int] | None = None) -> bool:
    """Give every entry its time again: one of its own by path, or else the one. Entries that have it are left alone.

    Returns:
        Whether one was given another.
    """
    top, own, given = os.fsencode(root), own or {}, False
    for path, status in list(walk(root)):
        seconds = own.get(path, TIME)
        if status.st_mtime_ns != seconds * 1_000_000_000:
            os.utime(os.path.join(top, path), (seconds, seconds), follow_symlinks=False)  # noqa: PTH118 - bytes
            given = True
    return given


def remove(place: Path) -> None:
    """Remove a file, a link or a whole directory, if it is there."""
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def discard(place: Path) -> None:
    """Remove a directory as far as that can be done, with what maintainer scripts locked in it."""
    shutil.rmtree(place, ignore_errors=True)
    if place.exists():
        with suppress(OSError):
            level(place)
        shutil.rmtree(place, ignore_errors=True)


_LIBRARIES_SECONDS, _COMPILE_SECONDS = 60, 300
_LDCONFIG = "usr/sbin/ldconfig"
_LOADERS = tuple(
    f"{lib}/{name}"
    for lib in ("usr/lib/*-linux-gnu*", "lib/*-linux-gnu*", "usr/lib64", "lib64", "lib")
    for name in ("ld-linux*.so.*", "ld-musl*.so.1")
)
"""Where the dynamic loader is, Debian's place first."""
_COMPILE = "import sys; del sys.path[0]; import runpy; runpy.run_module('compileall', run_name='__main__')"
"""``-m compileall`` without the current directory among the places of modules; ``-I`` would ignore the hash seed."""


def finish(
    root: Path, links: Mapping[str, str], prune: Sequence[str] = (), *, python: str | None, prefix: str = "usr"
) -> None:
    """Bring a tree whose files are there into its form; its parent directory takes logs.

    ``prefix`` is that of the interpreter, whose version is ``python``; None when there is none.

    Raises:
        BuildEnvironmentError: the tree has no such interpreter, or its programs do not run on this machine.
    """
    settle(root, links, prune)
    if (root / _LDCONFIG).is_file():  # those with another C library need no list
        _list_libraries(root)
    if python is not None:
        _compile_modules(root, python, prefix)
    settle(root, links, prune)


def _list_libraries(root: Path) -> None:
    """No links are made or changed (``-X``)."""
    command = [str(root / _LDCONFIG), "-X", "-r", str(root)]
    try:
        run(command, environment={"LC_ALL": "C.UTF-8"}, log=root.parent / "ldconfig.log", seconds=_LIBRARIES_SECONDS)
    except CommandError as error:
        raise BuildEnvironmentError(
            f"The build environment's list of shared libraries cannot be written: {error}."
        ) from error


def _compile_modules(root: Path, version: str, prefix: str) -> None:
    """Compile the standard library and Debian's modules."""
    python = root / prefix / "bin" / f"python{version}"
    loaders = [each for pattern in _LOADERS for each in sorted(root.glob(pattern)) if each.is_file()]
    if not python.is_file() or not loaders:
        raise BuildEnvironmentError(f"The build environment was made without Python {version}.")
    loader = loaders[0]
    libraries = [loader.parent, *root.glob("usr/lib/*-linux-gnu*"), root / "usr/lib64", root / prefix / "lib"]
    path = ":".join(dict.fromkeys(str(each) for each in libraries))
    command = [str(loader), "--library-path", path, str(python), *compiling(version, str(root), prefix)]
    environment = {"LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}
    try:
        run(command, environment=environment, log=root.parent / "compile.log", seconds=_COMPILE_SECONDS)
    except CommandError as error:
        raise BuildEnvironmentError(
            f"Python {version} of the build environment does not run here: {error}.", hint=error.output.strip() or None
        ) from error


def compiling(version: str, root: str = "", prefix: str = "usr") -> list[str]:
    """Arguments of an interpreter that compile the modules of the tree at ``root``."""
    places = [f"{root}/{prefix}/lib/python{version}", f"{root}/usr/lib/python3"]
    inside = ["-s", root, "-p", "/"] if root else []
    options = ["-q", "-f", *inside, "--invalidation-mode", "unchecked-hash"]
    # -B: what the compiler itself imports must not be written with the path it has on this machine.
    return ["-B", "-s", "-S", "-c", _COMPILE, *options, *places]
