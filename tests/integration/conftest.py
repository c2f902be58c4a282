"""What tests of several modules begin with: a server of the HTTP API, installations, publishers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from rebuilder.config import Config
from rebuilder.environments.store import EnvironmentStore
from rebuilder.service.api.app import make_app
from rebuilder.service.api.context import ApiContext
from rebuilder.service.api.server import HttpServer
from rebuilder.wiring import Wired, wire
from tests.fakes.api_context import open_api_context
from tests.fakes.command import Installation
from tests.fakes.npm_publisher import Outside, Tarballs, locked_tarballs, publishing, unpack_tools
from tests.fakes.progress import NoDisplay
from tests.fakes.projects import minibackend_wheel
from tests.fakes.registry import Registry
from tests.fakes.rooms import EACH_KIND, real_room
from tests.fakes.sandbox import Room


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
    with httpx.Client(base_url=f"http://{address}", trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture
def registry() -> Iterator[Registry]:
    """A registry that has the build backend."""
    with Registry() as running:
        running.add(minibackend_wheel(), uploaded=datetime(2020, 1, 1, tzinfo=UTC))
        yield running


@pytest.fixture
def installation(tmp_path: Path, environments_root: Path, registry: Registry) -> Installation:
    """An empty installation that asks that registry."""
    return Installation.make(tmp_path, environments_root, registry.url)


@pytest.fixture
def config(installation: Installation) -> Config:
    """Its settings."""
    keys = installation.root / "keys"
    return Config(store=installation.store, keys=keys, site=installation.site, index_url=installation.index_url)


@pytest.fixture
def parts(config: Config) -> Iterator[Wired]:
    """The real parts that these settings make."""
    with wire(config, NoDisplay()) as wired:
        yield wired


@pytest.fixture(scope="module", params=EACH_KIND)
def room(
    request: pytest.FixtureRequest, environments: EnvironmentStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Room]:
    """One sandbox for all tests of a module, of each kind."""
    with real_room(request.param, environments, tmp_path_factory.mktemp("scratch")) as room:
        yield room


@pytest.fixture(scope="session")
def tarballs() -> Tarballs:
    """Those of ``npm-tools.lock``."""
    return locked_tarballs()


@pytest.fixture(scope="session")
def unpacked(tarballs: Tarballs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tools of the publisher."""
    return unpack_tools(tarballs, tmp_path_factory.mktemp("outside"))


@pytest.fixture
def outside(tmp_path: Path, environments_root: Path, tarballs: Tarballs, unpacked: Path) -> Iterator[Outside]:
    """See :func:`tests.fakes.npm_publisher.publishing`."""
    with publishing(tmp_path, environments_root, tarballs, unpacked) as made:
        yield made
