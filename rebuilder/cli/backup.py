"""``rebuilder backup`` and ``rebuilder restore``: the state of a store in a directory, and a store out of one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rebuilder.errors import StoreError, UsageError
from rebuilder.model.text import visible

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
    from rebuilder.cli.db import NOTHING_STORED, refuse_missing
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
