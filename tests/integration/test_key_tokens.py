"""Keys that are not in files of ours: a PKCS#11 token, and whatever else ``securesystemslib`` knows."""

from __future__ import annotations

import os
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from securesystemslib.signer import (  # type: ignore[attr-defined]
    SIGNER_FOR_URI_SCHEME,
    CryptoSigner,
    Key,
    SecretsHandler,
    Signature,
    Signer,
)

from rebuilder.errors import SigningError
from rebuilder.signing.external_key import ExternalKey, open_key
from rebuilder.signing.keys import PASSPHRASE, ROOT_PASSPHRASE, Algorithm, FileKey, load_public, signature_fits
from rebuilder.store.ledger import Ledger
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.command import PROGRAM
from tests.fakes.key_drills import WORDS, Operator, vote
from tests.fakes.tokens import PIN, Token

REPORT = reports.build_failed(MemoryBlobs())


class Machine:
    """A rebuilder whose keys are on a token; each command is a process of its own, as the token's library wants it."""

    def __init__(self, directory: Path) -> None:
        self.operator = Operator(directory)
        self.token = Token(directory / "token")
        self.settings = directory / "rebuilder.toml"
        self.write_settings("")

    def write_settings(self, more: str) -> None:
        """Settings with something more."""
        config = self.operator.config
        places = f'store = "{config.store}"\nkeys = "{config.keys}"\nsite = "{config.site}"\n'
        self.settings.write_text(places + more)

    def run(self, *words: str, pin: str = PIN) -> subprocess.CompletedProcess[str]:
        """The command, as it ended."""
        environment = os.environ | self.token.environment | {ROOT_PASSPHRASE: WORDS, PASSPHRASE: pin}
        return subprocess.run(
            [str(PROGRAM), *words, "--config", str(self.settings)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """With an empty token."""
    return Machine(tmp_path)


def test_a_token_signs_statements_and_the_list(machine: Machine, tmp_path: Path) -> None:
    """From a file to a token: the list names the key there, what it signs is good, and its PIN is asked for."""
    root, key = machine.token.make_key(3), machine.token.make_key(2)
    made = machine.run("keys", "init", "--root", root)
    assert made.returncode == 0, made.stderr
    rotated = machine.run("keys", "rotate", "statements", "--key", key, "--root", root)
    assert rotated.returncode == 0, rotated.stderr
    assert f'statements = "{key}"' in rotated.stdout
    machine.write_settings(f'[signing]\nstatements = "{key}"\n')
    with Ledger.open(machine.operator.config.ledger_place) as ledger:
        ledger.examined(ledger.begin(REPORT.artifact, REPORT.started), REPORT)
    wrong = machine.run("publish", pin="000000")
    assert wrong.returncode == 4
    assert "Traceback" not in wrong.stderr
    done = machine.run("publish")
    assert done.returncode == 0, done.stderr
    now = machine.operator.today + timedelta(hours=1)
    said = vote(machine.operator.site, REPORT, tmp_path / "seen", now=now)
    listed = machine.operator.key_list.judge(said.voter.key_id, said.logged or now)
    assert listed.period.valid_from is not None
    assert not any(b"PRIVATE" in each.read_bytes() for each in machine.operator.config.keys.glob("signing.next*"))


def test_a_token_has_no_key_of_the_log(machine: Machine) -> None:
    """The signer for tokens knows no Ed25519; it says so, instead of at the first checkpoint."""
    key = machine.token.make_key(2)
    machine.run("keys", "init", "--root", str(machine.operator.roots[0]))
    done = machine.run("keys", "rotate", "checkpoints", "--key", key, "--root", str(machine.operator.roots[0]))
    assert done.returncode == 4
    assert "Ed25519" in done.stderr


@pytest.mark.parametrize("address", ["hsm:7?label=rebuilder", "hsm:2?label=nothing", "hsm:"])
def test_a_key_that_is_not_there(machine: Machine, address: str) -> None:
    """One sentence, and nothing waits for a signature."""
    machine.token.make_key(5)
    machine.run("keys", "init", "--root", str(machine.operator.roots[0]))
    done = machine.run("keys", "rotate", "statements", "--key", address)
    assert done.returncode == 4
    assert address in done.stderr
    assert "Traceback" not in done.stderr
    assert not (machine.operator.config.keys / "next.root.json").exists()


class Vault(Signer):
    """A key service as the library would call it, with an address that begins ``vault-of-tests:``."""

    def __init__(self, signer: CryptoSigner) -> None:
        self._signer = signer

    @property
    def public_key(self) -> Key:
        return self._signer.public_key

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Key, secrets_handler: SecretsHandler | None = None
    ) -> Vault:
        assert secrets_handler is not None
        return cls(CryptoSigner.from_priv_key_uri(priv_key_uri.replace("vault-of-tests", "file2"), public_key))

    def sign(self, payload: bytes) -> Signature:
        return self._signer.sign(payload)


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, FileKey]:
    """The address of a key in such a service, and the same key."""
    monkeypatch.setitem(SIGNER_FOR_URI_SCHEME, "vault-of-tests", Vault)
    kept = FileKey.open(tmp_path / "vault" / "key.pem", store=tmp_path / "store")
    return f"vault-of-tests:{tmp_path / 'vault' / 'key.pem'}", kept


