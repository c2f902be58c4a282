"""Several processes on one store, and processes that are killed: nothing is lost, nothing is half done."""

from __future__ import annotations

import importlib
import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from rebuilder.model.comparison import Level
from rebuilder.model.value import sha256_hex
from rebuilder.signing.keys import FileKey
from rebuilder.store.blobs import DiskBlobs
from rebuilder.store.ledger import Ledger
from tests.fakes.processes import fork
from tests.fakes.verifications import NOW, artifact, attempt, report, signed

KILLS = 30


def at_once(*works: Callable[[], object]) -> list[int]:
    """Do things in processes of their own, all started by one signal; give their exit codes."""
    ready, go = os.pipe()

    def wait_and(work: Callable[[], object]) -> Callable[[], object]:
        def started() -> object:
            os.close(go)
            os.read(ready, 1)  # ends when the parent closes its side
            return work()

        return started

    processes = [fork(wait_and(work)) for work in works]
    os.close(go)
    codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
    os.close(ready)
    return codes


def verify(store: Path, number: int, tell: Callable[[], object] = lambda: None) -> None:
    """Take one made-up artifact through blobs and ledger as the pipeline does."""
    of = artifact("many", str(number % 5), sha256_hex(str(number % 5).encode()))
    with Ledger.open(store / "ledger.sqlite") as ledger:
        ledger.pin(of, NOW)
        tell()
        begun = ledger.begin(of, NOW)
        done = report(of, attempt(of, None), attempt(of, Level.IDENTICAL))
        for ordinal, each in enumerate(done.attempts):
            tell()
            DiskBlobs(store / "blobs").put(f"log {number} {ordinal}".encode() * 5000)
            ledger.add_attempt(begun, ordinal, each)
        tell()
        ledger.finish(begun, signed(done))
        tell()


def test_two_processes_make_the_tables_once(tmp_path: Path) -> None:
    """First use by several processes at the same moment: one migrates, all work."""
    importlib.import_module("alembic.command")  # loaded here, so that the processes meet at the tables and not before
    for trial in range(8):
        place = tmp_path / str(trial) / "ledger.sqlite"
        assert at_once(*[lambda place=place: Ledger.open(place).close()] * 4) == [0] * 4


def test_processes_share_one_store(tmp_path: Path) -> None:
    """Four processes verify the same artifacts at once; every verification and every blob is there."""
    Ledger.open(tmp_path / "ledger.sqlite").close()

    def several() -> None:
        for number in range(10):
            verify(tmp_path, number)

    assert at_once(*[several] * 4) == [0] * 4
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        assert len(ledger.latest()) == 5
        assert len(ledger.history("pypi", "many")) == 40
    blobs = DiskBlobs(tmp_path / "blobs")
    stored = [each.name for each in (tmp_path / "blobs").glob("??/*")]
    assert len(stored) == 20
    assert [blobs.path(each).name for each in stored] == stored
    assert list((tmp_path / "blobs" / "incoming").iterdir()) == []


def test_processes_make_one_key(tmp_path: Path) -> None:
    """First use by several processes at the same moment: all sign with the key that stays."""
    for trial in range(10):
        place = tmp_path / str(trial) / "signing.pem"

        def use(place: Path = place) -> None:
            signer = FileKey.open(place, store=tmp_path / "store")
            (place.parent / f"{os.getpid()}.seen").write_text(signer.key_id)

        assert at_once(use, use, use) == [0, 0, 0]
        seen = {each.read_text() for each in place.parent.glob("*.seen")}
        assert seen == {FileKey.open(place, store=tmp_path / "store").key_id}
        assert {each.suffix for each in place.parent.iterdir()} == {".pem", ".seen"}


def test_a_verification_whose_process_is_gone_is_abandoned(tmp_path: Path) -> None:
    """The next one on the same artifact takes over; what was tried stays; other artifacts are left alone."""
    place = tmp_path / "ledger.sqlite"
    of = artifact()

    def die() -> None:
        ledger = Ledger.open(place)
        number = ledger.begin(of, NOW)
        ledger.begin(artifact("other", "1"), NOW)
        ledger.add_attempt(number, 0, attempt(of, None))
        os.kill(os.getpid(), signal.SIGKILL)

    os.waitpid(fork(die), 0)
    with Ledger.open(place) as ledger:
        assert states(place) == ["running", "running"]
        second = ledger.begin(of, NOW)
        assert states(place) == ["abandoned", "running", "running"]
        assert list(ledger.recorded(1).attempts) == [attempt(of, None)]
        ledger.finish(second, signed(report(of, attempt(of, Level.IDENTICAL))))
        assert len(ledger.history("pypi", of.name)) == 1


def states(place: Path) -> list[str]:
    """State of every verification, in order."""
    connection = sqlite3.connect(place)
    rows = [row[0] for row in connection.execute("SELECT state FROM verification ORDER BY id")]
    connection.close()
    return rows


def test_killing_at_any_point_leaves_a_store_that_goes_on(tmp_path: Path) -> None:
    """A writer is killed at random moments, the making of the tables included; each time the store is whole."""
    chance = random.Random(7)  # noqa: S311 - which moments are tried is no secret
    place = tmp_path / "ledger.sqlite"
    finished = 0
    for trial in range(KILLS):
        finished += kill_a_writer(tmp_path, steps=chance.randrange(12), delay=chance.random() * 0.01)
        check_whole(tmp_path)
        if trial % 10 == 9:
            verify(tmp_path, trial)
            finished += 1
    with Ledger.open(place) as ledger:
        assert len(ledger.history("pypi", "many")) >= finished > KILLS // 3
        for number in range(5):
            verify(tmp_path, number)
    assert list((tmp_path / "blobs" / "incoming").iterdir()) == []
    assert "running" not in states(place)


def kill_a_writer(store: Path, *, steps: int, delay: float) -> int:
    """Let a process verify artifact after artifact and kill it some time after a step; how many it had finished."""
    told, tell = os.pipe()

    def write() -> None:
        os.close(told)
        for number in range(1000):
            verify(store, number, lambda: os.write(tell, b"."))

    process = fork(write)
    os.close(tell)
    for _ in range(steps):
        os.read(told, 1)
    until = time.perf_counter() + delay
    while time.perf_counter() < until:
        pass
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    steps += len(os.read(told, 1 << 16))
    os.close(told)
    return steps // 5  # one verification tells five times, the last time after it is stored


def check_whole(store: Path) -> None:
    """No page is damaged, no verdict lacks its report, no blob is half there."""
    with Ledger.open(store / "ledger.sqlite") as ledger:
        rows = ledger.history("pypi", "many")
        assert rows
        for row in rows:
            stored = ledger.signed_report(row)
            assert stored is not None
            assert stored.report.artifact.sha256 == row.sha256
    connection = sqlite3.connect(store / "ledger.sqlite")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()
    blobs = DiskBlobs(store / "blobs")
    modes = {blobs.path(each.name).stat().st_mode for each in (store / "blobs").glob("??/*")}
    assert {0o100444} == modes
