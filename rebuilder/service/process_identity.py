"""Who holds a lease: a process, named so that others can tell whether it is still there."""

from __future__ import annotations

import os
import re
from hashlib import sha256
from pathlib import Path

_PROC = Path("/proc")
_OWNER = re.compile(r"(?P<machine>[^/]+)/(?P<process>[1-9][0-9]{0,9})/(?P<start>[0-9]{1,20})", re.ASCII)
_ENDED = {"Z", "X"}
"""States of proc_pid_stat(5): a process that has ended and was not waited for yet, or is just going."""


def this_process(*, proc: Path = _PROC) -> str:
    """``machine/process/start``: unique for as long as leases are kept, in a form that a person can read.

    ``start`` is in clock ticks since boot: a process id is used again, the pair is not. ``machine`` is the host's name
    and a digest of what process ids depend on: the boot, and the namespaces of processes and of time, so that two
    containers on one host never take each other's processes for their own.
    """
    process = os.getpid()
    _, start = _stat(process, proc) or ("", "0")
    return f"{_machine(proc)}/{process}/{start}"


def gone(owner: str, *, proc: Path = _PROC) -> bool:
    """Whether a process is certainly no more; False for one of another machine, and whenever it cannot be told.

    Such a one's leases run out with time.
    """
    parts = _OWNER.fullmatch(owner)
    if parts is None or parts["machine"] != _machine(proc):
        return False
    process = int(parts["process"])
    found = _stat(process, proc)
    if found is None:
        return _absent(process)
    state, start = found
    return state in _ENDED or start != parts["start"]


def _machine(proc: Path) -> str:
    named = [_link(proc / "self/ns/pid"), _link(proc / "self/ns/time")]
    try:
        named.append((proc / "sys/kernel/random/boot_id").read_text().strip())
    except OSError:
        named.append("")
    host = re.sub(r"[^\w.-]", "_", os.uname().nodename)[:64] or "localhost"
    return f"{host}-{sha256(' '.join(named).encode()).hexdigest()[:8]}"


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:  # an older kernel has no such namespace
        return ""


def _stat(process: int, proc: Path) -> tuple[str, str] | None:
    """State and start time; the name of the program, before them, may hold blanks and brackets."""
    try:
        fields = (proc / str(process) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        return fields[0], fields[19]
    except (OSError, IndexError):
        return None


def _absent(process: int) -> bool:
    """Where /proc hides the processes of other users (hidepid), the kernel still says whether one exists."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
