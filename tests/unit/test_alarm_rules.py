"""Which figures about our own operation are alarms, and when they have passed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rebuilder.alarms import rules
from rebuilder.alarms.rules import FIVE_MINUTES, HALF_HOUR, HOUR, SIX_HOURS, Judgement
from rebuilder.errors import (
    BuildEnvironmentError,
    CorruptEnvironmentError,
    CorruptStoreError,
    RebuilderError,
    StoreError,
)
from rebuilder.model.alarm import Alarm, AlarmKind, RecordedAlarm, Severity
from rebuilder.model.operations import QueueState
from rebuilder.model.work import Order, Reason
from rebuilder.store.blobs import DiskBlobs

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
PAGE, TICKET = Severity.PAGE, Severity.TICKET


def severities(judgement: Judgement) -> list[Severity]:
    """How urgent what was raised is."""
    return [severity for _, severity in judgement.raised]


def queued(hours: float | None) -> QueueState:
    """A queue whose oldest task waits for so many hours."""
    oldest = None if hours is None else NOW - timedelta(hours=hours)
    return QueueState(waiting=7, delayed=0, running=(), upcoming=(), oldest=oldest)


@pytest.mark.parametrize(("hours", "expected"), [(None, []), (24, []), (24.1, [TICKET]), (48.1, [PAGE])])
def test_queue_age(hours: float | None, expected: list[Severity]) -> None:
    """Work that waits longer than the limit is a ticket, twice as long a page; else it has passed."""
    found = rules.queue_age(queued(hours), 24, NOW)
    assert expected == severities(found)
    assert bool(expected) != (found.passed == ((AlarmKind.QUEUE_AGE, ""),))


def test_queue_age_says_the_figures() -> None:
    """Whoever reads it need not ask how much and how long."""
    [(alarm, _)] = rules.queue_age(queued(30), 24, NOW).raised
    expected = "The oldest of 7 files that could be worked on has been waiting for 30 hours; the limit is 24 hours."
    assert expected == alarm.sentence


def ended(
    hour: tuple[int, int], six: tuple[int, int], five: tuple[int, int] = (1, 1), half: tuple[int, int] = (1, 1)
) -> dict[timedelta, tuple[int, int]]:
    """Total and failed, by window."""
    return {HOUR: hour, SIX_HOURS: six, FIVE_MINUTES: five, HALF_HOUR: half}


@pytest.mark.parametrize(
    ("windows", "expected", "passed"),
    [
        (ended((100, 6), (600, 6)), [PAGE], False),
        (ended((100, 5), (100, 0)), [], True),
        (ended((20, 2), (20, 2)), [PAGE], False),
        (ended((19, 19), (19, 19)), [], True),
        (ended((0, 0), (0, 0), (0, 0), (0, 0)), [], True),
        (ended((100, 0), (600, 13)), [TICKET], False),
        (ended((100, 0), (600, 12)), [], True),
        (ended((100, 6), (600, 6), five=(9, 0)), [], False),
        (ended((100, 6), (600, 6), five=(0, 0)), [PAGE], False),
        (ended((100, 6), (600, 13), five=(9, 0)), [TICKET], False),
        (ended((100, 0), (600, 13), half=(50, 0)), [], False),
    ],
)
def test_failure_rate(windows: dict[timedelta, tuple[int, int]], expected: list[Severity], passed: bool) -> None:
    """Fast burning is a page, slow burning a ticket, few cases are nothing, what has stopped is not raised again."""
    found = rules.failure_rate(windows, 0.05, NOW)
    assert expected == severities(found)
    assert passed == (found.passed == ((AlarmKind.FAILURE_RATE, ""),))


def test_failure_rate_says_the_figures() -> None:
    """The share stands beside its denominator and its limit."""
    [(alarm, _)] = rules.failure_rate(ended((100, 6), (600, 6)), 0.05, NOW).raised
    expected = "6 of 100 verifications that ended in the last hour failed on our side (6.0%); 5.0% is the limit."
    assert expected == alarm.sentence


@pytest.mark.parametrize(("free", "expected", "passed"), [(99, [PAGE], False), (100, [], False), (110, [], True)])
def test_disk(free: int, expected: list[Severity], passed: bool) -> None:
    """A page when nothing can be begun; it passes with a tenth to spare, so that it does not come and go."""
    found = rules.disk(free, 100, NOW)
    assert expected == severities(found)
    assert passed == bool(found.passed)


@pytest.mark.parametrize(
    ("age", "expected"), [(0, []), (334.9, []), (335, [TICKET]), (364.9, [TICKET]), (365, [PAGE]), (4000, [PAGE])]
)
def test_key_age(age: float, expected: list[Severity]) -> None:
    """Thirty days' notice, then a page."""
    found = rules.key_age(NOW - timedelta(days=age), 365, NOW)
    assert expected == severities(found)
    assert bool(expected) != bool(found.passed)


