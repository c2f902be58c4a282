"""The ledger finds what was said about a file by release, by digest and by time, on every database."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rebuilder.model.verdict import Verdict
from rebuilder.store.ledger import Ledger
from rebuilder.store.ledger.lookup import MOST_HISTORY
from tests.fakes import reports
from tests.fakes.api_context import finish, order
from tests.fakes.blobs import MemoryBlobs

NOW = reports.NOW


def test_a_release_has_its_files_with_all_that_was_said(ledger: Ledger) -> None:
    """Each file once; its verifications newest first."""
    report = reports.reproduced(MemoryBlobs())
    finish(ledger, report, NOW - timedelta(days=1))
    finish(ledger, report, NOW)
    (known,) = ledger.lookup.release([report.artifact.purl], NOW)
    assert (report.artifact.filename, report.artifact.sha256) == (known.filename, known.sha256)
    assert [NOW, NOW - timedelta(days=1)] == [each.finished for each in known.verifications]


def test_a_file_can_be_asked_for_by_name_and_by_digest(ledger: Ledger) -> None:
    """Another file name is none of this release, another digest is nobody's."""
    artifact = finish(ledger, reports.reproduced(MemoryBlobs())).artifact
    assert [] == ledger.lookup.release([artifact.purl], NOW, filename="other.whl")
    assert [] == ledger.lookup.digest("0" * 64, NOW)
    named = ledger.lookup.release([artifact.purl], NOW, filename=artifact.filename)
    assert named == ledger.lookup.digest(artifact.sha256, NOW)


def test_places_are_counted_among_what_can_be_worked_on(ledger: Ledger) -> None:
    """Leased and delayed tasks have no position, and are ahead of nobody."""
    for number in range(4):
        ledger.queue.add([order("spool", f"{number}.0")], NOW)
    lease = ledger.queue.claim("machine/1/1", NOW, 60)
    assert lease is not None

    def place(version: str) -> int | None:
        (known,) = ledger.lookup.release([f"pkg:pypi/spool@{version}"], NOW)
        assert known.place is not None
        assert (lease.task.order.version == version) == (known.place.entry.owner is not None)
        return known.place.position

    assert [None, 1, 2, 3] == [place(f"{number}.0") for number in range(4)]


def test_an_expired_lease_is_no_lease(ledger: Ledger) -> None:
    """Once its time has passed the task waits again."""
    ledger.queue.add([order()], NOW)
    ledger.queue.claim("machine/1/1", NOW, 60)
    (known,) = ledger.lookup.digest(str(order().sha256), NOW + timedelta(seconds=61))
    assert known.place is not None
    assert (1, None) == (known.place.position, known.place.entry.owner)


def test_recent_verdicts_come_in_pages_without_gaps(ledger: Ledger) -> None:
    """Also when several ended at the same moment."""
    blobs = MemoryBlobs()
    for number in range(7):
        finish(ledger, reports.reproduced(blobs, f"spool{number}"), NOW - timedelta(seconds=number // 3))
    seen, before = [], None
    while True:
        page = ledger.lookup.recent(2, before=before)
        seen += [each.name for each in page.rows]
        before = page.next
        if before is None:
            break
    everything = [each.name for each in ledger.lookup.recent(50).rows]
    assert 7 == len(set(seen))
    assert everything == seen


def test_recent_verdicts_can_be_chosen(ledger: Ledger) -> None:
    """By verdict, and by ecosystem."""
    blobs = MemoryBlobs()
    finish(ledger, reports.reproduced(blobs))
    finish(ledger, reports.differs(blobs))
    chosen = ledger.lookup.recent(10, verdict=Verdict.DIFFERS, ecosystem="pypi").rows
    assert ["almanac"] == [each.name for each in chosen]
    assert () == ledger.lookup.recent(10, ecosystem="npm").rows


@pytest.mark.parametrize("cursor", ["", ".", "1", "1.x", "-1.2", "1.2.3", "9" * 18 + ".1", "٣.١"])
def test_what_is_no_cursor_is_refused(ledger: Ledger, cursor: str) -> None:
    """A cursor is two numbers."""
    with pytest.raises(ValueError, match="is not a cursor"):
        ledger.lookup.recent(1, before=cursor)


def test_history_is_bounded(ledger: Ledger) -> None:
    """The newest are kept."""
    report = reports.unsupported(MemoryBlobs())
    for number in range(MOST_HISTORY + 3):
        finish(ledger, report, NOW + timedelta(days=number))
    (known,) = ledger.lookup.digest(report.artifact.sha256, NOW)
    assert MOST_HISTORY == len(known.verifications)
    assert NOW + timedelta(days=MOST_HISTORY + 2) == known.verifications[0].finished
