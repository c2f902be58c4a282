"""The system call filter of a sandbox, as a classic BPF program for the kernel.

Of the calls there were when it was made it allows all but those it names: a build uses hundreds of ordinary calls, and
an allow-list that is one call short makes builds fail for a reason that looks like theirs. What is denied is what
reaches into other processes, into the kernel's administration, or into memory that no limit of ours would count.
Calls that are newer than this list are answered with ENOSYS, as an older kernel would.

See seccomp(2), and docs/adr/0001-sandbox.md for the reasons.
"""

from __future__ import annotations

import errno
import os
import platform
import struct
from collections.abc import Collection, Iterator
from functools import cache
from types import ModuleType

from rebuilder.errors import SandboxUnavailableError

NOT_PERMITTED = (
    # other processes
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp"),
    # mounts and namespaces
    *("mount", "umount", "umount2", "pivot_root", "chroot", "setns", "unshare", "open_tree", "move_mount"),
    *("fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "quotactl", "quotactl_fd"),
    *("open_by_handle_at", "name_to_handle_at", "fanotify_init", "fanotify_mark", "lookup_dcookie"),
    # keyrings
    *("add_key", "request_key", "keyctl"),
    # programs and tracing in the kernel
    *("bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register"),
    *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module"),
    *("query_module", "get_kernel_syms", "nfsservctl", "uselib", "ustat", "sysfs", "_sysctl", "vserver"),
    # the machine as a whole
    *("swapon", "swapoff", "reboot", "acct", "syslog", "vhangup", "iopl", "ioperm", "modify_ldt"),
    *("settimeofday", "stime", "clock_settime", "clock_settime64", "clock_adjtime", "clock_adjtime64", "adjtimex"),
    # placement: the CPUs of a run are part of its definition
    *("sched_setaffinity", "mbind", "set_mempolicy", "set_mempolicy_home_node", "migrate_pages", "move_pages"),
)
"""Denied with EPERM, whatever the arguments."""

NOT_PRESENT = (
    # Its arguments are behind a pointer that a filter cannot read; the C library falls back to clone.
    "clone3",
    # Memory that belongs to no process and no file system that is measured; programs fall back to files.
    *("memfd_create", "memfd_secret", "shmget", "shmat", "shmctl", "shmdt", "vmsplice"),
    *("msgget", "msgsnd", "msgrcv", "msgctl", "semget", "semop", "semtimedop", "semctl"),
    *("inotify_init", "inotify_init1", "inotify_add_watch"),
    *("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"),
)
"""Denied with ENOSYS, whatever the arguments."""

NOT_SUPPORTED = ("setxattr", "lsetxattr", "fsetxattr")
"""Denied with EOPNOTSUPP: what a file system without extended attributes answers. An access list of 64 KB would be
in no measure of the file system."""

PRETENDED = (
    *("chown", "fchown", "lchown", "fchownat", "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid"),
    *("setgroups", "setfsuid", "setfsgid", "mknod", "mknodat"),
    *("fsync", "fdatasync", "sync", "syncfs", "sync_file_range"),
)
"""Answered as if done, where maintainer scripts run: what only a real root can do, and what only takes time."""

ASSIGNED_CALLS = {"x86_64": ((0, 334), (424, 450)), "aarch64": ((0, 294), (424, 450))}
"""First and last number of the ranges of calls that were there when this list was made; numbers between them were
given out later, those behind them are ``cachestat`` and newer. (The kernel asks no filter about 335 and 336, which are
for probes only.)"""

_CLONE_NAMESPACES = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_PERSONALITY_QUERY = 0xFFFFFFFF
_MAP_SHARED_ANONYMOUS, _MAP_HUGETLB = 0x21, 0x40000
_SOL_SOCKET, _BUFFER_SIZES = 1, (7, 8)  # SO_SNDBUF, SO_RCVBUF
_LAST_IP_PROTOCOL = 17  # UDP: behind it are DCCP, SCTP, UDP-Lite, MPTCP, …
_UNKNOWN_PROCESS_OPTIONS = range(67, 128)  # of prctl: newer than PR_GET_MDWE
_OWNERS = {"chown": 1, "fchown": 1, "lchown": 1, "fchownat": 2}
"""Calls that give a file an owner and a group, and which argument is the owner."""
_FIRST_ORDINARY_USER, _NOBODY = 1000, 65534
_LOW_32 = 0xFFFFFFFF
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK, _AF_MAX = 1, 2, 10, 16, 46
_NETLINK_ROUTE = 0
_X32_BIT = 0x40000000

MACHINES = {"x86_64": "X86_64", "aarch64": "AARCH64"}
"""``uname -m`` to the name of the architecture in libseccomp."""


@cache
def program(*permitted: str, pretended: bool = False) -> bytes:
    """The filter for this machine, built once per process.

    Args:
        permitted: Calls that it lets pass nevertheless. User Mode Linux needs ``ptrace``: that is how its kernel runs
            the processes of the guest. It reaches nothing but them, since nothing else is in that sandbox.
        pretended: Whether the calls in :data:`PRETENDED` are answered as if done.

    Raises:
        SandboxUnavailableError: no filter can be built here.
    """
    return program_for(platform.machine(), permitted, PRETENDED if pretended else ())


def program_for(machine: str, permitted: Collection[str] = (), pretended: Collection[str] = ()) -> bytes:
    """The filter for a processor architecture, by the name ``uname -m`` gives it.

    Raises:
        SandboxUnavailableError: there is none for it, or libseccomp is missing.
    """
    if machine not in MACHINES:
        raise SandboxUnavailableError(
            f"The sandbox has no system call filter for the processor architecture {machine}.",
            hint=f"Use a machine with {' or '.join(MACHINES)}.",
        )
    library = _library()
    try:
        rules = _rules(library, getattr(library.Arch, MACHINES[machine]), permitted, pretended)
        return _unknown_calls(machine) + _export(rules)
    except OSError as error:
        raise SandboxUnavailableError(
            f"libseccomp could not build the system call filter ({error}).",
            hint="Update it: apt-get install libseccomp2",
        ) from error


def _library() -> ModuleType:
    try:
        import pyseccomp  # takes 50 ms and is not needed to start the program
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        raise SandboxUnavailableError(
            f"The system call filter library cannot be loaded ({error}).",
            hint="Install it: apt-get install libseccomp2",
        ) from error
    module: ModuleType = pyseccomp
    return module


def _rules(library: ModuleType, architecture: int, permitted: Collection[str], pretended: Collection[str]) -> object:
    """Fill a libseccomp filter; a call of another architecture, x32 included, kills the process."""
    rules = library.SyscallFilter(library.ALLOW)
    rules.set_attr(library.Attr.ACT_BADARCH, library.KILL_PROCESS)
    if library.system_arch() != architecture:  # a filter starts with that of libseccomp itself
        rules.add_arch(architecture)
        rules.remove_arch(library.system_arch())
    for names, number in (
        (NOT_PERMITTED, errno.EPERM),
        (NOT_PRESENT, errno.ENOSYS),
        (NOT_SUPPORTED, errno.EOPNOTSUPP),
        (pretended, 0),
    ):
        for name in names:
            if name not in permitted and _exists(library, architecture, name):
                rules.add_rule(library.ERRNO(number), name)
    for name, number, arguments in _conditional(library):
        if name not in permitted and name not in pretended and _exists(library, architecture, name):
            rules.add_rule(library.ERRNO(number), name, *arguments)
    return rules


def _exists(library: ModuleType, architecture: int, name: str) -> bool:
    """Whether this architecture has a call of that name (libseccomp gives others negative numbers)."""
    try:
        return bool(library.resolve_syscall(architecture, name) >= 0)
    except OSError:
        return False


def _conditional(library: ModuleType) -> Iterator[tuple[str, int, list[object]]]:
    """Calls that are denied for some arguments. 32-bit arguments are compared without their upper half,
    which the kernel ignores and a program may fill with anything.
    """  # noqa: D205

    def low(index: int, value: int) -> object:
        return library.Arg(index, library.MASKED_EQ, _LOW_32, value)

    for flag in _CLONE_NAMESPACES:
        yield "clone", errno.EPERM, [library.Arg(0, library.MASKED_EQ, flag, flag)]
    for request in (_TIOCSTI, _TIOCLINUX):
        yield "ioctl", errno.EPERM, [low(1, request)]
    yield "personality", errno.EPERM, [library.Arg(0, library.NE, _PERSONALITY_QUERY)]
    for family in set(range(_AF_MAX)) - {_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK}:
        yield "socket", errno.EAFNOSUPPORT, [low(0, family)]
    for family in (_AF_INET, _AF_INET6):
        yield "socket", errno.EPROTONOSUPPORT, [low(0, family), library.Arg(2, library.GT, _LAST_IP_PROTOCOL)]
    yield "socket", errno.EAFNOSUPPORT, [library.Arg(0, library.GE, _AF_MAX)]
    yield "socket", errno.EAFNOSUPPORT, [low(0, _AF_NETLINK), library.Arg(2, library.NE, _NETLINK_ROUTE)]
    for option in _BUFFER_SIZES:  # taken, and without effect: a size is a hint, and a larger one is not counted
        yield "setsockopt", 0, [low(1, _SOL_SOCKET), low(2, option)]
    # Its pages are in no file system, and in no process either once they are unmapped while the mapping lives on.
    shared = library.Arg(3, library.MASKED_EQ, _MAP_SHARED_ANONYMOUS, _MAP_SHARED_ANONYMOUS)
    yield "mmap", errno.EPERM, [shared]
    yield "mmap", errno.ENOMEM, [library.Arg(3, library.MASKED_EQ, _MAP_HUGETLB, _MAP_HUGETLB)]
    # There is one user: the kernel calls any other an invalid argument, where fakeroot and tar expect a refusal.
    for name, first in _OWNERS.items():
        for index in (first, first + 1):
            yield name, errno.EPERM, [library.Arg(index, library.LT, _FIRST_ORDINARY_USER)]
            yield name, errno.EPERM, [low(index, _NOBODY)]
    for option in _UNKNOWN_PROCESS_OPTIONS:
        yield "prctl", errno.EINVAL, [low(0, option)]
    # Limits of other processes; the first process of a sandbox dies of a limit that is low enough.
    yield "prlimit64", errno.EPERM, [library.Arg(0, library.NE, 0), library.Arg(2, library.NE, 0)]


def _export(rules: object) -> bytes:
    descriptor = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        rules.export_bpf(file)  # type: ignore[attr-defined]
        file.seek(0)
        return file.read()


def _unknown_calls(machine: str) -> bytes:
    """Instructions that go before libseccomp's: ENOSYS for calls outside :data:`ASSIGNED_CALLS`.

    x32 calls have bit 30 set; they are left to libseccomp, which kills. ``struct sock_filter`` is
    ``{u16 code; u8 jt; u8 jf; u32 k}``, linux/filter.h; jumps count the instructions to skip.
    """
    load_word, jump_if_ge, ret = 0x20, 0x35, 0x06
    enosys = 0x00050000 | errno.ENOSYS
    (_, low_end), (high_begin, high_end) = ASSIGNED_CALLS[machine]
    code = (
        (load_word, 0, 0, 0),  # offset of seccomp_data.nr
        (jump_if_ge, 4, 0, _X32_BIT),
        (jump_if_ge, 2, 0, high_end + 1),
        (jump_if_ge, 2, 0, high_begin),
        (jump_if_ge, 0, 1, low_end + 1),
        (ret, 0, 0, enosys),
    )
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
