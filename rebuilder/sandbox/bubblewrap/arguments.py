"""What bubblewrap is told for a build definition, and the script its first command runs."""

from __future__ import annotations

import math
import re
import resource
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from rebuilder.errors import UsageError
from rebuilder.model.definition import BuildDefinition, Limits
from rebuilder.sandbox.bubblewrap import launcher_main

SLACK = 64 << 20
"""Bytes a file system of the run holds beyond its limit, so that the measurement sees the limit passed before the
build sees a full disk."""

_USER = "1000"
_WRITABLE = ("/build", "/tmp")  # noqa: S108  # inside the sandbox
_READABLE = ("/inputs", "/tools")
_LISTING_BYTES = 1 << 20
_NO_BYTES = 4096
_LAST_SECOND = 1 << 33  # the year 2242: what a kernel that has run for long can still count in nanoseconds
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ADDED_BY_SHELL = ("OLDPWD", "PWD")
_CHANGED_BY_SHELL = {"IFS", "LINENO", "MAIL", "MAILPATH", "OPTARG", "OPTIND", "PPID", "PS1", "PS2", "PS4", "SHLVL", "_"}
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?")


def check(definition: BuildDefinition, kind: str = "bubblewrap") -> None:
    """Refuse a definition that cannot be run as it is written.

    Args:
        definition: From whomever.
        kind: Of the sandbox it is to run in: ``bubblewrap`` has no clock of its own, ``uml`` has one CPU.

    Raises:
        UsageError: with the field and what is wrong with it.
    """
    problem = next(_problems(definition), None) or next(_beyond(definition, kind), None)
    if problem is not None:
        raise UsageError(f"The build definition cannot be run: {problem}.", hint="Was the document changed by hand?")


def _problems(definition: BuildDefinition) -> Iterator[str]:
    environment = definition.environment
    texts = [*environment, *environment.values(), *(word for command in definition.commands for word in command)]
    if any("\0" in text for text in texts):
        yield "a command or the environment has a NUL character in it"
    if any("=" in name or not name for name in environment):
        yield "a name in the environment is empty or has “=” in it"
    if not definition.commands or any(not command or not command[0] for command in definition.commands):
        yield "it has no commands, or an empty one"
    if any("=" in command[0] for command in definition.commands):
        yield "the name of a command has “=” in it"
    if re.fullmatch(r"0?[0-7]{3}", definition.umask) is None:
        yield f"the umask {definition.umask!r} is not three octal digits"
    if _HOSTNAME.fullmatch(definition.hostname) is None:
        yield f"{definition.hostname!r} is not a host name"
    if definition.cpu_count < 1:
        yield "it asks for no CPU"
    if any(value <= 0 for value in definition.limits.model_dump().values()):
        yield "a limit is zero or less"
    yield from _bad_paths(definition)


def _beyond(definition: BuildDefinition, kind: str) -> Iterator[str]:
    """What a kind of sandbox has not got."""
    if kind != "uml" and definition.clock is not None:
        yield f"it sets the clock, and a sandbox of the kind {kind} shows the time of the machine"
    if definition.clock_stands and definition.clock is None:
        yield "its clock is to stand, but it says not where"
    if kind == "uml" and definition.cpu_count != 1:
        yield f"it asks for {definition.cpu_count} CPUs, and a sandbox of the kind {kind} has one"
    if kind == "uml" and definition.clock is not None and not 0 <= definition.clock.timestamp() < _LAST_SECOND:
        yield f"no clock can be set to {definition.clock.isoformat()}"


def _bad_paths(definition: BuildDefinition) -> Iterator[str]:
    if not _lies_below(definition.directory, _WRITABLE, itself=True):
        yield f"the directory {definition.directory!r} is not {' or '.join(_WRITABLE)}, or below"
    paths = [each.path for each in definition.inputs]
    taken = set(paths)
    for path in paths:
        if not _lies_below(path, _READABLE, itself=False):
            yield f"the input {path!r} is not below {' or '.join(_READABLE)}"
    for place, count in Counter([*paths, *(above for path in paths for above in taken & _above(path))]).items():
        if count > 1:
            yield f"two inputs want to be at {place!r}"


