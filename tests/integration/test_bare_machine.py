"""Commands that only look at what is stored: they work where nothing could be built and no index be asked."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rebuilder.model.alarm import Alarm, AlarmKind
from rebuilder.store.blobs import DiskBlobs
from rebuilder.store.ledger import Ledger
from tests.fakes import reports
from tests.fakes.command import PROGRAM


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """No program can be found, and the settings of pip, uv and npm are nonsense."""
    (tmp_path / "empty").mkdir()
    for name in ("pip.conf", "uv.toml", ".npmrc"):
        (tmp_path / name).write_text("[[[ nonsense\n")
    blobs = DiskBlobs(tmp_path / "store" / "blobs")
    report = reports.build_failed(blobs)
    with Ledger.open(tmp_path / "store" / "ledger.sqlite") as ledger:
        ledger.examined(ledger.begin(report.artifact, report.started), report)
        ledger.raise_alarm(Alarm(kind=AlarmKind.DISK, sentence="It is full.", raised=report.started))
    return {
        "PATH": str(tmp_path / "empty"),
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "PIP_CONFIG_FILE": str(tmp_path / "pip.conf"),
        "UV_CONFIG_FILE": str(tmp_path / "uv.toml"),
        "UV_DEFAULT_INDEX": "no address",
        "REBUILDER_RESIDENT": "no",
        "REBUILDER_STORE": str(tmp_path / "store"),
        "REBUILDER_KEYS": str(tmp_path / "keys"),
        "REBUILDER_SITE": str(tmp_path / "site"),
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("publish",), "1 artifact page written"),
        (("alarms",), "It is full."),
        (("alarms", "acknowledge", "1", "--by", "ada"), "Acknowledged 1: It is full."),
        (("db", "copy", "store/ledger.sqlite", "copy.sqlite"), "copy.sqlite, counted there."),
    ],
)
def test_what_is_stored_needs_nothing(
    arguments: tuple[str, ...], said: str, environment: dict[str, str], tmp_path: Path
) -> None:
    """Neither a sandbox nor an index, nor settings of other programs."""
    done = subprocess.run(
        [PROGRAM, *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert (0, "") == (done.returncode, done.stderr.strip())
    assert said in done.stdout
    if arguments == ("publish",):
        assert "could not be built" in (tmp_path / "site" / "index.html").read_text()


def test_the_doctor_says_what_is_missing(environment: dict[str, str], tmp_path: Path) -> None:
    """The packages in one command, and which commands work without them."""
    done = subprocess.run(
        [PROGRAM, "doctor"], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert 4 == done.returncode
    (command,) = (line for line in done.stdout.splitlines() if line.startswith("  run: apt-get install"))
    assert {"bubblewrap", "mmdebstrap", "git"} <= set(command.split())
    assert "  Without these packages, check, proxy, publish," in done.stdout


def test_what_has_to_build_says_what_is_wrong(environment: dict[str, str], tmp_path: Path) -> None:
    """The same settings are one sentence where an index has to be asked."""
    done = subprocess.run(
        [PROGRAM, "verify", "pypi:idna==3.10"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert 2 == done.returncode
    assert "Traceback" not in done.stderr
