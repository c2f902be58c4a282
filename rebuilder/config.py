"""Settings: where things are kept, which index is asked, what a build may use."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import Field, ValidationError, field_validator

from rebuilder.errors import UsageError
from rebuilder.model.definition import Limits
from rebuilder.model.provenance import Expectation, project_name
from rebuilder.model.value import Value

APPLICATION = "rebuilder"
_ATTESTED = ("pypi", "npm")
"""Ecosystems whose releases can be attested."""
_PROJECT = re.compile(r"(?:@[\w.~-]+/)?[\w.~-]+", re.ASCII)
_REPOSITORY = re.compile(r"https://[\w.-]+(?::\d+)?/[!-~]+", re.ASCII)


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


class SourceSettings(Value):
    """Where repositories are fetched from, and what one may cost."""

    mirrors: dict[str, str] = {}
    """Beginning of an https address to the address, or the absolute path, that stands for it."""
    git_bytes: int = Field(default=512 << 20, gt=0)
    """What may be downloaded for one commit."""
    git_seconds: float = Field(default=300, gt=0, allow_inf_nan=False)
    """How long one question to a repository may take."""

    @field_validator("mirrors")
    @classmethod
    def _places(cls, mirrors: dict[str, str]) -> dict[str, str]:
        """Home directories are written out; a relative path would depend on where the program is started."""
        places = {prefix: _expanded(place) for prefix, place in mirrors.items()}
        for prefix, place in places.items():
            if not prefix.startswith("https://"):
                raise ValueError(f"{prefix!r} is not the beginning of an https address")
            if not place.startswith(("/", "https://", "http://", "file:///")):
                raise ValueError(f"{place!r}, which stands for {prefix!r}, is no absolute path and no http(s) address")
        return places


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
    trust: Path | None = None
    """Directory of a trust root that is used instead of the shipped one; None: the usual place, if it exists."""
    expect: dict[str, Expectation] = {}
    """What is expected of the publisher of a project, by ``ecosystem:name`` with the normalised name."""
    sources: SourceSettings = SourceSettings()

    @field_validator("expect")
    @classmethod
    def _projects(cls, expect: dict[str, Expectation]) -> dict[str, Expectation]:
        """One spelling for each project; one that is never looked up would be worse than none."""
        found: dict[str, Expectation] = {}
        for key, expectation in expect.items():
            ecosystem, _, name = key.partition(":")
            if ecosystem not in _ATTESTED or not _PROJECT.fullmatch(name):
                raise ValueError(f'{key!r} is not a project; write it like [expect."pypi:sampleproject"]')
            project = f"{ecosystem}:{project_name(ecosystem, name)}"
            if project in found:
                raise ValueError(f"{key!r} is there twice, in two spellings")
            if expectation.repository is not None and not _REPOSITORY.fullmatch(expectation.repository):
                raise ValueError(f"the repository of {key!r} is not an address that begins with https://")
            found[project] = expectation
        return found

    @property
    def trust_directory(self) -> Path:
        """Where a trust root is kept that is used instead of the shipped one."""
        return self.trust if self.trust is not None else configuration_directory() / "trust"

    @property
    def trust_in_use(self) -> Path | None:
        """Directory of the trust root to load; None for the shipped one.

        A directory that was named must be there: it would be wrong to believe others silently.
        """
        place = self.trust_directory
        return place if self.trust is not None or place.is_dir() else None

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
            "trust": config.trust.expanduser().absolute() if config.trust else None,
        }
    )


def _expanded(place: str) -> str:
    try:
        return str(Path(place).expanduser()) if place.startswith("~") else place
    except RuntimeError:
        raise ValueError(f"{place!r} is the home directory of nobody here") from None
