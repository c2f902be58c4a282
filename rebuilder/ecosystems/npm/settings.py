"""Which npm registry is asked for a package, and with which credentials, as npm's own settings on this machine say.

The registry of a scope (``@scope:registry``) counts before ``registry``; where neither is set it is the default
written in the files of the installed npm.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path
from urllib.parse import urlsplit

from rebuilder.ecosystems.npm.npmrc import MEND, NpmProcess, NpmrcSettings
from rebuilder.errors import UsageError
from rebuilder.model.value import Value

_DEFINITIONS = (
    "node_modules/@npmcli/config/lib/definitions/definitions.js",
    "../@npmcli/config/lib/definitions/definitions.js",
    "lib/utils/config/definitions.js",
)
"""Where npm 7 and later keep their defaults, in their own package or beside it."""
_DEFAULT = re.compile(r"""\(\s*['"]registry['"]\s*,\s*\{\s*default:\s*['"](https?://[^'"\s]+)['"]""")
_HEADER = re.compile(r"[\x21-\x7e]{1,8192}")


class Grant(Value):
    """What is sent to one registry to be let in: never show it."""

    prefix: str
    """Address it is for, and for everything below."""
    header: str
    """Value of ``Authorization``."""


class Registry(Value):
    """One registry to ask."""

    url: str
    """Without a slash at the end; may hold a user name and a password: never show it."""
    origin: str
    """Where that is written, as a sentence for ``rebuilder doctor``."""
    grant: Grant | None = None


class NpmSettings:
    """What npm's settings say; the files are read once."""

    def __init__(self, surroundings: NpmProcess | None = None) -> None:
        """Read the settings; takes a millisecond or two, and starts no other program.

        Args:
            surroundings: Where to look; this process by default.

        Raises:
            UsageError: a settings file cannot be read.
        """
        self._where = surroundings or NpmProcess.here()
        self._settings = NpmrcSettings(self._where)

    def registry(self, scope: str | None = None) -> Registry:
        """The registry for packages of a scope (with its ``@``), or of none.

        Raises:
            UsageError: none is set and no npm is installed, or what is set is not an http or https address.
        """
        found = self._settings.get(f"{scope}:registry") if scope else None
        found = found or self._settings.get("registry") or self._built_in()
        if found is None:
            raise UsageError(
                "No npm registry is set on this machine, and no npm is installed whose default could be used.",
                hint="Set NPM_CONFIG_REGISTRY, or write registry=ADDRESS into ~/.npmrc.",
            )
        url, place = found
        return Registry(
            url=_checked(url, place),
            origin=f"The npm registry is taken from {place}.",
            grant=self._grant(url),
        )

    @property
    def ca_bundle(self) -> Path | None:
        """File of certificates to trust (``cafile``, else ``NODE_EXTRA_CA_CERTS``); None for the machine's own.

        Raises:
            UsageError: it does not exist.
        """
        found = self._settings.get("cafile")
        if found is None and (named := self._where.environment.get("NODE_EXTRA_CA_CERTS")):
            found = named, "NODE_EXTRA_CA_CERTS in the environment"
        if found is None:
            return None
        path = self._settings.path(found[0])
        if not path.exists():
            raise UsageError(f"The npm setting {found[1]} names {path}, which does not exist.", hint=MEND)
        return path

    def _built_in(self) -> tuple[str, str] | None:
        npm = self._where.npm
        for name in _DEFINITIONS if npm is not None else ():
            try:
                text = (npm / name).read_text(encoding="utf-8") if npm is not None else ""
            except (OSError, UnicodeDecodeError):
                continue
            if match := _DEFAULT.search(text):
                return match[1], "the default of the installed npm"
        return None

    def _grant(self, url: str) -> Grant | None:
        """Credentials of the registry itself or of a directory above it, as npm looks for them.

        The settings name no protocol; here they are bound to the one the registry is asked by.
        """
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        path = parts.path.rstrip("/") + "/"
        while True:
            key = f"//{host}{path}"
            for each in (key, key.rstrip("/")):
                if header := self._header(each):
                    return Grant(prefix=f"{parts.scheme}:{key}", header=header)
            if path == "/":
                return None
            path = path.rstrip("/").rpartition("/")[0] + "/"

    def _header(self, key: str) -> str | None:
        token, basic = self._settings.get(f"{key}:_authToken"), self._settings.get(f"{key}:_auth")
        user, password = self._settings.get(f"{key}:username"), self._settings.get(f"{key}:_password")
        if token is not None:
            return _usable(f"Bearer {token[0]}", token[1])
        if user is not None and password is not None:
            try:
                both = user[0].encode() + b":" + base64.b64decode(password[0], validate=True)
            except ValueError:
                raise UsageError(f"The npm setting {password[1]} is not base64.", hint=MEND) from None
            return "Basic " + base64.b64encode(both).decode()
        return None if basic is None else _usable(f"Basic {basic[0]}", basic[1])


def _usable(header: str, place: str) -> str:
    """A header that can be sent. The value is a secret: no message repeats it."""
    if not _HEADER.fullmatch(header.partition(" ")[2]):
        raise UsageError(f"The npm setting {place} cannot be sent: it has spaces or other characters.", hint=MEND)
    return header


def _checked(url: str, place: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isprintable() or " " in url or "?" in url or "#" in url:
        # The value itself may hold a password.
        raise UsageError(f"The npm registry from {place} is not an http or https address.", hint=MEND)
    return url.rstrip("/")
