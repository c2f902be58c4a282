"""``rebuilder runners`` and ``rebuilder incident``: keys are enrolled, states are changed, files are ordered again."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rebuilder.cli.main import app
from rebuilder.errors import SigningError, UsageError
from rebuilder.model.comparison import Level
from rebuilder.model.fleet import Answer, Fault, FaultKind, RunnerState
from rebuilder.signing.keys import Algorithm, FileKey
from rebuilder.signing.runner_key import runner_id, sign_answer, signed_answer
from rebuilder.store.ledger import Ledger
from tests.fakes.ledgers import lay_down
from tests.fakes.verifications import NOW, artifact, attempt

ANSWER = Answer(
    nonce="ab" * 16, definition="cd" * 32, runner="ef" * 32, fault=Fault(kind=FaultKind.STORE, sentence="x")
)


class Command:
    """Calls the command with a store of its own."""

    def __init__(self, directory: Path) -> None:
        self.store = directory / "store"
        lay_down_in(self.store)
        self.key = directory / "runner" / "runner.pem"

    def __call__(self, *words: str) -> str:
        """What it prints.

        Raises:
            RebuilderError: it ends with that.
        """
        done = CliRunner().invoke(app, [*words, "--store", str(self.store)])
        if done.exception is not None:
            raise done.exception
        return done.stdout

    def enrolled(self, name: str = "north") -> str:
        """Enroll this machine; give its id."""
        file = self.store.parent / f"{name}.pem"
        file.write_text(self("runners", "key", "--runner-key", str(self.key)))
        self("runners", "enroll", name, str(file))
        return runner_id(file.read_bytes())


def lay_down_in(store: Path) -> None:
    """An empty ledger."""
    store.mkdir()
    lay_down(store / "ledger.sqlite")


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """The command."""
    return Command(tmp_path)


def test_from_a_key_to_a_runner(command: Command) -> None:
    """The key is made once, for nobody else to read; what is printed of it is enrolled and listed."""
    assert "No runner is enrolled.\n" == command("runners", "list")
    found = command.enrolled()
    assert 0o600 == command.key.stat().st_mode & 0o777
    assert found == FileKey.open(command.key, Algorithm.ED25519, store=command.store).key_id
    [line] = command("runners", "list").splitlines()
    assert ["active", "north", found[:16], "answered", "never"] == line.split()
    with pytest.raises(UsageError):
        command.enrolled("south")


def test_states(command: Command) -> None:
    """Released, revoked, and then never released again."""
    found = command.enrolled()
    with Ledger.open(command.store / "ledger.sqlite") as ledger:
        ledger.runners.change(found, RunnerState.QUARANTINED, NOW, reason="It lied.")
    assert "It lied." in command("runners", "list")
    assert "north is active.\n" == command("runners", "release", "north")
    assert "north is revoked.\n" == command("runners", "revoke", found[:8], "--reason", "Stolen.")
    assert "Stolen." in command("runners", "list")
    for words in (("release", "north"), ("revoke", "north"), ("release", "nobody")):
        with pytest.raises(UsageError):
            command("runners", *words)


@pytest.mark.parametrize("name", ["North", "", "a b", "../x"])
def test_names(command: Command, name: str) -> None:
    """A name is a word."""
    command.enrolled()
    with pytest.raises(UsageError):
        command("runners", "enroll", name, str(command.store.parent / "north.pem"))


def test_only_keys_of_runners_are_enrolled(command: Command, tmp_path: Path) -> None:
    """Not the key that signs what is published, and not a file that is not there."""
    signer = FileKey.open(tmp_path / "keys" / "signing.pem", store=command.store)
    (tmp_path / "other.pem").write_bytes(signer.public_pem)
    with pytest.raises(SigningError):
        command("runners", "enroll", "north", str(tmp_path / "other.pem"))
    with pytest.raises(SigningError):
        FileKey.open(tmp_path / "keys" / "signing.pem", Algorithm.ED25519, store=command.store)
    with pytest.raises(UsageError):
        command("runners", "enroll", "north", str(tmp_path / "missing.pem"))


def test_the_key_is_nobody_elses(command: Command) -> None:
    """It is refused inside the store, where others can read it, and where others may write."""
    with pytest.raises(SigningError):
        command("runners", "key", "--runner-key", str(command.store / "runner.pem"))
    command("runners", "key", "--runner-key", str(command.key))
    command.key.chmod(0o644)
    with pytest.raises(SigningError):
        command("runners", "key", "--runner-key", str(command.key))
    command.key.chmod(0o600)
    command.key.parent.chmod(0o777)
    with pytest.raises(SigningError):
        command("runners", "key", "--runner-key", str(command.key))
    os.chmod(command.key.parent, 0o700)  # noqa: PTH101


def test_signatures(tmp_path: Path) -> None:
    """Only the key that signed fits, and only what was signed."""
    one, two = (
        FileKey.open(tmp_path / name / "key.pem", Algorithm.ED25519, store=tmp_path / "store")
        for name in ("one", "two")
    )
    envelope = sign_answer(ANSWER, one).encode()
    assert ANSWER == signed_answer(envelope, one.public_pem)
    for bad, key in ((envelope, two), (envelope.replace(b"run+json", b"other+json"), one), (b"{}", one), (b"", one)):
        with pytest.raises(ValueError, match=r"envelope"):
            signed_answer(bad, key.public_pem)


def test_incident(command: Command) -> None:
    """The files are listed, and ordered again once the runner is out."""
    found = command.enrolled()
    tried = attempt(artifact(), Level.IDENTICAL)
    with Ledger.open(command.store / "ledger.sqlite") as ledger:
        ledger.add_attempt(ledger.begin(artifact(), NOW), 0, tried)
        order, _ = ledger.run_orders.add(
            tried.hypothesis.definition.digest, "linux-amd64", asked_of=None, owner="x", now=NOW
        )
        ledger.run_orders.accept(order.nonce, found, "{}", tried.run.log_sha256, NOW)
    assert "runner north: 1 file" in command("incident", "north")
    with pytest.raises(UsageError):
        command("incident", "north", "--recheck")
    command("runners", "revoke", "north")
    command("incident", "north", "--recheck")
    with Ledger.open(command.store / "ledger.sqlite") as ledger:
        lease = ledger.queue.claim("x", datetime.now(UTC), 60)
    assert lease is not None
    assert artifact().filename == lease.task.order.filename


def test_a_runner_needs_both_addresses(command: Command) -> None:
    """Neither is guessed."""
    for words in ((), ("--broker", "redis://127.0.0.1:9/0"), ("--blobs", "s3://fleet/x")):
        with pytest.raises(UsageError):
            command("worker", *words)
