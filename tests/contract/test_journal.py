"""What an examination asks of its journal, whatever keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from rebuilder.errors import StoreError
from rebuilder.model.alarm import Alarm, AlarmKind
from rebuilder.model.artifact import PinResult
from rebuilder.model.attempt import History, NotTried
from rebuilder.model.comparison import Level
from rebuilder.model.value import sha256_hex
from rebuilder.model.work import Check
from rebuilder.store.ledger import Ledger
from rebuilder.verification.parts import Journal
from tests.fakes.journal import MemoryJournal
from tests.fakes.orders import order
from tests.fakes.postgres import Postgres
from tests.fakes.verifications import NOW, artifact, attempt, report

BEFORE = NOW - timedelta(hours=1)
TRIED = attempt(artifact(), Level.DIFFERENT)
MISSING = NotTried(hypothesis=TRIED.hypothesis, reason="there is no guest")


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgresql", marks=pytest.mark.needs_postgres)])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    """An empty journal: the fake that tests may use, and the ledger on each of its databases."""
    if request.param == "memory":
        yield MemoryJournal()
        return
    place = f"sqlite:///{tmp_path}/ledger.sqlite"
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        name: str = request.getfixturevalue("migrated")
        server.clear(name)
        place = server.url(name)
    with Ledger.open(place) as ledger:
        yield ledger


def test_bytes_are_pinned(journal: Journal) -> None:
    """Other bytes under a known name are told, and stay told."""
    changed = artifact(sha256=sha256_hex(b"changed"))
    assert PinResult(first_seen=True) == journal.pin(artifact(), NOW)
    assert PinResult(first_seen=False) == journal.pin(artifact(), NOW)
    assert PinResult(first_seen=True, earlier=(artifact().sha256,)) == journal.pin(changed, NOW)


def test_an_alarm_is_new_once(journal: Journal) -> None:
    """It stays with its release."""
    alarm = Alarm(
        kind=AlarmKind.TAG_MOVED, purl=artifact().purl, filename=artifact().filename, sentence="It moved.", raised=NOW
    )
    assert [True, False] == [journal.raise_alarm(alarm) for _ in range(2)]
    assert ([alarm], []) == (journal.alarms(alarm.purl), journal.alarms("pkg:pypi/other@1"))


def test_what_was_tried_is_there_in_order(journal: Journal) -> None:
    """Attempts and what could not be tried; a run that completed stands for its definition."""
    number = journal.begin(artifact(), NOW)
    second = attempt(artifact(), None, umask="0002")
    for ordinal, each in enumerate((TRIED, second)):
        journal.add_attempt(number, ordinal, each)
    journal.add_not_tried(number, 0, MISSING)
    assert History((TRIED, second), (MISSING,)) == journal.recorded(number)
    assert TRIED.run == journal.earlier_run(TRIED.hypothesis.definition.digest, BEFORE)
    assert journal.earlier_run(TRIED.hypothesis.definition.digest, NOW) is None
    assert journal.earlier_run(second.hypothesis.definition.digest, BEFORE) is None, "it did not complete"


def test_what_failed_on_our_side_is_gone_on_with(journal: Journal) -> None:
    """For an order of the same kind, not too late, once."""
    number = journal.begin(artifact(), NOW, order())
    journal.add_attempt(number, 0, TRIED)
    assert journal.resume(artifact(), BEFORE, order()) is None, "it is going on"
    journal.fail(number, "The disk is full.", NOW)
    for since, asked in ((NOW + timedelta(seconds=1), order()), (BEFORE, order(check=Check.INPUTS)), (BEFORE, None)):
        assert journal.resume(artifact(), since, asked) is None
    assert (number, NOW) == journal.resume(artifact(), BEFORE, order())
    assert journal.resume(artifact(), BEFORE, order()) is None
    journal.examined(number, report(artifact(), TRIED))
    assert journal.resume(artifact(), BEFORE, order()) is None


def test_what_has_ended_has_ended(journal: Journal) -> None:
    """Nobody ends it again, and nothing that was not begun can end; where nothing was tried, nothing goes on."""
    number = journal.begin(artifact(), NOW)
    journal.fail(number, "The disk is full.", NOW)
    assert journal.resume(artifact(), BEFORE) is None
    for ended in (number, 7):
        with pytest.raises(StoreError):
            journal.fail(ended, "Again.", NOW)
        with pytest.raises(StoreError):
            journal.examined(ended, report(artifact(), TRIED))
