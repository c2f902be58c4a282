"""What a commit holds, and which directory of it is the project."""

from __future__ import annotations

from dataclasses import dataclass

from rebuilder.ecosystems.pypi.context import PlanningContext
from rebuilder.ecosystems.pypi.evidence import texts_below
from rebuilder.ecosystems.pypi.file_times import normal_path
from rebuilder.ecosystems.pypi.listing import inspect
from rebuilder.ecosystems.pypi.obstacles import NotRebuildable
from rebuilder.ecosystems.pypi.source_archive import top_directory
from rebuilder.ecosystems.pypi.source_trees import COMMIT_ARCHIVE
from rebuilder.model.definition import Input, Role
from rebuilder.model.evidence import Inspection, MemberKind
from rebuilder.model.git import SourceTree
from rebuilder.model.verdict import Verdict

_TELLING = ("pyproject.toml", "setup.py", "setup.cfg")


@dataclass(frozen=True)
class CommitListing:
    """The files of a commit."""

    listing: Inspection
    top: str
    """Directory that holds the project; empty when it is the repository."""

    def text(self, name: str) -> str | None:
        """Text of a file at the top of the project, of those that say how it is built."""
        return self.listing.texts.get(f"{self.top}/{name}" if self.top else name)


def list_commit(context: PlanningContext, tree: SourceTree, sdist: Inspection | None) -> CommitListing:
    """List a commit.

    Raises:
        NotRebuildable: the listing was cut short.
    """
    archive = archive_input(tree)
    [listing] = inspect(context, [archive], texts=texts_below(""))
    if not listing.readable:
        raise NotRebuildable(Verdict.UNSUPPORTED, f"The files of the commit {tree.commit.sha} cannot be listed.")
    top = project_directory(listing, sdist) if sdist is not None else ""
    if top:
        [listing] = inspect(context, [archive], texts=texts_below(top))
    return CommitListing(listing, top)


def archive_input(tree: SourceTree) -> Input:
    """The archive of a commit's files."""
    commit = tree.commit
    return Input(
        role=Role.SOURCE,
        name=f"{commit.sha}.tar",
        sha256=tree.archive_sha256,
        path=COMMIT_ARCHIVE,
        uri=f"git+{commit.repository}@{commit.sha}",
    )


def project_directory(commit: Inspection, sdist: Inspection) -> str:
    """The directory of a commit whose build files are those at the top of a source archive.

    One repository may hold many projects. The repository itself comes first, then the directory nearest to it.
    Nothing equal: the repository.
    """
    top = top_directory(sdist)
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
    return min(found, key=lambda path: (path.count("/") + bool(path), path), default="")
