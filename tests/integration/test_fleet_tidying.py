"""The S3 store is tidied while others use it, on a real server: what is needed or written again stays."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from rebuilder.clock import SystemClock
from rebuilder.environments.store import EnvironmentStore
from rebuilder.errors import StoreError
from rebuilder.fleet import objects
from rebuilder.fleet.tidying import Tidying
from rebuilder.store.ledger.liveness import this_process
from rebuilder.store.object_storage import Listed, ObjectStorage
from rebuilder.store.remote_blobs import SHARED, STAYS, RemoteBlobs, key_of, outputs_of
from tests.fakes.fleet_servers import HELD, Coordinator, Servers, coordinating, servers
from tests.fakes.processes import until
from tests.fakes.s3_server import credentials

AT_ONCE = timedelta(0)
"""All that was written before this second is old."""
INPUT = key_of(SHARED, "ab" * 32)
OUTPUT = key_of(outputs_of("cd" * 32), "ab" * 32)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Redis and SeaweedFS."""
    with servers(tmp_path_factory.mktemp("fleet")) as made:
        yield made


@pytest.fixture
def coordinator(
    running: Servers, tmp_path: Path, environments: EnvironmentStore, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Coordinator]:
    """One with a ledger of its own."""
    for name, value in credentials(running.endpoint).items():
        monkeypatch.setenv(name, value)
    running.directory = tmp_path
    with coordinating(running, environments, lease_seconds=8) as made:
        yield made
    for each in running.runners:
        each.kill()


def tidying(coordinator: Coordinator, storage: ObjectStorage | None = None, stays: timedelta = AT_ONCE) -> Tidying:
    """One round is a call of its step."""
    storage = storage or coordinator.storage
    blobs = RemoteBlobs(coordinator.blobs, storage, most_bytes=1 << 20)
    return Tidying(storage, blobs, coordinator.ledger.run_orders, SystemClock(), stays=stays)


def test_what_is_old_goes(coordinator: Coordinator) -> None:
    """Of ours, below whatever name; what others keep there, and what is young, stays."""
    old = (INPUT, OUTPUT, objects.environment("ef" * 32), objects.order("ab" * 16), f"{objects.answers('ab' * 16)}/x")
    for key in (*old, "else/where"):
        coordinator.storage.put(key, b"x")
    assert 0 == tidying(coordinator, stays=2 * STAYS).step()
    gone = 0

    def all_gone() -> bool:
        nonlocal gone
        gone += tidying(coordinator).step()
        return gone == len(old)

    until(all_gone)
    assert {"clock", "else/where"} == {name for name, _ in coordinator.storage.all()}


class WrittenAgain(ObjectStorage):
    """Between looking for what is old and removing it, somebody writes one object again."""

    again = ""

    def all(self, prefix: str = "") -> Iterator[tuple[str, Listed]]:
        """List, then write."""
        yield from list(super().all(prefix))
        self.put(self.again, b"again")


def test_what_is_written_again_meanwhile_stays(coordinator: Coordinator, running: Servers) -> None:
    """Whoever needs it wrote it when it was on its way out already."""
    storage = WrittenAgain.open(running.blobs)
    assert isinstance(storage, WrittenAgain)
    storage.again = INPUT
    for key in (INPUT, OUTPUT):
        storage.put(key, b"x")
    until(lambda: tidying(coordinator, storage).step())
    assert storage.listed(OUTPUT) is None
    assert storage.read(INPUT, 10) == b"again"


def test_a_run_under_way_keeps_its_inputs(running: Servers, coordinator: Coordinator) -> None:
    """However old they are: before a runner takes the order, and while it builds."""
    coordinator.storage.put(INPUT, b"of nobody")
    runner = running.runner("one")
    runner.enroll(coordinator.ledger)
    with coordinator.waiting(f"{HELD}; echo done > /out/x") as found:
        until(lambda: coordinator.orders() and coordinator.ledger.run_orders.open())
        until(lambda: tidying(coordinator).step())
        assert coordinator.storage.listed(INPUT) is None
        runner.start()
        until(coordinator.begun)
        tidying(coordinator).step()
        runner.let_go()
    assert b"done\n" == coordinator.blobs.read(found[0].outputs[0].sha256)
    assert [] == coordinator.ledger.alarms()


def test_orders_of_the_dead_hold_nothing(coordinator: Coordinator) -> None:
    """A day after their process has ended; those of the living do, and an unreadable definition stops the round."""
    now = SystemClock().now()
    orders = coordinator.ledger.run_orders
    definition = coordinator.order("true")
    sha256 = coordinator.blobs.put(definition.canonical)
    gone, _ = orders.add(sha256, "q", asked_of=None, owner="machine-1/1/1", now=now - timedelta(days=2))
    coordinator.ledger._database.liveness.release("machine-1/1/1")
    late, _ = orders.add(sha256, "other", asked_of=None, owner="machine-1/1/2", now=now)
    coordinator.ledger._database.liveness.release("machine-1/1/2")
    mine, _ = orders.add(sha256, "mine", asked_of=None, owner=this_process(), now=now - timedelta(days=2))
    coordinator.storage.put(key_of(SHARED, sha256), b"x")
    coordinator.storage.put(INPUT, b"x")
    until(lambda: tidying(coordinator).step())
    assert {late.nonce, mine.nonce} == {each.nonce for each in orders.open()} != {gone.nonce}
    assert coordinator.storage.listed(key_of(SHARED, sha256)) is not None
    orders.add("12" * 32, "mine", asked_of=None, owner=this_process(), now=now)
    coordinator.storage.put(INPUT, b"x")
    with pytest.raises(StoreError):
        until(lambda: tidying(coordinator).step())
    assert coordinator.storage.listed(INPUT) is not None


def test_what_is_needed_again_is_written_again(running: Servers, tmp_path: Path, coordinator: Coordinator) -> None:
    """When it gets old, and not before; a large one goes in parts."""
    storage, here = coordinator.storage, coordinator.blobs
    remote = RemoteBlobs(here, storage, most_bytes=64 << 20)
    digest = remote.put(b"x" * (33 << 20))
    key = key_of(SHARED, digest)
    first = storage.listed(key)
    assert first is not None
    assert "-" in first.tag.split()[0], "it was not sent in parts"
    remote.send(digest)
    assert first == storage.listed(key)
    assert first.is_younger(STAYS)
    assert not first.is_younger(AT_ONCE)

    def written_again() -> bool:
        storage.put(key, here.path(digest), once=True, again_after=AT_ONCE)
        return first != storage.listed(key)

    until(written_again)
    other = RemoteBlobs(type(here)(tmp_path / "other"), ObjectStorage.open(running.blobs), most_bytes=64 << 20)
    assert other.path(digest).stat().st_size == 33 << 20
