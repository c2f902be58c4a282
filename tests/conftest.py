"""What several test suites share: the environments this checkout keeps for its tests, a PostgreSQL, a probed guest."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from rebuilder.environments.store import EnvironmentStore
from rebuilder.errors import NoGuestError
from rebuilder.model.environment import Made, Manifest
from rebuilder.sandbox.bubblewrap.run_sandbox import Bubblewrap
from rebuilder.sandbox.uml.probe import GuestProbe
from tests.fakes.postgres import Postgres

# A busy machine is no fault, and what failed must fail again. To look for new examples: --hypothesis-profile=default
settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

_ROOT = Path(__file__).parent.parent / ".build" / "toolchains"


class _FixedClock:
    def now(self) -> datetime:
        return datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def _no_maker(spec: Manifest, root: Path) -> Made:
    pytest.fail(
        "A build environment the tests need has not been made yet; run `make build environments`.", pytrace=False
    )


@cache
def _no_guest() -> NoGuestError | None:
    """Why no guest runs on this machine; it is booted once for all tests, before the first that needs one."""
    bubblewrap = Bubblewrap()
    try:
        return GuestProbe(lambda: _real_environments().get("uml"), bubblewrap).problem()
    finally:
        bubblewrap.close()


_without_guest = 0
_NEEDS = {"postgres": pytest.mark.needs_postgres, "browser": pytest.mark.needs_browser}
"""Marks of the tests that a fixture asks more of a machine for."""


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes name no test: gzip writes the time into its header, and all who collect must agree on names."""
    return argname if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses a server or a browser, so that ``-m "not needs_browser"`` leaves it out."""
    for item in items:
        for name in _NEEDS.keys() & getattr(item, "fixturenames", ()):
            item.add_marker(_NEEDS[name])


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests of the guest run where one runs; where one is only to be installed they fail with the command."""
    global _without_guest  # noqa: PLW0603  # what the closing lines count
    if item.get_closest_marker("needs_guest") is None or (problem := _no_guest()) is None:
        return
    if (problem.hint or "").startswith("rebuilder "):
        pytest.fail(f"{problem} Run: {problem.hint}", pytrace=False)
    _without_guest += 1
    pytest.skip(str(problem))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end what was left out, and why."""
    if _without_guest and (problem := _no_guest()) is not None:
        terminalreporter.section("guest", sep="-")
        terminalreporter.line(f"{_without_guest} tests need a User Mode Linux guest and did not run. {problem}")


def _real_environments() -> EnvironmentStore:
    if not (_ROOT / "current" / "trixie").is_file():
        pytest.fail(
            "The build environments for the tests have not been made yet; run `make build environments`.", pytrace=False
        )
    return EnvironmentStore(_ROOT, _FixedClock(), maker=_no_maker)


@pytest.fixture(scope="session")
def environments_root() -> Path:
    """Directory with the real build environments, made by ``make build environments``."""
    _real_environments()
    return _ROOT


@pytest.fixture(scope="session")
def environments() -> EnvironmentStore:
    """The real build environments; no test makes one by accident."""
    return _real_environments()


@pytest.fixture(scope="session")
def environment_root(environments: EnvironmentStore) -> Path:
    """Root directory of the build environment ``trixie``."""
    return environments.get("trixie").root


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server of its own for the tests of one run."""
    with Postgres() as server:
        yield server
