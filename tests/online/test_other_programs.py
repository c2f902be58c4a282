"""Programs of others, from Debian, read what we publish: rebuilderd's clients, cosign, and a witness of logs."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import certifi
import httpx
import pytest
from typer.testing import CliRunner

from rebuilder.cli.main import app
from rebuilder.environments.store import EnvironmentStore
from rebuilder.log.note import COSIGNATURE, LogPolicy, Note, NoteKey
from rebuilder.model.comparison import Level
from rebuilder.model.environment import Manifest
from rebuilder.model.value import sha256_hex
from rebuilder.network.witness import Witness
from rebuilder.signing.envelope import sign_statement
from rebuilder.signing.statements import Builder, verdict_statement
from rebuilder.signing.vocabulary import VSA_TYPE
from tests.contract.test_log_book import finish, published
from tests.fakes import verifications
from tests.fakes.clock import FixedClock
from tests.fakes.ledgers import open_ledger
from tests.fakes.logs import log_writer
from tests.fakes.packages import Packages, debian_package, serving_packages
from tests.fakes.processes import until
from tests.fakes.signer import MemorySigner

CLIENTS = {
    "trixie": ("debian-repro-status", "rebuildctl", "cosign"),
    "forky": ("debian-repro-status", "rebuildctl", "repro-threshold", "cosign", "torchwood", "openssh-client"),
}
OURS = "debian-repro-status"
CONFIRMED = re.compile(rf"^\[\+\] {OURS} amd64 1-1 GOOD\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Tools:
    """Programs of one release of Debian, run in its own root file system; what they talk to is on loopback."""

    root: Path
    shared: Path
    """Seen as ``/out``."""

    def command(self, *words: str) -> list[str]:
        """How to run a program."""
        place = ["--ro-bind", str(self.root), "/", "--tmpfs", "/etc", "--tmpfs", "/tmp"]
        given = {"/etc/passwd": "/etc/passwd", certifi.where(): "/etc/ssl/certs/ca-certificates.crt"}
        place += [word for outside, inside in given.items() for word in ("--ro-bind", outside, inside)]
        place += ["--bind", str(self.shared), "/out"]
        return ["bwrap", *place, "--proc", "/proc", "--dev", "/dev", "--die-with-parent", "--", *words]

    @property
    def environment(self) -> dict[str, str]:
        """What programs see."""
        return {"PATH": os.environ["PATH"], "HOME": "/tmp", "SSH_AUTH_SOCK": "/out/agent"}

    def run(self, *words: str) -> tuple[int, str]:
        """Exit code and everything that was said."""
        done = subprocess.run(
            self.command(*words),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self.environment,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout.decode()


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> EnvironmentStore:
    """Where the root file systems are made."""
    return EnvironmentStore(tmp_path_factory.mktemp("environments"), FixedClock())


@pytest.fixture(scope="module", params=sorted(CLIENTS))
def suite(request: pytest.FixtureRequest) -> str:
    """A release of Debian."""
    return str(request.param)


@pytest.fixture
def tools(environments: EnvironmentStore, suite: str, tmp_path: Path) -> Tools:
    """The programs of that release."""
    return made(environments, suite, tmp_path)


def made(environments: EnvironmentStore, suite: str, tmp_path: Path) -> Tools:
    """The programs of a release."""
    manifest = Manifest(name=f"clients-{suite}", suite=suite, packages=("base-files", *CLIENTS[suite]))
    (tmp_path / "shared").mkdir()
    return Tools(environments.get(manifest).root, tmp_path / "shared")


@pytest.fixture
def packages(tmp_path: Path) -> Iterator[Packages]:
    """A rebuilder that reproduced one package, and found that another differs."""
    deb = a_package(tmp_path)
    (tmp_path / "served").mkdir()
    with serving_packages(
        tmp_path / "served",
        lambda blobs: [
            debian_package(blobs, f"{OURS} 1-1 amd64", blobs.put(deb.read_bytes())),
            debian_package(blobs, "curl 8.14.1-2 amd64", sha256_hex(b"curl"), Level.DIFFERENT),
        ],
    ) as found:
        yield found


def a_package(tmp_path: Path) -> Path:
    """A Debian package of the name that was reproduced."""
    control = tmp_path / "package" / "DEBIAN" / "control"
    control.parent.mkdir(parents=True)
    fields = {"Package": OURS, "Version": "1-1", "Architecture": "amd64", "Maintainer": "a <a@example.org>"}
    control.write_text("".join(f"{name}: {value}\n" for name, value in fields.items()) + "Description: a package\n")
    deb = tmp_path / "package.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", str(control.parents[1]), str(deb)], check=True)
    return deb


def test_debian_repro_status(tools: Tools, packages: Packages) -> None:
    """It tells what is installed and was reproduced, from the service and from the static list."""
    installed = "installed debian-repro-status amd64 1-1\ninstalled curl amd64 8.14.1-2\ninstalled bash amd64 5\n"
    (tools.shared / "dpkg").write_text(installed)
    (tools.shared / "list").write_bytes((packages.site / "api/v0/pkgs/list").read_bytes())
    for place in (("-H", packages.address), ("--rebuilderd-query-output", "/out/list")):
        code, said = tools.run(OURS, *place, "--dpkg-query-output", "/out/dpkg")
        assert code == 0, said
        assert CONFIRMED.search(said), said
        assert re.search(r"^\[-\] curl amd64 8.14.1-2 BAD", said, re.MULTILINE)
        assert re.search(r"^\[\?\] bash amd64 5 UNKWN", said, re.MULTILINE)


def test_rebuildctl(tools: Tools, packages: Packages) -> None:
    """It lists packages, and shows logs and attestations."""
    control = ("rebuildctl", "-H", packages.address, "pkgs")
    code, said = tools.run(*control, "ls")
    assert code == 0, said
    assert re.search(r"\[BAD *\] curl 8.14.1-2 ", said)
    assert re.search(rf"\[GOOD *\] {OURS} 1-1 ", said)
    assert tools.run(*control, "log", "--name", "curl") == (0, "flit_core: built the wheel\n")
    code, said = tools.run(*control, "attestation", "--name", OURS)
    assert code == 0, said
    assert json.loads(said)["signed"]["name"] == f"rebuild {OURS}_1-1_amd64.deb"


def test_repro_threshold(environments: EnvironmentStore, packages: Packages, tmp_path: Path) -> None:
    """It reads our key and our links, and counts one vote of ours for the file that was reproduced and for no other."""
    tools = made(environments, "forky", tmp_path)
    (pem,) = httpx.get(f"{packages.address}/api/v1/meta/public-keys", trust_env=False).json()["current"]
    (tools.shared / "key.pem").write_text(pem)
    for name in ("package.deb", "other.deb"):
        (tools.shared / name).write_bytes((tmp_path / "package.deb").read_bytes())
    with (tools.shared / "other.deb").open("ab") as file:
        file.write(b"\n")

    def verify(name: str, threshold: int) -> tuple[int, str]:
        trusted = ("-S", "/out/key.pem", "-R", packages.address, "-t", str(threshold))
        return tools.run("repro-threshold", "plumbing", "verify", *trusted, f"/out/{name}")

    code, said = verify("package.deb", 1)
    assert code == 0, said
    assert "1/1 required signatures" in said
    assert "only 1/2 required signatures" in verify("package.deb", 2)[1]
    assert "only 0/1 required signatures" in verify("other.deb", 1)[1]


def test_cosign(tools: Tools) -> None:
    """It checks who signed, and that it is about the file; what is said of the file is not its business."""
    key, subject = MemorySigner(), verifications.artifact()
    (tools.shared / "key.pem").write_bytes(key.public_pem)
    (tools.shared / "idna.whl").write_bytes(b"published wheel")
    (tools.shared / "other.whl").write_bytes(b"another wheel")
    for name, level in (("good", Level.IDENTICAL), ("bad", Level.DIFFERENT)):
        report = verifications.report(subject, verifications.attempt(subject, level))
        statement = verdict_statement(report, Builder(id="tag:example.org,2026:test"), None)
        (tools.shared / f"{name}.dsse.json").write_text(sign_statement(statement, key))
    tampered = json.loads((tools.shared / "good.dsse.json").read_text())
    tampered["payload"] = json.loads((tools.shared / "bad.dsse.json").read_text())["payload"]
    (tools.shared / "tampered.dsse.json").write_text(json.dumps(tampered))

    def verify(name: str, file: str) -> tuple[int, str]:
        given = ("--key", "/out/key.pem", "--signature", f"/out/{name}.dsse.json", "--type", VSA_TYPE)
        return tools.run("cosign", "verify-blob-attestation", *given, "--insecure-ignore-tlog=true", f"/out/{file}")

    for name in ("good", "bad"):
        code, said = verify(name, "idna.whl")
        assert (code, "Verified OK" in said) == (0, True), said
    assert verify("good", "other.whl")[0] == 1
    assert verify("tampered", "idna.whl")[0] == 1


def test_a_real_witness(environments: EnvironmentStore, tmp_path: Path) -> None:
    """It cosigns what goes on from what it saw; who asks for its cosignature believes that, and nothing without it."""
    tools, site = made(environments, "forky", tmp_path), tmp_path / "site"
    with open_ledger(tmp_path / "ledger.sqlite") as ledger, ExitStack() as stack:
        finish(ledger, "1", "2")
        log_writer(ledger, site).write()
        key = NoteKey.read((site / "log/key").read_text().strip())
        for command, *more in (("add-log",), ("add-key", "-key", key.vkey)):
            code, said = tools.run("witnessctl", command, "-db", "/out/witness.db", "-origin", key.name, *more)
            assert code == 0, said
        fingerprint, witness = witness_keys(tools, stack)
        address = serve(tools, stack, fingerprint)
        policy = tmp_path / "log.policy"
        policy.write_text(f"log {key.vkey}\nwitness w {witness.vkey} {address}\nquorum w\n")
        log_policy = LogPolicy.read(policy.read_bytes())
        note = published(site).note
        with pytest.raises(ValueError, match="cosigned by none"):
            log_policy.refuse(note)
        refuses_others(address, note)
        for label in ("3", "4"):
            finish(ledger, label)
            log_writer(ledger, site, witnesses=(Witness(witness, address),)).write()
            log_policy.refuse(published(site).note)
        (row,) = tools.run("witnessctl", "list-logs", "-db", "/out/witness.db")[1].splitlines()
        assert json.loads(row)["size"] == 4
        seen = str(tmp_path / "seen")
        verify = ("log", "verify", str(site), "--log-policy", str(policy), "--seen", seen)
        assert CliRunner().invoke(app, verify).exit_code == 0
        finish(ledger, "5")
        log_writer(ledger, site).write()
        alone = CliRunner().invoke(app, verify)
        assert (alone.exit_code, "cosigned by none" in alone.stdout) == (1, True)


def refuses_others(address: str, note: Note) -> None:
    """A checkpoint that was changed, and one of another log."""
    changed = note.text.replace("log.example/test\n2\n", "log.example/test\n3\n")
    other = note.text.replace("log.example/test", "log.example/other")
    for text, statuses in ((changed, {403}), (other, {403, 404})):
        sent = b"old 0\n\n" + Note(text, note.signatures).encode()
        assert httpx.post(f"{address}/add-checkpoint", content=sent, trust_env=False).status_code in statuses


def witness_keys(tools: Tools, stack: ExitStack) -> tuple[str, NoteKey]:
    """Make the witness's key and put it into an agent; its fingerprint, and the key as logs know it."""
    code, said = tools.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/out/key")
    assert code == 0, said
    agent = subprocess.Popen(tools.command("ssh-agent", "-D", "-a", "/out/agent"), stdout=subprocess.DEVNULL)
    stack.callback(agent.wait, 20)
    stack.callback(agent.terminate)
    until((tools.shared / "agent").exists)
    code, said = tools.run("ssh-add", "/out/key")
    assert code == 0, said
    fingerprint = tools.run("ssh-keygen", "-l", "-f", "/out/key.pub")[1].split()[1]
    public = base64.b64decode((tools.shared / "key.pub").read_text().split()[1])[-32:]
    return fingerprint, NoteKey("witness.example/w", public, COSIGNATURE)


def serve(tools: Tools, stack: ExitStack, fingerprint: str) -> str:
    """Start the witness; its address on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    given = ("-db", "/out/witness.db", "-ssh-agent", "/out/agent", "-key", fingerprint, "-name", "witness.example/w")
    witness = subprocess.Popen(
        tools.command("litewitness", "-listen", listen, *given), env=tools.environment, stderr=subprocess.DEVNULL
    )
    stack.callback(witness.wait, 20)
    stack.callback(witness.terminate)

    def answers() -> bool:
        try:
            return httpx.get(f"http://{listen}/", trust_env=False).status_code > 0
        except httpx.TransportError:
            return False

    until(answers)
    return f"http://{listen}"
