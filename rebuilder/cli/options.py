"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Store = Annotated[
    Path | None,
    typer.Option(
        "--store", envvar="REBUILDER_STORE", help="Directory of the ledger, the blobs and the build environments."
    ),
]
Keys = Annotated[
    Path | None,
    typer.Option("--keys", envvar="REBUILDER_KEYS", help="Directory of the signing key, outside the store."),
]
SiteDirectory = Annotated[
    Path | None, typer.Option("--site", envvar="REBUILDER_SITE", help="Directory the static site is written to.")
]
Settings = Annotated[Path | None, typer.Option("--config", envvar="REBUILDER_CONFIG", help="Settings file (TOML).")]
Schedules = Annotated[
    Path | None,
    typer.Option("--schedules", envvar="REBUILDER_SCHEDULES", help="Directory of the files that say what to watch."),
]
Log = Annotated[str, typer.Option("--log", help="How the log is written: text or json.")]
Index = Annotated[
    str | None,
    typer.Option("--index-url", help="Package index to ask; normally taken from the settings of pip and uv."),
]