@pytest.mark.parametrize(
    ("problem", "days", "expected"),
    [
        (None, 31, []),
        (None, 30, [TICKET]),
        (None, 0.1, [TICKET]),
        (None, 0, [PAGE]),
        ("It was revoked.", 300, [PAGE]),
        ("It was revoked.", None, [PAGE]),
        (None, None, []),
    ],
)
def test_the_list_of_keys(problem: str | None, days: float | None, expected: list[Severity]) -> None:
    """It is signed again in time; a key that may not sign is a page at once."""
    expires = NOW + timedelta(days=days) if days is not None else None
    found = rules.key_condition(NOW, 365, problem, expires, NOW)
    assert expected == severities(found)
    assert bool(expected) != bool(found.passed)
    assert expected == severities(rules.key_condition(None, 365, problem, expires, NOW))


def test_a_key_may_last_for_ever() -> None:
    """The largest number a setting takes is no date; that is no error."""
    assert [] == severities(rules.key_age(NOW, 1 << 53, NOW))


def test_troubles_come_and_go_one_by_one() -> None:
    """Each file has an alarm of its own, which passes when that file is mended."""

    def lasting(name: str) -> RecordedAlarm:
        alarm = Alarm(kind=AlarmKind.SCHEDULE_BROKEN, sentence="?", cause=f"schedule-broken:{name}", raised=NOW)
        return RecordedAlarm(number=1, alarm=alarm, severity=TICKET, last_seen=NOW)

    sentences = {"b.toml": "Line 3.", "a.toml": "Line 1."}
    found = rules.conditions(AlarmKind.SCHEDULE_BROKEN, sentences, [lasting("a.toml"), lasting("c.toml")], NOW)
    assert ["Line 1.", "Line 3."] == [alarm.sentence for alarm, _ in found.raised]
    assert ((AlarmKind.SCHEDULE_BROKEN, "schedule-broken:c.toml"),) == found.passed


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (CorruptStoreError("Blob x is damaged."), AlarmKind.STORE_CORRUPT),
        (CorruptEnvironmentError("The build environment x was modified."), AlarmKind.STORE_CORRUPT),
        (StoreError("The disk is full; Blob x is damaged."), None),
        (BuildEnvironmentError("The build environment x cannot be made."), None),
    ],
)
def test_damage_is_known_by_its_class(error: RebuilderError, kind: AlarmKind | None) -> None:
    """Words in a sentence decide nothing."""
    alarm = rules.from_fault(error, NOW)
    assert kind == (alarm and alarm.kind)
    assert alarm is None or str(error) == alarm.sentence


def test_what_was_given_up_for_one_reason_belongs_together() -> None:
    """A hundred files given up over one full disk are one cause."""
    orders = [
        Order(
            ecosystem="pypi",
            purl=f"pkg:pypi/{name}@1",
            name=name,
            version="1",
            filename=f"{name}.whl",
            reason=Reason.RELEASE,
        )
        for name in ("a", "b")
    ]
    alarms = [rules.given_up(order, 8, StoreError("The disk is full."), NOW) for order in orders]
    assert {"given-up:store"} == {each.group for each in alarms}
    assert 2 == len({each.key for each in alarms})
    assert "a.whl could not be tried 8 times; the last reason: The disk is full." == alarms[0].sentence


def test_a_damaged_blob_is_such_an_error(tmp_path: Path) -> None:
    """What the store says of bytes that are not what they were is an alarm; that they are missing is none."""
    blobs = DiskBlobs(tmp_path)
    digest = blobs.put(b"right")
    place = blobs.path(digest)
    place.chmod(0o600)
    place.write_bytes(b"wrong")
    with pytest.raises(StoreError) as damaged:
        blobs.read(digest)
    with pytest.raises(StoreError) as missing:
        blobs.read(digest)
    assert AlarmKind.STORE_CORRUPT == getattr(rules.from_fault(damaged.value, NOW), "kind", None)
    assert rules.from_fault(missing.value, NOW) is None
