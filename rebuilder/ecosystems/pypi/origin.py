"""Which commit a release comes from, and who says so: an attestation; or settings or metadata, and a repository's tags.

Metadata is a claim: anybody can write it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.parser import HeaderParser

from packaging.utils import canonicalize_name
from packaging.version import Version

from rebuilder.ecosystems.origins import (
    attested_origin,
    claimed_origin,
    repository_url,
    without_tags,
)
from rebuilder.ecosystems.protocol import Signed
from rebuilder.ecosystems.pypi.subject import version_of
from rebuilder.model.evidence import Evidence
from rebuilder.model.git import SourceProblem
from rebuilder.model.graph import Origin
from rebuilder.model.text import visible
from rebuilder.network.protocol import Sources


def find_origin(evidence: Evidence, signed: Signed, sources: Sources) -> Origin | None:
    """Find the commit; see :meth:`rebuilder.ecosystems.protocol.Ecosystem.origin`.

    A verified attestation of the artifact counts before one of its source archive, either before what the settings
    expect, and that before what the metadata claims. An attestation that names only a repository makes the repository
    known, not the commit.
    """
    named = [each for each in (signed.artifact, signed.source) if each is not None and each.repository]
    attested = next((each for each in named if each.commit), None)
    if attested is not None:
        return attested_origin(named, whose=None if attested is signed.artifact else "the source archive")
    if named and named[0].repository:
        who = "a verified attestation names the repository, but no commit"
        return _claimed(evidence, named[0].repository, who, sources)
    if signed.expected is not None:
        return _claimed(evidence, signed.expected, "the settings expect it to come from this repository", sources)
    claim = _claim(evidence)
    if claim is None:
        return None
    if claim.commit is not None:
        sentence = f"the metadata of the release names this commit ({visible(claim.label)})."
        return claimed_origin(claim.repository, sentence, commit=claim.commit)
    who = f"the metadata of the release names this repository ({visible(claim.label)})"
    return _claimed(evidence, claim.repository, who, sources)


def _claimed(evidence: Evidence, repository: str, who: str, sources: Sources) -> Origin:
    tags = sources.tags(repository)
    if isinstance(tags, SourceProblem):
        return without_tags(repository, who, tags)
    found = find_tag(tags, evidence.artifact.name, evidence.artifact.version)
    if found.commit is None:
        return claimed_origin(repository, f"{who}, and {visible(found.problem or '')}")
    sentence = f"{who}, and its tag {visible(found.name or '')} points at this commit."
    return claimed_origin(repository, sentence, commit=found.commit, tag=found.name)


def _claim(evidence: Evidence) -> ClaimedRepository | None:
    """What the wheel's metadata says, else that of the source archive."""
    wheel, source = evidence.artifact_inspection, evidence.source_inspection
    for listing, ending in ((wheel, ".dist-info/METADATA"), (wheel, "PKG-INFO"), (source, "PKG-INFO")):
        for name, text in sorted((listing.texts if listing else {}).items()):
            if name.endswith(ending) and (claim := claimed_repository(text)) is not None:
                return claim
    return None


_LABELS = (
    *("source", "sourcecode", "repository", "repo", "code", "github", "gitlab", "codeberg", "bitbucket", "sourcehut"),
    *("git", "vcs", "scm", "development", "homepage", "home"),
)
"""Labels that may lead to a repository, the clearest first (letters and digits only, lower case)."""
_HOME = frozenset({"homepage", "home"})


@dataclass(frozen=True)
class ClaimedRepository:
    """A repository, and the label it goes by in the metadata."""

    repository: str
    label: str
    commit: str | None = None
    """Where the address names one."""


