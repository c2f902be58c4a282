"""A consumer that knows a file by its SHA-512 only, as lock files of npm do, finds what was signed about it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rebuilder.cli import check, export
from rebuilder.consumer.answer import Level, Vote
from rebuilder.consumer.auditor import verify
from rebuilder.consumer.rebuilder import Rebuilder, Trusted
from rebuilder.consumer.statement import names_file
from rebuilder.errors import CorruptStoreError, ExitCode, StoreError
from rebuilder.log.audit import LogError
from rebuilder.log.entry import digest_path, named_by_sha512
from rebuilder.model.report import Report
from rebuilder.model.value import Sha256, Sha512, sha256_hex
from rebuilder.model.verdict import Verdict
from rebuilder.network.site_reader import SiteReader
from rebuilder.store.blobs import DiskBlobs, sha512_of
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.published import PublishedRebuilder, identical, of_npm

ALPHA, BETA = identical("alpha"), identical("beta")
DIFFERS = reports.differs(MemoryBlobs())


def sha512(report: Report) -> Sha512:
    """Of the file that a report is about; see :class:`PublishedRebuilder`."""
    return Sha512(hashlib.sha512(report.artifact.filename.encode()).hexdigest())


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site about three files."""
    rebuilder = PublishedRebuilder(tmp_path_factory.mktemp("one"))
    rebuilder.publish(ALPHA, BETA, DIFFERS)
    return rebuilder.site


@pytest.fixture
def site(genuine: Path, tmp_path: Path) -> Path:
    """A copy, to be changed."""
    return shutil.copytree(genuine, tmp_path / "copy", copy_function=os.link)


def vote(site: Path, digest: Sha256 | Sha512, memory: Path) -> Vote | None:
    """What a site says about a file."""
    with SiteReader(str(site)) as reader:
        return Rebuilder.open(Trusted("https://rebuilds.example.org"), reader, memory, datetime.now(UTC)).vote(digest)


def test_both_digests_give_one_answer(genuine: Path, tmp_path: Path) -> None:
    """A difference, too; what nobody signed anything about has none."""
    for report, verdict in ((ALPHA, Verdict.REPRODUCED), (BETA, Verdict.REPRODUCED), (DIFFERS, Verdict.DIFFERS)):
        found = vote(genuine, sha512(report), tmp_path)
        assert found is not None
        assert found.verdict is verdict
        assert found == vote(genuine, report.artifact.sha256, tmp_path)
        assert found.sha256 == report.artifact.sha256
    assert vote(genuine, Sha512("ab" * 64), tmp_path) is None


def test_the_digest_is_in_what_is_signed(genuine: Path) -> None:
    """As a second digest of the subject, and the pointer says nothing else."""
    place = genuine / digest_path(ALPHA.artifact.sha256)
    rows = json.loads((place / "index.json").read_bytes())["statements"]
    subjects = [
        json.loads(base64.b64decode(json.loads((place / each["envelope"]).read_bytes())["payload"]))["subject"]
        for each in rows
    ]
    digest = {"sha256": ALPHA.artifact.sha256, "sha512": sha512(ALPHA)}
    assert [{"name": ALPHA.artifact.filename, "digest": digest}] in subjects
    assert json.loads((genuine / digest_path(sha512(ALPHA)) / "index.json").read_bytes()) == digest


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (json.dumps({"sha256": BETA.artifact.sha256}), "another file"),
        (json.dumps({"sha256": DIFFERS.artifact.sha256}), "another file"),
        ((json.dumps({"sha256": "../" * 21 + "x"})), "not what it must be"),
        ("[]", "not what it must be"),
        ("", "not what it must be"),
        ('{"sha256": 5}', "not what it must be"),
    ],
)
def test_a_path_of_another_file_is_refused(site: Path, tmp_path: Path, content: str, words: str) -> None:
    """Whoever serves the site cannot answer for one file with what was signed about another."""
    file = site / digest_path(sha512(ALPHA)) / "index.json"
    file.unlink()
    file.write_text(content)
    with pytest.raises(LogError, match=words):
        vote(site, sha512(ALPHA), tmp_path / "seen")


def test_a_file_that_nobody_knows_gets_no_answer_of_another(site: Path, tmp_path: Path) -> None:
    """A pointer for bytes that were planted leads to a good statement: it names other bytes."""
    planted = Sha512(hashlib.sha512(b"planted").hexdigest())
    file = site / digest_path(planted) / "index.json"
    file.parent.mkdir(parents=True)
    file.write_bytes((site / digest_path(sha512(ALPHA)) / "index.json").read_bytes())
    with pytest.raises(LogError, match="another file"):
        vote(site, planted, tmp_path / "seen")


def test_no_byte_of_a_pointer_can_be_another(site: Path, tmp_path: Path) -> None:
    """A changed one gives the genuine answer or none."""
    expected = vote(site, sha512(ALPHA), tmp_path / "seen")
    file = site / digest_path(sha512(ALPHA)) / "index.json"
    data = file.read_bytes()
    answers: list[Vote | None] = []
    for place in range(len(data)):
        file.unlink()
        file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        try:
            answers.append(vote(site, sha512(ALPHA), tmp_path / "seen"))
        except ValueError:
            answers.append(None)
    assert len(answers) > 200
    assert [] == [each for each in answers if each not in {None, expected}]


def test_a_statement_from_before_vouches_for_no_sha512(tmp_path: Path) -> None:
    """It is read by SHA-256 as ever; by a SHA-512 that somebody claims for it, it says nothing."""
    unsupported = without_bytes(reports.unsupported(MemoryBlobs()))
    rebuilder = PublishedRebuilder(tmp_path / "one")
    rebuilder.publish(unsupported)
    found = vote(rebuilder.site, unsupported.artifact.sha256, tmp_path / "seen")
    assert found is not None
    claimed = Sha512("cd" * 64)
    file = rebuilder.site / digest_path(claimed) / "index.json"
    assert not (rebuilder.site / "sha512").exists()
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"sha256": found.sha256, "sha512": claimed}))
    assert vote(rebuilder.site, claimed, tmp_path / "seen") is None


