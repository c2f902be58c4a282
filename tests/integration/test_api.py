"""The HTTP API on a real socket: what it answers, what it refuses, and what it never gives away."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from rebuilder.errors import CorruptStoreError
from rebuilder.model.report import SignedReport
from rebuilder.model.work import Tier
from rebuilder.service.api.context import ApiContext
from rebuilder.site.documents import IndexEntry
from rebuilder.site.rendering import POLICY, TYPING_POLICY
from tests.fakes.api import PAGE, SPINDLE, TOKEN, get, raw, serving
from tests.fakes.api_context import SECRET, SILENT, FakeAsk, open_api_context


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
            ("", 400, "Ask either for a “purl”"),
            (f"purl=pkg:pypi/x@1&sha256={'0' * 64}", 400, "Ask either for a “purl”"),
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
        assert 10 == len(whole)
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

    def test_a_verification_is_queued_once(self, http: httpx.Client, context: ApiContext) -> None:
        """Asking twice gives the same answer; it says where the verdict will be."""
        wanted = {"subject": " pypi:almanac==2.1 ", "tier": "quick"}
        first = http.post("/api/v1/verifications", json=wanted, headers=TOKEN)
        before = context.ledger.queue.state(context.clock.now())
        second = http.post("/api/v1/verifications", json=wanted, headers=TOKEN)
        assert (202, 202) == (first.status_code, second.status_code)
        assert first.json() == second.json()
        assert before == context.ledger.queue.state(context.clock.now())
        assert isinstance(context.ask, FakeAsk)
        assert ("pypi:almanac==2.1", Tier.QUICK, "HTTP API, 127.0.0.1") == context.ask.asked[-1]
        (where,) = first.json()["status"]
        assert "almanac-2.1-py3-none-any.whl" == http.get(where).json()["files"][0]["filename"]

    def test_what_waits_becomes_as_urgent_as_asked(self, http: httpx.Client, context: ApiContext) -> None:
        """By those who have the token; the queue shows it. Less urgent than asked before is nothing new."""
        body: dict[str, object] = {"subject": "pypi:almanac==2.1"}
        for asked, urgency in ((0, 0), (-9, -9), (5, -9)):
            assert (
                202 == http.post("/api/v1/verifications", json={**body, "priority": asked}, headers=TOKEN).status_code
            )
            queue = http.get("/api/v1/queue").json()["upcoming"]
            assert [urgency] == [each["priority"] for each in queue if each["purl"] == "pkg:pypi/almanac@2.1"]
        for wrong in (-10, 10, 1.5, "soon", None):
            answer = http.post("/api/v1/verifications", json={**body, "priority": wrong}, headers=TOKEN)
            assert (400, True) == (answer.status_code, "body.priority" in answer.json()["error"])
        assert 401 == http.post("/api/v1/verifications", json={**body, "priority": -9}).status_code

    @pytest.mark.parametrize(
        ("subject", "status", "names"),
        [
            ("pypi:nobody==1", 400, ""),
            ("/etc/passwd", 400, "ecosystem"),
            ("./wheel.whl", 400, "ecosystem"),
            ("pypi:a\nb", 400, "body.subject"),
            ("x" * 513, 400, "body.subject"),
            (SILENT, 503, "https://index.example.org/"),
        ],
    )
    def test_what_cannot_be_verified_is_a_sentence(
        self, http: httpx.Client, subject: str, status: int, names: str
    ) -> None:
        """No file of this machine can be named."""
        answer = http.post("/api/v1/verifications", json={"subject": subject}, headers=TOKEN)
        assert status == answer.status_code
        assert names in answer.json()["error"]
        assert (status == 503) == ("retry-after" in answer.headers)

    @pytest.mark.parametrize("path", ["/api/v1/verifications", "/api/v1/alarms/1/acknowledge"])
    @pytest.mark.parametrize("offered", [None, "Bearer wrong", f"Basic {SECRET}", f"Bearer {SECRET}x", "Bearer"])
    def test_nothing_is_changed_without_the_token(self, http: httpx.Client, path: str, offered: str | None) -> None:
        """Whatever is sent instead of it."""
        body = {"subject": "pypi:almanac==2.1"} if "verif" in path else {"by": "me"}
        answer = http.post(path, json=body, headers={"Authorization": offered} if offered else {})
        assert (401, "Bearer") == (answer.status_code, answer.headers["www-authenticate"])
        assert answer.json()["error"]

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
        assert 404 == missing.status_code
        assert "999" in missing.json()["error"]


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
        with open_api_context(tmp_path, ready=lambda: ["The disk is full."]) as context, serving(context) as sick:
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
        self, http: httpx.Client, context: ApiContext, path: str, kind: str
    ) -> None:
        """The bytes on disk, under the policy that stands in the pages too; HEAD has the same headers and no body."""
        answer, head = http.get(path), http.head(path)
        assert (200, kind) == (answer.status_code, answer.headers["content-type"])
        file = context.site / (path.lstrip("/") + ("index.html" if path.endswith("/") else ""))
        assert file.read_bytes() == answer.content
        policy = TYPING_POLICY if b"find.js" in answer.content else POLICY
        assert (policy is POLICY) is (path not in {"/", "/index.html"})
        assert f"{policy}; frame-ancestors 'none'" == answer.headers["content-security-policy"]
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
    def test_there_is_no_way_out(self, address: str, context: ApiContext, path: str) -> None:
        """No traversal, no hidden files, no symbolic links, no special files."""
        site = context.site
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
        with open_api_context(tmp_path, site=tmp_path / "later") as context, serving(context) as client:
            assert [404, 200] == [client.get(path).status_code for path in ("/", "/healthz")]


class TestAgreement:
    def test_only_what_was_signed_is_said(self, tmp_path: Path) -> None:
        """Rows that say other than their statements are left out, and such a report is not given."""

        def check(_: SignedReport) -> None:
            raise CorruptStoreError("The ledger lies.", hint="Restore it.")

        with open_api_context(tmp_path, agreeing=lambda _: [], check=check) as context, serving(context) as client:
            assert [] == client.get("/api/v1/verdicts").json()["verdicts"]
            [found] = client.get("/api/v1/status", params={"sha256": SPINDLE.sha256}).json()["files"]
            assert "current" not in found
            answer = client.get("/api/v1/report", params={"sha256": SPINDLE.sha256})
        assert 503 == answer.status_code
        assert "The ledger lies." == answer.json()["error"]


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
    with open_api_context(tmp_path) as context, serving(context) as client:
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
