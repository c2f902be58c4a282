"""Which tag of a repository is that of a version (pure)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

_PREFIX = re.compile(r"(?:releases?|rel|versions?|ver|v|r)[-_./ ]*(?=[0-9])", re.IGNORECASE)
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
    same by PEP 440 (``1.2.3.0`` is no other version than ``1.2.3``). Several that lead to one commit are as good as
    one; several that lead to different commits are as good as none.

    Args:
        tags: Tag to commit.
        project: Name of the project, which tags of repositories with many projects begin with.
        version: As published.
    """
    wanted = Version(version)
    digits = str(wanted.release[0])  # a repository may have a hundred thousand tags: most need no closer look
    meant = [name for name in tags if digits in name and len(name) <= _LONGEST and _means(name, project, wanted)]
    exact = [name for name in meant if _bare(name, project).lower() == version.lower()]
    for names in (exact, meant):
        commits = {tags[name] for name in names}
        if len(commits) > 1:
            shown = ", ".join(sorted(names)[:4])
            return TagFound(problem=f"several tags could be that of {version}, for different commits: {shown}.")
        if commits:
            return TagFound(name=min(names, key=lambda name: (len(name), name)), commit=commits.pop())
    return TagFound(problem=f"none of the {len(tags)} tags of the repository is that of {version}.")


def _means(tag: str, project: str, wanted: Version) -> bool:
    text = _FINAL.sub("", _bare(tag, project))
    for spelling in (text, re.sub(r"(?<=[0-9])[_-](?=[0-9])", ".", text)):
        try:
            if Version(spelling) == wanted:
                return True
        except InvalidVersion:
            continue
    return False


def _bare(tag: str, project: str) -> str:
    """A tag without the project's name and words for "version" in front of it."""
    words = [re.escape(word) for word in canonicalize_name(project).split("-")]
    named = re.compile(rf"{'[-_.]?'.join(words)}(?:[-_/@. ]+|==|(?=[vV]?[0-9]))", re.IGNORECASE)
    rest = tag[found.end() :] if (found := named.match(tag)) else tag
    return _PREFIX.sub("", rest, count=1) if _PREFIX.match(rest) else rest
