"""Blobs that nothing refers to leave in two steps; one that is asked for meanwhile comes back."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rebuilder.store.blobs import LEAVING, DiskBlobs, Retention
from tests.fakes.clock import FixedClock

KEEP = timedelta(days=30)


class House:
    """Blobs, their retention, and a clock."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = DiskBlobs(root)
        self.clock = FixedClock(datetime(2026, 11, 1, tzinfo=UTC))
        self.retention = Retention(root, KEEP, self.clock)

    def put(self, data: bytes, *, age: timedelta) -> str:
        """Store a blob that was written some time ago."""
        digest = self.blobs.put(data)
        then = (self.clock.now() - age).timestamp()
        os.utime(self.root / digest[:2] / digest, (then, then))
        return digest

    def sweep(self, *referred: str) -> tuple[int, int]:
        """One sweep, with these digests referred to."""
        return self.retention.sweep(lambda: {bytes.fromhex(each) for each in referred})


@pytest.fixture
def house(tmp_path: Path) -> House:
    """An empty store."""
    return House(tmp_path / "blobs")


def test_an_empty_store_has_nothing_to_sweep(house: House) -> None:
    """Nothing is there, nothing is made."""
    assert (0, 0) == house.sweep()
    assert not house.root.exists()


def test_what_is_referred_to_stays_for_ever(house: House) -> None:
    """However old it is."""
    digest = house.put(b"published", age=timedelta(days=3000))
    assert (0, 0) == house.sweep(digest)
    assert house.blobs.read(digest) == b"published"


def test_what_is_young_stays(house: House) -> None:
    """Its report may not be written yet."""
    digest = house.put(b"young", age=KEEP - timedelta(hours=1))
    assert (0, 0) == house.sweep()
    assert house.blobs.read(digest) == b"young"


def test_what_nothing_refers_to_leaves_in_two_steps(house: House) -> None:
    """It is set aside first, and deleted a day later."""
    digest = house.put(b"old", age=KEEP + timedelta(hours=1))
    assert (1, 0) == house.sweep()
    house.clock.time += timedelta(hours=23)
    assert (0, 0) == house.sweep()
    house.clock.time += timedelta(hours=2)
    assert (0, 1) == house.sweep()
    assert not house.blobs.has(digest)


def test_what_is_asked_for_comes_back(house: House) -> None:
    """A verification that is about to use it never notices."""
    digest = house.put(b"wanted", age=KEEP + timedelta(hours=1))
    house.sweep()
    assert house.blobs.has(digest)
    assert house.blobs.read(digest) == b"wanted"
    assert [] == list((house.root / LEAVING).iterdir())


def test_a_sweep_that_is_killed_makes_nothing_leave_sooner(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it was: a day passes from the next one on until something is deleted."""
    digest = house.put(b"old", age=KEEP + timedelta(hours=1))

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "utime", die)
    with pytest.raises(KeyboardInterrupt):
        house.sweep()
    monkeypatch.undo()
    assert 0 == house.sweep()[1]
    assert house.blobs.read(digest) == b"old"


def test_what_is_referred_to_meanwhile_comes_back(house: House) -> None:
    """A report that was written between the two steps keeps what it names."""
    digest = house.put(b"reported", age=KEEP + timedelta(hours=1))
    house.sweep()
    house.clock.time += timedelta(days=2)
    assert (0, 0) == house.sweep(digest)
    assert (house.root / digest[:2] / digest).read_bytes() == b"reported"


def test_references_are_asked_for_only_when_something_may_go(house: House) -> None:
    """Reading all reports is not free."""
    house.put(b"young", age=timedelta(0))
    house.retention.sweep(lambda: pytest.fail("asked"))


def test_a_long_life_does_not_fill_the_memory(tmp_path: Path) -> None:
    """A process forgets what it knows of blobs before that grows without end, and reads them all the same."""
    blobs = DiskBlobs(tmp_path)
    digests = [blobs.put(b"%d" % number) for number in range(20)]
    known = blobs._sound
    for number in range(5000):
        known[f"{number:064x}"] = (0, 0, 0, 0, 0)
    blobs.put(b"one more")
    assert [b"%d" % number for number in range(20)] == [blobs.path(each).read_bytes() for each in digests]
    assert len(known) < 4200
