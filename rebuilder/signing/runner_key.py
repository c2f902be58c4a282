"""The key of a runner: Ed25519 (RFC 8032), made on first use, and what it signs of a run.

It is another key, of another kind, than the one that signs what is published: what a runner signs can never be taken
for a statement of the rebuilder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from pydantic import ValidationError

from rebuilder.errors import SigningError
from rebuilder.foreign_json import JsonLimits, read_json
from rebuilder.model.fleet import Answer
from rebuilder.model.value import canonical_json
from rebuilder.signing.envelope import seal, unseal
from rebuilder.signing.keys import ed25519_key, key_id

PAYLOAD_TYPE = "application/vnd.rebuilder.run+json"
_LIMITS = JsonLimits(values=20_000)


class RunnerKey:
    """Signs runs; implements :class:`rebuilder.signing.protocol.SigningKey`."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        public = private.public_key()
        self.public_pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        """PEM SubjectPublicKeyInfo: what is enrolled."""
        self.key_id = key_id(public)
        """The runner's id."""

    @classmethod
    def open(cls, path: Path, *, store: Path) -> Self:
        """Read the key, making it when there is none.

        Args:
            path: File of the private key (PEM, PKCS #8, not encrypted, mode 0600 or narrower).
            store: The runner's directory of blobs and build environments, which must not hold the key.

        Raises:
            SigningError: it cannot be read or made, or is of another kind.
        """
        return cls(ed25519_key(path, store=store))

    def sign(self, payload: bytes) -> bytes:
        """64 bytes, Ed25519 over ``payload``."""
        return self._private.sign(payload)


def load_public(pem: bytes) -> Ed25519PublicKey:
    """Read the public key of a runner.

    Raises:
        SigningError: it is not an Ed25519 key in PEM.
    """
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise SigningError("The public key is not a PEM SubjectPublicKeyInfo.") from None
    if not isinstance(key, Ed25519PublicKey):
        raise SigningError("The public key is not an Ed25519 key, so it is no runner's.")
    return key


def runner_id(pem: bytes) -> str:
    """The id of a runner by its public key.

    Raises:
        SigningError: see :func:`load_public`.
    """
    return key_id(load_public(pem))


def sign_answer(answer: Answer, key: RunnerKey) -> str:
    """The envelope of an answer, one line of JSON."""
    return seal(PAYLOAD_TYPE, canonical_json(answer.document()), key)


def signed_answer(envelope: bytes, public_pem: bytes) -> Answer:
    """The answer in an envelope that a runner's key signed.

    Raises:
        SigningError: the public key is not one.
        ValueError: the envelope is malformed, or another key signed it.
        UnreadableAnswerError: the key signed it, and it is no answer.
    """
    key = load_public(public_pem)

    def fits(signature: bytes, signed: bytes) -> bool:
        try:
            key.verify(signature, signed)
        except InvalidSignature:
            return False
        return True

    payload = unseal(envelope, PAYLOAD_TYPE, fits, what="a run")
    try:
        return Answer.model_validate(read_json(payload, _LIMITS))
    except (ValidationError, ValueError):
        raise UnreadableAnswerError("What it signed is no answer of a runner.") from None


class UnreadableAnswerError(Exception):
    """A runner signed something that has not the form of an answer."""
