"""Settings: of the service, of build environments, and who is told about alarms."""

from __future__ import annotations

import base64
import re
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints, field_validator, model_validator

from rebuilder.model.alarm import AlarmKind, Severity
from rebuilder.model.value import Value, is_sha256

_MOST = 1 << 53
_Count = Annotated[int, Field(strict=True, gt=0, le=_MOST)]
_Amount = Annotated[int, Field(strict=True, ge=0, le=_MOST)]
_Seconds = Annotated[float, Field(strict=True, gt=0, le=_MOST, allow_inf_nan=False)]
_Share = Annotated[float, Field(strict=True, gt=0, le=1, allow_inf_nan=False)]
_LISTEN = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[\w.-]+):(?P<port>\d{1,5})")
_KeyUri = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9+.-]*:[!-~]*$")]
_DAY = "(?:mon|tue|wed|thu|fri|sat|sun)"
_ZONE = r"[\w+-]+(?:/[\w+-]+)*"
_WINDOW = re.compile(rf"(?:{_DAY}(?:-{_DAY})? )?\d\d:\d\d-\d\d:\d\d(?: {_ZONE})?", re.ASCII | re.IGNORECASE)


class WitnessSettings(Value):
    """A witness of the log."""

    key: str
    """Its key as one word, ``NAME+IDENTIFIER+BASE64``."""
    url: Annotated[str, StringConstraints(pattern=r"^https?://[!-~]+$")]
    """What ``/add-checkpoint`` is appended to."""


class LogSettings(Value):
    """The append-only log."""

    witnesses: tuple[WitnessSettings, ...] = ()
    """Who is asked to cosign every checkpoint."""


class SigningSettings(Value):
    """Where the private keys are, as addresses of ``securesystemslib``."""

    statements: _KeyUri | None = None
    """Of the key for statements (ECDSA P-256); None: ``file:signing.pem``, in the directory of the keys."""
    checkpoints: _KeyUri | None = None
    """Of the key of the log (Ed25519); None: ``file:log.pem``."""


class ServiceSettings(Value):
    """What ``rebuilder serve`` uses."""

    workers: _Count | None = None
    """Processes that build; None: as many as there are CPUs, as far as ``memory_bytes`` allows."""
    memory_bytes: _Count | None = None
    """What all builds together may use; None: three quarters of the machine's memory."""
    disk_reserve_bytes: _Amount = 2 << 30
    """No new work is begun when less than this, and what one build may write, is free."""
    listen: str = "127.0.0.1:8080"
    """Address and port of the HTTP server; an IPv6 address in brackets."""
    token_file: str | None = None
    """File with the token for what changes something; None: ``api-token`` in the directory of the keys, made once."""
    requests_per_minute: _Count = 600
    """From one address."""
    lease_seconds: Annotated[_Seconds, Field(ge=1)] = 60
    """After so long without a sign of life a worker's task is given to another."""
    stop_seconds: _Seconds = 30
    """How long a stopping worker may finish what it is at before it gives it back."""
    keep_days: _Count = 30
    """Blobs that no report refers to are deleted after so long."""
    replays: _Amount = 3
    """So many published reports are run again each night, while something is watched; 0: none."""
    key_days: _Count = 365
    """A signing key is due to be replaced after so long."""
    queue_hours: _Seconds = 24
    """Work that could be done and waits longer raises an alarm."""
    failure_share: _Share = 0.05
    """Share of our own failures among what ended in an hour that escalates to a page."""

    @field_validator("listen")
    @classmethod
    def _address(cls, listen: str) -> str:
        found = _LISTEN.fullmatch(listen)
        if found is None or not 0 <= int(found["port"]) <= 65535:
            raise ValueError(f"{listen!r} is not ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080")
        return listen


