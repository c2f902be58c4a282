"""The repository a release's own metadata names (pure). It is a claim: anybody can write it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.parser import HeaderParser
from urllib.parse import urlsplit

_LABELS = (
    *("source", "sourcecode", "repository", "repo", "code", "github", "gitlab", "codeberg", "bitbucket", "sourcehut"),
    *("git", "vcs", "scm", "development", "homepage", "home"),
)
"""Labels that may lead to a repository, the clearest first (letters and digits only, lower case)."""
_HOME = frozenset({"homepage", "home"})
_PAGES = frozenset(
    {
        *("-", "tree", "blob", "src", "raw", "commit", "commits", "branch", "releases", "tags", "tag", "issues"),
        *("pull", "pulls", "merge_requests", "wiki", "wikis", "archive", "actions", "discussions", "browse"),
    }
)
"""What follows owner and repository in the address of a page about a repository."""
_NO_OWNER = frozenset({"project", "projects", "docs", "en", "packages", "package", "p"})
"""First parts of paths that look like those of a repository and are of other pages."""
_PART = re.compile(r"[A-Za-z0-9_~][A-Za-z0-9._~-]{0,99}")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,250}[a-z0-9])?(?::[0-9]{1,5})?")
_MOST_PARTS = 6


@dataclass(frozen=True)
class ClaimedRepository:
    """A repository, and the label it goes by in the metadata."""

    repository: str
    label: str


def claimed_repository(metadata: str) -> ClaimedRepository | None:
    """The repository that ``Project-URL`` or ``Home-page`` name; nothing is taken from free text.

    Args:
        metadata: Text of METADATA or PKG-INFO (https://packaging.python.org/specifications/core-metadata/).
    """
    message = HeaderParser().parsestr(metadata)
    found: list[tuple[int, ClaimedRepository]] = []
    for value in message.get_all("Project-URL", [])[:100]:
        label, comma, url = str(value).partition(",")
        plain = re.sub(r"[^a-z0-9]", "", label.lower())
        repository = repository_url(url.strip(), home=plain in _HOME) if comma and plain in _LABELS else None
        if repository is not None:
            found.append((_LABELS.index(plain), ClaimedRepository(repository, label.strip()[:40])))
    home = repository_url(str(message.get("Home-page", "")).strip(), home=True)
    if home is not None:
        found.append((len(_LABELS), ClaimedRepository(home, "Home-page")))
    return min(found, key=lambda each: each[0])[1] if found else None


def repository_url(url: str, *, home: bool = False) -> str | None:
    """The address of a repository in ``url``, whatever the host; None when its path does not look like one.

    Only https counts. User names, ``.git``, queries, fragments and what follows owner and repository
    (``/tree/…``, ``/issues``) are left out.

    Args:
        url: As published.
        home: Be strict, since most home pages are not repositories: two parts, the first an owner's name.
    """
    if len(url) > 500 or not url.isascii() or not url.isprintable():
        return None
    try:
        parts = urlsplit(url.removeprefix("git+"))
    except ValueError:
        return None
    host = parts.netloc.rpartition("@")[2].lower()
    if parts.scheme.lower() != "https" or not _HOST.fullmatch(host) or "." not in host:
        return None
    names = [each for each in parts.path.split("/") if each]
    cut = next((index for index, each in enumerate(names) if index >= 2 and each in _PAGES), len(names))
    names = names[:cut]
    if names:
        names[-1] = names[-1].removesuffix(".git")
    if not 2 <= len(names) <= (2 if home else _MOST_PARTS) or not all(map(_PART.fullmatch, names)):
        return None
    if home and names[0].lower() in _NO_OWNER:
        return None
    return f"https://{host}/{'/'.join(names)}"
