"""What other rebuilders sign becomes a vote, or is refused with the reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rebuilder.consumer.answer import Level, Vote, Voter, independent
from rebuilder.errors import SigningError, UsageError
from rebuilder.interop.oss_rebuild import Collected, read_bundle
from rebuilder.interop.rebuilderd.link import link_key_id, public_pem, read_link, read_public_pem, sign_link
from rebuilder.log.audit import LogError
from rebuilder.model.attempt import Attempt
from rebuilder.model.comparison import Level as Closeness
from rebuilder.model.value import Sha256, Sha512, canonical_json, sha256_hex
from rebuilder.model.verdict import Verdict
from rebuilder.signing.keys import FileKey, raw_public
from tests.fakes import reports, verifications
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.oss_rebuild import bundle, equivalence, genuine, rebuild
from tests.fakes.signer import MemorySigner

WHEEL, OURS, OTHER = "idna-3.20-py3-none-any.whl", sha256_hex(b"published"), sha256_hex(b"rebuilt")
PEM = MemorySigner().public_pem
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key().public_bytes_raw()
TRUSTED = {link_key_id(PUBLIC): PUBLIC}


def foreign_link(**changes: Any) -> bytes:
    """A link as rebuilderd signs it."""
    signed: dict[str, Any] = {
        "_type": "link",
        "name": f"rebuild {WHEEL}",
        "materials": {"idna.buildinfo": {"sha256": OTHER}},
        "products": {WHEEL: {"sha256": OURS, "sha512": "0" * 128}},
        "environment": None,
        "byproducts": {},
        "command": [],
        **changes,
    }
    signature = {"keyid": link_key_id(PUBLIC), "sig": PRIVATE.sign(canonical_json(signed)).hex()}
    return json.dumps({"signatures": [{"keyid": "0" * 64, "sig": "00"}, signature], "signed": signed}).encode()


def test_the_level_follows_from_the_digests() -> None:
    """The same digest is the same bytes; anything else is what they set aside, which is less than ours."""
    same = read_bundle(genuine(WHEEL, OURS, OURS), PEM, sha256=OURS, operator="theirs")
    assert (same.verdict, same.level) == (Verdict.REPRODUCED, Level.BUILD_ALONE)
    assert (same.voter.operator, same.voter.lineage) == ("theirs", "oss-rebuild")
    assert (same.filename, str(same.verified)) == (WHEEL, "2026-11-01 12:00:00+00:00")
    alike = read_bundle(genuine(WHEEL, OURS, OTHER), PEM, sha256=OURS)
    assert (alike.verdict, alike.level) == (Verdict.EQUIVALENT, Level.NORMALISED)
    assert not Level.NORMALISED.reaches(Level.EQUIVALENT)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lambda: genuine(WHEEL, OTHER, OTHER), "another file"),
        (lambda: genuine(WHEEL, OURS, OURS, seed=2), "another key signed it"),
        (lambda: bundle(equivalence(WHEEL, OURS, OURS)), "compares was rebuilt"),
        (lambda: bundle(rebuild(WHEEL, OTHER), equivalence(WHEEL, OURS, OURS)), "how the file"),
        (lambda: bundle(rebuild("x", OURS), equivalence(WHEEL, OURS, OURS)), "how the file"),
        (lambda: bundle(rebuild(WHEEL, OURS, "x"), equivalence(WHEEL, OURS, OURS)), "of another file"),
        (lambda: bundle(rebuild(WHEEL, OURS), *[equivalence(WHEEL, OURS, OURS)] * 2), "more than once"),
        (lambda: bundle(rebuild(WHEEL, OURS), equivalence(WHEEL, OURS, OURS, target="x")), "other files"),
        (
            lambda: bundle(
                rebuild(WHEEL, OTHER),
                equivalence(
                    WHEEL,
                    OURS,
                    OTHER,
                    target="t",
                    dependencies=[
                        {"name": f"rebuild/{WHEEL}", "digest": {"sha256": OTHER}},
                        {"name": "t", "digest": {"sha256": OTHER}},
                    ],
                ),
            ),
            "than it is about",
        ),
        (lambda: bundle(rebuild(WHEEL, OURS)) * 20, "more than 16"),
        (lambda: genuine(WHEEL, OURS, OURS) + b"{", "not a sequence"),
        (lambda: genuine(WHEEL, OURS, OURS) + b"[]", "not a JSON object"),
        (lambda: bundle({**rebuild(WHEEL, OURS), "predicate": 5}), "another form"),
        (lambda: b"", "another file"),
    ],
)
def test_a_bundle_that_does_not_fit_is_refused(given: Callable[[], bytes], words: str) -> None:
    """With what does not fit."""
    with pytest.raises(ValueError, match=words):
        read_bundle(given(), PEM, sha256=OURS)


def test_no_byte_of_a_bundle_can_be_another() -> None:
    """A changed byte is refused, or changes nothing that is signed."""
    whole = genuine(WHEEL, OURS, OTHER)
    expected = read_bundle(whole, PEM, sha256=OURS)
    accepted = 0
    for place in range(len(whole)):
        changed = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        try:
            vote = read_bundle(changed, PEM, sha256=OURS)
        except ValueError:
            continue
        accepted += 1
        assert vote.replace(statement=expected.statement) == expected
    assert accepted < len(whole) // 10  # identifiers of keys, which nobody signs, and unused bits


def test_a_key_of_another_kind_is_told() -> None:
    """As everywhere."""
    with pytest.raises(SigningError):
        read_bundle(genuine(WHEEL, OURS, OURS), b"no key", sha256=OURS)


def test_a_link_says_that_this_file_was_rebuilt() -> None:
    """By one of the keys that are trusted; others beside it do not matter."""
    vote = read_link(foreign_link(), TRUSTED, sha256=OURS, operator="theirs")
    assert (vote.verdict, vote.level, vote.filename) == (Verdict.REPRODUCED, Level.BUILD_ALONE, WHEEL)
    assert (vote.voter.operator, vote.voter.lineage) == ("theirs", "rebuilderd")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lambda: foreign_link(products={WHEEL: {"sha256": OTHER}}), "not about this file"),
        (lambda: foreign_link(products=[OURS]), "not about this file"),
        (lambda: foreign_link(_type="layout"), "not about this file"),
        (lambda: foreign_link().replace(b'"command": []', b'"command": ["x"]'), "not signed by a key"),
        (lambda: foreign_link().replace(b'"sig": "', b'"sig": "+'), "not signed by a key"),
        (lambda: b"[]", "no in-toto link"),
        (lambda: b"{", "not JSON"),
    ],
)
def test_a_link_that_does_not_fit_is_refused(given: Callable[[], bytes], words: str) -> None:
    """With what does not fit."""
    with pytest.raises(ValueError, match=words):
        read_link(given(), TRUSTED, sha256=OURS)


def test_a_link_of_another_key_does_not_count() -> None:
    """Whatever it calls itself."""
    stranger = Ed25519PrivateKey.from_private_bytes(b"s" * 32).public_key().public_bytes_raw()
    for keys in ({}, {link_key_id(stranger): stranger}, {link_key_id(PUBLIC): stranger}):
        with pytest.raises(ValueError, match="not signed by a key"):
            read_link(foreign_link(), keys, sha256=OURS)


def test_no_byte_of_a_link_can_be_another() -> None:
    """A changed byte is refused, or changes nothing that is signed."""
    whole = foreign_link()
    expected = read_link(whole, TRUSTED, sha256=OURS)
    for place in range(len(whole)):
        changed = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        try:
            vote = read_link(changed, TRUSTED, sha256=OURS)
        except ValueError:
            continue
        assert vote.replace(statement=expected.statement) == expected


def test_links_of_ours_are_not_taken_for_rebuilderd() -> None:
    """Read as somebody else's they are still votes of our lineage: two of them are one."""
    subject = verifications.artifact()
    report = verifications.report(subject, verifications.attempt(subject, Closeness.IDENTICAL))
    link = sign_link(report, None, FileKey(PRIVATE)).encode()
    vote = read_link(link, TRUSTED, sha256=subject.sha256, operator="one")
    assert vote.voter.lineage == "rebuilder"
    other = vote.replace(voter=vote.voter.replace(operator="two", key_id="0" * 64))
    assert [vote] == independent([vote, other], lineages=True)


