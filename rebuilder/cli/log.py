"""``rebuilder log``: an auditor's check of a published log, its key, and taking back what a restored ledger lacks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rebuilder.cli.options import with_settings
from rebuilder.errors import StoreError, UsageError

if TYPE_CHECKING:
    from rebuilder.config import Config

log_commands = typer.Typer(
    help="Check a published log, print the key of ours, or mend it.", no_args_is_help=True, rich_markup_mode=None
)


@log_commands.command("verify")
def log_verify(
    site: Annotated[str, typer.Argument(metavar="SITE", help="Its directory or its address.", show_default=False)],
    *,
    key: Annotated[
        str | None, typer.Option("--key", help="The key of the log, one word; without it the first one seen counts.")
    ] = None,
    log_policy: Annotated[
        Path | None,
        typer.Option("--log-policy", help="Which logs and cosignatures count (C2SP tlog-policy).", show_default=False),
    ] = None,
    statements: Annotated[bool, typer.Option("--statements", help="Check every statement that it names, too.")] = False,
    seen: Annotated[
        Path | None, typer.Option("--seen", help="Directory that remembers what was seen.", show_default=False)
    ] = None,
) -> None:
    """Check the whole append-only log of a site, and that it goes on from what was seen before.

    Exit code 1: it is not whole, was changed, or was cut; or its list of keys expired.
    """
    from rebuilder.consumer.auditor import verify
    from rebuilder.consumer.policy import read_log_policy

    wanted = read_log_policy(log_policy) if log_policy is not None else None
    raise typer.Exit(verify(site, key=key, statements=statements, seen=seen, log_policy=wanted))


@with_settings(log_commands.command("key"), "store", "site")
def show_key(config: Config) -> None:
    """Print the key of our log, for those who check it."""
    from rebuilder.log.entry import KEY
    from rebuilder.log.seen import text_of

    try:
        print(text_of((config.site_directory / KEY).read_bytes()))  # noqa: T201
    except OSError:
        raise UsageError("There is no log yet.", hint="The first verdict that is published makes it.") from None


@with_settings(log_commands.command("recover"), "store", "keys", "site")
def recover(
    config: Config,
    published: Annotated[
        str | None, typer.Argument(metavar="[SITE]", help="Normally the directory of the site.", show_default=False)
    ] = None,
) -> None:
    """After a ledger was restored from a backup: take back what was published since."""
    from rebuilder.network.site_reader import SiteReader
    from rebuilder.wiring import publishing

    with publishing(config) as signer, SiteReader(published or str(config.site_directory)) as site:
        try:
            count = signer.log.take_back(site.reading(""))
        except ValueError as error:
            raise StoreError(f"The published log cannot be taken back: {error}") from None
    print(f"{count:,} {'entry was' if count == 1 else 'entries were'} taken back; the log goes on from there.")  # noqa: T201
