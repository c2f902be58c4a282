"""The proxy that programs get instead of the network: whom it lets pass, and where to."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from rebuilder.model.git import SourceProblem, SourceTree, Trouble
from rebuilder.network.git.sources import GitLimits, GitSources
from rebuilder.network.reach import Origin, Reach
from rebuilder.network.relay import Relay
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.git_server import GitServer, redirect
from tests.fakes.registry import Registry
from tests.fakes.repositories import make_repository


@pytest.fixture
def registry() -> Iterator[Registry]:
    """A server with one file."""
    with Registry() as registry:
        registry.serve("/a", b"content")
        yield registry


def ask(relay: Relay, request: bytes) -> bytes:
    """What the proxy answers to these bytes; PROXY stands for its password."""
    login = httpx.URL(relay.environment["http_proxy"])
    header = httpx.BasicAuth(login.username, login.password)._auth_header.encode()
    with socket.create_connection((login.host, login.port or 0), timeout=20) as connection:
        connection.sendall(request.replace(b"PROXY", header))
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_what_may_be_asked_is(registry: Registry) -> None:
    """Plain requests get the path only, lose what was for the proxy, and one of them is one connection."""
    host = registry.base.removeprefix("http://").encode()
    with Relay(Reach([registry.base])) as relay:
        answer = ask(relay, b"GET http://%b/a?b=c HTTP/1.1\r\nHost: x\r\nProxy-Authorization: PROXY\r\n\r\n" % host)
        assert b" 200 " in answer[:20]
        assert answer.endswith(b"content")
        assert "proxy-authorization" not in registry.requests[-1].headers
        assert "close" == registry.requests[-1].headers["connection"]
        tunnel = b"CONNECT %b HTTP/1.1\r\nProxy-Authorization: PROXY\r\n\r\n" % host
        assert b" 403 " in ask(relay, tunnel)[:20]
    with Relay(Reach([registry.base.replace("http", "https")])) as relay:
        inner = b"GET /a?b=c HTTP/1.0\r\n\r\n"
        assert ask(relay, tunnel + inner).endswith(b"content")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET http://HOST/a HTTP/1.1\r\n\r\n", b"407"),
        (b"GET http://HOST/a HTTP/1.1\r\nProxy-Authorization: Basic eDp5\r\n\r\n", b"407"),
        (b"GET http://HOST/a HTTP/1.1\r\nProxy-Authorization: PROXY\r\n\r\n", b"403"),
        (b"GET http://localhost:PORT/a HTTP/1.1\r\nProxy-Authorization: PROXY\r\n\r\n", b"403"),
        (b"GET http://2130706433:PORT/a HTTP/1.1\r\nProxy-Authorization: PROXY\r\n\r\n", b"403"),
        (b"CONNECT HOST HTTP/1.1\r\nProxy-Authorization: PROXY\r\n\r\n", b"403"),
        (b"CONNECT [::ffff:127.0.0.1]:PORT HTTP/1.1\r\nProxy-Authorization: PROXY\r\n\r\n", b"403"),
        (b"CONNECT 0x7f.1:PORT HTTP/1.1\r\nProxy-Authorization: PROXY\r\n\r\n", b"403"),
        (b"GET /a HTTP/1.1\r\nHost: HOST\r\nProxy-Authorization: PROXY\r\n\r\n", b"400"),
        (b"GET https://HOST/a HTTP/1.1\r\nProxy-Authorization: PROXY\r\n\r\n", b"400"),
        (b"GET http://a@HOST/a HTTP/1.1\r\nProxy-Authorization: PROXY\r\n\r\n", b"400"),
        (b"CONNECT HOST:1 HTTP/1.1\r\nProxy-Authorization: PROXY\r\n\r\n", b"400"),
        (b"nonsense\r\n\r\n", b"400"),
    ],
    ids=range(13),
)
def test_nothing_else_is(registry: Registry, request_: bytes, status: bytes) -> None:
    """Whoever has no password, and whatever leads to an address that was not named."""
    host = registry.base.removeprefix("http://").encode()
    request_ = request_.replace(b"HOST", host).replace(b"PORT", host.rpartition(b":")[2])
    with Relay(Reach()) as relay:
        assert status == ask(relay, request_)[9:12]
        assert bool(relay.refused) == (status == b"403")
    assert 0 == registry.count()


def test_it_goes_through_the_proxy_of_the_environment(registry: Registry) -> None:
    """With its login; inner names are not passed on to it."""
    proxy = registry.base.replace("http://", "http://user:secret@")
    registry.serve("http://files.example.org/a", b"content")
    with Relay(Reach(environment={"http_proxy": proxy, "https_proxy": proxy})) as relay:
        for url, status in (("http://files.example.org/a", b"200"), ("http://intranet/a", b"403")):
            request = f"GET {url} HTTP/1.1\r\nProxy-Authorization: PROXY\r\n\r\n".encode()
            assert status == ask(relay, request)[9:12]
        assert ["http://files.example.org/a"] == [each.path for each in registry.requests]
        assert "Basic dXNlcjpzZWNyZXQ=" == registry.requests[0].headers["proxy-authorization"]
        tunnel = b"CONNECT files.example.org:443 HTTP/1.1\r\nProxy-Authorization: PROXY\r\n\r\n"
        assert b"502" == ask(relay, tunnel)[9:12]  # this proxy makes none


def test_why_a_server_was_not_connected_to() -> None:
    """A name that nobody knows here is no answer of its server."""

    class Unknown(Reach):
        def addresses(self, origin: Origin, seconds: float | None) -> list[str]:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")

    with Relay(Unknown()) as relay:
        assert b"502" == ask(relay, b"CONNECT forge.example:443 HTTP/1.1\r\nProxy-Authorization: PROXY\r\n\r\n")[9:12]
        assert ["its name is not known here"] == relay.failures


def test_nothing_is_open_after_the_block() -> None:
    """A program that is still there has lost the network."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
        with Relay(Reach([f"https://{place}"])) as relay:
            address = httpx.URL(relay.environment["https_proxy"])
            header = httpx.BasicAuth(address.username, address.password)._auth_header
            client = socket.create_connection((address.host, address.port or 0), timeout=20)
            client.sendall(f"CONNECT {place} HTTP/1.1\r\nProxy-Authorization: {header}\r\n\r\n".encode())
            assert client.recv(12).endswith(b"200")
            accepted, _ = server.accept()
        accepted.settimeout(20)
        assert b"" == accepted.recv(1)
        accepted.close()
        client.close()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((address.host, address.port or 0), timeout=5)


