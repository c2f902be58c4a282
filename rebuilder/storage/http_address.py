"""Web addresses: what may be asked for, what may be shown, and which credentials go where."""

from __future__ import annotations

import base64
import netrc
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from rebuilder.errors import UnavailableError, UsageError

_SHOWN_LENGTH = 200
_Origin = tuple[str, str, int]


def shown(url: str) -> str:
    """Host and path of an address for a message: no credentials, no query, nothing unprintable."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that cannot be read"
    text = f"{parts.hostname or ''}{port}{parts.path}"
    text = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    return text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 1] + "…"


def bare(url: str) -> str:
    """The address without user name, password and fragment: what is sent, kept and written down.

    Raises:
        UnavailableError: it is not an http or https address.
    """
    parts = _parts(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, fragment="").geturl()


def redirected(url: str, location: str) -> str:
    """Where a redirection leads.

    Raises:
        UnavailableError: to another protocol, or from https to http.
    """
    try:
        target = bare(urljoin(url, location))
    except (ValueError, UnavailableError):
        message = f"{shown(url)} redirects to something that is not an http or https address."
        raise UnavailableError(message, hint=_INDEX_HINT) from None
    if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
        message = f"{shown(url)} redirects from https to unprotected http ({shown(target)}); that is not followed."
        raise UnavailableError(message, hint=_INDEX_HINT)
    return target


class Credentials:
    """User names and passwords by origin (scheme, host, port): from addresses once given, then from netrc.

    An index address such as ``https://user:password@host/simple`` names the credentials only once; the files
    it lists are on addresses without them. As in pip, they go to the same origin and nowhere else.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment
        self._known: dict[_Origin, str] = {}
        self._granted: dict[tuple[_Origin, str], str] = {}
        self._netrc: netrc.netrc | None = None
        self._netrc_read = False

    def learn(self, url: str) -> None:
        """Remember user name and password of an address, if it has them."""
        parts = _parts(url)
        if parts.username is not None:
            self._known[_origin(parts)] = _basic(unquote(parts.username), unquote(parts.password or ""))

    def grant(self, prefix: str, header: str) -> None:
        """Send this ``Authorization`` to one origin, to paths that begin with the one of ``prefix``.

        Raises:
            UnavailableError: ``prefix`` is not an http or https address.
        """
        parts = _parts(prefix)
        self._granted[_origin(parts), parts.path.rstrip("/") + "/"] = header

    def header(self, url: str) -> str | None:
        """``Authorization`` for an address, if anything is known.

        Raises:
            UsageError: the netrc file is malformed.
        """
        parts = _parts(url)
        known = self._grant_for(parts) or self._known.get(_origin(parts))
        if known is not None:
            return known
        if not self._netrc_read:
            self._netrc, self._netrc_read = self._read_netrc(), True
        found = self._netrc.authenticators(parts.hostname or "") if self._netrc else None
        return _basic(found[0], found[2] or "") if found else None

    def _grant_for(self, parts: SplitResult) -> str | None:
        fitting = [
            (len(prefix), header)
            for (origin, prefix), header in list(self._granted.items())  # other threads may add one meanwhile
            if origin == _origin(parts) and f"{parts.path}/".startswith(prefix) and ".." not in unquote(parts.path)
        ]
        return max(fitting)[1] if fitting else None

    def _read_netrc(self) -> netrc.netrc | None:
        path = netrc_path(self._environment)
        if path is None:
            return None
        try:
            return netrc.netrc(str(path))
        except netrc.NetrcParseError as error:
            # The error text quotes the file, which holds passwords.
            message = f"The credentials file {path} cannot be understood at line {error.lineno}."
            raise UsageError(message, hint="Mend that line, or name another file in NETRC.") from None
        except (OSError, UnicodeDecodeError):
            raise UsageError(
                f"The credentials file {path} cannot be read.", hint="Mend it, or name another file in NETRC."
            ) from None


def netrc_path(environment: Mapping[str, str]) -> Path | None:
    """The netrc file that pip and uv would use: ``NETRC``, otherwise ``~/.netrc``; None when it is missing."""
    named = environment.get("NETRC")
    home = environment.get("HOME")
    path = Path(named) if named else Path(home) / ".netrc" if home else None
    return path if path is not None and path.is_file() else None


_INDEX_HINT = "Check the index URL in the settings of pip, uv or npm; `rebuilder doctor` shows which one is used."


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise UnavailableError(f"{shown(url)} is not an http or https address.", hint=_INDEX_HINT)
    return parts


def _origin(parts: SplitResult) -> _Origin:
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