class FleetSettings(Value):
    """Where builds run that do not run on this machine."""

    broker: str | None = None
    """Address of Redis or RabbitMQ as Celery writes it; None: builds run here. May hold a password."""
    blobs: str | None = None
    """``s3://BUCKET/PREFIX`` that coordinators and runners share."""
    queues: tuple[str, ...] = ()
    """Queues that runners serve; empty: that of this machine's platform. What belongs to no queue runs here."""
    double_runs: Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)] = 0.05
    """Share of runs that are made again by another runner."""
    lease_seconds: Annotated[_Seconds, Field(ge=1)] = 60
    """A runner without a sign of life for so long is taken for gone, and what it was at is ordered again."""
    grace_seconds: _Seconds = 900
    """What a run may take beside its build: fetching inputs, taking in a build environment."""
    patience_seconds: _Seconds = 21600
    """After so long without a runner that takes it, an order is given back."""

    @model_validator(mode="after")
    def _both(self) -> FleetSettings:
        if (self.broker is None) != (self.blobs is None):
            raise ValueError("“broker” and “blobs” belong together")
        if self.broker is not None and not re.match(r"(redis|rediss|amqp|amqps)://", self.broker):
            raise ValueError("“broker” must be an address that begins with redis://, rediss://, amqp:// or amqps://")
        return self


class Target(Value):
    """Somebody who is told about alarms."""

    apprise: str | None = None
    """An address as Apprise writes it, such as ``mailto://…``; may hold a password."""
    webhook: str | None = None
    """An http or https address that JSON is posted to."""
    secret: str | None = None
    """Key of the webhook's signature: ``whsec_`` and 24 to 64 bytes in base64, or any other text."""
    severities: tuple[Severity, ...] = tuple(Severity)
    """Only alarms this severe are told."""

    @model_validator(mode="after")
    def _one(self) -> Target:
        if (self.apprise is None) == (self.webhook is None):
            raise ValueError("it needs either “apprise” or “webhook”")
        if self.webhook is not None and not re.match(r"https?://[^\s/]", self.webhook):
            raise ValueError("“webhook” must be an http or https address")
        if self.webhook is not None and not self.secret:
            raise ValueError("a webhook needs a “secret”, so that its receiver can tell who sent it")
        if self.secret is not None and not _usable(self.secret):
            raise ValueError("a “secret” that begins with “whsec_” goes on with 24 to 64 random bytes in base64")
        return self


class Suppression(Value):
    """When nobody is told about some alarms; they are kept all the same, and told afterwards if still open."""

    window: str
    """Such as ``sat-sun 00:00-23:59 Europe/Berlin`` or ``02:00-04:00`` (every day, UTC)."""
    kinds: tuple[AlarmKind, ...] = ()
    """Empty: all kinds."""
    severities: tuple[Severity, ...] = (Severity.TICKET,)

    @field_validator("window")
    @classmethod
    def _readable(cls, window: str) -> str:
        if not _WINDOW.fullmatch(window):
            raise ValueError(
                f"{window!r} is not a window, such as “sat-sun 00:00-23:59 Europe/Berlin” or “02:00-04:00”"
            )
        return window


class AlarmSettings(Value):
    """Who is told about alarms, and when not."""

    targets: dict[str, Target] = {}
    """By a name of your choice."""
    suppress: tuple[Suppression, ...] = ()


def _usable(secret: str) -> bool:
    """Whether a secret can be used as Standard Webhooks has it, or is a text of another kind."""
    encoded = secret.removeprefix("whsec_")
    try:
        return encoded == secret or 24 <= len(base64.b64decode(encoded, validate=True)) <= 64
    except ValueError:
        return False


_SUITE = re.compile(r"[a-z][a-z0-9]{0,31}", re.ASCII)
_NAME = re.compile(r"[a-z0-9][a-z0-9.]{0,31}", re.ASCII)
_VERSION = re.compile(r"3\.[1-9]\d?", re.ASCII)
_OLDEST = 9
"""Python 3.9: what the programs that run inside builds need."""


_Package = Annotated[
    str,
    Field(strict=True),
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9+.-]{1,99}(=[A-Za-z0-9][A-Za-z0-9.+:~-]{0,99})?$"),
]
_Pattern = Annotated[str, Field(strict=True), StringConstraints(pattern=r"^[A-Za-z0-9*?][A-Za-z0-9._+*?@:/-]{0,199}$")]


_PlatformPattern = Annotated[str, StringConstraints(pattern=r"^[a-z*?][a-z0-9_*?]{0,99}$")]
_EnvironmentName = Annotated[str, Field(strict=True), StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,63}$")]


