"""The HTTP API on a real socket: what it answers, what it refuses, and what it never gives away."""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from rebuilder.errors import CorruptStoreError, StoreError, UsageError
from rebuilder.model.report import SignedReport, page_path
from rebuilder.model.work import Tier
from rebuilder.service.api.app import make_app
from rebuilder.service.api.connections import PatientProtocol
from rebuilder.service.api.context import ApiContext
from rebuilder.service.api.server import HttpServer
from rebuilder.site.documents import IndexEntry
from rebuilder.site.rendering import POLICY
from tests.fakes import reports
from tests.fakes.desk import SECRET, SILENT, FakeAsk, open_desk

TOKEN = {"Authorization": f"Bearer {SECRET}"}
SPINDLE = reports.artifact("spindle", "3.1.6")
PAGE = "/" + page_path("pypi", "spindle", "3.1.6", SPINDLE.filename, SPINDLE.sha256)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiContext]:
    """Verdicts, a queue, alarms and a site."""
    with open_desk(tmp_path_factory.mktemp("api"), pages=True) as desk:
        yield desk


@pytest.fixture(scope="module")
def address(desk: ApiContext) -> Iterator[str]:
    """Where a server over it listens."""
    server = HttpServer(make_app(desk), "127.0.0.1:0")
    yield server.start()
    server.stop(5)


@pytest.fixture
def http(address: str) -> Iterator[httpx.Client]:
    """A client of that server."""
    with httpx.Client(base_url=f"http://{address}", trust_env=False) as client:
        yield client


def raw(address: str, request: bytes) -> bytes:
    """What comes back for these very bytes, until the server closes."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=20) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def get(path: str) -> bytes:
    """A request as bytes."""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()


@contextmanager
def serving(desk: ApiContext) -> Iterator[httpx.Client]:
    """A server of its own, and a client of it."""
    server = HttpServer(make_app(desk), "127.0.0.1:0")
    address = server.start()
    try:
        with httpx.Client(base_url=f"http://{address}", trust_env=False) as client:
            yield client
    finally:
        server.stop(5)


def refused(address: str) -> bool:
    """Whether nobody listens there any more."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=20).close()
    except ConnectionRefusedError:
        return True
    return False


