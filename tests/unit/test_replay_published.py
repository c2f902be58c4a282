"""What a published report says is to be run, out of its signed documents, and out of nothing else."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from rebuilder.log.entry import LogEntry
from rebuilder.log.note import Checkpoint, NoteKey, sign_note
from rebuilder.log.proof import LogProof
from rebuilder.log.tiles import leaf_hash
from rebuilder.model.accounting import CompiledHere
from rebuilder.model.attempt import Output
from rebuilder.model.comparison import Level
from rebuilder.model.environment import Package
from rebuilder.model.replay import ReplayOutcome
from rebuilder.model.report import Report
from rebuilder.model.value import canonical_json, sha256_hex
from rebuilder.replay.published import (
    Documents,
    NotReplayableError,
    of_our_own,
    read_definition,
    read_published,
)
from rebuilder.replay.replayer import Replayer
from rebuilder.signing.envelope import sign_statement
from rebuilder.signing.key_draft import KeyDraft, sign_list
from rebuilder.signing.key_list import KeyPeriod, Use
from rebuilder.signing.statements import Builder, provenance_statement, verdict_statement
from tests.fakes import reports, verifications
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.key_lists import EXPIRES, ROOTS, START, first_list
from tests.fakes.signer import MemorySigner

SIGNER = MemorySigner()


def made(level: Level, name: str = "idna") -> Report:
    """A report of one attempt."""
    artifact = verifications.artifact(name)
    return verifications.report(artifact, verifications.attempt(artifact, level))


def documents(report: Report, signer: MemorySigner = SIGNER, change: Callable[[Any], object] = id) -> Documents:
    """The documents of a report, signed; its verdict can be changed before."""
    builder = Builder(id="tag:rebuilder,2026:test")
    statement = provenance_statement(report, builder)
    assert statement is not None
    provenance = sign_statement(statement, signer)
    verdict = verdict_statement(report, builder, provenance)
    change(verdict)
    signed = sign_statement(verdict, signer).encode()
    return Documents(provenance=provenance.encode(), verdict=signed, key=signer.public_pem)


def refusal(given: Documents) -> str:
    """Why documents are refused."""
    with pytest.raises(NotReplayableError) as caught:
        read_published(given)
    assert 3 == caught.value.exit_code
    return str(caught.value)


@pytest.mark.parametrize("level", list(Level))
def test_a_report_says_what_has_to_come_out(level: Level) -> None:
    """The definition with the digest it has, and the file that the verdict rests on."""
    report = made(level)
    found = read_published(documents(report))
    index = report.decision.attempt
    assert index is not None
    attempt = report.attempts[index]
    assert attempt.hypothesis.definition == found.definition
    assert attempt.rebuilt is not None
    assert (attempt.rebuilt.filename, attempt.rebuilt.sha256) == (found.product, found.rebuilt)
    assert (report.artifact.sha256, report.decision.verdict.value) == (found.published, found.verdict)
    assert (SIGNER.key_id, None) == (found.key_id, found.logged)


def test_what_comes_out_with_what_nobody_signed_can_be_run_again() -> None:
    """It has the published bytes, so these have to come out."""
    [attempt] = made(Level.IDENTICAL).attempts
    package = Package(name="libx", version="1-1", architecture="amd64", sha256=sha256_hex(b"x"), origin="pool")
    definition = attempt.hypothesis.definition
    definition = definition.replace(toolchain=definition.toolchain.replace(unauthenticated=(package,)))
    attempt = attempt.replace(hypothesis=attempt.hypothesis.replace(definition=definition))
    report = verifications.report(verifications.artifact(), attempt)
    found = read_published(documents(report))
    assert ("unauthenticated", report.artifact.sha256) == (found.verdict, found.rebuilt)


def test_no_changed_byte_is_taken() -> None:
    """Every ninth byte of both envelopes, changed: refused, or it was the hint that nobody signed."""
    given = documents(made(Level.IDENTICAL))
    known, refused = read_published(given), 0
    for name in ("provenance", "verdict"):
        data = getattr(given, name)
        for at in range(0, len(data), 9):
            changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            try:
                assert known == read_published(replace(given, **{name: changed}))
            except NotReplayableError:
                refused += 1
    hints = 2 * (len(SIGNER.key_id) + 20) / 9
    assert refused > (len(given.provenance) + len(given.verdict)) / 9 - hints


def test_whoever_signs_something_else_is_refused() -> None:
    """Another key, the provenance of another report, a verdict that contradicts what was made."""
    one, other = documents(made(Level.IDENTICAL)), documents(made(Level.IDENTICAL, "reel"))
    assert "another key signed it" in refusal(one.signed_by(MemorySigner(2).public_pem))
    assert "names another provenance" in refusal(replace(one, provenance=other.provenance))
    assert "names another provenance" in refusal(replace(one, verdict=other.verdict))
    assert "statement of another kind" in refusal(replace(one, provenance=one.verdict))

    def published(verdict: Any) -> None:
        verdict["subject"][0]["digest"]["sha256"] = "ab" * 32

    assert "does not fit the digests" in refusal(documents(made(Level.IDENTICAL), change=published))

    def rests_elsewhere(verdict: Any) -> None:
        said = next(each for name, each in verdict["predicate"].items() if name.startswith("tag:"))
        said["attempts"][said["decidedBy"]]["definition"]["digest"]["sha256"] = "cd" * 32

    assert "another definition" in refusal(documents(made(Level.DIFFERENT), change=rests_elsewhere))


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found["internalParameters"].update(network="on"),
        lambda found: found["internalParameters"]["limits"].update(memory_bytes=1 << 50),
        lambda found: found["internalParameters"]["limits"].update(wall_seconds=-1),
        lambda found: found["externalParameters"].update(filenames=["a", "b"]),
        lambda found: found["resolvedDependencies"][1]["annotations"].update(mode="0777"),
        lambda found: found.pop("resolvedDependencies"),
    ],
)
def test_a_definition_is_understood_whole_or_not_at_all(change: Callable[[Any], object]) -> None:
    """Nothing in it is passed over, and nobody may ask for more than there is."""
    document = json.loads(verifications.definition(verifications.artifact()).canonical)
    assert read_definition(document).canonical == canonical_json(document)
    change(document)
    with pytest.raises((ValueError, KeyError)):
        read_definition(document)


def logged(given: Documents) -> Documents:
    """The documents with a proof that the first of them is in a log of one entry."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.from_private_bytes(bytes(32))
    key = NoteKey("rebuilder.example/log", private.public_key().public_bytes_raw())
    entry = LogEntry.of(given.provenance.decode(), verifications.NOW).encode()
    note = sign_note(Checkpoint(key.name, 1, leaf_hash(entry)).text, key, private.sign)
    return replace(given, proof=LogProof(0, (), note, entry).encode(), log_key=key.vkey.encode())


