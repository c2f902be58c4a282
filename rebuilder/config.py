"""Settings: where things are kept, which index is asked, what a build may use."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import Field, ValidationError

from rebuilder.errors import UsageError
from rebuilder.model.definition import Limits
from rebuilder.model.value import Value

APPLICATION = "rebuilder"


def _default_store() -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/rebuilder")
    return platformdirs.user_data_path(APPLICATION)


def _default_keys() -> Path:
    return configuration_directory() / "keys"


def configuration_directory() -> Path:
    """Where settings and keys live: ``/etc/rebuilder`` for root, the XDG configuration directory otherwise."""
    if os.geteuid() == 0:
        return Path("/etc/rebuilder")
    return platformdirs.user_config_path(APPLICATION)


class Config(Value):
    """All settings, each with a default that works on a fresh machine."""

    store: Path = Field(default_factory=_default_store)
    """Ledger, blobs, toolchains and caches."""
    keys: Path = Field(default_factory=_default_keys)
    """Directory of the signing key; must lie outside the store."""
    site: Path | None = None
    """Where the static site is written; below the store unless set."""
    index_url: str | None = None
    """PyPI-like index; None takes it from pip's and uv's settings."""
    builder_id: str = "tag:rebuilder,2026:self-hosted"
    """URI that names this rebuilder in its statements."""
    download_bytes: int = Field(default=512 << 20, gt=0)
    """Largest file that is downloaded."""
    limits: Limits = Limits()

    @property
    def site_directory(self) -> Path:
        """Where the site is written."""
        return self.site if self.site is not None else self.store / "site"


def load_config(path: Path | None, overrides: dict[str, Any]) -> Config:
    """Read the settings file and put what was said on the command line above it.

    Args:
        path: The file named by the user; None for the default one, which need not exist.
        overrides: Fields given otherwise; those that are None do not count.

    Raises:
        UsageError: the file is missing though named, is not TOML, or has a field that is unknown or wrong.
    """
    chosen = path or configuration_directory() / "rebuilder.toml"
    values: dict[str, Any] = {}
    try:
        values = tomllib.loads(chosen.read_text())
    except FileNotFoundError:
        if path is not None:
            raise UsageError(f"The settings file {path} does not exist.") from None
    except PermissionError:
        raise UsageError(f"The settings file {chosen} cannot be read: permission denied.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"The settings file {chosen} is not readable as TOML: {error}.") from None
    values |= {name: value for name, value in overrides.items() if value is not None}
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"The setting {field!r} in {chosen} is wrong: {first['msg']}.") from None
    return config.model_copy(
        update={
            "store": config.store.expanduser().absolute(),
            "keys": config.keys.expanduser().absolute(),
            "site": config.site.expanduser().absolute() if config.site else None,
        }
    )