def claimed_repository(metadata: str) -> ClaimedRepository | None:
    """The repository that ``Project-URL``, ``Home-page`` or ``Download-URL`` name; nothing is taken from free text.

    Labels that do not speak of a repository count last, and only where the address is that of a page about one, such as
    its issues.

    Args:
        metadata: Text of METADATA or PKG-INFO (https://packaging.python.org/specifications/core-metadata/).
    """
    message = HeaderParser().parsestr(metadata)
    found: list[tuple[int, ClaimedRepository]] = []
    for value in message.get_all("Project-URL", [])[:100]:
        label, comma, url = str(value).partition(",")
        plain = re.sub(r"[^a-z0-9]", "", label.lower()) if comma else ""
        rank = _LABELS.index(plain) if plain in _LABELS else len(_LABELS) + 1
        repository = repository_url(url.strip(), home=plain in _HOME, page=plain not in _LABELS)
        if comma and repository is not None:
            found.append((rank, ClaimedRepository(repository, label.strip()[:40], _commit_in(url))))
    for rank, header in ((len(_LABELS), "Home-page"), (len(_LABELS) + 2, "Download-URL")):
        url = str(message.get(header, "")).strip()
        repository = repository_url(url, home=header == "Home-page", page=header != "Home-page")
        if repository is not None:
            found.append((rank, ClaimedRepository(repository, header, _commit_in(url))))
    return min(found, key=lambda each: each[0])[1] if found else None


def _commit_in(url: str) -> str | None:
    """The commit that the address of a page about a repository names."""
    found = re.search(r"/(?:tree|blob|commit|src|archive)/([0-9a-f]{40})(?:[/?#.]|$)", url)
    return found[1] if found else None


_PREFIX = re.compile(r"(?:releases?|rel|versions?|ver|v|r)[-_./ ]*(?=[0-9])", re.IGNORECASE)
_LANGUAGE = re.compile(r"(?:python|pypi|py)(?:[-_/@. ]+|(?=[vV]?[0-9]))", re.IGNORECASE)
_FINAL = re.compile(r"[-_.]?final$", re.IGNORECASE)
_LONGEST = 200


@dataclass(frozen=True)
class TagFound:
    """The tag of a version, or a sentence that says why there is none."""

    name: str | None = None
    commit: str | None = None
    problem: str | None = None


def find_tag(tags: Mapping[str, str], project: str, version: str) -> TagFound:
    """Find the tag of a version.

    Tags spelt exactly like the version (``1.2.3``, ``v1.2.3``, ``name-1.2.3``) come before those that only mean the
    same by PEP 440 (``1.2.3.0`` is no other version than ``1.2.3``), and of either those first that name the project or
    Python (``python-v1.2.3``): a repository may hold projects of other versions, too. Several that lead to one commit
    are as good as one; several that lead to different commits are as good as none. Those of repositories with many
    projects begin with the name of one.
    """
    wanted = Version(version)
    digits = str(wanted.release[0])  # a repository may have a hundred thousand tags: most need no closer look
    meant = [name for name in tags if digits in name and len(name) <= _LONGEST and _means(name, project, wanted)]
    exact = [name for name in meant if _bare(name, project).lower() == version.lower()]
    for names in (_specific(exact, project), exact, _specific(meant, project), meant):
        commits = {tags[name] for name in names}
        if len(commits) > 1:
            shown = ", ".join(sorted(names)[:4])
            return TagFound(problem=f"several tags could be that of {version}, for different commits: {shown}.")
        if commits:
            [commit] = commits
            same = [name for name in (exact if names[0] in exact else meant) if tags[name] == commit]
            return TagFound(name=min(same, key=lambda name: (len(name), name)), commit=commit)
    return TagFound(problem=f"none of the {len(tags)} tags of the repository is that of {version}.")


def _specific(tags: list[str], project: str) -> list[str]:
    """Those that name the project or its language."""
    return [name for name in tags if _unnamed(name, project) != name]


def _means(tag: str, project: str, wanted: Version) -> bool:
    text = _FINAL.sub("", _bare(tag, project))
    return wanted in map(version_of, (text, re.sub(r"(?<=[0-9])[_-](?=[0-9])", ".", text)))


def _bare(tag: str, project: str) -> str:
    """A tag without the project's name and words for "version" in front of it."""
    rest = _unnamed(tag, project)
    return _PREFIX.sub("", rest, count=1) if _PREFIX.match(rest) else rest


def _unnamed(tag: str, project: str) -> str:
    """A tag without the name of the project, or of Python, in front of it."""
    words = [re.escape(word) for word in canonicalize_name(project).split("-")]
    named = re.compile(rf"{'[-_.]?'.join(words)}(?:[-_/@. ]+|==|(?=[vV]?[0-9]))", re.IGNORECASE)
    found = named.match(tag) or _LANGUAGE.match(tag)
    return tag[found.end() :] if found else tag
