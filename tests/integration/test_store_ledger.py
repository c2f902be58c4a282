"""The ledger in bad company: damaged, foreign, newer, locked, full, read-only."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from rebuilder.errors import StoreError
from rebuilder.model.comparison import Level
from rebuilder.store.ledger import Ledger, database
from tests.fakes.mounts import ROOT, run_on_own_disk
from tests.fakes.verifications import NOW, artifact, attempt, report, signed

FILL_THE_DISK = """
import sys
from pathlib import Path
from rebuilder.errors import StoreError
from rebuilder.store.ledger import Ledger
from tests.fakes.verifications import NOW, artifact
Path(sys.argv[1], "ballast").write_bytes(bytes(1 << 18))
ledger = Ledger.open(Path(sys.argv[1], "ledger.sqlite"))
stored = 0
try:
    for stored in range(10_000):
        ledger.cache_put("x", stored, "y" * 10_000, NOW)
except StoreError as error:
    print(error, "|", error.hint)
ledger.close()
Path(sys.argv[1], "ballast").unlink()
with Ledger.open(Path(sys.argv[1], "ledger.sqlite")) as ledger:
    print(stored > 3, all(ledger.cache_get("x", each) for each in range(stored)), ledger.cache_get("x", stored))
"""

READ_ONLY = """
import sys
from pathlib import Path
from rebuilder.errors import StoreError
from rebuilder.store.ledger import Ledger
for name in ("ledger.sqlite", "new/ledger.sqlite"):
    try:
        Ledger.open(Path(sys.argv[1], name))
    except StoreError as error:
        print(error, "|", error.hint)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger with one finished verification."""
    place = tmp_path / "ledger.sqlite"
    with Ledger.open(place) as ledger:
        of = artifact()
        ledger.finish(ledger.begin(of, NOW), signed(report(of, attempt(of, Level.IDENTICAL))))
    return place


def edit(path: Path, statement: str) -> None:
    """Change the database behind the ledger's back."""
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


def test_every_migration_is_listed() -> None:
    """Opening compares with the last entry of REVISIONS, so a migration that is not there would never run."""
    config = Config()
    config.set_main_option("path_separator", "os")
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    scripts = ScriptDirectory.from_config(config).walk_revisions()
    assert database.REVISIONS == tuple(reversed([each.revision for each in scripts]))


def test_opening_what_is_up_to_date_loads_little(path: Path) -> None:
    """Every command opens the ledger; migrations and PostgreSQL are rare, and loading their libraries takes long."""
    program = (
        "import sys; from rebuilder.store.ledger import Ledger; Ledger.open(sys.argv[1]).close(); "
        "print({'alembic', 'psycopg'} & set(sys.modules))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=300, check=True
    )
    assert finished.stdout == "set()\n"


def test_it_stays_in_wal_mode(path: Path) -> None:
    """Readers do not wait for writers, and a kill leaves no half transaction."""
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


@pytest.mark.parametrize("content", [b"not a database, only text", bytes(range(256)) * 64, b"SQLite format 3\0" * 300])
def test_a_file_that_is_no_database(tmp_path: Path, content: bytes) -> None:
    """Garbage is named, not touched, and the way out is said."""
    place = tmp_path / "ledger.sqlite"
    place.write_bytes(content)
    with pytest.raises(StoreError, match=f"The ledger {place} is (not a database|damaged)") as raised:
        Ledger.open(place)
    assert "Move it aside" in str(raised.value.hint)
    assert place.read_bytes() == content


def test_a_damaged_database(path: Path) -> None:
    """Overwritten pages are a sentence, whichever query meets them."""
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(StoreError, match="is damaged"), Ledger.open(path) as ledger:
        ledger.latest()


def test_a_damaged_report(path: Path) -> None:
    """One unreadable document is named, and the rest goes on."""
    edit(path, "UPDATE signed SET report = x'00'")
    with Ledger.open(path) as ledger:
        assert len(ledger.latest()) == 1
        with pytest.raises(StoreError, match=f"The report on {artifact().filename} in the ledger cannot be read"):
            ledger.signed_report(artifact().sha256)


def test_a_damaged_cache_entry_is_forgotten(path: Path) -> None:
    """A cache may forget; it must not stop anything."""
    with Ledger.open(path) as ledger:
        ledger.cache_put("x", 1, "value", NOW)
        edit(path, "UPDATE cache SET value = '{'")
        assert ledger.cache_get("x", 1) is None


def test_a_ledger_of_a_newer_version(path: Path) -> None:
    """Tables we do not know are left alone."""
    edit(path, "UPDATE alembic_version SET version_num = '9999'")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"newer version of rebuilder .*9999"):
        Ledger.open(path)
    assert path.read_bytes() == before


def test_a_ledger_that_is_too_old(path: Path) -> None:
    """Nobody has a program that made such tables any more; they are left alone, too."""
    edit(path, "UPDATE alembic_version SET version_num = '0004'")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="0004"):
        Ledger.open(path)
    assert path.read_bytes() == before


def test_a_database_of_another_program(tmp_path: Path) -> None:
    """No tables are made among somebody else's."""
    place = tmp_path / "ledger.sqlite"
    edit(place, "CREATE TABLE bookmarks (url TEXT)")
    with pytest.raises(StoreError, match=r"belongs to another program .*bookmarks"):
        Ledger.open(place)


def test_a_locked_database(path: Path) -> None:
    """Another process that never ends its transaction is named as the reason, after a while."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with Ledger.open(path, busy_seconds=0.05) as ledger:
        assert len(ledger.latest()) == 1
        with pytest.raises(StoreError, match="is locked by another process"):
            ledger.pin(artifact("other", "1"), NOW)
    other.close()


def test_a_place_that_cannot_be(tmp_path: Path) -> None:
    """A directory under the ledger's name, or a file where its directory should be."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "directory", tmp_path / "file" / "ledger.sqlite"):
        with pytest.raises(StoreError, match=f"The ledger {place} cannot be"):
            Ledger.open(place)


def test_a_full_disk(tmp_path: Path) -> None:
    """What was stored stays, what did not fit is not half there, and with room it goes on."""
    lines = run_on_own_disk(tmp_path, FILL_THE_DISK, size="1m").splitlines()
    assert lines[0].startswith(f"The ledger {tmp_path}/ledger.sqlite is on a full disk"), lines
    assert "Make room" in lines[0]
    assert lines[1] == "True True None"


def test_a_read_only_disk(path: Path) -> None:
    """A store that cannot be written is refused when it is opened."""
    lines = run_on_own_disk(path.parent, READ_ONLY).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"The ledger {path} cannot be")
    assert lines[1].startswith(f"The ledger {path.parent}/new/ledger.sqlite cannot be used: Read-only file system.")
