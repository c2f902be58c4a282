"""The ledger's memory of publishers: the first one stays, also under concurrency and after an upgrade."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from rebuilder.errors import StoreError
from rebuilder.model.artifact import PinResult
from rebuilder.model.comparison import Level
from rebuilder.model.provenance import Forge, RememberedPublisher
from rebuilder.provenance.checker import PublisherMemory
from rebuilder.store.ledger import Ledger, database
from tests.fakes.ledgers import lay_down_oldest, open_ledger
from tests.fakes.verifications import NOW, artifact, attempt, digest


def publisher(repository: str | None = "https://github.com/o/r", **changes: object) -> RememberedPublisher:
    """A publisher with every column filled in."""
    fields = {
        "ecosystem": "pypi",
        "name": "idna",
        "forge": Forge.GITHUB,
        "issuer": "https://token.actions.githubusercontent.com",
        "account": "robot@example.org",
        "repository": repository,
        "repository_id": "7",
        "workflow": ".github/workflows/release.yml",
        "environment": "pypi",
        "purl": "pkg:pypi/idna@3.20",
        "filename": "idna-3.20-py3-none-any.whl",
        "sha256": digest("idna"),
        "uploaded": NOW - timedelta(days=3),
        "remembered": NOW,
    }
    return RememberedPublisher.model_validate(fields | changes)


def test_first_one_stays(tmp_path: Path) -> None:
    """What was remembered first comes back whole, whatever is remembered later and after closing."""
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        memory: PublisherMemory = ledger
        assert memory.remembered_publisher("pypi", "idna") is None
        assert publisher() == memory.remember_publisher(publisher())
        assert publisher() == memory.remember_publisher(publisher("https://github.com/evil/r", remembered=NOW))
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        assert publisher() == ledger.remembered_publisher("pypi", "idna")


def test_projects_are_apart(tmp_path: Path) -> None:
    """The same name in another ecosystem is another project; what is not known stays unknown."""
    bare = publisher(None, ecosystem="npm", account=None, repository_id=None, workflow=None, environment=None)
    bare = bare.replace(uploaded=None)
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.remember_publisher(publisher())
        assert bare == ledger.remember_publisher(bare)
        assert publisher() == ledger.remembered_publisher("pypi", "idna")
        assert bare == ledger.remembered_publisher("npm", "idna")
        assert ledger.remembered_publisher("pypi", "other") is None


def test_times_are_utc(tmp_path: Path) -> None:
    """A time of another zone is the same moment afterwards; one without a zone is refused."""
    there = timezone(timedelta(hours=5))
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        kept = ledger.remember_publisher(publisher(uploaded=NOW.astimezone(there)))
        assert (NOW, timedelta(0)) == (kept.uploaded, kept.uploaded.utcoffset() if kept.uploaded else None)
        with pytest.raises(Exception, match="no time zone"):
            ledger.remember_publisher(publisher(name="x", remembered=datetime(2026, 1, 1)))  # noqa: DTZ001


def test_one_winner(tmp_path: Path) -> None:
    """Many at once, each with a ledger of its own: all are told the same publisher, and it is kept."""
    open_ledger(tmp_path / "ledger.sqlite").close()

    def remember(number: int) -> RememberedPublisher:
        with open_ledger(tmp_path / "ledger.sqlite") as ledger:
            return ledger.remember_publisher(publisher(f"https://github.com/o/{number}"))

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(remember, range(16)))
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        assert [ledger.remembered_publisher("pypi", "idna")] * 16 == told


def versions(path: Path) -> list[tuple[str, ...]]:
    """What the database says of its tables."""
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    connection.close()
    return found


def test_old_ledgers_are_upgraded(tmp_path: Path) -> None:
    """A ledger of the oldest revision keeps what it has and can remember publishers after it was opened."""
    path = tmp_path / "ledger.sqlite"
    lay_down_oldest(path)
    with closing(sqlite3.connect(path)) as connection:
        of, when = artifact(), NOW.replace(tzinfo=None).isoformat(" ")
        connection.execute(
            "INSERT INTO artifact (ecosystem, purl, name, version, filename, sha256, url, first_seen)"
            " VALUES (?, ?, ?, ?, ?, ?, 'http://127.0.0.1/', ?)",
            (of.ecosystem, of.purl, of.name, of.version, of.filename, of.sha256, when),
        )
        connection.commit()
    assert [("0005",)] == versions(path)
    with Ledger.open(path) as ledger:
        assert PinResult(first_seen=False) == ledger.pin(artifact(), NOW)
        assert publisher() == ledger.remember_publisher(publisher())
        number = ledger.begin(artifact(), NOW)
        ledger.add_attempt(number, 0, attempt(artifact(), Level.IDENTICAL))
    assert [(database.REVISIONS[-1],)] == versions(path)
    with Ledger.open(path) as ledger:
        assert publisher() == ledger.remembered_publisher("pypi", "idna")


def test_old_ledger_opened_by_many(tmp_path: Path) -> None:
    """Several at once upgrade it once."""
    path = tmp_path / "ledger.sqlite"
    lay_down_oldest(path)

    def look(_: int) -> RememberedPublisher | None:
        with Ledger.open(path) as ledger:
            return ledger.remembered_publisher("pypi", "idna")

    with ThreadPoolExecutor(6) as pool:
        assert [None] * 6 == list(pool.map(look, range(6)))


def test_unreadable_row(tmp_path: Path) -> None:
    """A row that is no publisher is a sentence, not a traceback, and not a missing memory."""
    path = tmp_path / "ledger.sqlite"
    with Ledger.open(path) as ledger:
        ledger.remember_publisher(publisher())
    connection = sqlite3.connect(path)
    connection.execute("UPDATE publisher SET forge = 'moon'")
    connection.commit()
    connection.close()
    with Ledger.open(path) as ledger, pytest.raises(StoreError, match="pypi:idna in the ledger cannot be read"):
        ledger.remembered_publisher("pypi", "idna")
