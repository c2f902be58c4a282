"""Which repository a package.json names, as npm writes and reads it (pure).

The forms are those of https://docs.npmjs.com/cli/configuring-npm/package-json#repository; the short names of hosts are
part of them. Whatever is named is asked for over https.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import Any

from rebuilder.ecosystems.origins import repository_url
from rebuilder.network.git.address import over_https

_HOSTS = {
    "github": "github.com",
    "gitlab": "gitlab.com",
    "bitbucket": "bitbucket.org",
}
_SHORT = re.compile(
    r"(?:(?P<host>github|gitlab|bitbucket):)?(?P<path>[A-Za-z0-9_-][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+)"
)
_TREE = re.compile(r"/(?:-/)?(?:tree|blob|src)/[^/]+/(?P<directory>.+)")
_LONGEST = 500


@dataclass(frozen=True)
class ClaimedRepository:
    """What package.json says the package is developed in."""

    repository: str
    """An https address."""
    directory: str | None
    """Of the package in it, as far as it says so; relative, without ``..``."""


def claimed_repository(value: Any) -> ClaimedRepository | None:
    """Read the field ``repository``, a text or an object; None where it names none that can be asked.

    Args:
        value: As it stands in package.json, or in the registry's entry; hostile.
    """
    fields = value if isinstance(value, dict) else {"url": value}
    text = fields.get("url")
    if not isinstance(text, str) or len(text) > _LONGEST or not text.isascii() or not text.isprintable():
        return None
    text = text.strip().partition("#")[0]
    address = _address(text)
    repository = repository_url(address) if address is not None else None
    if repository is None:
        return None
    directory = plain_directory(fields.get("directory"))
    if directory is None and (found := _TREE.search(text)):
        directory = plain_directory(found["directory"])
    return ClaimedRepository(repository, directory)


def _address(text: str) -> str | None:
    if short := _SHORT.fullmatch(text):
        if short["host"] != "gitlab" and short["path"].count("/") > 1:  # only there are groups in groups
            return None
        return f"https://{_HOSTS[short['host'] or 'github']}/{short['path']}"
    return over_https(text.removeprefix("git+"))


def plain_directory(value: Any) -> str | None:
    """A directory in a repository; None where it is none, or leads out."""
    if not isinstance(value, str) or len(value) > _LONGEST or not value.isprintable() or "\\" in value:
        return None
    path = posixpath.normpath(value.strip().strip("/") or ".")
    return None if path.split("/")[0] in {"..", "."} and path != "." else "" if path == "." else path