class TestGit:
    URL = "https://example.org/project"

    def sources(self, directory: Path, target: str, reachable: tuple[str, ...] = ()) -> GitSources:
        """Sources that ask ``target``, a mirror that the user named."""
        return GitSources(
            MemoryBlobs(),
            directory / "cache",
            {"https://example.org": target},
            environment={"PATH": os.environ["PATH"]},
            reachable=reachable,
            limits=GitLimits(seconds=60),
        )

    def test_a_mirror_on_loopback_is_asked(self, tmp_path: Path) -> None:
        """The user named it."""
        repository = make_repository(tmp_path / "served" / "project")
        sha = repository.commit({"a": "1"})
        with GitServer(tmp_path / "served") as server:
            assert isinstance(self.sources(tmp_path, server.url).commit(self.URL, sha), SourceTree)

    def test_it_may_not_send_us_to_another_server(self, tmp_path: Path) -> None:
        """Unless the settings name that too."""
        repository = make_repository(tmp_path / "served" / "project")
        sha = repository.commit({"a": "1"})
        old = "https://example.org/old"
        with (
            GitServer(tmp_path / "served") as inner,
            GitServer(tmp_path / "served", fault=redirect(f"{inner.url}/project")) as mirror,
        ):
            answer = self.sources(tmp_path, mirror.url).commit(old, sha)
            assert isinstance(answer, SourceProblem)
            assert Trouble.REFUSED is answer.trouble
            assert "was not asked" in answer.sentence
            assert not inner.requests
            allowed = self.sources(tmp_path, mirror.url, (inner.url,)).commit(old, sha)
            assert isinstance(allowed, SourceTree)

    @pytest.mark.parametrize(
        "host",
        [
            "127.0.0.1:PORT",
            "localhost:PORT",
            "2130706433:PORT",
            "0x7f.1:PORT",
            "[::1]:PORT",
            "[::ffff:7f00:1]:PORT",
            "10.0.0.1",
        ],
    )
    def test_an_address_that_a_publisher_wrote(self, host: str, tmp_path: Path) -> None:
        """Nobody is connected to, and the sentence is the same for an open and a closed port."""
        said = []
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.setblocking(False)  # whoever had connected would wait already
            for port in (server.getsockname()[1], 9):
                url = f"https://{host.replace('PORT', str(port))}/org/repository"
                sources = GitSources(MemoryBlobs(), tmp_path, environment={"PATH": os.environ["PATH"]})
                for answer in (sources.commit(url, "1" * 40), sources.tags(url)):
                    assert isinstance(answer, SourceProblem)
                    assert Trouble.REFUSED is answer.trouble
                    said.append(answer.sentence.replace(f":{port}", ""))
            with pytest.raises(BlockingIOError):
                server.accept()
        assert 1 == len(set(said))
