"""Signed notes, checkpoints, cosignatures and proofs: published vectors, what is refused, every changed byte."""

from __future__ import annotations

import dataclasses

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rebuilder.log.note import COSIGNATURE, Checkpoint, Note, NoteKey, sign_note
from rebuilder.log.proof import LogProof
from rebuilder.log.tiles import inclusion_path, leaf_hash, node_hash, root
from tests.fakes.cosigning import cosign_note

NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NEUMANN_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n\n"
    "\N{EM DASH} PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
"""Key and note of the documentation of the first implementation of signed notes."""
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
LOG = NoteKey("log.example/one", PRIVATE.public_key().public_bytes_raw())
WITNESS = NoteKey("witness.example/w", PRIVATE.public_key().public_bytes_raw(), COSIGNATURE)
ENTRIES = [b"entry %d" % each for each in range(11)]


def node(level: int, index: int) -> bytes:
    """Of the tree of the entries, by halves."""
    if not level:
        return leaf_hash(ENTRIES[index])
    return node_hash(node(level - 1, 2 * index), node(level - 1, 2 * index + 1))


def checkpoint() -> Checkpoint:
    """Over all entries."""
    return Checkpoint("log.example/one", len(ENTRIES), root(len(ENTRIES), node))


def proof(index: int) -> LogProof:
    """That an entry is among them, with the cosignature of a witness."""
    note = sign_note(checkpoint().text, LOG, PRIVATE.sign)
    signed = dataclasses.replace(
        note, signatures=(*note.signatures, cosign_note(note, WITNESS, PRIVATE.sign, 1_700_000_000))
    )
    return LogProof(index, tuple(inclusion_path(index, len(ENTRIES), node)), signed)


def test_a_note_of_another_implementation() -> None:
    """Its key and its signature are understood; its text without a letter is refused."""
    key = NoteKey.read(NEUMANN)
    assert key.vkey == NEUMANN
    note = Note.read(NEUMANN_NOTE.encode())
    assert note.encode() == NEUMANN_NOTE.encode()
    assert note.signed_by([key, LOG]) == [key]
    with pytest.raises(ValueError, match="PeterNeumann"):
        Note.read(NEUMANN_NOTE.replace("If you", "If I").encode()).signed_by([key])


def test_what_was_signed_here() -> None:
    """A checkpoint comes back as it was; a key of the same name with another identifier says nothing."""
    note = Note.read(sign_note(checkpoint().text, LOG, PRIVATE.sign).encode())
    assert note.signed_by([LOG, WITNESS]) == [LOG]
    assert Checkpoint.read(note.text) == checkpoint()
    assert NoteKey.read(LOG.vkey) == LOG
    assert NoteKey.read(WITNESS.vkey) == WITNESS


def test_a_proof_travels() -> None:
    """A proof of every entry leads to the checkpoint, signed by log and witness; of another entry it does not."""
    assert len(ENTRIES) == 11
    for index, entry in enumerate(ENTRIES):
        found = LogProof.read(proof(index).encode())
        assert found == proof(index)
        assert found.check(entry) == checkpoint()
        assert found.note.signed_by([LOG, WITNESS]) == [LOG, WITNESS]
        with pytest.raises(ValueError, match="another entry"):
            found.check(entry + b"!")
    assert proof(0).note.signatures[1].time == 1_700_000_000


def test_unauthenticated_extra_data_is_passed_over() -> None:
    """The optional second line of the format, well written or not; it is checked like any entry."""
    first, rest = proof(3).encode().split(b"\n", 1)
    found = LogProof.read(first + b"\nextra YWdl\n" + rest)
    assert found == dataclasses.replace(proof(3), entry=b"age")
    assert LogProof.read(found.encode()) == found
    with pytest.raises(ValueError, match="another entry"):
        found.check(found.entry or b"")
    with pytest.raises(ValueError, match="base64"):
        LogProof.read(first + b"\nextra YWdl=\n" + rest)


def test_no_byte_of_a_proof_can_be_changed() -> None:
    """With each single byte changed it is refused, or what it says of the entry and of the checkpoint is the same."""
    data = proof(5).encode()
    accepted = []
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        try:
            found = LogProof.read(bytes(changed))
            found.check(ENTRIES[5])
            signers = found.note.signed_by([LOG, WITNESS])
        except ValueError:
            continue
        accepted.append((place, signers, found.check(ENTRIES[5])))
    # A changed name or identifier makes a signature one of somebody unknown: the other one stands.
    assert all(len(signers) == 1 and said == checkpoint() for _, signers, said in accepted)
    assert 0 < len(accepted) < 100


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"text\n",
        b"text\n\n",
        b"text\n\n\xe2\x80\x94 name\n",
        b"text\n\n\xe2\x80\x94 name AAAA\n",
        b"text\n\n\xe2\x80\x94 na+me AAAAAAAA\n",
        b"text\n\n\xe2\x80\x94 name AAAAAAA=",
        b"te\rxt\n\n\xe2\x80\x94 name AAAAAAA=\n",
        b"te\xffxt\n\n\xe2\x80\x94 name AAAAAAA=\n",
        b"text\n\n" + b"\xe2\x80\x94 name AAAAAAA=\n" * 101,
        b"x" * (1 << 20) + b"\n\n\xe2\x80\x94 name AAAAAAA=\n",
    ],
)
def test_what_is_no_note(wrong: bytes) -> None:
    """Odd forms, too many signatures, too long."""
    with pytest.raises(ValueError, match=r"note|base64"):
        Note.read(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "name\n",
        "name\n1\n",
        "name\n01\nAAAA\n",
        "name\n-1\nAAAA\n",
        "name\n1\nAAAA\n",
        "\n1\n" + "A" * 43 + "=\n",
        "n\n1\n" + "A" * 43 + "=\n\nmore\n",
    ],
)
def test_what_is_no_checkpoint(wrong: str) -> None:
    """Missing or odd lines."""
    with pytest.raises(ValueError, match=r"checkpoint|base64"):
        Checkpoint.read(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "name",
        LOG.vkey.replace("log", "lag"),
        LOG.vkey[:-4],
        f"{LOG.vkey} ",
        "na me+00000000+" + LOG.vkey.split("+")[2],
    ],
)
def test_what_is_no_key(wrong: str) -> None:
    """Cut, miscopied, of another name."""
    with pytest.raises(ValueError, match=r"key|base64"):
        NoteKey.read(wrong)
