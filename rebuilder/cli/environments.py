"""``rebuilder environments``: the build environments of this store, as files for a backup or for another machine."""

from __future__ import annotations

from pathlib import Path

from rebuilder.clock import SystemClock
from rebuilder.config import Config
from rebuilder.environments.from_settings import environment_store
from rebuilder.environments.store import EnvironmentStore
from rebuilder.model.text import visible


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


def export(config: Config, sha256: str, file: Path) -> None:
    """Write one into a file.

    Raises:
        UsageError: the file is there, or cannot be made.
        BuildEnvironmentError: there is no such environment here, or it was modified.
    """
    _store(config).export(sha256, file)
    print(f"{sha256} is in {visible(str(file))}, {file.stat().st_size} bytes.")  # noqa: T201


def import_(config: Config, file: Path) -> None:
    """Take one in from a file.

    Raises:
        UsageError: the file is no export; nothing of it is kept.
        BuildEnvironmentError: it cannot be stored.
    """
    found = _store(config).import_(file)
    print(visible(f"{found.sha256} is here: what was made as {found.name}; reports that name it can be run again."))  # noqa: T201


def _store(config: Config) -> EnvironmentStore:
    return environment_store(
        config.store / "toolchains",
        SystemClock(),
        settings=config.environments,
        interpreters=config.interpreters,
    )
