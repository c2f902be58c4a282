"""Takes tasks from the queue and examines what they name; holds no key."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from rebuilder.alarms.rules import from_fault, given_up, no_longer_replays
from rebuilder.errors import CorruptError, RebuilderError, StoreError, UsageError
from rebuilder.fleet.ordering import wanted
from rebuilder.model.artifact import Subject
from rebuilder.model.definition import BuildDefinition, Role
from rebuilder.model.regression import worse
from rebuilder.model.replay import ReplayOutcome
from rebuilder.model.report import Report, SignedReport
from rebuilder.model.verdict import Verdict
from rebuilder.model.work import Check, Lease, Order, Reason, Tier
from rebuilder.replay.published import of_our_own
from rebuilder.replay.replayer import kept_replayer
from rebuilder.service.logs import bound
from rebuilder.store.ledger.queue.queue import LeaseLostError
from rebuilder.verification.coordinator import Coordinator, proves_nothing
from rebuilder.wiring import Wired

_MOST_TRIES = 20
"""A task that was begun more often and has not come to an end ends its workers."""
_WRITE_AGAIN = (1.0, 2.0, 5.0, 10.0, 20.0)
"""Seconds between the tries to write what was found: a database that is started anew should not cost a build."""

_LONGEST_KIND = 50
"""Characters; a label has room for 64."""

log = logging.getLogger("rebuilder.worker")


class WorkerDiedError(StoreError):
    """Whoever worked on a task went away each time."""


@dataclass
class Worker:
    """One artifact after the other.

    Args:
        parts: What to examine with.
        owner: Name that the leases are under.
        lease_seconds: How long a lease holds without a sign of life.
        room: Says why no new work may be begun, such as a full disk; None when it may.
        rest: Called when the work on a task is over.
        cache_hits: Gives how often each cache was asked with and without success, and starts over.
        wait: Lets so many seconds pass.
    """

    parts: Wired
    owner: str
    lease_seconds: float
    room: Callable[[], str | None] = lambda: None
    rest: Callable[[], None] = lambda: None
    cache_hits: Callable[[], Mapping[str, tuple[int, int]]] = dict
    wait: Callable[[float], object] = time.sleep

    def __post_init__(self) -> None:
        self._coordinator = Coordinator(self.parts)
        self._current: Lease | None = None
        self._number: int | None = None
        self._lock = threading.Lock()
        self._stopped = False
        self._full = False
        self._unsettled = False
        """Whether a task may still be leased to us that nobody works on: the ledger was away when it was to end."""

    def step(self) -> bool:
        """Do the next task, if there is one and there is room for it; whether there was.

        Raises:
            StoreError: the ledger cannot be used.
        """
        if (trouble := self.room()) is not None:
            if not self._full:  # asked every second, told once
                log.warning("No new work is begun: %s", trouble)
            self._full = True
            return False
        if self._full:
            log.info("There is room again; work goes on.")
            self._full = False
        with self._lock:
            if self._stopped:
                return False
            queue, now = self.parts.ledger.queue, self.parts.clock.now()
            if self._unsettled:
                queue.release(self.owner, now)
            self._unsettled = True
            lease = queue.claim(self.owner, now, self.lease_seconds)
            self._current, self._number = lease, None
        try:
            if lease is not None:
                self._do(lease)
        finally:
            with self._lock:
                self._current = None
        self._unsettled = False
        return lease is not None

    def renew(self) -> None:
        """Give a sign of life; called by another thread.

        Raises:
            StoreError: the ledger cannot be used.
        """
        self.parts.ledger.queue.renew(self.owner, self.parts.clock.now(), self.lease_seconds)

    def stop(self) -> None:
        """Begin nothing new; called by another thread."""
        with self._lock:
            self._stopped = True

    def give_back(self) -> None:
        """Give the running task back, to be begun anew by somebody else; called by another thread.

        Raises:
            StoreError: the ledger cannot be used; the lease will run out.
        """
        with self._lock:
            self._stopped = True
            lease, number = self._current, self._number
            if lease is not None:
                now = self.parts.clock.now()
                self.parts.ledger.queue.put_back(
                    lease, number, "The worker was stopped.", now, not_before=None, counts=False
                )

    def _do(self, lease: Lease) -> None:
        order = lease.task.order
        with bound(artifact=order.filename, purl=order.purl, task=lease.task.id, worker=self.owner):
            if lease.task.tries > _MOST_TRIES:
                self._give_up(lease, WorkerDiedError(f"Its worker died {lease.task.tries} times."), lease.task.tries)
                return
            try:
                with wanted(order.priority, twice=order.double_runs):
                    self._looked_at(lease)
            except LeaseLostError:
                log.warning("The lease on the task was lost; what came of it is dropped.")
            except RebuilderError as fault:
                self._failed(lease, fault)
            except Exception:
                log.exception("A defect of the rebuilder ended the work on this task.")
                self._failed(
                    lease, StoreError("A defect of the rebuilder ended the work on it; the log has the details.")
                )
            finally:
                self.rest()

    def _looked_at(self, lease: Lease) -> None:
        order, parts = lease.task.order, self.parts
        if order.check is Check.REPLAY:
            self._replayed(lease)
            return
        try:
            [evidence] = self._coordinator.evidence(_subject(order))
        except UsageError as gone:
            parts.ledger.queue.give_up(lease, None, str(gone), parts.clock.now(), ours=False)
            log.warning("Given up: %s", gone)
            return
        artifact = evidence.artifact
        before = parts.ledger.signed_report(artifact.sha256, artifact.filename)
        verification = self._coordinator.begin(evidence, order=order, asked=lease.task.created)
        with self._lock:
            self._number = verification.number
        with bound(verification=verification.number):
            if made := len(verification.history.attempts):
                log.info("It goes on after %d attempts of a process that is no more.", made)
            self._concluded(lease, before, self._coordinator.examine(verification, before))

    def _replayed(self, lease: Lease) -> None:
        """Run a published report again from what is kept here for it; that it does so no more is an alarm."""
        parts, order, now = self.parts, lease.task.order, self.parts.clock.now()
        found = parts.ledger.replays.report(order)
        report = of_our_own(found[1].report) if found is not None else None
        if found is None or report is None:
            parts.ledger.queue.discard(lease, None, "Nothing of it can be run again.", now, {}, follow=None)
            return
        done = kept_replayer(parts.blobs, parts.environments, parts.run).replay(report)
        now = parts.clock.now()
        before = parts.ledger.replays.add(found[0], done.outcome, done.sentence, now)
        if before is ReplayOutcome.AGREES and done.outcome is not before:
            parts.ledger.raise_alarm(no_longer_replays(order, found[1].report.finished, done.sentence, now))
        parts.ledger.queue.discard(lease, None, done.sentence, now, {}, follow=None)
        log.info("Run again: %s. %s", done.outcome.value, done.sentence)

    def _concluded(self, lease: Lease, before: SignedReport | None, report: Report) -> None:
        queue, order, number, now = self.parts.ledger.queue, lease.task.order, self._number, self.parts.clock.now()
        assert number is not None  # noqa: S101 - it was begun
        counted = tallies(report, self.cache_hits())
        verdict = report.decision.verdict
        if (follow := followed_by(order, report, before.report.decision.verdict if before else None)) is not None:
            sentence = f"A {order.tier.value} look did not confirm it ({verdict.value}); a full one follows."
            self._written(lambda: queue.discard(lease, number, sentence, now, counted, follow=follow))
            log.info(sentence)
            return
        again = retry_at(verdict, lease.task.tries, now, clock_not_tried=report.clock_not_tried)
        self._written(lambda: queue.complete(lease, number, report, counted, retry_at=again))
        log.info("%s: %s", verdict.value, report.decision.sentence, extra={"verdict": verdict.value})

    def _written(self, write: Callable[[], None]) -> None:
        """Write what was found, again and again for a while when the ledger is away."""
        for seconds in _WRITE_AGAIN:
            try:
                return write()
            except (LeaseLostError, CorruptError):
                raise
            except StoreError as error:
                log.warning("What was found could not be written, and is again in %g s: %s", seconds, error)
                self.wait(seconds)
        return write()

    def _failed(self, lease: Lease, fault: RebuilderError) -> None:
        queue, now = self.parts.ledger.queue, self.parts.clock.now()
        log.warning("Failed on our side: %s", fault)
        try:
            if (alarm := from_fault(fault, now)) is not None:
                self.parts.ledger.raise_alarm(alarm)
            again = retry_at(Verdict.INFRA_ERROR, lease.task.tries, now)
            if again is not None:
                queue.put_back(lease, self._number, str(fault), now, not_before=again, counts=True)
            else:
                self._give_up(lease, fault, lease.task.tries + 1)
        except LeaseLostError:
            log.warning("The lease on the task was lost; somebody else will try.")

    def _give_up(self, lease: Lease, fault: RebuilderError, tries: int) -> None:
        now = self.parts.clock.now()
        self.parts.ledger.queue.give_up(lease, self._number, str(fault), now)
        self.parts.ledger.raise_alarm(given_up(lease.task.order, tries, fault, now))
        log.warning("Given up: %s", fault)


def _subject(order: Order) -> Subject:
    return Subject(
        ecosystem=order.ecosystem,
        name=order.name,
        version=order.version,
        filename=order.filename,
        asked=f"{order.ecosystem}:{order.name}=={order.version}",
    )


def followed_by(order: Order, report: Report, before: Verdict | None) -> Order | None:
    """The full look that is due before anything is said; None when what was found can be said.

    A quick look that confirms nothing proves nothing, and a result that is worse than the one before is looked at
    in full before it is called a regression.
    """
    verdict = report.decision.verdict
    regressed = before is not None and worse(before, verdict)
    thorough = order.tier is Tier.FULL and order.check is not Check.INPUTS
    if verdict.confirms or thorough or not (regressed or proves_nothing(order.tier, report)):
        return None
    return order.replace(reason=Reason.REGRESSION if regressed else order.reason, tier=Tier.FULL, check=Check.VERIFY)


_WAITS: dict[Verdict, tuple[timedelta, ...]] = {
    Verdict.INFRA_ERROR: (
        timedelta(minutes=1),
        timedelta(minutes=5),
        timedelta(minutes=30),
        timedelta(hours=2),
        timedelta(hours=12),
    ),
    Verdict.INPUTS_MISSING: (timedelta(days=1), timedelta(days=7)),
    Verdict.TIMED_OUT: (timedelta(hours=1),),
}
"""The wait after the first try, after the second, and so on; what is not here is never tried again."""

_CLOCK = (timedelta(days=1), timedelta(days=7))


def retry_at(verdict: Verdict, tries: int, now: datetime, *, clock_not_tried: bool = False) -> datetime | None:
    """When to try again; None for never.

    ============== ======================================= ==============================================
    verdict        waits after the first try, the second…  why
    ============== ======================================= ==============================================
    infra-error    1 min, 5 min, 30 min, 2 h, 12 h         most trouble on our side passes, or is mended
    inputs-missing 1 day, 7 days                           a source is often published after the file
    timed-out      1 h                                     the machine may have been busy
    no clock       1 day, 7 days                           another machine may have a guest by then
    all others     never                                   the same build would say the same again
    ============== ======================================= ==============================================

    A difference was rebuilt once within its own verification, to tell unstable from stable; that is no retry.

    Args:
        verdict: What this try came to.
        tries: How many tries there were before this one, whatever they came to (:attr:`Task.tries`).
        now: The end of this try.
        clock_not_tried: Whether a recorded clock might come further, and no guest ran on the machine of this try.
    """
    waits = _WAITS.get(verdict, _CLOCK if clock_not_tried and verdict is not Verdict.REPRODUCED else ())
    return now + waits[tries] if tries < len(waits) else None


def tallies(report: Report, cache_hits: Mapping[str, tuple[int, int]]) -> dict[tuple[str, str], int]:
    """What an examined artifact adds to what is only counted, by name and label; zeroes are left out.

    Args:
        report: Of the artifact.
        cache_hits: Kind of cache to how often it had what was asked for, and how often not, meanwhile.
    """
    counted: Counter[tuple[str, str]] = Counter()
    for kind, (hits, misses) in cache_hits.items():
        counted["cache", f"{kind[:_LONGEST_KIND]}:hit"] += hits
        counted["cache", f"{kind[:_LONGEST_KIND]}:miss"] += misses
    for attempt in report.attempts:
        counted["inputs", "complete" if _complete(attempt.hypothesis.definition) else "incomplete"] += 1
    return {key: number for key, number in counted.items() if number}


def _complete(definition: BuildDefinition) -> bool:
    """Whether a bill of materials of the build lacks nothing; digests are never missing.

    Build dependencies and tools need a version and an address. What the build starts from needs an address, its own
    or the definition's. What we made ourselves needs neither.
    """
    for each in definition.inputs:
        if each.role in {Role.BUILD_DEPENDENCY, Role.BUILD_TOOL} and not (each.version and each.uri):
            return False
        if each.role is Role.SOURCE and not (each.uri or definition.source):
            return False
    return True
