"""When watches run: durations, crontab lines, time zones, jitter, and clocks that jump."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebuilder.service.schedules.timing import Cron, Trigger, duration, mistakes, seconds, upcoming, zone
from rebuilder.service.schedules.watch import Timing

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def runs(line: str, start: datetime, count: int, place: ZoneInfo | None = None) -> list[str]:
    """The next times of a crontab line, as the clock on the wall shows them, with the offset."""
    cron = Cron(line, place or ZoneInfo("UTC"))
    found = []
    for _ in range(count):
        start = cron.after(start)
        found.append(f"{start.astimezone(place or UTC):%m-%d %H:%M %z}")
    return found


@pytest.mark.parametrize(("text", "number"), [("90s", 90), ("15m", 900), ("6h", 21600), ("1d", 86400), ("2w", 1209600)])
def test_durations_are_read_and_written(text: str, number: int) -> None:
    """Each unit; what is written is what was read."""
    assert number == seconds(text)
    assert text == duration(number)


@pytest.mark.parametrize("text", ["", "6", "6 h", "-1h", "0h", "1.5h", "٣h", "999999999w", "h", "6h\n"])
def test_no_duration(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match=r"duration|ten years"):
        seconds(text)


def test_a_skipped_time_comes_once_after_the_gap() -> None:
    """02:30 does not exist on 29 March 2026 in Berlin: it runs at 03:00, and once."""
    start = datetime(2026, 3, 27, 12, tzinfo=UTC)
    expected = ["03-28 02:30 +0100", "03-29 03:00 +0200", "03-30 02:30 +0200"]
    assert expected == runs("30 2 * * *", start, 3, BERLIN)


def test_a_doubled_time_comes_once() -> None:
    """02:30 is there twice on 25 October 2026 in Berlin: it runs the first time only."""
    start = datetime(2026, 10, 23, 12, tzinfo=UTC)
    expected = ["10-24 02:30 +0200", "10-25 02:30 +0200", "10-26 02:30 +0100"]
    assert expected == runs("30 2 * * *", start, 3, BERLIN)


@pytest.mark.parametrize(
    ("place", "day"),
    [
        ("Europe/Berlin", "2026-03-29"),
        ("Europe/Berlin", "2026-10-25"),
        ("America/New_York", "2026-03-08"),
        ("America/New_York", "2026-11-01"),
        ("America/Santiago", "2026-04-05"),
        ("America/Santiago", "2026-09-06"),
        ("Australia/Lord_Howe", "2026-04-05"),
        ("Australia/Lord_Howe", "2026-10-04"),
        ("Africa/Cairo", "2026-04-24"),
        ("Africa/Cairo", "2026-10-30"),
    ],
)
@pytest.mark.parametrize("line", ["*/15 * * * *", "*/30 * * * *", "* * * * *"])
def test_a_line_that_counts_minutes_loses_none_when_the_clock_is_moved(line: str, place: str, day: str) -> None:
    """In spring and in autumn it runs at every moment at which the clock on the wall shows a time of the line."""
    zone_of_it = ZoneInfo(place)
    start = datetime.fromisoformat(day).replace(tzinfo=zone_of_it).astimezone(UTC) - timedelta(hours=4)
    minutes = [start + timedelta(minutes=n) for n in range(1, 30 * 60)]
    step = {"*": 1, "*/15": 15, "*/30": 30}[line.split(maxsplit=1)[0]]
    expected = [each for each in minutes if each.astimezone(zone_of_it).minute % step == 0]
    offsets = {each.astimezone(zone_of_it).utcoffset() for each in minutes}
    cron, moment, found = Cron(line, zone_of_it), start, []
    for _ in expected:
        moment = cron.after(moment)
        found.append(moment)
    assert 2 == len(offsets), "the clock was not moved on this day"
    assert expected == found


@pytest.mark.parametrize("place", ["Europe/Berlin", "America/New_York", "America/Santiago", "Australia/Lord_Howe"])
@pytest.mark.parametrize("line", ["0 0 * * *", "30 1 * * *", "15,45 2 * * *"])
def test_times_of_the_day_come_once_on_every_day(line: str, place: str) -> None:
    """A year has as many runs as days; two times that the clock skips together are one run."""
    zone_of_it = ZoneInfo(place)
    cron, moment = Cron(line, zone_of_it), datetime(2026, 1, 1, tzinfo=zone_of_it).astimezone(UTC) - timedelta(hours=1)
    days: dict[str, int] = {}
    while (moment := cron.after(moment)).astimezone(zone_of_it).year == 2026:
        day = f"{moment.astimezone(zone_of_it):%m-%d}"
        days[day] = days.get(day, 0) + 1
    times = line.count(",") + 1
    assert 365 == len(days)
    assert {times} <= set(days.values()) <= {1, times}


def test_a_line_that_counts_minutes_runs_in_both_passes_of_an_hour() -> None:
    """The hour that Berlin has twice on 25 October 2026 has its runs twice."""
    start = datetime(2026, 10, 25, 0, 31, tzinfo=UTC)
    expected = ["10-25 02:45 +0200", "10-25 02:00 +0100", "10-25 02:15 +0100", "10-25 02:30 +0100"]
    assert expected == runs("*/15 * * * *", start, 4, BERLIN)


def test_started_in_the_second_pass_of_an_hour() -> None:
    """At 02:10 for the second time, 02:30 has been already."""
    start = datetime(2026, 10, 25, 2, 10, fold=1, tzinfo=BERLIN)
    assert ["10-26 02:30 +0100"] == runs("30 2 * * *", start, 1, BERLIN)


def test_leap_day() -> None:
    """29 February comes every four years, and in 2100 not."""
    start = datetime(2093, 1, 1, tzinfo=UTC)
    cron = Cron("0 0 29 2 *", ZoneInfo("UTC"))
    first = cron.after(start)
    assert [2096, 2104] == [first.year, cron.after(first).year]


def test_the_31st() -> None:
    """Months without a 31st are passed over."""
    assert ["01-31 06:00 +0000", "03-31 06:00 +0000"] == runs("0 6 31 * *", datetime(2026, 1, 2, tzinfo=UTC), 2)


@pytest.mark.parametrize(
    ("field", "days"),
    [
        ("0", "Sun"),
        ("7", "Sun"),
        ("1-5", "Mon Tue Wed Thu Fri"),
        ("mon-fri/2", "Mon Wed Fri"),
        ("fri-sun", "Fri Sat Sun"),
        ("SAT-SUN", "Sat Sun"),
    ],
)
def test_weekdays_are_those_of_crontab(field: str, days: str) -> None:
    """0 and 7 are Sunday, steps count, names too."""
    cron = Cron(f"0 0 * * {field}", ZoneInfo("UTC"))
    moment, found = datetime(2026, 11, 1, tzinfo=UTC) - timedelta(seconds=1), set()
    for _ in range(7):
        moment = cron.after(moment)
        found.add(f"{moment:%a}")
    assert set(days.split()) == found


def test_day_or_weekday() -> None:
    """When both are given either will do, as crontab(5) has it."""
    expected = ["11-02 00:00 +0000", "11-09 00:00 +0000", "11-13 00:00 +0000", "11-16 00:00 +0000"]
    assert expected == runs("0 0 13 * mon", NOON, 4)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0 0 30 2 *", "no such day"),
        ("0 0 31 4,6 *", "no such day"),
        ("* * */20 * 1L", "never comes"),
        ("60 * * * *", "no such minute"),
        ("9" * 5000 + " * * * *", "longer than"),
        ("* * * *", "has 4 fields"),
        ("@daily", "has 1 fields"),
        ("* * 0 * *", "no such day"),
        ("0 0 0 * * *", "has 6 fields"),
        ("*/0 * * * *", "minute"),
        ("5-1 * * * *", "minute"),
        ("0 0 * * mon#6", "day-of-week"),
        ("0 0 * foo *", "month"),
        ("0 0 last5 * *", "day"),
        (", * * * *", "minute"),
    ],
)
def test_wrong_lines(line: str, words: str) -> None:
    """What crontab would not run is refused, in words."""
    with pytest.raises(ValueError, match=words):
        Cron(line, ZoneInfo("UTC"))


@pytest.mark.parametrize(
    "name", ["Europe/Berlni", "../../etc/passwd", "", "/etc/localtime", "a" * 5000, "Europe", "\0"]
)
def test_no_zone(name: str) -> None:
    """A zone that is none is a sentence, whatever it would be as a path."""
    with pytest.raises(ValueError, match="no time zone"):
        zone(name)


@pytest.mark.parametrize(
    ("timing", "key"),
    [
        (Timing(every=30), "every"),
        (Timing(every=3600, jitter=3600), "jitter"),
        (Timing(cron="0,10 * * * *", jitter=600), "jitter"),
        (Timing(cron="0 0 30 2 *"), "cron"),
        (Timing(cron="0 0 * * *", time_zone="Nowhere"), "time_zone"),
    ],
)
def test_timings_that_cannot_be_followed(timing: Timing, key: str) -> None:
    """The mistake names the key."""
    assert [key] == [each for each, _ in mistakes(timing)]


def test_every_mistake_of_a_timing_is_told() -> None:
    """A zone that is none hides no line that is none; jitter has nothing to be compared with then."""
    timing = Timing(cron="61 * * * *", time_zone="Nowhere", jitter=10**9)
    assert ["time_zone", "cron"] == [each for each, _ in mistakes(timing)]


@given(chances=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=50))
def test_jitter_has_bounds_and_no_drift(chances: list[float]) -> None:
    """Run number n comes between n intervals and n intervals with the jitter, however the dice fall."""
    dice = iter(chances)
    trigger = Trigger(Timing(every=3600, jitter=600), NOON, lambda: next(dice))
    moment = NOON
    for number in range(1, len(chances) + 1):
        moment = trigger.get_next_fire_time(moment, moment)
        late = moment - NOON - number * timedelta(hours=1)
        assert timedelta(0) <= late <= timedelta(minutes=10)


def test_jitter_of_a_line_is_not_counted_on() -> None:
    """The run after a late one is not later for it."""
    trigger = Trigger(Timing(cron="0 * * * *", jitter=3000), NOON, lambda: 0.9)
    first = trigger.get_next_fire_time(None, NOON)
    assert timedelta(hours=1) == trigger.get_next_fire_time(first, first) - first


@pytest.mark.parametrize("timing", [Timing(every=60), Timing(cron="* * * * *")])
def test_what_was_missed_is_not_made_up_for(timing: Timing) -> None:
    """After a year asleep the next time is after now: one run, not half a million."""
    now = NOON + timedelta(days=365, seconds=1)
    assert now < Trigger(timing, NOON).get_next_fire_time(NOON, now) <= now + timedelta(minutes=1)


def test_upcoming_is_without_jitter() -> None:
    """What is shown to a person are the plain times."""
    assert [NOON + timedelta(hours=n) for n in (1, 2)] == upcoming(Timing(every=3600, jitter=60), NOON, 2)
