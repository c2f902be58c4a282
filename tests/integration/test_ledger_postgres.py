"""The ledger on a PostgreSQL that is away, wrong, busy, or restarted in the middle of work."""

from __future__ import annotations

import importlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from rebuilder.errors import StoreError
from rebuilder.model.comparison import Level
from rebuilder.store.ledger import Ledger, tables
from rebuilder.store.ledger.liveness import SessionLiveness, process_of
from tests.fakes.postgres import Postgres
from tests.fakes.processes import fork
from tests.fakes.verifications import NOW, artifact, attempt, digest, report, signed

_Answer = TypeVar("_Answer")
PROCESSES, VERIFICATIONS, RESTARTS = 4, 30, 4


@pytest.fixture
def name(postgres: Postgres) -> str:
    """Name of an empty database."""
    return postgres.create()


@pytest.fixture
def own_server() -> Iterator[Postgres]:
    """A server that a test may stop."""
    with Postgres() as server:
        yield server


def ended(*processes: int) -> list[int]:
    """Exit codes of processes, once they have ended."""
    return [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]


def open_once(place: str) -> None:
    """What a process does that only wants to know."""
    Ledger.open(place).close()


def liveness(ledger: Ledger) -> SessionLiveness:
    """Who is alive, without waiting after the start of the server."""
    found = ledger._database.liveness
    assert isinstance(found, SessionLiveness)
    found.grace_seconds = 0
    return found


def test_many_processes_make_the_tables_once(postgres: Postgres) -> None:
    """First use by several processes at the same moment: one migrates, all work."""
    importlib.import_module("alembic.command")  # loaded here, so that the processes meet at the tables
    for _ in range(4):
        place = postgres.url(postgres.create())
        assert ended(*[fork(partial(open_once, place)) for _ in range(4)]) == [0] * 4


@pytest.mark.parametrize(
    ("where", "sentence", "hint"),
    [
        ("postgresql://u:secret@127.0.0.1:1/x", "postgresql://u@127.0.0.1:1/x cannot be reached", "Start the server"),
        ("postgresql:///x?host=/nowhere&password=secret", "cannot be reached", "Start the server"),
        ("postgresql://tests@/nothing?host={}", "cannot be opened .*nothing.* does not exist", "createdb"),
        ("postgresql://guarded:secret@/postgres?host={}", "cannot be opened .*password authentication", "password"),
        ("postgresql://guarded@/postgres?host={}", "cannot be .*password", ""),
    ],
)
def test_a_database_that_cannot_be_opened(postgres: Postgres, where: str, sentence: str, hint: str) -> None:
    """What the server says, in one line, with what to do; the password nowhere."""
    with pytest.raises(StoreError, match=sentence) as raised:
        Ledger.open(where.format(postgres.directory))
    assert hint in str(raised.value.hint)
    assert "\n" not in str(raised.value)
    assert "secret" not in f"{raised.value}{raised.value.hint}{raised.value.__cause__}"


def test_the_right_password_opens(postgres: Postgres, name: str) -> None:
    """It is used, and no message about this ledger shows it."""
    where = f"postgresql://guarded:right@/{name}?host={postgres.directory}"
    with Ledger.open(where) as ledger, pytest.raises(StoreError) as raised:
        ledger.finish(7, signed(report(artifact(), attempt(artifact(), None))))
    assert "right" not in str(raised.value)


def test_a_database_of_another_program(postgres: Postgres, name: str) -> None:
    """No tables are made among somebody else's."""
    postgres.administer("CREATE TABLE bookmarks (url text)", database=name)
    with pytest.raises(StoreError, match=r"belongs to another program .*bookmarks"):
        Ledger.open(postgres.url(name))
    assert postgres.rows(name, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(1,)]


def test_a_ledger_of_a_newer_version(postgres: Postgres, name: str) -> None:
    """Tables we do not know are left alone."""
    Ledger.open(postgres.url(name)).close()
    postgres.administer("UPDATE alembic_version SET version_num = '9999'", database=name)
    with pytest.raises(StoreError, match=r"newer version of rebuilder .*9999"):
        Ledger.open(postgres.url(name))


