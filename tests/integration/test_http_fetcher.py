"""The fetcher against a server on loopback that misbehaves in every way we could think of."""

from __future__ import annotations

import gzip
import logging
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rebuilder.errors import FetchMismatchError, UnavailableError, UsageError
from rebuilder.model.value import sha256_hex
from rebuilder.network.http.address import Credentials
from rebuilder.network.http.fetcher import MAX_REDIRECTS, HttpCache, HttpFetcher
from rebuilder.network.reach import Reach
from rebuilder.store.blobs import DiskBlobs
from tests.fakes.processes import until
from tests.fakes.registry import JSON, Fault, Registry, gzip_bomb, redirect, server_error, too_many

BODY = b'{"files": [], "padding": "' + b"x" * 3000 + b'"}'
FILE = BODY[::-1]
DIGEST = sha256_hex(FILE)


class Harness:
    """A registry, a fetcher that notes its waits instead of waiting, and a clock for the cache."""

    def __init__(self, registry: Registry, directory: Path) -> None:
        self.registry = registry
        self.reach = Reach([registry.base])
        self.waits: list[float] = []
        self.now = 1_700_000_000.0
        self.seconds = 0.0
        self.hanging = 0
        """How many answers are yet to hang."""
        self.directory = directory
        self.blobs = DiskBlobs(directory / "blobs")
        self._made: list[HttpFetcher] = []
        self.fetcher = self.another()

    def close(self) -> None:
        """Close every fetcher that was made."""
        for fetcher in self._made:
            fetcher.close()

    def another(self, *, read_seconds: float = 20, environment: dict[str, str] | None = None) -> HttpFetcher:
        """A fetcher as a later process would have it."""
        fetcher = HttpFetcher(
            self.blobs,
            HttpCache(self.directory / "cache", now=lambda: self.now),
            read_seconds=read_seconds,
            total_seconds=200,
            wait=self._wait,
            monotonic=lambda: self.seconds,
            credentials=Credentials(environment or {}),
            reach=self.reach,
        )
        self._made.append(fetcher)
        return fetcher

    def document(self, path: str = "/simple/a/", max_bytes: int = 100_000) -> bytes | None:
        """Content of a document, None when there is none."""
        document = self.fetcher.document(self.registry.base + path, accept=JSON, max_bytes=max_bytes)
        return None if document is None else document.content

    def file(self, path: str = "/files/a", sha256: str = DIGEST, max_bytes: int = 100_000) -> str:
        """Fetch a file."""
        return self.fetcher.file(self.registry.base + path, sha256=sha256, max_bytes=max_bytes)

    def meets(self, path: str, fault: Fault, times: int) -> None:
        """Let so many answers go wrong, and wait half a second for those that hang: no answer of a busy machine."""
        self.registry.fault(path, fault, times=times)
        if fault.hang:
            self.fetcher, self.hanging = self.another(read_seconds=0.5), times

    def was_asked(self, times: int) -> None:
        """Since its beginning; the server may read a request after the client has given it up."""
        until(lambda: self.registry.count() >= times)
        assert times == self.registry.count()

    def nothing_kept(self) -> bool:
        """Whether no blob and no leftover is there."""
        return not [path for path in (self.directory / "blobs").rglob("*") if path.is_file()]

    def _wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.seconds += seconds
        self.hanging -= 1
        if self.hanging == 0:
            self.fetcher.close()
            self.fetcher._read_seconds = 20


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    """Serves one document and one file."""
    with Registry() as registry:
        registry.serve("/simple/a/", BODY, JSON)
        registry.serve("/files/a", FILE)
        harness = Harness(registry, tmp_path)
        yield harness
        harness.close()


