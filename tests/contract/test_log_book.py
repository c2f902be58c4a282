"""The log in the ledger and on the site: what is signed gets into it once, and it only grows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from rebuilder.errors import CorruptStoreError, SigningError
from rebuilder.log.audit import LogError, Published
from rebuilder.log.entry import LogEntry, digest_path
from rebuilder.log.note import Checkpoint, Note, NoteKey
from rebuilder.log.proof import LogProof
from rebuilder.log.tiles import grown
from rebuilder.model.value import Sha256, sha256_hex
from rebuilder.signing.envelope import sign_statement
from rebuilder.signing.vocabulary import STATEMENT_TYPE
from rebuilder.store.ledger import Ledger
from tests.contract.conftest import OpenLedger
from tests.fakes.clock import FixedClock
from tests.fakes.logs import log_writer
from tests.fakes.signer import MemorySigner
from tests.fakes.verifications import artifact, attempt, digest, report, signed


def finish(ledger: Ledger, *versions: str) -> list[Sha256]:
    """Sign reports on releases; give the digests of the files they are about."""
    found = []
    for version in versions:
        of = artifact(version=version, sha256=digest(version))
        made = report(of, attempt(of, None))
        number = ledger.begin(made.artifact, made.started)
        ledger.examined(number, made)
        ledger.finish(number, signed(made))
        found.append(made.artifact.sha256)
    return found


def fillers(start: int, end: int) -> list[bytes]:
    """Entries without statements, which cost little."""
    return [b"entry %d" % each for each in range(start, end)]


def published(site: Path) -> Published:
    """What is published, its files checked from end to end."""
    key = NoteKey.read((site / "log/key").read_text().strip())
    read = reader(site)
    found = Published.read(read, key)
    assert len(list(found.entries(read))) == found.checkpoint.size
    return found


def reader(site: Path) -> Callable[[str], bytes]:
    """Reads files of the log."""
    return lambda path: (site / "log" / path).read_bytes()


def test_what_was_signed_is_logged_once(open_ledger: OpenLedger, tmp_path: Path) -> None:
    """Every statement gets an entry and a proof under the digest of its file; nothing is added twice."""
    ledger, site = open_ledger(), tmp_path / "site"
    (first, second) = finish(ledger, "1", "2")
    writer = log_writer(ledger, site)
    assert writer.write() == []
    assert log_writer(open_ledger(), site).write() == []
    found = published(site)
    assert found.checkpoint.size == ledger.log_book.size() == 2
    for number, sha256 in enumerate((first, second)):
        directory = site / digest_path(sha256)
        (row,) = json.loads((directory / "index.json").read_bytes())["statements"]
        proof = LogProof.read((directory / row["proof"]).read_bytes())
        assert proof.index == row["number"] == number
        assert proof.entry is not None
        entry = LogEntry.read(proof.entry)
        assert entry.envelope == sha256_hex((directory / row["envelope"]).read_bytes())
        assert entry.subjects == (sha256,)
        assert proof.check(proof.entry).origin == "log.example/test"
        assert proof.note.signed_by([NoteKey.read((site / "log/key").read_text().strip())])


def test_a_statement_of_no_verification_is_logged_once(open_ledger: OpenLedger, tmp_path: Path) -> None:
    """What was issued gets its entry after what was verified; another key's statement gets none and is named."""
    ledger, site = open_ledger(), tmp_path / "site"
    (sha256,) = finish(ledger, "1")
    ours, others = (sign_statement(_conflict(sha256), MemorySigner(seed)) for seed in (1, 2))
    ledger.log_book.issue(MemorySigner(1).key_id, ours)
    ledger.log_book.issue(MemorySigner(2).key_id, others)
    assert len(log_writer(ledger, site).write()) == 1
    assert len(log_writer(open_ledger(), site).write()) == 1
    assert published(site).checkpoint.size == ledger.log_book.size() == 2
    (row, _) = json.loads((site / digest_path(sha256) / "index.json").read_bytes())["statements"]
    assert (site / digest_path(sha256) / row["envelope"]).read_text() == ours
    assert list(ledger.log_book.unlogged_statements()) == [2]


