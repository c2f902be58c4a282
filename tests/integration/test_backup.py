"""A store is backed up while it is used, lost, and put back; the log goes on."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest

from rebuilder.cli import backup, log
from rebuilder.config import Config
from rebuilder.consumer import auditor
from rebuilder.environments.store import EnvironmentStore
from rebuilder.errors import ExitCode, StoreError, UsageError
from rebuilder.store.blobs import DiskBlobs
from rebuilder.store.ledger import Ledger
from rebuilder.wiring import publishing
from tests.fakes import reports
from tests.fakes.clock import FixedClock
from tests.fakes.environments import TinyMaker
from tests.fakes.ledgers import lay_down
from tests.fakes.postgres import Postgres


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Settings of a rebuilder with one build environment, a list of Debian's, and nothing else."""
    config = Config(store=tmp_path / "store", keys=tmp_path / "keys", site=tmp_path / "site")
    EnvironmentStore(config.store / "toolchains", FixedClock(), maker=TinyMaker()).get("trixie")
    (config.store / "debian" / "lists").mkdir(parents=True)
    (config.store / "debian" / "lists" / "abc").write_text("a list\n")
    return config


def publish(config: Config, *kinds: str) -> None:
    """Examine, sign and publish, with everything that the reports name in the store."""
    if config.ledger is None:
        lay_down(config.store / "ledger.sqlite")
    blobs = DiskBlobs(config.store / "blobs")
    with Ledger.open(config.ledger_place) as ledger:
        for kind in kinds:
            report = getattr(reports, kind)(blobs)
            ledger.examined(ledger.begin(report.artifact, report.started), report)
        reports.store_named(blobs, ledger.references())
    with publishing(config) as signer:
        signer.publish_all()


def content(place: Path) -> dict[str, bytes]:
    """Every file of a directory."""
    return {str(each.relative_to(place)): each.read_bytes() for each in place.rglob("*") if each.is_file()}


