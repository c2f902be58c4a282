"""Whether this machine can give the isolation a sandbox needs, and what to do when it cannot."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from rebuilder.errors import SandboxUnavailableError
from rebuilder.sandbox.bubblewrap import seccomp

OLDEST = (0, 8, 0)
"""First release of bubblewrap with ``--disable-userns``."""

_SETTINGS = (
    ("kernel/unprivileged_userns_clone", "0", "1", "User namespaces are switched off for ordinary users"),
    ("user/max_user_namespaces", "0", "15000", "User namespaces are switched off"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "0", "AppArmor keeps programs from using user namespaces"),
)
"""File below /proc/sys, the value that is in the way, a value that is not, what it means."""


@cache
def bubblewrap(search: str | None = None) -> tuple[str, str]:
    """Path and version of bubblewrap, looked up once per process.

    Args:
        search: Directories to look in, separated by colons; None for ``PATH``.

    Raises:
        SandboxUnavailableError: there is none, or it is too old.
    """
    program = shutil.which("bwrap", path=search)
    if program is None:
        raise SandboxUnavailableError(
            "bubblewrap (bwrap) is not installed.", hint="Install it: apt-get install bubblewrap"
        )
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=30)
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", answer.stdout)
    if found is None:
        raise SandboxUnavailableError(
            f"{program} does not tell its version.", hint="Install it again: apt-get install --reinstall bubblewrap"
        )
    if tuple(int(part or 0) for part in found.groups()) < OLDEST:
        raise SandboxUnavailableError(
            f"bubblewrap {found[0]} is too old; {'.'.join(map(str, OLDEST))} or newer is needed.",
            hint="Update it: apt-get install bubblewrap, on Debian 12, Ubuntu 24.04 or newer",
        )
    return str(Path(program).resolve()), found[0]


ONLY_BUBBLEWRAP = "A build environment with layers cannot be used: only bubblewrap may make namespaces here."
LET_OTHERS = "As root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"


@cache
def stage() -> str | None:
    """Directory that is covered, in a mount namespace of the run alone, to bind files there.

    None for an ordinary user where only bubblewrap may make user namespaces (AppArmor): files are bound from where they
    lie then, and a build can read in ``/proc/self/mountinfo`` where that is.

    Raises:
        SandboxUnavailableError: none of the usual directories exists.
    """
    if os.geteuid() != 0 and not _may_make_namespaces():
        return None
    for directory in ("/mnt", "/tmp"):  # noqa: S108  # nothing is written there
        if Path(directory).is_dir():
            return directory
    raise SandboxUnavailableError("Neither /mnt nor /tmp exists on this machine.", hint="Make one: mkdir /mnt")


def _may_make_namespaces() -> bool:
    """Whether any program of this user may make a user namespace with mounts of its own; tried once per process."""
    program = shutil.which("unshare")
    if program is None:
        return False
    tried = subprocess.run(
        [program, "--user", "--map-root-user", "--mount", "true"], capture_output=True, check=False, timeout=30
    )
    return tried.returncode == 0


def settings_in_the_way() -> Iterator[tuple[str, str]]:
    """Kernel settings that can keep a sandbox from starting: a sentence and the mending command for each."""
    for name, bad, good, meaning in _SETTINGS:
        try:
            value = Path("/proc/sys", name).read_text().strip()
        except OSError:
            continue
        if value == bad:
            setting = name.replace("/", ".")
            yield f"{meaning} ({setting} is {bad}).", f"As root: sysctl -w {setting}={good}"
    if not Path(f"/proc/self/task/{os.getpid()}/children").exists():
        yield "The kernel does not list the children of a process.", "Use a kernel with CONFIG_PROC_CHILDREN=y"


def prepare() -> tuple[str, str, bytes]:
    """Path and version of bubblewrap, and the system call filter.

    Raises:
        SandboxUnavailableError: one is missing.
    """
    return *bubblewrap(), seccomp.program()
