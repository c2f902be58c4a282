"""Pinned data: a digest and a date for each part, which one command refreshes."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path

import pytest

from rebuilder.provenance.trust import files
from rebuilder.provenance.trust.files import TrustRoot, load, shipped
from tests.fakes.sigstore_instance import SigstoreInstance

ROOT = Path(__file__).parents[2]
SHIPPED = Path(files.__file__).parent / "shipped"


@pytest.fixture
def into(tmp_path: Path) -> Path:
    """A copy of what is shipped."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "shipped"))


def update(into: Path, *given: Path) -> subprocess.CompletedProcess[str]:
    """Run the command that refreshes pins."""
    command = [sys.executable, str(ROOT / "tools" / "update-pins"), "--into", str(into), *map(str, given)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def test_every_pin_has_digest_date_and_origin() -> None:
    """In the form the program reads."""
    pins = tomllib.loads((SHIPPED / "pins.toml").read_text())
    assert {"trusted_root", "npm_keys"} == pins.keys()
    for name, pin in pins.items():
        assert {"file", "sha256", "date", "what", "origin"} == pin.keys()
        assert f"{name}.json" == pin["file"]
        assert re.fullmatch("[0-9a-f]{64}", pin["sha256"])
        assert date(2024, 1, 1) <= date.fromisoformat(pin["date"])


def test_a_newer_part_is_taken_with_its_pin(into: Path, tmp_path: Path) -> None:
    """The other part, and what is said of it, stay as they are; what is new is listed."""
    other, before = SigstoreInstance().trust(), tomllib.loads((into / "pins.toml").read_text())
    file = tmp_path / "newer.json"
    file.write_bytes(other.trusted_root)
    done = update(into, file)
    assert (0, "") == (done.returncode, done.stderr)
    assert {"+", "-", "t"} == {line[0] for line in done.stdout.splitlines()}
    assert TrustRoot(other.trusted_root, shipped().npm_keys) == load(into)
    after = tomllib.loads((into / "pins.toml").read_text())
    assert before["npm_keys"] == after["npm_keys"]
    changed = {key for key, value in after["trusted_root"].items() if before["trusted_root"][key] != value}
    assert {"sha256", "date", "origin"} == changed


def test_what_is_no_trust_root_changes_nothing(into: Path, tmp_path: Path) -> None:
    """One sentence; the pins stay."""
    (tmp_path / "none.json").write_text("{}")
    for given in (tmp_path / "none.json", tmp_path / "absent.json"):
        done = update(into, given)
        assert 1 == done.returncode
        assert str(given) in done.stderr
        assert "Traceback" not in done.stderr
    assert shipped() == load(into)


def test_the_library_brings_a_trusted_root(into: Path) -> None:
    """Without a file the locked release of sigstore-python is the source, and no network."""
    done = update(into)
    assert (0, "") == (done.returncode, done.stderr)
    assert "trusted_root is" in done.stdout
    assert load(into).npm_keys == shipped().npm_keys