def test_a_service_by_configuration(vault: tuple[str, FileKey], tmp_path: Path) -> None:
    """Its public half lies beside the other keys; what it signs is checked with that."""
    address, kept = vault
    place = tmp_path / "keys" / "signing.pem"
    with pytest.raises(SigningError, match="public half"):
        open_key(address, place, Algorithm.P256, store=tmp_path / "store")
    place.parent.mkdir()
    place.with_name("signing.public.pem").write_bytes(kept.public_pem)
    key = open_key(address, place, Algorithm.P256, store=tmp_path / "store")
    assert kept.key_id == key.key_id
    assert signature_fits(load_public(key.public_pem), key.sign(b"payload"), b"payload")


def test_a_service_with_another_key(vault: tuple[str, FileKey], tmp_path: Path) -> None:
    """Whatever goes wrong there is a sentence."""
    other = FileKey.open(tmp_path / "other" / "signing.pem", store=tmp_path / "store")
    with pytest.raises(SigningError, match="cannot be used"):
        ExternalKey(vault[0], Algorithm.P256, tmp_path / "other" / "signing.public.pem")
    with pytest.raises(SigningError, match="Ed25519"):
        ExternalKey(vault[0], Algorithm.ED25519, tmp_path / "other" / "signing.public.pem")
    with pytest.raises(SigningError, match="cannot be used"):
        ExternalKey("nobody:knows", Algorithm.P256, tmp_path / "other" / "signing.public.pem")
    assert other.key_id != vault[1].key_id


def test_a_key_in_a_file_by_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``file:`` names one in the directory of the keys, or anywhere; it is encrypted where there is a passphrase."""
    monkeypatch.setenv(PASSPHRASE, "open sesame")
    place = tmp_path / "keys" / "signing.pem"
    key = open_key("file:other.pem", place, Algorithm.P256, store=tmp_path / "store")
    assert b"ENCRYPTED" in (tmp_path / "keys" / "other.pem").read_bytes()
    assert (
        key.key_id
        == open_key(f"file:{tmp_path}/keys/other.pem", place, Algorithm.P256, store=tmp_path / "store").key_id
    )
    monkeypatch.setenv(PASSPHRASE, "guessed")
    with pytest.raises(SigningError, match="does not open"):
        open_key("file:other.pem", place, Algorithm.P256, store=tmp_path / "store")
    monkeypatch.delenv(PASSPHRASE)
    secret = tmp_path / "passphrase"
    secret.write_text("open sesame\n")
    monkeypatch.setenv(f"{PASSPHRASE}_FILE", str(secret))
    assert key.key_id == open_key("file:other.pem", place, Algorithm.P256, store=tmp_path / "store").key_id
    secret.write_text("\n")
    with pytest.raises(SigningError, match="is empty"):
        open_key("file:other.pem", place, Algorithm.P256, store=tmp_path / "store")