@pytest.mark.parametrize(
    "fault",
    [server_error(500), server_error(503), too_many(), Fault(reset=True), Fault(truncate=100), Fault(hang=True)],
    ids=["500", "503", "429", "reset", "truncated", "hang"],
)
def test_passing_trouble_is_tried_again(harness: Harness, fault: Fault) -> None:
    """Two bad answers, then a good one: the document and the file arrive, after growing waits."""
    harness.meets("/simple/a/", fault, 2)
    assert BODY == harness.document()
    assert [True, True] == [0.5 <= harness.waits[0] <= 1, 1 <= harness.waits[1] <= 1.5]
    harness.meets("/files/a", fault, 2)
    assert DIGEST == harness.file()
    assert 3 + 3 == harness.registry.count()


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (server_error(500), UnavailableError, "answers with HTTP status 500"),
        (too_many(), UnavailableError, "answers with HTTP status 429"),
        (Fault(reset=True), UnavailableError, "The connection to .* failed"),
        (Fault(hang=True), UnavailableError, "did not answer in time"),
        (Fault(truncate=100), FetchMismatchError, "ended before all of .* had arrived"),
    ],
    ids=["500", "429", "reset", "hang", "truncated"],
)
def test_lasting_trouble_is_reported_after_four_attempts(
    harness: Harness, fault: Fault, kind: type[UnavailableError], words: str
) -> None:
    """The sentence names host and path; nothing is kept."""
    harness.meets("/", fault, 100)
    for call, path in ((harness.document, "/simple/a/"), (harness.file, "/files/a")):
        before = harness.registry.count()
        with pytest.raises(UnavailableError, match=words) as caught:
            call()
        assert kind is type(caught.value)
        assert harness.registry.base.removeprefix("http://") + path in str(caught.value)
        assert caught.value.hint
        harness.was_asked(before + 4)
    assert harness.nothing_kept()


@pytest.mark.parametrize("status", [400, 401, 403, 418, 301, 206])
def test_other_statuses_are_final(harness: Harness, status: int) -> None:
    """A refusal is not repeated."""
    harness.registry.fault("/", Fault(status=status, body=b"<h1>no</h1>"), times=2)
    with pytest.raises(UnavailableError, match=str(status)):
        harness.document()
    with pytest.raises(UnavailableError, match=str(status)):
        harness.file()
    assert ([], 2) == (harness.waits, harness.registry.count())


def test_retry_after_is_waited_out(harness: Harness) -> None:
    """The server says how long."""
    harness.registry.fault("/", too_many("7"))
    assert BODY == harness.document()
    assert [7.0] == harness.waits


def test_too_long_a_retry_after_ends_the_attempts(harness: Harness) -> None:
    """Coming back before the time the server asked for would be impolite; waiting an hour is no use either."""
    harness.registry.fault("/", too_many("3600"))
    with pytest.raises(UnavailableError, match="429"):
        harness.document()
    assert ([], 1) == (harness.waits, harness.registry.count())


def test_all_attempts_together_have_a_time_limit(harness: Harness) -> None:
    """No wait goes beyond the limit for the whole call (200 s here)."""
    harness.registry.fault("/", too_many("59"), times=10)
    harness.fetcher = HttpFetcher(
        harness.blobs,
        HttpCache(harness.directory / "cache"),
        reach=harness.reach,
        total_seconds=100,
        attempts=10,
        wait=harness._wait,
        monotonic=lambda: harness.seconds,
    )
    with pytest.raises(UnavailableError), harness.fetcher:
        harness.document()
    assert [59.0] == harness.waits


def test_body_that_trickles_is_cut_off(harness: Harness) -> None:
    """A server that sends a little all the time never times out by itself, so the whole call is timed."""
    harness.registry.fault("/", Fault(slow=0.02))
    fetcher = HttpFetcher(
        harness.blobs,
        HttpCache(harness.directory / "cache"),
        reach=harness.reach,
        total_seconds=0.03,
        wait=harness._wait,
        monotonic=time.monotonic,
    )
    with fetcher, pytest.raises(UnavailableError, match=r"within 0\.03 seconds"):
        fetcher.file(harness.registry.base + "/files/a", sha256=DIGEST, max_bytes=100_000)
    assert harness.nothing_kept()


