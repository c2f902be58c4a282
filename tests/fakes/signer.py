"""A signer whose key lives in memory."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class MemorySigner:
    """Implements :class:`rebuilder.signing.protocol.SigningKey`; equal seeds are equal keys."""

    def __init__(self, seed: int = 1) -> None:
        self._private = ec.derive_private_key(seed, ec.SECP256R1())

    @property
    def key_id(self) -> str:
        """SHA-256 of the public key's DER SubjectPublicKeyInfo."""
        der = self._private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(der).hexdigest()

    @property
    def public_pem(self) -> bytes:
        """The public key."""
        return self._private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, payload: bytes) -> bytes:
        """ASN.1 DER signature, ECDSA P-256 over SHA-256; the same for the same payload (RFC 6979)."""
        return self._private.sign(payload, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
