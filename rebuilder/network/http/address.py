"""Web addresses: what may be asked for, what may be shown, and which credentials go where."""

from __future__ import annotations

import base64
import netrc
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from rebuilder.errors import UnavailableError, UsageError
from rebuilder.model.text import clipped
from rebuilder.network.reach import Origin, origin_of

_SHOWN_LENGTH = 200


def shown(url: str) -> str:
    """Host and path of an address for a message: no credentials, no query, nothing unprintable."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that cannot be read"
    text = f"{parts.hostname or ''}{port}{parts.path}"
    return clipped(text, _SHOWN_LENGTH)


def bare(url: str) -> str:
    """The address without user name, password and fragment: what is sent, kept and written down.

    Raises:
        UnavailableError: it is not an http or https address.
    """
    parts = _parts(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, fragment="").geturl()


def origin(url: str) -> Origin:
    """Scheme, host and port of an address.

    Raises:
        UnavailableError: it is not an http or https address.
    """
    return origin_of(_parts(url))


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
    it lists are on addresses without them. They go to the same origin and nowhere else. Netrc knows no ports and
    schemes: what it says goes to origins that the user named, never to an address that only an index wrote.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment
        self._known: dict[Origin, tuple[str, str]] = {}
        self._granted: dict[tuple[Origin, str], str] = {}
        self._netrc: netrc.netrc | None = None
        self._netrc_read = False

    def learn(self, url: str, *, named: bool = False) -> None:
        """Remember user name and password of an address, if it has them; those that the user ``named`` count most."""
        parts = _parts(url)
        if parts.username is not None and (named or origin_of(parts) not in self._known):
            self._known[origin_of(parts)] = unquote(parts.username), unquote(parts.password or "")

    def grant(self, prefix: str, header: str) -> None:
        """Send this ``Authorization`` to one origin, to paths that begin with the one of ``prefix``.

        Raises:
            UnavailableError: ``prefix`` is not an http or https address.
        """
        parts = _parts(prefix)
        self._granted[origin_of(parts), parts.path.rstrip("/") + "/"] = header

    def header(self, url: str, *, named: bool) -> str | None:
        """``Authorization`` for an address, if anything is known.

        Raises:
            UsageError: the netrc file is malformed.
        """
        granted = self._grant_for(_parts(url))
        if granted is not None:
            return granted
        login = self.login(url, named=named)
        return None if login is None else "Basic " + base64.b64encode(":".join(login).encode()).decode()

    def login(self, url: str, *, named: bool) -> tuple[str, str] | None:
        """User name and password for an address; see :meth:`header`."""
        parts = _parts(url)
        known = self._known.get(origin_of(parts))
        if known is not None or not named:
            return known
        if not self._netrc_read:
            self._netrc, self._netrc_read = self._read_netrc(), True
        found = self._netrc.authenticators(parts.hostname or "") if self._netrc else None
        return (found[0], found[2] or "") if found else None

    def _grant_for(self, parts: SplitResult) -> str | None:
        fitting = [
            (len(prefix), header)
            for (place, prefix), header in list(self._granted.items())  # other threads may add one meanwhile
            if place == origin_of(parts) and f"{parts.path}/".startswith(prefix) and ".." not in unquote(parts.path)
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


def parts_of(url: str) -> SplitResult | None:
    """The parts of an http or https address; None where it is none."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        return None
    # A backslash, which some take for a slash, would make one host of it here and another one there.
    return parts if usable and "\\" not in parts.netloc else None


def _parts(url: str) -> SplitResult:
    parts = parts_of(url)
    if parts is None:
        raise UnavailableError(f"{shown(url)} is not an http or https address.", hint=_INDEX_HINT)
    return parts
