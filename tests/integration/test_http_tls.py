"""Certificates: the bundle of the settings decides who is believed."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rebuilder.errors import UnavailableError
from rebuilder.network.http.address import Credentials
from rebuilder.network.http.fetcher import HttpCache, HttpFetcher
from rebuilder.network.reach import Reach
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.registry import JSON, Registry, redirect


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key beside it as ``key.pem``."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    path = tmp_path / "certificate.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def registry(certificate: Path) -> Iterator[Registry]:
    """A registry behind TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    with Registry(tls=context) as registry:
        registry.serve("/simple/a/", b"{}", JSON)
        yield registry


def fetcher(directory: Path, ca_bundle: Path | None, *named: str) -> HttpFetcher:
    """A fetcher that does not wait."""
    cache = HttpCache(directory / "cache")
    return HttpFetcher(
        MemoryBlobs(),
        cache,
        ca_bundle=ca_bundle,
        wait=lambda _: None,
        credentials=Credentials({}),
        attempts=2,
        reach=Reach(named),
    )


def test_named_bundle_is_trusted(registry: Registry, certificate: Path, tmp_path: Path) -> None:
    """A private index with an authority of its own."""
    with fetcher(tmp_path, certificate, registry.base) as fetching:
        assert fetching.document(f"{registry.base}/simple/a/", accept=JSON, max_bytes=10) is not None


def test_unknown_certificate_is_refused_at_once(registry: Registry, tmp_path: Path) -> None:
    """The sentence says which setting to correct; asking again would not help."""
    with (
        fetcher(tmp_path, None, registry.base) as fetching,
        pytest.raises(UnavailableError, match="is not trusted here") as caught,
    ):
        fetching.document(f"{registry.base}/simple/a/", accept=JSON, max_bytes=10)
    assert "PIP_CERT" in (caught.value.hint or "")
    assert 0 == registry.count()


def test_redirection_to_unprotected_http_is_refused(registry: Registry, certificate: Path, tmp_path: Path) -> None:
    """The protection of https cannot be redirected away."""
    with Registry() as plain, fetcher(tmp_path, certificate, registry.base) as fetching:
        registry.fault("/simple/a/", redirect(f"{plain.base}/simple/a/"))
        with pytest.raises(UnavailableError, match="from https to unprotected http"):
            fetching.document(f"{registry.base}/simple/a/", accept=JSON, max_bytes=10)
        assert 0 == plain.count()