def test_a_database_in_another_encoding(postgres: Postgres, name: str) -> None:
    """A name that the database cannot hold must not stop the work a year later."""
    postgres.administer("CREATE DATABASE {} ENCODING LATIN1 TEMPLATE template0", f"{name}latin")
    with pytest.raises(StoreError, match="has the encoding LATIN1") as raised:
        Ledger.open(postgres.url(f"{name}latin"))
    assert "createdb" in str(raised.value.hint)


def test_a_user_without_rights(postgres: Postgres, name: str) -> None:
    """The tables cannot be made: whose fault it is, is said."""
    postgres.administer("CREATE ROLE {} LOGIN", f"{name}guest")
    with pytest.raises(StoreError, match="cannot be used by this user") as raised:
        Ledger.open(postgres.url(name, f"{name}guest"))
    assert "owner" in str(raised.value.hint)


def test_a_read_only_copy(own_server: Postgres) -> None:
    """A standby can be read; what would be written is refused in a sentence."""
    place = own_server.url(own_server.create())
    Ledger.open(place).close()
    own_server.stop("fast")
    (own_server.directory / "data" / "standby.signal").touch()
    own_server.start()
    with Ledger.open(place) as ledger:
        for _ in range(2):
            assert ledger.latest() == []
            with pytest.raises(StoreError, match="cannot be written") as raised:
                ledger.pin(artifact(), NOW)
            assert "read-only copy" in str(raised.value.hint)


def test_a_name_that_is_too_long(postgres: Postgres, name: str) -> None:
    """PostgreSQL has a limit where SQLite has none: it is said, and the next name is taken."""
    with Ledger.open(postgres.url(name)) as ledger:
        with pytest.raises(StoreError, match="does not take a value") as raised:
            ledger.pin(artifact("".join(digest(str(each)) for each in range(200))), NOW)
        assert len(str(raised.value)) < 600
        assert ledger.pin(artifact(), NOW).first_seen


def test_a_busy_database(postgres: Postgres, name: str) -> None:
    """A writer that does not end is named as the reason after a while; readers do not wait; then work goes on."""
    with Ledger.open(postgres.url(name)) as other, Ledger.open(postgres.url(name), busy_seconds=0.05) as ledger:
        with other._database.writing():
            assert ledger.latest() == []
            for _ in range(20):  # more than there are connections: none is left behind
                with pytest.raises(StoreError, match="is locked by another process"):
                    ledger.pin(artifact(), NOW)
        assert ledger.pin(artifact(), NOW).first_seen


def test_a_reader_sees_one_state(postgres: Postgres, name: str) -> None:
    """What is written in between is not seen by a transaction that has begun to read."""
    with Ledger.open(postgres.url(name)) as ledger:
        with ledger._database.reading() as connection:
            before = connection.execute(tables.artifact.select()).all()
            ledger.pin(artifact(), NOW)
            assert connection.execute(tables.artifact.select()).all() == before == []
        assert not ledger.pin(artifact(), NOW).first_seen


def test_a_killed_process_is_not_alive(postgres: Postgres, name: str) -> None:
    """The next one on the same artifact takes over; what was tried stays."""
    place, of = postgres.url(name), artifact()

    def die() -> None:
        ledger = Ledger.open(place)
        ledger.add_attempt(ledger.begin(of, NOW), 0, attempt(of, None))
        os.kill(os.getpid(), signal.SIGKILL)

    assert ended(fork(die)) == [-signal.SIGKILL]
    with Ledger.open(place) as ledger:
        found = liveness(ledger)
        patient(lambda: found.alive(process_of(1)) and pytest.fail("still alive"))
        second = ledger.begin(of, NOW)
        assert postgres.rows(name, "SELECT state FROM verification ORDER BY id") == [("abandoned",), ("running",)]
        assert list(ledger.recorded(1).attempts) == [attempt(of, None)]
        ledger.finish(second, signed(report(of, attempt(of, Level.IDENTICAL))))


def patient(call: Callable[[], _Answer]) -> _Answer:
    """Repeat what fails while the server is away; what else goes wrong ends the test after a while."""
    pause = threading.Event()
    for _ in range(1500):
        try:
            return call()
        except (StoreError, pytest.fail.Exception):
            pause.wait(0.02)
    return call()


