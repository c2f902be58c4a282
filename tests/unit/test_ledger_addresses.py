"""Where a ledger may be: what an address means, and that no message repeats a password."""

from __future__ import annotations

import pytest

from rebuilder.errors import UsageError
from rebuilder.store.ledger import Ledger
from rebuilder.store.ledger.database import choose
from tests.fakes.verifications import NOW, artifact


def test_a_ledger_in_memory_works() -> None:
    """Handy for tests of others: the same behaviour without a file."""
    with Ledger.open("sqlite://") as ledger:
        assert ledger.pin(artifact(), NOW).first_seen
        assert not ledger.pin(artifact(), NOW).first_seen


@pytest.mark.parametrize(
    "where",
    [
        "sqlite:/\\://",
        "sqlite+aiosqlite:///x",
        "nonsense://user:secret@127.0.0.1/x",
        "mysql://user:secret@127.0.0.1/x",
        "postgresql+psycopg2://user:secret@127.0.0.1/x",
        "postgresql://user:secret@127.0.0.1:port/x",
        "postgresql://user:se@cret@127.0.0.1/x",
        "postgresql://user:s@se/cret@127.0.0.1/x",
        "postgres ql://user:secret@127.0.0.1/x",
    ],
)
def test_other_addresses_are_refused_in_a_sentence(where: str) -> None:
    """What is not supported is said, not tried; the address is not repeated, for there may be a password in it."""
    with pytest.raises(UsageError) as raised:
        Ledger.open(where)
    assert raised.value.hint
    assert "cret" not in f"{raised.value}{raised.value.hint}"


@pytest.mark.parametrize(
    ("where", "name"),
    [
        ("/var/lib/x.sqlite", "/var/lib/x.sqlite"),
        ("postgresql://user:secret@db.example.org:5433/x", "postgresql://user@db.example.org:5433/x"),
        ("postgres://user:secret@db.example.org/x?sslmode=require", "postgresql://user@db.example.org/x"),
        ("postgresql+psycopg:///x?host=/run/p&password=secret", "postgresql:///x?host=/run/p"),
    ],
)
def test_messages_name_the_place_without_its_password(where: str, name: str, tmp_path: object) -> None:
    """What an operator needs to find the database, and nothing more."""
    dialect = choose(where.replace("/var/lib", str(tmp_path)), busy_seconds=1)
    assert name.replace("/var/lib", str(tmp_path)) == dialect.name
    dialect.liveness.close()
