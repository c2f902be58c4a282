"""What is signed says what is wrong, and the page that is written right afterwards shows it."""

from __future__ import annotations

import fcntl
import html
import json
import os
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rebuilder.errors import SigningError
from rebuilder.model.alarm import Alarm, AlarmKind, Severity
from rebuilder.model.figures import ProcessFigures
from rebuilder.model.report import Report, SignedReport, Summary
from rebuilder.service.metrics import scrape
from rebuilder.signing.agreement import Agreement
from rebuilder.signing.key_directory import KeyDirectory
from rebuilder.signing.statements import Builder
from rebuilder.site.publisher import Site
from rebuilder.site.writing import PARTIAL
from rebuilder.verification.published_keys import PublishedKeys
from rebuilder.verification.signer import Signer
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.histories import populate
from tests.fakes.ledgers import open_ledger
from tests.fakes.logs import log_writer
from tests.fakes.signer import MemorySigner
from tests.fakes.verifications import NOW, digest, signed


@pytest.fixture
def press(tmp_path: Path) -> Iterator[Signer]:
    """A press with an empty ledger and an empty site."""
    signer, blobs = MemorySigner(), MemoryBlobs()
    site = Site(
        tmp_path / "site",
        blobs,
        public_key=signer.public_pem,
        key_id=signer.key_id,
        verifier="rebuilder.example.org",
    )
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        agreement = Agreement({signer.key_id: signer.public_pem})
        keys = KeyDirectory(tmp_path / "keys")
        log, builder = log_writer(ledger, tmp_path / "site"), Builder(id="tag:example.org,2026:test")
        yield Signer(ledger, blobs, signer, builder, site, FixedClock(), agreement, log, keys)


def begin(press: Signer, report: Report) -> int:
    """Take a report to where the press gets it."""
    number = press.ledger.begin(report.artifact, report.started)
    press.ledger.examined(number, report)
    return number


def finished(press: Signer, report: Report) -> tuple[int, SignedReport]:
    """Take a report to where its page is written."""
    number = begin(press, report)
    return number, press.finish(number, report)


def confirmed(press: Signer, now: Report, *, days: int) -> None:
    """The same file was reproduced that many days before."""
    before = reports.reproduced(press.blobs, now.artifact.name, now.artifact.version)
    before = before.replace(finished=now.finished - timedelta(days=days))
    press.ledger.finish(begin(press, before), signed(before))


def test_a_regression_is_in_the_report_and_on_its_page(press: Signer) -> None:
    """Nobody has to wait for the next time the page is written."""
    now = reports.build_failed(press.blobs)
    confirmed(press, now, days=9)
    signed = press.finish(begin(press, now), now)
    [alarm] = signed.report.alarms
    assert AlarmKind.REGRESSION == alarm.kind
    [recorded] = press.ledger.alarm_book.open()
    assert (alarm, Severity.TICKET) == (recorded.alarm, recorded.severity)
    assert signed == press.ledger.signed_report(now.artifact.sha256)
    path = press.write_page(signed)
    assert html.escape(alarm.sentence) in (press.site.root / path / "index.html").read_text()


def test_the_page_of_alarms_has_what_was_dealt_with(press: Signer) -> None:
    """Who acknowledged an alarm can be read where it was read before."""
    now = reports.build_failed(press.blobs)
    confirmed(press, now, days=9)
    signed = press.finish(begin(press, now), now)
    [recorded] = press.ledger.alarm_book.open()
    press.ledger.alarm_book.acknowledge(recorded.number, "ada", "A compiler is missing.", signed.report.finished)
    press.write_index()
    assert "A compiler is missing." in (press.site.root / "alarms.html").read_text()


def test_what_was_never_confirmed_is_no_regression(press: Signer) -> None:
    """A first result is no alarm, whatever it is."""
    now = reports.build_failed(press.blobs)
    assert () == press.finish(begin(press, now), now).report.alarms
    assert [] == press.ledger.alarms()


def test_what_cannot_be_signed_raises_no_alarm(press: Signer) -> None:
    """An alarm is about something that is published."""
    now = reports.build_failed(press.blobs)
    confirmed(press, now, days=9)
    broken = now.replace(evidence=now.evidence.replace(artifact=reports.artifact()))
    with pytest.raises(SigningError):
        press.finish(begin(press, now), broken)
    assert [] == press.ledger.alarms()


def test_one_denominator_everywhere(press: Signer) -> None:
    """Front page, its data, Operate and metrics count the same files, those that only met faults of ours too."""
    populate(press.ledger)
    now, statistics = NOW, press.ledger.statistics
    press.write_index()
    operations = statistics.operations(now)
    press.site.write_operations(operations, [])
    index = json.loads((press.site.root / "v1/index.json").read_text())
    standing, metrics = statistics.standing(now), scrape(lambda: statistics.figures(now), ProcessFigures).decode()
    assert (7, 2) == (standing.known, standing.untested)
    assert (7, 2) == (index["files_total"], index["counts"]["untested"])
    assert 7 == sum(operations.current.values()) + operations.untested
    assert 'rebuilder_known_artifacts{ecosystem="pypi"} 7.0' in metrics
    for page in ("index.html", "operate.html"):
        assert "of 7 files" in (press.site.root / page).read_text().replace("Of 7", "of 7")
    assert "2 of 7 known files (28.6 %)" in (press.site.root / "index.html").read_text()


