"""The harness that signs: what stops one report does not stop the others."""

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
from rebuilder.signing.key_directory import KeyNotGoodError
from rebuilder.store.ledger import Ledger
from rebuilder.verification.signer import Signer
from tests.fakes.clock import FixedClock
from tests.fakes.ledgers import open_ledger
from tests.fakes.verifications import NOW, artifact, attempt, digest, report, signed


class FakeSigner:
    """Signs and publishes in the ledger only; ``trouble`` may refuse a report."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.clock = ledger, FixedClock(NOW)
        self.trouble: Callable[[Report], None] = lambda _: None
        self.indexes = self.complete = 0
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
        self.complete += 1

    def update_index(self) -> None:
        """It is counted."""
        self.indexes += 1


class Harness:
    """A signing loop, its signer, its clock, and a few examined files."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.signer, self.seconds = ledger, FakeSigner(ledger), 0.0
        self.loop = SigningLoop(cast("Signer", cast("Any", self.signer)), monotonic=lambda: self.seconds)

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

        self.signer.trouble = trouble

    def done(self) -> set[str]:
        """Projects with a signed report."""
        return {each.name for each in self.ledger.latest()}

    def given_up(self) -> list[str]:
        """Files that an alarm says were given up."""
        return [each.filename for each in self.ledger.alarms() if each.kind is AlarmKind.GIVEN_UP]


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    """A loop with nothing to do."""
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        yield Harness(ledger)


def test_everything_is_signed_and_published(harness: Harness) -> None:
    """In one step; then nothing waits."""
    harness.examined("a", "b")
    assert [2, 0] == [harness.loop.step() for _ in range(2)]
    assert ({"a", "b"}, [], []) == (harness.done(), harness.ledger.unsigned(9), harness.ledger.unpublished(9))


def test_the_index_follows_every_few_seconds(harness: Harness) -> None:
    """Not for each file; and not when nothing has changed."""
    harness.examined("a")
    harness.loop.step()
    harness.examined("b")
    harness.loop.step()
    assert 1 == harness.signer.indexes
    harness.seconds += 11
    harness.loop.step()
    assert 2 == harness.signer.indexes
    harness.seconds += 11
    harness.loop.step()
    assert 2 == harness.signer.indexes


def test_once_an_hour_all_rows_are_compared_with_what_was_signed(harness: Harness) -> None:
    """At the start and then each hour, also when nothing has happened; in between, what is new is put in."""
    harness.examined("a")
    harness.loop.step()
    assert (1, 1) == (harness.signer.indexes, harness.signer.complete)
    harness.seconds += 1800
    harness.examined("b")
    harness.loop.step()
    assert (2, 1) == (harness.signer.indexes, harness.signer.complete)
    harness.seconds += 1801
    harness.loop.step()
    assert (3, 2) == (harness.signer.indexes, harness.signer.complete)


def test_pages_say_what_became_of_an_alarm_about_them(harness: Harness) -> None:
    """One that somebody else raised, and one that was acknowledged: the pages of the release are written again."""
    harness.loop.step()
    changed = Alarm(kind=AlarmKind.DIGEST_CHANGED, purl="pkg:pypi/a@1", sentence="Other bytes.", raised=NOW)
    expected = []
    for act in (
        lambda: harness.ledger.raise_alarm(changed),
        lambda: harness.ledger.alarm_book.acknowledge(1, "ada", "Asked.", NOW),
    ):
        act()
        for _ in range(2):
            harness.seconds += 11
            harness.loop.step()
        expected.append("pkg:pypi/a@1")
        assert expected == harness.signer.pages


@pytest.mark.parametrize(
    "error", [SigningError("It contradicts itself."), CorruptStoreError("Other bytes."), ValueError("odd")]
)
def test_a_report_that_cannot_be_signed_is_an_alarm(harness: Harness, error: Exception) -> None:
    """It is ended, somebody is told, and the others are signed."""
    harness.examined("bad", "good")
    harness.refuse("bad", error)
    assert 1 == harness.loop.step()
    assert ({"good"}, [artifact("bad").file.filename]) == (harness.done(), harness.given_up())
    assert [] == harness.ledger.unsigned(9)


@pytest.mark.parametrize("error", [StoreError("The disk is full."), RebuilderError("The database is away.")])
def test_trouble_that_passes_loses_nothing(harness: Harness, error: Exception) -> None:
    """The report waits, and is signed when the store is back."""
    harness.examined("waits", "good")
    harness.refuse("waits", error)
    harness.loop.step()
    harness.seconds += 3000
    assert 0 == harness.loop.step()
    assert ({"good"}, []) == (harness.done(), harness.given_up())
    harness.signer.trouble = lambda _: None
    assert 1 == harness.loop.step()
    assert {"good", "waits"} == harness.done()


def test_a_key_that_is_not_good_loses_nothing(harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
    """However long it takes until there is the next one; the log says it once, with what to do."""
    harness.examined("waits")
    harness.refuse("waits", KeyNotGoodError("The key was revoked.", hint="Restart."))
    for _ in range(3):
        assert 0 == harness.loop.step()
        harness.seconds += 100_000
    assert ["The key was revoked. Restart."] == [each.message for each in caplog.records if "key" in each.message]
    assert [] == harness.given_up()
    harness.signer.trouble = lambda _: None
    assert 1 == harness.loop.step()


def test_trouble_that_does_not_pass_is_an_alarm_at_last(harness: Harness) -> None:
    """After an hour nobody waits any more."""
    harness.examined("waits")
    harness.refuse("waits", StoreError("A blob is missing."))
    for _ in range(2):
        harness.loop.step()
        harness.seconds += 3601
    assert ([], [artifact("waits").file.filename]) == (harness.ledger.unsigned(9), harness.given_up())


def test_what_somebody_else_has_signed_is_no_trouble(harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
    """Two sign at once where a service is stopped, or `rebuilder publish` runs beside it: the first one counts."""
    harness.examined("a", "b")
    waiting = {each.artifact.name: number for number, each in harness.ledger.unsigned(9)}

    def elsewhere(of: Report) -> None:
        if of.artifact.name == "a":
            harness.ledger.finish(waiting["a"], signed(of.replace(rebuilder_version="other")))

    harness.signer.trouble = elsewhere
    assert 1 == harness.loop.step()
    assert ({"a", "b"}, []) == (harness.done(), harness.given_up())
    assert [] == [each.levelname for each in caplog.records if each.levelname == "WARNING"]
