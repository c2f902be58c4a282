"""The desk that signs: what stops one report does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from rebuilder.errors import CorruptStoreError, RebuilderError, SigningError, StoreError
from rebuilder.model.alarm import Alarm, AlarmKind
from rebuilder.model.comparison import Level
from rebuilder.model.report import Report, SignedReport
from rebuilder.service.signing_loop import SigningLoop
from rebuilder.store.ledger import Ledger
from rebuilder.verification.signer import Signer
from tests.fakes.clock import FixedClock
from tests.fakes.verifications import NOW, artifact, attempt, digest, report, signed


class FakePress:
    """Signs and publishes in the ledger only; ``trouble`` may refuse a report."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.clock = ledger, FixedClock(NOW)
        self.trouble: Callable[[Report], None] = lambda _: None
        self.indexes = 0
        self.pages: list[str] = []

    def finish(self, number: int, of: Report) -> SignedReport:
        """As the real one."""
        self.trouble(of)
        self.ledger.finish(number, signed(of))
        return signed(of)

    def publish(self, number: int, _: SignedReport) -> str:
        """The page is written."""
        self.ledger.published(number, NOW)
        return "page"

    def write_pages_of(self, purl: str) -> None:
        """It is put down."""
        self.pages.append(purl)

    def write_index(self) -> None:
        """It is counted."""
        self.indexes += 1


class Desk:
    """A desk, its press, its clock, and a few examined files."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.press, self.seconds = ledger, FakePress(ledger), 0.0
        self.desk = SigningLoop(cast("Signer", cast("Any", self.press)), monotonic=lambda: self.seconds)

    def examined(self, *names: str) -> None:
        """These files wait for their signature."""
        for name in names:
            of = artifact(name, sha256=digest(name))
            number = self.ledger.begin(of, NOW)
            self.ledger.examined(number, report(of, attempt(of, Level.IDENTICAL)))

    def refuse(self, name: str, error: Exception) -> None:
        """From now on, files of this project cannot be signed."""

        def trouble(of: Report) -> None:
            if of.artifact.name == name:
                raise error

        self.press.trouble = trouble

    def done(self) -> set[str]:
        """Projects with a signed report."""
        return {each.name for each in self.ledger.latest()}

    def given_up(self) -> list[str]:
        """Files that an alarm says were given up."""
        return [each.filename for each in self.ledger.alarms() if each.kind is AlarmKind.GIVEN_UP]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A desk with nothing on it."""
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        yield Desk(ledger)


def test_everything_is_signed_and_published(desk: Desk) -> None:
    """In one step; then nothing waits."""
    desk.examined("a", "b")
    assert [2, 0] == [desk.desk.step() for _ in range(2)]
    assert ({"a", "b"}, [], []) == (desk.done(), desk.ledger.unsigned(9), desk.ledger.unpublished(9))


def test_the_index_follows_every_few_seconds(desk: Desk) -> None:
    """Not for each file; and not when nothing has changed."""
    desk.examined("a")
    desk.desk.step()
    desk.examined("b")
    desk.desk.step()
    assert 1 == desk.press.indexes
    desk.seconds += 11
    desk.desk.step()
    assert 2 == desk.press.indexes
    desk.seconds += 11
    desk.desk.step()
    assert 2 == desk.press.indexes


def test_pages_say_what_became_of_an_alarm_about_them(desk: Desk) -> None:
    """One that somebody else raised, and one that was acknowledged: the pages of the release are written again."""
    desk.desk.step()
    changed = Alarm(kind=AlarmKind.DIGEST_CHANGED, purl="pkg:pypi/a@1", sentence="Other bytes.", raised=NOW)
    expected = []
    for act in (
        lambda: desk.ledger.raise_alarm(changed),
        lambda: desk.ledger.alarm_book.acknowledge(1, "ada", "Asked.", NOW),
    ):
        act()
        for _ in range(2):
            desk.seconds += 11
            desk.desk.step()
        expected.append("pkg:pypi/a@1")
        assert expected == desk.press.pages


@pytest.mark.parametrize(
    "error", [SigningError("It contradicts itself."), CorruptStoreError("Other bytes."), ValueError("odd")]
)
def test_a_report_that_cannot_be_signed_is_an_alarm(desk: Desk, error: Exception) -> None:
    """It is ended, somebody is told, and the others are signed."""
    desk.examined("bad", "good")
    desk.refuse("bad", error)
    assert 1 == desk.desk.step()
    assert ({"good"}, [artifact("bad").file.filename]) == (desk.done(), desk.given_up())
    assert [] == desk.ledger.unsigned(9)


@pytest.mark.parametrize("error", [StoreError("The disk is full."), RebuilderError("The database is away.")])
def test_trouble_that_passes_loses_nothing(desk: Desk, error: Exception) -> None:
    """The report waits, and is signed when the store is back."""
    desk.examined("waits", "good")
    desk.refuse("waits", error)
    desk.desk.step()
    desk.seconds += 3000
    assert 0 == desk.desk.step()
    assert ({"good"}, []) == (desk.done(), desk.given_up())
    desk.press.trouble = lambda _: None
    assert 1 == desk.desk.step()
    assert {"good", "waits"} == desk.done()


def test_trouble_that_does_not_pass_is_an_alarm_at_last(desk: Desk) -> None:
    """After an hour nobody waits any more."""
    desk.examined("waits")
    desk.refuse("waits", StoreError("A blob is missing."))
    for _ in range(2):
        desk.desk.step()
        desk.seconds += 3601
    assert ([], [artifact("waits").file.filename]) == (desk.ledger.unsigned(9), desk.given_up())