def test_nothing_else_than_the_same_bytes_gets_a_link() -> None:
    """Not equivalent, not different, not a name that has several canonical forms."""
    subject = verifications.artifact()

    def signed(attempt: Attempt) -> str:
        return sign_link(verifications.report(subject, attempt), None, FileKey(PRIVATE))

    for level in (Closeness.EQUIVALENT, Closeness.DIFFERENT, None):
        with pytest.raises(ValueError, match="not about the same bytes"):
            signed(verifications.attempt(subject, level))
    with pytest.raises(ValueError, match="not about the same bytes"):
        sign_link(reports.unauthenticated(MemoryBlobs()), None, FileKey(PRIVATE))
    odd = subject.replace(file=subject.file.replace(filename="a\u00e9.whl"))
    with pytest.raises(ValueError, match="not about the same bytes"):
        sign_link(verifications.report(odd, verifications.attempt(odd, Closeness.IDENTICAL)), None, FileKey(PRIVATE))


def test_the_odd_form_of_a_public_key() -> None:
    """46 bytes with a NULL parameter, there and back; the usual form is not taken for it."""
    pem = public_pem(PUBLIC)
    assert read_public_pem(pem) == PUBLIC
    assert pem.splitlines()[1].startswith("MCwwBwYDK2VwBQADIQ")
    usual = FileKey(PRIVATE).public_pem
    assert raw_public(usual) == PUBLIC
    for other in (usual.decode(), pem.replace("M", "N", 1), "", pem[:-40]):
        with pytest.raises(ValueError, match="form of rebuilderd"):
            read_public_pem(other)


