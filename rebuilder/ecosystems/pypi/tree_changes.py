"""How a source archive differs from the commit (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rebuilder.ecosystems.pypi.file_times import normal_path
from rebuilder.ecosystems.pypi.sdist_traces import below
from rebuilder.ecosystems.pypi.tree_rules import ExplainedChange, SourceProject, TreeRule, explain
from rebuilder.model.evidence import Inspection, Member, MemberKind
from rebuilder.model.trail import FileChange, TreeChange
from rebuilder.model.value import sha256_hex

_KINDS = frozenset({MemberKind.FILE, MemberKind.SYMLINK, MemberKind.HARDLINK})


@dataclass(frozen=True)
class Tree:
    """Files by path relative to the project, with the texts that were read."""

    files: Mapping[str, Member]
    names: Mapping[str, str]
    """Path to the name in the archive."""
    texts: Mapping[str, str] = field(default_factory=dict)

    def is_exact(self, path: str) -> bool:
        """Whether the text of a file is its very content; what is no UTF-8 was made readable, long texts were cut."""
        member, text = self.files.get(path), self.texts.get(path)
        if member is None or text is None:
            return False
        return sha256_hex(text.encode("utf-8", "surrogatepass")) == member.sha256


def tree_of(listing: Inspection, top: str) -> Tree:
    """The files of an archive below the directory ``top``; the last of several with one name counts."""
    files, names = {}, {}
    for member in listing.members:
        path = below(member.name, top)
        if path and member.kind in _KINDS:
            files[path], names[path] = member, member.name
    texts = {below(normal_path(name), top): text for name, text in listing.texts.items()}
    return Tree(files, names, texts)


def raw_changes(sdist: Tree, commit: Tree) -> list[tuple[str, TreeChange]]:
    """Paths that differ, without a reason; in order of their paths."""
    changes = []
    for path in sorted(sdist.files.keys() | commit.files.keys()):
        ours, theirs = sdist.files.get(path), commit.files.get(path)
        if theirs is None:
            changes.append((path, TreeChange.ADDED))
        elif ours is None:
            changes.append((path, TreeChange.MISSING))
        elif (ours.kind, ours.sha256, ours.link) != (theirs.kind, theirs.sha256, theirs.link):
            changes.append((path, TreeChange.CHANGED))
    return changes


def explained_changes(sdist: Tree, commit: Tree, project: SourceProject) -> tuple[FileChange, ...]:
    """All differences, each with the rule that explains it; those people need to see come first.

    The order: added and changed files that nothing explains, then missing ones, then what a rule explains.
    """
    found = []
    for path, change in raw_changes(sdist, commit):
        exact = sdist.is_exact(path) and commit.is_exact(path)
        texts = sdist.texts.get(path), commit.texts.get(path)
        rule = explain(ExplainedChange(path, change, sdist.files.get(path), *texts, exact=exact), project)
        found.append(_file_change(path, change, rule))
    return tuple(sorted(found, key=_order))


def _file_change(path: str, change: TreeChange, rule: TreeRule | None) -> FileChange:
    if rule is None:
        return FileChange(path=path, change=change)
    return FileChange(path=path, change=change, rule=rule.name, sentence=rule.sentence)


def _order(change: FileChange) -> tuple[bool, bool, str]:
    return change.rule is not None, change.change is TreeChange.MISSING, change.path
