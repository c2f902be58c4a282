"""The list of public keys: what is read, and what is refused."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tuf.api.dsse import Root, SimpleEnvelope  # type: ignore[attr-defined]

from rebuilder.model.value import canonical_json
from rebuilder.signing.key_draft import KeyDraft, sign_list
from rebuilder.signing.key_list import (
    KEY_LIST,
    KEY_MEMBER,
    KeyList,
    KeyListError,
    KeyPeriod,
    RootChangedError,
    Use,
    newest_list,
    version_path,
)
from tests.fakes.key_lists import (
    CHECKPOINT_KEY,
    EXPIRES,
    NEXT_STATEMENT_KEY,
    ROOTS,
    START,
    STATEMENT_KEY,
    MemoryKey,
    first_list,
)

STOLEN = datetime(2026, 6, 1, 12, tzinfo=UTC)
LATER = EXPIRES + timedelta(days=90)
SECOND = timedelta(seconds=1)


def revoked(before: KeyList, key: MemoryKey = STATEMENT_KEY, use: Use = Use.STATEMENTS) -> KeyList:
    """The list after a theft."""
    draft = KeyDraft.after(before, EXPIRES)
    draft.set_key(key.public_pem, KeyPeriod(use=use, valid_from=START, revoked_from=STOLEN, reason="stolen"))
    return KeyList.read(sign_list(draft.document(), ROOTS[:2]), before)


def resigned(document: bytes, change: str, value: object, signers: tuple[MemoryKey, ...] = ROOTS[:2]) -> bytes:
    """A list whose root keys signed other metadata: a member by its path, with bars between."""
    root = json.loads(base64.b64decode(json.loads(document)["payload"]))
    *path, last = change.split("|")
    place = root
    for each in path:
        place = place[each]
    place[last] = value
    payload = base64.b64encode(canonical_json(root)).decode()
    envelope = {"payload": payload, "payloadType": "application/vnd.tuf+json", "signatures": []}
    return sign_list(canonical_json(envelope) + b"\n", signers)


def test_a_list_is_read_by_the_implementation_of_the_update_framework() -> None:
    """python-tuf reads the envelope and the metadata, and agrees that the threshold is reached."""
    listed = first_list()
    envelope: SimpleEnvelope[Root] = SimpleEnvelope.from_bytes(listed.document)
    root = envelope.get_signed()
    root.verify_delegate("root", envelope.pae(), envelope.signatures)
    assert (1, 2, EXPIRES) == (root.version, root.roles["root"].threshold, root.expires)
    assert root.keys[STATEMENT_KEY.key_id].unrecognized_fields[KEY_MEMBER]["use"] == "statements"
    assert {STATEMENT_KEY.key_id: STATEMENT_KEY.public_pem, CHECKPOINT_KEY.key_id: CHECKPOINT_KEY.public_pem} == {
        each.key_id: each.pem for each in listed.keys.values()
    }


def test_every_byte_counts() -> None:
    """No list with one changed byte is accepted, by who knows the root keys and by who does not."""
    before = first_list()
    listed = revoked(before)
    for place in range(len(listed.document)):
        changed = bytearray(listed.document)
        changed[place] ^= 1 << place % 8
        for roots in (None, before):
            with pytest.raises(KeyListError):
                KeyList.read(bytes(changed), roots)
    for cut in range(0, len(listed.document), 50):
        with pytest.raises(KeyListError):
            KeyList.read(listed.document[:cut], None)


def test_a_statement_is_judged_by_when_it_was_logged() -> None:
    """Before the theft it stays good, from that moment on it does not."""
    listed = revoked(first_list())
    assert listed.judge(STATEMENT_KEY.key_id, STOLEN - SECOND).pem == STATEMENT_KEY.public_pem
    with pytest.raises(KeyListError, match=r"was revoked from 2026-06-01 12:00 UTC on \(stolen\)"):
        listed.judge(STATEMENT_KEY.key_id, STOLEN)
    with pytest.raises(KeyListError, match="is good from 2026-01-01 00:00 UTC on"):
        listed.judge(STATEMENT_KEY.key_id, START - SECOND)
    with pytest.raises(KeyListError, match="is not in the key list"):
        listed.judge(NEXT_STATEMENT_KEY.key_id, STOLEN)


def test_a_key_that_was_replaced_is_good_for_its_period() -> None:
    """What it signs after its end does not count, and what it signed before does."""
    before = first_list()
    draft = KeyDraft.after(before, EXPIRES)
    period = KeyPeriod(use=Use.STATEMENTS, valid_from=START, valid_until=STOLEN)
    draft.set_key(STATEMENT_KEY.public_pem, period)
    draft.set_key(NEXT_STATEMENT_KEY.public_pem, KeyPeriod(use=Use.STATEMENTS, valid_from=STOLEN - 7 * SECOND))
    listed = KeyList.read(sign_list(draft.document(), ROOTS[1:]), before)
    for key in (STATEMENT_KEY, NEXT_STATEMENT_KEY):
        listed.judge(key.key_id, STOLEN - SECOND)
    with pytest.raises(KeyListError, match="was good until 2026-06-01 12:00 UTC"):
        listed.judge(STATEMENT_KEY.key_id, STOLEN)


def test_a_stolen_key_of_the_log_is_good_for_nothing() -> None:
    """The time of an entry is only as good as the key that says it."""
    listed = revoked(first_list(), CHECKPOINT_KEY, Use.CHECKPOINTS)
    first_list().judge(CHECKPOINT_KEY.key_id, START - SECOND, Use.CHECKPOINTS)
    with pytest.raises(KeyListError, match="was revoked from"):
        listed.judge(CHECKPOINT_KEY.key_id, START, Use.CHECKPOINTS)


def test_a_key_is_for_one_use() -> None:
    """A key of the log signs no statements, and the other way round."""
    listed = first_list()
    with pytest.raises(KeyListError, match="is for checkpoints, and signed what"):
        listed.judge(CHECKPOINT_KEY.key_id, STOLEN)
    with pytest.raises(KeyListError, match="is for statements"):
        listed.judge(STATEMENT_KEY.key_id, STOLEN, Use.CHECKPOINTS)
    with pytest.raises(KeyListError, match="is not in the key list"):
        listed.judge(ROOTS[0].key_id, STOLEN)


def test_an_older_list_is_refused() -> None:
    """So is another list of the same version."""
    first = first_list()
    second = revoked(first)
    with pytest.raises(KeyListError, match="version 1, and version 2 was seen before"):
        KeyList.read(first.document, second)
    other = resigned(second.document, "expires", "2029-01-01T00:00:00Z")
    with pytest.raises(KeyListError, match="two key lists of version 2"):
        KeyList.read(other, second)
    assert KeyList.read(second.document, second).version == 2


def test_too_few_signatures_are_refused() -> None:
    """The threshold counts keys, and only those that sign the list."""
    with pytest.raises(KeyListError, match="signed by 1 of its own root keys, and 2 must sign it"):
        first_list(signers=ROOTS[:1])
    with pytest.raises(KeyListError, match="signed by 1 of its own root keys"):
        first_list(signers=[ROOTS[0], STATEMENT_KEY])
    with pytest.raises(KeyListError, match="a key that is not known"):
        first_list(signers=[*ROOTS[:2], MemoryKey(9)])


def test_other_root_keys_are_refused() -> None:
    """Whoever makes a list of their own has not the keys that are trusted."""
    theirs = [MemoryKey(number) for number in (31, 32)]
    with pytest.raises(RootChangedError, match="signed by 0 of the root keys that are trusted"):
        KeyList.read(first_list(theirs).document, first_list())


def test_root_keys_are_replaced_by_those_before() -> None:
    """The next set comes with the old threshold; from a version further back the way leads over those between."""
    first, fresh = first_list(), [MemoryKey(number) for number in (41, 42)]
    draft = KeyDraft.after(first, EXPIRES)
    draft.set_roots([each.public_pem for each in fresh], 2)
    second = KeyList.read(sign_list(draft.document(), [*ROOTS[:2], *fresh]), first)
    third = KeyList.read(sign_list(KeyDraft.after(second, EXPIRES).document(), fresh), second)
    assert 3 == KeyList.read(third.document, None).version
    assert 2 == KeyList.read(second.document, None).version, "signatures of those before can be read"
    with pytest.raises(RootChangedError):
        KeyList.read(third.document, first)
    with pytest.raises(KeyListError, match="signed by 0 of its own"):
        KeyList.read(sign_list(draft.document(), ROOTS), first)
    files = {KEY_LIST: third.document, version_path(2): second.document}
    assert 3 == _newest(files, first)
    with pytest.raises(KeyListError, match=r"keys/2\.root\.json, which would lead there, is missing"):
        _newest({KEY_LIST: third.document}, first)
    with pytest.raises(KeyListError, match="is version 1 of the key list"):
        _newest(files | {version_path(2): first.document}, first)
    assert 3 == _newest({KEY_LIST: third.document}, None)
    with pytest.raises(KeyListError, match="shows none any more"):
        _newest({}, first)
    assert newest_list(lambda _: (_ for _ in ()).throw(FileNotFoundError()), None) is None


def _newest(files: dict[str, bytes], trusted: KeyList | None) -> int:
    def read(path: str) -> bytes:
        if path not in files:
            raise FileNotFoundError(path)
        return files[path]

    found = newest_list(read, trusted)
    assert found is not None
    return found.version


def test_an_expired_list_is_refused_with_a_thought_for_the_clock() -> None:
    """A clock that is behind the log is wrong; one that is ahead may be."""
    listed = first_list()
    listed.refuse_expired(EXPIRES - SECOND, EXPIRES - SECOND)
    with pytest.raises(
        KeyListError, match=r"expired on 2027-01-01 00:00 UTC, and this machine's clock says 2027-04-01"
    ):
        listed.refuse_expired(LATER)
    with pytest.raises(KeyListError, match="one of the two clocks"):
        listed.refuse_expired(START, STOLEN)


P384 = ec.generate_private_key(ec.SECP384R1())


@pytest.mark.parametrize(
    ("change", "value", "match"),
    [
        ("roles|targets", {"keyids": [STATEMENT_KEY.key_id], "threshold": 1}, "another role"),
        ("roles|root", {"keyids": ["ab" * 32], "threshold": 1}, "another role|is not among the keys"),
        ("roles|root", {"keyids": [STATEMENT_KEY.key_id], "threshold": 1}, "can be for nothing else"),
        ("version", True, "no root metadata"),
        ("version", 1.5, "no root metadata"),
        ("version", "2", "no root metadata"),
        ("expires", "soon", "no root metadata"),
        ("spec_version", "9.0.0", "no root metadata"),
        ("_type", "targets", "no root metadata"),
        ("roles", [], "no root metadata"),
        ("keys", None, "no root metadata"),
        (f"keys|{'ab' * 32}", {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": "00" * 32}}, "called"),
        (
            f"keys|{'ab' * 32}",
            {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": "zz"}},
            "cannot be read",
        ),
        (f"keys|{'ab' * 32}", {"keytype": "rsa", "scheme": "rsassa-pss-sha256", "keyval": {"public": ""}}, "a kind"),
        (f"keys|{STATEMENT_KEY.key_id}|{KEY_MEMBER}", {"use": "checkpoints"}, "of another kind"),
        (f"keys|{STATEMENT_KEY.key_id}|{KEY_MEMBER}", {"use": "anything"}, "cannot be so"),
        (f"keys|{STATEMENT_KEY.key_id}|{KEY_MEMBER}", {"use": "statements", "reason": "x"}, "a time and a reason"),
        (f"keys|{STATEMENT_KEY.key_id}|{KEY_MEMBER}", {"use": "statements", "more": 1}, "cannot be so"),
    ],
)
def test_metadata_that_cannot_be_so_is_refused(change: str, value: object, match: str) -> None:
    """Whoever signed it: each with one sentence."""
    document = resigned(first_list().document, change, value)
    with pytest.raises(KeyListError, match=match):
        KeyList.read(document, None)


@pytest.mark.parametrize("document", [b"", b"{}", b"[]", b"null", b"\xff", b'{"payload":1}', b"[" * 100_000])
def test_what_is_no_list_is_refused(document: bytes) -> None:
    """Rubbish is one sentence, too."""
    with pytest.raises(KeyListError, match="no DSSE envelope"):
        KeyList.read(document, None)
