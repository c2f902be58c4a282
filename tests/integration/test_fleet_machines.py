"""A fleet as it is run: the same verdicts as on one machine; what is killed and what is wiped loses nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from rebuilder.environments.store import EnvironmentStore
from rebuilder.model.attempt import Outcome
from rebuilder.store.ledger.component_book import run_by
from tests.fakes.command import Installation
from tests.fakes.fleet_servers import (
    HELD,
    Coordinator,
    FleetInstallation,
    Redis,
    RunnerProcess,
    Servers,
    coordinating,
    servers,
)
from tests.fakes.ledgers import open_ledger
from tests.fakes.processes import until
from tests.fakes.projects import EPOCH, UPLOADED, Distribution, build, make_sdist, make_wheel, minibackend_wheel
from tests.fakes.registry import Registry
from tests.fakes.s3_server import credentials, refusing

LEASE = 8.0
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Redis and SeaweedFS."""
    with servers(tmp_path_factory.mktemp("fleet")) as made:
        yield made


def published(registry: Registry) -> list[str]:
    """Releases that come to different ends: by the build alone, with metadata written, other content, no build."""
    broken = make_sdist("broken", "1.0", {"build_backend.py": "raise SystemExit(7)"}, backend="build_backend")
    one, three, other = (make_sdist(name, "1.0") for name in ("one", "three", "other"))
    three = make_sdist("three", "1.0", tool="[tool.minibackend]\nnow = true\n")
    files: dict[str, tuple[Distribution, Distribution]] = {
        "one": (one, build(one, epoch=EPOCH)),
        "three": (three, build(three)),
        "other": (other, make_wheel("other", "1.0", {"other/__init__.py": "evil = 1\n"})),
        "broken": (broken, make_wheel("broken", "1.0", {"broken/__init__.py": ""})),
    }
    registry.add(minibackend_wheel(), uploaded=datetime(2020, 1, 1, tzinfo=UTC))
    for each in files.values():
        for distribution in each:
            registry.add(distribution, uploaded=UPLOADED)
    return [f"pypi:{name}==1.0" for name in files]


def test_the_same_verdicts_as_on_one_machine(running: Servers, tmp_path: Path, environments_root: Path) -> None:
    """Two runners, without a shared directory; each build is made by both."""
    with Registry() as registry:
        subjects = published(registry)
        alone = Installation.make(tmp_path / "alone", environments_root, registry.url)
        expected = alone.verify(*subjects)
        away = FleetInstallation.make(tmp_path / "away", environments_root, registry.url)
        away = FleetInstallation(away.root, away.index_url, running.endpoint)
        settings = f'[fleet]\nbroker = "{running.broker.url}"\nblobs = "{running.blobs}"\ndouble_runs = 1.0\n'
        (away.root / "fleet.toml").write_text(settings)
        machines = [running.runner(name) for name in ("north", "south")]
        with open_ledger(away.store / "ledger.sqlite") as ledger:
            for each in machines:
                each.enroll(ledger)
                each.start()
        answer = away.verify(*subjects)
        told = ("verdict", "attempts", "replayed", "normalisations")
        assert ["reproduced", "reproduced", "differs", "build-failed"] == [each["verdict"] for each in answer.lines], (
            answer.words
        )
        assert [[each[name] for name in told] for each in expected.lines] == [
            [each[name] for name in told] for each in answer.lines
        ]
        # The backend of "three" writes the time of day, which is set aside only afterwards.
        rebuilt = [[each["rebuilt"] for each in (*said.lines[:1], *said.lines[2:])] for said in (expected, answer)]
        assert rebuilt[0] == rebuilt[1]
        with open_ledger(away.store / "ledger.sqlite") as ledger:
            done = [ledger.run_orders.accepted(each.key.key_id, LONG_AGO) for each in machines]
            assert 4 <= len(done[0]) == len(done[1])
            assert [] == ledger.alarms()
            touched = ledger.component_book.orders(run_by(machines[0].key.key_id, LONG_AGO))
            touched += ledger.component_book.orders(run_by(machines[1].key.key_id, LONG_AGO))
            assert {"one", "three", "other", "broken"} == {each.name for each in touched}
        assert [0, 0] == [each.stop() for each in machines]


