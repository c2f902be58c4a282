"""Addresses of git repositories: which may be asked for, and where they are really fetched from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from rebuilder.errors import UsageError
from rebuilder.network.reach import Origin, origin_of

_PLAIN = re.compile(r"[!-~]{1,2000}")
_OTHER_PROTOCOL = re.compile(r"(?:http|git|ssh|git\+ssh)://(?:[^/@\s]*@)?(?P<host>[^/@:\s]+)(?::\d+)?/(?P<path>.+)")
_SHORT_SSH = re.compile(r"[\w.-]+@(?P<host>[\w.-]+):(?P<path>[^/].*)", re.ASCII)
_MIRROR_SCHEMES = ("https", "http", "file")


@dataclass(frozen=True)
class Remote:
    """Where git is sent to."""

    url: str
    """An address, or the absolute path of a directory; may hold a password."""
    protocol: str
    """The one protocol git may speak: ``https``, or what the user's mirror needs."""
    shown: str
    """The address for messages and documents."""

    @property
    def asked(self) -> str:
        """The address for sentences about an answer, which say so where a mirror gave it."""
        return self.shown if self.url == self.shown else f"{self.shown} (asked of its mirror in the settings)"

    @property
    def directory(self) -> Path | None:
        """The local repository, if it is one."""
        return Path(self.url) if self.protocol == "file" else None

    @property
    def origin(self) -> Origin | None:
        """The server it is fetched from; None for a local repository."""
        return None if self.protocol == "file" else origin_of(urlsplit(self.url))

    @property
    def secrets(self) -> tuple[str, ...]:
        """User name and password, which no message may hold."""
        parts = urlsplit(self.url) if "://" in self.url else SplitResult("", "", "", "", "")
        raw = [each for each in (parts.username, parts.password) if each]
        return tuple({*raw, *(unquote(each) for each in raw)})


class RefusedAddress(Exception):  # noqa: N818 - reads as what happened
    """An address that is not asked; the text is a sentence."""


def public(url: str) -> str:
    """The address as it is asked for and shown: https, no user name, no password, no slash at the end.

    Raises:
        RefusedAddress: it is something else.
    """
    parts = _parts(url)
    if parts is None or parts.scheme.lower() != "https":
        scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]{0,15})::?", url)
        kind = f"with {scheme[1].lower()}" if scheme else "from such an address"
        raise RefusedAddress(f"Repositories are fetched over https only, not {kind}.")
    if parts.query or parts.fragment:
        raise RefusedAddress("The address of a repository has no query and no fragment.")
    segments = unquote(parts.path).split("/")
    if ".." in segments or "." in segments:
        raise RefusedAddress("The address of a repository has no '..' in it.")
    path = parts.path.rstrip("/")
    if not path:
        raise RefusedAddress("The address names no repository.")
    return f"https://{_host(parts)}{path}"


def key(url: str) -> str:
    """What addresses of the same repository have in common: ``.git`` and slashes at the end do not count."""
    return url.rstrip("/").removesuffix(".git").rstrip("/")


def submodule_address(address: str, parent: str) -> str:
    """Where a submodule is, as a commit of the repository ``parent`` names it: relative, or over another protocol.

    What is named with ``http``, ``git`` or ``ssh``, or as ``user@host:path``, is asked for over https, as runners do
    that have no key. The lock binds the content, whoever serves it.
    """
    if address.startswith(("./", "../")):
        steps = [each for each in address.split("/") if each not in {"", "."}]
        up = next((number for number, each in enumerate(steps) if each != ".."), len(steps))
        parts = urlsplit(parent)
        base = parts.path.strip("/").split("/")
        return f"https://{_host(parts)}/{'/'.join([*base[: max(0, len(base) - up)], *steps[up:]])}"
    return over_https(address)


def over_https(address: str) -> str:
    """What is named with ``http``, ``git`` or ``ssh``, or as ``user@host:path``, by https; anything else as it is."""
    other = _OTHER_PROTOCOL.fullmatch(address) or _SHORT_SSH.fullmatch(address)
    return f"https://{other['host']}/{other['path']}" if other else address


class Mirrors:
    """What the user wants fetched from elsewhere.

    Args:
        mirrors: Prefix of an address (whole path segments) to the address or local path that stands for it.

    Raises:
        UsageError: a prefix or a target cannot be understood.
    """

    def __init__(self, mirrors: Mapping[str, str]) -> None:
        self._targets = {_prefix(prefix): _target(prefix, target) for prefix, target in mirrors.items()}

    @property
    def servers(self) -> list[str]:
        """The addresses among the targets."""
        return [each for each in self._targets.values() if "://" in each]

    def remote(self, address: str) -> Remote:
        """Where to fetch what :func:`public` gave; the longest prefix that fits decides.

        Raises:
            RefusedAddress: the local path that stands for it leads nowhere.
        """
        wanted = key(address)
        fitting = [each for each in self._targets if wanted == each or wanted.startswith(each + "/")]
        if not fitting:
            return Remote(address, "https", address)
        prefix = max(fitting, key=len)
        target, rest = self._targets[prefix], wanted[len(prefix) :]
        scheme = urlsplit(target).scheme if "://" in target else "file"
        if scheme == "file":
            return Remote(str(_directory(target, rest)), "file", address)
        suffix = ".git" if rest and address.endswith(".git") else ""
        return Remote(f"{target}{rest}{suffix}", scheme, address)


def _directory(target: str, rest: str) -> Path:
    place = Path(target + rest)
    return next((each for each in (place, place.with_name(f"{place.name}.git")) if each.is_dir()), place)


def _prefix(prefix: str) -> str:
    parts = _parts(prefix)
    if parts is None or parts.scheme.lower() != "https" or parts.query or parts.fragment:
        raise UsageError(
            "A prefix in [sources.mirrors] is not an https address.",
            hint='Write it as it begins in the addresses of repositories, such as "https://example.org/group".',
        )
    return key(f"https://{_host(parts)}{parts.path}")


def _target(prefix: str, target: str) -> str:
    local = target.removeprefix("file://")
    if local.startswith("/") and local.isprintable():
        return local.rstrip("/")
    parts = _parts(target)
    if parts is None or parts.scheme not in _MIRROR_SCHEMES or parts.scheme == "file":
        raise UsageError(
            f"What stands for {key(prefix)} in [sources.mirrors] is neither an absolute path nor an http(s) address.",
            hint="Give the whole path of a local repository, or an address that begins with https://.",
        )
    return target.rstrip("/")


def _parts(url: str) -> SplitResult | None:
    """The parts of a web address, None if it is none."""
    if not _PLAIN.fullmatch(url) or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0 and "%" not in parts.netloc.rpartition("@")[2]
    except ValueError:
        return None
    return parts if usable and not (parts.hostname or "-").startswith("-") else None


def _host(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2].lower()
