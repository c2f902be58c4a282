"""``rebuilder db``: moving the ledger from one database to another."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rebuilder.errors import UsageError
from rebuilder.model.text import visible

if TYPE_CHECKING:
    from rebuilder.config import Config
    from rebuilder.store.ledger import Ledger

db = typer.Typer(help="Move the ledger to another database.", no_args_is_help=True, rich_markup_mode=None)
_SQLITE = "sqlite:///"
NOTHING_STORED = "The first verification makes it. Is it another store? Name it with --store."
"""What to do when a command that only reads finds no ledger."""


@db.command("copy")
def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="A file or a database URL.", show_default=False)],
    target: Annotated[str, typer.Argument(metavar="TO", help="The same; it must be empty.", show_default=False)],
) -> None:
    """Copy a whole ledger, such as from SQLite to PostgreSQL.

    Nothing may be working on it meanwhile.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from rebuilder.store.ledger import copying
    from rebuilder.store.ledger.database import Database

    refuse_missing(source, hint="Name its file, or its database URL.")
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with (
        closing(Database(source, busy_seconds=20)) as old,
        closing(Database(target, busy_seconds=20)) as new,
        bar,
    ):
        shown = {}

        def progress(table: str, done: int, total: int) -> None:
            if table not in shown:
                shown[table] = bar.add_task(table, total=total)
            bar.update(shown[table], completed=done)

        copied = copying.copy(old, new, progress)
    width = max(map(len, copied))
    for table, rows in copied.items():
        print(f"{table:<{width}}  {rows:>9}")  # noqa: T201
    print(  # noqa: T201
        f"All {sum(copied.values())} rows of {old.name} are in {new.name}, counted there.\n"
        "Set `ledger` to the new address before anything runs again; the old ledger is unchanged."
    )


def open_ledger(config: Config) -> Ledger:
    """The ledger of the settings, for a command that makes none.

    Raises:
        UsageError: there is none.
        StoreError: it cannot be used.
    """
    from rebuilder.store.ledger import Ledger

    refuse_missing(config.ledger_place, hint=NOTHING_STORED)
    return Ledger.open(config.ledger_place)


def refuse_missing(place: str | Path, *, hint: str) -> None:
    """Opening would make an empty ledger where there is none, and "nothing there" would be said of a misspelt place.

    Raises:
        UsageError: it is a file, and not there. A database that is away says so itself.
    """
    if "://" not in str(place) or str(place).startswith(_SQLITE):
        file = Path(str(place).removeprefix(_SQLITE))
        if not file.exists():
            raise UsageError(f"There is no ledger {visible(str(file))}.", hint=hint)
