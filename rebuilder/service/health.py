"""Whether the service lives, and whether it can do its work: what a supervisor and a load balancer ask."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rebuilder.errors import RebuilderError
from rebuilder.sandbox.bubblewrap.host_support import bubblewrap
from rebuilder.store.ledger import Ledger

_PATIENCE = 60.0
"""Seconds without a sign of life after which a loop counts as stuck; each gives one every few seconds."""


class Pulse:
    """Signs of life of the loops of one process, by name.

    Args:
        seconds: A clock that nobody sets.
    """

    def __init__(self, *, seconds: Callable[[], float] = time.monotonic) -> None:
        self._now = seconds
        self._last: dict[str, float] = {}

    def beat(self, loop: str) -> None:
        """A loop, such as ``scheduler``, is alive."""
        self._last[loop] = self._now()

    def problem(self, loop: str) -> str | None:
        """What is wrong with a loop; None when nothing is."""
        last = self._last.get(loop)
        if last is None:
            return f"The {loop} has not started."
        silent = self._now() - last
        return f"The {loop} has given no sign of life for {silent:.0f} seconds." if silent > _PATIENCE else None


def _sandbox() -> None:
    bubblewrap()


@dataclass(frozen=True)
class Health:
    """Looks at everything the service needs for its work; costs a few milliseconds."""

    ledger: Ledger
    store: Path
    reserve_bytes: int
    """Free space that is wanted on the disk of the store before work is begun."""
    workers: Callable[[], int]
    """How many are alive."""
    pulse: Pulse
    making: Callable[[], str | None] = lambda: None
    """What is made before the first worker starts, in a sentence; None once that is done."""
    loops: tuple[str, ...] = ("scheduler",)
    """Those that must give signs of life."""
    sandbox: Callable[[], object] = _sandbox
    """Raises :class:`SandboxUnavailableError` when builds cannot be isolated."""
    free: Callable[[Path], int] = lambda place: shutil.disk_usage(place).free
    writable: Callable[[Path], bool] = lambda place: os.access(place, os.W_OK | os.X_OK)

    def live(self) -> list[str]:
        """What makes this process useless until it is started again; empty: nothing.

        Nothing outside the process counts: starting it again would not mend a database.
        """
        return list(self._loops())

    def ready(self) -> list[str]:
        """What keeps the service from doing its work now, each in a sentence; empty: nothing."""
        looks = (self._ledger, self._store, self._isolation, self._workers, self._loops)
        return [sentence for look in looks for sentence in look()]

    def ready_in_public(self) -> list[str]:
        """The same for strangers: nothing of where things are and what they are called."""
        looks = (
            (self._ledger, "The ledger cannot be used."),
            (self._store, "The store cannot be used, or has too little room."),
            (self._isolation, "Builds cannot be isolated."),
            (self._workers, None),
            (self._loops, None),
        )
        return [public or sentence for look, public in looks for sentence in look()]

    def _ledger(self) -> Iterator[str]:
        try:
            self.ledger.statistics.answers()
        except RebuilderError as error:
            yield str(error)

    def _store(self) -> Iterator[str]:
        try:
            free = self.free(self.store)
        except OSError as error:
            yield f"The store {self.store} cannot be used: {error.strerror}."
            return
        if not self.writable(self.store):
            yield f"The store {self.store} cannot be written."
        elif free < self.reserve_bytes:
            yield f"The disk of the store has {free:,} bytes free; {self.reserve_bytes:,} are wanted."

    def _isolation(self) -> Iterator[str]:
        try:
            self.sandbox()
        except RebuilderError as error:
            yield str(error)

    def _workers(self) -> Iterator[str]:
        if (making := self.making()) is not None:
            yield making
        elif self.workers() < 1:
            yield "No worker is alive."

    def _loops(self) -> Iterator[str]:
        for loop in self.loops:
            if (problem := self.pulse.problem(loop)) is not None:
                yield problem