class TestVerdicts:
    def test_a_release_by_purl(self, http: httpx.Client) -> None:
        """The entry is the one of the site's index, with where its page is."""
        answer = http.get("/api/v1/status", params={"purl": "pkg:pypi/spindle@3.1.6"})
        (found,) = answer.json()["files"]
        assert 200 == answer.status_code
        assert (SPINDLE.filename, SPINDLE.sha256) == (found["filename"], found["sha256"])
        assert PAGE == "/" + IndexEntry.model_validate(found["current"]).page
        assert [] == found["history"]
        assert "queued" not in found

    @pytest.mark.parametrize(
        "purl",
        [
            "pkg:pypi/spindle@3.1.6",
            "pkg%3Apypi%2Fspindle%403.1.6",
            "pkg:pypi/Spindle@3.1.6",
            "pkg:PyPI/spindle@3.1.6",
            "pkg:pypi/spindle@3.1.6?file_name=spindle-3.1.6-py3-none-any.whl",
            "pkg:pypi/spindle@3.1.6%3Frepository_url=https://example.org#sub/path",
        ],
    )
    def test_a_purl_may_be_written_in_many_ways(self, http: httpx.Client, purl: str) -> None:
        """Encoded or not, with qualifiers or without."""
        answer = http.get(f"/api/v1/status?purl={purl}")
        assert [SPINDLE.filename] == [each["filename"] for each in answer.json()["files"]]

    def test_a_file_by_digest(self, http: httpx.Client) -> None:
        """In capitals too."""
        answer = http.get("/api/v1/status", params={"sha256": SPINDLE.sha256.upper()})
        assert [SPINDLE.purl] == [each["purl"] for each in answer.json()["files"]]

    def test_a_queued_file_has_a_place(self, http: httpx.Client) -> None:
        """And no verdict yet."""
        (found,) = http.get("/api/v1/status", params={"purl": "pkg:pypi/gearbox@1.0"}).json()["files"]
        assert ("release", 1) == (found["queued"]["entry"]["reason"], found["queued"]["position"])
        assert "current" not in found

    @pytest.mark.parametrize(
        ("query", "status", "said"),
        [
            ("", 400, "Ask either for a “purl” or for a “sha256”."),
            (f"purl=pkg:pypi/x@1&sha256={'0' * 64}", 400, "Ask either for a “purl” or for a “sha256”."),
            ("purl=idna", 400, "This is not a package URL."),
            ("purl=pkg:pypi/x%00@1", 400, "This is not a package URL."),
            ("purl=pkg:pypi/x%2500@1", 400, "This is not a package URL."),
            ("purl=pkg:pypi/spindle", 400, "The package URL names no version."),
            ("purl=" + "x" * 2000, 400, "The request is not understood: query.purl: "),
            ("sha256=12", 400, "The request is not understood: query.sha256: "),
            ("purl=pkg:pypi/nobody@1", 404, "No such release or file was seen here."),
            ("purl=pkg:pypi/x'%20OR%201=1--@1", 404, "No such release or file was seen here."),
            (f"sha256={'0' * 64}", 404, "No such published file was seen here."),
        ],
    )
    def test_what_cannot_be_answered_is_a_sentence(
        self, http: httpx.Client, query: str, status: int, said: str
    ) -> None:
        """With a hint."""
        answer = http.get(f"/api/v1/status?{query}")
        assert status == answer.status_code
        assert answer.json()["error"].startswith(said)
        assert answer.json()["hint"]

    def test_recent_verdicts_in_pages(self, http: httpx.Client) -> None:
        """``next`` leads through all of them, each once."""
        whole = http.get("/api/v1/verdicts").json()["verdicts"]
        first = http.get("/api/v1/verdicts", params={"limit": 5}).json()
        second = http.get("/api/v1/verdicts", params={"limit": 5, "before": first["next"]}).json()
        assert 8 == len(whole)
        assert whole == first["verdicts"] + second["verdicts"]
        assert "next" not in second
        chosen = http.get("/api/v1/verdicts", params={"verdict": "timed-out"}).json()["verdicts"]
        assert ["timed-out"] == [each["verdict"] for each in chosen]

    def test_a_report_is_the_document_of_the_site(self, http: httpx.Client) -> None:
        """Byte for byte."""
        answer = http.get("/api/v1/report", params={"sha256": SPINDLE.sha256, "filename": SPINDLE.filename})
        assert answer.content == http.get(f"{PAGE}/report.json").content
        assert "application/json" == answer.headers["content-type"]
        assert 404 == http.get("/api/v1/report", params={"sha256": "0" * 64}).status_code


