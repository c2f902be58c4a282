"""Where the index is, as the settings of pip and uv on this machine say.

Order, first found wins:

1. what our own configuration or command line says;
2. ``UV_DEFAULT_INDEX``, ``UV_INDEX_URL``, ``PIP_INDEX_URL`` in the environment;
3. ``uv.toml``: the file in ``UV_CONFIG_FILE``, otherwise the user's, then the machine's (``[pip]`` before the top
   level, ``[[index]]`` with ``default = true`` before ``index-url``); none of them with ``UV_NO_CONFIG``;
4. pip's configuration: ``[install]`` before ``[global]``; for each the file in ``PIP_CONFIG_FILE``, then that of the
   Python environment, the user, the machine (https://pip.pypa.io/en/stable/topics/configuration/);
5. the default built into the installed pip.

Only one index is used: further ones (``extra-index-url``) would let a release be rebuilt from somebody else's files.
"""

from __future__ import annotations

import configparser
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rebuilder.errors import UsageError
from rebuilder.model.value import Value
from rebuilder.network.http.address import parts_of

_CERTIFICATE_VARIABLES = ("PIP_CERT", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class IndexSettings(Value):
    """The index to use, and whom to trust on the way there."""

    index_url: str
    """Base of the simple index, without a slash at the end; may hold a user name and a password: never show it."""
    origin: str
    """Where that is written, as a sentence for ``rebuilder doctor``."""
    ca_bundle: Path | None = None
    """File or directory of certificates to trust instead of the machine's own."""
    ca_origin: str | None = None
    """Where that is written."""


@dataclass(frozen=True)
class PipProcess:
    """The part of the machine that settings are read from."""

    environment: Mapping[str, str]
    prefix: Path
    """The Python environment whose pip this is."""
    etc: Path = Path("/etc")

    @classmethod
    def here(cls) -> PipProcess:
        """Those of this process."""
        return cls(environment=os.environ, prefix=Path(sys.prefix))

    def user_configuration(self, application: str) -> Path | None:
        """``$XDG_CONFIG_HOME/APPLICATION`` or ``~/.config/APPLICATION``; None without a home."""
        if base := self.environment.get("XDG_CONFIG_HOME"):
            return Path(base) / application
        home = self.environment.get("HOME")
        return Path(home) / ".config" / application if home else None

    def machine_configurations(self, application: str) -> list[Path]:
        """``APPLICATION`` below each of ``$XDG_CONFIG_DIRS``, first one first."""
        bases = self.environment.get("XDG_CONFIG_DIRS") or str(self.etc / "xdg")
        return [Path(base) / application for base in bases.split(os.pathsep) if base]


def index_settings(override: str | None = None, *, surroundings: PipProcess | None = None) -> IndexSettings:
    """Find the index and the certificates. Takes a millisecond; starts no other program.

    Raises:
        UsageError: a settings file cannot be understood, or names no http or https address.
    """
    where = surroundings or PipProcess.here()
    pip = _PipFiles(where)
    url, place = next(_index_urls(override, where, pip))
    bundle, bundle_place = _certificates(where, pip)
    return IndexSettings(
        index_url=_checked_url(url, place),
        origin=f"The index URL is taken from {place}.",
        ca_bundle=bundle,
        ca_origin=None if bundle_place is None else f"The trusted certificates are taken from {bundle_place}.",
    )


def _index_urls(override: str | None, where: PipProcess, pip: _PipFiles) -> Iterator[tuple[str, str]]:
    """Every (URL, place) in order; the caller takes only the first, so that later files are not even read."""
    if override:
        yield override, "the setting index_url of the rebuilder"
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        if value := where.environment.get(name, "").strip():
            yield value, f"{name} in the environment"
    for path in _uv_files(where):
        yield from _uv_index(path)
    yield from pip.find("index-url")
    yield _built_in_index(), "the default of the installed pip"


def _built_in_index() -> str:
    # pip has no public name for its default; this constant is as old as pip's simple index support.
    from pip._internal.models.index import PyPI

    return PyPI.simple_url


def _uv_files(where: PipProcess) -> Iterator[Path]:
    if where.environment.get("UV_NO_CONFIG", "").lower() in {"1", "true", "yes", "on", "y", "t"}:
        return
    if named := where.environment.get("UV_CONFIG_FILE"):
        yield Path(named)
        return
    user = where.user_configuration("uv")
    yield from () if user is None else (user / "uv.toml",)
    yield from (directory / "uv.toml" for directory in where.machine_configurations("uv"))
    yield where.etc / "uv" / "uv.toml"


def _uv_index(path: Path) -> Iterator[tuple[str, str]]:
    text = _text(path)
    if text is None:
        return
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}.", hint="Correct the file, or set UV_NO_CONFIG=1.") from None
    for prefix, table in (("pip.", document.get("pip", {})), ("", document)):
        if not isinstance(table, dict):
            raise _wrong(path, prefix.rstrip("."))
        yield from _uv_default(path, f"{prefix}index", table.get("index", []))
        if "index-url" in table:
            yield _string(table["index-url"], path, f"{prefix}index-url"), f"{prefix}index-url in {path}"