def _above(path: str) -> set[str]:
    return {str(parent) for parent in PurePosixPath(path).parents}


def _lies_below(path: str, roots: Sequence[str], *, itself: bool) -> bool:
    parts = PurePosixPath(path).parts
    plain = str(PurePosixPath(path)) == path and ".." not in parts and "\0" not in path
    return plain and any(path.startswith(f"{root}/") or (itself and path == root) for root in roots)


def script(definition: BuildDefinition) -> bytes:
    """Shell script that waits to be let go, then runs the commands, each echoed after ``+ ``.

    When the definition has a clock, it says ``c`` before the last command and waits once more.
    """
    ready, go = launcher_main.READY, launcher_main.GO
    closed = f"{ready}>&- {go}<&-"
    environment = definition.environment
    prefix = "" if all(map(_passes_through_shell, environment)) else _exactly(environment)
    *earlier, last = [
        (f"printf '%s\\n' {shlex.quote('+ ' + shlex.join(command))}", f"{prefix}{shlex.join(command)}")
        for command in definition.commands
    ]
    lines = [
        *(f"unset {name}" for name in _ADDED_BY_SHELL if name not in environment),
        *(f"{name}={shlex.quote(environment[name])}" for name in _ADDED_BY_SHELL if name in environment),
        f"umask {definition.umask}",
        *opening(definition.limits.processes),
    ]
    if definition.clock is None:
        lines += [f"exec {closed}"]
        closed = ""
    for echo, line in earlier:
        lines += [echo, f"{line} {closed} || exit $?" if closed else f"{line} || exit $?"]
    echo, line = last
    lines += [echo]
    if definition.clock is not None:
        lines += [f"printf c >&{ready} && read -r go <&{go} || exit 125", f"exec {closed}"]
    return "\n".join([*lines, f"{line} || exit $?", ""]).encode("utf-8", "surrogateescape")