class TestWork:
    def test_queue_and_operations(self, http: httpx.Client) -> None:
        """What is waiting is told."""
        assert 1 <= http.get("/api/v1/queue").json()["waiting"]
        assert 1 <= http.get("/api/v1/operations").json()["queue"]["waiting"]

    def test_a_verification_is_queued_once(self, http: httpx.Client, desk: ApiContext) -> None:
        """Asking twice gives the same answer; it says where the verdict will be."""
        wanted = {"subject": " pypi:almanac==2.1 ", "tier": "quick"}
        first = http.post("/api/v1/verifications", json=wanted, headers=TOKEN)
        before = desk.ledger.queue.state(desk.clock.now())
        second = http.post("/api/v1/verifications", json=wanted, headers=TOKEN)
        assert (202, 202) == (first.status_code, second.status_code)
        assert first.json() == second.json()
        assert before == desk.ledger.queue.state(desk.clock.now())
        assert isinstance(desk.ask, FakeAsk)
        assert ("pypi:almanac==2.1", Tier.QUICK, "HTTP API, 127.0.0.1") == desk.ask.asked[-1]
        (where,) = first.json()["status"]
        assert "almanac-2.1-py3-none-any.whl" == http.get(where).json()["files"][0]["filename"]

    @pytest.mark.parametrize(
        ("subject", "status", "said"),
        [
            ("pypi:nobody==1", 400, "No such release is published."),
            ("/etc/passwd", 400, "The subject does not begin with an ecosystem."),
            ("./wheel.whl", 400, "The subject does not begin with an ecosystem."),
            ("pypi:a\nb", 400, "The request is not understood: body.subject: "),
            ("x" * 513, 400, "The request is not understood: body.subject: "),
            (SILENT, 503, "The index at https://index.example.org/ does not answer."),
        ],
    )
    def test_what_cannot_be_verified_is_a_sentence(
        self, http: httpx.Client, subject: str, status: int, said: str
    ) -> None:
        """No file of this machine can be named."""
        answer = http.post("/api/v1/verifications", json={"subject": subject}, headers=TOKEN)
        assert status == answer.status_code
        assert answer.json()["error"].startswith(said)
        assert (status == 503) == ("retry-after" in answer.headers)

    @pytest.mark.parametrize("path", ["/api/v1/verifications", "/api/v1/alarms/1/acknowledge"])
    @pytest.mark.parametrize("offered", [None, "Bearer wrong", f"Basic {SECRET}", f"Bearer {SECRET}x", "Bearer"])
    def test_nothing_is_changed_without_the_token(self, http: httpx.Client, path: str, offered: str | None) -> None:
        """Whatever is sent instead of it."""
        body = {"subject": "pypi:almanac==2.1"} if "verif" in path else {"by": "me"}
        answer = http.post(path, json=body, headers={"Authorization": offered} if offered else {})
        assert (401, "Bearer") == (answer.status_code, answer.headers["www-authenticate"])
        assert "This needs the token of this service." == answer.json()["error"]

    def test_bodies_are_small_json(self, http: httpx.Client) -> None:
        """What a form of another site could send is refused, and so is what is too large or no JSON."""
        path = "/api/v1/verifications"
        form = http.post(path, data={"subject": "pypi:almanac==2.1"}, headers=TOKEN)
        plain = http.post(path, content=b'{"subject": "pypi:almanac==2.1"}', headers=TOKEN)
        large = http.post(path, json={"subject": "x" * (17 << 10)}, headers=TOKEN)
        kind = {**TOKEN, "Content-Type": "application/json"}
        unannounced = http.post(path, content=iter([b"x" * 9000] * 2), headers=kind)
        broken = http.post(path, content=b'{"subject": ', headers=kind)
        more = http.post(path, json={"subject": "pypi:almanac==2.1", "secret": "no"}, headers=TOKEN)
        answers = (form, plain, large, unannounced, broken, more)
        assert [415, 415, 413, 413, 400, 400] == [each.status_code for each in answers]
        assert "The body of the request is not JSON." == broken.json()["error"]
        assert all(each.json()["error"] for each in answers)

    def test_an_alarm_is_acknowledged(self, http: httpx.Client) -> None:
        """It leaves the open ones and stays among all."""
        number = next(each["number"] for each in http.get("/api/v1/alarms").json() if each["alarm"]["kind"] == "disk")
        path = f"/api/v1/alarms/{number}/acknowledge"
        answer = http.post(path, json={"by": "Ada", "note": "A larger disk\nis ordered."}, headers=TOKEN)
        assert (200, "Ada", "A larger disk\nis ordered.") == (
            answer.status_code,
            answer.json()["acknowledged_by"],
            answer.json()["note"],
        )
        assert number not in [each["number"] for each in http.get("/api/v1/alarms").json()]
        assert number in [each["number"] for each in http.get("/api/v1/alarms?all=true").json()]
        missing = http.post("/api/v1/alarms/999/acknowledge", json={"by": "Ada"}, headers=TOKEN)
        assert (404, "There is no alarm 999.") == (missing.status_code, missing.json()["error"])


class TestProbes:
    def test_metrics_are_text(self, http: httpx.Client) -> None:
        """As Prometheus reads them."""
        answer = http.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=")
        assert "rebuilder_up 1.0" in answer.text

    def test_health_is_a_list_of_sentences(self, http: httpx.Client, tmp_path: Path) -> None:
        """Empty and 200, or 503 and what is wrong."""
        answers = [http.get(path) for path in ("/healthz", "/readyz")]
        assert [(200, []), (200, [])] == [(each.status_code, each.json()) for each in answers]
        with open_desk(tmp_path, ready=lambda: ["The disk is full."]) as desk, serving(desk) as sick:
            answers = [sick.get(path) for path in ("/healthz", "/readyz")]
        assert [(200, []), (503, ["The disk is full."])] == [(each.status_code, each.json()) for each in answers]


