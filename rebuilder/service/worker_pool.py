"""The worker processes of a service: started where no key can be read, watched, replaced, stopped."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rebuilder.clock import Clock
from rebuilder.config import Config
from rebuilder.model.settings import AlarmSettings
from rebuilder.store.ledger import Ledger

_HEALTHY_SECONDS = 30.0
"""A worker that lived so long did not fail at its start."""
_LONGEST_WAIT = 60.0

log = logging.getLogger("rebuilder.workers")


@dataclass
class _Slot:
    """One worker, or the wait for the next."""

    process: subprocess.Popen[bytes] | None = None
    since: float = 0.0
    wait: float = 0.0
    ready_at: float = 0.0


@dataclass
class WorkerPool:
    """As many worker processes as there are slots.

    Each runs in a mount namespace of its own in which the directory of the keys is empty, so that nothing a worker
    does can reach one, unless it is root: that one looks into other processes' namespaces. Its standard input stays
    open as long as the service lives: when that ends, however it ends, the worker stops.

    Args:
        config: Settings of the service.
        size: Number of workers.
        ledger: Where the leases of dead workers are given back.
        clock: The time.
        json_logs: How the workers write their logs.
        monotonic: Seconds that only ever grow.
    """

    config: Config
    size: int
    ledger: Ledger
    clock: Clock
    json_logs: bool = False
    monotonic: Callable[[], float] = time.monotonic
    _slots: list[_Slot] = field(default_factory=list)

    def start(self) -> None:
        """Give back what workers held that are no more, and start new ones."""
        if os.getuid() == 0:
            log.warning("Root can undo what hides the key from workers: run the service as an ordinary user.")
        self._slots = [_Slot() for _ in range(self.size)]
        self.look_after()

    @property
    def alive(self) -> int:
        """How many work now."""
        return sum(1 for each in self._slots if each.process is not None and each.process.poll() is None)

    def look_after(self) -> None:
        """Replace workers that have ended, and give back what they held.

        One that ends at its start again and again is waited for longer.
        """
        now = self.monotonic()
        for slot in self._slots:
            if slot.process is not None and (code := slot.process.poll()) is not None:
                self._ended(slot, code, now)
            if slot.process is None and now >= slot.ready_at:
                slot.process, slot.since = self._started(), now
        self.release_dead()  # each time: it may take a moment until a dead process lets go of its name

    def release_dead(self) -> None:
        """Give back what dead workers held, of any machine."""
        self.ledger.queue.release_dead(self.clock.now())

    def stop(self, seconds: float) -> None:
        """Ask all workers to finish or give back, wait, and end those that have not ended after so long."""
        for slot in self._slots:
            _hang_up(slot.process)
        deadline = self.monotonic() + seconds
        for slot in self._slots:
            if slot.process is None:
                continue
            try:
                slot.process.wait(timeout=max(0.1, deadline - self.monotonic()))
            except subprocess.TimeoutExpired:
                slot.process.kill()
                slot.process.wait()
        self._slots = []
        self.release_dead()

    def _ended(self, slot: _Slot, code: int, now: float) -> None:
        lived = now - slot.since
        slot.wait = 0.0 if lived >= _HEALTHY_SECONDS else min(_LONGEST_WAIT, slot.wait * 2 or 1.0)
        if code != 0:
            log.warning(
                "A worker ended with code %d after %.0f s; the next one is started in %.0f s.", code, lived, slot.wait
            )
        _hang_up(slot.process)
        slot.process, slot.ready_at = None, now + (slot.wait if code != 0 else 0.0)

    def _started(self) -> subprocess.Popen[bytes]:
        environment = os.environ | {"REBUILDER_LOG": "json" if self.json_logs else "text"}
        program = (sys.executable, "-m", "rebuilder.service.worker_process")
        # In a session of its own: an interrupt from a terminal is meant for the service.
        process = subprocess.Popen(
            (*self._without_keys(), *program), stdin=subprocess.PIPE, env=environment, start_new_session=True
        )
        # Whom alarms are told to is none of a worker's business: such addresses may hold passwords.
        settings = self.config.replace(alarms=AlarmSettings())
        assert process.stdin is not None  # noqa: S101 - asked for above
        with contextlib.suppress(OSError):  # it ended already; seen at the next look
            process.stdin.write(settings.model_dump_json().encode() + b"\n")
            process.stdin.flush()
        return process

    def _without_keys(self) -> tuple[str, ...]:
        keys = self.config.keys
        keys.mkdir(parents=True, exist_ok=True, mode=0o700)
        return ("bwrap", "--dev-bind", "/", "/", "--tmpfs", str(keys.resolve()), "--die-with-parent", "--")


def _hang_up(process: subprocess.Popen[bytes] | None) -> None:
    """The end of its standard input says stop."""
    if process is not None and process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