def test_server_that_is_down_is_unavailable(harness: Harness) -> None:
    """Nobody listens: a sentence after the retries."""
    with Registry() as other:
        url = other.base
    harness.reach.admit(url)
    with pytest.raises(UnavailableError, match=r"The connection to 127\.0\.0\.1:\d+/simple/a/ failed"):
        harness.fetcher.document(f"{url}/simple/a/", accept=JSON, max_bytes=10)
    assert 3 == len(harness.waits)


def test_gzip_is_undone(harness: Harness) -> None:
    """A document may come compressed; what counts and is kept are the decoded bytes."""
    harness.registry.fault("/simple", Fault(body=gzip.compress(BODY), headers={"Content-Encoding": "gzip"}))
    assert BODY == harness.document(max_bytes=len(BODY))


def test_gzip_bomb_is_stopped(harness: Harness) -> None:
    """A small body cannot grow over the limit."""
    harness.registry.fault("/simple", gzip_bomb(50_000_000))
    with pytest.raises(FetchMismatchError, match="larger than the 100,000 bytes"):
        harness.document()
    assert harness.nothing_kept()


@pytest.mark.parametrize(
    ("body", "encoding"), [(b"not gzip", "gzip"), (BODY, "br"), (gzip.compress(BODY, mtime=0)[:-9], "gzip")]
)
def test_broken_compression_is_unavailable(harness: Harness, body: bytes, encoding: str) -> None:
    """Rubbish, an encoding nobody asked for, and a stream without its end."""
    harness.registry.fault("/simple", Fault(body=body, headers={"Content-Encoding": encoding}), times=4)
    with pytest.raises(UnavailableError):
        harness.document()
    assert harness.nothing_kept()


def test_files_are_hashed_as_sent(harness: Harness) -> None:
    """Servers like to call a .tar.gz gzip-encoded; its digest is that of the bytes on the wire."""
    packed = gzip.compress(BODY, mtime=0)
    harness.registry.fault("/files", Fault(body=packed, headers={"Content-Encoding": "gzip"}))
    assert sha256_hex(packed) == harness.file(sha256=sha256_hex(packed))
    assert "identity" == harness.registry.requests[-1].headers["accept-encoding"]


def test_oversized_file_is_not_even_begun(harness: Harness) -> None:
    """An announced size over the limit ends it before the first byte, which would not come here."""
    harness.registry.fault("/files", Fault(truncate=0), times=9)
    with pytest.raises(FetchMismatchError, match=r"larger than the 10 bytes"):
        harness.file(max_bytes=10)
    assert harness.nothing_kept()


def test_wrong_digest_is_not_asked_for_again(harness: Harness) -> None:
    """Other bytes are no passing trouble: both digests are named, nothing is kept."""
    with pytest.raises(FetchMismatchError, match=f"has the sha256 {DIGEST}, but {'0' * 64} was promised"):
        harness.file(sha256="0" * 64)
    assert 1 == harness.registry.count()
    assert harness.nothing_kept()


def test_redirects_are_followed(harness: Harness) -> None:
    """Relative and absolute; the document says where it came from in the end."""
    harness.registry.fault("/simple/b/", redirect("/simple/c/"))
    harness.registry.fault("/simple/c/", redirect(f"{harness.registry.base}/simple/a/", 307))
    document = harness.fetcher.document(f"{harness.registry.base}/simple/b/", accept=JSON, max_bytes=100_000)
    assert document is not None
    assert (BODY, f"{harness.registry.base}/simple/a/") == (document.content, document.url)


