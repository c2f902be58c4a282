"""Telling people about alarms: once, together, again after failures, and never in anybody's way."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rebuilder.alarms.delivery import BACK_OFF, Delivery, _Sent
from rebuilder.errors import UsageError
from rebuilder.model.alarm import Alarm, AlarmKind, Severity, Undelivered
from rebuilder.model.settings import AlarmSettings, Suppression, Target
from rebuilder.store.ledger import Ledger
from tests.fakes.clock import FixedClock
from tests.fakes.ledgers import open_ledger
from tests.fakes.sender import FakeSender

SATURDAY = datetime(2026, 11, 7, 12, tzinfo=UTC)
ADDRESS = "https://user:hunter2@example.org/hook/t0ken"
Make = Callable[..., Delivery]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger in a file."""
    with open_ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


@pytest.fixture
def clock() -> FixedClock:
    """A Saturday at noon."""
    return FixedClock(SATURDAY)


@pytest.fixture
def sender() -> Iterator[FakeSender]:
    """Takes everything; lets go of what hangs at the end."""
    made = FakeSender()
    yield made
    made.released.set()


@pytest.fixture
def make(ledger: Ledger, clock: FixedClock, sender: FakeSender) -> Make:
    """Makes a delivery to one target, ``team``, or to others."""

    def made(*names: str, suppress: tuple[Suppression, ...] = (), seconds: float = 30, **fields: object) -> Delivery:
        target = Target.model_validate({"webhook": ADDRESS, "secret": "s3cret", **fields})
        settings = AlarmSettings(targets=dict.fromkeys(names or ("team",), target), suppress=suppress)
        return Delivery(ledger, settings, sender, clock, site="https://example.org/", seconds=seconds)

    return made


def alarm(name: str = "idna", kind: AlarmKind = AlarmKind.DIGEST_CHANGED, cause: str = "") -> Alarm:
    """An alarm about a project."""
    purl = f"pkg:pypi/{name}@1"
    return Alarm(
        kind=kind, purl=purl, filename=f"{name}.whl", sentence=f"{name} changed.", raised=SATURDAY, cause=cause
    )


def waits() -> Alarm:
    """A ticket about our own operation."""
    return Alarm(kind=AlarmKind.QUEUE_AGE, sentence="Work waits.", raised=SATURDAY)


def test_an_alarm_is_told_once(ledger: Ledger, make: Make, sender: FakeSender) -> None:
    """The message says what, how urgent, and where to read on."""
    ledger.raise_alarm(alarm())
    delivery = make()
    assert [1, 0, 0] == [delivery.step() for _ in range(3)]
    [(name, message)] = sender.taken
    assert ("team", "rebuilder: 1 alarm (page)", Severity.PAGE, False) == (
        name,
        message.title,
        message.severity,
        message.over,
    )
    expected = "[page] digest-changed idna.whl: idna changed.\nAll alarms: https://example.org/alarms.html"
    assert expected == message.text


def test_a_hundred_alarms_with_one_cause_are_one_message(ledger: Ledger, make: Make, sender: FakeSender) -> None:
    """A registry that is down wakes nobody a hundred times."""
    for number in range(100):
        ledger.raise_alarm(alarm(f"p{number}", AlarmKind.GIVEN_UP, cause="given-up:unavailable"))
    ledger.raise_alarm(alarm())
    assert 101 == make().step()
    [(_, message)] = sender.taken
    assert "rebuilder: 101 alarms (page)" == message.title
    lines = message.text.splitlines()
    assert "[page] digest-changed idna.whl: idna changed." == lines[0]
    assert "[ticket] 100 alarms: given-up:unavailable" == lines[1]
    assert "  - and 97 more" == lines[5]
    assert [1, 100] == [each["count"] for each in message.content["groups"]]
    assert [1, 20] == [len(each["alarms"]) for each in message.content["groups"]]