class TestSite:
    @pytest.mark.parametrize(
        ("path", "kind"),
        [
            ("/", "text/html; charset=utf-8"),
            ("/index.html", "text/html; charset=utf-8"),
            (PAGE + "/", "text/html; charset=utf-8"),
            (PAGE + "/report.json", "application/json"),
            (PAGE + "/log-1.txt", "text/plain; charset=utf-8"),
            ("/static/style.css", "text/css; charset=utf-8"),
            ("/static/logo.svg", "image/svg+xml"),
        ],
    )
    def test_pages_come_with_their_type_and_policy(
        self, http: httpx.Client, desk: ApiContext, path: str, kind: str
    ) -> None:
        """The bytes on disk, under the policy that stands in the pages too; HEAD has the same headers and no body."""
        answer, head = http.get(path), http.head(path)
        assert (200, kind) == (answer.status_code, answer.headers["content-type"])
        file = desk.site / (path.lstrip("/") + ("index.html" if path.endswith("/") else ""))
        assert file.read_bytes() == answer.content
        assert f"{POLICY}; frame-ancestors 'none'" == answer.headers["content-security-policy"]
        assert "nosniff" == answer.headers["x-content-type-options"]
        assert b"" == head.content
        mine = {"date", "x-request-id"}
        assert {k: v for k, v in answer.headers.items() if k not in mine} == {
            k: v for k, v in head.headers.items() if k not in mine
        }

    def test_what_a_client_has_is_not_sent_again(self, http: httpx.Client) -> None:
        """By its tag, or by its time."""
        first = http.get("/index.html")
        tag, time = first.headers["etag"], first.headers["last-modified"]
        asked: list[dict[str, str]] = [
            {"If-None-Match": tag},
            {"If-None-Match": f'"other", W/{tag}'},
            {"If-Modified-Since": time},
            {"If-None-Match": '"other"', "If-Modified-Since": time},
            {"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
            {"If-Modified-Since": "yesterday"},
        ]
        answers = [http.get("/index.html", headers=each) for each in asked]
        assert [304, 304, 304, 200, 200, 200] == [each.status_code for each in answers]
        assert b"" == answers[0].content
        assert tag == answers[0].headers["etag"]

    def test_a_directory_is_asked_for_with_its_slash(self, http: httpx.Client, address: str) -> None:
        """The address comes from what was found, never from the Host header; only directories with a page have one."""
        answer = http.get(PAGE)
        assert (308, PAGE + "/") == (answer.status_code, answer.headers["location"])
        assert 404 == http.get("/static").status_code
        assert 404 == http.get("/static/").status_code
        assert b" 404 " in raw(address, get("//example.org/..")).splitlines()[0]
        assert b" 404 " in raw(address, get("/" + PAGE)).splitlines()[0]

    def test_a_missing_page_says_so_in_the_style_of_the_site(self, http: httpx.Client) -> None:
        """Wherever it would have been: links are from the root."""
        answer = http.get("/no/such/page")
        assert (404, "text/html; charset=utf-8") == (answer.status_code, answer.headers["content-type"])
        assert 'href="/static/style.css"' in answer.text

    @pytest.mark.parametrize(
        "path",
        [
            "/../secret",
            "/%2e%2e/secret",
            "/static/../../secret",
            "/static/%2e%2e%2f%2e%2e%2fsecret",
            "/..%2fsecret",
            "/%2fetc%2fpasswd",
            "//etc/passwd",
            "/.rebuilder-site",
            "/.partial/half",
            "/index.html%00.css",
            "/static/style.css/",
            "/index.html/x",
            "/link",
            "/outside/secret",
            "/outside",
            "/inside",
            "/pipe",
            "/" + "x" * 300,
            "/" + "x/" * 500,
            "/%ff%fe",
            "/..\\secret",
        ],
    )
    def test_there_is_no_way_out(self, address: str, desk: ApiContext, path: str) -> None:
        """No traversal, no hidden files, no symbolic links, no special files."""
        site = desk.site
        (site.parent / "secret").write_text("SECRET")
        (site / ".rebuilder-site").write_text("SECRET")
        (site / ".partial").mkdir(exist_ok=True)
        (site / ".partial" / "half").write_text("SECRET")
        if not (site / "link").is_symlink():
            (site / "link").symlink_to("../secret")
            (site / "outside").symlink_to("..")
            (site / "inside").symlink_to("index.html")
            os.mkfifo(site / "pipe")
        answer = raw(address, get(path))
        assert b"HTTP/1.1 404 " == answer[:13]
        assert b"SECRET" not in answer

    def test_foreign_styles_stay_in_their_page(self, http: httpx.Client) -> None:
        """The page of diffoscope has styles of its own, and a policy under which they work and nothing else does."""
        (found,) = http.get("/api/v1/status", params={"purl": "pkg:pypi/almanac@2.0"}).json()["files"]
        answer = http.get(f"/{quote(found['current']['page'])}/diffoscope.html")
        assert 200 == answer.status_code
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")

    def test_a_site_that_is_not_there_yet_is_no_error(self, tmp_path: Path) -> None:
        """Nothing has been published on the first day."""
        with open_desk(tmp_path, site=tmp_path / "later") as desk, serving(desk) as client:
            assert [404, 200] == [client.get(path).status_code for path in ("/", "/healthz")]


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
            ("GET", "/api/v1/queue/", 404),
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
        with open_desk(tmp_path, requests_per_minute=3) as desk, serving(desk) as client:
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

        with open_desk(tmp_path, ready=broken) as desk, serving(desk) as client:
            answer = client.get("/readyz")
        assert (503, {"error": "The ledger is locked.", "hint": "Wait."}) == (answer.status_code, answer.json())

    def test_a_fault_of_ours_is_a_sentence_and_a_line_in_the_log(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The client gets a number to find it by, and no detail."""

        def broken() -> bytes:
            raise ZeroDivisionError("inner detail")

        with caplog.at_level(logging.DEBUG), open_desk(tmp_path, metrics=broken) as desk, serving(desk) as client:
            answer = client.get("/metrics", headers=TOKEN)
        assert 500 == answer.status_code
        assert "Something failed on our side." == answer.json()["error"]
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
    def test_slow_clients_are_cut_off(self, desk: ApiContext) -> None:
        """One that never ends its headers, and one that never reads."""
        (desk.site / "large.txt").write_bytes(b"x" * (32 << 20))
        server = HttpServer(make_app(desk), "127.0.0.1:0", protocol=Hasty)
        address = server.start()
        try:
            host, _, port = address.rpartition(":")
            for sent in (b"", b"GET / HTTP/1.1\r\nHost: x\r\n", get("/large.txt")):
                with socket.create_connection((host, int(port)), timeout=20) as connection:
                    connection.sendall(sent)
                    assert Hasty.over.acquire(timeout=20)
        finally:
            server.stop(5)
            (desk.site / "large.txt").unlink()

    def test_a_port_in_use_is_a_sentence(self, desk: ApiContext, address: str) -> None:
        """With the setting to change."""
        with pytest.raises(UsageError) as caught:
            HttpServer(make_app(desk), address).start()
        assert f"The HTTP server cannot listen on {address}: " in str(caught.value)
        assert "listen" in str(caught.value.hint)

    def test_an_address_of_nobody_is_a_sentence(self, desk: ApiContext) -> None:
        """192.0.2.1 is for documentation."""
        with pytest.raises(UsageError, match=r"cannot listen on 192\.0\.2\.1:8080"):
            HttpServer(make_app(desk), "192.0.2.1:8080").start()

    def test_ipv6(self, desk: ApiContext) -> None:
        """In brackets, both ways."""
        server = HttpServer(make_app(desk), "[::1]:0")
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

        with open_desk(tmp_path, ready=slow) as desk:
            server = HttpServer(make_app(desk), "127.0.0.1:0")
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

        with open_desk(tmp_path, ready=stuck) as desk:
            server = HttpServer(make_app(desk), "127.0.0.1:0")
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

    def test_idle_connections_keep_nobody_out(self, desk: ApiContext) -> None:
        """Three hundred that say nothing, or half of a head: the oldest are closed, and whoever asks is answered."""
        server = HttpServer(make_app(desk), "127.0.0.1:0")
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

    def test_connections_at_work_are_not_closed_for_others(self, desk: ApiContext) -> None:
        """Where all are, the new one is told so; when one is done, there is room again."""

        class Few(PatientProtocol):
            most_of_client = 2

        (desk.site / "long.txt").write_bytes(b"x" * (32 << 20))
        server = HttpServer(make_app(desk), "127.0.0.1:0", protocol=Few)
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
                assert "There are too many connections." == json.loads(body)["error"]
                assert len(b"".join(iter(lambda: one.recv(1 << 20), b""))) > 32 << 20
                assert b"HTTP/1.1 200" == raw(address, get("/healthz"))[:12]
        finally:
            server.stop(5)


class TestAgreement:
    def test_only_what_was_signed_is_said(self, tmp_path: Path) -> None:
        """Rows that say other than their statements are left out, and such a report is not given."""

        def check(_: SignedReport) -> None:
            raise CorruptStoreError("The ledger says other than what was signed.", hint="Restore it.")

        with open_desk(tmp_path, agreeing=lambda _: [], check=check) as desk, serving(desk) as client:
            assert [] == client.get("/api/v1/verdicts").json()["verdicts"]
            [found] = client.get("/api/v1/status", params={"sha256": SPINDLE.sha256}).json()["files"]
            assert "current" not in found
            answer = client.get("/api/v1/report", params={"sha256": SPINDLE.sha256})
        assert 503 == answer.status_code
        assert "The ledger says other than what was signed." == answer.json()["error"]


class TestParameters:
    @pytest.mark.parametrize(
        ("path", "words"),
        [
            ("/api/v1/status?purl=pkg:pypi/x@1&shaa256=1", "there are “purl”, “sha256”"),
            ("/api/v1/verdicts?Limit=3", "“limit”"),
            ("/api/v1/verdicts?limit=3&limit=4", "“limit” is given more than once"),
            ("/api/v1/report?sha256=" + "0" * 64 + "&x", "there are"),
            ("/api/v1/queue?all=true", "does not have."),
            ("/api/v1/operations?x=1", "does not have."),
            ("/api/v1/alarms?al=true", "“all”"),
            ("/api/v1/openapi.json?x=1", "does not have."),
            ("/metrics?x=1", "does not have."),
            ("/healthz?x=1", "does not have."),
            ("/readyz?x=1", "does not have."),
        ],
    )
    def test_unknown_ones_are_refused(self, http: httpx.Client, path: str, words: str) -> None:
        """A misspelt parameter would change the answer without a word."""
        answer = http.get(path)
        assert 400 == answer.status_code
        assert words in answer.json()["error"]

    @pytest.mark.parametrize("path", ["/api/v1/verifications?x=1", "/api/v1/alarms/1/acknowledge?x=1"])
    def test_for_changes_too(self, http: httpx.Client, path: str) -> None:
        """Before the token is looked at."""
        assert 400 == http.post(path, json={}).status_code

    def test_none_or_an_empty_one_is_fine(self, http: httpx.Client) -> None:
        """A question mark alone is no parameter."""
        assert 200 == http.get("/healthz?").status_code
        assert 200 == http.get("/api/v1/openapi.json").status_code


def test_the_documentation_shows_real_answers(tmp_path: Path) -> None:
    """Every command of docs/api.md is asked, in order; “…” stands for what is too long to print."""
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    shown = [
        (shlex.split(command), json.loads(answer))
        for block in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        for command, answer in re.findall(r"^\$ (.*)\n((?:[^$].*\n)+)", block, re.MULTILINE)
    ]
    with open_desk(tmp_path) as desk, serving(desk) as client:
        answers = [asked(client, words) for words, _ in shown]
    assert 12 == len(shown)
    for (words, expected), actual in zip(shown, answers, strict=True):
        assert shortened(expected, actual) == actual, words


def asked(client: httpx.Client, words: list[str]) -> object:
    """The answer to a command line of curl."""
    options: dict[str, list[str]] = {"-H": [], "-d": []}
    rest = iter(words[1:])
    url = ""
    for word in rest:
        if word in options:
            options[word].append(next(rest))
        else:
            url = word.removeprefix("http://127.0.0.1:8080")
    headers = dict(each.replace("$TOKEN", SECRET).split(": ", 1) for each in options["-H"])
    return client.request(
        "POST" if options["-d"] else "GET", url, headers=headers, content="".join(options["-d"])
    ).json()


def shortened(expected: object, actual: object) -> object:
    """What is expected, with the rest of each text that ends in “…” taken from what came."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        return {key: shortened(value, actual.get(key)) for key, value in expected.items()}
    if isinstance(expected, list) and isinstance(actual, list):
        return [shortened(*pair) for pair in zip(expected, actual, strict=True)]
    if isinstance(expected, str) and expected.endswith("…") and str(actual).startswith(expected[:-1]):
        return actual
    return expected
