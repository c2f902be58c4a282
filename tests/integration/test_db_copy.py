"""A ledger moved to another database, and a ledger of an older version: every row and every number stays."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import MetaData, create_engine

from rebuilder.cli import db
from rebuilder.errors import StoreError, UsageError
from rebuilder.store.ledger import Ledger, copying, database, tables
from rebuilder.store.ledger.database import Database
from rebuilder.store.ledger.liveness import SessionLiveness
from tests.fakes.ledger_rows import content, fill
from tests.fakes.ledgers import lay_down_oldest
from tests.fakes.postgres import Postgres
from tests.fakes.verifications import NOW, artifact

ROWS = 250  # more than two batches


@pytest.fixture
def full(tmp_path: Path) -> str:
    """A ledger in a file with rows in all tables; of the queue and of verifications the last ones are gone."""
    path = tmp_path / "full.sqlite"
    opened = Database(path, busy_seconds=1)
    with opened.writing() as connection:
        fill(connection, tables.metadata, ROWS)
        connection.exec_driver_sql("DELETE FROM task WHERE id > 200")
        connection.exec_driver_sql("UPDATE verification SET state = 'running' WHERE id < 10")
    opened.close()
    return str(path)


def everything(place: str) -> dict[str, list[tuple[object, ...]]]:
    """All rows of a ledger."""
    opened = Database(place, busy_seconds=1)
    with opened.reading() as connection:
        rows = content(connection, tables.metadata)
    opened.close()
    return rows


def next_numbers(place: str) -> list[int]:
    """The numbers a new row gets in the tables whose rows are numbered."""
    opened = Database(place, busy_seconds=1)
    given = []
    with opened.writing() as connection:
        for table in tables.metadata.sorted_tables:
            if table.autoincrement_column is not None:
                lines = content(connection, tables.metadata)[table.name]
                row = dict(zip(table.columns.keys(), lines[0], strict=True))
                del row["id"]
                unique = {"key", "sha256", "filename", "target", "nonce"} & row.keys()
                row |= {name: f"new {row[name]}"[:32] for name in unique}
                inserted = connection.execute(table.insert().values(row)).inserted_primary_key
                given.append(int(inserted[0]) if inserted else 0)
        connection.rollback()
    opened.close()
    return given


def copy_back(source: str, target: str) -> None:
    """Copy from a server that was started just now and is not asked to wait until everybody may be back."""
    with closing(Database(source, busy_seconds=1)) as old, closing(Database(target, busy_seconds=1)) as new:
        assert isinstance(old.liveness, SessionLiveness)
        old.liveness.grace_seconds = 0
        told: dict[str, tuple[int, int]] = {}
        copied = copying.copy(old, new, lambda table, done, total: told.update({table: (done, total)}))
        assert told == {table: (rows, rows) for table, rows in copied.items()}


def test_there_and_back(full: str, tmp_path: Path, postgres: Postgres, capsys: pytest.CaptureFixture[str]) -> None:
    """SQLite to PostgreSQL to SQLite: the same rows, and numbers that were never used for the rows to come."""
    there, back = postgres.url(postgres.create()), f"sqlite:///{tmp_path}/back.sqlite"
    db.copy(full, there)
    printed = capsys.readouterr().out
    assert f"All {sum(map(len, everything(full).values()))} rows" in printed
    copy_back(there, back)
    assert everything(full) == everything(there)
    assert everything(full) == everything(back)
    assert ROWS == len(everything(there)["signed"])
    assert next_numbers(full) == next_numbers(there)
    assert next_numbers(full) == next_numbers(back)
    assert ROWS + 1 in next_numbers(back)


def test_an_empty_ledger(tmp_path: Path, postgres: Postgres) -> None:
    """Nothing is copied as nothing, and the first numbers are the first."""
    Ledger.open(tmp_path / "empty").close()
    there = postgres.url(postgres.create())
    db.copy(str(tmp_path / "empty"), there)
    with Ledger.open(there) as ledger:
        assert ledger.begin(artifact(), NOW) == 1


def test_a_target_with_rows_is_refused(full: str, postgres: Postgres) -> None:
    """Two ledgers are never mixed; a ledger is never copied onto itself."""
    there = postgres.url(postgres.create())
    with Ledger.open(there) as ledger:
        ledger.cache_put("x", 1, "kept", NOW)
        with pytest.raises(UsageError, match="is not empty: its table 'cache' has rows"):
            db.copy(full, there)
        assert ledger.cache_get("x", 1) == "kept"
        assert ledger.history("pypi", "idna") == []
    with pytest.raises(UsageError, match="is not empty"):
        db.copy(full, full)


def test_a_ledger_in_use_is_refused(full: str, postgres: Postgres) -> None:
    """What is running would not be copied as it ends; from either database."""
    there = postgres.url(postgres.create())
    with Ledger.open(full) as ledger:
        ledger.begin(artifact(), NOW)
        with pytest.raises(UsageError, match="1 of its verifications are running"):
            db.copy(full, there)
    db.copy(full, there)
    with Ledger.open(there) as ledger:
        ledger.begin(artifact(), NOW)
        with pytest.raises(UsageError, match="of its verifications are running"):
            db.copy(there, full + ".back")


def test_a_source_that_is_not_there(tmp_path: Path, postgres: Postgres) -> None:
    """A mistyped name is told, and makes no ledger."""
    with pytest.raises(UsageError, match="There is no ledger"):
        db.copy(str(tmp_path / "ledgre"), postgres.url(postgres.create()))
    with pytest.raises(UsageError, match="There is no ledger"):
        db.copy(f"sqlite:///{tmp_path}/ledgre", postgres.url(postgres.create()))
    assert list(tmp_path.iterdir()) == []


def test_a_row_that_does_not_fit_leaves_the_target_empty(full: str, postgres: Postgres) -> None:
    """All rows arrive, or none."""
    connection = sqlite3.connect(full)
    connection.execute("UPDATE tally SET label = ? WHERE value = (SELECT max(value) FROM tally)", ("x" * 65,))
    connection.commit()
    connection.close()
    there = postgres.url(postgres.create())
    with pytest.raises(StoreError, match="does not take a value"):
        db.copy(full, there)
    assert not any(everything(there).values())


def test_a_ledger_of_the_oldest_version_keeps_everything(tmp_path: Path) -> None:
    """Widening tables loses no row and no value, and the references between rows still hold."""
    path = tmp_path / "ledger.sqlite"
    lay_down_oldest(path)
    engine = create_engine(f"sqlite:///{path}")
    old = MetaData()
    with engine.begin() as connection:
        old.reflect(connection)
        for table in reversed(old.sorted_tables):
            if table.name != "alembic_version":
                connection.execute(table.delete())
        connection.exec_driver_sql("DELETE FROM sqlite_sequence")
        fill(connection, old, 20)
        before = content(connection, old)
    Ledger.open(path).close()
    with engine.begin() as connection:
        assert content(connection, old) == before
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall() == []
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").fetchall() == [
            (database.REVISIONS[-1],)
        ]
        kept = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'verification'").scalar()
        assert kept == 20
    engine.dispose()
    assert all(len(rows) == 20 for name, rows in everything(str(path)).items() if name in before)