def test_replaced_bytes_are_said_on_top_of_both_pages_for_good(press: Signer) -> None:
    """Old and new digest a row each, before the verdict; acknowledging it adds who, when and the note."""
    old = reports.build_failed(press.blobs)
    press.publish(*finished(press, old))
    new_file = old.artifact.file.replace(sha256=digest("other bytes"))
    of = old.artifact.replace(file=new_file)
    evidence = old.evidence.replace(artifact=of)
    later = old.finished + timedelta(days=1)
    new = old.replace(artifact=of, evidence=evidence, finished=later)
    press.ledger.pin(new.artifact, new.finished)
    alarm = Alarm(
        kind=AlarmKind.DIGEST_CHANGED,
        purl=old.artifact.purl,
        filename=old.artifact.filename,
        sentence="The registry lists other bytes.",
        raised=new.finished,
        known_sha256=old.artifact.sha256,
        found_sha256=new.artifact.sha256,
    )
    press.ledger.raise_alarm(alarm)
    new = new.replace(alarms=(alarm,))
    press.publish(*finished(press, new))
    pages = sorted((press.site.root / "pypi").rglob("index.html"))
    assert 2 == len(pages)
    [recorded] = press.ledger.alarm_book.open()
    for note in (None, "Asked upstream."):
        if note:
            press.ledger.alarm_book.acknowledge(recorded.number, "ada", note, new.finished)
            press.write_pages_of(old.artifact.purl)
        for page in pages:
            top = page.read_text().partition('id="verdict"')[0]
            assert "Published bytes changed" in top
            assert f"<dt>Before, SHA-256</dt><dd><code>{old.artifact.sha256}</code>" in top
            assert f"<dt>Now, SHA-256</dt><dd><code>{new.artifact.sha256}</code>" in top
            assert bool(note) == ("by ada: Asked upstream." in top)
    press.write_index()
    listed = (press.site.root / "alarms.html").read_text()
    assert all(each in listed for each in (old.artifact.sha256, new.artifact.sha256, "by ada", "Asked upstream."))


def test_no_other_process_lists_between_the_rows_and_the_index(press: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would list a file that is not among the rows that were read, and it would be gone again."""
    press.finish(begin(press, reports.build_failed(press.blobs)), reports.build_failed(press.blobs))
    press.publish_all()
    read, refused = press.ledger.latest, []

    def latest(*args: Any, **named: Any) -> list[Summary]:
        directory = os.open(press.site.root / PARTIAL, os.O_RDONLY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            refused.append(error)
        finally:
            os.close(directory)
        return read(*args, **named)

    monkeypatch.setattr(press.ledger, "latest", latest)
    press.write_index()
    assert 1 == len(refused)


def test_of_two_verifications_at_once_the_ledger_says_which_one_counts(press: Signer) -> None:
    """The one that was begun last, though the other ended later: row by row as written whole."""
    found = press.site.root / "v1/index.json"
    first = reports.build_failed(press.blobs)
    early, late = press.ledger.begin(first.artifact, first.started), begin(press, first)
    report = first.replace(finished=first.finished + timedelta(minutes=1))
    press.publish(late, press.finish(late, first))
    press.update_index()
    press.ledger.examined(early, report)
    press.publish(early, press.finish(early, report))
    press.update_index()
    (row,) = json.loads(found.read_text())["latest"]
    press.write_index()
    assert [row] == json.loads(found.read_text())["latest"]


def test_a_key_that_is_revoked_while_the_index_is_written(press: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that were marked before it do not stay: the next update takes none of them over."""
    press.finish(begin(press, reports.build_failed(press.blobs)), reports.build_failed(press.blobs))
    press.publish_all()
    trust, marked = [""], PublishedKeys.marked

    def revoked_after(keys: PublishedKeys, rows: Iterable[Summary]) -> list[Summary]:
        found = marked(keys, rows)
        trust[0] = "revoked"
        return found

    monkeypatch.setattr(PublishedKeys, "trust", property(lambda _: trust[0]))
    monkeypatch.setattr(PublishedKeys, "marked", revoked_after)
    press.write_index()
    monkeypatch.setattr(PublishedKeys, "marked", marked)
    updated: list[bool] = []
    update = Site.update_index

    def counted(*args: Any, **named: Any) -> bool:
        updated.append(update(*args, **named))
        return updated[-1]

    monkeypatch.setattr(Site, "update_index", counted)
    press.update_index()
    press.update_index()
    assert [False, True] == updated
