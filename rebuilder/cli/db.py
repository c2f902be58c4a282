"""``rebuilder db``, ``backup`` and ``restore``: the ledger in another database, the state of a store in a directory."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rebuilder.errors import StoreError, UsageError
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


if TYPE_CHECKING:
    from rebuilder.config import Config
    from rebuilder.service.backup import StorePlaces

_Place = Annotated[
    Path, typer.Argument(metavar="DIRECTORY", help="Of the backup, outside the store.", show_default=False)
]

_MOST_LINES = 20


def backup(config: Config, place: _Place) -> None:
    """Copy the ledger, the blobs and the build environments; the service may run meanwhile.

    Into a directory with an earlier backup, only what is new is copied. Keys and settings are not: keep those apart.
    """
    from rebuilder.clock import SystemClock
    from rebuilder.service.backup import back_up

    refuse_missing(config.ledger_place, hint=NOTHING_STORED)
    done = back_up(_places(config), _outside(config, place), SystemClock().now(), _report)
    print(  # noqa: T201
        f"{visible(str(place))} has the ledger of {done.index.made_at:%Y-%m-%d %H:%M} UTC ({done.index.rows:,} rows), "
        f"{done.copied + done.present:,} blobs ({done.copied:,} new) and "
        f"{len(done.index.environments)} build environments ({done.environments} new)."
    )
    if done.damaged:
        for each in done.damaged[:_MOST_LINES]:
            print(visible(each), file=sys.stderr)  # noqa: T201
        if len(done.damaged) > _MOST_LINES:
            print(f"… and {len(done.damaged) - _MOST_LINES} more.", file=sys.stderr)  # noqa: T201
        raise StoreError(
            f"{len(done.damaged)} things that the store should have are damaged or gone; all else is in the backup.",
            hint="Look for them in an earlier backup; another verification fetches or builds what can be had again.",
        )


def restore(config: Config, place: _Place) -> None:
    """Make an empty store what it was when a backup was made; nothing may use it meanwhile."""
    from rebuilder.service.backup import restore as put_back

    done = put_back(_outside(config, place), _places(config), _report)
    print(  # noqa: T201
        f"The store {visible(str(config.store))} is that of {done.index.made_at:%Y-%m-%d %H:%M} UTC: "
        f"{done.index.rows:,} rows, {done.copied + done.present:,} blobs, {len(done.index.environments)} build "
        "environments.\nNext: put the keys back, then `rebuilder doctor`, `rebuilder log recover` with the site as it "
        "was published (what was signed after the backup stays logged), and `rebuilder publish`."
    )


def _report(what: str) -> None:
    print(f"copying {what}", file=sys.stderr)  # noqa: T201


def _outside(config: Config, place: Path) -> Path:
    """The directory, where it is not one that the store or the site would take along."""
    from rebuilder.errors import UsageError

    found = place.resolve()
    for other in (config.store, config.site_directory, config.keys):
        if found.is_relative_to(other.resolve()) or other.resolve().is_relative_to(found):
            raise UsageError(f"{place} and {other} would lie in each other.", hint="Name another directory.")
    return found


def _places(config: Config) -> StorePlaces:
    from rebuilder.clock import SystemClock
    from rebuilder.environments.store import EnvironmentStore
    from rebuilder.service.backup import StorePlaces

    return StorePlaces(
        ledger=config.ledger_place,
        blobs=config.store / "blobs",
        environments=EnvironmentStore(config.store / "toolchains", SystemClock()),
        lists=config.store / "debian",
    )