def _uv_default(path: Path, key: str, entries: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise _wrong(path, key)
    for each in entries:
        if each.get("default") is True:
            yield _string(each.get("url"), path, f"{key}.url"), f"the default [[{key}]] in {path}"


class _PipFiles:
    """pip's configuration files, read once and only when something is asked of them."""

    def __init__(self, where: PipProcess) -> None:
        self._where = where
        self._read: list[tuple[Path, dict[str, dict[str, str]]]] | None = None

    def find(self, key: str) -> Iterator[tuple[str, str]]:
        """Values of a key with their places, the one that counts first."""
        if self._read is None:
            self._read = [(path, sections) for path in self._paths() if (sections := _pip_sections(path)) is not None]
        for section in ("install", "global"):
            for path, sections in self._read:
                if value := sections.get(section, {}).get(key):
                    yield value, f"[{section}] {key} in {path}"

    def _paths(self) -> Iterator[Path]:
        named = self._where.environment.get("PIP_CONFIG_FILE")
        if named == os.devnull:
            return
        yield from (Path(named),) if named else ()
        yield self._where.prefix / "pip.conf"
        user = self._where.user_configuration("pip")
        yield from () if user is None else (user / "pip.conf",)
        home = self._where.environment.get("HOME")
        yield from (Path(home) / ".pip" / "pip.conf",) if home else ()
        yield self._where.etc / "pip.conf"
        yield from (directory / "pip.conf" for directory in reversed(self._where.machine_configurations("pip")))


def _pip_sections(path: Path) -> dict[str, dict[str, str]] | None:
    text = _text(path)
    if text is None:
        return None
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text)
    except configparser.Error as error:
        line = getattr(error, "lineno", None)
        at = f" at line {line}" if isinstance(line, int) else ""
        raise UsageError(f"{path} is not a pip configuration file: it is malformed{at}.", hint=_MEND) from None
    return {
        section: {
            name.lower().replace("_", "-").removeprefix("--"): value.strip() for name, value in parser[section].items()
        }
        for section in parser.sections()
    }


def _certificates(where: PipProcess, pip: _PipFiles) -> tuple[Path | None, str | None]:
    found = [
        (where.environment[name], f"{name} in the environment")
        for name in _CERTIFICATE_VARIABLES
        if where.environment.get(name)
    ]
    if not found:
        found = list(pip.find("cert"))[:1]
    if not found:
        return None, None
    value, place = found[0]
    path = Path(value).expanduser()
    if not path.exists():
        raise UsageError(f"{place[0].upper()}{place[1:]} names {path}, which does not exist.", hint=_MEND)
    return path, place


def _checked_url(url: str, place: str) -> str:
    if parts_of(url) is None or not url.isprintable() or " " in url:
        # The value itself may hold a password.
        raise UsageError(f"The index URL from {place} is not an http or https address.", hint=_MEND)
    return url.rstrip("/")


def _text(path: Path) -> str | None:
    """Content of a settings file; None when there is no such file."""
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"The settings file {path} cannot be read as text.", hint=_MEND) from None


def _string(value: Any, path: Path, key: str) -> str:
    if not isinstance(value, str) or not value:
        raise _wrong(path, key)
    return value


def _wrong(path: Path, key: str) -> UsageError:
    return UsageError(f"{key} in {path} has the wrong type.", hint=_MEND)


_MEND = "Correct it, or give the rebuilder its own index_url."
