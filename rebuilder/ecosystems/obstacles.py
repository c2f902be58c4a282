"""How an ecosystem says that a rebuild cannot go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from rebuilder.model.attempt import History, Hypothesis, plan
from rebuilder.model.diagnosis import Cause
from rebuilder.model.evidence import Inspection, Obstacle, normal_path
from rebuilder.model.git import SourceTree
from rebuilder.model.verdict import Verdict

_Made = TypeVar("_Made")


class NotRebuildable(Exception):  # noqa: N818 - not an error of ours: it says something about the release
    """Ends the search for a build definition; becomes an :class:`Obstacle` before it leaves the ecosystem."""

    def __init__(self, verdict: Verdict, sentence: str, cause: Cause | None = None) -> None:
        super().__init__(sentence)
        self.obstacle = Obstacle(verdict=verdict, sentence=sentence, cause=cause)


def unsupported(sentence: str, cause: Cause | None = None) -> NotRebuildable:
    """That this kind of file is not rebuilt here."""
    return NotRebuildable(Verdict.UNSUPPORTED, sentence, cause)


def inputs_missing(sentence: str, cause: Cause | None = None) -> NotRebuildable:
    """That something it is built from cannot be had."""
    return NotRebuildable(Verdict.INPUTS_MISSING, sentence, cause)


def or_obstacle(make: Callable[[], _Made]) -> _Made | Obstacle:
    """What ``make`` gives, or what kept it from that by :class:`NotRebuildable`."""
    try:
        return make()
    except NotRebuildable as stopped:
        return stopped.obstacle


def planned(planner: Callable[[History], Obstacle | None], history: History) -> Hypothesis | Obstacle | None:
    """:func:`rebuilder.model.attempt.plan` for a planner that ends by :class:`NotRebuildable`."""
    return or_obstacle(lambda: plan(planner, history))


def quoted(text: str, *, longest: int = 120) -> str:
    """Published text for a sentence: cut, in quotes, with control characters escaped."""
    return repr(text if len(text) <= longest else text[: longest - 1] + "…")


def source_lacks(tree: SourceTree, published: Inspection, what: str, *, below: str = "") -> Obstacle | None:
    """What of a published file a commit only refers to, where that cannot be had; a difference is no wonder then.

    Only the file itself counts as evidence: a large file of which it has the content, or files below the place of a
    submodule. So nobody hides a difference behind something that the build has nothing to do with.

    Args:
        tree: The commit.
        published: What the file holds.
        what: What such a file is called.
        below: Directory of the commit whose files lie at the top of the published one.
    """
    contents = {each.sha256 for each in published.members}
    paths = [f"/{normal_path(each.name)}" for each in published.members]
    large = [each.path for each in tree.large_files if each.sha256 in contents]
    if large:
        return _lacks(f"The commit has only a Git LFS pointer to {large[0]}, the content of which is in", what)
    for each in tree.submodules:
        place = f"/{each.path.removeprefix(f'{below}/')}/"
        if each.archive_sha256 is None and any(place in path for path in paths):
            sentence = f"The submodule {each.path} at commit {each.commit} cannot be had, and files of it are in"
            return _lacks(sentence, what, each.problem or "")
    return None


def _lacks(sentence: str, what: str, why: str = "") -> Obstacle:
    return Obstacle(
        verdict=Verdict.INPUTS_MISSING,
        sentence=f"{sentence} the published {what}. {why}".strip(),
        cause=Cause.SOURCE_UNAVAILABLE,
    )
