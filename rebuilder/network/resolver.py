"""Choosing exact versions of build dependencies with ``uv``, as if it were an earlier day."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from packaging.requirements import InvalidRequirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from pydantic import ValidationError

from rebuilder.errors import BuildEnvironmentError, StoreError, UnavailableError, UsageError
from rebuilder.foreign_words import read_requirement
from rebuilder.model.artifact import Pin, Resolution
from rebuilder.model.text import clipped
from rebuilder.model.value import canonical_json, is_sha256, sha256_hex
from rebuilder.network.http.address import Credentials, bare, shown
from rebuilder.network.reach import Reach
from rebuilder.network.relay import Relay
from rebuilder.store.protocol import Memo

_PLATFORMS = {"x86_64": "x86_64-unknown-linux-gnu", "aarch64": "aarch64-unknown-linux-gnu"}
_HARMLESS = re.compile(r"[A-Za-z0-9 ._\-\[\],<>=!~*+;()'\"]{1,1000}")
"""Characters that mean nothing else in a requirements file: no line ends, ``#``, ``\\``, ``$``, ``@``, ``/``."""
_SETTLED = timedelta(hours=1)
"""After a moment has passed for so long, nothing more is published that claims to be from before it."""
_PASSED_ON = ("SSL_CERT_FILE", "SSL_CERT_DIR", "UV_SYSTEM_CERTS", "UV_NATIVE_TLS")
_UNDERSTOOD_WRONGLY = 2
_LATER = "Try again later; `rebuilder doctor` shows which index is used."


@dataclass(frozen=True)
class UvSettings:
    """How uv is run. It sees nothing else of this machine: no configuration, no environment, no other Python."""

    index_url: str
    binary: Path
    cache_directory: Path
    ca_bundle: Path | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    """Where certificates are taken from."""
    reach: Reach = field(default_factory=Reach)
    """What may be asked, and through which proxies."""
    credentials: Credentials = field(default_factory=Credentials)
    """Which the index gets, and nobody else."""
    seconds: float = 180
    """Longest time for one resolution."""
    http_seconds: int = 30
    http_retries: int = 3
    machine: str = field(default_factory=platform.machine)