def test_many_causes_end_somewhere(ledger: Ledger, make: Make, sender: FakeSender) -> None:
    """A message has a size whatever happens; what is left out is counted."""
    for number in range(50):
        ledger.raise_alarm(alarm(f"p{number}"))
    make().step()
    [(_, message)] = sender.taken
    assert "And 30 more causes." in message.text.splitlines()
    assert (50, 50) == (message.content["alarms"], message.content["causes"])
    assert 20 == len(message.content["groups"])


def test_hostile_text_stays_on_its_line(ledger: Ledger, make: Make, sender: FakeSender) -> None:
    """Names and sentences come from registries: no line of ours can be made up, no message grows without end."""
    evil = alarm().replace(filename="a\n[page] b", sentence="x\x1b[31m\u202e" + "y" * 10_000)
    ledger.raise_alarm(evil)
    make().step()
    [(_, message)] = sender.taken
    assert 2 == len(message.text.splitlines())
    assert all(each.isprintable() for each in message.text.splitlines())
    assert len(message.text) < 2000


def test_targets_get_the_severities_they_asked_for(ledger: Ledger, make: Make, sender: FakeSender) -> None:
    """A phone that is for pages hears of a ticket when it becomes one."""
    delivery = make(severities=["page"])
    ledger.raise_alarm(waits())
    assert 0 == delivery.step()
    ledger.alarm_book.raise_alarm(waits(), severity=Severity.PAGE)
    assert 1 == delivery.step()
    ledger.alarm_book.clear(AlarmKind.QUEUE_AGE, "", SATURDAY)
    assert 1 == delivery.step()
    assert ["rebuilder: 1 alarm (page)", "rebuilder: 1 alarm passed"] == [each.title for _, each in sender.taken]
    assert sender.taken[1][1].over


def test_suppressed_alarms_are_told_afterwards(
    ledger: Ledger, make: Make, sender: FakeSender, clock: FixedClock
) -> None:
    """Tickets wait until Monday; those that have passed by then are not told at all."""
    delivery = make(suppress=(Suppression(window="sat-sun 00:00-23:59"),))
    ledger.raise_alarm(waits())
    ledger.raise_alarm(alarm("late", AlarmKind.GIVEN_UP))
    ledger.raise_alarm(alarm())
    assert 1 == delivery.step()
    ledger.alarm_book.clear(AlarmKind.QUEUE_AGE, "", SATURDAY)
    clock.time = datetime(2026, 11, 9, tzinfo=UTC)
    assert 1 == delivery.step()
    assert ["late changed."] == [
        each["sentence"] for group in sender.taken[1][1].content["groups"] for each in group["alarms"]
    ]


def test_suppression_holds_for_retries_too(ledger: Ledger, make: Make, sender: FakeSender, clock: FixedClock) -> None:
    """What could not be told before the window began is not told within it, and no try is lost."""
    delivery = make(suppress=(Suppression(window="sat-sun 12:01-23:59"),))
    sender.refusing = {"team"}
    ledger.raise_alarm(waits())
    assert 0 == delivery.step()
    sender.refusing.clear()
    clock.time += timedelta(minutes=2)
    assert 0 == delivery.step()
    assert ["team"] == sender.asked
    clock.time = datetime(2026, 11, 9, tzinfo=UTC)
    assert 1 == delivery.step()


