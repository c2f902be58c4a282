"""Making a configured tree of an extracted one: its packages are installed with dpkg, as on any Debian system.

All of it happens inside the tree, in a sandbox without a network: nothing of the tree runs outside of it, and no link
in it is followed outside. Packages are unpacked all at once, although some want others configured before; the files of
those lie there already. What the time, the machine and the order of events leave is taken away at the end.

What installing packages may use of a machine is looked at from outside while it runs.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from rebuilder.environments.command import CommandError, run
from rebuilder.environments.settle import FILES, LINKS, MOUNT_POINTS, compiling, level, remove
from rebuilder.environments.tree import TIME
from rebuilder.errors import (
    BuildEnvironmentError,
    InstallationLimitError,
    PackageInstallationError,
    SandboxUnavailableError,
)
from rebuilder.model.definition import Limits
from rebuilder.model.environment import Manifest
from rebuilder.model.text import clipped
from rebuilder.shortage import Shortage


class AsRoot(Protocol):
    """Gives the words before a command that let it run as root of a tree and of nothing else."""

    def __call__(self, tree: Path, work: Path, *, over: Path | None = None, packages: Path | None = None) -> list[str]:
        """See :func:`rebuilder.sandbox.bubblewrap.as_root.as_root`."""
        ...


LIMITS = Limits(wall_seconds=1800, memory_bytes=4 << 30, processes=2048, disk_bytes=16 << 30)
"""What the scripts of all packages that are installed together may use."""
_LEAST_ROOM, _LEAST_FILES = 64 << 20, 1000
"""Bytes and files that a disk has room for that is not full: a script may say that it is."""
_SAID_BYTES = 4 << 20
_ERROR = re.compile(r"\berror\b")
_NO_SERVICES = "/usr/sbin/policy-rc.d"
_UNPACK = """\
unpack() {{ dpkg --force-depends,confnew,unsafe-io --unpack "$@"; }}
is_there() {{
  case "$(dpkg-query -W -f='${{Version}} ${{db:Status-Status}}' "$(dpkg-deb -f "$1" Package)")" in
    "$(dpkg-deb -f "$1" Version) "[iut]*|"$(dpkg-deb -f "$1" Version) "half-configured) return 0 ;;
  esac
  return 1
}}
unpack {packages}/*.deb || {{
  set --
  for each in {packages}/*.deb; do is_there "$each" || set -- "$@" "$each"; done
  dpkg --force-confnew,unsafe-io --configure --pending || :
  unpack "$@"
}}"""
"""A script may use what its package wants before it (Pre-Depends), and that may come later by its name, or have no
settings yet: so, once more, after what can be configured is."""
_INSTALL = (
    f"export SOURCE_DATE_EPOCH={TIME}",
    "ulimit -c 0 && ulimit -f 8388608",  # blocks of 512 bytes
    f"ulimit -p {LIMITS.processes} 2>/dev/null || ulimit -u {LIMITS.processes} 2>/dev/null || :",  # of dash, of bash
    f"printf '#!/bin/sh\\nexit 101\\n' >{_NO_SERVICES} && chmod 755 {_NO_SERVICES}",
    _UNPACK,
    "dpkg --force-confnew,unsafe-io --configure --pending",
    f"rm -f {_NO_SERVICES}",
)
_VARYING = (
    # What downloading leaves, and what belongs to a machine.
    *("etc/apt", "var/cache/apt", "var/lib/apt", "etc/fstab", "etc/hostname", "etc/resolv.conf", "etc/machine-id"),
    *("var/lib/dbus/machine-id", "var/lib/systemd/random-seed", "etc/ssh/ssh_host_*", "etc/ssl/private/*.key"),
    # Days on which passwords were changed, and locks.
    *("etc/shadow*", "etc/gshadow*", "etc/.pwd.lock", "var/lib/dpkg/lock*", "var/lib/dpkg/triggers/Lock"),
    # Copies of what was there before, caches that know times and numbers of files, and logs.
    *("etc/passwd-", "etc/group-", "etc/subuid-", "etc/subgid-", "var/lib/dpkg/*-old", "var/cache/debconf/*-old"),
    *("etc/xml/*.old", "usr/share/info/*.old", "var/backups/*", "var/cache/ldconfig", "var/cache/fontconfig"),
    *("var/cache/man/*", "var/log/*"),
    *("var/tmp/*", "var/tmp/.[!.]*"),
)


def configure(spec: Manifest, root: Path, as_root: AsRoot, began: int) -> None:
    """Install the packages that apt downloaded into an extracted tree; its parent directory takes the log.

    ``began`` is when making the tree began, in seconds since 1970 on the clock of its file system.

    Raises:
        PackageInstallationError: a maintainer script fails, or takes more than :data:`LIMITS`; the sentence has what
            dpkg said.
        BuildEnvironmentError: the machine has no disk, memory or processes left.
        SandboxUnavailableError: this machine cannot give the isolation.
    """
    _run(spec, as_root(root, root.parent), root.parent, "/var/cache/apt/archives")
    for name in MOUNT_POINTS:
        remove(root / name)
        (root / name).mkdir()
    level(root, began if spec.package_times else None)


def configure_over(spec: Manifest, tree: Path, base: Path, packages: Path, as_root: AsRoot) -> None:
    """Install packages over a tree that stays as it is: what changes comes to be in another, which is empty.

    Args:
        spec: What is made.
        tree: Named ``root``; its parent directory takes the log.
        base: Root directory of a configured tree.
        packages: Directory with the packages, named ``….deb``.
        as_root: Gives the words before the command.

    Raises:
        BuildEnvironmentError: see :func:`configure`.
        SandboxUnavailableError: this machine cannot give the isolation, or lay one tree over another.
    """
    _run(spec, as_root(tree, tree.parent, over=base, packages=packages), tree.parent, "/inputs")


def _run(spec: Manifest, words: list[str], place: Path, packages: str) -> None:
    command = [*words, "/bin/sh", "-e", "-c", "\n".join(_script(spec, packages))]
    path = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    shortage, log = Shortage(LIMITS), place / "configure.log"
    try:
        limits = watched(place, LIMITS)
        run(command, environment=path, log=log, seconds=LIMITS.wall_seconds, watch=limits)
    except CommandError as error:
        if error.code == os.EX_OSERR:
            raise SandboxUnavailableError(
                f"The build environment {spec.name} cannot be made on this machine: {error.output.strip()}.",
                hint="Keep the store on a disk of the machine itself, and use a kernel of 6.0 or newer.",
            ) from error
        said = [line.strip() for line in log.read_bytes()[-_SAID_BYTES:].decode("utf-8", "replace").splitlines()]
        said = [line for line in said if _ERROR.search(line) and "(--configure)" not in line][-2:] or said[-1:]
        told = f" It said: {clipped(' '.join(said), 300)}" if said else ""
        sentence = f"The build environment {spec.name} cannot be made: its packages cannot be configured ({error})."
        sentence += told
        if error.limit:
            raise InstallationLimitError(sentence) from error
        theirs = error.code is not None and error.code > 0 and not _full(place)
        if shortage.killed or shortage.refused or shortage.tight:
            theirs, sentence = False, f"{sentence} The machine had too little memory, or too few processes, meanwhile."
        raise (PackageInstallationError if theirs else BuildEnvironmentError)(sentence) from error


def _full(place: Path) -> bool:
    """Whether our own disk is: what a script says of it counts nothing."""
    disk = os.statvfs(place)
    return disk.f_bavail * disk.f_frsize < _LEAST_ROOM or (disk.f_files > 0 and disk.f_favail < _LEAST_FILES)


def _script(spec: Manifest, packages: str) -> list[str]:
    """Lines for the shell: install, add what builds need, take away what differs from time to time."""
    lines = [line.format(packages=packages) for line in _INSTALL]
    for file, number in (("passwd", "1000:1000:build:/build:/bin/sh"), ("group", "1000:")):
        lines.append(f"grep -q '^[^:]*:[^:]*:1000:' /etc/{file} || echo build:x:{number} >>/etc/{file}")
    lines.append(f"printf %s {shlex.quote(FILES['etc/hosts'])} >/etc/hosts")
    for name, target in {**LINKS, **spec.links}.items():
        place = shlex.quote(f"/{name}")
        lines.append(f"test -e {place} || test -L {place} || ln -s {shlex.quote(target)} {place}")
    if (python := spec.provides.get("python")) is not None:
        lines.append(shlex.join([f"/usr/bin/python{python}", *compiling(python)]))
    # No word splitting: a pattern is one word, and only its wildcards mean something.
    lines += ["IFS=", *(f"pattern={shlex.quote(each)}; rm -rf -- /$pattern" for each in (*_VARYING, *spec.prune))]
    return lines


_PAGE = os.sysconf("SC_PAGE_SIZE")
_PARENT, _THREADS, _RESIDENT = 1, 17, 21
"""Fields of ``/proc/PID/stat`` behind the name (proc(5)): parent, threads, resident pages."""


def watched(place: Path, limits: Limits) -> Callable[[int], str | None]:
    """Tells what a process has taken too much of, with all its children; None: of nothing.

    The tree is walked only when the disk has that much less room than at the beginning.

    Args:
        place: Directory that it writes to.
        limits: Of memory, processes and disk.
    """
    room = shutil.disk_usage(place).free

    def passed(process: int) -> str | None:
        threads, resident = _used(process)
        if threads > limits.processes:
            return f"more than {limits.processes:,} processes"
        if resident > limits.memory_bytes:
            return f"more than {limits.memory_bytes >> 20:,} MiB of memory"
        less = room - shutil.disk_usage(place).free > limits.disk_bytes
        if less and _written(place) > limits.disk_bytes:
            return f"more than {limits.disk_bytes >> 20:,} MiB of disk"
        return None

    return passed


def _used(process: int) -> tuple[int, int]:
    """Threads and resident bytes of a process and all that it began."""
    children, taken = defaultdict[int, list[int]](list), dict[int, tuple[int, int]]()
    for each in Path("/proc").glob("[1-9]*/stat"):
        try:
            fields = each.read_bytes().rpartition(b")")[2].split()
        except OSError:  # it has ended
            continue
        number = int(each.parent.name)
        children[int(fields[_PARENT])].append(number)
        taken[number] = int(fields[_THREADS]), int(fields[_RESIDENT]) * _PAGE
    waiting, threads, resident = [process], 0, 0
    while waiting:
        one = waiting.pop()
        waiting += children[one]
        its_threads, its_resident = taken.get(one, (0, 0))
        threads, resident = threads + its_threads, resident + its_resident
    return threads, resident


def _written(place: Path) -> int:
    """Bytes on the disk below a directory; what disappears meanwhile counts nothing."""
    total = 0
    for directory, _, names in os.walk(place, onerror=None):
        for name in names:
            try:
                total += Path(directory, name).lstat().st_blocks * 512
            except OSError:
                continue
    return total
