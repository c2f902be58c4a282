"""``rebuilder environments``: making the build environments of this store, and files of them for other machines."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rebuilder.cli.options import with_settings
from rebuilder.errors import UsageError
from rebuilder.model.text import visible

if TYPE_CHECKING:
    from rebuilder.config import Config
    from rebuilder.environments.store import EnvironmentStore
    from rebuilder.model.environment import Made, Manifest

environments = typer.Typer(
    help="List, make, export or import build environments.", no_args_is_help=True, rich_markup_mode=None
)
_UNPACKS = "trixie"
"""The build environment that images are unpacked with: it has the library for Zstandard."""


@with_settings(environments.command("list"), "store")
def show(config: Config) -> None:
    """List the build environments of the store, with their digests."""
    for record, names in _store(config).kept_trees():
        provides = ", ".join(f"{what} {version}" for what, version in record.spec.provides.items())
        state = "in use" if record.spec.name in names else "kept by its digest"
        state = state if record.base is None else f"lies over {record.base[:16]}"
        line = (
            f"{record.sha256}  {record.spec.name:<14} {provides:<13} "
            f"{len(record.made.packages):>3} packages  {record.made_at:%Y-%m-%d}  {state}"
        )
        print(visible(line))  # noqa: T201


@with_settings(environments.command("make"), "store")
def make(
    config: Config,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME…", show_default=False)] = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Make every one that comes with this program, but those with a compiler.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Make them from what the archive has now.")] = False,
    accept_expired: Annotated[
        list[str] | None,
        typer.Option(
            "--accept-expired",
            metavar="SUITE",
            help="Use this release although its signed state expired; no other.",
        ),
    ] = None,
) -> None:
    """Make build environments ahead of their first use; those that are there already are checked."""
    from pydantic import ValidationError

    from rebuilder.environments.catalog import usual
    from rebuilder.model.settings import EnvironmentSettings

    if bool(names) == every:
        raise UsageError("What is to be made is not said.", hint="Give either names of build environments, or --all.")
    settings = config.environments
    if accept_expired is not None:
        try:
            settings = EnvironmentSettings.model_validate({**settings.described, "accept_expired": accept_expired})
        except ValidationError as error:
            raise UsageError(f"--accept-expired: {error.errors()[0]['ctx']['error']}.") from None
    store = _store(config.replace(environments=settings))
    for name in names or usual():
        begun = time.monotonic()
        made = store.remake(name) if again else store.get(name)
        words = [f"{what.title()} {version}" for what, version in made.provides.items()]
        words += [f"{len(made.summary.packages)} packages", f"{time.monotonic() - begun:.2f} s"]
        print(f"{name}: {', '.join([made.sha256, *words])}")  # noqa: T201
        for note in made.summary.notes:
            print(f"  {note}", file=sys.stderr)  # noqa: T201


@with_settings(environments.command("export"), "store")
def export(
    config: Config,
    digest: Annotated[
        str, typer.Argument(metavar="DIGEST", help="As a report names it, and as listed.", show_default=False)
    ],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="It must not exist yet.", show_default=False)],
) -> None:
    """Write a build environment into one file, for a backup or for another machine.

    The bytes are the same each time.
    """
    _store(config).export(digest, file)
    print(f"{digest} is in {visible(str(file))}, {file.stat().st_size} bytes.")  # noqa: T201


@with_settings(environments.command("import"), "store")
def import_(
    config: Config,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="An export, a container image, or a tar of a root file system.", show_default=False
        ),
    ],
    *,
    name: Annotated[str | None, typer.Option("--name", help="What an image is called from now on.")] = None,
    provides: Annotated[
        str | None,
        typer.Option(
            "--provides", metavar="WHAT=VERSION,…", help="What an image provides, beside what is found in it."
        ),
    ] = None,
) -> None:
    """Take in a build environment from a file, so that builds can use it, and reports that name its digest can be run.

    Exit code 2: the file is none, or one that is not taken; nothing of it is kept.
    """
    from rebuilder.environments import exchange
    from rebuilder.environments.given_image import read_provides, require_archive, unpack
    from rebuilder.model.environment import NAME
    from rebuilder.sandbox.bubblewrap.as_root import unpacking

    if name is not None and not NAME.fullmatch(name):
        raise UsageError(
            f"{name[:70]!r} cannot name a build environment.", hint="Use lower-case letters, digits, - and ."
        )
    told = read_provides(provides) if provides is not None else {}
    store = _store(config)
    if file.exists() and not file.is_file():
        raise UsageError(f"{file} cannot be a build environment: it is no file that has an end.")
    try:
        source = file.open("rb")
        exported = exchange.begins(source)
        if not exported:
            require_archive(source, str(file))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}.") from error
    with source:
        if exported:
            if name is not None or told:
                raise UsageError(f"{file} is an export: what it is called and provides is said in it.")
            found = store.import_from(source, str(file))
            words = f"what was made as {found.name}; reports that name it can be run again"
        else:
            base = store.get(_UNPACKS).root

            def unpacked(place: Path) -> tuple[Manifest, Made]:
                return unpack(source, str(file), place, name=name, provides=told, base=base, unpacking=unpacking)

            found = store.add(unpacked, name)
            provided = ", ".join(f"{what} {version}" for what, version in found.provides.items())
            words = f"{found.name}, with {provided or 'nothing that builds look for'}"
    for note in found.summary.notes:
        print(visible(note), file=sys.stderr)  # noqa: T201
    print(visible(f"{found.sha256} is here: {words}."))  # noqa: T201


def _store(config: Config) -> EnvironmentStore:
    from rebuilder.clock import SystemClock
    from rebuilder.environments.from_settings import environment_store
    from rebuilder.sandbox.bubblewrap.as_root import as_root

    return environment_store(
        config.store / "toolchains",
        SystemClock(),
        settings=config.environments,
        interpreters=config.interpreters,
        report=lambda what: print(what, file=sys.stderr),  # noqa: T201
        as_root=as_root,
    )
