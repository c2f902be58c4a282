"""Things that are done again and again, each in a thread of its own, none of which can stop another."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from rebuilder.errors import RebuilderError

_LONGEST_WAIT = 30.0

log = logging.getLogger("rebuilder.service")


@dataclass(frozen=True)
class Loop:
    """One of these things."""

    name: str
    every: float
    """Seconds from the end of one round to the beginning of the next."""
    step: Callable[[], object]


class BackgroundLoops:
    """Runs loops until they are stopped; what fails is told, and tried again later and later."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, loop: Loop) -> None:
        """Begin with its first round at once."""
        thread = threading.Thread(target=self._run, args=(loop,), name=loop.name, daemon=True)
        self._threads.append(thread)
        thread.start()

    @property
    def stopping(self) -> bool:
        """Whether the rounds that run should come to their end."""
        return self._stopping.is_set()

    def stop(self, seconds: float) -> None:
        """Begin no further rounds and wait for those that run, so long altogether at most."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=seconds / max(1, len(self._threads)))

    def _run(self, loop: Loop) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                loop.step()
                failures = 0
            except RebuilderError as error:
                failures += 1
                log.warning("%s: %s", loop.name, error)
            except Exception:
                failures += 1
                log.exception("%s: a defect of the rebuilder", loop.name)
            self._stopping.wait(loop.every if not failures else min(_LONGEST_WAIT, loop.every * 2**failures))
