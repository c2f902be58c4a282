"""Settings: where things are kept, which index is asked, what a build may use."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    GetPydanticSchema,
    ValidationError,
    field_validator,
)
from pydantic_core import ErrorDetails

from rebuilder.ecosystems.registry import ECOSYSTEMS
from rebuilder.errors import UsageError
from rebuilder.log.note import COSIGNATURE, NoteKey
from rebuilder.model.definition import Limits
from rebuilder.model.provenance import Expectation
from rebuilder.model.settings import (
    AlarmSettings,
    DebianSettings,
    EnvironmentSettings,
    FleetSettings,
    InterpreterSettings,
    LogSettings,
    ServiceSettings,
    SigningSettings,
    check_name,
)
from rebuilder.model.value import Value
from rebuilder.toml_files import words

APPLICATION = "rebuilder"
_PROJECT = re.compile(r"(?:@[\w.~-]+/)?[\w.~-]+", re.ASCII)
_REPOSITORY = re.compile(r"https://[\w.-]+(?::\d+)?/[!-~]+", re.ASCII)
_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9_.-]+|\[[0-9a-fA-F:.]+\])(?::[1-9][0-9]{0,4})?/?", re.ASCII)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")
"""An absolute URI as far as it matters here: a scheme and something (RFC 3986, section 4.3)."""
_MOST = 1 << 53
"""The largest whole number that JSON carries exactly (RFC 8785)."""
_Count = Annotated[int, Field(strict=True, gt=0, le=_MOST)]
_Seconds = Annotated[float, Field(strict=True, gt=0, le=_MOST, allow_inf_nan=False)]


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


def _place(place: Path) -> Path:
    """A path that can be used, with the home directory written out."""
    if "\0" in str(place):
        raise ValueError("it has a NUL character, which no path can have")
    return Path(_expanded(str(place)))


def _strict_expectation(value: Any) -> Any:
    """``attested`` is true or false: guessing what another word means would be guessing about safety."""
    if isinstance(value, dict) and not isinstance(value.get("attested", False), bool):
        raise ValueError("“attested” must be true or false, without quotes")  # noqa: TRY004 - pydantic takes this one
    return value


class _BoundedLimits(Limits):
    """Limits as a person wrote them: the model takes what a definition says, a setting must make sense."""

    wall_seconds: _Seconds = Limits().wall_seconds
    cpu_seconds: _Seconds = Limits().cpu_seconds
    memory_bytes: _Count = Limits().memory_bytes
    processes: _Count = Limits().processes
    file_bytes: _Count = Limits().file_bytes
    disk_bytes: _Count = Limits().disk_bytes
    output_bytes: _Count = Limits().output_bytes
    log_bytes: _Count = Limits().log_bytes


def _written(limits: Any) -> Any:
    return limits.model_dump() if isinstance(limits, Limits) else limits


def _plain(limits: Limits) -> Limits:
    # Values of two classes are never equal, and equal definitions are to be the same build.
    return Limits(**limits.model_dump())


_Limits = Annotated[
    Limits,
    GetPydanticSchema(lambda _, handler: handler(_BoundedLimits)),
    BeforeValidator(_written),
    AfterValidator(_plain),
]
_Place = Annotated[Path, AfterValidator(_place)]


class SourceSettings(Value):
    """Where repositories are fetched from, and what one may cost."""

    mirrors: dict[str, str] = {}
    """Beginning of an https address to the address, or the absolute path, that stands for it."""
    git_bytes: _Count = 512 << 20
    """What may be downloaded for one commit."""
    git_seconds: _Seconds = 300
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
            if "\0" in place:
                raise ValueError(f"the path that stands for {prefix!r} has a NUL character, which no path can have")
        return places


class NetworkSettings(Value):
    """What may be asked, and how long."""

    reachable: tuple[str, ...] = ()
    """Origins, such as ``https://files.example.org:8443``, that addresses of an index or a publisher may lead to
    although they are on this machine or in its own network. Indexes, registries and mirrors need not be named."""
    seconds: _Seconds = 300
    """How long one document or file may take, waits and further attempts included."""

    @field_validator("reachable")
    @classmethod
    def _origins(cls, reachable: tuple[str, ...]) -> tuple[str, ...]:
        for each in reachable:
            if not _ORIGIN.fullmatch(each):
                raise ValueError(f"{each!r} is no origin; write it like https://files.example.org:8443")
        return reachable


class Config(Value):
    """All settings, each with a default that works on a fresh machine."""

    store: _Place = Field(default_factory=_default_store)
    """Ledger, blobs, build environments and caches."""
    keys: _Place = Field(default_factory=_default_keys)
    """Directory of the signing key; must lie outside the store."""
    site: _Place | None = None
    """Where the static site is written; below the store unless set."""
    site_url: str | None = None
    """Where readers find the site, for links in messages about alarms."""
    public_site: Annotated[bool, Field(strict=True)] = False
    """Strangers read the site and the API: what is about this machine is kept for who has the token."""
    index_url: str | None = None
    """PyPI-like index; None takes it from pip's and uv's settings."""
    builder_id: str = "tag:rebuilder,2026:self-hosted"
    """URI that names this rebuilder in its statements."""
    download_bytes: _Count = 512 << 20
    """Largest file that is downloaded."""
    limits: _Limits = Limits()
    sandbox: Literal["bubblewrap", "uml"] = "bubblewrap"
    """What builds run in: namespaces of this machine's kernel, or a kernel of its own for each (User Mode Linux).

    Where a build has to see another time, the latter is used whatever this says."""
    clock: Literal["archive", "kernel"] = "archive"
    """What is done where only times in a wheel are left: they are written into the finished archive, or the build is
    first made again where the clock shows the recorded time, so that the build alone gives the same bytes.

    Where the content depends on the clock, the latter is tried whatever this says."""
    trust: _Place | None = None
    """Directory of a trust root that is used instead of the shipped one; None: the usual place, if it exists."""
    expect: dict[str, Annotated[Expectation, BeforeValidator(_strict_expectation)]] = {}
    """What is expected of the publisher of a project, by ``ecosystem:name`` with the normalised name."""
    sources: SourceSettings = SourceSettings()
    network: NetworkSettings = NetworkSettings()
    ledger: str | None = None
    """URL of the database, such as ``postgresql:///rebuilder``; None: a SQLite file in the store."""
    osv: _Place | None = None
    """Export of OSV (directory or zip archive) whose known vulnerabilities pages have beside them; None: none."""
    schedules: _Place | None = None
    """Directory with what to watch; None: ``schedules`` beside the settings file."""
    service: ServiceSettings = ServiceSettings()
    fleet: FleetSettings = FleetSettings()
    alarms: AlarmSettings = AlarmSettings()
    log: LogSettings = LogSettings()
    signing: SigningSettings = SigningSettings()
    environments: EnvironmentSettings = Field(
        default=EnvironmentSettings(), validation_alias=AliasChoices("environments", "toolchains")
    )
    """How build environments are made; the table was called ``[toolchains]`` before, and still may be."""
    debian: DebianSettings = DebianSettings()
    interpreters: dict[str, InterpreterSettings] = {}
    """Pythons that Debian does not have, by a name of your choice."""

    @field_validator("site_url")
    @classmethod
    def _address(cls, site_url: str | None) -> str | None:
        if site_url is not None and not re.fullmatch(r"https?://[!-~]+", site_url):
            raise ValueError("it must be an http or https address")
        return site_url

    @field_validator("builder_id")
    @classmethod
    def _uri(cls, builder_id: str) -> str:
        if not _URI.fullmatch(builder_id):
            raise ValueError("it must be an absolute URI, such as https://example.org/rebuilder or tag:…")
        return builder_id

    @field_validator("expect")
    @classmethod
    def _projects(cls, expect: dict[str, Expectation]) -> dict[str, Expectation]:
        """One spelling for each project; one that is never looked up would be worse than none."""
        found: dict[str, Expectation] = {}
        for key, expectation in expect.items():
            ecosystem, _, name = key.partition(":")
            conventions = ECOSYSTEMS.get(ecosystem)
            if conventions is None or not conventions.attested or not _PROJECT.fullmatch(name):
                raise ValueError(f'{key!r} is not a project; write it like [expect."pypi:sampleproject"]')
            project = f"{ecosystem}:{conventions.canonical_name(name)}"
            if project in found:
                raise ValueError(f"{key!r} is there twice, in two spellings")
            if expectation.repository is not None and not _REPOSITORY.fullmatch(expectation.repository):
                raise ValueError(f"the repository of {key!r} is not an address that begins with https://")
            found[project] = expectation
        return found

    @field_validator("log")
    @classmethod
    def _witnesses(cls, log: LogSettings) -> LogSettings:
        for each in log.witnesses:
            if NoteKey.read(each.key).kind != COSIGNATURE:
                raise ValueError(f"{each.key!r} is the key of a log, not that of a witness")
        return log

    @field_validator("interpreters")
    @classmethod
    def _interpreters(cls, interpreters: dict[str, InterpreterSettings]) -> dict[str, InterpreterSettings]:
        """Home directories are written out; a relative path would depend on where the program is started."""
        found = {}
        for name, each in interpreters.items():
            check_name(name)
            places = {"path": each.path, "archive": each.archive}
            written = {key: _expanded(place) for key, place in places.items() if place is not None}
            for place in written.values():
                if not place.startswith("/") or "\0" in place:
                    raise ValueError(f"{place!r}, which {name!r} names, is not an absolute path")
            found[name] = each.replace(**written)
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
    def ledger_place(self) -> str | Path:
        """The ledger's file, or its URL."""
        return self.ledger if self.ledger is not None else self.store / "ledger.sqlite"

    @property
    def schedules_directory(self) -> Path:
        """Where schedules are read from."""
        return self.schedules if self.schedules is not None else configuration_directory() / "schedules"

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
        values = tomllib.loads(chosen.read_text("utf-8"))
    except FileNotFoundError:
        if path is not None:
            raise UsageError(f"The settings file {path} does not exist.") from None
    except PermissionError:
        raise UsageError(f"The settings file {chosen} cannot be read: permission denied.") from None
    except IsADirectoryError:
        raise UsageError(f"The settings file {chosen} is a directory; name a file.") from None
    except OSError as error:
        raise UsageError(f"The settings file {chosen} cannot be read: {error.strerror}.") from None
    except RecursionError:
        raise UsageError(f"The settings file {chosen} is not readable as TOML: it is nested too deeply.") from None
    except ValueError as error:  # not TOML, not UTF-8, a number of thousands of digits, a NUL in the path
        raise UsageError(f"The settings file {str(chosen)!r} is not readable as TOML: {error}.") from None
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        config = Config.model_validate(values | given)
    except ValidationError as error:
        first = error.errors()[0]
        place = "given to the command" if first["loc"] and first["loc"][0] in given else f"in {chosen}"
        raise UsageError(_mistake(first, place)) from None
    return config.replace(
        store=config.store.absolute(),
        keys=config.keys.absolute(),
        site=config.site.absolute() if config.site else None,
        trust=config.trust.absolute() if config.trust else None,
        schedules=(config.schedules or chosen.with_name("schedules")).absolute(),
    )


def with_listen(config: Config, listen: str | None) -> Config:
    """The settings with another address for the HTTP server; None leaves it.

    Raises:
        UsageError: it is no address.
    """
    if listen is None:
        return config
    try:
        service = ServiceSettings.model_validate({**config.service.model_dump(), "listen": listen})
    except ValidationError as error:
        raise UsageError(_mistake(error.errors()[0], "given to the command")) from None
    return config.replace(service=service)


def _mistake(error: ErrorDetails, place: str) -> str:
    """The first mistake as a plain sentence."""
    # Of a mirror or a project, the last part only says that it is the key that is wrong.
    field = ".".join(str(part) for part in error["loc"] if part != "[key]")
    if error["type"] == "extra_forbidden":
        return f"{field!r} {place} is not a setting."
    return f"The setting {field!r} {place} is wrong: {words(error)}."


def _expanded(place: str) -> str:
    try:
        return str(Path(place).expanduser()) if place.startswith("~") else place
    except RuntimeError:
        raise ValueError(f"{place!r} is the home directory of nobody here") from None
