"""Watches one run from its start to the end of its last process."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from io import FileIO
from types import TracebackType
from typing import Any, Self

from rebuilder.errors import SandboxFaultError
from rebuilder.model.attempt import Limit
from rebuilder.model.definition import Limits
from rebuilder.sandbox.bubblewrap.launcher_client import Ending, Launched
from rebuilder.sandbox.meter import Meter

LOOK_SECONDS = 0.025
"""Time between two measurements; the end of a run is waited for, not looked for."""

_SETUP_SECONDS = 60.0
_PATIENCE_SECONDS = 60.0
"""For the end of killed processes: the kernel may have gigabytes of them to give back."""
_READ = 1 << 16
_TAIL = 2000


class Supervision:
    """Holds our ends of a run's pipes, its log and its meter; used as a context manager.

    The log goes through a pipe, so that the build can neither read nor change what it has written. The first
    command is kept back until the meter is in place.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._stack = ExitStack()
        self._poll = select.poll()
        self.exit_code: int | None = None
        """Of the last command that ran; None when bubblewrap did not get to tell it."""
        self.log_bytes = 0
        self._said = b""
        self._init: int | None = None
        self._init_fd: FileIO | None = None
        self._meter: Meter | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._log_file = stack.enter_context(os.fdopen(os.memfd_create("log", os.MFD_CLOEXEC), "w+b"))
            self._log, their_log = _pipe(stack)
            self._status, their_status = _pipe(stack)
            self._ready, their_ready = _pipe(stack)
            their_go, self._go = _pipe(stack)
            self._theirs = {"log": their_log, "status": their_status, "ready": their_ready, "go": their_go}
            self._stack = stack.pop_all()
        for file in (self._log, self._status, self._ready):
            os.set_blocking(file.fileno(), False)
            self._poll.register(file, select.POLLIN)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def theirs(self) -> dict[str, int]:
        """Descriptors the launcher hands to bubblewrap, by name."""
        return {name: file.fileno() for name, file in self._theirs.items()}

    def started(self) -> None:
        """The launcher has those now: close our copies, so that an end is seen as an end."""
        for file in self._theirs.values():
            file.close()

    @property
    def stood(self) -> bool:
        """Whether the sandbox was set up and the first command let go."""
        return self._meter is not None

    @property
    def meter(self) -> Meter:
        """The meter of a sandbox that stood."""
        assert self._meter is not None  # noqa: S101  # callers ask `stood` first
        return self._meter

    def watch(self, launched: Launched) -> Limit | None:
        """Wait until the first process of the sandbox has ended; say which limit was passed before, if one was.

        Raises:
            SandboxFaultError: the sandbox neither stood nor failed in time.
        """
        if not self._let_go(launched):
            return None
        assert self._init_fd is not None  # noqa: S101  # opened by _let_go
        self._poll.register(self._init_fd, select.POLLIN)
        now = time.monotonic()
        end, look = now + self._limits.wall_seconds, now + LOOK_SECONDS
        while True:
            waiting = max(0.0, min(end, look) - now)
            ready = self._turn(waiting)
            if self._log.fileno() in ready and self._read_log():
                return Limit.LOG
            if self._init_fd.fileno() in ready:
                return None
            now = time.monotonic()
            if now >= end:
                return Limit.WALL_TIME
            if now >= look:
                limit = self.meter.exceeded(self._limits)
                if limit is not None:
                    return Limit(limit)
                now = time.monotonic()
                look = now + LOOK_SECONDS

    def _let_go(self, launched: Launched) -> bool:
        """Wait until the sandbox stands, put the meter in place, start the commands; False when it failed."""
        self._poll.register(launched, select.POLLIN)
        deadline = time.monotonic() + _SETUP_SECONDS
        standing = False
        while self._init is None or not standing:
            ready = self._turn(_SETUP_SECONDS)
            if self._ready.fileno() in ready:
                standing = os.read(self._ready.fileno(), 1) == b"r"
                self._poll.unregister(self._ready)
            if launched.fileno() in ready:
                return False
            if time.monotonic() > deadline:
                raise SandboxFaultError(f"A sandbox was not set up after {_SETUP_SECONDS:g} seconds.")
        self._poll.unregister(launched)
        try:
            self._init_fd = self._stack.enter_context(FileIO(os.pidfd_open(self._init), "r"))
            self._meter = Meter(self._init)
        except OSError as error:
            raise SandboxFaultError(f"A sandbox that was set up cannot be looked into ({error}).") from error
        self._stack.callback(self._meter.close)
        launched.tell_init(self._init)
        os.write(self._go.fileno(), b"\n")
        self._go.close()
        return True

    def _turn(self, seconds: float) -> set[int]:
        """Wait for something to happen; take what bubblewrap says of itself."""
        # Rounded up: poll takes whole milliseconds, and 0 would be a busy loop.
        ready = {descriptor for descriptor, _ in self._poll.poll(int(seconds * 1000) + 1)}
        if self._status.fileno() in ready:
            self._read_status()
        return ready

    def _read_status(self) -> None:
        data = _read(self._status)
        if data == b"":
            self._poll.unregister(self._status)
        self._hear(data or b"")

    def _hear(self, data: bytes) -> None:
        """Bubblewrap writes one JSON document a line, each in several pieces."""
        *lines, self._said = (self._said + data).split(b"\n")
        for line in lines:
            said: dict[str, Any] = json.loads(line)
            self._init = said.get("child-pid", self._init)
            self.exit_code = said.get("exit-code", self.exit_code)

    def _read_log(self) -> bool:
        """Take what was written; True when there is more than the limit allows, and no more is kept."""
        data = _read(self._log)
        if data == b"":
            self._poll.unregister(self._log)
        return bool(data) and self._keep(data or b"")

    def _keep(self, data: bytes) -> bool:
        kept = data[: self._limits.log_bytes - self.log_bytes]
        self._log_file.write(kept)
        self.log_bytes += len(kept)
        return len(kept) < len(data)

    def end(self, launched: Launched, *, kill: bool) -> Ending:
        """Wait until nothing of the run is left; take the rest of its log and of what bubblewrap says.

        Args:
            launched: The run.
            kill: Whether it must be ended, or is ending by itself. (Then bubblewrap still has an exit code to tell.)

        Raises:
            SandboxFaultError: its processes cannot be ended.
        """
        if kill and self._init_fd is not None:
            with suppress(ProcessLookupError):  # it ended meanwhile, and is reaped
                signal.pidfd_send_signal(self._init_fd.fileno(), signal.SIGKILL)
            gone = select.poll()
            gone.register(self._init_fd, select.POLLIN)
            if not gone.poll(_PATIENCE_SECONDS * 1000):
                raise SandboxFaultError("The processes of a sandbox could not be killed.")
            launched.kill()
        ending = launched.ending()
        while data := _read(self._status):
            self._hear(data)
        while data := _read(self._log):
            self._keep(data)
        self._log_file.flush()
        return ending

    def log(self) -> Iterator[bytes]:
        """What the run wrote, from the start."""
        self._log_file.seek(0)
        while chunk := self._log_file.read(1 << 20):
            yield chunk

    def log_tail(self) -> str:
        """The last of it, for a message about the sandbox itself."""
        text = b"".join(self.log())[-_TAIL:].decode("utf-8", "replace")
        return " ".join(text.split())


def _pipe(stack: ExitStack) -> tuple[FileIO, FileIO]:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    return stack.enter_context(FileIO(reading, "r")), stack.enter_context(FileIO(writing, "w"))


def _read(file: FileIO) -> bytes | None:
    """What a pipe holds; empty at its end, None when there is nothing yet."""
    try:
        return os.read(file.fileno(), _READ)
    except BlockingIOError:
        return None
