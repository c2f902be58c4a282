"""Looks at our own operation: which figures are alarms to raise, which conditions have passed, and into the book."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from rebuilder.clock import Clock
from rebuilder.errors import CorruptError, RebuilderError
from rebuilder.model.alarm import Alarm, AlarmKind, RecordedAlarm, Severity
from rebuilder.model.operations import QueueState
from rebuilder.model.settings import ServiceSettings
from rebuilder.model.work import Order
from rebuilder.store.ledger import Ledger
from rebuilder.store.ledger.alarm_book import AlarmBook

FEWEST_ENDED = 20
"""Below this number of verifications a share means nothing."""
HOUR, SIX_HOURS = timedelta(hours=1), timedelta(hours=6)
FIVE_MINUTES, HALF_HOUR = timedelta(minutes=5), timedelta(minutes=30)
WINDOWS = (FIVE_MINUTES, HALF_HOUR, HOUR, SIX_HOURS)
"""What :func:`failure_rate` wants to be told about."""
KEY_NOTICE = timedelta(days=30)
_SLOW_SHARE = 6 / 14.4
"""Burn rates of the two windows in the rule followed: what six hours may burn, of what one hour may."""
_SPARE = 10
"""A disk has room again when it has a tenth more than it needs, so that the alarm does not come and go."""
_GIB = 1 << 30
_FOR_EVER_DAYS = 1_000_000


@dataclass(frozen=True)
class Judgement:
    """What to do in the alarm book."""

    raised: tuple[tuple[Alarm, Severity], ...] = ()
    passed: tuple[tuple[AlarmKind, str], ...] = ()
    """Kinds and causes."""

    def __add__(self, other: Judgement) -> Judgement:
        """What both say to do."""
        return Judgement(self.raised + other.raised, self.passed + other.passed)


def queue_age(queue: QueueState, hours: float, now: datetime) -> Judgement:
    """A ticket when something that could be worked on waits longer than ``hours``, a page at twice that."""
    waited = (now - queue.oldest).total_seconds() / 3600 if queue.oldest is not None else 0.0
    if waited <= hours:
        return _passed(AlarmKind.QUEUE_AGE)
    sentence = (
        f"The oldest of {queue.waiting:,} files that could be worked on has been waiting for {waited:,.0f} hours; "
        f"the limit is {hours:g} hours."
    )
    return _raised(AlarmKind.QUEUE_AGE, sentence, now, Severity.PAGE if waited > 2 * hours else Severity.TICKET)


def failure_rate(ended: Mapping[timedelta, tuple[int, int]], share: float, now: datetime) -> Judgement:
    """Two windows and two speeds, as in "Alerting on SLOs" of the Site Reliability Workbook (chapter 5).

    A page when over the last hour more than ``share`` of what ended failed on our side; a ticket when over six hours
    it was more than 6/14.4 of that. Each also wants a failure in the last twelfth of its window (or nothing ended in
    it), so that what has stopped is not raised any more; it has passed when both long windows are below.

    Args:
        ended: For each of :data:`WINDOWS`: how many ended, how many of them failed on our side.
        share: Of failures, 0 to 1.
        now: The time.
    """
    burning = False
    for window, short, limit, severity in (
        (HOUR, FIVE_MINUTES, share, Severity.PAGE),
        (SIX_HOURS, HALF_HOUR, share * _SLOW_SHARE, Severity.TICKET),
    ):
        total, failed = ended[window]
        if total < FEWEST_ENDED or failed <= limit * total:
            continue
        burning = True
        lately, failed_lately = ended[short]
        if failed_lately or not lately:
            hours = "hour" if window == HOUR else f"{window // HOUR} hours"
            sentence = (
                f"{failed:,} of {total:,} verifications that ended in the last {hours} failed on our side "
                f"({failed / total:.1%}); {limit:.1%} is the limit."
            )
            return _raised(AlarmKind.FAILURE_RATE, sentence, now, severity)
    return Judgement() if burning else _passed(AlarmKind.FAILURE_RATE)


def disk(free_bytes: int, needed_bytes: int, now: datetime) -> Judgement:
    """A page when new work cannot be begun for want of room."""
    if free_bytes < needed_bytes:
        sentence = (
            f"The disk of the store has {free_bytes / _GIB:.1f} GiB free and needs {needed_bytes / _GIB:.1f} GiB; "
            "no new work is begun."
        )
        return _raised(AlarmKind.DISK, sentence, now, Severity.PAGE)
    return _passed(AlarmKind.DISK) if free_bytes >= needed_bytes + needed_bytes // _SPARE else Judgement()


def key_age(made: datetime, days: int, now: datetime) -> Judgement:
    """A ticket thirty days before a signing key has to be replaced, a page from that day on."""
    due = made + timedelta(days=min(days, _FOR_EVER_DAYS))
    if now < due - KEY_NOTICE:
        return _passed(AlarmKind.KEY_EXPIRY)
    over = now >= due
    sentence = (
        f"The signing key was made on {made:%Y-%m-%d} and "
        f"{'was' if over else 'is'} due to be replaced on {due:%Y-%m-%d}."
    )
    return _raised(AlarmKind.KEY_EXPIRY, sentence, now, Severity.PAGE if over else Severity.TICKET)


def key_condition(
    made: datetime | None, days: int, problem: str | None, expires: datetime | None, now: datetime
) -> Judgement:
    """A page when a key of ours may not sign any more; the same notice as in :func:`key_age` before the list expires.

    Args:
        made: When the signing key was made, where this process knows.
        days: After so many it is to be replaced.
        problem: Why a key may not sign.
        expires: When the list of keys expires, if there is one.
        now: The time.
    """
    if problem is not None:
        sentence = (
            f"Nothing is signed: {problem} Make the next key (rebuilder keys rotate), and start the service again."
        )
        return _raised(AlarmKind.KEY_EXPIRY, sentence, now, Severity.PAGE)
    if expires is not None and now >= expires - KEY_NOTICE:
        sentence = f"The list of keys expires on {expires:%Y-%m-%d}; from then on nobody believes what is published."
        return _raised(AlarmKind.KEY_EXPIRY, sentence, now, Severity.PAGE if now >= expires else Severity.TICKET)
    return key_age(made, days, now) if made is not None else _passed(AlarmKind.KEY_EXPIRY)


def conditions(
    kind: AlarmKind, sentences: Mapping[str, str], lasting: Iterable[RecordedAlarm], now: datetime
) -> Judgement:
    """Alarms of one kind about several things: broken schedules by file, silent registries by ecosystem.

    Args:
        kind: Of all of them.
        sentences: What is wrong with each, by its name.
        lasting: Alarms of this kind that have not cleared.
        now: The time.
    """
    causes = {f"{kind.value}:{name}": sentence for name, sentence in sentences.items()}
    alarms = [
        Alarm(kind=kind, sentence=sentence, cause=cause, raised=now) for cause, sentence in sorted(causes.items())
    ]
    over = sorted({each.alarm.cause for each in lasting} - causes.keys())
    return Judgement(tuple((each, kind.severity) for each in alarms), tuple((kind, cause) for cause in over))


def from_fault(error: RebuilderError, now: datetime) -> Alarm | None:
    """The alarm that an error is by itself: something of ours is not what it was; None for all others."""
    if not isinstance(error, CorruptError):
        return None
    return Alarm(kind=AlarmKind.STORE_CORRUPT, sentence=str(error), cause=AlarmKind.STORE_CORRUPT.value, raised=now)


def given_up(order: Order, tries: int, error: RebuilderError, now: datetime) -> Alarm:
    """We could not try a file ``tries`` times; what failed for the same kind of reason belongs together."""
    return Alarm(
        kind=AlarmKind.GIVEN_UP,
        purl=order.purl,
        filename=order.filename,
        sentence=f"{order.filename} could not be tried {tries} times; the last reason: {error}",
        raised=now,
        cause=f"{AlarmKind.GIVEN_UP.value}:{type(error).__name__.removesuffix('Error').lower()}",
    )


def no_longer_replays(order: Order, verified: datetime, reason: str, now: datetime) -> Alarm:
    """A published report that gave the same bytes when it was run again does so no more."""
    return Alarm(
        kind=AlarmKind.REPLAY_LOST,
        purl=order.purl,
        filename=order.filename,
        sentence=f"The report of {verified:%Y-%m-%d} on {order.filename} does not replay as it did before: {reason}",
        raised=now,
        cause=AlarmKind.REPLAY_LOST.value,
    )


def _raised(kind: AlarmKind, sentence: str, now: datetime, severity: Severity) -> Judgement:
    return Judgement(raised=((Alarm(kind=kind, sentence=sentence, raised=now), severity),))


def _passed(kind: AlarmKind) -> Judgement:
    return Judgement(passed=((kind, ""),))


@dataclass(frozen=True)
class SelfMonitor:
    """Queue, failures, disk, key and watches; one look per step.

    Args:
        ledger: Where work and alarms are.
        settings: Limits.
        clock: The time.
        free_bytes: Gives what the disk of the store has free.
        needed_bytes: What must be free for new work to begin.
        key_made: Gives when the signing key was made; None when this process does not know.
        key_list: Gives why a key of ours may not sign, and when the list of keys expires.
        watches: Judges whether all watches looked when they should.
    """

    ledger: Ledger
    settings: ServiceSettings
    clock: Clock
    free_bytes: Callable[[], int]
    needed_bytes: int
    key_made: Callable[[], datetime | None] = lambda: None
    key_list: Callable[[datetime], tuple[str | None, datetime | None]] = lambda _: (None, None)
    watches: Callable[[datetime], Judgement] = lambda _: Judgement()

    def step(self) -> Judgement:
        """Look, raise and clear; gives what was found.

        Raises:
            StoreError: the ledger cannot be used.
            OSError: the disk cannot be asked.
        """
        now, book = self.clock.now(), self.ledger.alarm_book
        found = queue_age(self.ledger.queue.state(now), self.settings.queue_hours, now)
        found += failure_rate(book.ended(WINDOWS, now), self.settings.failure_share, now)
        found += disk(self.free_bytes(), self.needed_bytes, now)
        made, (problem, expires) = self.key_made(), self.key_list(now)
        if made is not None or expires is not None:
            found += key_condition(made, self.settings.key_days, problem, expires, now)
        found += self.watches(now)
        settle(book, found, now)
        return found


def settle(book: AlarmBook, judgement: Judgement, now: datetime) -> None:
    """Put a judgement into the book.

    Raises:
        StoreError: the ledger cannot be used.
    """
    for alarm, severity in judgement.raised:
        book.raise_alarm(alarm, severity=severity)
    for kind, cause in judgement.passed:
        book.clear(kind, cause, now)
