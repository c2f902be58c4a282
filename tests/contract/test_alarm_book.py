"""The alarm book, on every database: nothing is said twice, nothing is lost, whoever was told hears the end of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest

from rebuilder.errors import UsageError
from rebuilder.model.alarm import Alarm, AlarmKind, Event, RecordedAlarm, Severity, Undelivered
from rebuilder.store.ledger import Ledger
from tests.contract.conftest import OpenLedger
from tests.fakes.verifications import NOW, artifact

SECOND, HOUR, WEEK = timedelta(seconds=1), timedelta(hours=1), timedelta(days=7)
ALL: Mapping[str, tuple[Severity, ...]] = {"team": tuple(Severity)}


def changed(raised: datetime = NOW, purl: str = "pkg:pypi/idna@3.20") -> Alarm:
    """An alarm about an artifact."""
    return Alarm(
        kind=AlarmKind.DIGEST_CHANGED, purl=purl, filename="idna.whl", sentence="Ü <b> changed.", raised=raised
    )


def waiting(hours: int, raised: datetime = NOW) -> Alarm:
    """An alarm about our own operation, whose figure changes."""
    return Alarm(kind=AlarmKind.QUEUE_AGE, sentence=f"Work waits for {hours} hours.", raised=raised)


def fill(ledger: Ledger, now: datetime, targets: Mapping[str, tuple[Severity, ...]] = ALL) -> int:
    """Put down what is to be told; nothing is suppressed."""
    return ledger.alarm_book.fill(targets, lambda _: False, now)


def send(ledger: Ledger, now: datetime) -> list[tuple[str, Event]]:
    """Fill, and deliver all that is due to everybody."""
    fill(ledger, now)
    notices = ledger.alarm_book.due(now, 100, targets=["team"])
    ledger.alarm_book.delivered([each.id for each in notices])
    return [(each.recorded.alarm.kind.value, each.event) for each in notices]


def only(ledger: Ledger) -> RecordedAlarm:
    """The one alarm there is."""
    [recorded] = ledger.alarm_book.all()
    return recorded


def test_the_same_alarm_is_counted(ledger: Ledger) -> None:
    """One alarm raised every hour is one alarm, with the time it was first raised and the time it was last seen."""
    assert ledger.raise_alarm(changed())
    assert not ledger.raise_alarm(changed(NOW + HOUR))
    expected = RecordedAlarm(
        number=only(ledger).number, alarm=changed(), severity=Severity.PAGE, count=2, last_seen=NOW + HOUR
    )
    assert expected == only(ledger)
    assert [changed()] == ledger.alarms("pkg:pypi/idna@3.20")
    assert [] == ledger.alarms("pkg:pypi/other@1")


def test_newest_first(ledger: Ledger) -> None:
    """What happened last is on top."""
    for hours in (0, 2, 1):
        ledger.raise_alarm(changed(NOW + hours * HOUR, purl=f"pkg:pypi/idna@{hours}"))
    assert ["pkg:pypi/idna@2", "pkg:pypi/idna@1", "pkg:pypi/idna@0"] == [each.purl for each in ledger.alarms()]
    assert ["pkg:pypi/idna@2"] == [each.alarm.purl for each in ledger.alarm_book.all(1)]


def test_figures_about_our_operation_are_kept_up_to_date(ledger: Ledger) -> None:
    """The condition is the same one; its sentence is the newest."""
    ledger.raise_alarm(waiting(25))
    assert not ledger.raise_alarm(waiting(26, NOW + HOUR))
    assert "Work waits for 26 hours." == only(ledger).alarm.sentence
    assert NOW == only(ledger).alarm.raised


def test_a_condition_that_has_passed_and_returns_opens_again(ledger: Ledger) -> None:
    """Cleared is not forgotten: the count goes on, the time begins anew."""
    ledger.raise_alarm(waiting(25))
    assert 1 == ledger.alarm_book.clear(AlarmKind.QUEUE_AGE, "", NOW + SECOND)
    assert 0 == ledger.alarm_book.clear(AlarmKind.QUEUE_AGE, "", NOW + SECOND)
    assert [] == ledger.alarm_book.open()
    assert 1 == len(ledger.alarm_book.closed(10))
    assert [] == ledger.alarm_book.lasting(AlarmKind.QUEUE_AGE)
    assert ledger.raise_alarm(waiting(25, NOW + HOUR))
    assert (2, NOW + HOUR, None) == (only(ledger).count, only(ledger).alarm.raised, only(ledger).cleared)


def test_clearing_is_by_cause(ledger: Ledger) -> None:
    """One registry that answers again says nothing about another."""
    for name in ("pypi", "npm"):
        ledger.raise_alarm(
            Alarm(kind=AlarmKind.INDEX_UNREACHABLE, cause=f"index-unreachable:{name}", sentence=name, raised=NOW)
        )
    assert 1 == ledger.alarm_book.clear(AlarmKind.INDEX_UNREACHABLE, "index-unreachable:npm", NOW)
    assert ["pypi"] == [each.sentence for each in ledger.alarms()]


def test_acknowledged_stays_so_for_a_week(ledger: Ledger) -> None:
    """Somebody who knows is not told again and again, and not left alone for ever."""
    ledger.raise_alarm(changed())
    number = only(ledger).number
    seen = ledger.alarm_book.acknowledge(number, "ada", "Asked upstream.", NOW)
    assert ("ada", "Asked upstream.", NOW) == (seen.acknowledged_by, seen.note, seen.acknowledged)
    assert seen == ledger.alarm_book.get(number)
    assert not ledger.raise_alarm(changed(NOW + WEEK - SECOND))
    assert [] == ledger.alarms()
    assert [number] == [each.number for each in ledger.alarm_book.closed(10)]
    assert ledger.raise_alarm(changed(NOW + WEEK))
    assert (True, None, None, 3) == (
        only(ledger).open,
        only(ledger).note,
        only(ledger).acknowledged_by,
        only(ledger).count,
    )


def test_acknowledged_conditions_open_when_they_return(ledger: Ledger) -> None:
    """A full disk that was mended and is full again is news; one that is still full is not."""
    ledger.raise_alarm(waiting(25))
    ledger.alarm_book.acknowledge(only(ledger).number, "ada", None, NOW)
    assert not ledger.raise_alarm(waiting(26, NOW + HOUR))
    assert [AlarmKind.QUEUE_AGE] == [each.alarm.kind for each in ledger.alarm_book.lasting(AlarmKind.QUEUE_AGE)]
    ledger.alarm_book.clear(AlarmKind.QUEUE_AGE, "", NOW + HOUR)
    assert ledger.raise_alarm(waiting(25, NOW + 2 * HOUR))
    assert only(ledger).open


def test_severity_rises_and_never_falls_while_open(ledger: Ledger) -> None:
    """What was a page stays one; a page behind an acknowledged ticket is news."""
    book = ledger.alarm_book
    book.raise_alarm(waiting(25))
    assert Severity.TICKET == only(ledger).severity
    book.raise_alarm(waiting(25), severity=Severity.PAGE)
    book.raise_alarm(waiting(25), severity=Severity.TICKET)
    assert Severity.PAGE == only(ledger).severity
    book.clear(AlarmKind.QUEUE_AGE, "", NOW)
    book.raise_alarm(waiting(25), severity=Severity.TICKET)
    assert Severity.TICKET == only(ledger).severity
    book.acknowledge(only(ledger).number, "ada", None, NOW)
    assert book.raise_alarm(waiting(26, NOW + HOUR), severity=Severity.PAGE)
    assert (True, Severity.PAGE) == (only(ledger).open, only(ledger).severity)


@pytest.mark.parametrize("number", [0, -1, 7, 2**31, 2**70])
def test_unknown_numbers_are_a_sentence(ledger: Ledger, number: int) -> None:
    """Whatever is typed, the answer is that there is no such alarm."""
    message = f"There is no alarm {number}."
    with pytest.raises(UsageError, match=message):
        ledger.alarm_book.get(number)
    with pytest.raises(UsageError, match=message):
        ledger.alarm_book.acknowledge(number, "ada", None, NOW)


def test_endless_notes_are_refused(ledger: Ledger) -> None:
    """What a person writes fits on a page."""
    ledger.raise_alarm(changed())
    with pytest.raises(UsageError, match="at most 2,000 characters"):
        ledger.alarm_book.acknowledge(only(ledger).number, "ada", "x" * 2001, NOW)
    assert only(ledger).open


def test_each_target_is_told_once(ledger: Ledger) -> None:
    """An alarm is told when it is raised, and not again while it lasts."""
    ledger.raise_alarm(changed())
    targets = {"team": (Severity.TICKET,), "phone": (Severity.PAGE,), "log": tuple(Severity)}
    assert 2 == fill(ledger, NOW, targets)
    assert 0 == fill(ledger, NOW, targets)
    notices = ledger.alarm_book.due(NOW, 10, targets=targets)
    assert [("log", Event.RAISED, 1), ("phone", Event.RAISED, 1)] == [(n.target, n.event, n.tries) for n in notices]
    ledger.alarm_book.delivered([each.id for each in notices])
    ledger.raise_alarm(changed(NOW + HOUR))
    assert 0 == fill(ledger, NOW + HOUR, targets)
    assert [] == ledger.alarm_book.due(NOW + HOUR, 10, targets=targets)


def test_quiet_alarms_are_told_later(ledger: Ledger) -> None:
    """Suppression keeps an alarm from being told, not from being kept."""
    ledger.raise_alarm(changed())
    assert 0 == ledger.alarm_book.fill(ALL, lambda _: True, NOW)
    assert 1 == fill(ledger, NOW)


def test_two_processes_do_not_send_the_same(ledger: Ledger, open_ledger: OpenLedger) -> None:
    """What one has taken another does not get, until the first was silent for too long."""
    ledger.raise_alarm(changed())
    other = open_ledger()
    assert [1, 0] == [fill(ledger, NOW), fill(other, NOW)]
    assert 1 == len(ledger.alarm_book.due(NOW, 10, targets=["team"], seconds=300))
    assert [] == other.alarm_book.due(NOW, 10, targets=["team"])
    [again] = other.alarm_book.due(NOW + timedelta(seconds=300), 10, targets=["team"])
    assert 2 == again.tries


def test_failures_are_tried_again_and_given_up(ledger: Ledger) -> None:
    """A target that cannot be reached is shown, and asked again only when it is time."""
    book = ledger.alarm_book
    book.raise_alarm(changed())
    fill(ledger, NOW)
    [notice] = book.due(NOW, 10, targets=["team"])
    book.failed([notice.id], "It answered 500.", NOW + HOUR)
    assert [] == book.due(NOW, 10, targets=["team"])
    assert [Undelivered(target="team", alarms=1, given_up=False, trouble="It answered 500.")] == book.undelivered()
    [notice] = book.due(NOW + HOUR, 10, targets=["team"])
    assert 2 == notice.tries
    book.postponed([notice.id], NOW + 2 * HOUR)
    [notice] = book.due(NOW + 2 * HOUR, 10, targets=["team"])
    assert 2 == notice.tries
    book.failed([notice.id], "It answered 501.", None)
    assert [] == book.due(NOW + WEEK, 10, targets=["team"])
    assert 0 == fill(ledger, NOW + WEEK)
    assert [Undelivered(target="team", alarms=1, given_up=True, trouble="It answered 501.")] == book.undelivered()
    book.acknowledge(notice.recorded.number, "ada", None, NOW)
    assert [] == book.undelivered()


def test_whoever_was_told_hears_the_rest(ledger: Ledger) -> None:
    """Raised, escalated and cleared are told once each, and all of it again when it returns."""
    ledger.raise_alarm(waiting(25))
    assert [("queue-age", Event.RAISED)] == send(ledger, NOW)
    ledger.alarm_book.raise_alarm(waiting(25, NOW + SECOND), severity=Severity.PAGE)
    assert [("queue-age", Event.ESCALATED)] == send(ledger, NOW + SECOND)
    ledger.alarm_book.clear(AlarmKind.QUEUE_AGE, "", NOW + 2 * SECOND)
    assert [("queue-age", Event.CLEARED)] == send(ledger, NOW + 2 * SECOND)
    assert [] == send(ledger, NOW + HOUR)
    ledger.raise_alarm(waiting(25, NOW + 3 * SECOND))
    assert [("queue-age", Event.RAISED)] == send(ledger, NOW + 3 * SECOND)


def test_nobody_is_told_that_nothing_is_wrong(ledger: Ledger) -> None:
    """What passed or was acknowledged before it could be told is not told at all."""
    ledger.raise_alarm(waiting(25))
    fill(ledger, NOW)
    ledger.alarm_book.clear(AlarmKind.QUEUE_AGE, "", NOW)
    ledger.raise_alarm(changed())
    fill(ledger, NOW)
    ledger.alarm_book.acknowledge(ledger.alarm_book.open()[0].number, "ada", None, NOW)
    assert [] == send(ledger, NOW + HOUR)


def test_what_waits_for_another_try_is_due_when_it_becomes_urgent(ledger: Ledger) -> None:
    """A page does not wait until a ticket would have been sent again."""
    book = ledger.alarm_book
    book.raise_alarm(waiting(25))
    fill(ledger, NOW)
    [notice] = book.due(NOW, 10, targets=["team"])
    book.failed([notice.id], "It answered 500.", NOW + WEEK)
    book.raise_alarm(waiting(25, NOW + SECOND), severity=Severity.PAGE)
    [notice] = book.due(NOW + SECOND, 10, targets=["team"])
    assert (Event.RAISED, Severity.PAGE) == (notice.event, notice.recorded.severity)


def test_our_failures_are_counted_by_window(ledger: Ledger) -> None:
    """What was given back says nothing; what failed on our side counts, what is running does not."""
    for hours, version in ((0, "1"), (5, "2"), (7, "3")):
        ledger.fail(ledger.begin(artifact(version=version), NOW), "The disk is full.", NOW - hours * HOUR)
    ledger.begin(artifact(version="4"), NOW)
    found = ledger.alarm_book.ended([HOUR, 6 * HOUR], NOW)
    assert {HOUR: (1, 1), 6 * HOUR: (2, 2)} == found
    assert {HOUR: (0, 0)} == ledger.alarm_book.ended([HOUR], NOW + WEEK)


def test_any_text_can_be_kept(ledger: Ledger) -> None:
    """Sentences quote registries: a character that a database cannot hold does not cost the alarm."""
    alarm = changed().replace(sentence="a\x00b" + "ü" * 10_000, filename="x\x00")
    assert ledger.raise_alarm(alarm)
    assert not ledger.raise_alarm(alarm)
    assert 1 == len(ledger.alarms())


def test_what_becomes_of_an_alarm_is_logged_once(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    """When it is raised, more urgent, acknowledged, cleared: a line with its number; not each time it is seen."""
    caplog.set_level("INFO", "rebuilder.alarms")
    book = ledger.alarm_book
    for _ in range(3):
        book.raise_alarm(waiting(5))
    [open_] = book.open()
    book.raise_alarm(waiting(9), severity=Severity.PAGE)
    book.acknowledge(open_.number, "ada", "More workers.", NOW)
    for _ in range(2):
        book.clear(AlarmKind.QUEUE_AGE, "", NOW + HOUR)
    number = open_.number
    assert [
        f"Alarm {number} is raised: Work waits for 5 hours.",
        f"Alarm {number} is more urgent: Work waits for 9 hours.",
        f"Alarm {number} is acknowledged by ada.",
        f"Alarm {number} is cleared: Work waits for 9 hours.",
    ] == [record.getMessage() for record in caplog.records]
    first = vars(caplog.records[0])
    assert (number, "queue-age", "ticket") == (first["alarm"], first["kind"], first["severity"])
