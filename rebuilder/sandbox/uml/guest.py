"""The first process of a User Mode Linux guest: runs one definition there in bubblewrap, says how it ended, halts.

It is run as ``python3 -I -S -B DIRECTORY`` by the guest's kernel and imports, of the rebuilder, only what imports
nothing else. What it is to do it reads from :data:`REQUEST`; what came of it is in the other files named here. They
lie in a file system that the sandbox around the guest lends it and that no build sees. The kernel of the guest is
the build's own: whatever it does to it, it has done to itself.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import select
import stat
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from rebuilder.sandbox.bubblewrap import launcher_main
from rebuilder.sandbox.leftovers import limit_behind, list_outputs
from rebuilder.sandbox.meter import Meter

if TYPE_CHECKING:
    from rebuilder.model.definition import Limits

PLACE, OUTPUTS = "/build", "/out"
"""Directories of the sandbox around the guest."""

REQUEST, BEGUN, LOG, RESULT = "request.json", "begun.json", "log", "result.json"
"""Files in :data:`PLACE`: what is to be done; written when the commands begin; their output; how they ended."""

USER = 1000
"""Who runs bubblewrap in the guest."""

_LOOK_SECONDS = 0.05
_SETUP_SECONDS = 60.0
_CHUNK = 1 << 16
_PIPE_READS = 16
_POWER_OFF = 0x4321FEDC  # reboot(2)


class GuestError(Exception):
    """The guest could not do what it was asked; never the fault of what is built."""


class Guest:
    """One run: our ends of its pipes, its log, its meter."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.limits: Limits = SimpleNamespace(**request["limits"])  # type: ignore[assignment]  # the same names
        self.exit_code: int | None = None
        self.meter: Meter | None = None
        self._said, self._told = b"", False
        self._clock_ns: int | None = None
        self._init: int | None = None
        self._log_bytes = 0
        self._largest = 0
        self._log_file = os.open(f"{PLACE}/{LOG}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        self._poll = select.poll()
        pipes = {name: os.pipe2(os.O_CLOEXEC) for name in ("log", "ready", "status")}
        self._log, self._ready, self._status = (ours for ours, _ in pipes.values())
        self._theirs = {name: theirs for name, (_, theirs) in pipes.items()}
        self._theirs["go"], self._go = os.pipe2(os.O_CLOEXEC)
        for descriptor in (self._log, self._ready, self._status):
            os.set_blocking(descriptor, False)
            self._poll.register(descriptor, select.POLLIN)
        for name in ("script", "arguments", "filter", "cpus"):
            self._theirs[name] = _memory_file(name, base64.b64decode(request[name]))

    def run(self) -> dict[str, Any]:
        """Start it, wait for its end; give what is to be known about it.

        When a limit was passed, nothing is ended here: the guest halts, and that is the end of everything in it.
        (A kernel of this kind may crash when it has to end many processes that are just starting others.)
        """
        self._start()
        limit = self._watch(time.monotonic())
        assert self.meter is not None  # noqa: S101  # it stands
        if limit is None:
            limit = self._end()
        else:
            self.meter.look()
        self._drain()
        return {
            "exit_code": None if limit else self.exit_code,
            "limit": limit,
            "peak_bytes": max(self.meter.peak_bytes, self._largest),
        }

    def _bubblewrap(self) -> dict[str, Any]:
        """What the launcher would be asked."""
        asked = {name: self.request[name] for name in ("program", "command", "stage")}
        return asked | {"cpus": self.request["cpu_numbers"], "limits": self.request["resource_limits"]}

    def _start(self) -> None:
        owner = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                launcher_main.become_bubblewrap(self._bubblewrap(), self._theirs, owner, (USER, 1))
            except BaseException as error:  # noqa: BLE001  # the last thing this process does
                os.write(self._theirs["log"], f"{error}\n".encode())
            os._exit(1)
        for descriptor in self._theirs.values():
            os.close(descriptor)
        self._let_go(pid)

    def _let_go(self, pid: int) -> None:
        """Wait until the sandbox stands, put the meter in place, start the commands."""
        with os.fdopen(os.pidfd_open(pid), "rb", buffering=0) as monitor:
            self._poll.register(monitor, select.POLLIN)
            deadline = time.monotonic() + _SETUP_SECONDS
            standing = False
            while self._init is None or not standing:
                ready = self._turn(_SETUP_SECONDS)
                if self._ready in ready:
                    standing = os.read(self._ready, 1) == b"r"
                if monitor.fileno() in ready or time.monotonic() > deadline:
                    said = _read(self._log) or b""
                    raise GuestError(f"The sandbox could not be set up in the guest: {said.decode(errors='replace')}")
            self._poll.unregister(monitor)
        self._init_fd = os.pidfd_open(self._init)
        self._poll.register(self._init_fd, select.POLLIN)
        self.meter = Meter(self._init)
        _write(BEGUN, {"kernel": os.uname().release})
        os.write(self._go, b"\n")

    def _watch(self, begun: float) -> str | None:
        """Wait until the first process of the sandbox has ended; say which limit was passed before, if one was."""
        assert self.meter is not None  # noqa: S101  # it stands
        end, look = begun + self.limits.wall_seconds, begun + _LOOK_SECONDS
        now = begun
        while True:
            ready = self._turn(max(0.0, min(end, look) - now))
            if self._log in ready and self._read_log():
                return "log size"
            if self._ready in ready:
                self._set_clock()
            elif self._clock_ns is not None:
                time.clock_settime_ns(time.CLOCK_REALTIME, self._clock_ns + _idle_ns())
            if self._init_fd in ready:
                return None
            now = time.monotonic()
            if now >= end:
                return "wall time"
            if now >= look:
                limit = self.meter.exceeded(self.limits)
                if limit is not None:
                    return limit
                now = time.monotonic()
                look = now + _LOOK_SECONDS

    def _set_clock(self) -> None:
        """The last command is about to begin: give it the time it is to see."""
        if os.read(self._ready, 1) != b"c":  # the end of the pipe, which has no more to say
            self._poll.unregister(self._ready)
            return
        time.clock_settime_ns(time.CLOCK_REALTIME, self.request["clock_ns"])
        if self.request["clock_stands"]:
            self._clock_ns = self.request["clock_ns"] - _idle_ns()
        os.write(self._go, b"\n")

    def _turn(self, seconds: float) -> set[int]:
        ready = {descriptor for descriptor, _ in self._poll.poll(int(seconds * 1000) + 1)}
        if self._status in ready:
            self._hear()
        return ready

    def _hear(self) -> None:
        """Bubblewrap writes one JSON document a line, each in several pieces."""
        while data := _read(self._status):
            *lines, self._said = (self._said + data).split(b"\n")
            for line in lines:
                said = json.loads(line)
                self._init = said.get("child-pid", self._init)
                self.exit_code = said.get("exit-code", self.exit_code)
        if data == b"" and not self._told:
            self._told = True
            self._poll.unregister(self._status)

    def _read_log(self) -> bool:
        """Take what was written; True when there is more than the limit allows, and no more is kept."""
        data = _read(self._log)
        if data == b"":
            self._poll.unregister(self._log)
        return bool(data) and self._keep(data or b"")

    def _keep(self, data: bytes) -> bool:
        kept = data[: self.limits.log_bytes - self._log_bytes]
        self._log_bytes += os.write(self._log_file, kept)
        return len(kept) < len(data)

    def _end(self) -> str | None:
        """Wait until nothing is left but us; hand the outputs over, or say which limit made the run fail."""
        while True:  # this process is everybody's last parent
            try:
                pid, _, usage = os.wait4(-1, 0)
            except ChildProcessError:
                break
            if pid == self._init:
                self._largest = usage.ru_maxrss * 1024
        self._hear()
        if self.exit_code is None:
            raise GuestError("The sandbox in the guest was ended while a build ran in it.")
        assert self.meter is not None  # noqa: S101  # it stood
        limit = limit_behind(self.meter, self.exit_code, self.limits, list_outputs(self.meter.out))
        if limit is None and self.exit_code and _out_of_memory_kills():
            limit = "memory"
        if limit is None:
            _hand_over(self.meter.out)
        return limit

    def _drain(self) -> None:
        """Take what the log pipe still holds, which is little; a run that is to be ended may write for ever."""
        for _ in range(_PIPE_READS):
            data = _read(self._log)
            if not data or self._keep(data):
                return


def _hand_over(source: int) -> None:
    """Copy what is in the guest's ``/out`` to that of the sandbox around it, entry for entry.

    Only plain files will count there; of anything else it is enough that it is seen to be no plain file.
    """
    for name in os.listdir(source):
        target = f"{OUTPUTS}/{name}"
        facts = os.stat(name, dir_fd=source, follow_symlinks=False)
        if not stat.S_ISREG(facts.st_mode):
            os.mkdir(target)  # noqa: PTH102
            continue
        with open(os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=source), "rb") as file, open(target, "xb") as copy:  # noqa: PTH123
            while chunk := file.read(1 << 20):
                copy.write(chunk)
        os.chmod(target, stat.S_IMODE(facts.st_mode) & 0o777)  # noqa: PTH101


