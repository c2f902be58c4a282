"""``rebuilder trust``: whom the program believes, and replacing that by something newer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rebuilder.cli.options import with_settings
from rebuilder.errors import StoreError, UsageError

if TYPE_CHECKING:
    from rebuilder.config import Config

trust = typer.Typer(
    help="Show or refresh whom attestations are judged by.", no_args_is_help=True, rich_markup_mode=None
)


@with_settings(trust.command("show"))
def show(config: Config) -> None:
    """Print the authorities, logs and keys in use.

    With their periods, their digests and where they are from.
    """
    from rebuilder.model.value import sha256_hex
    from rebuilder.provenance.trust.authorities import describe
    from rebuilder.provenance.trust.files import load, shipped

    place = config.trust_in_use
    root = load(place) if place is not None else shipped()
    print(f"This is {_origin(place)}.")  # noqa: T201
    for data in (root.trusted_root, root.npm_keys):
        try:
            part, entries = describe(data, "The trust root in use")
        except UsageError as error:
            raise StoreError(str(error), hint="Refresh the trust root as docs/trust.md says.") from None
        print(f"\n{part}: SHA-256 {sha256_hex(data)}")  # noqa: T201
        for entry in entries:
            print(f"  {entry}")  # noqa: T201


@with_settings(trust.command("update"))
def update(
    config: Config,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A Sigstore trusted_root.json, or the registry's keys.json.", show_default=False
        ),
    ],
) -> None:
    """Take a newer trust root into use and print what changed.

    Read docs/trust.md first. Exit code 2: the file is not a trust root; nothing is changed.
    """
    from rebuilder.provenance.trust.files import update as take

    change = take(file, config.trust_directory)
    for sign, entries in (("+", change.added), ("-", change.removed)):
        for entry in entries:
            print(f"{sign} {entry}")  # noqa: T201
    if change.sha256 == change.previous_sha256:
        print(f"Nothing changed: {change.part} already has the SHA-256 {change.sha256}.")  # noqa: T201
        return
    if not change.added and not change.removed:
        print("The file is another one, but names the same authorities, logs and keys.")  # noqa: T201
    back = "take the setting trust away" if config.trust is not None else "move that directory away"
    print(  # noqa: T201
        f"{change.part} now has the SHA-256 {change.sha256} (before: {change.previous_sha256}).\n"
        f"It is kept in {config.trust_directory}; to go back to the shipped trust root, {back}.\n"
        "Check that you expected every line: docs/trust.md says how."
    )


def _origin(place: Path | None) -> str:
    if place is None:
        from rebuilder import __version__

        return f"the trust root shipped with rebuilder {__version__}"
    return f"the trust root in {place}; the one shipped with the program is not used"
