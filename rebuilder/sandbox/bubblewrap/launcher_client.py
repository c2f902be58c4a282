"""Our end of the launcher: start a sandbox, hear how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Any

from rebuilder.errors import SandboxFaultError
from rebuilder.model.value import Value
from rebuilder.sandbox.bubblewrap import launcher_main
from rebuilder.sandbox.supervision import memory_file

_PROGRAM = Path(launcher_main.__file__)
_PATIENCE = 60.0


class Ending(Value):
    """How the launcher says a sandbox ended, when nothing of it is left."""

    problem: str | None = None
    """Why bubblewrap could not be started."""
    status: int | None = None
    """Wait status of bubblewrap."""
    cpu_seconds: float = 0
    memory_bytes: int = 0
    """Largest resident memory of any one process."""
    orphaned: bool = False
    """Whether the first process of the sandbox outlived bubblewrap, as it does unless something ended it."""


class Launched:
    """A sandbox that was asked for."""

    def __init__(self, report: socket.socket) -> None:
        self._report = report

    def fileno(self) -> int:
        """Readable when :meth:`ending` has something to say."""
        return self._report.fileno()

    def tell_init(self, pid: int) -> None:
        """Say which process is the first of the sandbox, so that it is reaped and accounted."""
        self._send(f"i{pid}")

    def kill(self) -> None:
        """End it; nothing when it has ended."""
        self._send("k")

    def _send(self, message: str) -> None:
        with contextlib.suppress(OSError):
            self._report.send(message.encode())

    def ending(self) -> Ending:
        """Wait for the last message.

        Raises:
            SandboxFaultError: none came within that many seconds, or the launcher is gone.
        """
        collected: dict[str, Any] = {}
        poll = select.poll()
        poll.register(self._report, select.POLLIN)
        while "status" not in collected:
            if not poll.poll(_PATIENCE * 1000):
                raise SandboxFaultError("The processes of a sandbox could not be ended.")
            try:
                message = self._report.recv(4096)
            except ConnectionResetError:
                # It was done before it heard our last word. The kernel says so first, and then hands out its own.
                continue
            except OSError:
                message = b""
            if not message:
                raise SandboxFaultError("The process that starts sandboxes ended unexpectedly.")
            collected |= json.loads(message)
        return Ending.model_validate(collected)

    def close(self) -> None:
        """Forget it; the launcher ends it if it still runs."""
        self._report.close()


class LauncherClient:
    """Starts the launcher program when it is first needed; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._owner = 0
        self._finalizer: weakref.finalize[[socket.socket, subprocess.Popen[bytes]], LauncherClient] | None = None

    def start(self, request: Mapping[str, Any], files: Mapping[str, int]) -> Launched:
        """Ask for a sandbox.

        Args:
            request: See :func:`rebuilder.sandbox.bubblewrap.launcher_main.become_bubblewrap`.
            files: Descriptors by their names in
                :data:`rebuilder.sandbox.bubblewrap.launcher_main.FILES`, without the first two.

        Raises:
            SandboxFaultError: the launcher cannot be started.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, memory_file("request", json.dumps(request).encode()) as asked:
            everything = {"report": theirs.fileno(), "request": asked.fileno(), **files}
            descriptors = [everything[name] for name in launcher_main.FILES]
            try:
                try:
                    self._send(descriptors)
                except OSError:  # it was killed; another one is as good
                    self.close()
                    self._send(descriptors)
            except OSError as error:
                ours.close()
                raise SandboxFaultError(f"The process that starts sandboxes cannot be reached ({error}).") from error
        return Launched(ours)

    def _send(self, descriptors: list[int]) -> None:
        with self._lock:
            socket.send_fds(self._connection(), [b"run"], descriptors)

    def warm(self) -> None:
        """Start the program now, so that the first sandbox need not wait for it.

        Raises:
            SandboxFaultError: it cannot be started.
        """
        try:
            with self._lock:
                self._connection()
        except OSError as error:
            raise SandboxFaultError(f"The process that starts sandboxes cannot be started ({error}).") from error

    def _connection(self) -> socket.socket:
        if self._socket is None or self._owner != os.getpid():
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                process = subprocess.Popen(
                    [sys.executable, "-I", "-S", _PROGRAM, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    env={name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
                    start_new_session=True,
                )
            self._socket, self._owner = ours, os.getpid()
            self._finalizer = weakref.finalize(self, _stop, ours, process)
        return self._socket

    def close(self) -> None:
        """End the program and all sandboxes it started."""
        with self._lock:
            if self._finalizer is not None and self._owner == os.getpid():
                self._finalizer()
            self._socket = None


def _stop(connection: socket.socket, process: subprocess.Popen[bytes]) -> None:
    """Hang up, and wait for the program without looking again and again, as ``wait`` with a time-out does."""
    connection.close()
    with contextlib.suppress(OSError), FileIO(os.pidfd_open(process.pid), "r") as end:
        poll = select.poll()
        poll.register(end, select.POLLIN)
        if not poll.poll(_PATIENCE * 1000):
            process.kill()
    process.wait()
