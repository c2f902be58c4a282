"""``rebuilder export``: what a site says about some files as one file, for machines without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rebuilder.errors import StoreError, UsageError


def export(
    site: Annotated[str, typer.Argument(metavar="SITE", help="Its address or its directory.", show_default=False)],
    *,
    lock_file: Annotated[
        list[Path] | None,
        typer.Option("--for", metavar="LOCKFILE", help="What `rebuilder check` is to be asked about; may be repeated."),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file; it must not exist yet.")],
) -> None:
    """Write all statements about the files of a lock file, with their proofs and keys, into one file.

    `rebuilder check LOCKFILE --rebuilder FILE` needs no network then. The bytes are the same for the same log.
    """
    from rebuilder.consumer.bundle import write_bundle
    from rebuilder.consumer.lock_files import dependencies
    from rebuilder.consumer.platform_files import Target
    from rebuilder.network.site_reader import SiteReader
    from rebuilder.toml_files import FileError

    if not lock_file:
        raise UsageError("Nothing is to be exported.", hint="Name what it is for: --for requirements.txt")
    target = Target(every=True)
    try:
        wanted = [each for file in lock_file for each in dependencies(file, target)]
    except FileError as error:
        raise UsageError(error.remark.label) from None
    digests = dict.fromkeys(file.sha256 for each in wanted for file in each.files if file.sha256 is not None)
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
