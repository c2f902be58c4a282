"""A service that plans and nothing else, with its clock in hand: what it looks at is put down."""

from __future__ import annotations

import queue
from datetime import timedelta
from pathlib import Path
from typing import cast

from rebuilder.errors import UnavailableError
from rebuilder.model.definition import Limits
from rebuilder.model.operations import WatchState
from rebuilder.service.discovery import Discovery
from rebuilder.service.scheduler import Scheduler
from rebuilder.service.schedules.watch import Watch
from rebuilder.store.ledger import Ledger
from tests.fakes.clock import FixedClock
from tests.fakes.job_timer import LONG, look, settle


class Looks:
    """Stands for discovery: every look is kept in the ledger, as a real one is."""

    def __init__(self, ledger: Ledger, clock: FixedClock) -> None:
        self.ledger, self.clock = ledger, clock
        self.seen: queue.Queue[str] = queue.Queue()
        self.silent = False

    def look(self, watch: Watch) -> WatchState:
        """Look at nothing."""
        if self.silent:
            self.seen.put(watch.name)
            raise UnavailableError("The index does not answer.")
        state = WatchState(name=watch.name, checked=self.clock.now(), projects=1, queued=0, failed=0)
        self.ledger.watches.looked(state, {})
        self.seen.put(watch.name)
        return state

    def away(self, _: str) -> bool:
        """The registry answers."""
        return False


class Planner:
    """One of several services on one ledger."""

    def __init__(self, directory: Path, ledger: Ledger, clock: FixedClock, owner: str) -> None:
        self.looks, self.clock = Looks(ledger, clock), clock
        self.planning = Scheduler(
            directory, cast("Discovery", self.looks), ledger, clock, Limits(), owner=owner, chance=lambda: 0.5
        )
        self.planning.follow()
        self.planning.start()

    def passes(self, by: timedelta) -> None:
        """Let time pass for everybody; what is due begins."""
        self.clock.time += by
        self.step()

    def rest(self) -> None:
        """Begin nothing until the next step, however the clock is moved: the library may take a look at any time."""
        self.planning._timer._scheduler.pause()

    def step(self) -> None:
        """What the loops of a service do every few seconds."""
        self.planning._timer._scheduler.resume()
        self.planning.follow()
        self.look()

    def look(self) -> None:
        """Begin what is due."""
        look(self.planning._timer, self.clock)

    def looked(self, *names: str) -> None:
        """These looked since the last time, in any order."""
        assert sorted(names) == sorted(self.looks.seen.get(timeout=LONG) for _ in names)
        self.settled()
        assert self.looks.seen.empty()

    def settled(self) -> None:
        """Wait until everything that was begun has ended."""
        settle(self.planning._timer)
