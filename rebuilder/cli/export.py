"""``rebuilder export``: what is published, as one file to carry elsewhere: statements, or all that builds need."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rebuilder.cli.options import Settings, Store
from rebuilder.errors import StoreError, UsageError


def export(
    places: Annotated[
        list[str],
        typer.Argument(
            metavar="SITE|REPORT…",
            help="The address or directory of a site; with --capsule, those of reports.",
            show_default=False,
        ),
    ],
    *,
    lock_file: Annotated[
        list[Path] | None,
        typer.Option("--for", metavar="LOCKFILE", help="What `rebuilder check` is to be asked about; may be repeated."),
    ] = None,
    capsule: Annotated[
        bool, typer.Option("--capsule", help="All that running these reports again needs, for `rebuilder replay`.")
    ] = False,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The file; it must not exist yet. A capsule may be a directory, too."),
    ],
    key: Annotated[
        Path | None, typer.Option("--key", help="Of a capsule: public key that must have signed; else the site's.")
    ] = None,
    store: Store = None,
    config: Settings = None,
) -> None:
    """Write all statements about the files of a lock file, with their proofs and keys, into one file.

    `rebuilder check LOCKFILE --rebuilder FILE` needs no network then. With --capsule: all that running reports again
    needs, into a file whose name ends in .tar, or a directory that may have a capsule already;
    `rebuilder replay --capsule FILE` needs no network then. The bytes are the same each time.
    """
    if capsule and not lock_file:
        from rebuilder.cli.replaying import write_capsule
        from rebuilder.config import load_config

        write_capsule(load_config(config, {"store": store}), places, output, key)
    elif capsule or len(places) != 1 or not lock_file:
        raise UsageError(
            "What is to be exported is not said.",
            hint="Either one site and what it is for (--for requirements.txt), or reports with --capsule.",
        )
    else:
        _write_bundle(places[0], lock_file, output)


def _write_bundle(site: str, lock_files: list[Path], output: Path) -> None:
    from rebuilder.consumer.bundle import write_bundle
    from rebuilder.consumer.lock_files import dependencies
    from rebuilder.consumer.platform_files import Target
    from rebuilder.network.site_reader import SiteReader

    wanted = [each for file in lock_files for each in dependencies(file, Target(every=True))]
    digests = dict.fromkeys(file.digest for each in wanted for file in each.files if file.digest is not None)
    if output.exists():
        raise UsageError(f"There is something at {str(output)!r} already.")
    with SiteReader(site) as reader:
        try:
            count = write_bundle(reader, list(digests), output)
        except ValueError as error:
            raise UsageError(f"The site cannot be exported: {error}") from None
        except OSError as error:
            raise StoreError(f"{output} cannot be written: {error.strerror}.") from None
    typer.echo(f"{count} of {len(digests)} files have an answer; all of it is in {output}")
