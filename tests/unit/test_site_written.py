"""What is written already is not made again, and what somebody touched is."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from rebuilder.errors import CorruptStoreError
from rebuilder.model.report import SignedReport
from rebuilder.signing.agreement import Agreement
from rebuilder.signing.key_directory import KeyDirectory
from rebuilder.signing.statements import Builder
from rebuilder.site.publisher import Site
from rebuilder.site.writing import Written, by_processes, digest
from rebuilder.store.ledger import Ledger
from rebuilder.verification.signer import Signer
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.ledgers import open_ledger
from tests.fakes.logs import log_writer
from tests.fakes.signer import MemorySigner


class CountingSite(Site):
    """Knows how many pages it made."""

    made = 0

    def write_artifact(self, *args: Any, **options: Any) -> Path:
        """As a site does."""
        self.made += 1
        return super().write_artifact(*args, **options)


class Publisher:
    """Two signed verdicts, and processes that publish them one after another."""

    def __init__(self, directory: Path, ledger: Ledger) -> None:
        self.directory, self.root, self.ledger = directory, directory / "site", ledger
        self.key, self.blobs = MemorySigner(), MemoryBlobs()
        for report in (reports.build_failed(self.blobs), reports.unsupported(self.blobs)):
            number = ledger.begin(report.artifact, report.started)
            ledger.examined(number, report)
            self.signed: SignedReport = self.process()[0].finish(number, report)

    def process(self) -> tuple[Signer, CountingSite]:
        """A new one."""
        about: dict[str, Any] = {"public_key": self.key.public_pem, "key_id": self.key.key_id}
        site = CountingSite(
            self.root, self.blobs, verifier="example.org", cache=self.directory / "cache", **about
        )  # fmt: skip
        agreement, keys = Agreement({self.key.key_id: self.key.public_pem}), KeyDirectory(self.directory / "keys")
        builder, log = Builder(id="tag:example.org,2026:t"), log_writer(self.ledger, self.root)
        return Signer(self.ledger, self.blobs, self.key, builder, site, FixedClock(), agreement, log, keys), site

    def publish(self, *, anew: bool = False) -> int:
        """Publish all; how many pages were made for it."""
        signer, site = self.process()
        assert 2 == signer.publish_all(anew=anew)
        return site.made

    def snapshot(self) -> dict[str, bytes]:
        """All files of the site."""
        files = sorted(each for each in self.root.rglob("*") if each.is_file())
        return {str(each.relative_to(self.root)): each.read_bytes() for each in files}


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Publisher]:
    """Everything is published once."""
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        made = Publisher(tmp_path, ledger)
        assert 2 == made.publish()
        yield made


def test_what_is_written_is_not_made_again(publisher: Publisher) -> None:
    """No page, unless that is asked for; the bytes are the same either way."""
    before = publisher.snapshot()
    assert 0 == publisher.publish()
    assert 2 == publisher.publish(anew=True)
    assert before == publisher.snapshot()


@pytest.mark.parametrize("name", ["index.html", "report.json", "verdict.dsse.json"])
@pytest.mark.parametrize("harm", ["changed", "removed", "added"])
def test_what_somebody_touched_is_made_again(publisher: Publisher, name: str, harm: str) -> None:
    """A byte that is another one at the same time of change, a file that is gone, one that is not ours."""
    before = publisher.snapshot()
    file = next(publisher.root.glob(f"pypi/*/*/*/*/{name}"))
    if harm == "changed":
        at = file.stat().st_mtime_ns
        file.write_bytes(b"!" + file.read_bytes()[1:])
        os.utime(file, ns=(at, at))
    elif harm == "removed":
        file.unlink()
    else:
        file.with_name(f"not-{name}").write_bytes(b"not ours")
    assert 1 == publisher.publish()
    assert before == publisher.snapshot()


@pytest.mark.parametrize("where", ["pypi/*/index.html", "pypi/*/badge.svg", "v1/pypi/*/index.json", "sha256/*/*/*"])
def test_what_leads_to_pages_is_made_again(publisher: Publisher, where: str) -> None:
    """Pages of projects, and statements under the digests of files."""
    before = publisher.snapshot()
    file = next(each for each in publisher.root.glob(where) if each.is_file())
    file.write_bytes(b"something else")
    assert 0 == publisher.publish()
    assert before == publisher.snapshot()


def test_a_forged_report_is_found_beside_pages_that_are_right(publisher: Publisher, tmp_path: Path) -> None:
    """Notes are of the bytes that were checked, and of no others."""
    import sqlite3
    import zlib

    with sqlite3.connect(tmp_path / "ledger.sqlite") as connection:
        (kept,) = connection.execute("select report from signed limit 1").fetchone()
        forged = zlib.compress(zlib.decompress(kept).replace(b'"rebuilder_version": "', b'"rebuilder_version": "9'))
        connection.execute("update signed set report = ? where report = ?", (forged, kept))
    connection.close()
    with pytest.raises(CorruptStoreError, match="another report"):
        publisher.process()[0].publish_all()


def test_notes_that_cannot_be_read_are_none(publisher: Publisher) -> None:
    """Everything is made again, and noted again."""
    notes = next((publisher.directory / "cache").glob("written-*"))
    notes.write_bytes(b"\xff\xfe no note\n")
    assert 2 == publisher.publish()
    notes.write_bytes(b"pypi/x\n")
    assert 2 == publisher.publish()
    assert 0 == publisher.publish()


def test_notes_do_not_grow_without_end(tmp_path: Path) -> None:
    """The last of a name is kept."""
    (tmp_path / "a").write_bytes(b"")
    for number in range(5):
        written = Written(tmp_path, tmp_path / "notes")
        written.wrote("page", digest(str(number)), ["/a"])
        written.keep()
    written = Written(tmp_path, tmp_path / "notes")
    written.recall()
    assert written.has("page", digest("4"))
    assert not written.has("page", digest("3"))
    assert 1 == len((tmp_path / "notes").read_text().splitlines())


def test_parts_are_told_apart() -> None:
    """A digest over two texts is not that of one, nor of nothing."""
    texts = [("ab", "c"), ("a", "bc"), ("abc",), ("abc", None), ("abc", "")]
    assert 5 == len({digest(*each) for each in texts})


def test_much_work_is_done_by_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """In order; little of it by this one, and all of it where there are threads."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(threading, "active_count", lambda: 1)

    def work(numbers: Sequence[int]) -> tuple[int, int]:
        return sum(numbers), os.getpid()

    found = list(by_processes(work, range(6), at_once=2))
    assert [1, 5, 9] == [total for total, _ in found]
    assert os.getpid() not in {process for _, process in found}
    assert [(1, os.getpid())] == list(by_processes(work, range(2), at_once=2))
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    assert {os.getpid()} == {process for _, process in by_processes(work, range(6), at_once=2)}
