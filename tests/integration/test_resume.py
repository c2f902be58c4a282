"""A worker process is killed between two attempts: the next one makes only those that are left."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rebuilder.config import Config
from rebuilder.model.attempt import Attempt
from rebuilder.model.report import Report
from rebuilder.model.verdict import Kind, Verdict
from rebuilder.model.work import Order, Reason
from rebuilder.store.ledger import Ledger
from tests.fakes.command import Installation
from tests.fakes.projects import EPOCH, Distribution, build, make_sdist, make_wheel, minibackend_wheel
from tests.fakes.registry import Registry

PATIENCE = 240.0


class Workers:
    """Worker processes on one store, each started as the service starts it."""

    def __init__(self, config: Config, environment: dict[str, str], ledger: Ledger) -> None:
        self.config = config
        self._environment = environment
        self._running: list[subprocess.Popen[str]] = []
        self.ledger = ledger

    def start(self) -> None:
        """One more."""
        process = subprocess.Popen(
            [sys.executable, "-m", "rebuilder.service.worker_process"],
            env=self._environment,
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write(f"{self.config.model_dump_json()}\n")
        process.stdin.flush()
        self._running.append(process)

    def recorded(self) -> tuple[Attempt, ...]:
        """The attempts of the only verification."""
        return self.ledger.recorded(1).attempts

    def until(self, number: int) -> Report | None:
        """Wait until so many attempts are recorded, or the report is there; give the report."""
        deadline = time.monotonic() + PATIENCE
        while True:
            if examined := self.ledger.unsigned(9):
                [(_, report)] = examined
                return report
            if len(self.recorded()) >= number:
                return None
            assert time.monotonic() < deadline, f"{len(self.recorded())} attempts after {PATIENCE:g} s"
            threading.Event().wait(0.05)

    def kill(self) -> None:
        """End them all, as a power failure would: SIGKILL."""
        while self._running:
            process = self._running.pop()
            process.kill()
            process.wait()
            assert process.stdin is not None
            process.stdin.close()


@pytest.fixture
def registry() -> Iterator[Registry]:
    """One wheel that does not follow from its source archive: every way is tried, and one more build is made."""
    with Registry() as running:
        running.add(minibackend_wheel(), uploaded=datetime(2020, 1, 1, tzinfo=UTC))
        sdist = make_sdist("four", "1.0")
        planted = make_wheel("four", "1.0", {"four/__init__.py": "import evil\n"})
        wheel = Distribution("four", build(sdist, epoch=EPOCH).filename, planted.data)
        running.publish(sdist, wheel)
        yield running


@pytest.fixture
def workers(installation: Installation, registry: Registry) -> Iterator[Workers]:
    """No worker yet, and one order in the queue."""
    root = installation.root
    config = Config(store=installation.store, keys=root / "keys", site=installation.site, index_url=registry.url)
    with Ledger.open(config.ledger_place) as ledger:
        order = Order(
            ecosystem="pypi",
            purl="pkg:pypi/four@1.0",
            name="four",
            version="1.0",
            filename="four-1.0-py3-none-any.whl",
            reason=Reason.ASKED,
        )
        ledger.queue.add([order], datetime.now(UTC))
        running = Workers(config, installation.environment, ledger)
        try:
            yield running
        finally:
            running.kill()


def told(attempt: Attempt) -> tuple[object, ...]:
    """An attempt without what is of its run alone."""
    comparison = attempt.comparison
    return (
        attempt.hypothesis.name,
        attempt.hypothesis.definition.digest,
        attempt.repeat,
        comparison and comparison.level,
        comparison and comparison.rebuilt_sha256,
    )


def test_a_killed_worker_costs_no_attempt(workers: Workers, tmp_path: Path, environments_root: Path) -> None:
    """SIGKILL after the first, after the second, …: each is made once, and the report is that of one process."""
    kept: tuple[Attempt, ...] = ()
    kills, report = 0, None
    while report is None:
        workers.start()
        report = workers.until(len(kept) + 1)
        if report is not None:
            break
        workers.kill()
        kills += 1
        assert kept == workers.recorded()[: len(kept)], "what was recorded stays as it is"
        kept = workers.recorded()
        workers.ledger.queue.release_dead(datetime.now(UTC) - timedelta(minutes=2))
    assert kills >= 2
    assert len(kept) <= len(report.attempts)
    for before, after in zip(kept, report.attempts, strict=False):
        assert (before.run, before.hypothesis) == (after.run, after.hypothesis), "it was not made again"
    digests = [(each.hypothesis.definition.digest, each.repeat) for each in report.attempts]
    assert len(set(digests)) == len(digests)
    assert (Verdict.DIFFERS, Kind.STABLE) == (report.decision.verdict, report.decision.kind)
    index = report.decision.attempt
    assert index is not None
    comparison = report.attempts[index].comparison
    assert comparison is not None
    assert comparison.diffoscope is not None

    other = Installation.make(tmp_path / "other", environments_root, str(workers.config.index_url))
    line = other.verify("pypi:four==1.0").line
    whole = Report.model_validate(json.loads((Path(line["report"]).parent / "report.json").read_text()))
    assert list(map(told, whole.attempts)) == list(map(told, report.attempts))
    assert whole.decision == report.decision
    assert (whole.trail, whole.diagnosis) == (report.trail, report.diagnosis)
