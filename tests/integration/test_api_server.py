"""The server of the HTTP API on a real socket: how it treats its clients, and how it ends."""

from __future__ import annotations

import json
import logging
import socket
import threading
from pathlib import Path

import httpx
import pytest

from rebuilder.errors import StoreError, UsageError
from rebuilder.service.api.app import make_app
from rebuilder.service.api.context import ApiContext
from rebuilder.service.api.server import HttpServer, PatientProtocol
from tests.fakes.api import PAGE, TOKEN, get, raw, serving
from tests.fakes.api_context import SECRET, open_api_context


def refused(address: str) -> bool:
    """Whether nobody listens there any more."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=20).close()
    except ConnectionRefusedError:
        return True
    return False


class TestManners:
    def test_every_answer_has_safe_headers(self, http: httpx.Client) -> None:
        """And none says what the server is made of."""
        for path in ("/", "/api/v1/queue", "/api/v1/none", "/none", "/metrics"):
            answer = http.get(path)
            assert "nosniff" == answer.headers["x-content-type-options"]
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert 16 == len(answer.headers["x-request-id"])
            assert "server" not in answer.headers

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/api/v1/none", 404),
            ("GET", "/api/v1/verifications", 405),
            ("DELETE", "/api/v1/queue", 405),
            ("PUT", "/index.html", 405),
            ("GET", "/docs", 404),
            ("GET", "/api/v1/none/", 404),
        ],
    )
    def test_other_addresses_and_methods(self, http: httpx.Client, method: str, path: str, status: int) -> None:
        """Are refused with a sentence or a page."""
        answer = http.request(method, path)
        assert status == answer.status_code
        if path.startswith("/api/"):
            assert answer.json()["error"]

    def test_a_host_header_changes_nothing(self, http: httpx.Client) -> None:
        """Nothing in an answer is made from it."""
        answer = http.get(PAGE, headers={"Host": "attacker.example.org"})
        assert "attacker" not in f"{answer.headers}{answer.text}"

    def test_clients_that_ask_too_often_wait(self, tmp_path: Path) -> None:
        """Pages, probes and changes are counted apart; whoever asks is told how long to wait."""
        with open_api_context(tmp_path, requests_per_minute=3) as context, serving(context) as client:
            pages = [client.get("/api/v1/queue") for _ in range(4)]
            probes = [client.get("/healthz").status_code for _ in range(3)]
            changes = [client.post("/api/v1/verifications", json={}).status_code for _ in range(2)]
        assert [200, 200, 200, 429] == [each.status_code for each in pages]
        assert 1 <= int(pages[-1].headers["retry-after"]) <= 60
        assert pages[-1].json()["error"]
        assert [200, 200, 200] == probes
        assert [401, 429] == changes

    def test_trouble_with_the_store_is_told(self, tmp_path: Path) -> None:
        """With its sentence, and 503: it may pass."""

        def broken() -> list[str]:
            raise StoreError("The ledger is locked.", hint="Wait.")

        with open_api_context(tmp_path, ready=broken) as context, serving(context) as client:
            answer = client.get("/readyz")
        assert (503, {"error": "The ledger is locked.", "hint": "Wait."}) == (answer.status_code, answer.json())

    def test_a_fault_of_ours_is_a_sentence_and_a_line_in_the_log(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The client gets a number to find it by, and no detail."""

        def broken() -> bytes:
            raise ZeroDivisionError("inner detail")

        with (
            caplog.at_level(logging.DEBUG),
            open_api_context(tmp_path, metrics=broken) as context,
            serving(context) as client,
        ):
            answer = client.get("/metrics", headers=TOKEN)
        assert 500 == answer.status_code
        assert "inner detail" not in answer.text
        number = answer.headers["x-request-id"]
        assert number in answer.json()["hint"]
        (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
        assert number in record.getMessage()
        assert record.exc_info is not None
        assert "inner detail" not in answer.text
        ours = [each.getMessage() for each in caplog.records if each.name.startswith(("rebuilder", "uvicorn"))]
        assert not [line for line in ours if "secret" in line or SECRET in line]

    def test_a_log_line_cannot_be_forged(self, address: str, caplog: pytest.LogCaptureFixture) -> None:
        """Line ends in a path stay as they were sent: encoded."""
        with caplog.at_level(logging.DEBUG, "rebuilder.service.api"):
            raw(address, get("/x%0aERROR%20all%20is%20lost%1b"))
        lines = [each.getMessage() for each in caplog.records]
        assert ["GET /x%0aERROR%20all%20is%20lost%1b: 404"] == lines

    def test_reading_takes_no_body(self, address: str) -> None:
        """A client cannot keep a connection busy with one."""
        answer = raw(address, b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\nx")
        assert b"HTTP/1.1 400 " == answer[:13]


class Hasty(PatientProtocol):
    """Loses patience soon, and tells when a connection is over."""

    head_seconds = 0.2
    drain_seconds = 0.2
    over = threading.Semaphore(0)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.over.release()


class TestServer:
    def test_slow_clients_are_cut_off(self, context: ApiContext) -> None:
        """One that never ends its headers, and one that never reads."""
        (context.site / "large.txt").write_bytes(b"x" * (32 << 20))
        server = HttpServer(make_app(context), "127.0.0.1:0", protocol=Hasty)
        address = server.start()
        try:
            host, _, port = address.rpartition(":")
            for sent in (b"", b"GET / HTTP/1.1\r\nHost: x\r\n", get("/large.txt")):
                with socket.create_connection((host, int(port)), timeout=20) as connection:
                    connection.sendall(sent)
                    assert Hasty.over.acquire(timeout=20)
        finally:
            server.stop(5)
            (context.site / "large.txt").unlink()

    def test_a_port_in_use_is_a_sentence(self, context: ApiContext, address: str) -> None:
        """With the setting to change."""
        with pytest.raises(UsageError) as caught:
            HttpServer(make_app(context), address).start()
        assert f"The HTTP server cannot listen on {address}: " in str(caught.value)
        assert "listen" in str(caught.value.hint)

    def test_an_address_of_nobody_is_a_sentence(self, context: ApiContext) -> None:
        """192.0.2.1 is for documentation."""
        with pytest.raises(UsageError, match=r"cannot listen on 192\.0\.2\.1:8080"):
            HttpServer(make_app(context), "192.0.2.1:8080").start()

    def test_ipv6(self, context: ApiContext) -> None:
        """In brackets, both ways."""
        server = HttpServer(make_app(context), "[::1]:0")
        address = server.start()
        try:
            assert address.startswith("[::1]:")
            assert b"HTTP/1.1 200 " == raw(address, get("/healthz"))[:13]
        finally:
            server.stop(5)

    def test_an_answer_that_has_begun_ends_before_the_server(self, tmp_path: Path) -> None:
        """No new connection is taken meanwhile."""
        asked, go_on = threading.Event(), threading.Event()

        def slow() -> list[str]:
            asked.set()
            go_on.wait(20)
            return []

        with open_api_context(tmp_path, ready=slow) as context:
            server = HttpServer(make_app(context), "127.0.0.1:0")
            address = server.start()
            answers: list[bytes] = []
            client = threading.Thread(target=lambda: answers.append(raw(address, get("/readyz"))))
            client.start()
            assert asked.wait(20)
            stopping = threading.Thread(target=server.stop, args=(20,))
            stopping.start()
            assert any(refused(address) for _ in iter(lambda: go_on.wait(0.02), True))
            go_on.set()
            client.join(20)
            stopping.join(20)
        assert b"HTTP/1.1 200 " == answers[0][:13]
        assert not server.running

    def test_stopping_does_not_wait_for_ever(self, tmp_path: Path) -> None:
        """A request that hangs is left behind; stopping twice is nothing."""
        asked, go_on = threading.Event(), threading.Event()

        def stuck() -> list[str]:
            asked.set()
            go_on.wait(20)
            return []

        with open_api_context(tmp_path, ready=stuck) as context:
            server = HttpServer(make_app(context), "127.0.0.1:0")
            address = server.start()
            client = threading.Thread(target=lambda: raw(address, get("/readyz")))
            client.start()
            assert asked.wait(20)
            server.stop(0.1)
            assert not go_on.is_set()
            go_on.set()
            client.join(20)
            server.stop(5)
        assert not server.running

    def test_idle_connections_keep_nobody_out(self, context: ApiContext) -> None:
        """Three hundred that say nothing, or half of a head: the oldest are closed, and whoever asks is answered."""
        server = HttpServer(make_app(context), "127.0.0.1:0")
        address = server.start()
        host, _, port = address.rpartition(":")
        held = []
        try:
            for number in range(300):
                held.append(socket.create_connection((host, int(port)), timeout=20))
                held[-1].sendall(b"GET / HTTP/1.1\r\nX: " * (number % 2))
            answers = {raw(address, get("/healthz"))[:12] for _ in range(3)}
            assert {b"HTTP/1.1 200"} == answers
        finally:
            for each in held:
                each.close()
            server.stop(5)

    def test_connections_at_work_are_not_closed_for_others(self, context: ApiContext) -> None:
        """Where all are, the new one is told so; when one is done, there is room again."""

        class Few(PatientProtocol):
            most_of_client = 2

        (context.site / "long.txt").write_bytes(b"x" * (32 << 20))
        server = HttpServer(make_app(context), "127.0.0.1:0", protocol=Few)
        address = server.start()
        host, _, port = address.rpartition(":")
        try:
            with (
                socket.create_connection((host, int(port)), timeout=20) as one,
                socket.create_connection((host, int(port)), timeout=20) as two,
            ):
                for each in (one, two):
                    each.sendall(get("/long.txt"))
                    assert b"HTTP/1.1 200" == each.recv(12, socket.MSG_WAITALL)
                head, _, body = raw(address, b"").partition(b"\r\n\r\n")
                assert b"HTTP/1.1 503" == head[:12]
                assert {"error"} <= json.loads(body).keys()
                assert len(b"".join(iter(lambda: one.recv(1 << 20), b""))) > 32 << 20
                assert b"HTTP/1.1 200" == raw(address, get("/healthz"))[:12]
        finally:
            server.stop(5)