def test_failures_are_tried_less_and_less_often_and_then_not(
    ledger: Ledger, make: Make, sender: FakeSender, clock: FixedClock
) -> None:
    """After the last wait the target is said to be dead; another alarm is tried all the same."""
    delivery = make()
    sender.refusing = {"team"}
    ledger.raise_alarm(alarm())
    for number, wait in enumerate(BACK_OFF, start=1):
        assert 0 == delivery.step()
        clock.time += wait - timedelta(seconds=1)
        assert 0 == delivery.step()
        assert number == len(sender.asked)
        clock.time += timedelta(seconds=1)
    trouble = "The webhook of the target team answered 500."
    assert [Undelivered(target="team", alarms=1, given_up=False, trouble=trouble)] == ledger.alarm_book.undelivered()
    delivery.step()
    assert [Undelivered(target="team", alarms=1, given_up=True, trouble=trouble)] == ledger.alarm_book.undelivered()
    clock.time += timedelta(days=30)
    delivery.step()
    assert len(BACK_OFF) + 1 == len(sender.asked)
    ledger.raise_alarm(alarm("other"))
    sender.refusing.clear()
    assert 1 == delivery.step()


def test_the_same_message_has_the_same_number(
    ledger: Ledger, make: Make, sender: FakeSender, clock: FixedClock
) -> None:
    """A receiver that took a message and could not say so gets it again under the same number."""
    delivery = make()
    sender.refusing = {"team"}
    ledger.raise_alarm(alarm())
    delivery.step()
    sender.refusing.clear()
    clock.time += BACK_OFF[0]
    delivery.step()
    ledger.raise_alarm(alarm("other"))
    delivery.step()
    ids = [message.id for _, message in sender.taken]
    assert 2 == len(set(ids))
    assert ids == [message.content["id"] for _, message in sender.taken]


class Heard(queue.Queue[tuple[str, _Sent]]):
    """What came of what was sent; counts what was taken out."""

    count = 0

    def get(self, block: bool = True, timeout: float | None = None) -> tuple[str, _Sent]:
        """Take one out."""
        taken = super().get(block, timeout)
        self.count += 1
        return taken


def test_a_hanging_target_holds_up_nobody(ledger: Ledger, make: Make, sender: FakeSender, clock: FixedClock) -> None:
    """Others are told; the one that hangs counts as failed, and is not asked again before it has let go."""
    sender.hanging = {"hanging"}
    delivery = make("hanging", "good", seconds=20)
    # The time a step waits is over once it was heard of one target, however long that takes.
    delivery._done = heard = Heard()
    delivery.monotonic = lambda: 1000.0 * heard.count
    ledger.raise_alarm(alarm())
    assert 1 == delivery.step()
    assert ["good"] == [name for name, _ in sender.taken]
    trouble = "The target hanging gave no answer within 20 seconds."
    assert [Undelivered(target="hanging", alarms=1, given_up=False, trouble=trouble)] == (
        ledger.alarm_book.undelivered()
    )
    clock.time += timedelta(days=1)
    ledger.raise_alarm(alarm("other"))
    assert 1 == delivery.step()
    assert 1 == sender.asked.count("hanging")


def test_secrets_stay_secret(ledger: Ledger, make: Make, sender: FakeSender, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a library says when it fails: addresses are in no log and not in the ledger."""
    sender.broken = {"team"}
    ledger.raise_alarm(alarm())
    with caplog.at_level(logging.DEBUG):
        make().step()
    [undelivered] = ledger.alarm_book.undelivered()
    assert undelivered.trouble is not None
    assert "target team" in undelivered.trouble
    assert "ValueError" in undelivered.trouble
    assert undelivered.trouble in caplog.text
    assert not any(secret in caplog.text for secret in ("hunter2", "t0ken", "s3cret"))


def test_nobody_to_tell_is_no_trouble(ledger: Ledger, clock: FixedClock, sender: FakeSender) -> None:
    """Without targets alarms are kept and shown; nothing piles up for whoever comes later but what is open."""
    ledger.raise_alarm(alarm())
    assert 0 == Delivery(ledger, AlarmSettings(), sender, clock).step()
    assert [] == sender.asked


def test_a_window_that_cannot_be_meant_is_said_at_the_start(make: Make) -> None:
    """Not on the night it would be needed."""
    with pytest.raises(UsageError, match="there is no time zone"):
        make(suppress=(Suppression(window="02:00-03:00 Mars/Base"),))
