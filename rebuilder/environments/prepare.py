"""``python -m rebuilder.environments.prepare --root DIR NAME…``: make build environments ahead of their first use."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from rebuilder.environments.catalog import catalog
from rebuilder.environments.from_settings import environment_store
from rebuilder.errors import ExitCode, RebuilderError
from rebuilder.model.settings import EnvironmentSettings


class _Now:
    def now(self) -> datetime:
        return datetime.now(UTC)


def main(arguments: Sequence[str]) -> int:
    """Make each build environment that is named and not there yet; one line for each on standard output."""
    parser = argparse.ArgumentParser(prog="python -m rebuilder.environments.prepare", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="directory to keep them in")
    parser.add_argument("--remake", action="store_true", help="make them again from what the archive has now")
    parser.add_argument(
        *("--accept-expired", "-e"),
        action="append",
        metavar="SUITE",
        help="use this release of Debian although its signed state has expired, and no other; may be repeated",
    )
    parser.add_argument("--all", action="store_true", help="make every one that has a name of its own here")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args(arguments)
    if bool(options.names) == options.all:
        parser.error("it needs either names or --all")
    try:
        settings = EnvironmentSettings(accept_expired=options.accept_expired)
    except ValidationError as error:
        parser.error(f"argument --accept-expired: {error.errors()[0]['ctx']['error']}")
    store = environment_store(
        options.root,
        _Now(),
        settings=settings,
        report=lambda what: print(what, file=sys.stderr),  # noqa: T201
    )
    for name in options.names or catalog():
        begun = time.monotonic()
        try:
            environment = store.remake(name) if options.remake else store.get(name)
        except RebuilderError as error:
            print(error, f"{error.hint}" if error.hint else "", sep="\n", file=sys.stderr)  # noqa: T201
            return error.exit_code
        seconds = time.monotonic() - begun
        provided = ", ".join(f"{what.title()} {version}" for what, version in environment.provides.items())
        print(  # noqa: T201
            f"{name}: sha256 {environment.sha256}, {provided}, "
            f"{len(environment.summary.packages)} packages, {seconds:.2f} s"
        )
        for note in environment.summary.notes:
            print(f"  {note}", file=sys.stderr)  # noqa: T201
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
