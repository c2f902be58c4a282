"""The ``rebuilder`` command begins here: ``verify`` by a resident process that has everything loaded, if there is one.

Loading the program takes longer than building a small wheel. So a ``verify`` leaves a process behind
(:mod:`rebuilder.cli.resident`), and the next one goes like this:

1. This process, which loads next to nothing, connects to the resident one. Its socket is in a directory that only the
   user can enter, and both sides ask the kernel whether the other one is the same user.
2. It sends its arguments, its environment, its umask, its directory and its three standard streams.
3. The resident process forks; the child becomes the command and does everything as usual, the key included.
4. This process passes on signals, waits, and ends with the same exit code. When it goes away, the child is ended.

What a process inherits and is not sent is in the name of the socket (:func:`circumstances`), and so are the
program's files: after an update, in another container or under other limits there is no socket of that name.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import stat
import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

SWITCH = "REBUILDER_RESIDENT"
"""Set to ``no``, everything is done by the process that was started."""
_PREFIXES = ("GLIBC_", "LANG", "LC_", "LD_", "MALLOC_", "OPENSSL_", "PYDANTIC_", "PYTHON", "SQLALCHEMY_", "TZ")
"""Beginnings of the names of variables that are read while a program loads."""
_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
_STATUS = ("Uid", "Gid", "Groups", "Cap", "NoNewPrivs", "Seccomp", "Cpus_allowed", "Mems_allowed")
_PASSED_ON = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)]
_AGAIN_SECONDS = 600.0
_LOOK_SECONDS = 0.5
_LONGEST_PATH = 100
"""Bytes; the address of a Unix socket has room for 108."""
_CREDENTIALS = "3i"
NUMBER = "!i"
_KILLED = 128 + 9


def main() -> None:
    """Entry point: see the module."""
    wanted = sys.argv[1:2] == ["verify"] and "--help" not in sys.argv and os.environ.get(SWITCH) != "no"
    place = resident_socket() if wanted else None
    code = answered(place, sys.argv) if place is not None else None
    if code is None:
        from rebuilder.cli.main import run

        code = run()
        if place is not None:
            leave_behind(place)
    os._exit(code)


def answered(place: Path, words: Sequence[str]) -> int | None:
    """Let the resident process do it and give the exit code; None when there is none, or it cannot."""
    if any("/fd/" in each or "/proc/" in each for each in words):  # they mean those of this process
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            for stream in range(3):
                os.fstat(stream)
            connection.connect(str(place))
            if not is_same_user(connection):
                return None
            _send(connection, {"words": list(words), "environment": dict(os.environ), "umask": _umask()})
            worker = _number(connection)
        except OSError:
            return None
        return None if worker is None else _wait(connection, worker)


def _wait(connection: socket.socket, worker: int) -> int:
    passed_on = []

    def pass_on(number: int, _: object) -> None:
        passed_on.append(number)
        os.kill(worker, number)

    for each in _PASSED_ON:
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, pass_on)
    # A signal that comes just before the call would wait for its end: Python's handlers run between calls only.
    while not select.select([connection], [], [], _LOOK_SECONDS)[0]:
        pass
    code = _number(connection)
    if code is None and passed_on:  # it ended of what it was sent; so does this one
        signal.signal(passed_on[-1], signal.SIG_DFL)
        os.kill(os.getpid(), passed_on[-1])
    return _KILLED if code is None else code


def _number(connection: socket.socket) -> int | None:
    """The next number that comes; None when nothing comes any more."""
    data = connection.recv(struct.calcsize(NUMBER), socket.MSG_WAITALL)
    return struct.unpack(NUMBER, data)[0] if len(data) == struct.calcsize(NUMBER) else None


def _send(connection: socket.socket, request: Mapping[str, object]) -> None:
    """Send a request with the standard streams and the current directory."""
    data, directory = json.dumps(request).encode(), os.open(".", os.O_PATH | os.O_DIRECTORY)
    try:
        socket.send_fds(connection, [struct.pack(NUMBER, len(data))], [0, 1, 2, directory])
    finally:
        os.close(directory)
    connection.sendall(data)


def is_same_user(connection: socket.socket) -> bool:
    """Whether the other side is of this user, as the kernel knows it."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize(_CREDENTIALS))
    return bool(struct.unpack(_CREDENTIALS, raw)[1] == os.geteuid())


def leave_behind(place: Path) -> None:
    """Start the resident process, unless one was started lately: it is loading, or could not be what it is to be.

    It gets of the environment what loading needs: the rest may hold secrets.
    """
    import subprocess
    import time

    try:
        if time.time() - lock_file(place).stat().st_mtime < _AGAIN_SECONDS:
            return
    except OSError:
        pass  # there is none
    try:
        subprocess.Popen(
            [sys.executable, "-P", "-m", "rebuilder.cli.resident", str(place)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_read_while_loading(),
            start_new_session=True,
        )
    except OSError:
        return  # the next one takes as long as this one


def lock_file(place: Path) -> Path:
    """What the resident process holds from its start, and leaves where it cannot serve this socket."""
    return place.with_suffix(".lock")


def resident_socket() -> Path | None:
    """Where the process listens that serves whoever is in our circumstances; None where it must not be.

    The directory is the user's own and nobody else may enter it; it is made when it is missing.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    place = Path(runtime) / "rebuilder" if runtime.startswith("/") else Path(f"/tmp/rebuilder-{os.geteuid()}")  # noqa: S108
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        found = place.lstat()
        path = place / circumstances()
    except OSError:
        return None
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
    return path if private and len(os.fsencode(path)) <= _LONGEST_PATH else None


def circumstances() -> str:
    """A digest of what a process inherits and no request carries, and of the files that the program is loaded from.

    Raises:
        OSError: the kernel does not tell.
    """
    found = sha256()
    for each in _circumstances():
        found.update(each.encode("utf-8", "surrogateescape") + b"\0")
    return found.hexdigest()[:32]


def _circumstances() -> Iterator[str]:
    yield repr((sys.executable, sys.version, sys.flags.dev_mode, sys.flags.optimize, sys.flags.utf8_mode))
    yield repr(sorted(_read_while_loading().items()))
    status = Path("/proc/self/status").read_text().splitlines()
    yield repr([line for line in status if line.startswith(_STATUS)])
    for each in ("limits", "cgroup", "oom_score_adj", "personality"):
        yield Path(f"/proc/self/{each}").read_text()
    yield repr([str(Path(f"/proc/self/ns/{each}").readlink()) for each in _NAMESPACES])
    yield repr((os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0), _unchanged(Path("/").stat())))
    places = [place for each in sys.path[not sys.flags.safe_path :] if (place := Path(each)).is_dir()]
    yield repr([(str(each), _unchanged(each.stat())) for each in places])
    pending = [str(Path(__file__).parents[1])]
    while pending:
        with os.scandir(pending.pop()) as directory:
            for entry in sorted(directory, key=lambda entry: entry.name):
                if entry.is_dir():
                    pending += [entry.path] if entry.name != "__pycache__" else []
                else:
                    yield repr((entry.path, _unchanged(entry.stat())))


def _unchanged(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _read_while_loading() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(_PREFIXES) or name == "HOME"}


def _umask() -> int:
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
