"""The pinned trust root: used only as pinned, replaced only by something whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from rebuilder.errors import StoreError, UsageError
from rebuilder.provenance import trust
from rebuilder.provenance.authorities import Authorities
from rebuilder.provenance.npm_keys import NpmKeys
from rebuilder.provenance.pypi import verify_pypi
from rebuilder.provenance.trust import load, shipped, update
from rebuilder.provenance.trust_root import TrustRoot
from tests.fakes.sigstore_instance import SigstoreInstance

SHIPPED = Path(trust.__file__).parent / "trust"


def test_shipped_is_whole() -> None:
    """What we ship matches its pins, parses, and nothing lies beside it unpinned."""
    root = shipped()
    assert Authorities(root.trusted_root).content.certificate_authorities
    assert NpmKeys(root.npm_keys).keys
    assert {"pins.toml", "trusted_root.json", "npm_keys.json"} == {path.name for path in SHIPPED.iterdir()}


@pytest.mark.parametrize("name", ["trusted_root.json", "npm_keys.json", "pins.toml"])
def test_changed_or_missing(tmp_path: Path, name: str) -> None:
    """A changed or missing file is our fault, said in a sentence that names it."""
    place = tmp_path / "trust"
    shutil.copytree(SHIPPED, place)
    (place / name).write_bytes((place / name).read_bytes() + (b"=" if name.endswith("toml") else b" "))
    with pytest.raises(StoreError, match=name):
        load(place)
    (place / name).unlink()
    with pytest.raises(StoreError, match=name):
        load(place)


def test_update(tmp_path: Path) -> None:
    """A newer trusted root is stored with its digest, and what changed is said."""
    other = SigstoreInstance().trust()
    file = tmp_path / "new.json"
    file.write_bytes(other.trusted_root)
    change = update(file, tmp_path / "trust")
    assert ("trusted_root", other.sha256, shipped().sha256) == (change.part, change.sha256, change.previous_sha256)
    assert 3 == len(change.added)
    assert any("transparency log https://log.example" in line for line in change.added)
    assert len(change.removed) == 7
    assert TrustRoot(other.trusted_root, shipped().npm_keys) == load(tmp_path / "trust")
    assert ((), ()) == ((again := update(file, tmp_path / "trust")).added, again.removed)


def test_update_npm_keys(tmp_path: Path) -> None:
    """The registry's keys are replaced the same way, and leave the trusted root alone."""
    other = SigstoreInstance().trust()
    file = tmp_path / "keys.json"
    file.write_bytes(other.npm_keys)
    change = update(file, tmp_path / "trust")
    assert ("npm_keys", 2, 4) == (change.part, len(change.added), len(change.removed))
    assert TrustRoot(shipped().trusted_root, other.npm_keys) == load(tmp_path / "trust")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[" * 1000,
        b'{"keys": []}',
        b'{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}',
        b'{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1", "tlogs": []}',
    ],
)
def test_update_refuses(tmp_path: Path, content: bytes) -> None:
    """Something else is refused and nothing is stored."""
    file = tmp_path / "new.json"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"new\.json is not a Sigstore trusted root"):
        update(file, tmp_path / "trust")
    assert not (tmp_path / "trust").exists()


def test_update_refuses_half_a_root(tmp_path: Path) -> None:
    """A trusted root without certificate authorities would make everything invalid."""
    document = json.loads(shipped().trusted_root)
    document["certificateAuthorities"] = []
    file = tmp_path / "new.json"
    file.write_text(json.dumps(document))
    with pytest.raises(UsageError):
        update(file, tmp_path / "trust")
    with pytest.raises(UsageError, match="cannot be read"):
        update(tmp_path / "missing.json", tmp_path / "trust")


def test_broken_root_is_our_fault() -> None:
    """Verifying with a broken trust root is an error of ours, not a verdict about the attestation."""
    assets = Path(__file__).parent.parent / "assets" / "attestations" / "pypi"
    document = (assets / "sampleproject-4.0.0.tar.gz.provenance").read_bytes()
    with pytest.raises(StoreError, match="trusted root cannot be used"):
        verify_pypi(document, "sampleproject-4.0.0.tar.gz", "0" * 64, TrustRoot(b"{}", b"{}"))