def test_a_proof_must_hold() -> None:
    """When it was logged is told; a proof of something else, of another log or without a key is refused."""
    given = logged(documents(made(Level.IDENTICAL)))
    assert verifications.NOW.replace(microsecond=0) == read_published(given).logged
    other = logged(documents(made(Level.IDENTICAL, "reel")))
    assert "about another statement" in refusal(replace(given, proof=other.proof))
    assert "no key of that log" in refusal(replace(given, log_key=None))
    stranger = NoteKey("rebuilder.example/log", bytes(range(32))).vkey.encode()
    assert "the log whose key" in refusal(replace(given, log_key=stranger))
    assert given.proof is not None
    for at in range(0, len(given.proof), 5):
        changed = given.proof[:at] + bytes([given.proof[at] ^ 1]) + given.proof[at + 1 :]
        try:
            assert read_published(given) == read_published(replace(given, proof=changed))
        except NotReplayableError:
            continue
        pytest.fail(f"a proof with byte {at} changed was taken")


def test_documents_that_are_none() -> None:
    """Anything else is a sentence."""
    given = documents(made(Level.IDENTICAL))
    for junk in (b"", b"{}", b"\xff\xfe", b"[" * 10_000, b'{"payload":"","payloadType":"x","signatures":[]}'):
        assert "not what was signed" in refusal(replace(given, provenance=junk))
        assert "not what was signed" in refusal(replace(given, key=junk))
    statement = {"_type": "https://in-toto.io/Statement/v1", "subject": [], "predicateType": "x", "predicate": {}}
    assert refusal(replace(given, verdict=sign_statement(statement, SIGNER).encode()))
    assert base64.b64decode(json.loads(given.verdict)["payload"])


