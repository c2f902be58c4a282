"""A watch of Debian packages: point releases, a mirror that goes back to an older state, and one that is away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from rebuilder.model.operations import WatchState
from rebuilder.model.work import Order, Reason
from rebuilder.service.discovery import Discovery
from rebuilder.service.schedules.reading import read_file
from rebuilder.service.schedules.watch import Watch
from rebuilder.store.ledger import Ledger
from tests.fakes.clock import FixedClock
from tests.fakes.debian_archive import Archive, served_archive
from tests.fakes.ledgers import open_ledger
from tests.integration.test_debian_archive import Machine
from tests.integration.test_discovery import queued

Look = Callable[[], WatchState]
NEWER = "Mon, 02 Jan 2023 00:00:00 UTC"


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """An archive with three packages."""
    with served_archive(tmp_path / "archive") as archive:
        archive.use("trixie")
        for name in ("tiny", "small", "little"):
            archive.add(name, {}, {})
        yield archive


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A real one."""
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        yield ledger


@pytest.fixture
def look(archive: Archive, ledger: Ledger, tmp_path: Path) -> Look:
    """Looks at two of the packages, as a service does that was started just now."""
    schedule, place = tmp_path / "stable.toml", tmp_path / "machine"
    schedule.write_text('[[watch]]\necosystem = "deb"\npackages = ["tiny", "small"]\nevery = "6h"\n')
    [entry] = read_file(schedule).entries
    place.mkdir()
    machine, watch = Machine(archive, place), entry.item
    assert isinstance(watch, Watch)
    return lambda: Discovery({"deb": machine.debian()}, ledger, FixedClock()).look(watch)


def orders(ledger: Ledger) -> list[Order]:
    """What was queued, by name and version; all of it is given up."""
    return sorted(queued(ledger), key=lambda each: (each.name, each.version))


def point_release(archive: Archive) -> Path:
    """A new state of the suite: an update of a package that is watched, and one of another; the first package."""
    archive.date = NEWER
    archive.add("little", {}, {}, version="1-1+deb13u1")
    return archive.add("tiny", {}, {}, version="1-1+deb13u1")


def test_point_release(archive: Archive, ledger: Ledger, look: Look) -> None:
    """Everything at the first look, nothing without news, then exactly what is new, pinned to what was signed."""
    assert (2, 2, 0, None) == outcome(look())
    assert (2, 0, 0, None) == outcome(look())
    assert [("small", "1-1"), ("tiny", "1-1")] == [(each.name, each.version) for each in orders(ledger)]
    new = point_release(archive)
    assert (2, 1, 0, None) == outcome(look())
    [order] = orders(ledger)
    assert ("pkg:deb/debian/tiny@1-1%2Bdeb13u1", new.name) == (order.purl, order.filename)
    assert (sha256(new.read_bytes()).hexdigest(), Reason.RELEASE) == (order.sha256, order.reason)
    assert (2, 0, 0, None) == outcome(look())


def test_older_state_is_replayed(archive: Archive, ledger: Ledger, look: Look) -> None:
    """It counts no more: nothing is ordered, the watch says so, and all is well once the mirror has the newer one."""
    signed = archive.root / "debian/dists/trixie/InRelease"
    older = signed.read_bytes()
    point_release(archive)
    newer = signed.read_bytes()
    assert 2 == look().queued
    assert ["1-1", "1-1+deb13u1"] == [each.version for each in orders(ledger)]
    signed.write_bytes(older)
    state = look()
    assert (2, 0, 0, state.trouble) == outcome(state)
    assert "The mirror shows trixie as of Sun, 01 Jan 2023" in str(state.trouble)
    assert [state.trouble] == [each.trouble for each in ledger.watches.all()]
    signed.write_bytes(newer)
    assert (2, 0, 0, None) == outcome(look())


def test_archive_is_away(archive: Archive, ledger: Ledger, look: Look) -> None:
    """Said, and nothing is forgotten: the next look finds what came meanwhile, and only that."""
    look()
    assert 2 == len(orders(ledger))
    sources = archive.etc_apt / "sources.list"
    here = sources.read_text()
    sources.write_text(here.replace(archive.uri, "http://127.0.0.1:9/debian"))
    point_release(archive)
    state = look()
    assert (2, 0, 2) == (state.projects, state.queued, state.failed)
    assert "127.0.0.1:9" in str(state.trouble)
    sources.write_text(here)
    assert (2, 1, 0, None) == outcome(look())


@pytest.mark.parametrize("broken", ["unsigned", "forged", "gone"])
def test_state_that_is_not_signed(archive: Archive, ledger: Ledger, look: Look, broken: str) -> None:
    """Nothing of it is ordered, and the watch says why; that a suite is gone is no news about its packages."""
    look()
    assert 2 == len(orders(ledger))
    point_release(archive)
    signed = archive.root / "debian/dists/trixie/InRelease"
    good = signed.read_bytes()
    {"unsigned": archive.publish_unsigned, "forged": archive.publish_forged, "gone": signed.unlink}[broken]()
    state = look()
    assert (0, 2, False) == (state.queued, state.failed, state.trouble is None)
    assert [] == ledger.alarm_book.open()
    signed.write_bytes(good)
    assert (2, 1, 0, None) == outcome(look())


def outcome(state: WatchState) -> tuple[int, int, int, str | None]:
    """Projects, orders, failures, and what was wrong."""
    return state.projects, state.queued, state.failed, state.trouble