def test_the_directory_is_written_again(tmp_path: Path) -> None:
    """The same bytes each time."""
    rebuilder = PublishedRebuilder(tmp_path)
    rebuilder.publish(ALPHA, BETA)
    before = {each: each.read_bytes() for each in (rebuilder.site / "sha512").rglob("*") if each.is_file()}
    assert len(before) == 2
    shutil.rmtree(rebuilder.site / "sha512")
    rebuilder.publish()
    assert before == {each: each.read_bytes() for each in (rebuilder.site / "sha512").rglob("*") if each.is_file()}


@pytest.mark.parametrize("digest", [[], {}, 5, "", "AB" * 64, "../" + "a" * 125])
def test_a_digest_that_is_none(digest: object) -> None:
    """What a key of a rebuilder signed may still be anything."""
    subject = {"name": "x", "digest": {"sha256": ALPHA.artifact.sha256, "sha512": digest}}
    with pytest.raises(LogError):
        names_file({"subject": [subject]}, sha512(ALPHA), ALPHA.artifact.sha256)
    for subjects in ([subject], [digest], digest or 5):
        payload = base64.b64encode(json.dumps({"subject": subjects}).encode()).decode()
        with pytest.raises(ValueError, match="statement"):
            named_by_sha512(json.dumps({"payload": payload}))
    with pytest.raises(ValueError, match="statement"):
        named_by_sha512("[]")


def without_bytes(report: Report) -> Report:
    """The report about a file that is not stored."""
    artifact = report.artifact.replace(file=report.artifact.file.replace(sha256=sha256_hex(b"not stored")))
    return report.replace(artifact=artifact, evidence=report.evidence.replace(artifact=artifact))


NPM = [of_npm(each, each.artifact.name, "1.0.0") for each in (ALPHA, BETA)]


def package_lock(path: Path, found: Iterable[tuple[str, bytes]]) -> Path:
    """A lock file of npm about some files."""
    packages: dict[str, Any] = {"": {"name": "project"}}
    for name, content in found:
        integrity = base64.b64encode(hashlib.sha512(content).digest()).decode()
        packages[f"node_modules/{name}"] = {
            "version": "1.0.0",
            "resolved": f"https://registry.example.org/{name}/-/{name}-1.0.0.tgz",
            "integrity": f"sha512-{integrity}",
        }
    path.write_text(json.dumps({"lockfileVersion": 3, "packages": packages}))
    return path


def asked(lock: Path, site: Path, memory: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and answers."""
    code = check.run(
        [str(lock)],
        rebuilders=[str(site)],
        need=None,
        policy_file=None,
        all_platforms=False,
        offline=True,
        kind="json",
        seen=memory,
    )
    return code, json.loads(capsys.readouterr().out.splitlines()[-1])["answers"]


def test_a_lock_file_of_npm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each line has the answer of its file, also out of a bundle; nobody is asked for names."""
    rebuilder = PublishedRebuilder(tmp_path / "one")
    rebuilder.publish(*NPM, DIFFERS)
    genuine = rebuilder.site
    content = {each.artifact.name: each.artifact.filename.encode() for each in (*NPM, DIFFERS)}
    lock = package_lock(tmp_path / "package-lock.json", [*content.items(), ("gamma", b"unknown")])
    export.export([str(genuine)], lock_file=[lock], output=tmp_path / "bundle.zip")
    for place in (genuine, tmp_path / "bundle.zip"):
        code, answers = asked(lock, place, tmp_path / "seen", capsys)
        assert code == ExitCode.DIFFERS
        assert [each["standing"] for each in answers] == ["passed", "passed", "differs", "undecided"]
        assert answers[0]["level"] == Level.BUILD_ALONE
        assert (answers[0]["sha256"], answers[0]["sha512"]) == (ALPHA.artifact.sha256, sha512(ALPHA))
        assert answers[3]["sha256"] is None
    lock = package_lock(lock, list(content.items())[:2])
    assert asked(lock, genuine, tmp_path / "seen", capsys)[0] == ExitCode.OK


def test_an_auditor_finds_what_is_hidden(site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A statement that names a SHA-512 must be found by it."""
    assert verify(str(site), key=None, statements=True, seen=tmp_path / "seen") == ExitCode.OK
    file = site / digest_path(sha512(BETA)) / "index.json"
    file.unlink()
    assert verify(str(site), key=None, statements=True, seen=tmp_path / "seen") == ExitCode.DIFFERS
    assert "SHA-512" in capsys.readouterr().out


def test_both_digests_are_of_the_same_bytes(tmp_path: Path) -> None:
    """What is stored is read; bytes that rot are no reason for another digest."""
    blobs = DiskBlobs(tmp_path)
    digest = blobs.put(b"content")
    assert sha512_of(blobs, digest) == hashlib.sha512(b"content").hexdigest()
    assert sha512_of(blobs, sha256_hex(b"nothing")) is None
    file = blobs.path(digest)

    class Swapped(DiskBlobs):
        def path(self, sha256: str) -> Path:
            found = super().path(sha256)
            found.unlink()
            found.write_bytes(b"another")
            return found

    with pytest.raises(CorruptStoreError):
        sha512_of(Swapped(tmp_path), digest)
    assert file.read_bytes() == b"another"
    with pytest.raises(StoreError):
        sha512_of(DiskBlobs(tmp_path), digest)
