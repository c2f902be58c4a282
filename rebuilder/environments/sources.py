"""Where this machine gets Debian from: read from apt's own settings."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rebuilder import deb822

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
"""Keys of the Debian archive, from the package ``debian-archive-keyring``."""

_APT_HELPER = Path("/usr/lib/apt/apt-helper")
_DEBIAN_PATHS = ("debian", "debian-security")
_KEPT_OPTIONS = ("Acquire::http::", "Acquire::https::", "Acquire::Retries")


@dataclass(frozen=True)
class AptSource:
    """One archive and suite that apt's settings name for binary packages."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str
    """``Signed-By``: the file with the keys of the Debian archive, or empty."""

    @property
    def pocket(self) -> str:
        """What the name of the suite has behind the release: ``-security``, ``-updates`` or nothing."""
        return next((end for end in ("-security", "-updates") if self.suite.endswith(end)), "")


def sources(suite: str, *, etc_apt: Path, keyring: Path = KEYRING) -> list[str]:
    """One-line apt sources (sources.list(5)) of the wanted suite, from the mirrors this machine uses for Debian.

    A machine set up for one release names the same mirrors for every other. Updates and security updates are included
    when the machine has them for its own release.

    Args:
        suite: Release wanted, such as ``trixie``.
        etc_apt: Directory with ``sources.list`` and ``sources.list.d``.
        keyring: Keys the archive must be signed with; nothing else is accepted.

    Returns:
        The lines without duplicates; empty when apt has no source for Debian.
    """
    lines = [
        f"deb [signed-by={keyring}] {each.uri} {suite}{each.pocket} main"
        for each in debian_sources(etc_apt)
        if "main" in each.components
    ]
    return list(dict.fromkeys(lines))


def debian_sources(etc_apt: Path) -> list[AptSource]:
    """The archives of Debian itself in apt's settings, in their order; those of others built for it are left out."""
    return [each for each in _entries(etc_apt) if _is_debian(each.uri, each.suite, each.signed_by)]


def _is_debian(uri: str, suite: str, signed_by: str) -> bool:
    """Tell the archive of Debian itself from archives of others that are built for it."""
    if not uri.startswith(("http://", "https://")) or re.search(r"[\s\[\]]", uri):
        return False
    if suite.endswith(("-backports", "-backports-sloppy", "-proposed-updates", "experimental", "/")):
        return False
    if signed_by:
        return "debian-archive" in signed_by
    return uri.rstrip("/").rsplit("/", 1)[-1] in _DEBIAN_PATHS


def _entries(etc_apt: Path) -> Iterator[AptSource]:
    """Each enabled binary source."""
    parts = etc_apt / "sources.list.d"
    files = [etc_apt / "sources.list", *(sorted(parts.iterdir()) if parts.is_dir() else [])]
    for file in files:
        if file.suffix not in {".list", ".sources"} or not os.access(file, os.R_OK):
            continue
        data = file.read_bytes()
        yield from _one_line_style(data.decode("utf-8", "replace")) if file.suffix == ".list" else _deb822_style(data)


def _one_line_style(text: str) -> Iterator[AptSource]:
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<rest>[^#]*)", line)
        if match:
            options = dict(word.split("=", 1) for word in (match["options"] or "").split() if "=" in word)
            components = tuple(match["rest"].split())
            yield AptSource(match["uri"], match["suite"], components, options.get("signed-by", ""))


def _deb822_style(data: bytes) -> Iterator[AptSource]:
    for stanza in deb822.stanzas(data):
        try:
            fields = deb822.fields(stanza)
        except deb822.MalformedStanzaError:
            continue
        if fields.get("enabled", "yes").lower() in {"no", "false", "off", "0", "without", "disable"}:
            continue
        if "deb" not in fields.get("types", "").split():
            continue
        components = tuple(fields.get("components", "").split())
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield AptSource(uri, suite, components, fields.get("signed-by", ""))


def apt_settings() -> dict[str, str]:
    """All settings apt has on this machine (apt.conf(5)), as ``apt-config dump`` prints them; empty without apt."""
    try:
        dump = subprocess.run(
            ["apt-config", "dump"],  # noqa: S607 - where it is, is the machine's business
            capture_output=True,
            timeout=30,
            check=True,
            text=True,
            errors="replace",
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    pairs = (line.rstrip(";").split(" ", 1) for line in dump.splitlines() if " " in line)
    return {name: next(iter(shlex.split(value)), "") for name, value in pairs if value.startswith('"')}


def etc_apt(settings: dict[str, str]) -> Path:
    """Directory of apt's settings."""
    return Path(settings.get("Dir", "/")) / settings.get("Dir::Etc", "etc/apt")


def lists(settings: dict[str, str]) -> Path:
    """Directory of the package lists that apt has verified."""
    state = Path(settings.get("Dir", "/")) / settings.get("Dir::State", "var/lib/apt")
    return state / settings.get("Dir::State::lists", "lists/")


def read_list(file: Path) -> bytes:
    """One of those lists; apt itself decompresses what it keeps compressed. Nothing where it cannot be read.

    Args:
        file: Its name ends in ``_Packages``, or in that and the kind of compression.
    """
    try:
        if not file.suffix:
            return file.read_bytes()
        command = [str(_APT_HELPER), "cat-file", str(file)]
        return subprocess.run(command, capture_output=True, timeout=120, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return b""


def network_options(settings: dict[str, str]) -> list[str]:
    """The settings that say how to reach a mirror (proxies, certificates, retries), in the form of apt.conf(5).

    Whether a signature is needed is never taken from the machine; whether it may have expired is another module's
    business, :mod:`rebuilder.environments.expiry`.
    """
    return [
        f'{name} "{value}";'
        for name, value in settings.items()
        if name.startswith(_KEPT_OPTIONS) and value and not re.search(r"[\"\\\n]", value) and not name.endswith("::")
    ]


def without_password(url: str) -> str:
    """A URL to show or keep: without user name and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
