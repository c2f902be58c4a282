"""Archives and commits: listed inside the sandbox, and checked before they are unpacked."""

from __future__ import annotations

import glob
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from rebuilder.ecosystems.inspection import inspect
from rebuilder.ecosystems.obstacles import NotRebuildable, quoted
from rebuilder.ecosystems.pypi.context import PlanningContext
from rebuilder.ecosystems.pypi.sdist_configuration import named_project
from rebuilder.ecosystems.source_trees import archive_input, submodule_inputs
from rebuilder.model.definition import Input
from rebuilder.model.evidence import Inspection, Member, MemberKind, normal_path
from rebuilder.model.git import SourceTree
from rebuilder.model.verdict import Verdict

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*")
_SOURCE_TEXTS = ("pyproject.toml", "PKG-INFO", "setup.py", "setup.cfg")
"""At the top of the project. Archives may hold hundreds more of them below, so they are asked for by full name."""


_BUILD_SCRIPTS = ("setup.py", "hatch_build.py", "pdm_build.py", "build.py")
"""What backends run of a project, by the names that they, or their documentation, give it."""


def texts_below(top: str) -> tuple[str, ...]:
    """Patterns of the files that say how a project in this directory is built."""
    below = f"{glob.escape(top)}/" if top else ""
    return tuple(f"{below}{name}" for name in _SOURCE_TEXTS)


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


def has_build_script(source: Inspection) -> bool:
    """Whether anything at the top of a source archive says how it is built."""
    top = source.top_directory
    scripts = {posixpath.join(top, name) for name in ("pyproject.toml", "setup.py", "setup.cfg")}
    return any(normal_path(member.name) in scripts for member in source.members)


def source_text(source: Inspection, name: str) -> str | None:
    """Text of a file at the top of the project; None when there is none."""
    top = source.top_directory
    path = f"{top}/{name}" if top else name
    for member, text in source.texts.items():
        if normal_path(member) == path:
            return text
    return None


def build_scripts(context: PlanningContext, archive: Input, top: str, backend_path: Sequence[str]) -> list[str]:
    """Texts of the code that a source builds itself with: a backend of its own, or what backends run of it.

    Args:
        context: What to read the archive with.
        archive: The source, as an archive among the blobs.
        top: Directory of it that holds the project; empty where the archive has none around it.
        backend_path: Directories of the project that hold its own backend.

    Raises:
        NotRebuildable: the listing was cut short by a limit or failed.
    """
    paths = [*_BUILD_SCRIPTS, *(posixpath.join(path, "*.py") for path in map(glob.escape, backend_path))]
    [found] = inspect(
        context, [archive], texts=[posixpath.normpath(posixpath.join(glob.escape(top), path)) for path in paths]
    )
    return list(found.texts.values())


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


_TELLING = ("pyproject.toml", "setup.py", "setup.cfg")
_NAMING = tuple(f"*{name}" for name in _TELLING)


@dataclass(frozen=True)
class CommitListing:
    """The files of a commit."""

    listing: Inspection
    top: str
    """Directory that holds the project; empty when it is the repository."""

    def text(self, name: str) -> str | None:
        """Text of a file at the top of the project, of those that say how it is built."""
        return self.listing.texts.get(f"{self.top}/{name}" if self.top else name)


def list_commit(context: PlanningContext, tree: SourceTree, sdist: Inspection | None, project: str) -> CommitListing:
    """List a commit.

    Raises:
        NotRebuildable: the listing was cut short.
    """
    archive, submodules = archive_input(tree), submodule_inputs(tree)
    listing, *below = inspect(context, [archive, *(each for _, each, _ in submodules)], texts=texts_below(""))
    if not listing.readable or not all(each.readable for each in below):
        raise NotRebuildable(Verdict.UNSUPPORTED, f"The files of the commit {tree.commit.sha} cannot be listed.")
    members = [
        each.replace(name=f"{submodule.path}/{each.name}")
        for (submodule, *_), inside in zip(submodules, below, strict=True)
        for each in inside.members
    ]
    top = project_directory(listing, sdist) if sdist is not None else None
    if top is None:
        [named] = inspect(context, [archive], texts=_NAMING)
        top = named_directory(named, project)
    if top:
        [listing] = inspect(context, [archive], texts=texts_below(top))
    return CommitListing(listing.replace(members=(*listing.members, *members)), top)


def source_path(filename: str) -> str:
    """Where the source archive lies in the sandbox; its name says nothing but its format there if it is odd."""
    if _PLAIN.fullmatch(filename):
        return f"/inputs/{filename}"
    return "/inputs/source.zip" if filename.endswith(".zip") else "/inputs/source.tar.gz"


def named_directory(commit: Inspection, project: str) -> str:
    """The directory of a commit whose build files name a project; the repository where none does.

    The repository itself comes first, then the directory nearest to it.
    """
    found = [
        normal_path(member).rpartition("/")[0]
        for member, text in commit.texts.items()
        if canonicalize_name(named_project(normal_path(member).rpartition("/")[2], text) or "") == project
    ]
    return min(found, key=lambda path: (path.count("/") + bool(path), path), default="")


def project_directory(commit: Inspection, sdist: Inspection) -> str | None:
    """The directory of a commit whose build files are those at the top of a source archive.

    One repository may hold many projects. The repository itself comes first, then the directory nearest to it.
    Nothing equal: None.
    """
    top = sdist.top_directory
    wanted = {
        (path.rpartition("/")[2], member.sha256)
        for member in sdist.members
        if member.kind is MemberKind.FILE
        and (path := normal_path(member.name)) in {f"{top}/{name}" if top else name for name in _TELLING}
    }
    found = [
        normal_path(member.name).rpartition("/")[0]
        for name in _TELLING
        for member in commit.members
        if member.kind is MemberKind.FILE and (name, member.sha256) in wanted
        if normal_path(member.name).rpartition("/")[2] == name
    ]
    return min(found, key=lambda path: (path.count("/") + bool(path), path), default=None)