def _memory_file(name: str, content: bytes) -> int:
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _read(descriptor: int) -> bytes | None:
    """What a pipe holds; empty at its end, None when there is nothing yet."""
    try:
        return os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return None


def _idle_ns() -> int:
    """How long this kernel had nothing to run (/proc/stat, in hundredths of a second)."""
    with open("/proc/stat", encoding="ascii") as file:  # noqa: PTH123
        return int(file.readline().split()[4]) * 10_000_000


def _out_of_memory_kills() -> int:
    """Processes this kernel has killed because it had no memory left (/proc/vmstat)."""
    with open("/proc/vmstat", encoding="ascii") as file:  # noqa: PTH123
        return next((int(line.split()[1]) for line in file if line.startswith("oom_kill ")), 0)


def _write(name: str, document: dict[str, Any]) -> None:
    """Write a file in :data:`PLACE`, whole or not at all."""
    place = f"{PLACE}/{name}"
    with open(f"{place}.new", "w", encoding="ascii") as file:  # noqa: PTH123
        json.dump(document, file)
    os.rename(f"{place}.new", place)  # noqa: PTH104


def _set(place: str, value: str) -> None:
    with open(place, "w", encoding="ascii") as file:  # noqa: PTH123
        file.write(value)


def main() -> None:
    """Do what was asked, and halt."""
    try:
        launcher_main.forget_signals()
        launcher_main.mount("proc", "/proc", "proc", 0)
        _set("/proc/self/oom_score_adj", "-1000")
        _set("/proc/sys/vm/overcommit_memory", "1")  # memory counts when it is used, so that the limit ends a run
        with open(f"{PLACE}/{REQUEST}", encoding="ascii") as file:  # noqa: PTH123
            request = json.load(file)
        _write(RESULT, Guest(request).run())
    except BaseException as error:  # noqa: BLE001  # whatever it is, it is not the build's fault
        _write(RESULT, {"problem": f"{type(error).__name__}: {error}"[:2000]})
    finally:
        launcher_main.call("reboot", ctypes.c_int(_POWER_OFF))


if __name__ == "__main__":
    main()