class UvResolver:
    """Implements :class:`rebuilder.network.protocol.Resolver` with ``uv pip compile``."""

    def __init__(self, settings: UvSettings, facts: Memo) -> None:
        """Nothing is started before the first question.

        Raises:
            UsageError: this kind of machine has no wheels.
        """
        if settings.machine not in _PLATFORMS:
            message = f"Build dependencies can be resolved for {' and '.join(_PLATFORMS)}, not for {settings.machine}."
            raise UsageError(message, hint="Run the rebuilder on one of these machines.")
        self._settings = settings
        self._facts = facts

    @cached_property
    def name(self) -> str:
        """What decides about the answers besides the question: uv's version, the index, the platform."""
        return f"{self._uv_version}; {bare(self._settings.index_url)}; {_PLATFORMS[self._settings.machine]}"

    def resolve(
        self,
        requirements: Sequence[str],
        *,
        python_version: str,
        not_after: datetime,
    ) -> Resolution:
        """See ``Resolver.resolve``; files uploaded at ``not_after`` itself are left out."""
        asked = sorted(set(requirements))
        if not asked:
            return Resolution()
        moment = not_after.astimezone(UTC)
        key = self._key(asked, python_version, moment)
        known = self._remembered(key)
        if known is not None:
            return known
        try:
            lines = [_harmless(each) for each in asked]
        except InvalidRequirement as error:
            return Resolution(problem=str(error))
        resolution = self._run(lines, python_version, moment)
        if resolution.problem is None and datetime.now(UTC) - moment > _SETTLED:
            self._facts.put(key, [pin.document() for pin in resolution.pins])
        return resolution

    def _key(self, requirements: list[str], python_version: str, moment: datetime) -> str:
        question = {
            "requirements": requirements,
            "python": python_version,
            "not_after": moment.isoformat(),
            "resolver": self.name,
        }
        return f"resolution:{sha256_hex(canonical_json(question))}"

    def _remembered(self, key: str) -> Resolution | None:
        known = self._facts.get(key)
        try:
            return None if known is None else Resolution(pins=tuple(Pin.model_validate(each) for each in known))
        except (ValidationError, TypeError):
            return None

    def _run(self, requirements: list[str], python_version: str, moment: datetime) -> Resolution:
        with _scratch(self._settings.cache_directory) as name:
            arguments = self._arguments(python_version, moment)
            text = "".join(f"{line}\n" for line in requirements)
            done = self._uv(arguments, text, Path(name))
            if done.returncode == 0:
                pins = read_lock(done.stdout, python_version=python_version, machine=self._settings.machine)
                return Resolution(pins=pins)
            words = reason(done.stderr)
            if done.returncode == 1 and is_statement_about_releases(done.stderr):
                return Resolution(problem=words)
            # 2 is what uv ends with when the network failed, but also when it cannot read the question. Without
            # network it gets no further in the first case than "not in the cache", which is another exit code.
            offline = self._uv([*arguments, "--offline"], text, Path(name)) if done.returncode == 2 else None
            if offline is not None and offline.returncode == _UNDERSTOOD_WRONGLY:
                return Resolution(problem=f"uv cannot read the build requirements: {words}")
        message = f"The index does not give uv what it needs to resolve {', '.join(requirements)}: {words}"
        raise UnavailableError(message, hint=_LATER)

    def _arguments(self, python_version: str, moment: datetime) -> list[str]:
        return [
            "pip",
            "compile",
            "-",
            "--format=pylock.toml",
            f"--exclude-newer={moment:%Y-%m-%dT%H:%M:%S.%fZ}",
            f"--python-version={python_version}",
            f"--python-platform={_PLATFORMS[self._settings.machine]}",
            f"--python={sys.executable}",
            "--only-binary=:all:",
            "--no-config",
            "--no-sources",
            "--no-header",
            "--no-annotate",
            "--no-python-downloads",
            "--no-progress",
            "--color=never",
            f"--cache-dir={self._settings.cache_directory / 'uv'}",
        ]

    def _uv(self, arguments: list[str], text: str, directory: Path) -> subprocess.CompletedProcess[str]:
        try:
            with Relay(self._settings.reach) as relay:
                done = subprocess.run(
                    [self._settings.binary, *arguments],
                    input=text,
                    cwd=directory,
                    env=self._environment(directory) | relay.environment,
                    capture_output=True,
                    encoding="utf-8",
                    errors="replace",
                    timeout=self._settings.seconds,
                    check=False,
                )
                if done.returncode and relay.refused:
                    raise relay.refused[0]
                if done.returncode and relay.failures:
                    message = "The index, or a server that it names, cannot be connected to."
                    raise UnavailableError(message, hint=_LATER)
                return done
        except subprocess.TimeoutExpired:
            message = f"uv did not resolve the build requirements within {self._settings.seconds:g} seconds."
            raise UnavailableError(message, hint="Try again later; the index may be slow.") from None
        except OSError as error:
            message = f"uv cannot be started from {self._settings.binary}: {error.strerror}."
            raise BuildEnvironmentError(message, hint="Install the rebuilder again, uv comes with it.") from None

    def _environment(self, home: Path) -> dict[str, str]:
        """All that uv gets to know. The index goes here since everybody may read command lines."""
        settings = self._settings
        environment = {name: settings.environment[name] for name in _PASSED_ON if name in settings.environment}
        environment |= {
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "UV_DEFAULT_INDEX": self._index_with_login(),
            "UV_HTTP_TIMEOUT": str(settings.http_seconds),
            "UV_HTTP_RETRIES": str(settings.http_retries),
        }
        if settings.ca_bundle is not None:
            environment["SSL_CERT_DIR" if settings.ca_bundle.is_dir() else "SSL_CERT_FILE"] = str(settings.ca_bundle)
        return environment

    def _index_with_login(self) -> str:
        """The index as uv is told of it. It gets no netrc: it would send what is there to any port of a host."""
        settings = self._settings
        settings.credentials.learn(settings.index_url, named=True)
        address = bare(settings.index_url)
        login = settings.credentials.login(address, named=True)
        if login is None:
            return address
        return address.replace("://", f"://{':'.join(quote(each, safe='') for each in login)}@", 1)

    @cached_property
    def _uv_version(self) -> str:
        """What the executable calls itself: asked once for each that was ever there."""
        file = self._settings.binary
        status = file.stat() if file.is_file() else None
        key = f"version of {file}: {status.st_ino} {status.st_size} {status.st_mtime_ns}" if status else None
        known = self._facts.get(key) if key is not None else None
        if isinstance(known, str):
            return known
        with _scratch(self._settings.cache_directory) as name:
            version = " ".join(self._uv(["--version"], "", Path(name)).stdout.split()[:2])
        if key is not None and version:
            self._facts.put(key, version)
        return version


