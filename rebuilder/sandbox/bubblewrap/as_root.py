"""Where maintainer scripts of packages run, as root of one tree and of nothing else; and where images are unpacked.

The user namespace has one user, who is root there and an ordinary user outside; neither root nor subordinate user ids
are needed for it. What only a real root could do (owners, user ids, devices) is answered as if it had been done, since
a build environment records none of it. There is no network, no capability, and nothing but the tree to write to.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rebuilder.errors import SandboxUnavailableError
from rebuilder.sandbox.bubblewrap import host_support, launcher_main, seccomp
from rebuilder.sandbox.program_runner import program_archive

_MEMORY_KIB = 4 << 20
_SHARED = 256 << 20
"""Bytes in ``/dev/shm``; nothing else below ``/dev`` can be written to, since it would be memory."""
_ENVIRONMENT = {
    "DEBCONF_NONINTERACTIVE_SEEN": "true",
    "DEBIAN_FRONTEND": "noninteractive",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "PERL_HASH_SEED": "0",
    "PYTHONHASHSEED": "0",
    "TZ": "UTC",
}


def as_root(tree: Path, work: Path, *, over: Path | None = None, packages: Path | None = None) -> list[str]:
    """Words to put before a command.

    When we are root ourselves, the tree is given to a user that nobody else is, and bound where that user reaches it.

    Args:
        tree: What can be written to, named ``root`` if it is over another.
        work: Directory of the tree, for files that this needs.
        over: Root directory of a build environment that is seen below the tree and stays as it is.
        packages: Directory that is seen as ``/inputs``.

    Raises:
        SandboxUnavailableError: this machine cannot give the isolation.
    """
    bound = [_Bound("--bind", tree, "/")]
    if packages is not None:
        bound.append(_Bound("--ro-bind", packages, "/inputs"))
    return _words(work / "calls", bound, over)


def unpacking(base: Path, place: Path) -> list[str]:
    """A command that makes the tree of an image, which it reads from standard input, in a directory.

    It is the sandbox program ``unpack_image``; it sees a build environment, the image, and nothing else.

    Args:
        base: Root directory of the build environment.
        place: A directory; its ``out`` takes the tree, and is all that can be written to.

    Raises:
        SandboxUnavailableError: this machine cannot give the isolation.
    """
    tools = place / "tools"
    tools.mkdir(mode=0o755)
    (tools / "image.pyz").write_bytes(program_archive("image"))
    bound = [
        _Bound("--ro-bind", base, "/"),
        _Bound("--ro-bind", tools, "/tools"),
        _Bound("--bind", place / "out", "/out"),
    ]
    limits = f'ulimit -c 0 && ulimit -v {_MEMORY_KIB} && exec "$@"'
    program = ("/usr/bin/python3", "-I", "-S", "/tools/image.pyz", "unpack_image")
    return [*_words(place / "calls", bound), "/bin/sh", "-c", limits, "limited", *program]


class _Bound(NamedTuple):
    """A directory that is seen inside."""

    option: str
    source: Path
    inside: str


def _words(filter_file: Path, bound: Sequence[_Bound], over: Path | None = None) -> list[str]:
    """Words before a command that sees these directories: the first is the tree it runs in, or takes its changes."""
    program, _ = host_support.bubblewrap()
    filter_file.write_bytes(seccomp.program(pretended=True))
    stage, user = host_support.stage(), None
    if os.geteuid() == 0:
        users = launcher_main.user_range()
        if users is None:
            raise SandboxUnavailableError("No user id is left to run maintainer scripts as: too few are mapped here.")
        user = users[0] + os.getpid() % users[1]
        owned = [str(each.source) for each in bound if each.option == "--bind"]
        subprocess.run(["/bin/chown", "-hR", f"{user}:{user}", *owned], check=True, timeout=600)
    elif over is None:
        stage = None
    elif stage is None:
        raise SandboxUnavailableError(host_support.ONLY_BUBBLEWRAP, hint=host_support.LET_OTHERS)
    sources = [str(each.source.absolute()) for each in bound]
    seen = sources if stage is None else [f"{stage}/{index}" for index in range(len(bound))]
    if over is not None:
        sources[0] = str(bound[0].source.absolute().parent)
    request = {
        "filter": str(filter_file.absolute()),
        "over": None if over is None else str(over.absolute()),
        "sources": sources,
        "stage": stage,
        "user": user,
    }
    words = [sys.executable, "-I", "-S", launcher_main.__file__, launcher_main.AS_ROOT, json.dumps(request)]
    words += [
        *(program, "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session"),
        *("--uid", "0", "--gid", "0", "--hostname", "rebuilder", "--cap-drop", "ALL"),
        # Programs that keep secrets from everybody but root leave files without any mode, and read them again.
        *("--cap-add", "CAP_DAC_OVERRIDE"),
        *("--seccomp", str(launcher_main.READY)),
    ]
    for each, source in zip(bound, seen, strict=True):
        words += [each.option, source, each.inside]
    shared = ["--perms", "1777", "--size", str(_SHARED), "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]  # noqa: S108
    words += ["--proc", "/proc", "--dev", "/dev", *shared, "--clearenv"]
    for name, value in _ENVIRONMENT.items():
        words += ["--setenv", name, value]
    return words
