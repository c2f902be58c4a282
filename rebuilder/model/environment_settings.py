"""Settings of build environments: old states of the archive, interpreters of the user's own."""

from __future__ import annotations

import re

from pydantic import field_validator, model_validator

from rebuilder.model.value import Value

_SUITE = re.compile(r"[a-z][a-z0-9]{0,31}", re.ASCII)
_NAME = re.compile(r"[a-z0-9][a-z0-9.]{0,31}", re.ASCII)
_VERSION = re.compile(r"3\.[1-9]\d?", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_OLDEST = 9
"""Python 3.9: what the programs that run inside builds need."""


class EnvironmentSettings(Value):
    """How build environments are made."""

    accept_expired: tuple[str, ...] | None = None
    """Releases of Debian whose signed state may be used after it has expired, such as ``forky``; their updates and
    security updates too. None: all of them if apt on this machine is told not to look, else none."""

    @field_validator("accept_expired")
    @classmethod
    def _suites(cls, suites: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for suite in suites or ():
            if not _SUITE.fullmatch(suite):
                raise ValueError(f"{suite!r} is not the name of a release of Debian, such as forky")
        return suites


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
        if self.sha256 is not None and not _SHA256.fullmatch(self.sha256):
            raise ValueError("“sha256” must be 64 hexadecimal digits in lower case")
        return self


def check_name(name: str) -> None:
    """Make sure that an interpreter's name can name a build environment.

    Raises:
        ValueError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a name: use up to 32 lower-case letters, digits and dots")
