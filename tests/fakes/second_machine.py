"""A machine that has nothing of this one but the installed program and the directory of a site.

Bubblewrap gives it a root directory, a user, a host name and processes of its own: no store, no keys, no home of the
first machine, nothing below the directory of this repository but the package itself. A network only where it is asked
for, and then the loopback interface of the machine below, where a test has its index.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import rebuilder
from tests.fakes.command import PROGRAM

_PACKAGE = Path(rebuilder.__file__).parent
_SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64")
_SETTINGS = ("ld.so.cache", "alternatives", "ssl", "nsswitch.conf", "localtime")
HOME = "/home/second"
SITE = "/srv/site"


@dataclass(frozen=True)
class SecondMachine:
    """What lies in its home stays from one command to the next; everything else is as it was."""

    home: Path
    """An empty directory: all that the user there can write to."""

    def command(self, site: Path, *words: str, network: bool = False) -> list[str]:
        """How to run a program there.

        Args:
            site: Seen as :data:`SITE`.
            words: The program and its arguments.
            network: Whether it has the loopback interface of the machine below; otherwise one that is its own.
        """
        # Bubblewrap covers a part of the /proc that it mounts; below that, no sandbox could have a /proc of its own.
        first = [*([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "--fork", "--pid", "--mount-proc"]
        apart = ["--unshare-user", "--unshare-ipc", "--unshare-uts", "--hostname", "second"]
        apart += ["--uid", "4242", "--gid", "4242", *([] if network else ["--unshare-net"])]
        seen = [word for place in _program() for word in ("--ro-bind", place, place)]
        for name in _SYSTEM:
            place = Path("/", name)
            if place.is_symlink():
                seen += ["--symlink", os.readlink(place), str(place)]  # noqa: PTH115
            elif place.is_dir():
                seen += ["--ro-bind", str(place), str(place)]
        seen += [word for name in _SETTINGS for word in ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")]
        own = ["--bind", "/proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--bind", str(self.home), HOME]
        own += ["--ro-bind", str(site), SITE, "--chdir", HOME, "--clearenv"]
        given = {"HOME": HOME, "USER": "second", "LANG": "C.UTF-8", "PATH": f"{PROGRAM.parent}:/usr/bin:/bin"}
        own += [word for name, value in given.items() for word in ("--setenv", name, value)]
        return ["unshare", *first, "--kill-child", "bwrap", *apart, *seen, *own, "--die-with-parent", "--", *words]

    def run(self, site: Path, *words: str, network: bool = False) -> tuple[int, str]:
        """Run a program to its end; its exit code and all that it said."""
        command = self.command(site, *words, network=network)
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        return done.returncode, done.stdout + done.stderr

    @contextmanager
    def serving(self, site: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Run a program with a network for as long as the context."""
        command = self.command(site, *words, network=True)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                yield process
            finally:
                process.kill()  # unshare passes over anything else


def second_machine(home: Path) -> SecondMachine:
    """One with an empty home; the test is skipped where this machine gives no user a root directory of their own."""
    home.mkdir()
    found = SecondMachine(home)
    command = found.command(
        home, "/usr/bin/env", "bwrap", "--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc", "true"
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"Bubblewrap cannot give a machine in a machine here: {done.stderr.strip()}")
    return found


@functools.cache
def _program() -> list[str]:
    """Directories of the installed program: of the interpreter, of packages, and the package itself."""
    packages = [each for each in sys.path if Path(each).name in {"site-packages", "dist-packages"}]
    paths = [sysconfig.get_path("stdlib"), sys.prefix, sys.base_prefix, *packages, "/usr", str(_PACKAGE)]
    places = {Path(each).resolve() for each in paths if Path(each).is_dir()}
    ours = _PACKAGE.parent.resolve()
    hidden = {each for each in places if ours.is_relative_to(each)}
    outermost = places - hidden
    return sorted(
        {
            str(each)
            for each in outermost
            if not any(each != other and each.is_relative_to(other) for other in outermost)
        }
    )
