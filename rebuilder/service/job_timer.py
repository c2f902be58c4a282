"""Runs watches and rechecks when their time has come, on APScheduler with its jobs in memory.

What APScheduler 3.11 does that a service for years cannot have, and what is done here instead: it waits until the next
job by a clock that does not notice when the wall clock is set or the machine sleeps, so it looks every half minute; a
clock that was set back silences every job for as long, so plans are moved along; a run that is due while the one before
is still going is dropped, so it is put off.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from apscheduler.executors.base import MaxInstancesReachedError
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.job import Job
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler

from rebuilder.clock import Clock
from rebuilder.service.schedules.timing import Trigger
from rebuilder.service.schedules.watch import Recheck, Schedule, Watch

_LOG = logging.getLogger("rebuilder.service.job_timer")
_LOOK = timedelta(seconds=30)
"""No wait is longer: so soon a clock that was set is noticed."""
_TOLERANCE = timedelta(seconds=1)
"""Clocks drift; a smaller difference is no jump."""


class JobTimer:
    """Keeps jobs that follow the schedule; each runs at once when it is new or was changed, then by its timing.

    Args:
        clock: The wall clock.
        run: What a job does; called in a thread of a small pool, never twice at once for one name.
        threads: Size of the pool.
        monotonic: Seconds by a clock that nobody sets, to notice when the wall clock was.
    """

    def __init__(
        self,
        clock: Clock,
        run: Callable[[Watch | Recheck], None],
        *,
        threads: int = 2,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock, self._run = clock, run
        self._items: dict[str, Watch | Recheck] = {}
        self._changing = threading.Lock()
        self._stopping = threading.Event()
        self._scheduler = _Scheduler(clock, monotonic, threads)

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
        """Start what is due, now; it is done every half minute anyway."""
        self._scheduler.look()

    def sooner(self, name: str, moment: datetime) -> None:
        """Run a job at ``moment`` (UTC), unless its next time comes before that; from then on by its timing.

        A job that is not there any more is not run.
        """
        with self._changing:
            job = self._scheduler.get_job(name)
            if job is not None and (job.next_run_time is None or job.next_run_time > moment):
                self._scheduler.modify_job(name, next_run_time=moment)

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


class _Scheduler(BackgroundScheduler):  # type: ignore[misc] # the library has no types
    """APScheduler with a clock that can be given, and that is not trusted."""

    def __init__(self, clock: Clock, monotonic: Callable[[], float], threads: int) -> None:
        self._clock, self._monotonic = clock, monotonic
        self._pool = ThreadPoolExecutor(threads)
        self._store = MemoryJobStore()
        self._seen = (clock.now(), monotonic())
        super().__init__(
            timezone=UTC,
            executors={"default": self._pool},
            jobstores={"default": self._store},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )

    def look(self) -> None:
        """One round of the main loop, in this thread."""
        self._process_jobs()

    def _process_jobs(self) -> float:
        """Start due jobs; called by the main loop of the library, which waits for as many seconds as this gives."""
        try:
            with self._jobstores_lock:
                return self._round()
        except Exception:  # noqa: BLE001 - the thread would end without a word, and nothing would be watched any more
            _LOG.exception("The timetable failed; it goes on in half a minute.")
            return _LOOK.total_seconds()

    def _round(self) -> float:
        now = self._clock.now()
        if not self.running:  # the pool takes no more
            return 0.0
        self._follow_clock(now)
        for job in self._store.get_due_jobs(now):
            self._submit(job, now)
        following = self._store.get_next_run_time()
        wait = _LOOK if following is None else min(following - now, _LOOK)
        return max(wait.total_seconds(), 0.0)

    def _submit(self, job: Job, now: datetime) -> None:
        try:
            self._pool.submit_job(job, [job.next_run_time])
        except MaxInstancesReachedError:
            _LOG.info("The watch %r is still at its last run; the next one is put off.", job.id)
            following = now + _LOOK
        else:
            following = job.trigger.get_next_fire_time(job.next_run_time, now)
        self._plan(job, following)

    def _follow_clock(self, now: datetime) -> None:
        wall, steady = self._seen
        self._seen = (now, self._monotonic())
        back = timedelta(seconds=self._seen[1] - steady) - (now - wall)
        if back > _TOLERANCE:
            _LOG.warning("The clock was set back by %s; what is planned is moved along.", back)
            for job in self._store.get_all_jobs():
                trigger, following = job.trigger.set_back(job.next_run_time, now, back)
                self._plan(job, following, trigger=trigger)

    def _plan(self, job: Job, following: datetime, **changes: Trigger) -> None:
        # Not by modify_job: it finds no job any more once another thread has begun to stop.
        job._modify(next_run_time=following, **changes)  # noqa: SLF001
        self._store.update_job(job)
