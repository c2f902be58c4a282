"""Where maintainer scripts of packages run: as root of one tree, and of nothing else.

The user namespace has one user, who is root there and an ordinary user outside; neither root nor subordinate user ids
are needed for it. What only a real root could do (owners, user ids, devices) is answered as if it had been done, since
a build environment records none of it. There is no network, no capability, and nothing but the tree to write to.
"""

from __future__ import annotations

import os
from pathlib import Path

from rebuilder.errors import SandboxUnavailableError
from rebuilder.sandbox.bubblewrap import host_support, seccomp
from rebuilder.sandbox.bubblewrap.launcher_main import user_range

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
    program, _ = host_support.bubblewrap()
    filter_file.write_bytes(seccomp.program(pretended=True))
    words = ["sh", "-c", 'exec "$@" 3<"$0"', str(filter_file)]
    tree = str(root)
    if os.geteuid() == 0:
        users, tree = user_range(), host_support.stage() or tree
        if users is None:
            raise SandboxUnavailableError("No user id is left to run maintainer scripts as: too few are mapped here.")
        number = str(users[0] + os.getpid() % users[1])
        staged = 'chown -hR "$0:$0" "$1" && mount --bind "$1" "$2" && shift 2 && exec "$@"'
        words += ["unshare", "--mount", "--propagation=slave", "sh", "-c", staged, number, str(root), tree]
        words += ["setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups", "--no-new-privs"]
    words += [
        *(program, "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session"),
        *("--uid", "0", "--gid", "0", "--hostname", "rebuilder", "--cap-drop", "ALL", "--seccomp", "3"),
        *("--bind", tree, "/", "--proc", "/proc", "--dev", "/dev", "--clearenv"),
    ]
    for name, value in _ENVIRONMENT.items():
        words += ["--setenv", name, value]
    return words
