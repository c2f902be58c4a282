"""``rebuilder replay``: run published reports again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rebuilder.cli.options import AsJson

if TYPE_CHECKING:
    from rebuilder.config import Config


def replay(
    config: Config,
    reports: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[REPORT…]",
            help="report.json or its directory, by address or path; those of the capsules where none is named.",
            show_default=False,
        ),
    ] = None,
    *,
    capsule: Annotated[
        list[Path] | None, typer.Option("--capsule", help="A capsule with reports, inputs and environments.")
    ] = None,
    inputs: Annotated[
        list[Path] | None, typer.Option("--inputs", help="A directory with inputs, by name or digest.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="Public key (PEM) that must have signed; else that of the site.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Run published reports again, from their signed documents alone, and say whether the same bytes come out.

    Exit code 0: all agree; 1: one gives other bytes; 2: wrong use; 3: one could not be replayed, with what is
    missing; 4: something on our side failed.
    """
    from rebuilder.cli.replaying import replay_reports

    return replay_reports(config, reports or [], capsules=capsule or [], inputs=inputs or [], key=key, as_json=as_json)