def _conflict(sha256: Sha256) -> dict[str, object]:
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": "idna-1.whl", "digest": {"sha256": sha256}}],
        "predicateType": "tag:rebuilder,2026:test",
        "predicate": {},
    }


def test_the_tree_grows_with_its_files(ledger: Ledger, tmp_path: Path) -> None:
    """Over a full tile and back to a partial one: what was seen before is where the log goes on from."""
    site = tmp_path / "site"
    writer = log_writer(ledger, site)
    seen = []
    for size in (250, 255, 269):
        ledger.log_book.take_back(ledger.log_book.size(), fillers(ledger.log_book.size(), size))
        finish(ledger, str(size))
        writer.write()
        seen.append(published(site).checkpoint)
        for earlier in seen:
            published(site).follows(earlier, reader(site))
    assert [each.size for each in seen] == [251, 256, 270]
    assert not (site / "log/tile/0/000.p").exists()
    assert (site / "log/tile/0/000").stat().st_size == 8192
    assert (site / "log/tile/1/000.p/1").stat().st_size == 32


def test_a_lost_site_is_written_again(ledger: Ledger, tmp_path: Path) -> None:
    """The same bytes, from the ledger alone."""
    site = tmp_path / "site"
    writer = log_writer(ledger, site)
    finish(ledger, *map(str, range(5)))
    writer.write()
    finish(ledger, "5")
    writer.write()
    before = {path.relative_to(site): path.read_bytes() for path in (site / "log").rglob("*") if path.is_file()}
    shutil.rmtree(site)
    writer.write()
    after = {path.relative_to(site): path.read_bytes() for path in (site / "log").rglob("*") if path.is_file()}
    stale = {path for path in before if ".p" in path.parent.name} - set(after)
    assert {path: data for path, data in before.items() if path not in stale} == after
    assert published(site).checkpoint.size == 6


def test_a_ledger_from_before_is_refused_until_what_was_published_is_taken_back(
    open_ledger: OpenLedger, place: str, tmp_path: Path
) -> None:
    """Nothing is signed that is smaller than, or another tree than, what was; then the log goes on."""
    site = tmp_path / "site"
    ledger = open_ledger()
    writer = log_writer(ledger, site)
    finish(ledger, "1", "2")
    writer.write()
    ledger.log_book.take_back(2, fillers(2, 299))
    finish(ledger, "3")
    writer.write()
    cut(ledger, 257)
    checkpoint = (site / "log/checkpoint").read_bytes()
    for again in (writer, log_writer(open_ledger(), site)):
        with pytest.raises(CorruptStoreError, match=r"257 entries.*over 300"):
            again.write()
    finish(ledger, "new")
    with pytest.raises(CorruptStoreError, match="over 300"):
        writer.write()
    assert (site / "log/checkpoint").read_bytes() == checkpoint
    cut(ledger, 257)
    assert writer.take_back(lambda path: (site / path).read_bytes()) == 43
    finish(ledger, "another")
    writer.write()
    found = published(site)
    assert found.checkpoint.size > 300
    found.follows(Checkpoint.read(Note.read(checkpoint).text), reader(site))


def cut(ledger: Ledger, size: int) -> None:
    """As a backup from earlier left it: entries from ``size`` on are not there, nor what they were made of."""
    with ledger._database.writing() as connection:
        rows = connection.execute(text("select entry from log_entry order by number")).scalars().all()[:size]
        connection.execute(
            text("update signed set logged = -1 where logged is null or logged >= :size"), {"size": size}
        )
        connection.execute(text("delete from log_entry where number >= :size"), {"size": size})
        connection.execute(text("delete from log_tile"))
        insert = text("insert into log_tile (level, number, hashes) values (:level, :number, :hashes)")
        for level, number, hashes in grown(0, [bytes(each) for each in rows], lambda *_: b""):
            connection.execute(insert, {"level": level, "number": number, "hashes": hashes})


