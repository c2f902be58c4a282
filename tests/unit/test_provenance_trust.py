"""The pinned trust root: used only as pinned, replaced only by something whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from rebuilder.errors import StoreError, UsageError
from rebuilder.provenance.npm.keys import NpmKeys
from rebuilder.provenance.pypi.pypi import verify_pypi
from rebuilder.provenance.trust import files
from rebuilder.provenance.trust.authorities import Authorities
from rebuilder.provenance.trust.files import TrustRoot, check_in_use, load, shipped, update
from tests.fakes.sigstore_instance import SigstoreInstance

SHIPPED = Path(files.__file__).parent / "shipped"


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
    with pytest.raises(
        UsageError, match=r"new\.json is n(ot|either) a (Sigstore trusted root|list of the npm registry's keys)"
    ):
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


def changed(tmp_path: Path, root: TrustRoot, *path: str | int, value: object) -> Path:
    """A file with the trusted root, one place in it changed."""
    document = place = json.loads(root.trusted_root)
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    (tmp_path / "new.json").write_text(json.dumps(document))
    return tmp_path / "new.json"


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("tlogs", 0, "publicKey", "rawBytes"), "AAAA", r"The key of tlogs\[0\] cannot be decoded"),
        (("tlogs", 1, "publicKey", "rawBytes"), "AAAA", r"The key of tlogs\[1\] cannot be decoded"),
        (("ctlogs", 1, "publicKey", "rawBytes"), "AAAA", r"The key of ctlogs\[1\] cannot be decoded"),
        (("tlogs", 0, "publicKey", "rawBytes"), None, r"tlogs"),
        (("certificateAuthorities", 0, "certChain", "certificates", 0, "rawBytes"), "AAAA", "A certificate of certif"),
        (("timestampAuthorities", 0, "certChain", "certificates", 0, "rawBytes"), "AAAA", "A certificate of timest"),
        (("timestampAuthorities", 0, "certChain", "certificates"), [], "There is no certificate in timestampAuth"),
        (("tlogs",), 3, "“tlogs” is not what it must be"),
        (("tlogs", 0, "baseUrl"), [], "“tlogs.0.baseUrl” is not what it must be"),
        (("mediaType",), "x", "not a Sigstore trusted root"),
    ],
)
def test_update_refuses_what_does_not_decode(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], path: tuple[str | int, ...], value: object, words: str
) -> None:
    """A key or a certificate that cannot be used is refused in one plain sentence, and nothing is stored."""
    file = changed(tmp_path, shipped(), *path, value=value)
    with pytest.raises(UsageError, match=words) as caught:
        update(file, tmp_path / "trust")
    assert "pydantic" not in str(caught.value)
    assert str(caught.value).isprintable()
    assert not (tmp_path / "trust").exists()
    assert ("", "") == tuple(capfd.readouterr())


@pytest.mark.parametrize("value", ["AAAA", "?", 3, "MCowBQYDK2VwAyEAt8rlp1knGwjfbcXAYPYAkn0XiLz1x8O4t0YkEhie244="])
def test_update_refuses_bad_npm_keys(tmp_path: Path, value: object) -> None:
    """A list of the registry's keys is named as that."""
    document = json.loads(shipped().npm_keys)
    document["keys"][0]["publicKey"]["rawBytes"] = value
    (tmp_path / "new.json").write_text(json.dumps(document))
    with pytest.raises(UsageError, match="is not a list of the npm") as caught:
        update(tmp_path / "new.json", tmp_path / "trust")
    assert "deserialize" not in str(caught.value)
    (tmp_path / "new.json").write_text("{}")
    with pytest.raises(UsageError, match="neither a Sigstore trusted root nor"):
        update(tmp_path / "new.json", tmp_path / "trust")


def test_update_reads_no_endless_file(tmp_path: Path) -> None:
    """A file far too large is not read to its end, and something else than a file not at all."""
    with (tmp_path / "new.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UsageError, match="more than 4 MiB"):
        update(tmp_path / "new.json", tmp_path / "trust")
    for place in (Path("/dev/zero"), tmp_path):
        with pytest.raises(UsageError, match="not a regular file"):
            update(place, tmp_path / "trust")


def test_check_in_use(tmp_path: Path) -> None:
    """A directory that is to be used must hold a whole trust root; the shipped one is not looked at."""
    check_in_use(None)
    with pytest.raises(StoreError, match="does not exist"):
        check_in_use(tmp_path / "none")
    with pytest.raises(StoreError, match=r"no pins\.toml") as caught:
        check_in_use(tmp_path)
    assert "rebuilder trust update FILE" in (caught.value.hint or "")
    place = tmp_path / "trust"
    shutil.copytree(SHIPPED, place)
    check_in_use(place)
    (place / "npm_keys.json").write_bytes(b"{}")
    with pytest.raises(StoreError, match="was changed"):
        check_in_use(place)


def test_broken_root_is_our_fault() -> None:
    """Verifying with a broken trust root is an error of ours, not a verdict about the attestation."""
    assets = Path(__file__).parent.parent / "assets" / "attestations" / "pypi"
    document = (assets / "sampleproject-4.0.0.tar.gz.provenance").read_bytes()
    with pytest.raises(StoreError, match="trusted root cannot be used"):
        verify_pypi(document, "sampleproject-4.0.0.tar.gz", "0" * 64, TrustRoot(b"{}", b"{}"))
