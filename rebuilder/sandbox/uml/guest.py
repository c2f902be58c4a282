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
import stat
import time
from contextlib import ExitStack
from io import FileIO
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from rebuilder.sandbox.bubblewrap import launcher_main
from rebuilder.sandbox.leftovers import limit_behind, list_outputs
from rebuilder.sandbox.supervision import Supervision, memory_file
from rebuilder.shortage import out_of_memory_kills

if TYPE_CHECKING:
    from rebuilder.model.definition import Limits

PLACE, OUTPUTS = "/build", "/out"
"""Directories of the sandbox around the guest."""

REQUEST, BEGUN, LOG, RESULT = "request.json", "begun.json", "log", "result.json"
"""Files in :data:`PLACE`: what is to be done; written when the commands begin; their output; how they ended."""

USER = 1000
"""Who runs bubblewrap in the guest."""

_LOOK_SECONDS = 0.05
_PIPE_READS = 16
_POWER_OFF = 0x4321FEDC  # reboot(2)


class GuestError(Exception):
    """The guest could not do what it was asked; never the fault of what is built."""


class Guest(Supervision):
    """One run in this guest, whose clock is the run's own."""

    def __init__(self, request: dict[str, Any]) -> None:
        limits: Limits = SimpleNamespace(**request["limits"])  # type: ignore[assignment]  # the same names
        super().__init__(limits, FileIO(f"{PLACE}/{LOG}", "w"), _LOOK_SECONDS)
        self.request = request
        self._clock_ns: int | None = None
        self._largest = 0

    def run(self) -> dict[str, Any]:
        """Start it, wait for its end; give what is to be known about it.

        When a limit was passed, nothing is ended here: the guest halts, and that is the end of everything in it.
        (A kernel of this kind may crash when it has to end many processes that are just starting others.)
        """
        self._start()
        limit = self.watch()
        if limit is None:
            limit = self._end()
        else:
            self.meter.look()
        self.drain(_PIPE_READS)  # which is little, and a run that is to be ended may write for ever
        return {
            "exit_code": None if limit else self.exit_code,
            "limit": limit,
            "peak_bytes": max(self.meter.peak_bytes, self._largest),
        }

    def _start(self) -> None:
        """Become the parent of bubblewrap, as the launcher is elsewhere, and let the commands begin."""
        asked = {name: self.request[name] for name in ("program", "command", "stage")}
        asked |= {"cpus": self.request["cpu_numbers"], "limits": self.request["resource_limits"]}
        owner = os.getpid()
        with ExitStack() as stack:
            files = {
                name: stack.enter_context(memory_file(name, base64.b64decode(self.request[name]))).fileno()
                for name in ("script", "arguments", "filter", "cpus")
            } | self.theirs()
            pid = os.fork()
            if pid == 0:
                try:
                    launcher_main.become_bubblewrap(asked, files, owner, (USER, 1))
                except BaseException as error:  # noqa: BLE001  # the last thing this process does
                    os.write(files["log"], f"{error}\n".encode())
                os._exit(1)
        self.started()
        with FileIO(os.pidfd_open(pid), "r") as monitor:
            try:
                standing = self.stand(monitor)
            except TimeoutError:
                standing = False
        if not standing:
            self.drain(_PIPE_READS)
            with open(f"{PLACE}/{LOG}", encoding="utf-8", errors="replace") as said:  # noqa: PTH123
                raise GuestError(f"The sandbox could not be set up in the guest: {said.read(1 << 16)}")
        _write(BEGUN, {"kernel": os.uname().release})
        self.let_go()

    def before_last_command(self) -> None:
        """Give the last command the time it is to see, and let it go."""
        time.clock_settime_ns(time.CLOCK_REALTIME, self.request["clock_ns"])
        if self.request["clock_stands"]:
            self._clock_ns = self.request["clock_ns"] - _idle_ns()
        self.let_go()

    def _turn(self, seconds: float) -> set[int]:
        """Set a clock that stands back by the time in which work was done."""
        ready = super()._turn(seconds)
        if self._clock_ns is not None:
            time.clock_settime_ns(time.CLOCK_REALTIME, self._clock_ns + _idle_ns())
        return ready

    def _end(self) -> str | None:
        """Wait until nothing is left but us; hand the outputs over, or say which limit made the run fail."""
        while True:  # this process is everybody's last parent
            try:
                pid, _, usage = os.wait4(-1, 0)
            except ChildProcessError:
                break
            if pid == self.init:
                self._largest = usage.ru_maxrss * 1024
        self.hear()
        if self.exit_code is None:
            raise GuestError("The sandbox in the guest was ended while a build ran in it.")
        limit = limit_behind(self.meter, self.exit_code, self.limits, list_outputs(self.meter.out))
        if limit is None and self.exit_code and out_of_memory_kills():
            limit = "memory"
        if limit is None:
            _hand_over(self.meter.out)
        return limit


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


def _idle_ns() -> int:
    """How long this kernel had nothing to run (/proc/stat, in hundredths of a second)."""
    with open("/proc/stat", encoding="ascii") as file:  # noqa: PTH123
        return int(file.readline().split()[4]) * 10_000_000


def _write(name: str, document: dict[str, Any]) -> None:
    """Write a file in :data:`PLACE`, whole or not at all."""
    place = f"{PLACE}/{name}"
    with open(f"{place}.new", "w", encoding="ascii") as file:  # noqa: PTH123
        json.dump(document, file)
    os.rename(f"{place}.new", place)  # noqa: PTH104


def _set(place: str, value: str) -> None:
    with open(place, "w", encoding="ascii") as file:  # noqa: PTH123
        file.write(value)


def _halt() -> None:
    launcher_main.call("reboot", ctypes.c_int(_POWER_OFF))


def main() -> None:
    """Do what was asked, and halt."""
    try:
        launcher_main.forget_signals()
        launcher_main.mount("proc", "/proc", "proc", 0)
        _set("/proc/self/oom_score_adj", "-1000")
        _set("/proc/sys/vm/overcommit_memory", "1")  # memory counts when it is used, so that the limit ends a run
        with open(f"{PLACE}/{REQUEST}", encoding="ascii") as file:  # noqa: PTH123
            request = json.load(file)
        with Guest(request) as guest:
            _write(RESULT, guest.run())
            _halt()  # before its pipes are closed, which what still runs would be ended by
    except BaseException as error:  # noqa: BLE001  # whatever it is, it is not the build's fault
        _write(RESULT, {"problem": f"{type(error).__name__}: {error}"[:2000]})
    finally:
        _halt()


if __name__ == "__main__":
    main()
