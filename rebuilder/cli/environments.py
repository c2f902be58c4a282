"""``rebuilder environments``: making the build environments of this store, and files of them for other machines."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from rebuilder.clock import SystemClock
from rebuilder.config import Config
from rebuilder.environments import exchange
from rebuilder.environments.catalog import catalog
from rebuilder.environments.from_settings import environment_store
from rebuilder.environments.given_image import read_provides, unpack
from rebuilder.environments.store import EnvironmentStore
from rebuilder.errors import UsageError
from rebuilder.model.environment import NAME, Made, Manifest
from rebuilder.model.settings import EnvironmentSettings
from rebuilder.model.text import visible
from rebuilder.sandbox.bubblewrap.as_root import as_root, unpacking

_UNPACKS = "trixie"
"""The build environment that images are unpacked with: it has the library for Zstandard."""


def show(config: Config) -> None:
    """Print a line for each: digest, name, what it provides, packages, when it was made, and what stands for it.

    Raises:
        BuildEnvironmentError: the store cannot be read.
    """
    for record, names in _store(config).kept_trees():
        provides = ", ".join(f"{what} {version}" for what, version in record.spec.provides.items())
        state = "in use" if record.spec.name in names else "kept by its digest"
        line = (
            f"{record.sha256}  {record.spec.name:<14} {provides:<13} "
            f"{len(record.made.packages):>3} packages  {record.made_at:%Y-%m-%d}  {state}"
        )
        print(visible(line))  # noqa: T201


def make(
    config: Config, names: Sequence[str], *, every: bool, again: bool, accept_expired: Sequence[str] | None
) -> None:
    """Make each that is named and not there yet, and print a line for it.

    Args:
        config: The settings.
        names: Of build environments.
        every: Whether all of the catalog are meant instead.
        again: Whether they are made although they are there.
        accept_expired: Releases of Debian that are used although expired; None: as the settings say.

    Raises:
        UsageError: neither names nor all of them were asked for, or both; or a release has no such name.
        BuildEnvironmentError: one cannot be made.
    """
    if bool(names) == every:
        raise UsageError("What is to be made is not said.", hint="Give either names of build environments, or --all.")
    settings = config.environments
    if accept_expired is not None:
        try:
            settings = EnvironmentSettings.model_validate({**settings.described, "accept_expired": accept_expired})
        except ValidationError as error:
            raise UsageError(f"--accept-expired: {error.errors()[0]['ctx']['error']}.") from None
    store = _store(config.replace(environments=settings))
    for name in catalog() if every else names:
        begun = time.monotonic()
        made = store.remake(name) if again else store.get(name)
        provided = ", ".join(f"{what.title()} {version}" for what, version in made.provides.items())
        seconds = time.monotonic() - begun
        print(f"{name}: {made.sha256}, {provided}, {len(made.summary.packages)} packages, {seconds:.2f} s")  # noqa: T201
        for note in made.summary.notes:
            print(f"  {note}", file=sys.stderr)  # noqa: T201


def export(config: Config, sha256: str, file: Path) -> None:
    """Write one into a file.

    Raises:
        UsageError: the file is there, or cannot be made.
        BuildEnvironmentError: there is no such environment here, or it was modified.
    """
    _store(config).export(sha256, file)
    print(f"{sha256} is in {visible(str(file))}, {file.stat().st_size} bytes.")  # noqa: T201


def import_(config: Config, file: Path, *, name: str | None = None, provides: str | None = None) -> None:
    """Take one in from a file: what :func:`export` wrote, a container image, or a root file system.

    Args:
        config: The settings.
        file: The file.
        name: What an image is called from now on.
        provides: What an image provides, beside what is found inside.

    Raises:
        UsageError: the file is none of them, or one that is not taken; nothing of it is kept.
        BuildEnvironmentError: it cannot be stored.
    """
    if name is not None and not NAME.fullmatch(name):
        raise UsageError(
            f"{name[:70]!r} cannot name a build environment.", hint="Use lower-case letters, digits, - and ."
        )
    told = read_provides(provides) if provides is not None else {}
    store = _store(config)
    try:
        source = file.open("rb")
        exported = exchange.begins(source)
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
    return environment_store(
        config.store / "toolchains",
        SystemClock(),
        settings=config.environments,
        interpreters=config.interpreters,
        report=lambda what: print(what, file=sys.stderr),  # noqa: T201
        as_root=as_root,
    )
