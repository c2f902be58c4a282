"""Watches one run in bubblewrap from its start to the end of its first process.

It imports, of the rebuilder, only what imports nothing else: the first process of a User Mode Linux guest uses it too.
What differs there (a clock to set, a halt instead of a kill) is in :mod:`rebuilder.sandbox.uml.guest`; what a run on
the kernel of this machine has besides is in :mod:`rebuilder.sandbox.bubblewrap.run_sandbox`.
"""

from __future__ import annotations

import json
import os
import select
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from io import FileIO
from itertools import repeat
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from rebuilder.sandbox.meter import Meter

if TYPE_CHECKING:
    from rebuilder.model.definition import Limits

SETUP_SECONDS = 60.0
"""For bubblewrap to make a sandbox."""

_READ = 1 << 16


class Monitor(Protocol):
    """Something whose descriptor is readable when bubblewrap has ended."""

    def fileno(self) -> int:
        """The descriptor."""
        ...


class Supervision:
    """Holds our ends of a run's pipes, its log and its meter; used as a context manager.

    The log goes through a pipe, so that the build can neither read nor change what it has written. The first
    command is kept back until the meter is in place.

    Args:
        limits: Of the run.
        log_file: Where its output is kept, up to the limit; closed with this.
        look_seconds: Time between two measurements; the end of a run is waited for, not looked for.
        open_meter: Opens a sandbox that stands, by its first process, to be measured.
    """

    def __init__(
        self, limits: Limits, log_file: FileIO, look_seconds: float, open_meter: Callable[[int], Meter] = Meter
    ) -> None:
        self.limits = limits
        self.exit_code: int | None = None
        """Of the last command that ran; None when bubblewrap did not get to tell it."""
        self.init: int | None = None
        """Process id of the first process of the sandbox, once bubblewrap has told it."""
        self._look_seconds = look_seconds
        self._open_meter = open_meter
        self._log_file = log_file
        self._log_bytes = 0
        self._said = b""
        self._init_fd: FileIO | None = None
        self._meter: Meter | None = None
        self._stack = ExitStack()
        self._poll = select.poll()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._log_file)
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
        """Descriptors that bubblewrap is given, by name."""
        return {name: file.fileno() for name, file in self._theirs.items()}

    def started(self) -> None:
        """Bubblewrap has those now: close our copies, so that an end is seen as an end."""
        for file in self._theirs.values():
            file.close()

    @property
    def stood(self) -> bool:
        """Whether the sandbox was set up."""
        return self._meter is not None

    @property
    def meter(self) -> Meter:
        """The meter of a sandbox that stood."""
        assert self._meter is not None  # noqa: S101  # callers ask `stood` first
        return self._meter

    def stand(self, monitor: Monitor) -> bool:
        """Wait until the sandbox stands, and put the meter in place; False when bubblewrap ended before.

        Raises:
            TimeoutError: neither came about within :data:`SETUP_SECONDS`.
            OSError: the sandbox may not be looked into.
        """
        self._poll.register(monitor, select.POLLIN)
        deadline = time.monotonic() + SETUP_SECONDS
        standing = False
        while self.init is None or not standing:
            ready = self._turn(SETUP_SECONDS)
            if self._ready.fileno() in ready:
                standing = os.read(self._ready.fileno(), 1) == b"r"
                if not standing:
                    self._forget(self._ready)
            if monitor.fileno() in ready:
                return False
            if time.monotonic() > deadline:
                raise TimeoutError
        self._poll.unregister(monitor)
        self._init_fd = self._stack.enter_context(FileIO(os.pidfd_open(self.init), "r"))
        self._meter = self._open_meter(self.init)
        self._stack.callback(self._meter.close)
        self._poll.register(self._init_fd, select.POLLIN)
        return True

    def let_go(self) -> None:
        """Let the commands begin, or the last of them where it waits for its clock."""
        os.write(self._go.fileno(), b"\n")

    def before_last_command(self) -> None:
        """The last command of a definition with a clock waits for :meth:`let_go`."""

    def watch(self) -> str | None:
        """Wait until the first process of the sandbox has ended.

        Returns:
            The limit that was passed before: a value of :class:`rebuilder.model.attempt.Limit`; None when none was.
        """
        assert self._init_fd is not None  # noqa: S101  # it stands
        now = time.monotonic()
        end, look = now + self.limits.wall_seconds, now + self._look_seconds
        while True:
            ready = self._turn(max(0.0, min(end, look) - now))
            if self._log.fileno() in ready and self._read_log():
                return "log size"
            if self._ready.fileno() in ready:
                self._hear_shell()
            if self._init_fd.fileno() in ready:
                return None
            now = time.monotonic()
            if now >= end:
                return "wall time"
            if now >= look:
                limit = self.meter.exceeded(self.limits)
                if limit is not None:
                    return limit
                now = time.monotonic()
                look = now + self._look_seconds

    def _turn(self, seconds: float) -> set[int]:
        """Wait for something to happen; take what bubblewrap says of itself."""
        # Rounded up: poll takes whole milliseconds, and 0 would be a busy loop.
        ready = {descriptor for descriptor, _ in self._poll.poll(int(seconds * 1000) + 1)}
        if self._status.fileno() in ready:
            self.hear()
        return ready

    def hear(self) -> None:
        """Take what bubblewrap says of itself: one JSON document a line, each in several pieces."""
        while data := _read(self._status):
            *lines, self._said = (self._said + data).split(b"\n")
            for line in lines:
                said: dict[str, Any] = json.loads(line)
                self.init = said.get("child-pid", self.init)
                self.exit_code = said.get("exit-code", self.exit_code)
        if data == b"":
            self._forget(self._status)

    def _hear_shell(self) -> None:
        if os.read(self._ready.fileno(), 1) == b"c":
            self.before_last_command()
        else:  # the end of the pipe
            self._forget(self._ready)

    def _read_log(self) -> bool:
        """Take what was written; True when there is more than the limit allows, and no more is kept."""
        data = _read(self._log)
        if data == b"":
            self._forget(self._log)
        return bool(data) and self._keep(data or b"")

    def drain(self, most_reads: int | None = None) -> None:
        """Take what the log pipe still holds.

        Args:
            most_reads: How often it is read at the most, where processes may still write; None: to its end.
        """
        for _ in repeat(None) if most_reads is None else repeat(None, most_reads):
            data = _read(self._log)
            if not data:
                return
            self._keep(data)

    def _keep(self, data: bytes) -> bool:
        kept = data[: self.limits.log_bytes - self._log_bytes]
        self._log_bytes += self._log_file.write(kept) or 0
        return len(kept) < len(data)

    def _forget(self, file: FileIO) -> None:
        """Wait no more for a pipe that is at its end."""
        with suppress(KeyError):
            self._poll.unregister(file)


def memory_file(name: str, content: bytes) -> FileIO:
    """An unnamed file in memory, ready to be read from its start."""
    file = FileIO(os.memfd_create(name, os.MFD_CLOEXEC), "r+")
    file.write(content)
    file.seek(0)
    return file


def _pipe(stack: ExitStack) -> tuple[FileIO, FileIO]:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    return stack.enter_context(FileIO(reading, "r")), stack.enter_context(FileIO(writing, "w"))


def _read(file: FileIO) -> bytes | None:
    """What a pipe holds; empty at its end, None when there is nothing yet."""
    try:
        return os.read(file.fileno(), _READ)
    except BlockingIOError:
        return None
