"""The index of this machine's own settings: one page, one file, one resolution."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import uv

from rebuilder.ecosystems.pypi.settings import IndexSettings, index_settings
from rebuilder.network.http.fetcher import HttpCache, HttpFetcher
from rebuilder.network.reach import Reach
from rebuilder.network.resolver import UvResolver, UvSettings
from rebuilder.store.blobs import DiskBlobs
from tests.fakes.memo import MemoryMemo

JSON = "application/vnd.pypi.simple.v1+json"
IDNA = "946d195a0d259cbba61165e88e65941f16e9b36ea6ddb97f00452bae8b1287d3"
"""sha256 of idna-3.10-py3-none-any.whl."""


@pytest.fixture(scope="module")
def settings() -> IndexSettings:
    """What pip and uv would use here."""
    return index_settings()


@pytest.fixture
def fetcher(settings: IndexSettings, tmp_path: Path) -> Iterator[HttpFetcher]:
    """A fetcher with an empty store."""
    with HttpFetcher(
        DiskBlobs(tmp_path / "blobs"), HttpCache(tmp_path / "cache"), ca_bundle=settings.ca_bundle
    ) as fetcher:
        fetcher.admit(settings.index_url)
        yield fetcher


def test_page_and_file(settings: IndexSettings, fetcher: HttpFetcher, tmp_path: Path) -> None:
    """A page with upload times and digests, twice (revalidated when the index offers that), and a file it lists."""
    url = f"{settings.index_url}/idna/"
    first = fetcher.document(url, accept=JSON, max_bytes=10 << 20)
    again = fetcher.document(url, accept=JSON, max_bytes=10 << 20)
    assert first is not None
    assert again is not None
    assert (JSON, first.sha256) == (first.media_type, again.sha256)
    (listed,) = [each for each in json.loads(first.content)["files"] if each["hashes"]["sha256"] == IDNA]
    assert datetime.fromisoformat(listed["upload-time"]) < datetime(2024, 10, 1, tzinfo=UTC)
    assert IDNA == fetcher.file(listed["url"], sha256=IDNA, max_bytes=listed["size"])
    assert listed["size"] == (tmp_path / "blobs" / IDNA[:2] / IDNA).stat().st_size


def test_unknown_project(settings: IndexSettings, fetcher: HttpFetcher) -> None:
    """404 is an answer."""
    assert fetcher.document(f"{settings.index_url}/no-such-project-0b3c/", accept=JSON, max_bytes=1000) is None


def test_resolution_as_of_a_day(settings: IndexSettings, tmp_path: Path) -> None:
    """Hatchling 1.27.0 with what was there on the fifth of March 2025."""
    resolver = UvResolver(
        UvSettings(
            index_url=settings.index_url,
            ca_bundle=settings.ca_bundle,
            binary=Path(uv.find_uv_bin()),
            cache_directory=tmp_path,
            machine="x86_64",
            reach=Reach([settings.index_url], os.environ),
        ),
        MemoryMemo(),
    )
    moment = datetime(2025, 3, 5, 20, 5, tzinfo=UTC)
    resolution = resolver.resolve(["hatchling==1.27.0"], python_version="3.13", not_after=moment)
    assert resolution.problem is None
    assert [
        "hatchling-1.27.0-py3-none-any.whl",
        "packaging-24.2-py3-none-any.whl",
        "pathspec-0.12.1-py3-none-any.whl",
        "pluggy-1.5.0-py3-none-any.whl",
        "trove_classifiers-2025.3.3.18-py3-none-any.whl",
    ] == [pin.filename for pin in resolution.pins]
