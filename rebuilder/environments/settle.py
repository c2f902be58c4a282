"""Bringing a freshly extracted tree into the one form a build environment has."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from rebuilder.environments.tree import TIME, TIMES, walk

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

    Directories and files that somebody may execute become 0755, other files 0644: readable for the unprivileged
    user a build runs as, and without setuid and setgid bits, which mean nothing there or worse. Files keep their
    owner's write bit, because tools copy modes into what they build, and an environment should look like any Debian; it
    is mounted read-only, and :func:`rebuilder.environments.tree.fingerprint` tells when it was written to.

    Args:
        root: The tree.
        began: When the installation began, in seconds since 1970 on the clock of the file system; None: no entry keeps
            its time.
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
