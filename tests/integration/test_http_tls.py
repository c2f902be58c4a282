"""Certificates: the bundle of the settings decides who is believed."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from rebuilder.errors import UnavailableError
from rebuilder.network.http.address import Credentials
from rebuilder.network.http.fetcher import HttpCache, HttpFetcher
from rebuilder.network.reach import Reach
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.certificates import self_signed
from tests.fakes.registry import JSON, Registry, redirect


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """For 127.0.0.1."""
    return self_signed(tmp_path)


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