def test_redirects_in_a_circle_end(harness: Harness) -> None:
    """A server cannot send us round for ever."""
    harness.registry.fault("/", redirect("/simple/a/"), times=100)
    with pytest.raises(UnavailableError, match="more than 5 times"):
        harness.document()
    assert MAX_REDIRECTS + 1 == harness.registry.count()


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://[::1", "http://:80/"])
def test_redirects_elsewhere_are_refused(harness: Harness, location: str) -> None:
    """Only http and https."""
    harness.registry.fault("/", redirect(location))
    with pytest.raises(UnavailableError, match="redirects to something that is not"):
        harness.document()
    assert ([], 1) == (harness.waits, harness.registry.count())


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/x", "", "http://", "http://[", "http://a:x/"])
def test_other_addresses_are_refused(harness: Harness, url: str) -> None:
    """An index may list anything; nothing but http and https is asked for."""
    with pytest.raises(UnavailableError, match="not an http or https address"):
        harness.fetcher.file(url, sha256=DIGEST, max_bytes=10)
    with pytest.raises(UnavailableError, match="not an http or https address"):
        harness.fetcher.document(url, accept=JSON, max_bytes=10)


def test_odd_addresses_do_no_harm(harness: Harness) -> None:
    """Line ends and spaces in a path cannot smuggle a header, and end in a sentence."""
    for path in ("/a b", "/a\r\nX-Evil: 1", "/\x00", "/%zz", "/ü"):
        with pytest.raises(UnavailableError) as caught:
            harness.fetcher.file(harness.registry.base + path, sha256=DIGEST, max_bytes=10)
        assert str(caught.value).isprintable()
    assert not [each for each in harness.registry.requests if "x-evil" in each.headers]


def test_unchanged_document_is_revalidated_by_etag(harness: Harness) -> None:
    """A stale document costs a request, but not its body; a later process knows it too."""
    harness.registry.etags = True
    harness.document()
    harness.fetcher = harness.another()
    assert BODY == harness.document()
    assert (2, 1) == (harness.registry.count(), harness.registry.not_modified)


def test_unchanged_document_is_revalidated_by_date(harness: Harness) -> None:
    """Servers without ETag have Last-Modified."""
    harness.registry.last_modified = "Wed, 21 Oct 2015 07:28:00 GMT"
    assert [BODY, BODY] == [harness.document(), harness.document()]
    assert (2, 1) == (harness.registry.count(), harness.registry.not_modified)


def test_changed_document_is_seen(harness: Harness) -> None:
    """The cache never hides a change once it asks."""
    harness.registry.etags = True
    harness.document()
    harness.registry.serve("/simple/a/", b"changed", JSON)
    assert b"changed" == harness.document()


def test_fresh_document_costs_no_request(harness: Harness) -> None:
    """max-age less Age is honoured to the second."""
    harness.registry.cache_control = "public, max-age=600"
    harness.registry.fault("/simple", Fault(headers={"Age": "100"}))
    harness.document()
    harness.now += 499
    harness.document()
    assert 1 == harness.registry.count()
    harness.now += 2
    harness.document()
    assert 2 == harness.registry.count()


@pytest.mark.parametrize("cache_control", ["no-store, max-age=600", "max-age=600, no-cache", "max-age=x", "private"])
def test_what_may_not_be_reused_is_asked_for_again(harness: Harness, cache_control: str) -> None:
    """Each of these means a request every time."""
    harness.registry.cache_control = cache_control
    assert [BODY, BODY] == [harness.document(), harness.document()]
    assert 2 == harness.registry.count()


def test_fresh_but_lost_or_damaged_document_is_fetched_again(harness: Harness) -> None:
    """The cache entry alone is worth nothing."""
    harness.registry.etags, harness.registry.cache_control = True, "max-age=600"
    harness.document()
    blob = harness.blobs.path(sha256_hex(BODY))
    blob.chmod(0o644)
    blob.write_bytes(b"rot")
    harness.fetcher = harness.another()
    assert BODY == harness.document()
    for entry in (harness.directory / "cache").iterdir():
        entry.write_text("{")
    assert BODY == harness.document()
    assert (3, 0) == (harness.registry.count(), harness.registry.not_modified)


