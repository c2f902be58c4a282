"""Who holds the signing key."""

from __future__ import annotations

from typing import Protocol


class SigningKey(Protocol):
    """Holds the signing key."""

    @property
    def key_id(self) -> str:
        """SHA-256 of the public key's DER SubjectPublicKeyInfo, in hexadecimal."""
        ...

    @property
    def public_pem(self) -> bytes:
        """The public key, PEM SubjectPublicKeyInfo."""
        ...

    def sign(self, payload: bytes) -> bytes:
        """The signature over ``payload``: ASN.1 DER of ECDSA P-256 with SHA-256, or 64 bytes of Ed25519.

        Raises:
            SigningError: the key cannot be used.
        """
        ...
