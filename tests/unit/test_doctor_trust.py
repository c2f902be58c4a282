"""What ``rebuilder doctor`` says about the trust root."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rebuilder.config import Config
from rebuilder.doctor.checks import DoctorCheck, Host, checks
from rebuilder.provenance.trust.files import shipped, update


def looked_at(tmp_path: Path, trust: Path | None) -> DoctorCheck:
    """The check of the trust root, with the rest of the machine made up."""
    machine = Host(
        find=lambda _: None,
        free=lambda _: 0,
        etc_apt=tmp_path,
        bubblewrap=lambda: "0.8.0",
        seccomp=lambda: b"",
        isolation=list,
        guest=lambda _: None,
        registries=lambda _: [],
    )
    found = checks(Config(store=tmp_path / "store", keys=tmp_path / "keys", trust=trust), machine)
    return next(check for check in found if check.name == "trust root")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A directory with a trust root of its own: the shipped one, written otherwise."""
    file = tmp_path / "new.json"
    file.write_text(json.dumps(json.loads(shipped().trusted_root), indent=3))
    update(file, tmp_path / "trust")
    return tmp_path / "trust"


def test_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one of the user's own, the shipped one is used and named by its digest."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    found = looked_at(tmp_path, None)
    assert found.ok
    assert f"the shipped trust root (SHA-256 {shipped().sha256[:16]}…)" in found.message


def test_own(tmp_path: Path, own: Path) -> None:
    """One of the user's own is said to be used instead of the shipped one."""
    found = looked_at(tmp_path, own)
    assert (True, None) == (found.ok, found.fix)
    assert f"the trust root in {own}, not the shipped one" in found.message


@pytest.mark.parametrize("name", ["trusted_root", "npm_keys", "pins"])
def test_broken(tmp_path: Path, own: Path, name: str) -> None:
    """A part that is missing or was changed is named, with how to get a whole one."""
    (part,) = own.glob(f"{name}.*")
    part.write_bytes(part.read_bytes() + (b"=" if name == "pins" else b" "))
    found = looked_at(tmp_path, own)
    assert not found.ok
    assert part.name in found.message
    assert "rebuilder trust update" in (found.fix or "")
    assert "rm " not in (found.fix or "")
    part.unlink()
    assert not looked_at(tmp_path, own).ok


@pytest.mark.parametrize("there", [True, False])
def test_directory_of_the_user(tmp_path: Path, *, there: bool) -> None:
    """A directory that holds something else, or is not there: nobody is told to remove anything."""
    place = tmp_path / "mine"
    if there:
        place.mkdir()
        (place / "thesis.tex").touch()
    found = looked_at(tmp_path, place)
    assert (False, False) == (found.ok, found.command)
    assert str(place) in found.message
    assert "ame another directory" in (found.fix or "")
    assert "`rebuilder trust update FILE`" in (found.fix or "")
    assert "rm " not in (found.fix or "")


@pytest.mark.parametrize("name", ["", "pins.toml"])
def test_open_to_others(tmp_path: Path, own: Path, name: str) -> None:
    """Whoever can write there decides whom we believe."""
    (own / name).chmod(0o777)
    found = looked_at(tmp_path, own)
    assert (False, f"chmod go-w {own / name}") == (found.ok, found.fix.rstrip("/") if found.fix else None)
    (own / name).chmod(0o755)
    assert looked_at(tmp_path, own).ok
