"""Drills: a key is replaced, a key is stolen, root keys change; seen by who runs the rebuilder and by who checks it."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from rebuilder.consumer.auditor import verify
from rebuilder.consumer.bundle import write_bundle
from rebuilder.errors import ExitCode
from rebuilder.log.audit import LogError
from rebuilder.log.entry import LogEntry
from rebuilder.log.proof import LogProof
from rebuilder.model.report import Report, page_path
from rebuilder.model.verdict import Verdict
from rebuilder.network.site_reader import SiteReader
from rebuilder.signing.envelope import sign_statement
from rebuilder.signing.key_directory import KeyNotGoodError
from rebuilder.signing.key_list import KEY_LIST, PAYLOAD_TYPE, KeyListError, Use, version_path
from rebuilder.signing.keys import Algorithm, FileKey
from rebuilder.store.blobs import DiskBlobs
from rebuilder.store.ledger import Ledger
from rebuilder.wiring import publishing
from tests.fakes import reports
from tests.fakes.api import serving
from tests.fakes.api_context import open_api_context
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.key_drills import DAY, Operator, vote
from tests.fakes.published import signable

BLOBS = MemoryBlobs()
BEFORE, AFTER, LATER = (reports.build_failed(BLOBS), reports.unsupported(BLOBS), reports.timed_out(BLOBS))


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    """A rebuilder that signed something ten days ago, and has a list of keys since then."""
    operator = Operator(tmp_path)
    operator.publish(BEFORE, 10 * DAY)
    operator.keys("init", "--threshold", "2", roots=(0, 1, 2))
    return operator


def page(operator: Operator, report: Report) -> str:
    """The page of a report."""
    artifact = report.artifact
    path = page_path(artifact.ecosystem, artifact.name, artifact.version, artifact.filename, artifact.sha256)
    return (operator.site / path / "index.html").read_text()


def stolen_key(operator: Operator) -> FileKey:
    """A copy of the key for statements."""
    taken = operator.directory / "thief" / "signing.pem"
    taken.parent.mkdir(mode=0o700)
    shutil.copy(operator.config.keys / "signing.pem", taken)
    return FileKey.read(taken, Algorithm.P256, None)


def test_rotation_drill(operator: Operator, tmp_path: Path) -> None:
    """The next key signs, the one before is good for what it signed, and nobody who checks has to do anything."""
    memory = tmp_path / "seen"
    first = vote(operator.site, BEFORE, memory)
    operator.keys("rotate", "statements")
    assert ["signing.pem", f"signing.old-{first.voter.key_id[:16]}.pem"] == operator.statement_keys()[::-1]
    operator.publish(AFTER, -DAY / 24)
    second = vote(operator.site, AFTER, memory, now=operator.today + DAY)
    assert first.voter.key_id != second.voter.key_id
    assert first == vote(operator.site, BEFORE, memory, now=operator.today + DAY)
    assert {"signing", "log", "links"} <= {each.name.split(".")[0] for each in operator.config.keys.glob("*.pem")}
    assert "in use" in operator.keys("list", roots=())
    (old,) = (each for each in operator.key_list.keys.values() if each.key_id == first.voter.key_id)
    assert old.period.valid_until is not None
    assert (operator.site / version_path(1)).is_file()


def test_compromise_drill(tmp_path: Path) -> None:
    """What was logged before the theft stays good; what came after is refused, and pages say so."""
    operator, memory = Operator(tmp_path), tmp_path / "seen"
    operator.publish(BEFORE, 10 * DAY)
    operator.publish(AFTER, 3 * DAY)
    operator.keys("init", roots=(0, 1))
    vote(operator.site, BEFORE, memory)
    accepted = vote(operator.site, AFTER, memory)
    since = f"{operator.today - 5 * DAY:%Y-%m-%dT%H:%M:%S}"
    operator.keys("rotate", "statements", roots=())
    assert "Version 2" in operator.keys(
        "revoke", accepted.voter.key_id[:12], "--since", since, "--reason", "The laptop is gone."
    )
    assert vote(operator.site, BEFORE, memory).voter.key_id == accepted.voter.key_id
    with pytest.raises(KeyListError, match="The laptop is gone"):
        vote(operator.site, AFTER, memory)
    with pytest.raises(KeyListError, match="The laptop is gone"):
        vote(operator.site, AFTER, tmp_path / "somebody else")
    said = page(operator, AFTER)
    assert said.index("a key that was revoked") < said.index('id="verdict"')
    assert "The laptop is gone." in said
    assert "a key that was revoked" not in page(operator, BEFORE)
    rows = {
        each["sha256"]: each.get("doubt", "")
        for each in json.loads((operator.site / "v1/index.json").read_text())["latest"]
    }
    assert rows[AFTER.artifact.sha256].startswith("Do not believe")
    assert not rows[BEFORE.artifact.sha256].startswith("Do not believe")
    assert "Do not believe" in (operator.site / "index.html").read_text()
    operator.publish(LATER, -DAY / 24)
    assert accepted.voter.key_id != vote(operator.site, LATER, memory, now=operator.today + DAY).voter.key_id


def test_what_a_revoked_key_signed_counts_as_nothing_anywhere(tmp_path: Path) -> None:
    """Neither on pages and in documents, nor in what programs ask for; what was logged before is as it was."""
    operator = Operator(tmp_path)
    operator.publish(BEFORE, 10 * DAY)
    good, bad = reports.reproduced(MemoryBlobs(), "lathe"), reports.equivalent(BLOBS)
    same = reports.reproduced(MemoryBlobs(), "spindle")
    contents = DiskBlobs(operator.config.store / "blobs")
    for report in (good, bad, same):
        for data in (report.artifact.filename, f"rebuilt {report.artifact.filename}"):
            contents.put(data.encode())
    operator.publish(signable(good), 9 * DAY)
    operator.publish(signable(bad), 3 * DAY)
    key_id = operator.publish(signable(same), 2 * DAY).key_id
    operator.keys("init")
    operator.keys("rotate", "statements", roots=())
    since = f"{operator.today - 5 * DAY:%Y-%m-%dT%H:%M:%S}"
    operator.keys("revoke", key_id, "--since", since, "--reason", "The laptop is gone.")
    index = json.loads((operator.site / "v1/index.json").read_text())
    counted = {name: number for name, number in index["counts"].items() if number}
    assert {"reproduced": 1, "build-failed": 1, "revoked": 2} == counted
    assert 4 == index["files_total"]
    front = (operator.site / "index.html").read_text()
    assert "1 of 4 known files (25.0 %) was confirmed by a rebuild; 1 could not be built, 2 signed by a key" in front
    assert 2 == json.loads((operator.site / "v1/verdicts" / "revoked.json").read_text())["files_total"]
    assert not (operator.site / "verdicts" / "equivalent.html").exists()
    listed = json.loads((operator.site / "api/v0/pkgs/list").read_text())
    status = {each["name"]: (each["status"], each["has_attestation"]) for each in listed}
    assert {("GOOD", True)} == {status["lathe"]}
    assert {("UNKWN", False)} == {status["lantern"], status["spindle"]}
    with publishing(operator.config) as signer:
        told: dict[str, Any] = {"agreeing": signer.told, "doubted": signer.keys.doubted_standing, "blobs": contents}
        told |= {"ledger": signer.ledger, "site": operator.site, "check": signer.agreement.check_report}
        with open_api_context(tmp_path / "api", **told) as context, serving(context) as http:
            found = http.get("/api/v1/status", params={"sha256": same.artifact.sha256}).json()
            assert "The laptop is gone." in found["files"][0]["current"]["doubt"]
            rows = http.get("/api/v1/verdicts").json()["verdicts"]
            assert {"lantern", "spindle"} == {each["name"] for each in rows if "doubt" in each}
            answer = http.get("/api/v1/report", params={"sha256": same.artifact.sha256})
            assert "revoked" == answer.headers["rebuilder-doubt"]
            answer = http.get("/api/v1/report", params={"sha256": good.artifact.sha256})
            assert "rebuilder-doubt" not in answer.headers
            found = http.get("/api/v1/packages/binary", params={"name": "spindle"}).json()["records"][0]
            assert (None, None, None) == (found["status"], found["build_id"], found["artifact_id"])
            rebuilds = http.get("/api/v1/dashboard").json()["rebuilds"]
            assert {"good": 1, "bad": 0, "fail": 1, "unknown": 2} == rebuilds
        figures = signer.keys.discounted(signer.ledger.statistics.operations(operator.today))
        assert (1, 0, 2) == (
            figures.current[Verdict.REPRODUCED],
            figures.current[Verdict.EQUIVALENT],
            figures.revoked,
        )


def test_a_site_that_nobody_looks_after_any_more_can_be_audited(
    operator: Operator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its list of keys expired: that is said, and what is wrong besides is found; nobody else believes it."""
    memory, later = tmp_path / "seen", operator.today + 400 * DAY

    def audited(now: datetime) -> tuple[int, str]:
        code = verify(str(operator.site), key=None, statements=True, seen=memory, now=now)
        return code, capsys.readouterr().out

    code, before = audited(operator.today)
    assert (ExitCode.OK, True) == (code, "is whole" in before)
    code, after = audited(later)
    assert code is ExitCode.DIFFERS
    assert "The key list expired on" in after
    assert "is whole: 2 entries, each with its statement" in after
    with pytest.raises(LogError, match="expired"):
        vote(operator.site, BEFORE, memory, now=later)
    (statement,) = operator.site.glob(f"sha256/*/{BEFORE.artifact.sha256}/*.dsse.json")
    statement.write_text(statement.read_text().replace("A", "B", 1))
    code, found = audited(later)
    assert (ExitCode.DIFFERS, True) == (code, "not the one that was logged" in found)
    assert "is whole" not in found


