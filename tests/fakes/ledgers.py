"""New ledgers in no time: the tables are made once and copied; and one of an older version."""

from __future__ import annotations

import sqlite3
import tempfile
from functools import cache
from pathlib import Path

from rebuilder.store.ledger import Ledger

OLDEST = Path(__file__).parents[1] / "assets" / "ledgers" / "0005.sqlite.sql"


@cache
def _empty() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "ledger.sqlite"
        Ledger.open(path).close()
        return path.read_bytes()


def lay_down(path: Path) -> None:
    """Put an empty ledger there, unless there is one."""
    if not path.exists():
        path.write_bytes(_empty())


def open_ledger(path: Path) -> Ledger:
    """Open the ledger there, which is an empty one if there was none."""
    lay_down(path)
    return Ledger.open(path)


def lay_down_oldest(path: Path) -> None:
    """Put there the ledger that the oldest version that is brought up to date made, with all that is in it."""
    connection = sqlite3.connect(path)
    connection.executescript(OLDEST.read_text())
    connection.close()