def test_a_directory_of_bundles_answers_by_digest(tmp_path: Path) -> None:
    """At any depth, whatever else lies there; what is forged is told for the file that it is about."""
    (tmp_path / "key.pem").write_bytes(PEM)
    for place, data in (
        (f"pypi/idna/3.20/{WHEEL}", genuine(WHEEL, OURS, OURS)),
        ("pypi/other", genuine("other.whl", OTHER, OTHER, seed=2)),
        ("pypi/notes", b"{ no json"),
    ):
        directory = tmp_path / "bundles" / place
        directory.mkdir(parents=True)
        (directory / "rebuild.intoto.jsonl").write_bytes(data)
    collected = Collected(tmp_path / "bundles", "oss-rebuild", tmp_path / "key.pem", "theirs")
    vote = collected.vote(OURS)
    assert vote is not None
    assert (vote.level, vote.voter.operator) == (Level.BUILD_ALONE, "theirs")
    assert collected.vote(sha256_hex(b"nothing")) is None
    with pytest.raises(LogError, match="another key signed it"):
        collected.vote(OTHER)


def test_a_directory_of_links_answers_by_digest(tmp_path: Path) -> None:
    """The key is in the form of rebuilderd; a usual one is refused at once."""
    (tmp_path / "key.pem").write_text(public_pem(PUBLIC))
    (tmp_path / "usual.pem").write_bytes(PEM)
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "idna.link").write_bytes(foreign_link())
    vote = Collected(tmp_path / "links", "rebuilderd", tmp_path / "key.pem", "theirs").vote(OURS)
    assert vote is not None
    assert vote.voter.lineage == "rebuilderd"
    collected = Collected(tmp_path / "links", "rebuilderd", tmp_path / "key.pem", "theirs")
    assert collected.vote(Sha512("0" * 128)) == vote
    assert collected.vote(Sha512("1" * 128)) is None
    forged = foreign_link().replace(b"0" * 128, b"1" * 128)
    (tmp_path / "links" / "idna.link").write_bytes(forged)
    with pytest.raises(LogError):
        collected.vote(Sha512("0" * 128))
    with pytest.raises(LogError, match="changed"):
        Collected(tmp_path / "links", "rebuilderd", tmp_path / "key.pem", "theirs").vote(Sha512("1" * 128))
    for kind, key in (("rebuilderd", "usual.pem"), ("rebuilderd", "absent.pem"), ("other", "key.pem")):
        with pytest.raises(UsageError):
            Collected(tmp_path / "links", kind, tmp_path / key, "theirs")
    with pytest.raises(UsageError):
        Collected(tmp_path / "absent", "rebuilderd", tmp_path / "key.pem", "theirs")


def test_who_shares_a_key_with_somebody_is_one_with_all_of_them() -> None:
    """Two statements of one operator, with two keys, do not count beside a third who has one of these keys."""
    first, second, third = (
        _said("one", "key 1", Level.BUILD_ALONE),
        _said("two", "key 1", Level.METADATA_WRITTEN),
        _said("two", "key 2", Level.EQUIVALENT),
    )
    assert [first] == independent([third, second, first])
    assert [first] == independent([first, second.replace(level=None), third])
    other = _said("three", "key 3", Level.EQUIVALENT)
    assert [first, other] == independent([other, first, third, second])


def test_one_operator_with_two_programs_leaves_room_for_another() -> None:
    """Somebody else with the second program is independent of what it said with the first one."""
    ours, also = _said("one", "key 1", Level.BUILD_ALONE), _said("one", "key 1", Level.BUILD_ALONE, "oss-rebuild")
    theirs = _said("two", "key 2", Level.BUILD_ALONE, "oss-rebuild")
    assert [ours, theirs] == independent([ours, also, theirs], lineages=True)


def _said(operator: str, key_id: str, level: Level, lineage: str = "rebuilder") -> Vote:
    return Vote(
        sha256=Sha256("ab" * 32),
        filename="a-1-py3-none-any.whl",
        verdict=Verdict.REPRODUCED,
        level=level,
        voter=Voter(operator=operator, name=operator, key_id=key_id, lineage=lineage),
        statement=Sha256("cd" * 32),
    )