def test_a_revoked_key_does_not_sign(operator: Operator, tmp_path: Path) -> None:
    """The rebuilder stops by itself, says why, and goes on with the next key; what was examined is not lost."""
    (key,) = (each for each in operator.key_list.keys.values() if each.use is Use.STATEMENTS)
    since = f"{operator.today - DAY:%Y-%m-%d}"
    operator.keys("revoke", key.key_id, "--since", since, "--reason", "lost")
    with pytest.raises(KeyNotGoodError, match="lost"):
        operator.publish(AFTER, -DAY / 24)
    with publishing(operator.config) as signer:
        problem, expires = signer.key_condition(operator.today)
        assert problem is not None
        assert expires == operator.key_list.expires
    operator.keys("rotate", "statements")
    assert vote(operator.site, AFTER, tmp_path / "seen").voter.key_id != key.key_id


def test_who_has_only_the_key_for_statements_gets_nothing_into_the_log(operator: Operator, tmp_path: Path) -> None:
    """Written into the ledger it is not logged, and on a copy of the site there is no proof of it."""
    memory, thief = tmp_path / "seen", stolen_key(operator)
    accepted = vote(operator.site, BEFORE, memory)
    operator.keys("rotate", "statements", roots=())
    operator.keys("revoke", thief.key_id, "--since", f"{operator.today - DAY:%Y-%m-%d}", "--reason", "stolen")
    (folder,) = operator.site.glob(f"sha256/*/{BEFORE.artifact.sha256}")
    listing = json.loads((folder / "index.json").read_text())
    number = listing["statements"][0]["number"]
    genuine = (folder / f"{number}.dsse.json").read_text()
    forged = sign_statement(_payload(genuine) | {"predicateType": "https://slsa.dev/verification_summary/v1"}, thief)
    with Ledger.open(operator.config.ledger_place) as ledger:
        size = ledger.log_book.size()
        ledger.log_book.issue(thief.key_id, forged)
    with publishing(operator.config) as signer:
        (refused,) = [each for each in signer.write_index() if "stolen" in str(each)]
        assert signer.log.book.size() == size
    assert "not logged" in str(refused)
    proof = LogProof.read((folder / f"{number}.tlog-proof").read_bytes())
    entry = LogEntry.of(forged, operator.today - 2 * DAY).encode()
    (folder / f"{number}.dsse.json").write_text(forged)
    (folder / f"{number}.tlog-proof").write_bytes(LogProof(number, proof.path, proof.note, entry).encode())
    with pytest.raises(ValueError, match="does not lead to the root"):
        vote(operator.site, BEFORE, memory)
    (folder / f"{number}.dsse.json").write_text(genuine)
    (folder / f"{number}.tlog-proof").write_bytes(proof.encode())
    assert accepted == vote(operator.site, BEFORE, memory)