def test_a_store_that_was_lost(config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All of it is there again, what was published since is taken back, and an auditor sees one log."""
    place = tmp_path / "backup"
    publish(config, "build_failed")
    backup.backup(config, place)
    publish(config, "unsupported")
    environment = EnvironmentStore(config.store / "toolchains", FixedClock()).get("trixie")
    pages = content(config.site_directory)
    shutil.rmtree(config.store)
    capsys.readouterr()

    backup.restore(config, place)
    assert "rebuilder log recover" in capsys.readouterr().out
    assert (
        environment.sha256
        == EnvironmentStore(config.store / "toolchains", FixedClock()).by_digest(environment.sha256).sha256
    )
    assert "a list\n" == (config.store / "debian" / "lists" / "abc").read_text()
    with pytest.raises(StoreError, match="over 2"):
        publish(config)
    log.recover(config, None)
    publish(config)
    assert ExitCode.OK == auditor.verify(str(config.site_directory), key=None, statements=True, seen=tmp_path / "seen")
    after = content(config.site_directory)
    statements = [name for name in pages if name.endswith(".dsse.json") and name.startswith("sha256/")]
    assert 2 == len(statements)
    assert [pages[name] for name in statements] == [after[name] for name in statements]


def test_a_second_backup_copies_what_is_new(config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One ledger counts, and what the first had is not written again."""
    place = tmp_path / "backup"
    publish(config, "build_failed")
    backup.backup(config, place)
    (tree,) = place.glob("environments/*.tar")
    written = tree.stat().st_mtime_ns
    publish(config, "unsupported")
    capsys.readouterr()
    backup.backup(config, place)
    said = capsys.readouterr().out
    assert ("1 build environments (0 new)" in said, written) == (True, tree.stat().st_mtime_ns)
    (ledger,) = place.glob("ledger-*")
    with Ledger.open(ledger) as kept, Ledger.open(config.ledger_place) as ours:
        assert ours.references() == kept.references()
        assert 2 == kept.log_book.size()


def test_what_is_running_goes_along(config: Config, tmp_path: Path) -> None:
    """A backup is made while something is verified; its attempts are there afterwards."""
    publish(config, "build_failed")
    tried = reports.build_failed(DiskBlobs(config.store / "blobs")).attempts[0]
    with Ledger.open(config.ledger_place) as ledger:
        number = ledger.begin(reports.artifact("running"), reports.NOW)
        ledger.add_attempt(number, 0, tried)
        backup.backup(config, tmp_path / "backup")
    restored = config.replace(store=tmp_path / "other", site=tmp_path / "other-site")
    backup.restore(restored, tmp_path / "backup")
    with Ledger.open(restored.ledger_place) as there:
        assert (tried,) == there.recorded(number).attempts


def test_a_damaged_backup_makes_no_ledger(config: Config, tmp_path: Path) -> None:
    """One blob has other bytes: it is named, and what can be used of the store is not taken for the whole."""
    publish(config, "build_failed")
    place = tmp_path / "backup"
    backup.backup(config, place)
    blob = next(each for each in (place / "blobs").rglob("*") if each.is_file() and len(each.name) == 64)
    blob.chmod(0o644)
    blob.write_bytes(b"other")
    restored = config.replace(store=tmp_path / "other", site=tmp_path / "other-site")
    with pytest.raises(StoreError, match=blob.name):
        backup.restore(restored, place)
    assert not (restored.store / "ledger.sqlite").exists()
    next(place.glob("ledger-*")).write_bytes(b"no ledger")
    with pytest.raises(StoreError, match="damaged or gone"):
        backup.restore(restored, place)


def test_what_the_store_lost_is_said(config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The rest is in the backup all the same; what a report names and never needs is not missed."""
    publish(config, "build_failed")
    blobs = config.store / "blobs"
    for number, name in enumerate(("index", "gearbox-0.9.2.tar.gz", "uv")):
        lost = reports.sha(name)
        (blobs / lost[:2] / lost).unlink()
        with pytest.raises(StoreError, match=f"{number} things") if number else nullcontext():
            backup.backup(config, tmp_path / f"backup-{number}")
        assert (number > 0) is (lost in capsys.readouterr().err)
    assert json.loads((tmp_path / "backup-2" / "backup.json").read_text())["rows"] > 0


def test_wrong_places(config: Config, tmp_path: Path) -> None:
    """A directory of somebody else, one inside the store, no backup, and a store that is in use."""
    with pytest.raises(UsageError, match="no ledger"):
        backup.backup(config, tmp_path / "backup")
    publish(config, "build_failed")
    with pytest.raises(UsageError, match="in each other"):
        backup.backup(config, config.store / "backup")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("dear\n")
    with pytest.raises(UsageError, match="other files"):
        backup.backup(config, tmp_path / "mine")
    with pytest.raises(UsageError, match="no backup"):
        backup.restore(config, tmp_path / "mine")
    (tmp_path / "mine" / "backup.json").write_text("{}")
    with pytest.raises(UsageError, match="not the index"):
        backup.restore(config, tmp_path / "mine")
    backup.backup(config, tmp_path / "backup")
    with pytest.raises(UsageError, match="ledger already"):
        backup.restore(config, tmp_path / "backup")


def test_from_postgresql_and_back(config: Config, tmp_path: Path, postgres: Postgres) -> None:
    """The backup needs no server; what is restored into one counts on."""
    ours = config.replace(ledger=postgres.url(postgres.create()))
    publish(ours, "build_failed")
    backup.backup(ours, tmp_path / "backup")
    there = config.replace(
        ledger=postgres.url(postgres.create()), store=tmp_path / "other", site=tmp_path / "other-site"
    )
    backup.restore(there, tmp_path / "backup")
    with Ledger.open(there.ledger_place) as ledger:
        assert 1 == ledger.log_book.size()
    publish(there, "unsupported")
