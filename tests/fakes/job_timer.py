"""A job timer on the real APScheduler, whose idea of the time a test has in hand."""

from __future__ import annotations

import threading
import time
from datetime import datetime, tzinfo
from typing import Self

import pytest

from rebuilder.service.scheduler import JobTimer
from rebuilder.service.schedules.timing import Trigger
from rebuilder.service.schedules.watch import Timing
from tests.fakes.clock import FixedClock

LONG = 20
"""Seconds to wait for a thread before a test has failed."""


def follow_clock(monkeypatch: pytest.MonkeyPatch, clock: FixedClock) -> None:
    """From now on the library takes a clock of the test's for the time."""

    class MovedTime(datetime):
        """What the library takes for the time."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            """What the clock says."""
            return cls.fromtimestamp(clock.time.timestamp(), tz)

    monkeypatch.setattr("apscheduler.schedulers.base.datetime", MovedTime)


def look(timer: JobTimer, clock: FixedClock) -> None:
    """Take a look, and wait until all that was due has begun: a job that is due after the others has run."""
    timer.look()
    looked = threading.Event()
    trigger = Trigger(Timing(every=86400), clock.time)
    job = timer._scheduler.add_job(looked.set, trigger, next_run_time=clock.time)
    assert looked.wait(LONG)
    job.remove()


def settle(timer: JobTimer) -> None:
    """Wait until everything that was begun has ended, and the library knows it."""
    pool, end = timer._scheduler._executors["default"], time.monotonic() + LONG
    while any(pool._instances.values()):
        assert time.monotonic() < end, "a run does not end"
        threading.Event().wait(0.001)
