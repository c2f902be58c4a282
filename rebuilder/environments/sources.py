"""Where this machine gets Debian from: read from apt's own settings."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
"""Keys of the Debian archive, from the package ``debian-archive-keyring``."""

_DEBIAN_PATHS = ("debian", "debian-security")
_KEPT_OPTIONS = ("Acquire::http::", "Acquire::https::", "Acquire::Retries")


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
    lines = []
    for uri, configured, signed_by in _entries(etc_apt):
        kind = next((end for end in ("-security", "-updates") if configured.endswith(end)), "")
        if _is_debian(uri, configured, signed_by):
            lines.append(f"deb [signed-by={keyring}] {uri} {suite}{kind} main")
    return list(dict.fromkeys(lines))


def _is_debian(uri: str, suite: str, signed_by: str) -> bool:
    """Tell the archive of Debian itself from archives of others that are built for it."""
    if not uri.startswith(("http://", "https://")) or re.search(r"[\s\[\]]", uri):
        return False
    if suite.endswith(("-backports", "-backports-sloppy", "-proposed-updates", "experimental", "/")):
        return False
    if signed_by:
        return "debian-archive" in signed_by
    return uri.rstrip("/").rsplit("/", 1)[-1] in _DEBIAN_PATHS


def _entries(etc_apt: Path) -> Iterator[tuple[str, str, str]]:
    """URI, suite and ``Signed-By`` of each enabled binary source."""
    parts = etc_apt / "sources.list.d"
    files = [etc_apt / "sources.list", *(sorted(parts.iterdir()) if parts.is_dir() else [])]
    for file in files:
        if file.suffix not in {".list", ".sources"} or not os.access(file, os.R_OK):
            continue
        text = file.read_text(encoding="utf-8", errors="replace")
        yield from _one_line_style(text) if file.suffix == ".list" else _deb822_style(text)


def _one_line_style(text: str) -> Iterator[tuple[str, str, str]]:
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<rest>[^#]*)", line)
        if match and "main" in match["rest"].split():
            options = dict(word.split("=", 1) for word in (match["options"] or "").split() if "=" in word)
            yield match["uri"], match["suite"], options.get("signed-by", "")


def _deb822_style(text: str) -> Iterator[tuple[str, str, str]]:
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n[ \t]*\n", kept):
        unfolded = re.sub(r"\n[ \t]+", " ", stanza)
        pairs = (line.split(":", 1) for line in unfolded.splitlines() if ":" in line)
        fields = {name.strip().lower(): value.strip() for name, value in pairs}
        if fields.get("enabled", "yes").lower() in {"no", "false", "off", "0", "without", "disable"}:
            continue
        if "deb" not in fields.get("types", "").split() or "main" not in fields.get("components", "").split():
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield uri, suite, fields.get("signed-by", "")


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
