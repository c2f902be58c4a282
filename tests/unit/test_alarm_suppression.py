"""When nobody is told: days, nights, zones, and the hours that clocks skip or show twice."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rebuilder.alarms.delivery import Suppressions, Window
from rebuilder.errors import UsageError
from rebuilder.model.alarm import Alarm, AlarmKind, RecordedAlarm, Severity
from rebuilder.model.settings import Suppression


def at(text: str) -> datetime:
    """A moment in UTC; 2026-11-07 is a Saturday."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("window", "moment", "expected"),
    [
        ("02:00-04:00", "2026-11-04T02:00", True),
        ("02:00-04:00", "2026-11-04T04:00:59", True),
        ("02:00-04:00", "2026-11-04T01:59:59", False),
        ("02:00-04:00", "2026-11-04T04:01", False),
        ("00:00-24:00", "2026-11-04T23:59:59", True),
        ("sat-sun 00:00-23:59", "2026-11-06T23:59:59", False),
        ("sat-sun 00:00-23:59", "2026-11-07T00:00", True),
        ("Sat-SUN 00:00-23:59", "2026-11-08T23:59:59", True),
        ("sat-sun 00:00-23:59", "2026-11-09T00:00", False),
        ("fri-mon 10:00-11:00", "2026-11-09T10:30", True),
        ("fri-mon 10:00-11:00", "2026-11-10T10:30", False),
        ("wed 10:00-11:00", "2026-11-04T10:30", True),
        ("wed 10:00-11:00", "2026-11-05T10:30", False),
        ("fri 22:00-06:00", "2026-11-06T21:59", False),
        ("fri 22:00-06:00", "2026-11-06T22:00", True),
        ("fri 22:00-06:00", "2026-11-07T06:00", True),
        ("fri 22:00-06:00", "2026-11-07T22:00", False),
        ("fri 22:00-06:00", "2026-11-06T05:00", False),
        ("sun 22:00-06:00", "2026-11-09T05:00", True),
        ("09:00-17:00 Europe/Berlin", "2026-11-04T08:30", True),
        ("09:00-17:00 Europe/Berlin", "2026-07-01T07:30", True),
        ("09:00-17:00 Europe/Berlin", "2026-07-01T15:30", False),
        ("sat 00:00-01:00 Pacific/Auckland", "2026-11-06T11:30", True),
        # Berlin 2026-03-29: from 02:00 to 03:00 at 01:00 UTC; the skipped hour never comes.
        ("02:00-02:59 Europe/Berlin", "2026-03-29T00:59:59", False),
        ("02:00-02:59 Europe/Berlin", "2026-03-29T01:00", False),
        # Berlin 2026-10-25: from 03:00 back to 02:00 at 01:00 UTC; the hour comes twice.
        ("02:00-02:59 Europe/Berlin", "2026-10-25T00:30", True),
        ("02:00-02:59 Europe/Berlin", "2026-10-25T01:30", True),
        ("02:00-02:59 Europe/Berlin", "2026-10-25T02:00", False),
    ],
)
def test_a_window_is_by_the_clock_on_the_wall(window: str, moment: str, expected: bool) -> None:
    """Its last minute belongs to it; past midnight it belongs to the day it began on."""
    assert expected == Window.parse(window).holds(at(moment))


@pytest.mark.parametrize(
    ("window", "reason"),
    [
        ("25:00-26:00", "there is no time 25:00"),
        ("02:60-03:00", "there is no time 02:60"),
        ("02:00-02:00", "ends at the same time"),
        ("24:00-02:00", "no day begins at 24:00"),
        ("02:00-03:00 Mars/Base", "there is no time zone 'Mars/Base'"),
        ("02:00-03:00 ../etc/passwd", "there is no time zone '../etc/passwd'"),
        ("02:00-03:00 Europe", "there is no time zone 'Europe'"),
        ("sun-foo 02:00-03:00", "the days are mon, tue, wed"),
        ("always", "it is not written like"),
    ],
)
def test_what_cannot_be_meant_is_said(window: str, reason: str) -> None:
    """One sentence with the setting, the window and the reason."""
    with pytest.raises(UsageError) as error:
        Window.parse(window)
    told = str(error.value)
    assert all(words in told for words in (repr(window), "alarms.suppress", reason))


@pytest.mark.parametrize(
    ("kinds", "severities", "expected"),
    [
        ((), (Severity.TICKET,), True),
        ((), (Severity.PAGE,), False),
        ((AlarmKind.QUEUE_AGE,), (Severity.TICKET, Severity.PAGE), True),
        ((AlarmKind.DISK,), (Severity.TICKET,), False),
    ],
)
def test_suppression_is_by_kind_and_severity(
    kinds: tuple[AlarmKind, ...], severities: tuple[Severity, ...], expected: bool
) -> None:
    """Pages go out unless the setting names them."""
    now = at("2026-11-04T12:00")
    alarm = Alarm(kind=AlarmKind.QUEUE_AGE, sentence="Work waits.", raised=now)
    recorded = RecordedAlarm(number=1, alarm=alarm, severity=Severity.TICKET, last_seen=now)
    setting = Suppression(window="11:00-13:00", kinds=kinds, severities=severities)
    assert expected == Suppressions([setting]).quiet(recorded, now)
    assert not Suppressions([setting]).quiet(recorded, at("2026-11-04T14:00"))