def _payload(envelope: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(base64.b64decode(json.loads(envelope)["payload"]))
    return found


def test_a_stolen_key_of_the_log(operator: Operator, tmp_path: Path) -> None:
    """Once it is revoked nothing that it signed counts, and every proof is made anew with the next key."""
    memory = tmp_path / "seen"
    accepted = vote(operator.site, BEFORE, memory)
    old = tmp_path / "old"
    shutil.copytree(operator.site, old)
    (key,) = (each for each in operator.key_list.keys.values() if each.use is Use.CHECKPOINTS)
    operator.keys("rotate", "checkpoints", roots=())
    operator.keys("revoke", key.key_id, "--since", f"{operator.today:%Y-%m-%d}", "--reason", "copied")
    again = vote(operator.site, BEFORE, memory)
    assert accepted.logged == again.logged
    shutil.copytree(operator.site / "keys", old / "keys", dirs_exist_ok=True)
    shutil.copy(operator.site / KEY_LIST, old / KEY_LIST)
    with pytest.raises(ValueError, match="not signed by the key"):
        vote(old, BEFORE, tmp_path / "somebody else")


def test_an_old_list_that_was_put_back(operator: Operator, tmp_path: Path) -> None:
    """Who saw the newer one refuses it; so does who got the newer one by another way, and who finds none."""
    memory, first = tmp_path / "seen", (operator.site / KEY_LIST).read_bytes()
    operator.keys("rotate", "statements")
    second = operator.run("export").stdout.encode()
    assert second == (operator.site / KEY_LIST).read_bytes()
    vote(operator.site, BEFORE, memory)
    (operator.site / KEY_LIST).write_bytes(first)
    with pytest.raises(ValueError, match="an old one was put back"):
        vote(operator.site, BEFORE, memory)
    with pytest.raises(ValueError, match="an old one was put back"):
        vote(operator.site, BEFORE, tmp_path / "somebody else", trusted=second)
    (operator.site / KEY_LIST).unlink()
    with pytest.raises(ValueError, match="shows none any more"):
        vote(operator.site, BEFORE, memory)


def test_a_wrong_clock(operator: Operator, tmp_path: Path) -> None:
    """The sentence thinks of it."""
    with pytest.raises(ValueError, match="or the clock is wrong"):
        vote(operator.site, BEFORE, tmp_path / "seen", now=operator.today + 400 * DAY)


def test_root_keys_that_are_offline(operator: Operator, tmp_path: Path) -> None:
    """A draft travels; each owner signs it where the root key is; it counts when enough have signed."""
    operator.keys("rotate", "statements", roots=())
    draft, stick = operator.config.keys / "next.root.json", tmp_path / "stick.json"
    assert 1 == operator.key_list.version
    shutil.copy(draft, stick)
    for number in (2, 0):
        told = operator.keys("sign", str(stick), roots=(number,))
        assert "statements" in told
    shutil.copy(stick, draft)
    operator.keys("sign", roots=())
    assert 2 == operator.key_list.version
    assert not draft.exists()
    assert len(operator.statement_keys()) == 2


def test_root_keys_are_replaced(operator: Operator, tmp_path: Path) -> None:
    """Who trusts the first ones is led to the last ones, two versions on."""
    first = (operator.site / KEY_LIST).read_bytes()
    before = operator.roots
    fresh = [tmp_path / "safe" / f"fresh-{number}.pem" for number in (1, 2)]
    operator.keys("rotate", "roots", *[part for each in fresh for part in ("--next", str(each))], "--threshold", "2")
    operator.roots = fresh
    operator.keys("sign", "--days", "30")
    assert 3 == operator.key_list.version
    vote(operator.site, BEFORE, tmp_path / "seen", trusted=first)
    operator.roots = before
    done = operator.run("sign", "--root", str(before[0]), "--root", str(before[1]))
    assert done.exit_code == 0
    assert "waits" in done.stdout, "those before are not enough any more"


def test_every_list_is_in_the_log(operator: Operator) -> None:
    """Under the digest of each key lies what was said about it, with a proof."""
    operator.keys("rotate", "statements")
    listed = operator.key_list.keys
    assert 4 == len(listed)
    for key in listed.values():
        (folder,) = operator.site.glob(f"sha256/*/{key.key_id}")
        rows = json.loads((folder / "index.json").read_text())["statements"]
        assert {PAYLOAD_TYPE} == {each["predicate_type"] for each in rows}
        newest = rows[0]
        proof = LogProof.read((folder / newest["proof"]).read_bytes())
        assert proof.entry is not None
        assert proof.check(proof.entry).size > newest["number"]
        assert (folder / newest["envelope"]).read_bytes() == (operator.site / KEY_LIST).read_bytes()
        assert len(rows) == (2 if key.period.valid_from is None else 1)


def audited(operator: Operator, seen: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """What an auditor is told."""
    code = verify(str(operator.site), key=None, statements=True, seen=seen)
    return code, capsys.readouterr().out


def test_an_auditor_goes_along(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Over new keys of statements and of the log; what counts for nothing is counted; a hidden list is found."""
    operator = Operator(tmp_path)
    operator.publish(BEFORE, 10 * DAY)
    first = operator.publish(AFTER, 3 * DAY)
    operator.keys("init", roots=(0, 1))
    seen = tmp_path / "seen"
    assert audited(operator, seen, capsys)[0] == ExitCode.OK
    operator.keys("rotate", "checkpoints")
    old = (operator.site / KEY_LIST).read_bytes()
    operator.keys("rotate", "statements", roots=())
    since = f"{operator.today - 5 * DAY:%Y-%m-%d}"
    operator.keys("revoke", first.key_id, "--since", since, "--reason", "stolen")
    code, told = audited(operator, seen, capsys)
    assert (ExitCode.OK, True) == (code, "they were logged: 1." in told), told
    (operator.site / KEY_LIST).write_bytes(old)
    code, told = audited(operator, tmp_path / "somebody else", capsys)
    assert (ExitCode.DIFFERS, True) == (code, "may be hidden" in told), told


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("init", "--root", "ROOT"), "already"),
        (("rotate", "anything"), "no key for"),
        (("rotate", "roots", "--next", "fresh.pem", "--threshold", "2"), "cannot sign"),
        (("rotate", "roots"), "are not named"),
        (("rotate", "roots", "--next", "ROOT", "--next", "ROOT"), "the same key"),
        (("rotate", "statements", "--root", "KEYS/signing.pem"), "directory of the keys"),
        (("rotate", "statements", "--root", "STORE/root.pem"), "directory of the store"),
        (("rotate", "statements", "--root", "nowhere.pem"), "no root key"),
        (("rotate", "statements", "--key", "hsm:x"), "has no number"),
        (("rotate", "checkpoints", "--key", "hsm:2"), "Ed25519"),
        (("rotate", "statements", "--key", "gcpkms:projects/x"), "cannot be read"),
        (("revoke", "abc", "--since", "2026-01-01", "--reason", "x"), "begins with"),
        (("revoke", "", "--since", "2026-01-01", "--reason", "x"), "keys begin"),
        (("revoke", "abc", "--since", "2999-01-01", "--reason", "x"), "still to come"),
        (("revoke", "abc", "--since", "2026-01-01", "--reason", " "), "one sentence"),
        (("sign", "nowhere.json"), "cannot be used"),
    ],
)
def test_bad_input(operator: Operator, words: tuple[str, ...], match: str) -> None:
    """One sentence; the list and the keys are as they were."""
    places = {"ROOT": operator.roots[0], "KEYS": operator.config.keys, "STORE": operator.config.store}
    before = {each: each.read_bytes() for each in operator.config.keys.iterdir()}
    given = [str(places[each]) if each in places else each for each in words]
    given = [each.replace("KEYS", str(places["KEYS"])).replace("STORE", str(places["STORE"])) for each in given]
    done = operator.run(*given)
    assert done.exception is not None
    assert match in str(done.exception)
    assert done.exception.exit_code in {ExitCode.USAGE, ExitCode.OUR_FAULT}  # type: ignore[attr-defined]
    after = {each: each.read_bytes() for each in operator.config.keys.iterdir()}
    assert before.keys() == after.keys() - {operator.config.keys / "signing.next.pem"}
    assert all(after[each] == data for each, data in before.items())


def test_a_wrong_passphrase(operator: Operator) -> None:
    """Root keys are encrypted."""
    assert b"ENCRYPTED" in operator.roots[0].read_bytes()
    done = operator.run("sign", "--root", str(operator.roots[0]), passphrase="wrong")
    assert "does not open" in str(done.exception)
    assert not (operator.config.keys / "next.root.json").exists()


def test_no_passphrase(operator: Operator) -> None:
    """Where nobody can be asked, that is said; nothing is made."""
    done = operator.run("rotate", "roots", "--next", str(operator.directory / "fresh.pem"), passphrase="")
    assert "no terminal" in str(done.exception)
    assert not (operator.directory / "fresh.pem").exists()


def test_somebody_elses_root_key(operator: Operator, tmp_path: Path) -> None:
    """It may not even wait with such a signature."""
    (tmp_path / "theirs").mkdir()
    theirs = Operator(tmp_path / "theirs")
    theirs.keys("init", roots=(0,))
    done = operator.run("sign", "--root", str(theirs.roots[0]))
    assert "no root key of this list" in str(done.exception)
    assert not (operator.config.keys / "next.root.json").exists()


def test_the_page_on_the_format(operator: Operator) -> None:
    """What it shows runs with python-tuf and nothing of ours."""
    page = (Path(__file__).parents[2] / "docs" / "keys-json.md").read_text()
    program = page.split("```python\n", 1)[1].split("```", 1)[0]
    checked = subprocess.run(
        [sys.executable, "-c", program], cwd=operator.site, capture_output=True, text=True, check=False
    )
    assert (0, "") == (checked.returncode, checked.stderr)
    document = bytearray((operator.site / KEY_LIST).read_bytes())
    document[100] ^= 1
    (operator.site / KEY_LIST).write_bytes(document)
    broken = subprocess.run(
        [sys.executable, "-c", program], cwd=operator.site, capture_output=True, text=True, check=False
    )
    assert broken.returncode == 1


def test_a_bundle_leads_over_root_keys(operator: Operator, tmp_path: Path) -> None:
    """One file without a network has the versions in between, too."""
    first = (operator.site / KEY_LIST).read_bytes()
    fresh = tmp_path / "safe" / "fresh.pem"
    operator.keys("rotate", "roots", "--next", str(fresh))
    operator.roots[0] = fresh
    operator.keys("sign", "--days", "30", roots=(0,))
    bundle = tmp_path / "answers.zip"
    with SiteReader(str(operator.site)) as site:
        assert 1 == write_bundle(site, [BEFORE.artifact.sha256], bundle)
    assert vote(bundle, BEFORE, tmp_path / "seen", trusted=first).verdict is BEFORE.decision.verdict
