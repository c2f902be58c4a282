"""What a server cannot do to us: keep a call beyond its limit, or send us to another server of our own network."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from rebuilder.errors import ForbiddenAddressError, UnavailableError
from rebuilder.model.value import sha256_hex
from rebuilder.network.http.address import Credentials
from rebuilder.network.http.fetcher import HttpCache, HttpFetcher
from rebuilder.network.reach import Reach
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.registry import JSON, Registry, redirect

SECONDS, LONGEST = 0.5, 60
OUTLASTED: list[socket.socket] = []
"""Connections that were still there after the longest time."""
Talk = Callable[[socket.socket], None]


@contextmanager
def talking(talk: Talk) -> Iterator[str]:
    """A server that reads a head and then says what it likes, until the client goes; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection, suppress(OSError):
                        connection.settimeout(20)
                        connection.recv(65536)
                        talk(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(20)


def again(beginning: bytes, piece: bytes, pause: float = 0.0) -> Talk:
    """A beginning, and the same piece again and again."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(beginning)
        ends = time.monotonic() + LONGEST
        while time.monotonic() < ends:
            connection.sendall(piece)
            if select.select([connection], [], [], pause)[0]:  # the client has gone
                return
        OUTLASTED.append(connection)

    return talk


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "talk",
    [
        again(b"HTTP/1.1 200 OK\r\nX-A: ", b"a", 0.05),
        again(b"H", b"", 0.05),
        again(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", 0.05),
        again(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.01),
        again(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 100),
        again(CHUNKED + b"1;", b"e", 0.05),
        again(CHUNKED, b"1;" + b"e" * 1000 + b"\r\nx\r\n", 0.05),
        again(CHUNKED + b"0\r\n", b"X: y\r\n", 0.05),
        again(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b"x", 0.05),
        again(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nX-A: ", b"a", 0.05),
    ],
    ids=["head", "status", "headers", "continue", "flood", "extension", "extensions", "trailers", "body", "redirect"],
)
def test_a_call_ends_at_its_limit(talk: Talk, tmp_path: Path) -> None:
    """Whatever the server sends, byte by byte or as a flood, as a document and as a file."""
    with talking(talk) as base:
        fetcher = HttpFetcher(
            MemoryBlobs(), HttpCache(tmp_path), total_seconds=SECONDS, credentials=Credentials({}), reach=Reach([base])
        )
        with fetcher:
            for call in (
                lambda: fetcher.document(f"{base}/simple/a/", accept=JSON, max_bytes=1 << 20),
                lambda: fetcher.file(f"{base}/a", sha256="0" * 64, max_bytes=1 << 20),
            ):
                with pytest.raises(UnavailableError, match=r"did not give its answer within 0\.5 seconds"):
                    call()
                assert [] == OUTLASTED


@pytest.fixture
def fetcher(tmp_path: Path) -> Iterator[HttpFetcher]:
    """One with a netrc for this machine, that may ask nothing here."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password secret\n")
    netrc.chmod(0o600)
    credentials = Credentials({"NETRC": str(netrc)})
    with HttpFetcher(MemoryBlobs(), HttpCache(tmp_path / "cache"), credentials=credentials, reach=Reach()) as fetcher:
        yield fetcher


def test_another_port_is_another_server(fetcher: HttpFetcher) -> None:
    """Asked directly or sent there, for documents, files and digests; the sentence is the same for a closed port."""
    with Registry() as index, Registry() as other:
        with Registry() as gone:
            closed = gone.base
        fetcher.admit(index.base)
        said = set()
        for number, target in enumerate((other.base, closed)):
            index.fault(f"/to/{number}", redirect(f"{target}/x"), times=9)
            for url in (f"{target}/x", f"{index.base}/to/{number}"):
                for call in (
                    lambda url=url: fetcher.document(url, accept=JSON, max_bytes=10),
                    lambda url=url: fetcher.file(url, sha256="0" * 64, max_bytes=10),
                    lambda url=url: fetcher.digest(url, max_bytes=10),
                ):
                    with pytest.raises(ForbiddenAddressError) as refused:
                        call()
                    said.add(str(refused.value).replace(target.removeprefix("http://"), "HOST"))
        assert 1 == len(said)
        assert 0 == other.count()


def test_netrc_goes_to_what_was_named_only(fetcher: HttpFetcher, tmp_path: Path) -> None:
    """The index gets it; another server of the same name does not, even where it may be asked."""
    with Registry() as index, Registry() as other:
        fetcher.admit(index.base)
        index.serve("/a", b"a")
        other.serve("/b", b"b")
        fetcher.document(f"{index.base}/a", accept=JSON, max_bytes=10)
        assert "authorization" in index.requests[-1].headers
        free = Reach()
        free.check = lambda *_: None  # type: ignore[method-assign]
        free.addresses = lambda *_: ["127.0.0.1"]  # type: ignore[method-assign]
        login = Credentials({"NETRC": str(tmp_path / "netrc")})
        with HttpFetcher(MemoryBlobs(), HttpCache(tmp_path / "2"), credentials=login, reach=free) as another:
            another.document(f"{other.base}/b", accept=JSON, max_bytes=10)
        assert "authorization" not in other.requests[-1].headers


def test_a_name_is_connected_to_at_the_address_that_was_judged(
    fetcher: HttpFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second answer of the name server, for the connection, would be too late: nobody asks for it."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def changing(host: str, *arguments: object, **options: object) -> object:
        if host != "rebinding.example.org":
            return real(host, *arguments, **options)  # type: ignore[arg-type]
        asked.append(host)
        return real("127.0.0.1" if len(asked) > 1 else "10.0.0.1", *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", changing)
    with Registry() as other:
        port = other.base.rpartition(":")[2]
        for _ in range(3):
            with pytest.raises(ForbiddenAddressError):
                fetcher.document(f"http://rebinding.example.org:{port}/", accept=JSON, max_bytes=10)
        assert 3 == len(asked)
        assert 0 == other.count()


def test_a_proxy_of_the_environment_is_used(tmp_path: Path) -> None:
    """It gets the whole address and the credentials in its own, and is not asked for what is not public."""
    with Registry() as proxy:
        base = proxy.base.replace("http://", "http://user:secret@")
        proxy.serve("http://files.example.org/a", b"a")
        reach = Reach(environment={"http_proxy": base})
        with HttpFetcher(MemoryBlobs(), HttpCache(tmp_path), attempts=1, reach=reach) as fetcher:
            with suppress(UnavailableError):
                fetcher.file("http://files.example.org/a", sha256=sha256_hex(b"a"), max_bytes=10)
            assert ["http://files.example.org/a"] == [each.path for each in proxy.requests]
            assert "proxy-authorization" in proxy.requests[0].headers
            with pytest.raises(ForbiddenAddressError):
                fetcher.file("http://169.254.169.254/a", sha256="0" * 64, max_bytes=10)
        assert 1 == len(proxy.requests)
