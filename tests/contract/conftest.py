"""An open ledger on every database it can be kept in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from rebuilder.store.ledger import Ledger
from rebuilder.store.ledger.liveness import SessionLiveness
from tests.fakes.ledgers import lay_down
from tests.fakes.postgres import Postgres


class OpenLedger(Protocol):
    """Opens the ledger of a test once more, as another process would; the test's end closes it."""

    def __call__(self) -> Ledger: ...


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> str:
    """Name of a database with all tables, used by one test after the other."""
    name = postgres.create()
    Ledger.open(postgres.url(name)).close()
    return name


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs_postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the ledger of this test is: the URL of a database without rows that nobody else uses."""
    if request.param == "sqlite":
        lay_down(tmp_path / "ledger.sqlite")
        return f"sqlite:///{tmp_path}/ledger.sqlite"
    server: Postgres = request.getfixturevalue("postgres")
    name: str = request.getfixturevalue("migrated")
    server.clear(name)
    return server.url(name)


@pytest.fixture
def open_ledger(place: str) -> Iterator[OpenLedger]:
    """Opens the ledger of this test, as often as wanted."""
    with ExitStack() as stack:

        def opened() -> Ledger:
            ledger = stack.enter_context(Ledger.open(place))
            liveness = ledger._database.liveness
            if isinstance(liveness, SessionLiveness):
                liveness.grace_seconds = 0  # the server of the tests was started just now
            return ledger

        yield opened


@pytest.fixture
def ledger(open_ledger: OpenLedger) -> Ledger:
    """An empty ledger."""
    return open_ledger()
