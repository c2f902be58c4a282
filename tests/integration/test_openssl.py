"""The commands of docs/verify-a-report.md, run as they stand there, with openssl and without our software."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from rebuilder.log.entry import digest_path
from rebuilder.log.note import NoteKey
from rebuilder.model.comparison import Level
from rebuilder.model.report import Report
from rebuilder.model.value import Sha512, sha256_hex
from rebuilder.signing.envelope import sign_statement
from rebuilder.signing.keys import FileKey
from rebuilder.signing.statements import Builder, provenance_statement, verdict_statement
from tests.contract.test_log_book import finish
from tests.fakes.ledgers import open_ledger
from tests.fakes.logs import log_writer
from tests.fakes.signer import MemorySigner
from tests.fakes.verifications import artifact, attempt, report

PAGE = (Path(__file__).parents[2] / "docs" / "verify-a-report.md").read_text()
FILE = b"published wheel"
ARTIFACT = artifact(sha256=sha256_hex(FILE))
BUILDER = Builder(id="tag:example.org,2026:rebuilder")


def commands(name: str) -> str:
    """The block of commands that the page marks with a name."""
    found = re.search(rf"<!-- test: {name} -->\n```\n(.*?)```", PAGE, re.DOTALL)
    assert found, f"docs/verify-a-report.md has no commands marked {name!r}"
    return found[1]


def run(name: str, where: Path, words: Mapping[str, str] = MappingProxyType({})) -> subprocess.CompletedProcess[str]:
    """Type a block of commands into a shell, with some of its words in the place of others."""
    if shutil.which("openssl") is None:
        pytest.fail("openssl is missing: apt-get install openssl", pytrace=False)
    script = commands(name)
    for written, meant in words.items():
        script = script.replace(written, meant)
    return subprocess.run(
        ["sh", "-c", script],
        cwd=where,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def publish(where: Path, done: Report) -> FileKey:
    """Write what a site publishes beside a page, signed with a real key."""
    signer = FileKey.open(where / "keys" / "signing.pem", store=where / "store")
    rebuild = provenance_statement(done, BUILDER)
    provenance = None
    if rebuild is not None:
        provenance = sign_statement(rebuild, signer)
        (where / "provenance.dsse.json").write_text(provenance)
    verdict = verdict_statement(done, BUILDER, provenance, sha512=Sha512(hashlib.sha512(FILE).hexdigest()))
    (where / "verdict.dsse.json").write_text(sign_statement(verdict, signer))
    (where / "public.pem").write_bytes(signer.public_pem)
    (where / "FILE.whl").write_bytes(FILE)
    return signer


def test_a_published_report_checks_out(tmp_path: Path) -> None:
    """Every step gives what the page says."""
    signer = publish(tmp_path, report(ARTIFACT, attempt(ARTIFACT, Level.IDENTICAL)))
    assert run("fingerprint", tmp_path).stdout == f"{signer.key_id}  -\n"
    signature = run("signature", tmp_path)
    assert (signature.returncode, signature.stdout) == (0, "Verified OK\n")
    assert run("subject", tmp_path).stdout == "1\n"
    assert run("result", tmp_path).stdout == ('"verificationResult":"PASSED","verifiedLevels":["REBUILDER_BITWISE"]\n')
    assert run("provenance", tmp_path).stdout == "1\n"
    assert json.loads((tmp_path / "verdict.json").read_text())["predicate"]["resourceUri"] == ARTIFACT.purl


@pytest.mark.parametrize(
    ("level", "result"),
    [
        (Level.EQUIVALENT, '"verificationResult":"PASSED","verifiedLevels":["REBUILDER_EQUIVALENT_CONTENT"]\n'),
        (Level.DIFFERENT, '"verificationResult":"FAILED","verifiedLevels":["FAILED"]\n'),
        (None, ""),
    ],
)
def test_other_verdicts_read_as_the_page_says(tmp_path: Path, level: Level | None, result: str) -> None:
    """Weaker, negative and undecided verdicts are signed alike, and told apart by the commands."""
    publish(tmp_path, report(ARTIFACT, attempt(ARTIFACT, level)))
    assert run("signature", tmp_path).stdout == "Verified OK\n"
    assert run("subject", tmp_path).stdout == "1\n"
    assert run("result", tmp_path).stdout == result


@pytest.mark.parametrize(
    ("level", "changed", "reason"),
    [
        (Level.IDENTICAL, "", "This summary says so."),
        (Level.EQUIVALENT, "", "not at this level"),
        (Level.DIFFERENT, "", "it did not pass"),
        (None, "", "no verification summary"),
        (Level.IDENTICAL, "file", "about another file"),
        (Level.IDENTICAL, "verifier", "of another verifier"),
        (Level.IDENTICAL, "resource", "about another release"),
    ],
)
def test_the_steps_of_a_verification_summary(tmp_path: Path, level: Level | None, changed: str, reason: str) -> None:
    """Each of them can fail; the first that does is named."""
    publish(tmp_path, report(ARTIFACT, attempt(ARTIFACT, level)))
    assert run("signature", tmp_path).stdout == "Verified OK\n"
    if changed == "file":
        (tmp_path / "FILE.whl").write_bytes(FILE + b".")
    words = {
        "VERIFIER": "tag:example.org,2026:other" if changed == "verifier" else BUILDER.id,
        "pkg:pypi/idna@3.20": "pkg:pypi/idna@3.21" if changed == "resource" else ARTIFACT.purl,
    }
    done = run("summary", tmp_path, words)
    assert reason in (done.stdout if reason.startswith("This") else done.stderr)
    assert (done.returncode == 0) == reason.startswith("This")


def test_what_programs_for_verification_summaries_ask_for(tmp_path: Path) -> None:
    """A version by names, references with digests, and no level of SLSA that has no number."""
    publish(tmp_path, report(ARTIFACT, attempt(ARTIFACT, Level.IDENTICAL)))
    run("signature", tmp_path)
    said = json.loads((tmp_path / "verdict.json").read_text())["predicate"]
    assert all(isinstance(each, str) for each in said["verifier"]["version"].values())
    assert all({"digest", "uri"} == set(each) for each in (said["policy"], *said["inputAttestations"]))
    assert [each for each in said["verifiedLevels"] if each.startswith("SLSA_")] == []


def test_the_provenance_is_checked_the_same_way(tmp_path: Path) -> None:
    """As the page says: the commands of step 1 with the other name."""
    publish(tmp_path, report(ARTIFACT, attempt(ARTIFACT, Level.IDENTICAL)))
    (tmp_path / "verdict.dsse.json").write_bytes((tmp_path / "provenance.dsse.json").read_bytes())
    assert run("signature", tmp_path).stdout == "Verified OK\n"


def test_with_jq_the_same_bytes_come_out(tmp_path: Path) -> None:
    """The other way the page offers reads envelopes that were laid out anew."""
    publish(tmp_path, report(ARTIFACT, attempt(ARTIFACT, Level.IDENTICAL)))
    run("signature", tmp_path)
    expected = (tmp_path / "verdict.json").read_bytes(), (tmp_path / "verdict.sig").read_bytes()
    envelope = tmp_path / "verdict.dsse.json"
    envelope.write_text(json.dumps(json.loads(envelope.read_text()), indent=2))
    for command in re.findall(r"`(jq -r [^`]*)`", PAGE):
        subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True, timeout=300)
    assert ((tmp_path / "verdict.json").read_bytes(), (tmp_path / "verdict.sig").read_bytes()) == expected


def test_a_changed_verdict_is_found(tmp_path: Path) -> None:
    """FAILED turned into PASSED inside the payload."""
    publish(tmp_path, report(ARTIFACT, attempt(ARTIFACT, Level.DIFFERENT)))
    envelope = json.loads((tmp_path / "verdict.dsse.json").read_text())
    passed = verdict_statement(report(ARTIFACT, attempt(ARTIFACT, Level.IDENTICAL)), BUILDER, None)
    forged = json.loads(sign_statement(passed, MemorySigner(2)))
    for tampered in (envelope | {"payload": forged["payload"]}, forged):
        (tmp_path / "verdict.dsse.json").write_text(json.dumps(tampered, separators=(",", ":"), sort_keys=True))
        signature = run("signature", tmp_path)
        assert signature.returncode != 0
        assert "Verified OK" not in signature.stdout


def test_other_bytes_and_other_provenance_are_found(tmp_path: Path) -> None:
    """A good signature on a statement about another file, or beside another provenance, prints 0."""
    publish(tmp_path, report(ARTIFACT, attempt(ARTIFACT, Level.IDENTICAL)))
    run("signature", tmp_path)
    (tmp_path / "FILE.whl").write_bytes(FILE + b".")
    with (tmp_path / "provenance.dsse.json").open("a") as provenance:
        provenance.write("\n")
    assert run("subject", tmp_path).stdout == "0\n"
    assert run("provenance", tmp_path).stdout == "0\n"


def test_the_proof_of_the_log_checks_out(tmp_path: Path) -> None:
    """With the page's own program; another statement, another place and another key are found."""
    site = tmp_path / "site"
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        digests = finish(ledger, *map(str, range(7)))
        log_writer(ledger, site).write()
    assert len(digests) == 7
    for number, sha256 in enumerate(digests):
        for ending in ("tlog-proof", "dsse.json"):
            (tmp_path / f"N.{ending}").write_bytes((site / digest_path(sha256) / f"{number}.{ending}").read_bytes())
        (tmp_path / "LOG-KEY").write_bytes((site / "log/key").read_bytes())
        done = run("log", tmp_path)
        assert done.stdout == "Signature Verified Successfully\n", done.stderr
    proof, statement, key = ((tmp_path / name).read_bytes() for name in ("N.tlog-proof", "N.dsse.json", "LOG-KEY"))
    other = NoteKey("log.example/test", bytes(32)).vkey.encode()
    for wrong in (
        (proof.replace(b"index 6", b"index 5"), statement, key),
        (proof, statement + b" ", key),
        (proof.replace(b"log.example/test\n7", b"log.example/test\n8"), statement, key),
        (proof, statement, other),
    ):
        for name, data in zip(("N.tlog-proof", "N.dsse.json", "LOG-KEY"), wrong, strict=True):
            (tmp_path / name).write_bytes(data)
        done = run("log", tmp_path)
        assert done.returncode != 0
        assert "Successfully" not in done.stdout
