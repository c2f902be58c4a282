"""What is to be looked at, and when: the schedule files, the job timer, and the looks themselves.

Of several services on one ledger one plans. Who leads looks at every watch once, at its start or when it takes over,
and then by the timing of each: when a watch looked last is in the ledger, so that no restart makes it wait again.

APScheduler waits for the next job by a clock that does not notice when the wall clock is set or the machine sleeps,
and a wall clock that was set back silences every job for as long. So :meth:`JobTimer.look` is called every few
seconds: it moves plans along with a clock that was set back, and wakes the scheduler. A run that is due while the one
before is still going is dropped by APScheduler; here it is put off.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from apscheduler.events import EVENT_JOB_MAX_INSTANCES, JobSubmissionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler

from rebuilder.alarms.rules import Judgement, conditions, settle
from rebuilder.clock import Clock
from rebuilder.errors import RebuilderError
from rebuilder.model.alarm import AlarmKind, RecordedAlarm
from rebuilder.model.definition import Limits
from rebuilder.model.operations import WatchState
from rebuilder.service.discovery import Discovery, plan, project
from rebuilder.service.schedules.folder import Folder, FolderReading
from rebuilder.service.schedules.timing import Trigger, upcoming
from rebuilder.service.schedules.watch import Recheck, Schedule, Timing, Watch
from rebuilder.store.ledger import Ledger
from rebuilder.store.ledger.liveness import this_process

_LOG = logging.getLogger("rebuilder.service.scheduler")
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


_ROLE = "schedules"
_FIRST_WAIT = timedelta(minutes=2)
_LONGEST_WAIT = timedelta(hours=1)
_SLACK = timedelta(minutes=15)
"""So much, and a tenth of its interval, a watch may be late before somebody is told."""

log = logging.getLogger("rebuilder.schedules")


class Scheduler:
    """Follows the schedule files and fills the queue.

    Args:
        directory: Of the schedule files.
        discovery: Looks at what watches name.
        ledger: Where the queue is, and when each watch looked.
        clock: The time.
        limits: What a watch's own limits are laid over.
        replays: So many published reports are run again each night, while something is watched.
        owner: Who asks to lead; this process unless said otherwise.
        chance: Gives numbers from 0 up to 1, for the jitter of first looks.
    """

    def __init__(
        self,
        directory: Path,
        discovery: Discovery,
        ledger: Ledger,
        clock: Clock,
        limits: Limits,
        *,
        replays: int = 0,
        owner: str | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._discovery = discovery
        self._replays = replays
        self._ledger = ledger
        self._clock = clock
        self._folder = Folder(directory, clock, limits=limits)
        self._timer = JobTimer(clock, self._look)
        self._directory = directory
        self._owner = owner or this_process()
        self._chance = chance
        self._schedule = Schedule()
        self._unsettled: FolderReading | None = None
        """A reading that is not taken in yet: the ledger was away."""
        self._leadership = threading.Lock()
        self._leading = self._stopped = self._begun = False
        self._failures: dict[str, int] = {}
        """Looks in a row that came to nothing, by watch."""
        self._since: dict[str, datetime] = {}
        """When this process took each watch in."""
        self._running: dict[str, datetime] = {}
        """When the look of a watch began that has not ended."""
        self._planned: dict[str, datetime] | None = None
        """When each watch looks next, as the ledger knows it; None: it is to be told."""

    def start(self) -> None:
        """Begin to look, first at everything that is scheduled."""
        self._timer.start()

    def stop(self) -> None:
        """Begin no more looks, and let another service look at once."""
        self._timer.stop(wait=False)
        with self._leadership:
            self._stopped, self._leading = True, False
            try:
                self._ledger.resign(_ROLE, self._owner)
            except RebuilderError as error:
                log.warning("Another service can look after a minute only: %s", error)

    def follow(self) -> None:
        """Lead if nobody else does, and take over what was changed in the files.

        Mistakes in them are alarms until they are mended.

        Raises:
            StoreError: the ledger cannot be used; what was not done is done the next time.
        """
        self._timer.look()
        leads = self._leads()
        if leads and not self._leading:
            self._take_over()
        self._leading = leads
        reading = self._folder.read()
        if reading.changed:
            self._unsettled = reading
            for remark in (*reading.problems, *reading.notes):
                log.warning("%s", remark.label)
        if self._unsettled is not None:
            self._take_in(self._unsettled)
            self._unsettled = None
        planned = self._timer.planned()
        if leads and planned != self._planned:
            self._ledger.watches.plan(planned)
            self._planned = planned

    def judge(self, now: datetime) -> Judgement:
        """Which watches should have looked by now and have not: alarms, which end when they look.

        Raises:
            StoreError: the ledger cannot be used.
        """
        looked, late = self._looked(), {}
        for item in self._schedule.items:
            # A first look at many projects takes a while.
            last = self._running.get(item.name) or looked.get(item.name)
            known = last is not None and last <= now
            since = last if last is not None and known else min(self._since.get(item.name, now), now)
            # What never looked should do so at once; unless it is another service that should.
            due = since if self._leading and not known else _after(item.timing, since)
            slack = _SLACK + timedelta(seconds=item.timing.jitter) + (due - since) / 10
            if now > due + slack:
                so_far = f"it was last at {since:%Y-%m-%d %H:%M} UTC" if known else "it never was"
                late[item.name] = f"{item.name} should have been checked by {due:%Y-%m-%d %H:%M} UTC; {so_far}."
        names = {item.name for item in self._schedule.items}
        lasting = self._ledger.alarm_book.lasting(AlarmKind.WATCH_OVERDUE)
        return conditions(AlarmKind.WATCH_OVERDUE, late, [each for each in lasting if _named(each) in names], now)

    def _take_in(self, reading: FolderReading) -> None:
        """Follow what was read; what is new in it looks at once, or when the ledger says so if this is the start."""
        before, self._schedule = self._schedule, reading.schedule.with_replays(self._replays)
        items = self._schedule.items
        first = self._first(items) if not self._begun else {}
        self._timer.apply(self._schedule, first)
        now = self._clock.now()
        same = {item.name for item in before.items}
        self._since = {item.name: self._since[item.name] if item.name in same else now for item in items}
        log.info(
            "Read %s: watches: %d, rechecks: %d.",
            self._directory,
            len(reading.schedule.watches),
            len(reading.schedule.rechecks),
        )
        book = self._ledger.alarm_book
        wrong = {str(each.file): each.label for each in reversed(reading.problems)}
        for file, told in wrong.items():
            more = sum(each.file == file and each.line is not None for each in reading.problems) - 1
            wrong[file] = f"{told} And {more:,} more; `rebuilder schedules` lists them." if more > 0 else told
        settle(book, conditions(AlarmKind.SCHEDULE_BROKEN, wrong, book.lasting(AlarmKind.SCHEDULE_BROKEN), now), now)
        self._forget_what_is_not_watched(now)
        self._begun = True

    def _forget_what_is_not_watched(self, now: datetime) -> None:
        """An alarm about a watch or a project that is in no schedule any more has passed."""
        book, names = self._ledger.alarm_book, {item.name for item in self._schedule.items}
        for each in book.lasting(AlarmKind.WATCH_OVERDUE):
            if _named(each) not in names:
                book.clear(AlarmKind.WATCH_OVERDUE, each.alarm.cause, now)
        watched = {project(watch.ecosystem, name) for watch in self._schedule.watches for name in watch.packages}
        for each in book.lasting(AlarmKind.PROJECT_MISSING):
            if each.alarm.purl not in watched:
                book.clear(AlarmKind.PROJECT_MISSING, each.alarm.cause, now, purl=each.alarm.purl)

    def _take_over(self) -> None:
        """Whoever led before may have been gone for a while: everything looks once."""
        for name, moment in self._first(self._schedule.items).items():
            self._timer.sooner(name, moment)

    def _first(self, items: Iterable[Watch | Recheck]) -> dict[str, datetime]:
        """When each looks first: what is due looks at once, other watches within their jitter, rechecks when due."""
        now, looked = self._clock.now(), self._looked()
        first = {}
        for item in items:
            last = looked.get(item.name)
            due = now if last is None or last > now else _after(item.timing, last)
            if due > now and isinstance(item, Watch):
                due = now + timedelta(seconds=item.timing.jitter * self._chance())
            first[item.name] = max(due, now)
        return first

    def _looked(self) -> dict[str, datetime]:
        return {each.name: each.checked for each in self._ledger.watches.all()}

    def _leads(self) -> bool:
        """Of several services on one ledger, one looks."""
        with self._leadership:
            return not self._stopped and self._ledger.lead(_ROLE, self._owner, self._clock.now())

    def _look(self, item: Watch | Recheck) -> None:
        try:
            if not self._leading or not self._leads():  # who comes to lead looks at everything, in `follow`
                log.info("%s is skipped: another process on the same ledger leads.", item.name)
                return
            self._running[item.name] = self._clock.now()
            away = self._look_at(item) if isinstance(item, Watch) else self._check_again(item)
        except RebuilderError as error:
            log.warning("%s could not be checked: %s", item.name, error)
            away = True
            with contextlib.suppress(RebuilderError):  # perhaps it is the ledger that is away
                self._ledger.watches.failed(item.name, str(error))
        finally:
            self._running.pop(item.name, None)
            self._planned = None
        self._look_again(item.name, away=away)

    def _look_at(self, watch: Watch) -> bool:
        """Look at the projects of a watch; whether their registry gave no answer."""
        state = self._discovery.look(watch)
        log.info(
            "The watch %s was checked; projects: %d, new files: %d%s.",
            state.name,
            state.projects,
            state.queued,
            f", could not be looked at: {state.failed}" if state.failed else "",
        )
        return self._discovery.away(watch.ecosystem)

    def _check_again(self, recheck: Recheck) -> bool:
        now = self._clock.now()
        queued = self._ledger.queue.add(plan(recheck, self._ledger, now), now)
        self._ledger.watches.looked(WatchState(name=recheck.name, checked=now, projects=0, queued=queued, failed=0), {})
        log.info("The recheck %s was run; files queued: %d.", recheck.name, queued)
        return False

    def _look_again(self, name: str, *, away: bool) -> None:
        """A look that came to nothing is made again after minutes, not after the whole interval."""
        if not away:
            self._failures.pop(name, None)
            return
        failures = self._failures[name] = self._failures.get(name, 0) + 1
        self._timer.sooner(name, self._clock.now() + wait_after(failures))


def wait_after(failures: int) -> timedelta:
    """How long a registry is left alone that gave no answer so many times in a row: ever longer, an hour at most."""
    return min(_LONGEST_WAIT, _FIRST_WAIT * (1 << min(failures - 1, 10)))


def _after(timing: Timing, moment: datetime) -> datetime:
    """When something that ran at a moment runs next, without jitter."""
    return upcoming(timing, moment, 1)[0]


def _named(each: RecordedAlarm) -> str:
    """The watch that an alarm is about."""
    return each.alarm.cause.partition(":")[2]