def test_a_changed_log_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    """Somebody who can write to the ledger cannot make another history: whatever was signed stays."""
    site = tmp_path / "site"
    writer = log_writer(ledger, site)
    finish(ledger, "1", "2", "3")
    writer.write()
    with ledger._database.writing() as connection:
        connection.execute(text("update log_tile set hashes = :hashes"), {"hashes": bytes(96)})
    finish(ledger, "4")
    with pytest.raises(CorruptStoreError, match="first 3 entries"):
        writer.write()


def test_the_checkpoint_beside_the_key_counts(ledger: Ledger, tmp_path: Path) -> None:
    """Where it was damaged nothing is signed; where the site has a newer one of ours, that one counts, too."""
    site = tmp_path / "site"
    writer = log_writer(ledger, site)
    finish(ledger, "1", "2")
    writer.write()
    (tmp_path / "log.checkpoint").write_bytes(b"not a note")
    with pytest.raises(SigningError, match="cannot be read"):
        writer.write()
    (tmp_path / "log.checkpoint").unlink()
    cut(ledger, 1)
    with pytest.raises(CorruptStoreError, match="over 2"):
        writer.write()


def test_an_auditor_finds_what_was_changed(ledger: Ledger, tmp_path: Path) -> None:
    """Each byte of checkpoint, tiles and bundles: changed, cut or gone, the log is refused."""
    site = tmp_path / "site"
    writer = log_writer(ledger, site)
    finish(ledger, *map(str, range(3)))
    writer.write()
    key = NoteKey.read((site / "log/key").read_text().strip())
    read, tried = reader(site), 0
    for file in sorted(path for path in (site / "log").rglob("*") if path.is_file() and path.name != "key"):
        data = file.read_bytes()
        for wrong in (
            *(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :] for place in range(0, len(data), 7)),
            data[:-1],
        ):
            file.write_bytes(wrong)
            with pytest.raises(ValueError):  # noqa: PT011 - whatever is found first
                list(Published.read(read, key).entries(read))
            tried += 1
        file.write_bytes(data)
    assert tried > 150
    other = NoteKey("log.example/other", key.public)
    with pytest.raises(LogError, match="not signed"):
        Published.read(read, other)


def test_only_our_statements_are_logged(ledger: Ledger, tmp_path: Path) -> None:
    """One that somebody else signed, or that was changed in the ledger, is told and left out; the others are logged."""
    site = tmp_path / "site"
    finish(ledger, "1", "2", "3")
    with ledger._database.writing() as connection:
        vsa = connection.execute(text("select vsa from signed where verification_id = 2")).scalar()
        assert vsa is not None
        changed = vsa.replace('"sig":"MEQ', '"sig":"MEA').replace('"sig":"MEU', '"sig":"MEA')
        connection.execute(text("update signed set vsa = :vsa where verification_id = 2"), {"vsa": changed})
    (problem,) = log_writer(ledger, site).write()
    assert "not one of ours" in str(problem)
    assert published(site).checkpoint.size == 2
    assert len(log_writer(ledger, site, keys=(2,)).write()) == 1
    assert published(site).checkpoint.size == 2


def test_times_only_grow(open_ledger: OpenLedger, tmp_path: Path) -> None:
    """A clock that was put back a little does not spoil the log for ever; one that is far off stops it."""
    ledger, clock = open_ledger(), FixedClock()
    writer = replace(log_writer(ledger, tmp_path / "site"), clock=clock)
    start = clock.time
    finish(ledger, "1")
    writer.write()
    clock.time = start - timedelta(minutes=30)
    finish(ledger, "2")
    writer.write()
    clock.time = start - timedelta(hours=2)
    finish(ledger, "3")
    with pytest.raises(CorruptStoreError, match="clock"):
        writer.write()
    clock.time = start + timedelta(hours=1)
    writer.write()
    times = [LogEntry.read(data).logged for data, _ in ledger.log_book.entries(0, 3)]
    assert [start, start, start + timedelta(hours=1)] == times