def test_claims_are_taken_again(own_server: Postgres) -> None:
    """After a restart of the server nobody is taken for dead at first, and whoever lives is known again soon."""
    place = own_server.url(own_server.create())
    with Ledger.open(place) as ledger, Ledger.open(place) as other:
        number = ledger.begin(artifact(), NOW)
        own_server.stop()
        with pytest.raises(StoreError, match=r"cannot be reached|was shut down|lost its connection"):
            ledger.pin(artifact(), NOW)
        liveness(ledger).beat()  # without a server: nothing happens
        own_server.start()
        assert ledger.latest() == []
        watcher = other._database.liveness
        assert watcher.alive(process_of(number))
        liveness(ledger).beat()
        assert liveness(other).alive(process_of(number))
        ledger.fail(number, "Stopped.", NOW)
        assert not liveness(other).alive(process_of(number))


def test_claims_survive_a_lost_connection(postgres: Postgres, name: str) -> None:
    """A connection that the network or an administrator ended is made again."""
    with Ledger.open(postgres.url(name)) as ledger, Ledger.open(postgres.url(name)) as other:
        number = ledger.begin(artifact(), NOW)
        postgres.administer(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1"
        )
        patient(lambda: liveness(other).alive(process_of(number)) and pytest.fail("not ended yet"))
        liveness(ledger).beat()
        assert liveness(other).alive(process_of(number))
        ledger.finish(number, signed(report(artifact(), attempt(artifact(), None))))
        assert len(ledger.history("pypi", "idna")) == 1


def verify_patiently(ledger: Ledger, number: int, mark: str) -> None:
    """Take one of five made-up artifacts through the ledger, whatever becomes of the server meanwhile."""
    of = artifact("many", str(number % 5), digest(str(number % 5)))
    done = report(of, attempt(of, None), attempt(of, Level.IDENTICAL, umask=mark))
    patient(lambda: ledger.pin(of, NOW))
    begun = patient(lambda: ledger.begin(of, NOW))
    for ordinal, each in enumerate(done.attempts):
        patient(partial(ledger.add_attempt, begun, ordinal, each))
    patient(lambda: ledger.finish(begun, signed(done)))


def test_a_restart_in_the_middle_of_work(own_server: Postgres) -> None:
    """Several processes verify the same artifacts while the server is killed again and again: nothing lost or twice."""
    name = own_server.create()
    place = own_server.url(name)
    Ledger.open(place).close()
    told, tell = os.pipe()

    def several(process: int) -> None:
        with Ledger.open(place) as ledger:
            for number in range(VERIFICATIONS):
                verify_patiently(ledger, number, mark=f"{process}{number:03}")
                os.write(tell, b".")

    processes = [fork(partial(several, each)) for each in range(PROCESSES)]
    total = PROCESSES * VERIFICATIONS
    for _ in range(RESTARTS):
        assert len(os.read(told, 1)) == 1
        for _ in range(total // RESTARTS // 2):
            os.read(told, 1)
        own_server.stop()
        own_server.start()
    assert ended(*processes) == [0] * PROCESSES
    os.close(told)
    os.close(tell)
    with Ledger.open(place) as ledger:
        rows = ledger.history("pypi", "many")
        assert len(rows) == total
    names = own_server.rows(
        name, "SELECT hypothesis FROM attempt JOIN signed USING (verification_id) WHERE ordinal = 1"
    )
    assert len(set(names)) == total
    assert own_server.rows(name, "SELECT count(*) FROM verification WHERE state = 'abandoned'") == [(0,)]
    assert own_server.rows(name, "SELECT count(*) FROM artifact") == [(5,)]


def test_the_server_of_the_tests_goes_with_them() -> None:
    """A test run that is killed leaves neither a server nor its directory."""
    told, tell = os.pipe()

    def die() -> None:
        os.write(tell, str(Postgres().directory).encode())
        os.kill(os.getpid(), signal.SIGKILL)

    assert ended(fork(die)) == [-signal.SIGKILL]
    directory = Path(os.read(told, 1000).decode())
    patient(lambda: directory.exists() and pytest.fail("still there"))
    os.close(told)
    os.close(tell)
