"""Root keys in memory, and the key lists that they sign."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from rebuilder.signing.key_draft import KeyDraft, sign_list
from rebuilder.signing.key_list import KeyList, KeyPeriod, Use
from rebuilder.signing.keys import key_id

START = datetime(2026, 1, 1, tzinfo=UTC)
EXPIRES = datetime(2027, 1, 1, tzinfo=UTC)


class MemoryKey:
    """A key that is always the same for a number; implements :class:`rebuilder.signing.protocol.SigningKey`."""

    def __init__(self, number: int, use: Use | None = None) -> None:
        """Make the key ``number`` for a use; None: a root key."""
        self._private: Ed25519PrivateKey | ec.EllipticCurvePrivateKey
        if use is Use.STATEMENTS:
            self._private = ec.derive_private_key(number + 1, ec.SECP256R1())
        else:
            self._private = Ed25519PrivateKey.from_private_bytes(bytes([number] * 32))
        public = self._private.public_key()
        self.public_pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.key_id = key_id(public)

    def sign(self, payload: bytes) -> bytes:
        if isinstance(self._private, Ed25519PrivateKey):
            return self._private.sign(payload)
        return self._private.sign(payload, ec.ECDSA(hashes.SHA256()))


ROOTS = tuple(MemoryKey(number) for number in (1, 2, 3))
STATEMENT_KEY = MemoryKey(10, Use.STATEMENTS)
NEXT_STATEMENT_KEY = MemoryKey(11, Use.STATEMENTS)
CHECKPOINT_KEY = MemoryKey(20, Use.CHECKPOINTS)


def first_list(
    roots: Sequence[MemoryKey] = ROOTS, threshold: int = 2, *, signers: Sequence[MemoryKey] | None = None
) -> KeyList:
    """A list with one key for statements and one for checkpoints."""
    draft = KeyDraft.first([each.public_pem for each in roots], threshold, EXPIRES)
    draft.set_key(STATEMENT_KEY.public_pem, KeyPeriod(use=Use.STATEMENTS, valid_from=START))
    draft.set_key(CHECKPOINT_KEY.public_pem, KeyPeriod(use=Use.CHECKPOINTS, valid_from=START))
    return KeyList.read(sign_list(draft.document(), roots[:threshold] if signers is None else signers), None)