class DescribedEnvironment(Value):
    """A build environment of the user's own: what another one has, and more packages."""

    base: str = "trixie"
    """The build environment that it has everything of."""
    packages: Annotated[tuple[_Package, ...], Field(max_length=1000)]
    """What it has besides: names of packages, or ``name=version``."""
    configured: Annotated[bool, Field(strict=True)] = False
    """Whether the packages are installed as on any Debian system: their maintainer scripts run, nothing is left out."""
    prune: tuple[_Pattern, ...] = ()
    """What to remove again, as patterns of paths."""

    @field_validator("prune")
    @classmethod
    def _inside(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            if ".." in pattern.split("/"):
                raise ValueError(f"{pattern!r} is not a path below the root")
        return patterns


class EnvironmentSettings(Value):
    """How build environments are made. Every other key is the name of one that the user describes."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, DescribedEnvironment] = Field(init=False)

    accept_expired: tuple[str, ...] | None = None
    """Releases of Debian whose signed state may be used after it has expired, such as ``forky``; their updates and
    security updates too. None: all of them if apt on this machine is told not to look, else none."""

    compilers: Annotated[bool, Field(strict=True)] = True
    """Whether environments with a compiler are made where a wheel's compiled code names that compiler."""

    images: dict[_PlatformPattern, _EnvironmentName] = {}
    """By platform tag of a wheel, or a pattern of tags such as ``musllinux_1_2_*``: the build environment, by name or
    digest, that wheels with compiled code are built in. The first that fits counts."""

    prepared_bytes: _Amount = 4 << 30
    """What virtual environments that are kept for later builds may take on the disk; 0: none are."""

    @field_validator("accept_expired")
    @classmethod
    def _suites(cls, suites: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for suite in suites or ():
            if not _SUITE.fullmatch(suite):
                raise ValueError(f"{suite!r} is not the name of a release of Debian, such as forky")
        return suites

    @model_validator(mode="after")
    def _named(self) -> EnvironmentSettings:
        for name in self.described:
            check_name(name)
        return self

    @property
    def described(self) -> dict[str, DescribedEnvironment]:
        """The user's own, by name."""
        return self.__pydantic_extra__ or {}


class DebianSettings(Value):
    """What Debian packages are rebuilt with, beyond apt's own settings."""

    snapshot_url: Annotated[str, StringConstraints(pattern=r"^(https?://[^@/\s]+(/[!-~]*)?|/[^\x00]*)$")] | None = None
    """Address of a service that keeps every file which the archive ever had, as Debian's does, or the absolute path of
    a directory laid out like it; asked only for what no mirror has any more. None: there is none."""


class InterpreterSettings(Value):
    """One Python that Debian does not have: a directory, or an archive with its digest."""

    version: str
    """Such as ``3.12``."""
    path: str | None = None
    """Absolute path of a directory: a relocatable Python, or a whole root file system."""
    archive: str | None = None
    """Absolute path of a tar archive with the same."""
    sha256: str | None = None
    """Of the archive."""
    base: str = "trixie"
    """The build environment that a relocatable Python is laid over."""

    @field_validator("version")
    @classmethod
    def _series(cls, version: str) -> str:
        if not _VERSION.fullmatch(version):
            raise ValueError(f"{version!r} is not a version of Python, such as 3.12")
        if int(version.partition(".")[2]) < _OLDEST:
            raise ValueError(f"Python {version} is too old: what runs inside a build needs Python 3.{_OLDEST}")
        return version

    @model_validator(mode="after")
    def _one_origin(self) -> InterpreterSettings:
        if (self.path is None) == (self.archive is None):
            raise ValueError("it needs either “path” or “archive”")
        if (self.archive is None) != (self.sha256 is None):
            raise ValueError("“archive” and “sha256” belong together")
        if self.sha256 is not None and not is_sha256(self.sha256):
            raise ValueError("“sha256” must be 64 hexadecimal digits in lower case")
        return self


def check_name(name: str) -> None:
    """Make sure that a name of the user's choice can name a build environment.

    Raises:
        ValueError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a name: use up to 32 lower-case letters, digits and dots")
