"""Where maintainer scripts of packages run, as root of one tree and of nothing else; and where images are unpacked.

The user namespace has one user, who is root there and an ordinary user outside; neither root nor subordinate user ids
are needed for it. What only a real root could do (owners, user ids, devices) is answered as if it had been done, since
a build environment records none of it. There is no network, no capability, and nothing but the tree to write to.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rebuilder.errors import SandboxUnavailableError
from rebuilder.sandbox.bubblewrap import host_support, seccomp
from rebuilder.sandbox.bubblewrap.launcher_main import user_range
from rebuilder.sandbox.program_runner import program_archive

_MEMORY_KIB = 4 << 20
_FIRST = 4
"""File descriptor; the third one is the filter."""
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


def as_root(root: Path, filter_file: Path) -> list[str]:
    """Words to put before a command.

    When we are root ourselves, the tree is given to a user that nobody else is, and bound where that user reaches it.

    Args:
        root: The tree.
        filter_file: Where the system call filter is written to.

    Raises:
        SandboxUnavailableError: this machine cannot give the isolation.
    """
    return _words(filter_file, [_Bound("--bind", root, "/")])


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


def _words(filter_file: Path, bound: Sequence[_Bound]) -> list[str]:
    """Words before a command that sees these directories: the first is the tree it runs in."""
    program, _ = host_support.bubblewrap()
    filter_file.write_bytes(seccomp.program(pretended=True))
    words = ["sh", "-c", 'exec "$@" 3<"$0"', str(filter_file)]
    sources = [str(each.source) for each in bound]
    if os.geteuid() == 0:
        users, stage = user_range(), host_support.stage()
        if users is None:
            raise SandboxUnavailableError("No user id is left to run maintainer scripts as: too few are mapped here.")
        number = str(users[0] + os.getpid() % users[1])
        # What is staged may lie below the stage, which covers it: so all of it is opened before.
        opened = [f"exec {index}<{shlex.quote(source)}" for index, source in enumerate(sources, _FIRST)]
        owned = [shlex.quote(str(each.source)) for each in bound if each.option == "--bind"]
        steps = [f"chown -hR {number}:{number} {' '.join(owned)}", f"mount -t tmpfs -o mode=755 stage {stage}"]
        sources = [f"{stage}/{index}" for index in range(_FIRST, _FIRST + len(bound))]
        for index, target in enumerate(sources, _FIRST):
            mount = f"mount --no-canonicalize --bind /proc/self/fd/{index} {target}"
            steps += [f"mkdir {target}", mount, f"exec {index}<&-"]
        script = " && ".join([*opened, *steps, 'exec "$@"'])
        words += ["unshare", "--mount", "--propagation=slave", "sh", "-c", script, "staged"]
        words += ["setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups", "--no-new-privs"]
    words += [
        *(program, "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session"),
        *("--uid", "0", "--gid", "0", "--hostname", "rebuilder", "--cap-drop", "ALL", "--seccomp", "3"),
    ]
    for index, each in enumerate(bound):
        words += [each.option, sources[index], each.inside]
    words += ["--proc", "/proc", "--dev", "/dev", "--clearenv"]
    for name, value in _ENVIRONMENT.items():
        words += ["--setenv", name, value]
    return words