@pytest.fixture
def coordinator(
    running: Servers, tmp_path: Path, environments: EnvironmentStore, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Coordinator]:
    """One with a ledger of its own and a short lease."""
    for name, value in credentials(running.endpoint).items():
        monkeypatch.setenv(name, value)
    running.directory = tmp_path
    with coordinating(running, environments, lease_seconds=LEASE) as made:
        yield made
    for each in running.runners:
        each.kill()


@pytest.fixture
def machines(running: Servers, coordinator: Coordinator) -> Callable[[str], RunnerProcess]:
    """Makes an enrolled runner, and starts it."""

    def make(name: str) -> RunnerProcess:
        runner = running.runner(name)
        runner.enroll(coordinator.ledger)
        runner.start()
        return runner

    return make


def test_a_killed_runner_is_replaced(coordinator: Coordinator, machines: Callable[[str], RunnerProcess]) -> None:
    """A kill -9 in the middle of a build: another runner makes it, long before the broker would give it out again."""
    one, two = machines("one"), machines("two")
    coordinator.run(coordinator.order("echo warm > /out/x"))
    with coordinator.waiting(f"{HELD}; echo done > /out/x") as found:
        until(coordinator.begun)
        dying = next(each for each in (one, two) if each.key.key_id == coordinator.begun())
        [other] = [each for each in (one, two) if each is not dying]
        dying.kill()
        other.let_go()
    assert b"done\n" == coordinator.blobs.read(found[0].outputs[0].sha256)
    done = coordinator.ledger.run_orders.accepted(other.key.key_id, LONG_AGO)
    assert found[0].log_sha256 in {each.log_sha256 for each in done}
    assert [] == coordinator.ledger.alarms()


def test_a_broker_that_is_wiped_loses_nothing(
    running: Servers, coordinator: Coordinator, machines: Callable[[str], RunnerProcess]
) -> None:
    """Before anybody took the order, and once more with the server killed under a runner: each is done once."""
    with coordinator.waiting("echo one > /out/x") as found:
        until(coordinator.orders)
        assert isinstance(running.broker, Redis)
        running.broker.wipe()
        one = machines("one")
    assert Outcome.COMPLETED is found[0].outcome
    running.broker.stop()
    running.broker.start()
    with coordinator.waiting("echo two > /out/x") as again:
        pass
    assert b"two\n" == coordinator.blobs.read(again[0].outputs[0].sha256)
    assert 2 == len(coordinator.ledger.run_orders.accepted(one.key.key_id, LONG_AGO))
    assert 0 == one.stop()


def test_a_runner_that_is_refused_by_the_store_does_not_eat_the_queue(
    coordinator: Coordinator, machines: Callable[[str], RunnerProcess], running: Servers
) -> None:
    """As one whose clock is off: a server of S3 refuses what was signed yesterday. It rests after each order."""
    with refusing() as endpoint:
        blind = running.runner("blind")
        blind.environment["AWS_ENDPOINT_URL"] = endpoint
        blind.enroll(coordinator.ledger)
        blind.start()
        until(lambda: "serves" in blind.log.read_text())
        with coordinator.waiting("echo one > /out/x"), coordinator.waiting("echo two > /out/x"):
            until(lambda: "could not be answered" in blind.log.read_text())
            able = machines("able")
    tried = [
        datetime.fromisoformat(line[:19]) for line in blind.log.read_text().splitlines() if "not be answered" in line
    ]
    assert all(later - earlier >= timedelta(seconds=19) for earlier, later in pairwise(tried))
    assert 2 == len(coordinator.ledger.run_orders.accepted(able.key.key_id, LONG_AGO))
    assert [] == coordinator.ledger.alarms()
