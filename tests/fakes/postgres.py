"""A private PostgreSQL made from Debian's packages: a temporary directory, a Unix socket, and gone with the tests."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

import psycopg
from psycopg import sql

_SETTINGS = {
    "listen_addresses": "''",
    "fsync": "off",  # the machine going down in the middle of a test is no concern
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "300",
    "autovacuum": "off",
    "lc_messages": "'C'",
}
_ACCESS = """\
local all guarded scram-sha-256
local all all trust
"""
_CLEAR = """\
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
DO $$ BEGIN
    EXECUTE (SELECT 'TRUNCATE ' || string_agg(quote_ident(tablename), ', ') || ' RESTART IDENTITY'
        FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version');
END $$
"""
# Waits until whoever holds the other end of its standard input is gone, however that ended.
_WATCH = 'cat >/dev/null; "$0" -D "$1/data" -m immediate stop >/dev/null 2>&1; rm -rf "$1"'


class Postgres:
    """A running server. As root it runs as ``nobody``, because it refuses to run as root.

    It is stopped and its directory removed when :meth:`close` is called or this process is gone.
    A role ``guarded`` needs a password (``right``); everybody else needs none.
    """

    def __init__(self) -> None:
        self._programs = _programs()
        self._unprivileged = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups") if not os.getuid() else ()
        self.directory = Path(tempfile.mkdtemp(prefix="rebuilder-postgres-"))
        self._numbers = itertools.count()
        if self._unprivileged:
            os.chown(self.directory, 65534, 65534)
        self._watch = subprocess.Popen(
            [*self._unprivileged, "sh", "-c", _WATCH, str(self._programs / "pg_ctl"), str(self.directory)],
            stdin=subprocess.PIPE,
            start_new_session=True,  # Control-C ends the tests first
        )
        self._run(self._programs / "initdb", "-N", "-U", "tests", "-E", "UTF8", "--locale=C", "--auth=trust")
        data = self.directory / "data"
        (data / "pg_hba.conf").write_text(_ACCESS)
        with (data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in _SETTINGS.items())
            file.write(f"unix_socket_directories = '{self.directory}'\n")
        self.start()
        self.administer("CREATE ROLE guarded LOGIN SUPERUSER PASSWORD 'right'")

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        self._run(self._programs / "pg_ctl", "-w", "-l", str(self.directory / "log"), "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it: ``immediate`` as if it had been killed, ``fast`` in good order."""
        self._run(self._programs / "pg_ctl", "-w", "-m", mode, "stop")

    def close(self) -> None:
        """Stop it for good and remove its directory."""
        assert self._watch.stdin is not None
        self._watch.stdin.close()
        self._watch.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def url(self, database: str, user: str = "tests") -> str:
        """Where a ledger in a database is."""
        return f"postgresql://{user}@/{database}?host={self.directory}"

    def create(self) -> str:
        """Make an empty database; give its name."""
        name = f"test{next(self._numbers)}"
        self.administer("CREATE DATABASE {} TEMPLATE template0", name)
        return name

    def clear(self, name: str) -> None:
        """End all connections to a ledger and remove its rows: ten times as quick as making another one."""
        self.administer(_CLEAR, database=name)

    def administer(self, statement: str, *names: str, database: str = "postgres") -> None:
        """Do something behind everybody's back; ``{}`` in the statement stands for a name."""
        with psycopg.connect(self._address(database), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def rows(self, database: str, query: str) -> list[tuple[object, ...]]:
        """What a query gives, read past the ledger."""
        with psycopg.connect(self._address(database)) as connection:
            return connection.execute(query).fetchall()

    def _address(self, database: str) -> str:
        return psycopg.conninfo.make_conninfo(host=str(self.directory), user="tests", dbname=database)

    def _run(self, program: Path, *arguments: str) -> None:
        command = [*self._unprivileged, str(program), "-D", str(self.directory / "data"), *arguments]
        with tempfile.TemporaryFile() as output:  # no pipe: the server would keep it open
            finished = subprocess.run(
                command, cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
            )
            output.seek(0)
            said = output.read().decode(errors="replace")
        assert finished.returncode == 0, f"{program.name} failed:\n{said}"


def _programs() -> Path:
    places = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(places, key=lambda each: int(re.sub(r"\D", "", each.parts[-3]) or 0), default=None)
    assert newest is not None, "PostgreSQL is not installed; run `apt-get install postgresql`."
    return newest.parent