def test_a_key_is_judged_by_the_list_of_the_site() -> None:
    """A key that is listed, one that was revoked before the statement was logged, one that is not in the list."""
    given = logged(documents(made(Level.IDENTICAL)))
    assert given.log_key is not None
    log_key = Ed25519PublicKey.from_public_bytes(NoteKey.read(given.log_key.decode()).public)
    pem = log_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def listed(period: KeyPeriod | None) -> Documents:
        draft = KeyDraft.after(first_list(), EXPIRES)
        draft.set_key(pem, KeyPeriod(use=Use.CHECKPOINTS, valid_from=START))
        if period is not None:
            draft.set_key(SIGNER.public_pem, period)
        return replace(given, key_list=sign_list(draft.document(), ROOTS[:2]))

    good = KeyPeriod(use=Use.STATEMENTS, valid_from=START)
    assert read_published(given) == read_published(listed(good))
    stolen = good.replace(revoked_from=START, reason="stolen")
    assert "was revoked" in refusal(listed(stolen))
    assert "not in the key list" in refusal(listed(None))
    over = good.replace(valid_until=verifications.NOW + timedelta(hours=1))
    assert read_published(listed(over)).logged
    assert "was good until" in refusal(replace(listed(over), proof=None, log_key=None))
    assert "not what was signed" in refusal(replace(given, key_list=b"{}"))


@pytest.mark.parametrize("same", [True, False])
def test_a_build_that_gives_other_bytes_each_time(same: bool) -> None:
    """Two builds of then that had other times in the archive: other bytes now show nothing; otherwise they do."""
    artifact = verifications.artifact("idna")
    first = verifications.attempt(artifact, Level.DIFFERENT)
    again = verifications.attempt(artifact, Level.DIFFERENT, repeat=True)
    assert again.rebuilt is not None
    if not same:
        other = again.rebuilt.replace(sha256=verifications.digest("another second"))
        again = again.replace(rebuilt=other, comparison=None, agreement=Level.EQUIVALENT)
    report = verifications.report(artifact, first, again)
    found = read_published(documents(report))
    ours = of_our_own(report)
    assert ours is not None
    assert [not same] * 2 == [found.unsteady, ours.unsteady]
    today = Output(filename=artifact.filename, sha256=verifications.digest("today"), size=15)
    now = first.run.replace(outputs=(today,))
    inputs: Any = SimpleNamespace(bring=lambda _: ())
    done = Replayer(inputs, lambda *_: None, runner=lambda _: lambda _: now).replay(found)
    assert (ReplayOutcome.DIFFERS if same else ReplayOutcome.VARIES) is done.outcome
    assert today.sha256 == done.found


def compiled(*, epoch: bool = True) -> Report:
    """A report that rests on an accounting, with a build that compiled code was compared with."""
    blobs = MemoryBlobs()
    report = reports.accounted(blobs)
    assert report.accounting is not None
    environment = {"SOURCE_DATE_EPOCH": "315532800"} if epoch else {}
    definition = reports.definition(report.artifact).replace(environment=environment)
    run = reports.run(blobs).replace(outputs=(Output(filename="made.whl", sha256=reports.sha("made"), size=1),))
    here = CompiledHere(definition=definition, run=run)
    return report.replace(accounting=report.accounting.replace(compiled=here))


def test_the_build_that_compiled_code_was_compared_with() -> None:
    """It is what is run again of a file that is accounted for, whose verdict rests on no attempt."""
    report = compiled()
    found = read_published(documents(report))
    assert replace(found, key_id="") == of_our_own(report)
    assert ("accounted", "made.whl", reports.sha("made")) == (found.verdict, found.product, found.rebuilt)

    def other(verdict: Any) -> None:
        verdict["predicate"]["accounting"]["compiled"]["definition"]["digest"]["sha256"] = "0" * 64

    with pytest.raises(NotReplayableError, match="another definition"):
        read_published(documents(report, change=other))


def test_a_build_without_a_time_of_its_own() -> None:
    """An earlier version made those: they give another archive each time, so nothing is said of them."""
    assert of_our_own(compiled(epoch=False)) is None
