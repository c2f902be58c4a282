"""What every signer does: the one with a key in a file and the one with a key in memory."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from rebuilder.signing.keys import FileKey
from rebuilder.signing.protocol import SigningKey
from tests.fakes.signer import MemorySigner


@pytest.fixture(params=["file", "memory"])
def signer(request: pytest.FixtureRequest, tmp_path: Path) -> SigningKey:
    """One signer of each kind."""
    if request.param == "memory":
        return MemorySigner()
    return FileKey.open(tmp_path / "keys" / "signing.pem", store=tmp_path / "store")


def public(signer: SigningKey) -> ec.EllipticCurvePublicKey:
    """The signer's public key, read as anybody would."""
    key = load_pem_public_key(signer.public_pem)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


def test_signatures_fit_the_public_key(signer: SigningKey) -> None:
    """ECDSA over SHA-256, ASN.1 DER; every payload, the empty one too."""
    for payload in (b"", b"payload", bytes(1 << 20)):
        public(signer).verify(signer.sign(payload), payload, ec.ECDSA(hashes.SHA256()))


def test_signatures_fit_nothing_else(signer: SigningKey) -> None:
    """One changed byte is another payload."""
    with pytest.raises(InvalidSignature):
        public(signer).verify(signer.sign(b"payload"), b"Payload", ec.ECDSA(hashes.SHA256()))


def test_the_curve_is_p256(signer: SigningKey) -> None:
    """The algorithm is part of the contract: verifiers accept no other."""
    assert isinstance(public(signer).curve, ec.SECP256R1)


def test_the_key_id_is_the_digest_of_the_public_key(signer: SigningKey) -> None:
    """Anybody can work it out from the published key."""
    der = public(signer).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert hashlib.sha256(der).hexdigest() == signer.key_id
