"""A server of the HTTP API that the tests of one module share."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from rebuilder.service.api.app import make_app
from rebuilder.service.api.context import ApiContext
from rebuilder.service.api.server import HttpServer
from tests.fakes.api_context import open_api_context


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiContext]:
    """Verdicts, a queue, alarms and a site."""
    with open_api_context(tmp_path_factory.mktemp("api"), pages=True) as context:
        yield context


@pytest.fixture(scope="module")
def address(context: ApiContext) -> Iterator[str]:
    """Where a server over it listens."""
    server = HttpServer(make_app(context), "127.0.0.1:0")
    yield server.start()
    server.stop(5)


@pytest.fixture
def http(address: str) -> Iterator[httpx.Client]:
    """A client of that server."""
    with httpx.Client(base_url=f"http://{address}", trust_env=False) as client:
        yield client
