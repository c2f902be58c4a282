"""What matters about a source archive before it is unpacked (pure)."""

from __future__ import annotations

import posixpath

from rebuilder.ecosystems.pypi.file_times import normal_path
from rebuilder.ecosystems.pypi.obstacles import NotRebuildable, quoted
from rebuilder.model.evidence import Inspection, Member, MemberKind
from rebuilder.model.verdict import Verdict


def check_source(source: Inspection, filename: str) -> None:
    """Stop at a member that must not be unpacked, and at an archive that is two source trees.

    Raises:
        NotRebuildable: readers disagree about what it holds, a name or a link leads out of the tree, or a member is a
            device;
            the sentence names the member.
    """
    if source.contradictions:
        raise NotRebuildable(
            Verdict.UNSUPPORTED,
            f"The source archive {filename} is not unpacked: readers disagree about what it holds. "
            f"{source.contradictions[0]}",
        )
    for member in source.members:
        fault = _fault(member)
        if fault is not None:
            raise NotRebuildable(
                Verdict.UNSUPPORTED, f"The source archive {filename} is not unpacked: {quoted(member.name)} {fault}."
            )
    if not any(member.kind is MemberKind.FILE for member in source.members):
        raise NotRebuildable(Verdict.UNSUPPORTED, f"The source archive {filename} holds no files.")


def top_directory(source: Inspection) -> str:
    """The one directory everything lies in; empty when there is none."""
    tops = {normal_path(member.name).split("/")[0] for member in source.members} - {""}
    files_at_top = any(
        "/" not in normal_path(member.name) and member.kind is not MemberKind.DIRECTORY
        for member in source.members
        if normal_path(member.name)
    )
    return tops.pop() if len(tops) == 1 and not files_at_top else ""


def source_text(source: Inspection, name: str) -> str | None:
    """Text of a file at the top of the project; None when there is none."""
    top = top_directory(source)
    path = f"{top}/{name}" if top else name
    for member, text in source.texts.items():
        if normal_path(member) == path:
            return text
    return None


def _fault(member: Member) -> str | None:
    if member.name.startswith("/"):
        return "is an absolute path"
    if ".." in member.name.split("/"):
        return "leads out of the tree"
    if member.kind in {MemberKind.DEVICE, MemberKind.FIFO}:
        return f"is a {member.kind.value}"
    if member.kind is MemberKind.SYMLINK:
        base = posixpath.dirname(normal_path(member.name))
        return _link_fault(member.link, base)
    if member.kind is MemberKind.HARDLINK:
        return _link_fault(member.link, "")
    return None


def _link_fault(link: str | None, base: str) -> str | None:
    if not link or link.startswith("/"):
        return f"is a link to {quoted(link or '')}, out of the tree"
    goal = posixpath.normpath(posixpath.join(base, link))
    return f"is a link to {quoted(link)}, out of the tree" if goal.split("/")[0] == ".." else None
