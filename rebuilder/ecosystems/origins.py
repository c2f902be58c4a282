"""What every ecosystem's search for a commit begins with: verified attestations, addresses of repositories, tags.

Metadata is a claim: anybody can write it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from rebuilder.model.git import SourceProblem, Trouble
from rebuilder.model.graph import Origin
from rebuilder.model.provenance import Provenance

_TAGS = "refs/tags/"
_PAGES = frozenset(
    {
        *("-", "tree", "blob", "src", "raw", "commit", "commits", "branch", "releases", "tags", "tag", "issues"),
        *("pull", "pulls", "merge_requests", "wiki", "wikis", "archive", "tarball", "actions", "discussions", "browse"),
    }
)
"""What follows owner and repository in the address of a page about a repository."""
_NO_OWNER = frozenset({"project", "projects", "docs", "en", "packages", "package", "p"})
"""First parts of paths that look like those of a repository and are of other pages."""
_EDITIONS = frozenset({"latest", "stable", "main", "master", "dev"})
"""Last parts of paths that documentation of an edition has."""
_PART = re.compile(r"[A-Za-z0-9_~][A-Za-z0-9._~-]{0,99}")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,250}[a-z0-9])?(?::[0-9]{1,5})?")
_MOST_PARTS = 6


def attested_origin(named: Sequence[Provenance], *, whose: str | None) -> Origin | None:
    """The commit that a verified attestation names.

    Args:
        named: What was verified and names a repository, that which counts first; the first with a commit is taken.
        whose: What the attestation is of, where that is not the artifact.
    """
    attested = next((each for each in named if each.commit), None)
    if attested is None or attested.publisher is None or attested.repository is None:
        return None
    sentence = "A verified attestation names this commit."
    if whose is not None:
        sentence = f"A verified attestation of {whose} names this commit; the artifact has none that does."
    for other in named:
        if other.commit is not None and (_plain(other.repository), other.commit) != (
            _plain(attested.repository),
            attested.commit,
        ):
            sentence += (
                f" The attestation of the source archive names another one: {other.commit} in {other.repository}."
            )
    ref = attested.publisher.ref or ""
    return Origin(
        repository=attested.repository,
        commit=attested.commit,
        tag=ref.removeprefix(_TAGS) if ref.startswith(_TAGS) else None,
        attested=True,
        sentence=sentence,
    )


def claimed_origin(repository: str, sentence: str, *, commit: str | None = None, tag: str | None = None) -> Origin:
    """A commit, or a repository alone, that nobody has signed for."""
    sentence = f"Claimed, not attested: {sentence}"
    return Origin(repository=repository, commit=commit, tag=tag, attested=False, sentence=sentence)


def without_tags(repository: str, who: str, problem: SourceProblem) -> Origin:
    """The repository alone, where its tags cannot be had."""
    away = problem.trouble in {Trouble.UNREACHABLE, Trouble.TIMED_OUT}
    what = "The repository could not be reached" if away else "Its tags could not be read"
    return claimed_origin(repository, f"{who}. {what}: {problem.sentence}")


def _plain(repository: str | None) -> str:
    return (repository or "").rstrip("/").removesuffix(".git").lower()


def repository_url(url: str, *, home: bool = False, page: bool = False) -> str | None:
    """The address of a repository in ``url``, whatever the host; None when its path does not look like one.

    What old releases name with http is asked for over https. User names, ``.git``, queries, fragments and what follows
    owner and repository (``/tree/…``, ``/issues``) are left out.

    Args:
        url: As published.
        home: Be strict, since most home pages are not repositories: two parts, the first an owner's name.
        page: Take only what is followed by a part that pages about repositories have.
    """
    if len(url) > 500 or not url.isascii() or not url.isprintable():
        return None
    try:
        parts = urlsplit(url.removeprefix("git+"))
    except ValueError:
        return None
    host = parts.netloc.rpartition("@")[2].lower()
    secure = parts.scheme.lower() == "https" or (parts.scheme.lower() == "http" and ":" not in host)
    if not secure or not _HOST.fullmatch(host) or "." not in host:
        return None
    names = [each for each in parts.path.split("/") if each]
    cut = next((index for index, each in enumerate(names) if index >= 2 and each in _PAGES), len(names))
    names, beyond = names[:cut], names[cut:]
    if names:
        names[-1] = names[-1].removesuffix(".git")
    if not 2 <= len(names) <= (2 if home else _MOST_PARTS) or not all(map(_PART.fullmatch, names)):
        return None
    documents = host.startswith("docs.") or names[0].lower() in _NO_OWNER or names[-1].lower() in _EDITIONS
    if (home and documents) or (page and not beyond):
        return None
    return f"https://{host}/{'/'.join(names)}"
