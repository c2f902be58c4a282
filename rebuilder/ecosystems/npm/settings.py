"""npm's own settings on this machine, read without starting npm: which registry is asked, and with which credentials.

Order, first found wins (https://docs.npmjs.com/cli/using-npm/config): ``npm_config_…`` in the environment, ``.npmrc``
of the project, of the user, of the machine, and the one an installed npm brings along. The registry of a scope
(``@scope:registry``) counts before ``registry``; where neither is set it is the default written in the files of the
installed npm.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rebuilder.errors import UsageError
from rebuilder.model.value import Value
from rebuilder.network.http.address import parts_of

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
    if parts_of(url) is None or not url.isprintable() or " " in url or "?" in url or "#" in url:
        # The value itself may hold a password.
        raise UsageError(f"The npm registry from {place} is not an http or https address.", hint=MEND)
    return url.rstrip("/")


_VARIABLE = re.compile(r"(?<!\\)(\\*)\$\{([^${}]+)\}")
_ENVIRONMENT = re.compile(r"npm_config_", re.IGNORECASE)
_MAX_BYTES = 1 << 20
MEND = "Correct it, or name the registry in NPM_CONFIG_REGISTRY."


@dataclass(frozen=True)
class NpmProcess:
    """The part of the machine that npm's settings are read from."""

    environment: Mapping[str, str]
    directory: Path
    """Where the program was started."""

    @classmethod
    def here(cls) -> NpmProcess:
        """Those of this process."""
        try:
            directory = Path.cwd()
        except OSError:  # it was removed, or may not be entered
            directory = Path("/")
        return cls(environment=os.environ, directory=directory)

    @property
    def npm(self) -> Path | None:
        """Directory of the installed npm; None when there is none, or a shim that does not say where it is."""
        return next((each for each in self._installation("npm") if (each / "package.json").is_file()), None)

    def prefix(self) -> Path | None:
        """Where node is installed, which is what npm's machine-wide settings lie below."""
        return next(self._installation("node"), None)

    def _installation(self, program: str) -> Iterator[Path]:
        """The directory above ``bin`` of a program on the PATH, links followed."""
        found = shutil.which(program, path=self.environment.get("PATH", ""))
        if found is not None:
            yield Path(found).resolve().parent.parent


class NpmrcSettings:
    """All settings by name, each with the place it was found in."""

    def __init__(self, where: NpmProcess) -> None:
        """Read the files; later ones are only asked for what earlier ones do not say.

        Raises:
            UsageError: a file cannot be read.
        """
        self._where = where
        self._found: dict[str, tuple[str, str]] = {}
        self._add(_environment(where.environment), "the environment")
        self._add_file(_project_file(where))
        home = where.environment.get("HOME")
        self._add_file(self._named("userconfig", Path(home) / ".npmrc" if home else None))
        self._add_file(self._named("globalconfig", self._machine_file()))
        npm = where.npm
        self._add_file(None if npm is None else npm / "npmrc")

    def get(self, name: str) -> tuple[str, str] | None:
        """Value and place of a setting; None when it is nowhere or empty."""
        found = self._found.get(name)
        return found if found is not None and found[0] else None

    def _named(self, name: str, default: Path | None) -> Path | None:
        found = self.get(name)
        return default if found is None else self.path(found[0])

    def path(self, value: str) -> Path:
        """A path as settings write it: ``~`` is the home directory."""
        home = self._where.environment.get("HOME")
        if home and value.startswith("~/"):
            return Path(home) / value[2:]
        return self._where.directory / value

    def _machine_file(self) -> Path | None:
        prefix = self._named("prefix", self._where.prefix())
        return None if prefix is None else prefix / "etc" / "npmrc"

    def _add_file(self, path: Path | None) -> None:
        if path is not None and (text := _text(path)) is not None:
            self._add(entries(text, self._where.environment), str(path))

    def _add(self, entries: Mapping[str, str], place: str) -> None:
        for name, value in entries.items():
            self._found.setdefault(name, (value, f"{name} in {place}"))


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    """``npm_config_registry`` and the like, in capital or small letters; addresses keep their spelling."""
    found = {}
    for variable, value in environment.items():
        if _ENVIRONMENT.match(variable) and value:
            name = variable[len("npm_config_") :]
            found[name if name.startswith(("//", "@")) else name.lower().replace("_", "-")] = value
    return found


def _project_file(where: NpmProcess) -> Path:
    """``.npmrc`` beside the nearest ``package.json`` or ``node_modules`` above; else where the program was started."""
    for directory in (where.directory, *where.directory.parents):
        if (directory / "package.json").exists() or (directory / "node_modules").exists():
            return directory / ".npmrc"
    return where.directory / ".npmrc"


def entries(text: str, environment: Mapping[str, str]) -> dict[str, str]:
    """``name = value`` lines of an ``.npmrc``; sections and lists hold nothing that is needed here."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("["):
            break
        name, equals, value = stripped.partition("=")
        if not equals or stripped.startswith((";", "#")):
            continue
        found[_expanded(_plain(name), environment)] = _expanded(_plain(value), environment)
    return found


def _plain(value: str) -> str:
    """A value without its quotes, or without the comment behind it."""
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return re.split(r"(?<!\\)[;#]", value, maxsplit=1)[0].strip()


def _expanded(value: str, environment: Mapping[str, str]) -> str:
    """``${NAME}`` replaced; one that is not set stays as it is, ``${NAME?}`` becomes nothing."""

    def known(match: re.Match[str]) -> str:
        slashes, name = match[1], match[2]
        default = "" if name.endswith("?") else match[0]
        return match[0] if len(slashes) % 2 else environment.get(name.removesuffix("?"), default)

    return _VARIABLE.sub(known, value)


def _text(path: Path) -> str | None:
    """Content of a settings file; None when there is no such file."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise UsageError(f"The settings file {path} is larger than {_MAX_BYTES:,} bytes.", hint=MEND)
        return data.decode("utf-8")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"The settings file {path} cannot be read as text.", hint=MEND) from None
