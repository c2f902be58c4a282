"""Whom we believe."""

from __future__ import annotations

from dataclasses import dataclass

from rebuilder.model.value import Sha256, sha256_hex


@dataclass(frozen=True)
class TrustRoot:
    """Whom we believe: bytes that matched their pins."""

    trusted_root: bytes
    """Sigstore trusted root, JSON (protobuf-specs, ``TrustedRoot``)."""
    npm_keys: bytes
    """npm registry keys, JSON in the layout of Sigstore's TUF repository."""

    @property
    def sha256(self) -> Sha256:
        """Digest of the Sigstore trusted root."""
        return sha256_hex(self.trusted_root)
