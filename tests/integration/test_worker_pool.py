"""The worker processes of a service: replaced when they end, without keys, gone with the service."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rebuilder.clock import SystemClock
from rebuilder.config import Config
from rebuilder.service.worker_pool import WorkerPool
from rebuilder.store.ledger import Ledger
from rebuilder.store.ledger.liveness import this_process
from tests.fakes.orders import order
from tests.fakes.processes import until
from tests.soak.processes import command_of, descendants

PATIENCE = 45.0
POOL_IN_A_PROCESS = """\
import sys
from pathlib import Path
from rebuilder.clock import SystemClock
from rebuilder.config import Config
from rebuilder.service.worker_pool import WorkerPool
from rebuilder.store.ledger import Ledger
root = Path(sys.argv[1])
config = Config(store=root / "store", keys=root / "keys", index_url="http://127.0.0.1:9/simple")
WorkerPool(config, 2, Ledger.open(config.ledger_place), SystemClock()).start()
print("started", flush=True)
sys.stdin.read()
"""


def workers(process: int) -> list[int]:
    """Worker processes below a process."""
    return [each for each in descendants(process) if command_of(each).startswith(f"{sys.executable} -m rebuilder")]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """An installation whose index answers nothing."""
    (tmp_path / "store").mkdir()
    return Config(store=tmp_path / "store", keys=tmp_path / "keys", index_url="http://127.0.0.1:9/simple")


class Watched:
    """A pool and the seconds it believes have passed."""

    def __init__(self, config: Config, size: int) -> None:
        self.now = 0.0
        self.ledger = Ledger.open(config.ledger_place)
        self.pool = WorkerPool(config, size, self.ledger, SystemClock(), monotonic=lambda: self.now)

    def killed(self) -> None:
        """Kill the one worker, and wait until the pool can see it."""
        until(lambda: workers(os.getpid()), "a worker starts")
        for each in workers(os.getpid()):
            os.kill(each, signal.SIGKILL)
        until(lambda: self.pool.alive == 0, "it ends")


@pytest.fixture
def watched(config: Config) -> Iterator[Watched]:
    """A pool of one."""
    found = Watched(config, 1)
    try:
        yield found
    finally:
        found.pool.stop(PATIENCE)
        found.ledger.close()


def test_a_dead_worker_is_replaced_later_each_time(watched: Watched) -> None:
    """At once would be a loop that eats the machine; one that lived for a while is replaced at once again."""
    watched.pool.start()
    waits = []
    for _ in range(3):
        watched.killed()
        watched.pool.look_after()
        seconds = 0
        while watched.pool.alive == 0:
            seconds += 1
            watched.now += 1
            watched.pool.look_after()
        waits.append(seconds)
    assert [1, 2, 4] == waits
    watched.now += 31
    watched.killed()
    watched.pool.look_after()
    assert 1 == watched.pool.alive


def test_what_a_dead_worker_held_is_given_back(config: Config, watched: Watched) -> None:
    """Also what was held before the pool began; never what a living process holds."""
    queue, now = watched.ledger.queue, SystemClock().now()
    queue.add([order("one"), order("two")], now)
    with Ledger.open(config.ledger_place) as other:
        assert other.queue.claim("dead/1/1", now, 600) is not None
    assert queue.claim(this_process(), now, 600) is not None
    watched.pool.release_dead()
    assert {this_process()} == queue.owners()


def test_a_worker_finds_no_key(config: Config, watched: Watched) -> None:
    """The directory is there and empty; who is told about alarms is not among its settings either."""
    config.keys.mkdir(mode=0o700)
    (config.keys / "signing.pem").write_text("secret")
    watched.pool.start()
    until(lambda: workers(os.getpid()), "a worker starts")
    [worker] = workers(os.getpid())
    assert [] == list(Path(f"/proc/{worker}/root{config.keys}").iterdir())
    assert "secret" == (config.keys / "signing.pem").read_text()


def test_stopping_leaves_nobody(watched: Watched) -> None:
    """All have ended when it returns."""
    watched.pool.start()
    until(lambda: workers(os.getpid()), "a worker starts")
    watched.pool.stop(PATIENCE)
    assert ([], 0) == (workers(os.getpid()), watched.pool.alive)


def test_workers_end_with_the_service(config: Config) -> None:
    """However it ended: nobody works on for a service that was killed."""
    command = [sys.executable, "-c", POOL_IN_A_PROCESS, str(config.store.parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        assert "started" == service.stdout.readline().strip()
        until(lambda: len(workers(service.pid)) == 2, "both workers start")
        below = list(descendants(service.pid))
        service.kill()
    until(lambda: not [each for each in below if "rebuilder" in command_of(each)], "they end")
