"""A public site: strangers see verdicts and nothing of the machine and the people behind them; the token shows all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from rebuilder.model.alarm import Alarm, AlarmKind
from rebuilder.model.figures import ProcessFigures
from rebuilder.model.operations import WatchState
from rebuilder.service.api.app import make_app
from rebuilder.service.api.context import ApiContext
from rebuilder.service.api.server import HttpServer
from rebuilder.service.metrics import scrape
from rebuilder.site.publisher import Site
from tests.fakes.api_context import SECRET, open_api_context, order
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.sites import KEY_ID

TOKEN = {"Authorization": f"Bearer {SECRET}"}
PRIVATE = (
    "crown-jewels",
    "db7.internal",
    "4711",
    "/srv/secret",
    "postgresql://",
    "inhouse-tool",
    "lovelace",
    "rebooted",
)
"""A watch, a host, a process, a path, a database, a private project, a user, what she wrote."""
ADDRESSES = (
    "/readyz",
    "/healthz",
    "/metrics",
    "/api/v1/queue",
    "/api/v1/operations",
    "/api/v1/alarms",
    "/api/v1/alarms?all=true",
    "/api/v1/status?purl=pkg:pypi/gearbox@1.0",
    "/api/v1/verdicts",
    "/api/v1/openapi.json",
    "/operate.html",
    "/v1/operate.json",
    "/alarms.html",
    "/index.html",
    "/v1/index.json",
    "/about.html",
)


def fill(context: ApiContext) -> None:
    """Everything that is private, where it usually is."""
    ledger, now = context.ledger, context.clock.now()
    trouble = "The registry at db7.internal does not answer."
    state = WatchState(name="crown-jewels", checked=now, projects=3, queued=1, failed=1, trouble=trouble)
    ledger.watches.looked(state, {})
    ledger.queue.add([order("gearbox", "1.0", watch="crown-jewels"), order("x", "1", watch="crown-jewels")], now)
    assert ledger.queue.claim("db7.internal-ab/4711/99", now, 600)
    for kind, sentence, about in (
        (AlarmKind.STORE_CORRUPT, "/srv/secret/store/blobs/ab was changed.", {}),
        (
            AlarmKind.GIVEN_UP,
            "x.whl: postgresql://db7.internal/x is away.",
            {"purl": "pkg:pypi/x@1", "filename": "x.whl"},
        ),
        (AlarmKind.WATCH_OVERDUE, "crown-jewels is late.", {"cause": "watch-overdue:crown-jewels"}),
        (AlarmKind.PROJECT_MISSING, "inhouse-tool does not exist.", {"purl": "pkg:pypi/inhouse-tool"}),
        (AlarmKind.SCHEDULE_BROKEN, "/srv/secret/a.toml is wrong.", {"cause": "schedule-broken:crown-jewels.toml"}),
    ):
        ledger.raise_alarm(Alarm.model_validate({"kind": kind, "sentence": sentence, "raised": now, **about}))
    ledger.alarm_book.acknowledge(1, "lovelace", "rebooted db7.internal", now)


@pytest.fixture
def http(tmp_path: Path) -> Iterator[httpx.Client]:
    """A public site, served."""
    with open_api_context(
        tmp_path,
        public=True,
        ready=lambda: ["The ledger postgresql://db7.internal/x is away.", "The store /srv/secret is full."],
        ready_in_public=lambda: ["The ledger cannot be used."],
    ) as context:
        fill(context)
        statistics, now = context.ledger.statistics, context.clock.now()
        site = Site(
            tmp_path / "site",
            MemoryBlobs(),
            public_key=b"a public key\n",
            key_id=KEY_ID,
            verifier="rebuilder.example.org",
            public=True,
        )
        book = context.ledger.alarm_book
        site.write_operations(statistics.operations(now), book.open())
        site.write_index(context.ledger.latest(), [*book.open(), *book.closed(9)], now)
        measured = replace(context, metrics=lambda: scrape(lambda: statistics.figures(now), ProcessFigures))
        server = HttpServer(make_app(measured), "127.0.0.1:0")
        with httpx.Client(base_url=f"http://{server.start()}", trust_env=False, timeout=60) as client:
            yield client
        server.stop(5)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nonsense"}, {"Authorization": f"Basic {SECRET}"}])
def test_strangers_see_nothing_private(http: httpx.Client, headers: dict[str, str]) -> None:
    """On no page and in no answer, whatever they say who they are."""
    for address in ADDRESSES:
        text = http.get(address, headers=headers).text
        assert text, address
        assert [] == [each for each in PRIVATE if each in text], address


def test_strangers_see_what_is_public(http: httpx.Client) -> None:
    """That something is wrong, what is worked on, and everything about what was published."""
    kinds = {each["alarm"]["kind"]: each["alarm"] for each in http.get("/api/v1/alarms").json()}
    assert {"store-corrupt", "given-up", "watch-overdue", "project-missing"} <= kinds.keys()
    assert "x.whl" == kinds["given-up"]["filename"]
    operations = http.get("/api/v1/operations").json()
    assert "watch 1" == operations["watches"][0]["name"]
    assert "a worker" == operations["queue"]["running"][0]["owner"]
    assert ["The ledger cannot be used."] == http.get("/readyz").json()


def test_the_token_shows_all(http: httpx.Client) -> None:
    """The operator sees it from anywhere."""
    found = "".join(http.get(address, headers=TOKEN).text for address in ADDRESSES)
    assert [] == [each for each in PRIVATE if each not in found]


def test_a_ledger_that_is_away_has_no_address(tmp_path: Path) -> None:
    """An error says that something cannot be used, not where it is."""
    for public in (True, False):
        root = tmp_path / str(public)
        root.mkdir()
        with open_api_context(root, public=public) as context:
            server = HttpServer(make_app(context), "127.0.0.1:0")
            address = server.start()
            context.ledger._database.engine.dispose()
            for file in root.glob("ledger.sqlite*"):
                file.unlink()
            (root / "ledger.sqlite").mkdir()
            answer = httpx.get(f"http://{address}/api/v1/queue", trust_env=False, timeout=60)
            server.stop(5)
        assert 503 == answer.status_code
        assert public != (str(root) in answer.text)
