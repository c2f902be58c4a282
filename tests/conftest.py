"""Fixtures that several test suites share: the toolchains this checkout keeps for its tests, a PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rebuilder.toolchains.catalog import Spec
from rebuilder.toolchains.debootstrap import Made
from rebuilder.toolchains.store import DebianToolchains
from tests.fakes.postgres import Postgres

_ROOT = Path(__file__).parent.parent / ".build" / "toolchains"


class _FixedClock:
    def now(self) -> datetime:
        return datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def _no_maker(spec: Spec, root: Path) -> Made:
    pytest.fail("A toolchain the tests need has not been made yet; run `make toolchains`.", pytrace=False)


@pytest.fixture(scope="session")
def toolchains_root() -> Path:
    """Directory with the real toolchains, made by ``make toolchains``."""
    if not (_ROOT / "current" / "trixie").is_file():
        pytest.fail("The toolchains for the tests have not been made yet; run `make toolchains`.", pytrace=False)
    return _ROOT


@pytest.fixture(scope="session")
def toolchains(toolchains_root: Path) -> DebianToolchains:
    """The real toolchains; no test makes one by accident."""
    return DebianToolchains(toolchains_root, _FixedClock(), maker=_no_maker)


@pytest.fixture(scope="session")
def toolchain_root(toolchains: DebianToolchains) -> Path:
    """Root directory of the toolchain ``trixie``."""
    return toolchains.get("trixie").root


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server of its own for the tests of one run."""
    with Postgres() as server:
        yield server
