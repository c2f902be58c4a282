"""Several rebuilders about one file: a quorum, too few, a conflict; as the command says it, signs it and logs it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rebuilder.cli import check
from rebuilder.cli.main import app
from rebuilder.consumer.check import Panel
from rebuilder.consumer.rebuilder import Trusted
from rebuilder.errors import RebuilderError
from rebuilder.log.entry import digest_path
from rebuilder.model.value import sha256_hex
from rebuilder.signing.envelope import verify
from rebuilder.signing.vocabulary import CONFLICT_TYPE, QUORUM_TYPE, SVR_TYPE, VSA_TYPE
from rebuilder.store.ledger import Ledger
from tests.fakes import oss_rebuild
from tests.fakes.published import PublishedRebuilder, differing, identical
from tests.fakes.signer import MemorySigner

FILE = "spindle-1.0-py3-none-any.whl"
SHA256 = sha256_hex(FILE.encode())


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> PublishedRebuilder:
    """A rebuilder that reproduced the file."""
    found = PublishedRebuilder(tmp_path_factory.mktemp("ours"))
    found.publish(identical("spindle"))
    return found


class Command:
    """``rebuilder quorum`` of a verifier with keys and a ledger of its own."""

    def __init__(self, root: Path) -> None:
        self.verifier = PublishedRebuilder(root / "verifier")
        self.root = root
        (root / "key.pem").write_bytes(MemorySigner().public_pem)

    def __call__(self, *options: str, resource: str | None = "pkg:pypi/spindle@1.0") -> tuple[int, str]:
        """Exit code and what was said."""
        config = self.verifier.config
        places = ("--store", config.store, "--keys", config.keys, "--site", config.site_directory)
        named = ("--resource", resource) if resource is not None else ()
        words = ["quorum", SHA256, *options, *named, "--seen", self.root / "seen", *places]
        done = CliRunner().invoke(app, list(map(str, words)))
        wrong = done.exception if isinstance(done.exception, RebuilderError) else None
        return wrong.exit_code if wrong is not None else done.exit_code, done.output + str(wrong or "")

    def bundle(self, rebuilt: bytes = FILE.encode(), seed: int = 1) -> str:
        """The option for a bundle of OSS Rebuild."""
        file = self.root / "rebuild.intoto.jsonl"
        file.write_bytes(oss_rebuild.genuine(FILE, SHA256, sha256_hex(rebuilt), seed))
        return f"--oss-rebuild={file}={self.root / 'key.pem'}"

    def statements(self) -> dict[str, dict[str, object]]:
        """What the verifier logged about the file, checked with its key."""
        directory = self.verifier.site / digest_path(SHA256)
        (pem,) = (self.verifier.site / "keys").glob("*.pem")
        rows = json.loads((directory / "index.json").read_bytes())["statements"]
        envelopes = [(directory / each["envelope"]).read_text() for each in rows]
        found = [verify(each, pem.read_bytes()) for each in envelopes]
        assert [each["predicateType"] for each in found] == [each["predicate_type"] for each in rows]
        return {each["predicateType"]: each for each in found}


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """A verifier that has nothing yet."""
    return Command(tmp_path)


def test_two_independent_rebuilders_are_a_quorum(command: Command, ours: PublishedRebuilder) -> None:
    """Both statements are signed, name what they rest on by digest, and are in the log."""
    code, said = command("--rebuilder", str(ours.site), command.bundle())
    assert (code, "2 independent rebuilders" in said) == (0, True), said
    found = command.statements()
    assert set(found) == {VSA_TYPE, SVR_TYPE}
    summary = found[VSA_TYPE]["predicate"]
    assert isinstance(summary, dict)
    assert (summary["verificationResult"], summary["verifiedLevels"]) == ("PASSED", ["SLSA_BUILD_REPRODUCED"])
    inputs = {each["digest"]["sha256"] for each in summary["inputAttestations"]}
    directory = ours.site / digest_path(SHA256)
    rows = json.loads((directory / "index.json").read_bytes())["statements"]
    (envelope,) = (directory / each["envelope"] for each in rows if each["predicate_type"] == VSA_TYPE)
    bundle = command.root / "rebuild.intoto.jsonl"
    assert inputs == {sha256_hex(each.read_bytes()) for each in (envelope, bundle)}
    voters = summary[QUORUM_TYPE]["rebuilders"]
    assert {each["lineage"] for each in voters} == {"rebuilder", "oss-rebuild"}
    assert found[SVR_TYPE]["predicate"]["properties"] == ["SLSA_BUILD_REPRODUCED"]  # type: ignore[index]


def test_what_several_say_is_no_vote_of_who_said_it(command: Command, ours: PublishedRebuilder, tmp_path: Path) -> None:
    """The verifier rebuilt nothing: its site has no verdict on the file."""
    command("--rebuilder", str(ours.site), command.bundle())
    with Panel([Trusted(str(command.verifier.site))], tmp_path / "other", datetime.now(UTC)) as panel:
        assert not panel.refused
        assert panel.ask([SHA256]) == {SHA256: []}


@pytest.mark.parametrize("options", [(), ("bundle",), ("site",), ("site", "link"), ("site", "alike")])
def test_fewer_than_two_independent_ones_are_refused(
    command: Command, ours: PublishedRebuilder, options: tuple[str, ...]
) -> None:
    """One alone, the same code twice, and what is only alike: nothing is signed."""
    with Ledger.open(ours.config.ledger_place) as ledger:
        link = ledger.package_book.link(1)
    assert link is not None
    (command.root / "link.json").write_text(link)
    pem = json.loads((ours.site / "api/v1/meta/public-keys").read_bytes())["current"][0]
    (command.root / "links.pem").write_text(pem)
    given = {
        "bundle": [command.bundle()],
        "alike": [command.bundle(b"other bytes")],
        "site": ["--rebuilder", str(ours.site)],
        "link": [f"--link={command.root / 'link.json'}={command.root / 'links.pem'}"],
    }
    code, said = command(*(word for each in options for word in given[each]))
    assert (code, "2 are needed" in said) == (3, True), said
    assert not (command.verifier.site / digest_path(SHA256)).exists()


def test_a_conflict_is_signed_and_orders_a_rebuild(command: Command, tmp_path: Path) -> None:
    """Whoever says that the file differs is named, and nobody says that it was reproduced."""
    other = PublishedRebuilder(tmp_path / "other")
    other.publish(differing("spindle", "1.0", FILE.encode(), "spindle/extra.pth"))
    command.verifier.publish(differing("spindle", "1.0", FILE.encode(), "spindle/extra.pth"))
    code, said = command("--rebuilder", str(other.site), command.bundle(), resource=None)
    assert (code, "disagree" in said, "A rebuild is queued." in said) == (1, True, True), said
    found = command.statements()
    assert CONFLICT_TYPE in found
    assert SVR_TYPE not in found
    conflict = found[CONFLICT_TYPE]["predicate"]
    assert isinstance(conflict, dict)
    assert [each["lineage"] for each in conflict["reproduced"]] == ["oss-rebuild"]
    assert [each["name"] for each in conflict["differs"]] == [str(other.site)]
    with Ledger.open(command.verifier.config.ledger_place) as ledger:
        (task,) = ledger.queue.state(datetime.now(UTC)).upcoming
    assert (task.filename, task.check) == (FILE, "toolchain")


@pytest.mark.parametrize(
    ("seed", "words"), [(2, "another key signed it"), (1, "names no key")], ids=["another key", "no key"]
)
def test_what_cannot_be_counted_is_told(command: Command, seed: int, words: str) -> None:
    """With its file."""
    option = command.bundle(seed=seed)
    code, said = command(option if seed == 2 else option.rpartition("=")[0].replace("--oss-rebuild=", "--link="))
    assert (code, words in said) == (2, True), said


def test_a_release_must_be_named(command: Command, ours: PublishedRebuilder) -> None:
    """Where our ledger does not know the file."""
    code, said = command("--rebuilder", str(ours.site), command.bundle(), resource=None)
    assert (code, "does not know" in said) == (2, True), said


def test_bundles_count_in_a_check(
    command: Command, ours: PublishedRebuilder, capsys: pytest.CaptureFixture[str]
) -> None:
    """A policy names them; two programs confirm the file, and one alone does not when two are asked for."""
    command.bundle()
    lock, policy = command.root / "requirements.txt", command.root / "policy.toml"
    lock.write_text(f"spindle==1.0 --hash=sha256:{SHA256}\n")
    rules = "need = 2\nlineages = 2\n"
    others = '[[others]]\nkind = "oss-rebuild"\nplace = "."\nkey = "key.pem"\nname = "theirs"\n'

    def asked(text: str, *sites: Path) -> int:
        policy.write_text(text)
        options: dict[str, Any] = {
            "need": None,
            "policy_file": policy,
            "all_platforms": True,
            "offline": True,
            "kind": "json",
        }
        return check.run([str(lock)], rebuilders=[str(each) for each in sites], seen=command.root / "seen", **options)

    assert asked(rules + others, ours.site) == 0
    assert "theirs" in capsys.readouterr().out
    assert asked(f"lineages = 2\n{others}") == 3
