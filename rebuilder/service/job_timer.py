"""Runs watches and rechecks when their time has come, on APScheduler with its jobs in memory.

APScheduler waits for the next job by a clock that does not notice when the wall clock is set or the machine sleeps,
and a wall clock that was set back silences every job for as long. So :meth:`JobTimer.look` is called every few
seconds: it moves plans along with a clock that was set back, and wakes the scheduler. A run that is due while the one
before is still going is dropped by APScheduler; here it is put off.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from apscheduler.events import EVENT_JOB_MAX_INSTANCES, JobSubmissionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler

from rebuilder.clock import Clock
from rebuilder.service.schedules.timing import Trigger
from rebuilder.service.schedules.watch import Recheck, Schedule, Watch

_LOG = logging.getLogger("rebuilder.service.job_timer")
_PUT_OFF = timedelta(seconds=30)
"""A run that is due while the one before is still going is tried again after so long."""
_THREADS = 2
_TOLERANCE = timedelta(seconds=1)
"""Clocks drift; a smaller difference is no jump."""


class JobTimer:
    """Keeps jobs that follow the schedule; each runs at once when it is new or was changed, then by its timing.

    Args:
        clock: The wall clock.
        run: What a job does; called in a thread of a small pool, never twice at once for one name.
        monotonic: Seconds by a clock that nobody sets, to notice when the wall clock was.
    """

    def __init__(
        self,
        clock: Clock,
        run: Callable[[Watch | Recheck], None],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock, self._run = clock, run
        self._items: dict[str, Watch | Recheck] = {}
        self._changing = threading.Lock()
        self._stopping = threading.Event()
        self._monotonic = monotonic
        self._seen = (clock.now(), monotonic())
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(_THREADS)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._scheduler.add_listener(self._put_off, EVENT_JOB_MAX_INSTANCES)

    def start(self) -> None:
        """Begin to run jobs; once."""
        self._scheduler.start()

    def stop(self, *, wait: bool = True) -> None:
        """Begin no more runs, for good.

        Args:
            wait: Until those that are running have ended.
        """
        self._stopping.set()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=wait)

    def apply(self, schedule: Schedule, first: Mapping[str, datetime] | None = None) -> None:
        """Follow another schedule; what is the same in it keeps its next time.

        Args:
            schedule: What is to be run.
            first: When what is new in it runs first, by name; what is not in it runs at once.
        """
        with self._changing:
            wanted = {item.name: item for item in schedule.items}
            for name in [name for name, item in self._items.items() if wanted.get(name) != item]:
                self._scheduler.remove_job(name)
                del self._items[name]
            for name, item in wanted.items():
                if name not in self._items:
                    now = self._clock.now()
                    moment = (first or {}).get(name, now)
                    self._scheduler.add_job(
                        self._job, Trigger(item.timing, now), args=(item,), id=name, name=name, next_run_time=moment
                    )
                    self._items[name] = item

    def look(self) -> None:
        """Notice a clock that was set, and have what is due started; to be called every few seconds."""
        with self._changing:
            self._follow_clock()
        if self._scheduler.running:
            self._scheduler.wakeup()

    def sooner(self, name: str, moment: datetime) -> None:
        """Run a job at ``moment`` (UTC), unless its next time comes before that; from then on by its timing.

        A job that is not there any more is not run.
        """
        with self._changing:
            job = self._scheduler.get_job(name)
            if job is not None and job.next_run_time > moment:
                with contextlib.suppress(JobLookupError):  # another thread has begun to stop
                    job.modify(next_run_time=moment)

    def planned(self) -> dict[str, datetime]:
        """When each job runs next, in UTC."""
        return {job.id: job.next_run_time.astimezone(UTC) for job in self._scheduler.get_jobs()}

    def _job(self, item: Watch | Recheck) -> None:
        if self._stopping.is_set():
            return
        try:
            self._run(item)
        except Exception:  # noqa: BLE001 - other jobs, and the next run of this one, are not to suffer
            _LOG.exception("The watch %r failed; it runs again at its next time.", item.name)

    def _put_off(self, event: JobSubmissionEvent) -> None:
        _LOG.info("The watch %r is still at its last run; the next one is put off.", event.job_id)
        self.sooner(event.job_id, self._clock.now() + _PUT_OFF)

    def _follow_clock(self) -> None:
        wall, steady = self._seen
        now, _ = self._seen = (self._clock.now(), self._monotonic())
        back = timedelta(seconds=self._seen[1] - steady) - (now - wall)
        if back > _TOLERANCE:
            _LOG.warning("The clock was set back by %s; what is planned is moved along.", back)
            for job in self._scheduler.get_jobs():
                trigger, following = job.trigger.set_back(job.next_run_time, now, back)
                with contextlib.suppress(JobLookupError):
                    job.modify(trigger=trigger, next_run_time=following)