def _harmless(requirement: str) -> str:
    """The requirement as we understand it, so that uv reads nothing else into it.

    Raises:
        InvalidRequirement: it is none (PEP 508), names an address or a path, or has odd characters; a sentence.
    """
    short = ascii(requirement if len(requirement) <= 200 else requirement[:199] + "…")
    try:
        parsed = read_requirement(requirement)
    except InvalidRequirement:
        raise InvalidRequirement(f"The build requirement {short} is malformed.") from None
    if parsed.url is not None:
        raise InvalidRequirement(f"The build requirement {short} names an address; only index releases can be used.")
    # "some.whl" is a name (PEP 508), but uv would look for a file; the normalised name is no file name.
    parsed.name = canonicalize_name(parsed.name)
    text = str(parsed)
    if not _HARMLESS.fullmatch(text):
        raise InvalidRequirement(
            f"The build requirement {short} is longer, or has other characters, than requirements need."
        )
    return text


def _scratch(parent: Path) -> tempfile.TemporaryDirectory[str]:
    """An empty directory: no project, no settings and no home to be found in or above it by accident."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=parent, prefix="resolve-", ignore_cleanup_errors=True)
    except OSError as error:
        raise StoreError(
            f"{parent} cannot be written: {error.strerror}.", hint="Free space or mend its rights."
        ) from None


_ASK_OPERATOR = "Ask whoever runs the index; without digests nothing it lists can be pinned."
_LONGEST_REASON = 1500
_NO_SOLUTION = "No solution found when resolving dependencies"
_ADVICE = re.compile(r"\s*(?:Consider using|If the failing package) .*$|\s*\^+$")
"""What uv tells those who call it themselves, and the marks below a malformed requirement."""
_ORDER = {"error": 0, "cause": 0, "hint": 1, "warning": 2}
_NEWEST_GLIBC = 60
"""Minor version of glibc up to which wheel tags are ranked; uv has left out what the platform cannot run."""
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


def read_lock(text: str, *, python_version: str, machine: str) -> tuple[Pin, ...]:
    """Pins of a PEP 751 lock file that uv wrote for one platform, such as ``3.13`` on ``x86_64``, one wheel each.

    Raises:
        UnavailableError: the file is not what PEP 751 describes, or a package has no usable wheel in it.
    """
    try:
        packages = tomllib.loads(text)["packages"]
        return tuple(_pin(package, _ranks(python_version, machine)) for package in packages)
    except (tomllib.TOMLDecodeError, ValidationError, KeyError, TypeError, ValueError, AttributeError) as error:
        message = "The lock file that uv wrote has no such shape as PEP 751 describes."
        raise UnavailableError(message, hint="Install the version of uv that the rebuilder was locked with.") from error


def is_statement_about_releases(stderr: str) -> bool:
    """Whether uv says that no releases fit, rather than that the index or uv itself is in trouble.

    uv ends with 1 for both, and has no other structured output, so its words must be looked at: the headline of the
    resolver, and the hints it gives when the index refused access (it then acts as if the project did not exist).
    The tests run the real uv against each case, so that another wording shows when uv is updated.
    """
    errors = [line for line in stderr.splitlines() if line.startswith("error: ")]
    refused = re.search(r"^hint: An index\b.*\b(?:401|403|407) [A-Z]", stderr, re.MULTILINE)
    return errors[:1] == [f"error: {_NO_SOLUTION}"] and refused is None


def reason(stderr: str) -> str:
    """What uv said, as one paragraph: causes first, then hints and warnings; bounded, printable, without passwords.

    The words quote metadata that anybody may have published.
    """
    words: dict[int, list[str]] = {}
    for paragraph in _paragraphs(stderr):
        kind, _, rest = paragraph.partition(": ")
        text = rest if kind in _ORDER else paragraph
        text = _ADVICE.sub("", text)
        if text and text != _NO_SOLUTION:
            words.setdefault(_ORDER.get(kind, 0), []).append(text if text.endswith((".", "!", "?")) else f"{text}.")
    joined = " ".join(each for order in sorted(words) for each in words[order]) or "uv gave no reason."
    joined = re.sub(r"://[^/\s]*@", "://", joined)
    return clipped(joined, _LONGEST_REASON)


def _paragraphs(stderr: str) -> Iterator[str]:
    """Lines, with those that continue the one before (indented) joined to it."""
    current = ""
    for line in stderr.splitlines():
        begins = re.match(r"\s*(?:error|cause|hint|warning): |Resolved ", line)
        if begins or not line.strip():
            if current:
                yield current
            current = "" if line.startswith("Resolved ") else line.strip()
        else:
            current = f"{current} {line.strip()}".strip()
    if current:
        yield current


def _pin(package: Mapping[str, Any], ranks: Mapping[Tag, int]) -> Pin:
    candidates = [(rank, wheel) for wheel in package["wheels"] if (rank := _rank(_filename(wheel), ranks)) is not None]
    if not candidates:
        message = f"uv chose {package['name']} {package['version']}, but none of its wheels fits."
        raise UnavailableError(message, hint="Install the version of uv that the rebuilder was locked with.")
    _, wheel = min(candidates, key=lambda each: each[0])
    sha256 = wheel.get("hashes", {}).get("sha256", "")
    if not is_sha256(sha256):
        raise UnavailableError(f"The index gives no sha256 for {shown(wheel['url'])}.", hint=_ASK_OPERATOR)
    return Pin(
        name=package["name"],
        version=package["version"],
        filename=_filename(wheel),
        url=bare(wheel["url"]),
        sha256=sha256,
    )


def _filename(wheel: Mapping[str, Any]) -> str:
    name = wheel.get("name") or unquote(urlsplit(wheel["url"]).path.rpartition("/")[2])
    return str(name)


def _rank(filename: str, ranks: Mapping[Tag, int]) -> tuple[int, tuple[int, str], str] | None:
    """Smaller is better: the best tag, then the higher build number, as uv and pip have it."""
    try:
        _, _, build, tags = parse_wheel_filename(filename)
    except InvalidWheelFilename:
        return None
    fitting = [ranks[tag] for tag in tags if tag in ranks]
    return (min(fitting), (-build[0], build[1]) if build else (0, ""), filename) if fitting else None


@lru_cache(maxsize=16)
def _ranks(python_version: str, machine: str) -> dict[Tag, int]:
    """Tags of a CPython on glibc in order of preference."""
    major, minor = (int(part) for part in python_version.split(".")[:2])
    platforms = []
    for glibc in range(_NEWEST_GLIBC, 4, -1):
        platforms.append(f"manylinux_2_{glibc}_{machine}")
        platforms += [f"{_LEGACY[glibc]}_{machine}"] if glibc in _LEGACY else []
    platforms.append(f"linux_{machine}")
    interpreter = f"cp{major}{minor}"
    tags = [
        *cpython_tags((major, minor), abis=[interpreter], platforms=platforms),
        *compatible_tags((major, minor), interpreter=interpreter, platforms=platforms),
    ]
    return {tag: position for position, tag in reversed(list(enumerate(tags)))}
