"""What is remembered of the network, and for how long."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebuilder.model.value import Sha256
from rebuilder.network.http.fetcher import CachedDocument, HttpCache

URL, ACCEPT = "https://example.org/simple/a/", "application/json"
ENTRY = CachedDocument(url=URL, sha256=Sha256("0" * 64), media_type=ACCEPT, etag='"x"')
MONTH = 30 * 24 * 3600


class Time:
    """A clock that is set by hand."""

    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Time:
    """The clock of the cache."""
    return Time()


@pytest.fixture
def cache(tmp_path: Path, clock: Time) -> HttpCache:
    """An empty cache."""
    return HttpCache(tmp_path / "cache", now=clock)


def kept(cache: HttpCache, **headers: str) -> CachedDocument:
    """Keep the entry with these headers; as it is found again."""
    cache.keep(URL, ACCEPT, ENTRY, {name.replace("_", "-"): value for name, value in headers.items()})
    found = cache.get(URL, ACCEPT)
    assert found is not None
    return found


def test_key_is_address_and_accept(cache: HttpCache) -> None:
    """JSON and HTML of one page are two documents."""
    kept(cache)
    assert cache.get(URL, "text/html") is None
    assert cache.get(URL + "b/", ACCEPT) is None


@pytest.mark.parametrize(
    ("control", "age", "seconds"),
    [
        ("max-age=60", "", 60),
        ('Public , MAX-AGE="60"', "", 60),
        ("max-age=60, max-age=600", "", 60),
        ("max-age=60", "20", 40),
        ("max-age=60", "x", 60),
        ("max-age=60", "60", 0),
        ("s-maxage=60", "", 0),
        ("max-age=-60", "", 0),
        ("max-age=99999999999", "", 0),
        ("max-age=9999999999", "", MONTH),
        ("no-cache, max-age=60", "", 0),
        ("", "", 0),
    ],
)
def test_freshness(cache: HttpCache, clock: Time, control: str, age: str, seconds: int) -> None:
    """RFC 9111, 4.2: max-age less Age; a shared cache's lifetime is not ours; what is malformed is stale."""
    entry = kept(cache, cache_control=control, age=age)
    assert (seconds > 0) is cache.is_fresh(entry)
    clock.now += seconds - 1
    assert (seconds > 0) is cache.is_fresh(entry)
    clock.now += 1
    assert not cache.is_fresh(entry)


def test_clock_set_back_does_not_keep_an_entry_for_ever(cache: HttpCache, clock: Time) -> None:
    """An entry from the future is stale."""
    entry = kept(cache, cache_control="max-age=60")
    clock.now -= 10 * 365 * 24 * 3600
    assert not cache.is_fresh(entry)


def test_no_store_forgets(cache: HttpCache) -> None:
    """An earlier entry goes too."""
    kept(cache)
    cache.keep(URL, ACCEPT, ENTRY, {"cache-control": "no-store"})
    assert cache.get(URL, ACCEPT) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"url": "x", "sha256": "x", "media_type": "x"}'])
def test_damaged_entry_is_none(cache: HttpCache, tmp_path: Path, text: str) -> None:
    """The cache never stops anything from working."""
    kept(cache)
    (file,) = (tmp_path / "cache").iterdir()
    file.write_text(text)
    assert cache.get(URL, ACCEPT) is None


def test_cache_that_cannot_be_written_costs_only_requests(tmp_path: Path) -> None:
    """A file stands where the directory should be."""
    (tmp_path / "cache").write_text("")
    cache = HttpCache(tmp_path / "cache")
    cache.keep(URL, ACCEPT, ENTRY, {})
    cache.keep(URL, ACCEPT, ENTRY, {"cache-control": "no-store"})
    assert cache.get(URL, ACCEPT) is None
