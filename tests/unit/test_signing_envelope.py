"""Envelopes: what was signed comes back, and nothing else does."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]

from rebuilder.errors import SigningError
from rebuilder.model.value import pre_authentication_encoding
from rebuilder.signing.envelope import sign_statement, verify
from rebuilder.signing.vocabulary import PAYLOAD_TYPE, STATEMENT_TYPE
from tests.fakes.signer import MemorySigner

SIGNER = MemorySigner()
STATEMENT = {"_type": STATEMENT_TYPE, "subject": [{"name": "ü", "digest": {"sha256": "ab" * 32}}], "predicate": {}}


def forged(change: Callable[[dict[str, Any]], object]) -> str:
    """A signed envelope, changed."""
    document = json.loads(sign_statement(STATEMENT, SIGNER))
    change(document)
    return json.dumps(document)


def test_what_was_signed_comes_back() -> None:
    """Sign, publish as one line, check."""
    envelope = sign_statement(STATEMENT, SIGNER)
    assert envelope.count("\n") == 1
    assert envelope.endswith("\n")
    assert verify(envelope, SIGNER.public_pem) == STATEMENT


def test_encoding_matches_the_example_of_the_protocol() -> None:
    """The test vector of protocol.md, section "PAE"."""
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert pre_authentication_encoding("http://example.com/HelloWorld", b"hello world") == expected


def test_another_implementation_agrees() -> None:
    """Securesystemslib reads our envelope and accepts its signature."""
    document = json.loads(sign_statement(STATEMENT, SIGNER))
    theirs = Envelope.from_dict(document)
    public = {"public": SIGNER.public_pem.decode()}
    key = SSlibKey(SIGNER.key_id, "ecdsa", "ecdsa-sha2-nistp256", public)
    assert [SIGNER.key_id] == list(theirs.verify([key], threshold=1))


def test_layout_does_not_matter() -> None:
    """Another tool may indent the envelope, use the URL-safe alphabet or drop the key identifier."""

    def change(document: dict[str, Any]) -> None:
        document["signatures"][0].pop("keyid")
        for holder, name in ((document, "payload"), (document["signatures"][0], "sig")):
            holder[name] = holder[name].replace("+", "-").replace("/", "_")

    indented = json.dumps(json.loads(forged(change)), indent=2)
    assert verify(indented, SIGNER.public_pem) == STATEMENT


def test_one_good_signature_among_others_is_enough() -> None:
    """An envelope may carry signatures of several parties."""
    other = json.loads(sign_statement(STATEMENT, MemorySigner(2)))["signatures"]
    envelope = forged(lambda document: document["signatures"].insert(0, other[0]))
    assert verify(envelope, SIGNER.public_pem) == STATEMENT


def test_key_identifiers_are_hints() -> None:
    """A wrong identifier neither helps a wrong key nor hurts the right one."""
    envelope = sign_statement(STATEMENT, MemorySigner(2)).replace(MemorySigner(2).key_id, SIGNER.key_id)
    with pytest.raises(ValueError, match="another key"):
        verify(envelope, SIGNER.public_pem)


def other_payload(document: dict[str, Any]) -> None:
    """Replace the payload by one that says something else."""
    document["payload"] = base64.b64encode(b'{"_type":"https://in-toto.io/Statement/v1","predicate":1}').decode()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (other_payload, "does not fit"),
        (lambda document: document["signatures"][0].update(sig="AAAA"), "does not fit"),
        (lambda document: document["signatures"][0].update(sig=""), "does not fit"),
        (lambda document: document["signatures"][0].update(sig=7), "not base64"),
        (lambda document: document["signatures"].clear(), "lacks"),
        (lambda document: document.update(signatures={}), "lacks"),
        (lambda document: document.update(signatures=["x"]), "not base64"),
        (lambda document: document.update(payload="%"), "not base64"),
        (lambda document: document.update(payload="ü"), "not base64"),
        (lambda document: document.pop("payload"), "not base64"),
        (lambda document: document.update(payloadType="text/html\x1b[31m"), "not an in-toto statement"),
        (lambda document: document.pop("payloadType"), "lacks"),
    ],
)
def test_changed_envelopes_are_refused(change: Callable[[dict[str, Any]], object], sentence: str) -> None:
    """Whatever is changed, the statement is not given out, and the reason is a sentence."""
    with pytest.raises(ValueError, match=sentence):
        verify(forged(change), SIGNER.public_pem)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"payload"'])
def test_what_is_not_an_envelope_is_refused(text: str) -> None:
    """Files that are something else are a sentence."""
    with pytest.raises(ValueError, match="The envelope is not"):
        verify(text, SIGNER.public_pem)


@given(st.integers(min_value=0), st.integers(min_value=0, max_value=7))
def test_no_flipped_bit_of_the_payload_passes(position: int, bit: int) -> None:
    """Every bit is signed."""

    def flip(document: dict[str, Any]) -> None:
        payload = bytearray(base64.b64decode(document["payload"]))
        payload[position % len(payload)] ^= 1 << bit
        document["payload"] = base64.b64encode(payload).decode()

    with pytest.raises(ValueError, match="does not fit"):
        verify(forged(flip), SIGNER.public_pem)


def test_signed_by_the_right_key_but_no_statement() -> None:
    """A key may sign other things; they are not statements."""
    for payload in ({"_type": "https://in-toto.io/Statement/v0.1"}, {}):
        with pytest.raises(ValueError, match="not an in-toto Statement v1"):
            verify(sign_statement(payload, SIGNER), SIGNER.public_pem)


def test_only_p256_keys_check() -> None:
    """A key of another kind is our caller's mistake, and named as such."""
    pems = [
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        for key in (ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate())
    ]
    for pem in (*pems, b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"):
        with pytest.raises(SigningError, match="public key"):
            verify(sign_statement(STATEMENT, SIGNER), pem)


def test_payload_type_is_the_one_in_the_documentation() -> None:
    """The commands in docs/verify-a-report.md write its length out."""
    assert (PAYLOAD_TYPE, len(PAYLOAD_TYPE)) == ("application/vnd.in-toto+json", 28)