def test_missing_document_is_not_remembered(harness: Harness) -> None:
    """A project that appears later is found."""
    assert harness.document("/simple/new/") is None
    harness.registry.serve("/simple/new/", BODY, JSON)
    assert BODY == harness.document("/simple/new/")


def test_credentials_go_to_their_origin_only_and_are_never_shown(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    """Name and password of the index URL serve its files too, no other server, no message, log or cache file."""
    caplog.set_level(logging.DEBUG)
    harness.registry.credentials = "user:geheim"
    with Registry() as other:
        harness.reach.admit(other.base)
        harness.registry.fault("/simple/b/", redirect(f"{other.base}/simple/b/"))
        other.serve("/simple/b/", BODY)
        with_password = harness.registry.base.replace("http://", "http://user:geheim@")
        document = harness.fetcher.document(f"{with_password}/simple/a/", accept=JSON, max_bytes=100_000)
        assert document is not None
        assert f"{harness.registry.base}/simple/a/" == document.url
        assert DIGEST == harness.file()
        harness.fetcher.document(f"{with_password}/simple/b/", accept=JSON, max_bytes=100_000)
        assert ["authorization" in each.headers for each in other.requests] == [False]
    harness.registry.fault("/", server_error(500), times=9)
    with pytest.raises(UnavailableError) as caught:
        harness.fetcher.document(f"{with_password}/simple/c/?token=geheim", accept=JSON, max_bytes=10)
    kept = "".join(path.read_text() for path in (harness.directory / "cache").iterdir())
    logged = "".join(
        f"{record.name} {record.getMessage()}" for record in caplog.records if record.levelno > logging.DEBUG
    )
    assert "geheim" not in f"{caught.value}{caught.value.hint}{kept}"
    assert "user:geheim" not in logged


def test_missing_credentials_are_a_sentence(harness: Harness) -> None:
    """401 says where a password can be put."""
    harness.registry.credentials = "user:geheim"
    with pytest.raises(UnavailableError, match="refuses access") as caught:
        harness.document()
    assert "netrc" in (caught.value.hint or "")


def test_netrc_gives_credentials(harness: Harness) -> None:
    """As for pip and uv."""
    netrc = harness.directory / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password geheim\n")
    netrc.chmod(0o600)
    harness.registry.credentials = "user:geheim"
    harness.fetcher = harness.another(environment={"NETRC": str(netrc)})
    assert BODY == harness.document()


def test_malformed_netrc_is_a_sentence(harness: Harness) -> None:
    """It names file and line, and none of its content."""
    netrc = harness.directory / "netrc"
    netrc.write_text("machine 127.0.0.1 login user passwort geheim\n")
    netrc.chmod(0o600)
    harness.fetcher = harness.another(environment={"NETRC": str(netrc)})
    with pytest.raises(UsageError, match="cannot be understood at line 1") as caught:
        harness.document()
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_unreadable_certificate_bundle_is_a_sentence(harness: Harness, content: str | None) -> None:
    """A wrong bundle is found before anything is sent."""
    bundle = harness.directory / "bundle.pem"
    if content is not None:
        bundle.write_text(content)
    fetcher = HttpFetcher(
        harness.blobs, HttpCache(harness.directory / "cache"), ca_bundle=bundle, wait=harness._wait, reach=harness.reach
    )
    with fetcher, pytest.raises(UsageError, match=r"bundle\.pem cannot be read") as caught:
        fetcher.document(harness.registry.base, accept=JSON, max_bytes=10)
    assert not isinstance(caught.value.__cause__, ssl.SSLError)
    assert 0 == harness.registry.count()


def test_server_without_tls_behind_https_is_a_sentence(harness: Harness) -> None:
    """A handshake that fails is reported like a connection that fails."""
    url = harness.registry.base.replace("http://", "https://")
    harness.reach.admit(url)
    with pytest.raises(UnavailableError, match=r"connection to .* failed"):
        harness.fetcher.document(f"{url}/simple/a/", accept=JSON, max_bytes=10)
