"""What is to be looked at, and when: the schedule files, the timetable, and the looks themselves."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path

from rebuilder.model.alarm import AlarmKind
from rebuilder.model.definition import Limits
from rebuilder.ports import Clock
from rebuilder.service.alarms.rules import troubles
from rebuilder.service.alarms.watchman import settle
from rebuilder.service.discovery import Discovery
from rebuilder.service.owner import this_process
from rebuilder.service.recheck import plan
from rebuilder.service.schedules.folder import Folder
from rebuilder.service.schedules.watch import Recheck, Watch
from rebuilder.service.timetable import Timetable
from rebuilder.storage.ledger import Ledger

_FIRST_WAIT = timedelta(minutes=2)
_LONGEST_WAIT = timedelta(hours=1)

log = logging.getLogger("rebuilder.schedules")


class Planning:
    """Follows the schedule files and fills the queue.

    Args:
        directory: Of the schedule files.
        discovery: Looks at what watches name.
        ledger: Where the queue is.
        clock: The time.
        limits: What a watch's own limits are laid over.
    """

    def __init__(self, directory: Path, discovery: Discovery, ledger: Ledger, clock: Clock, limits: Limits) -> None:
        self._discovery = discovery
        self._ledger = ledger
        self._clock = clock
        self._folder = Folder(directory, clock, limits=limits)
        self._timetable = Timetable(clock, self._look)
        self._directory = directory
        self._owner = this_process()
        self._failures: dict[str, int] = {}
        """Looks in a row that got no answer, by watch."""

    def start(self) -> None:
        """Begin to look, first at everything that is scheduled."""
        self._timetable.start()

    def stop(self) -> None:
        """Begin no more looks."""
        self._timetable.stop(wait=False)

    def follow(self) -> None:
        """Take over what was changed in the files; mistakes in them are alarms until they are mended.

        Raises:
            StoreError: the ledger cannot be used.
        """
        self._leads()
        reading = self._folder.read()
        if not reading.changed:
            return
        for remark in (*reading.problems, *reading.notes):
            log.warning("%s", remark.spoken)
        self._timetable.apply(reading.schedule)
        watches, rechecks = len(reading.schedule.watches), len(reading.schedule.rechecks)
        log.info("Read %s: watches: %d, rechecks: %d.", self._directory, watches, rechecks)
        book, now = self._ledger.alarm_book, self._clock.now()
        wrong: dict[str, str] = {}
        for remark in reading.problems:
            wrong.setdefault(str(remark.file), remark.spoken)
        lasting = book.lasting(AlarmKind.SCHEDULE_BROKEN)
        settle(book, troubles(AlarmKind.SCHEDULE_BROKEN, wrong, lasting, now), now)

    def _look_again(self, watch: Watch) -> None:
        """A registry that gave no answer is asked again after minutes, not after the whole interval."""
        if not self._discovery.away(watch.ecosystem):
            self._failures.pop(watch.name, None)
            return
        failures = self._failures[watch.name] = self._failures.get(watch.name, 0) + 1
        self._timetable.sooner(watch.name, self._clock.now() + wait_after(failures))

    def _leads(self) -> bool:
        """Of several services on one ledger, one looks."""
        return self._ledger.lead("schedules", self._owner, self._clock.now())

    def _look(self, item: Watch | Recheck) -> None:
        if not self._leads():
            log.info("%s is left to another service on the same ledger.", item.name)
            return
        if isinstance(item, Watch):
            state = self._discovery.look(item)
            self._look_again(item)
            log.info(
                "The watch %s has looked; projects: %d, new files: %d%s.",
                state.name,
                state.projects,
                state.queued,
                f", could not be looked at: {state.failed}" if state.failed else "",
            )
            return
        now = self._clock.now()
        queued = self._ledger.queue.add(plan(item, self._ledger, now), now)
        log.info("The recheck %s has looked; files queued: %d.", item.name, queued)


def wait_after(failures: int) -> timedelta:
    """How long a registry is left alone that gave no answer so many times in a row: ever longer, an hour at most."""
    return min(_LONGEST_WAIT, _FIRST_WAIT * (1 << min(failures - 1, 10)))
