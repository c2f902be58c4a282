"""``rebuilder log`` as an auditor and an operator use it: over a web server, from a directory, after a backup."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from rebuilder.cli import log
from rebuilder.config import Config
from rebuilder.consumer import auditor
from rebuilder.errors import ExitCode, StoreError, UnavailableError, UsageError
from rebuilder.store.ledger import Ledger
from rebuilder.wiring import publishing
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.ledgers import lay_down
from tests.fakes.web_server import served


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Settings of a rebuilder with nothing in it."""
    config = Config(store=tmp_path / "store", keys=tmp_path / "keys", site=tmp_path / "site")
    config.store.mkdir()
    lay_down(config.store / "ledger.sqlite")
    return config


@pytest.fixture
def address(config: Config) -> Iterator[str]:
    """Of a web server that shows the site."""
    config.site_directory.mkdir()
    with served(config.site_directory) as found:
        yield f"{found}/"


def publish(config: Config, *kinds: str) -> None:
    """Examine, sign and publish."""
    with Ledger.open(config.ledger_place) as ledger:
        for kind in kinds:
            report = getattr(reports, kind)(MemoryBlobs())
            ledger.examined(ledger.begin(report.artifact, report.started), report)
    with publishing(config) as signer:
        signer.publish_all()


def test_an_auditor_comes_back(
    config: Config, address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first time the key is shown and remembered; then the log goes on; one that was cut is refused."""
    publish(config, "build_failed")
    look = partial(auditor.verify, address, key=None, statements=True, seen=tmp_path / "seen")
    assert look() == ExitCode.OK
    log.show_key(config)
    first, key = capsys.readouterr().out.splitlines()
    assert key in first
    old = {path: path.read_bytes() for path in config.site_directory.rglob("*") if path.is_file()}
    publish(config, "unsupported")
    assert look() == ExitCode.OK
    assert "goes on from the 1" in capsys.readouterr().out
    for path, data in old.items():
        path.write_bytes(data)
    assert look() == ExitCode.DIFFERS
    assert "had 2 entries" in capsys.readouterr().out
    publish(config)
    assert look(key=key) == ExitCode.OK


def test_a_statement_that_is_not_the_logged_one(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Changed or gone, it is named; without looking at statements the log itself is whole."""
    publish(config, "build_failed")
    (statement,) = config.site_directory.glob("sha256/*/*/0.dsse.json")
    place, seen = str(config.site_directory), tmp_path / "seen"
    statement.write_bytes(statement.read_bytes() + b" ")
    assert auditor.verify(place, key=None, statements=True, seen=seen) == ExitCode.DIFFERS
    statement.unlink()
    assert auditor.verify(place, key=None, statements=True, seen=seen) == ExitCode.DIFFERS
    assert auditor.verify(place, key=None, statements=False, seen=seen) == ExitCode.OK
    out = capsys.readouterr().out
    assert "not the one that was logged" in out
    assert "missing" in out


def test_a_restored_ledger_takes_back_what_was_published(config: Config, tmp_path: Path) -> None:
    """The backup is refused, everything else is published, and after ``recover`` the log goes on."""
    publish(config, "build_failed")
    ledger = config.store / "ledger.sqlite"
    backup = ledger.read_bytes()
    publish(config, "unsupported")
    ledger.write_bytes(backup)
    with pytest.raises(StoreError, match="over 2"):
        publish(config)
    log.recover(config, None)
    publish(config, "unsupported")
    assert auditor.verify(str(config.site_directory), key=None, statements=True, seen=tmp_path / "seen") == ExitCode.OK
    with Ledger.open(ledger) as opened:
        assert opened.log_book.size() == 3


@pytest.mark.parametrize("place", ["ftp://example.org/", "/nowhere/at/all"])
def test_no_site(place: str, tmp_path: Path) -> None:
    """One sentence, and wrong use."""
    with pytest.raises(UsageError):
        auditor.verify(place, key=None, statements=False, seen=tmp_path)


def test_no_answer_and_no_log(config: Config, address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A site without a log is not one that is whole; a server that is not there is not a log that was changed."""
    assert auditor.verify(address, key=None, statements=False, seen=tmp_path) == ExitCode.DIFFERS
    assert "missing" in capsys.readouterr().out
    with pytest.raises(UsageError, match="no log yet"):
        log.show_key(config)
    with pytest.raises(UnavailableError):
        auditor.verify("http://127.0.0.1:9/", key=None, statements=False, seen=tmp_path)
    with pytest.raises(UsageError, match="no key"):
        auditor.verify(address, key="nonsense", statements=False, seen=tmp_path)
