"""Attacks on what a consumer reads: nothing that was changed, cut, swapped or put back is ever taken for an answer."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rebuilder.consumer.answer import Vote
from rebuilder.consumer.rebuilder import Rebuilder, Trusted
from rebuilder.errors import UnavailableError
from rebuilder.log.audit import LogError
from rebuilder.log.note import Checkpoint, Note
from rebuilder.model.verdict import Verdict
from rebuilder.network.site_reader import SiteReader
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.published import PublishedRebuilder, identical

FIRST, SECOND = identical("alpha"), identical("beta")
DIGEST = FIRST.artifact.sha256
PLACE = f"sha256/{DIGEST[:2]}/{DIGEST}"


class Genuine:
    """A site as it was after the first file, and as it is after more; and the vote on the first file."""

    def __init__(self, root: Path) -> None:
        self.rebuilder = PublishedRebuilder(root / "one")
        self.rebuilder.publish(FIRST)
        self.old = shutil.copytree(self.rebuilder.site, root / "old")
        self.rebuilder.publish(SECOND, reports.differs(MemoryBlobs()))
        self.site = self.rebuilder.site
        self.other = PublishedRebuilder(root / "two")
        self.other.publish(FIRST)
        vote = asked(self.site, root / "seen", remember=False)
        assert vote is not None
        self.vote = vote


def asked(site: Path, memory: Path, *, now: datetime | None = None, remember: bool = True) -> Vote | None:
    """What a site says about the first file to somebody with a memory."""
    trusted = Trusted("https://rebuilds.example.org")
    with SiteReader(str(site)) as reader:
        found = Rebuilder.open(trusted, reader, memory, now or datetime.now(UTC))
        vote = found.vote(DIGEST)
        if remember:
            found.remember(memory)
        return vote


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Genuine:
    """One for all."""
    return Genuine(tmp_path_factory.mktemp("genuine"))


@pytest.fixture
def copy(genuine: Genuine, tmp_path: Path) -> Path:
    """A copy of the whole site, to be changed."""
    return shutil.copytree(genuine.site, tmp_path / "copy", copy_function=os.link)


def changed(data: bytes, step: int) -> Iterator[bytes]:
    """The same with one byte changed, at every place or every few, and cut short."""
    for place in range(0, len(data), step):
        for other in {data[place] ^ 1, data[place] ^ 0x20}:
            yield data[:place] + bytes([other]) + data[place + 1 :]
    yield from (data[:-1], data[: len(data) // 2], b"", data + b"\n", data * 2)


def refused(site: Path, memory: Path) -> bool:
    """Whether nothing comes of it."""
    try:
        vote = asked(site, memory, remember=False)
    except (ValueError, UnavailableError):
        return True
    return vote is None


@pytest.mark.parametrize(
    ("name", "step"),
    [(f"{PLACE}/0.dsse.json", 7), (f"{PLACE}/0.tlog-proof", 1), ("log/checkpoint", 1), ("log/key", 1)],
)
def test_every_byte_counts(genuine: Genuine, copy: Path, tmp_path: Path, name: str, step: int) -> None:
    """A statement, a proof, a checkpoint or a key of a log with one byte changed is refused."""
    file = copy / name
    data = file.read_bytes()
    accepted, count = [], 0
    for wrong in changed(data, step):
        file.unlink()
        file.write_bytes(wrong)
        count += 1
        if not refused(copy, tmp_path / "seen"):
            accepted.append(wrong)
    assert count > 100
    # A key is one word, and blanks around a word change nothing.
    assert [] == [each for each in accepted if each.strip() != data.strip() or name != "log/key"]


@pytest.mark.parametrize(("name", "step"), [("index.json", 1), ("key", 1)])
def test_hints_cannot_make_another_answer(genuine: Genuine, copy: Path, tmp_path: Path, name: str, step: int) -> None:
    """A changed list of statements, or public key, gives the genuine answer or none."""
    file = copy / PLACE / name if name == "index.json" else copy / f"keys/{genuine.vote.voter.key_id}.pem"
    data = file.read_bytes()
    answers: list[Vote | None] = []
    for wrong in changed(data, step):
        file.unlink()
        file.write_bytes(wrong)
        try:
            answers.append(asked(copy, tmp_path / "seen", remember=False))
        except (ValueError, UnavailableError):
            answers.append(None)
    assert len(answers) > 100
    assert [] == [each for each in answers if each not in {None, genuine.vote}]


def size_of(site: Path) -> int:
    """How many entries its log has."""
    return Checkpoint.read(Note.read((site / "log/checkpoint").read_bytes()).text).size


def test_every_byte_of_a_tile_counts(genuine: Genuine, copy: Path, tmp_path: Path) -> None:
    """Somebody who saw the log before asks for tiles: a changed one is refused."""
    asked(genuine.old, tmp_path / "seen")
    seen, size = (size_of(site) for site in (genuine.old, copy))
    file = copy / f"log/tile/0/000.p/{size}"
    data = file.read_bytes()
    known = seen * 32  # what is under the root that was seen is not looked at again
    accepted = []
    for wrong in (data[:known] + each for each in changed(data[known:], 3)):
        file.unlink()
        file.write_bytes(wrong)
        if not refused(copy, tmp_path / "seen"):
            accepted.append(wrong)
    assert accepted == []
    file.unlink()
    file.write_bytes(data)
    assert asked(copy, tmp_path / "seen") == genuine.vote


def replaced(target: Path, source: Path) -> None:
    """Put another file in the place of one."""
    target.unlink()
    target.write_bytes(source.read_bytes())


def roll_back(genuine: Genuine, copy: Path) -> None:
    """The whole site as it was earlier."""
    shutil.rmtree(copy)
    shutil.copytree(genuine.old, copy)


def half_synced(genuine: Genuine, copy: Path) -> None:
    """The newest checkpoint, and the tiles of an older one."""
    shutil.rmtree(copy / "log/tile")
    shutil.copytree(genuine.old / "log/tile", copy / "log/tile")


def half_synced_proofs(genuine: Genuine, copy: Path) -> None:
    """The list of statements arrived, and the statement did not."""
    (copy / PLACE / "0.dsse.json").unlink()


def another_site(genuine: Genuine, copy: Path) -> None:
    """The files of another rebuilder."""
    shutil.rmtree(copy)
    shutil.copytree(genuine.other.site, copy)


def another_sites_answers(genuine: Genuine, copy: Path) -> None:
    """The answers of another rebuilder below the log of this one."""
    shutil.rmtree(copy / PLACE)
    shutil.copytree(genuine.other.site / PLACE, copy / PLACE)


def another_file(genuine: Genuine, copy: Path) -> None:
    """The answer about another file."""
    digest = SECOND.artifact.sha256
    shutil.rmtree(copy / PLACE)
    shutil.copytree(copy / f"sha256/{digest[:2]}/{digest}", copy / PLACE)


def a_statement_under_another_proof(genuine: Genuine, copy: Path) -> None:
    """The proof of another statement about the file."""
    replaced(copy / PLACE / "0.tlog-proof", copy / PLACE / "1.tlog-proof")


def fork(genuine: Genuine, copy: Path) -> None:
    """Another history, signed with the same key."""
    root = copy.parent / "forked"
    forked = PublishedRebuilder(root)
    shutil.rmtree(forked.config.keys, ignore_errors=True)
    shutil.copytree(genuine.rebuilder.config.keys, forked.config.keys)
    (forked.config.keys / "log.checkpoint").unlink()
    forked.publish(reports.unsupported(MemoryBlobs()), FIRST, SECOND, reports.build_failed(MemoryBlobs()))
    shutil.rmtree(copy)
    shutil.copytree(forked.site, copy)


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        (roll_back, "cut"),
        (half_synced, "missing|forked"),
        (half_synced_proofs, "missing"),
        (another_site, "not signed by the key"),
        (another_sites_answers, "of another log"),
        (another_file, "about another file|missing"),
        (a_statement_under_another_proof, "another entry"),
        (fork, "forked|not signed by"),
    ],
)
def test_attacks_on_somebody_who_looked_before(
    genuine: Genuine, copy: Path, tmp_path: Path, attack: Callable[[Genuine, Path], None], words: str
) -> None:
    """Each is refused, and the sentence says why; what was remembered stays."""
    seen = tmp_path / "seen"
    asked(genuine.old, seen)
    if attack is not half_synced:
        asked(genuine.site, seen)
    before = {each.name: each.read_bytes() for each in seen.iterdir()}
    attack(genuine, copy)
    with pytest.raises(LogError, match=words):
        asked(copy, seen)
    assert {each.name: each.read_bytes() for each in seen.iterdir()} == before


def test_a_proof_of_a_fork_among_genuine_ones(genuine: Genuine, copy: Path, tmp_path: Path) -> None:
    """The log is genuine, and one answer is proven by another history that the same key signed."""
    other = tmp_path / "other"
    other.mkdir()
    fork(genuine, other)
    shutil.rmtree(copy / PLACE)
    shutil.copytree(other / PLACE, copy / PLACE)
    with pytest.raises(LogError, match=r"forked|of another"):
        asked(copy, tmp_path / "seen")


def test_a_clock_that_is_behind(genuine: Genuine, tmp_path: Path) -> None:
    """What was logged in the future says that one clock is wrong; hours are nothing."""
    yesterday = datetime.now(UTC) - timedelta(hours=20)
    assert asked(genuine.site, tmp_path / "seen", now=yesterday) == genuine.vote
    with pytest.raises(LogError, match="clock"):
        asked(genuine.site, tmp_path / "seen", now=datetime.now(UTC) - timedelta(days=3))


def test_the_newest_verdict_counts(genuine: Genuine, copy: Path, tmp_path: Path) -> None:
    """A file that was confirmed once and differs now is one that differs."""
    root = tmp_path / "again"
    rebuilder = PublishedRebuilder(root)
    almanac = reports.differs(MemoryBlobs())
    rebuilder.publish(identical("almanac", "2.0"))
    rebuilder.publish(almanac)
    with SiteReader(str(rebuilder.site)) as reader:
        found = Rebuilder.open(Trusted("x"), reader, tmp_path / "seen", datetime.now(UTC))
        vote = found.vote(almanac.artifact.sha256)
    assert vote is not None
    assert (vote.verdict, vote.level) == (Verdict.DIFFERS, None)