def opening(processes: int) -> list[str]:
    """Lines with which a script says ``r`` when its sandbox stands, and reads a line before it goes on.

    The number of processes is limited here rather than on bubblewrap, since only from inside the user namespace are
    the processes of other runs not counted.
    """
    ready, go, own = launcher_main.READY, launcher_main.GO, launcher_main.SCRIPT
    most = processes + max(64, processes // 4)
    refused = f"fewer than {most} processes are allowed here \\(ulimit -u\\)"
    return [
        f"exec {own}<&-",
        f"ulimit -p {most} 2>/dev/null || ulimit -u {most} 2>/dev/null || {{ echo {refused}; exit 125; }}",
        f"printf r >&{ready} && read -r go <&{go} || exit 125",
    ]


def _passes_through_shell(name: str) -> bool:
    """Whether a shell hands on a variable of this name as it got it."""
    return _IDENTIFIER.fullmatch(name) is not None and name not in _CHANGED_BY_SHELL


def _exactly(environment: Mapping[str, str]) -> str:
    """Words before a command that give it this environment, for names the shell drops. They cost a millisecond."""
    return shlex.join(["/usr/bin/env", "-i", "--", *(f"{name}={value}" for name, value in environment.items())]) + " "


def options(definition: BuildDefinition, *, root: str, inputs: Mapping[str, str], cpus_listed: bool) -> bytes:
    """Options of bubblewrap, NUL-separated for ``--args``.

    Args:
        definition: Checked by :func:`check`.
        root: Where the build environment is, as bubblewrap sees it.
        inputs: Path inside the sandbox to path as bubblewrap sees it.
        cpus_listed: Whether the build environment has ``/sys``, so that the number of CPUs can be told as the C library
            and CPython ask for it.
    """
    disk, output = (str(size + SLACK) for size in (definition.limits.disk_bytes, definition.limits.output_bytes))
    words = [
        *("--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session"),
        *("--uid", _USER, "--gid", _USER, "--hostname", definition.hostname),
        *("--ro-bind", root, "/", "--proc", "/proc", "--dev", "/dev"),
        # The first process is bubblewrap's own and has the build's user: what is in /proc/1 could be written to.
        *("--perms", "0555", "--size", str(_NO_BYTES), "--tmpfs", "/proc/1", "--remount-ro", "/proc/1"),
        # /dev/full reads as /dev/zero does; but a shared mapping of the latter is memory that nobody can count.
        *("--dev-bind", "/dev/full", "/dev/zero"),
        *("--perms", "1777", "--size", disk, "--tmpfs", "/dev/shm", "--remount-ro", "/dev"),  # noqa: S108
        *("--perms", "0755", "--size", disk, "--tmpfs", "/build"),
        *("--perms", "1777", "--size", disk, "--tmpfs", "/tmp"),  # noqa: S108
        *("--perms", "0755", "--size", output, "--tmpfs", "/out"),
    ]
    for directory in _READABLE:
        below = [path for path in sorted(inputs) if path.startswith(f"{directory}/")]
        if below:
            words += ["--size", str(_LISTING_BYTES), "--tmpfs", directory]
            for path in below:
                words += ["--ro-bind", inputs[path], path]
            words += ["--remount-ro", directory]
    if cpus_listed:
        listing = "/sys/devices/system/cpu"
        words += ["--size", str(_LISTING_BYTES), "--tmpfs", "/sys"]
        words += ["--perms", "0444", "--file", str(launcher_main.CPUS), f"{listing}/online"]
        words += ["--symlink", "online", f"{listing}/possible", "--symlink", "online", f"{listing}/present"]
        words += ["--remount-ro", "/sys"]
    words += ["--dir", definition.directory, "--chdir", definition.directory, "--clearenv"]
    for name, value in sorted(definition.environment.items()):
        words += ["--setenv", name, value]
    words += ["--seccomp", str(launcher_main.FILTER), "--json-status-fd", str(launcher_main.STATUS)]
    return "".join(f"{word}\0" for word in words).encode("utf-8", "surrogateescape")


def cpu_list(count: int) -> bytes:
    """Content of ``/sys/devices/system/cpu/online`` on a machine with that many CPUs."""
    return b"0\n" if count == 1 else f"0-{count - 1}\n".encode()


def command(program: str) -> list[str]:
    """Command line of bubblewrap; everything that can be long comes through files."""
    return [program, "--args", str(launcher_main.ARGUMENTS), "--", "/bin/sh", f"/proc/self/fd/{launcher_main.SCRIPT}"]


def resource_limits(limits: Limits) -> dict[str, tuple[int, int]]:
    """Soft and hard rlimits: the backstop behind the measured limits, and nothing of the caller's own.

    The CPU time is a little more than the limit, so that the measurement, which counts all processes, comes first;
    the address space is far more than the memory, since programs reserve much that they never use. Cores of one byte
    are none; unlike zero that holds too where the host hands cores to a program of its own (core(5)).
    """
    processor = math.ceil(limits.cpu_seconds) + 2
    return {
        "RLIMIT_CPU": (processor, processor + 1),
        "RLIMIT_FSIZE": (limits.file_bytes, limits.file_bytes),
        "RLIMIT_AS": (max(8 * limits.memory_bytes, 32 << 30),) * 2,
        "RLIMIT_CORE": (1, 1),
        "RLIMIT_NOFILE": (1024, 2048),
        "RLIMIT_SIGPENDING": (4096, 4096),
        "RLIMIT_STACK": (8 << 20, resource.RLIM_INFINITY),
        "RLIMIT_MEMLOCK": (64 << 10, 64 << 10),
        "RLIMIT_MSGQUEUE": (64 << 10, 64 << 10),
        "RLIMIT_NICE": (0, 0),
        "RLIMIT_RTPRIO": (0, 0),
    }
