"""The guide for an upgrade and the way back: its commands are typed as they stand there, on stores of two versions."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import shutil
import sqlite3
import subprocess
import urllib.error
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rebuilder.config import Config
from rebuilder.store.blobs import DiskBlobs
from rebuilder.store.ledger import Ledger, database
from rebuilder.wiring import publishing
from tests.fakes import reports
from tests.fakes.command import Installation
from tests.fakes.ledgers import lay_down
from tests.fakes.processes import until
from tests.fakes.registry import Registry
from tests.soak.processes import Service
from tests.soak.world import SETTINGS
from tests.unit.test_readme import ROOT, lines

PAGE = (ROOT / "docs" / "operate" / "upgrade.md").read_text()
SECTIONS = dict(zip(*[iter(re.split(r"^## (.+)\n", PAGE, flags=re.MULTILINE)[1:])] * 2, strict=True))
OLDEST = ROOT / "tests" / "assets" / "ledgers" / "0005.sqlite.sql"
BEFORE: dict[str, Any] = json.loads(OLDEST.with_name("0005.answers.json").read_text())
OF_THE_MACHINE = {"systemctl", "tools/install-python", "install", "curl"}


@dataclass
class Machine:
    """Where the places of the page are."""

    root: Path
    installation: Installation

    def type(self, line: str) -> tuple[int, str]:
        """Type a command of the page; exit code and all that was said."""
        places = {
            "/var/lib/rebuilder-newer/site": str(self.installation.site),
            "/var/lib/rebuilder": str(self.installation.store),
            "/etc/rebuilder": str(self.root / "keys"),
            "/backup": str(self.root / "backup"),
        }
        if line.startswith("rebuilder "):
            return self.installation.typed(line, self.root, places)
        for written, meant in places.items():
            line = line.replace(written, meant)
        done = subprocess.run(shlex.split(line), capture_output=True, text=True, timeout=300, check=False)
        return done.returncode, done.stdout + done.stderr

    def follow(self, section: str, block: int = 0, ends: Mapping[str, int] | None = None) -> str:
        """Type all commands of a block of a section but those of the machine itself; what they said.

        Args:
            section: Its title.
            block: Which of its blocks.
            ends: Exit codes that are not 0, by command.
        """
        commands = lines(re.findall(r"```sh\n.*?```", SECTIONS[section], re.DOTALL)[block])
        ours = [each for each in commands if shlex.split(each)[0] not in OF_THE_MACHINE]
        assert ours
        said = []
        for line in ours:
            code, text = self.type(line)
            assert (ends or {}).get(line, 0) == code, f"{line}\n{text}"
            said.append(text)
        return "".join(said)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """An installation without build environments, an index, and a disk for backups."""
    for name in ("backup", "store"):
        (tmp_path / name).mkdir()
    (tmp_path / "keys").mkdir(mode=0o700)
    with Registry() as registry:
        yield Machine(tmp_path, Installation(tmp_path, registry.url))


def publish(machine: Machine, kind: str) -> None:
    """Examine, sign and publish a file of a kind."""
    root, installation = machine.root, machine.installation
    lay_down(installation.store / "ledger.sqlite")
    config = Config(store=installation.store, keys=root / "keys", site=installation.site)
    blobs = DiskBlobs(config.store / "blobs")
    with Ledger.open(config.ledger_place) as ledger:
        report = getattr(reports, kind)(blobs)
        ledger.examined(ledger.begin(report.artifact, report.started), report)
        reports.store_named(blobs, ledger.references())
    with publishing(config) as signer:
        signer.publish_all()


def lay_down_blobs(ledger: Path, root: Path) -> None:
    """Put the blobs beside a ledger of the oldest version that its reports name."""
    copy = Path(shutil.copy(ledger, root / "copy"))
    blobs = DiskBlobs(ledger.parent / "blobs")
    for make in reports.EVERY.values():
        make(blobs)
    blobs.put(reports.FAILED_LOG.replace(b"unpack:", b"guest:"))  # as it was then
    with Ledger.open(copy) as opened:
        reports.store_named(blobs, opened.references())
    assert all(map(blobs.has, BEFORE["blobs"]))


def is_ready(service: Service) -> bool:
    """Whether nothing keeps it from its work."""
    with contextlib.suppress(urllib.error.HTTPError):
        return bool(service.ask("/readyz") == [])
    return False


def set_version(ledger: Path, version: str) -> None:
    """What a program of another version would have made of the tables."""
    connection = sqlite3.connect(ledger)
    connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
    connection.commit()
    connection.close()


def test_the_oldest_ledger_is_upgraded_and_served(machine: Machine, environments_root: Path) -> None:
    """What its own code wrote is answered by the service; a backup by the newer version is refused before that."""
    ledger = machine.installation.store / "ledger.sqlite"
    connection = sqlite3.connect(ledger)
    connection.executescript(OLDEST.read_text())
    # A service that is stopped signs what it has examined; what this ledger has examined was never a whole report.
    connection.execute("UPDATE verification SET state = 'abandoned' WHERE state = 'examined'")
    connection.commit()
    connection.close()
    (machine.installation.store / "toolchains").symlink_to(environments_root.absolute())
    lay_down_blobs(ledger, machine.root)
    before = ledger.read_bytes()
    code, said = machine.type("rebuilder backup /backup/rebuilder")
    assert (2, True, True) == (code, "version 0005" in said, "upgrade.md" in said)
    assert "Traceback" not in said
    assert before == ledger.read_bytes()
    machine.follow("Before", block=1)
    assert before == (machine.root / "backup" / "store" / "ledger.sqlite").read_bytes()
    said = machine.follow("Upgrade", ends={"rebuilder publish": 4})  # its statements have no real signatures
    assert "a key that is not" in said
    connection = sqlite3.connect(ledger)
    assert [(database.REVISIONS[-1],)] == connection.execute("SELECT version_num FROM alembic_version").fetchall()
    connection.close()
    for name in ("schedules", "tmp"):
        (machine.root / name).mkdir()
    (machine.root / "rebuilder.toml").write_text(SETTINGS)
    service = Service(machine.installation)
    try:
        until(lambda: is_ready(service), "the service is ready")
        watches = {each["name"]: each.get("trouble") for each in service.ask("/api/v1/operations")["watches"]}
        assert {each["name"]: each.get("trouble") for each in BEFORE["watches"]} == watches
        alarms = [(each["number"], each["alarm"]["sentence"]) for each in service.ask("/api/v1/alarms?all=true")]
        known = [(each["number"], each["alarm"]["sentence"]) for each in BEFORE["all alarms"]]
        assert len(known) > 1
        assert set(known) <= set(alarms)
        assert 0 == service.stop()
    finally:
        service.kill()


def test_the_way_back_is_the_backup(machine: Machine) -> None:
    """The older version refuses the newer ledger; restored, it goes on, and what was signed since stays logged."""
    publish(machine, "build_failed")
    machine.follow("Before")
    publish(machine, "unsupported")
    ledger = machine.installation.store / "ledger.sqlite"
    set_version(ledger, "9999")
    newer = ledger.read_bytes()
    for command in ("alarms", "publish", "serve", "backup /backup/rebuilder", "requeue pypi:almanac"):
        code, said = machine.type(f"rebuilder {command}")
        assert (4, True) == (code, "newer version of rebuilder" in said), said
        assert "Traceback" not in said
        assert newer == ledger.read_bytes()
    machine.follow("Going back")
    with Ledger.open(ledger) as restored:
        assert 1 == len(restored.latest())
        assert restored.log_book.size() == 2
