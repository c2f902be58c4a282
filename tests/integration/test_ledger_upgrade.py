"""A ledger of the previous version, made by its own code: upgraded, it says what it said before."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from rebuilder.store.ledger import Ledger, tables
from tests.fakes.ledger_answers import answers
from tests.fakes.ledgers import lay_down_oldest
from tests.fakes.postgres import Postgres
from tests.fakes.reports import NOW

LEDGERS = Path(__file__).parents[1] / "assets" / "ledgers"
BEFORE: dict[str, Any] = json.loads((LEDGERS / "0005.answers.json").read_text())


@pytest.fixture(params=["sqlite", "postgresql"])
def before(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a ledger of version 0005 is."""
    if request.param == "sqlite":
        lay_down_oldest(tmp_path / "ledger")
        return f"sqlite:///{tmp_path}/ledger"
    server: Postgres = request.getfixturevalue("postgres")
    dump, name = (LEDGERS / "0005.postgresql.sql").read_text(), server.create()
    server.administer(dump.replace("{", "{{").replace("}", "}}"), database=name)
    return server.url(name)


def differing(expected: Any, actual: Any, place: str = "") -> list[str]:
    """Where an answer is another one; what is new in it is no difference."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        return [each for key in expected for each in differing(expected[key], actual.get(key), f"{place}/{key}")]
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        pairs = enumerate(zip(expected, actual, strict=True))
        return [each for index, pair in pairs for each in differing(*pair, f"{place}/{index}")]
    return [] if expected == actual else [f"{place}: {expected!r} became {actual!r}"]


def test_it_says_what_it_said(before: str) -> None:
    """Every question has the answer it had; asked twice, because the second time nothing is to be upgraded."""
    for _ in range(2):
        with Ledger.open(before) as ledger:
            said = answers(ledger)
        assert BEFORE.keys() - {"blobs"} == said.keys()
        assert [] == [each for question in said for each in differing(BEFORE[question], said[question], question)]


def test_tables_are_what_the_migrations_make(before: str) -> None:
    """The migrations and ``tables.py``, by which new ledgers are made, say the same."""
    with Ledger.open(before) as ledger, ledger._database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []


def test_blobs_of_reports_stay(before: str) -> None:
    """What reports of before refer to is still kept."""
    with Ledger.open(before) as ledger:
        referred = {each.hex() for each in ledger.references()}
    assert len(BEFORE["blobs"]) > 5
    assert set(BEFORE["blobs"]) <= referred


def test_nobody_waits_for_the_leader_of_before(before: str) -> None:
    """Its process ended before the ledger was upgraded."""
    with Ledger.open(before) as ledger:
        assert ledger.lead("schedules", "machine-0123abcd/1/1", NOW + timedelta(seconds=5))


def test_work_goes_on(before: str) -> None:
    """What was queued is worked on, what was examined is signed, and numbers are never used again."""
    with Ledger.open(before) as ledger:
        lease = ledger.queue.claim("machine-0123abcd/5/5", NOW + timedelta(days=10), 60)
        assert lease is not None
        [(number, report)] = ledger.unsigned()
        assert report.artifact.name == "comet"
        tried = [int(each) for each, attempts in BEFORE["attempts"].items() if attempts]
        assert ledger.begin(report.artifact, NOW) > max(number, *tried)
