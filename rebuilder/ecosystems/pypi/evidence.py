"""Everything published about the wheels of a release, attestations (PEP 740) included; those are checked elsewhere.

Archives and commits are listed inside the sandbox, and checked before they are unpacked.
"""

from __future__ import annotations

import glob
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from packaging.utils import canonicalize_name

from rebuilder.ecosystems.inspection import inspect
from rebuilder.ecosystems.obstacles import NotRebuildable, inputs_missing, quoted, unsupported
from rebuilder.ecosystems.pypi.command_line import name_parts
from rebuilder.ecosystems.pypi.context import PlanningContext
from rebuilder.ecosystems.pypi.requirements import RECORD
from rebuilder.ecosystems.pypi.sdist_configuration import named_project
from rebuilder.ecosystems.pypi.simple_index import IndexProject, ReleaseFile, to_verify
from rebuilder.ecosystems.pypi.subject import ECOSYSTEM, release_purl
from rebuilder.ecosystems.pypi.wheel_traces import read_traces
from rebuilder.ecosystems.source_trees import archive_input, submodule_inputs
from rebuilder.ecosystems.unavailable_inputs import unavailable
from rebuilder.errors import FileGoneError, ForbiddenAddressError, UnavailableError
from rebuilder.model.artifact import Artifact, PublishedFile
from rebuilder.model.definition import Input, Role
from rebuilder.model.evidence import Evidence, Inspection, Member, MemberKind, Obstacle, Source, SourceKind, normal_path
from rebuilder.model.git import SourceTree
from rebuilder.model.text import clipped
from rebuilder.model.value import Sha256
from rebuilder.model.verdict import Verdict

MEDIA_TYPE = "application/vnd.pypi.integrity.v1+json"
MAX_BYTES = 4 << 20
"""Genuine documents have some ten thousand bytes; the check refuses large ones long before this."""
WHEEL_TEXTS = (
    *(f"*.dist-info/{name}" for name in ("WHEEL", "METADATA", "RECORD", "entry_points.txt", "top_level.txt")),
    "*-nspkg.pth",
    RECORD,
)
_COMPILED = re.compile(r"\.(?:so|pyd|dylib|dll|exe|a|lib|o|obj|node|wasm)(?:\.\d+)*$", re.IGNORECASE)
_COMMAND = re.compile(r"\.data/scripts/[^/]+$|(?:^|/)bin/[^/.]+$")


def collect(
    context: PlanningContext, project: IndexProject, release: Sequence[ReleaseFile], filename: str | None
) -> list[Evidence]:
    """One value per file to verify: the one asked for, or the wheel that is installed here and all pure ones.

    Raises:
        UnavailableError: a file cannot be downloaded, or the index gives no digest for it.
    """
    chosen = [each for each in release if each.filename == filename] if filename is not None else to_verify(release)
    return [_evidence(context, project, release, each) for each in chosen]


def _evidence(
    context: PlanningContext, project: IndexProject, release: Sequence[ReleaseFile], file: ReleaseFile
) -> Evidence:
    published = file.published
    if published is None:
        raise UnavailableError(
            f"The index gives no SHA-256 or no usable address for {file.filename}; nothing can be said about a file "
            "whose bytes are not bound."
        )
    version = str(file.version)
    artifact = Artifact(
        ecosystem=ECOSYSTEM,
        purl=release_purl(project.name, version),
        name=project.name,
        version=version,
        file=published,
    )
    served = provenance_document(context, published)
    evidence = Evidence(
        artifact=artifact,
        index_sha256=project.document_sha256,
        provenance_sha256=served.document,
        provenance_refused=served.refused,
        notes=(*_notes(published), *served.notes),
    )
    try:
        _check_size(context, published)
        if not file.is_wheel:
            return _alone(context, evidence, _start(alone=not any(each.is_wheel for each in release)))
        source = _source(release)
        if source is None:
            return _alone(context, evidence, _no_source(file))
        _check_size(context, source)
        try:
            _fetch(context, source)
        except NotRebuildable as lost:
            return _alone(context, evidence, lost.obstacle)
        return _inspected(context, evidence, published, source)
    except NotRebuildable as stopped:
        return evidence.replace(obstacle=stopped.obstacle)


def _notes(published: PublishedFile) -> tuple[str, ...]:
    if published.yanked is None:
        return ()
    words = clipped(published.yanked.strip())
    reason = f": {words}" if words else ", without a reason"
    return (f"The registry marks this file as yanked{reason}.",)


def held_compiled_code(evidence: Evidence) -> Obstacle | None:
    """That a wheel for one platform holds compiled code: by its suffix, or a command that the source lacks.

    It is not rebuilt as a whole then. None for any other file, and for one whose source archive was not listed.
    """
    file, listing, source = evidence.artifact.file, evidence.artifact_inspection, evidence.source_inspection
    if listing is None or source is None or not is_for_one_platform(file.filename):
        return None
    _, python, abi, platform = name_parts(file.filename)
    known = {member.name.rpartition("/")[2] for member in source.members}
    for member in listing.members:
        name = member.name.rpartition("/")[2]
        if _COMPILED.search(name) or (_COMMAND.search(member.name) and name not in known):
            sentence = (
                f"The wheel is for one platform (its tag is {python}-{abi}-{platform}) and holds "
                f"{quoted(member.name)}, which is compiled code: that is rebuilt as a whole only in an image that the "
                "settings name."
            )
            return Obstacle(verdict=Verdict.UNSUPPORTED, sentence=sentence)
    return None


def is_for_one_platform(filename: str) -> bool:
    """Whether a wheel is one for a platform, by its tag; it may hold no compiled code all the same."""
    return filename.endswith(".whl") and name_parts(filename)[3] != "any"


def _start(*, alone: bool) -> Obstacle:
    """Why a source archive is not rebuilt from what is published."""
    sentence = (
        "The release publishes only a source archive: there is no wheel to rebuild."
        if alone
        else "This is a source archive; rebuilds start from it and make wheels."
    )
    return Obstacle(verdict=Verdict.UNSUPPORTED, sentence=sentence)


def _source(release: Sequence[ReleaseFile]) -> PublishedFile | None:
    archives = sorted(
        (each for each in release if not each.is_wheel), key=lambda each: not each.filename.endswith(".tar.gz")
    )
    if not archives:
        return None
    source = archives[0].published
    if source is None:
        raise inputs_missing(
            f"The index gives no SHA-256 or no usable address for the source archive {archives[0].filename}."
        )
    return source


def _check_size(context: PlanningContext, file: PublishedFile) -> None:
    if file.size is not None and file.size > context.max_file_bytes:
        raise unsupported(
            f"{file.filename} has {file.size:,} bytes; files up to {context.max_file_bytes:,} bytes are taken."
        )


def _no_source(file: ReleaseFile) -> Obstacle:
    sentence = f"The release {file.version} publishes no source archive, so there is nothing to rebuild the wheel from."
    return Obstacle(verdict=Verdict.INPUTS_MISSING, sentence=sentence)


def _alone(context: PlanningContext, evidence: Evidence, obstacle: Obstacle) -> Evidence:
    """A file that follows from nothing else published: it is listed all the same, since a commit may give it."""
    file = evidence.artifact.file
    _fetch(context, file)
    [listing] = inspect(context, [as_input(file)], texts=(*WHEEL_TEXTS, *texts_below(_usual_top(file))))
    return evidence.replace(artifact_inspection=listing, obstacle=obstacle)


def _fetch(context: PlanningContext, file: PublishedFile) -> None:
    try:
        context.fetcher.file(file.url, sha256=file.sha256, max_bytes=context.max_file_bytes)
    except FileGoneError as error:
        raise unavailable(str(error), for_everybody=False) from None  # the index promises it


def _usual_top(source: PublishedFile) -> str:
    return source.filename.removesuffix(".tar.gz").removesuffix(".zip")


def as_input(file: PublishedFile) -> Input:
    """A published file, for a program that only reads it."""
    return Input(
        role=Role.PARAMETERS, name=file.filename, sha256=file.sha256, path=source_path(file.filename), uri=file.url
    )


def _inspected(context: PlanningContext, evidence: Evidence, wheel: PublishedFile, source: PublishedFile) -> Evidence:
    _fetch(context, wheel)
    usual_top = _usual_top(source)
    listings = inspect(context, [as_input(wheel), as_input(source)], texts=(*WHEEL_TEXTS, *texts_below(usual_top)))
    top = listings[1].top_directory
    if top != usual_top:
        listings[1:] = inspect(context, [as_input(source)], texts=texts_below(top))
    served = provenance_document(context, source)
    found = evidence.replace(
        notes=(*evidence.notes, *served.notes, *filter(None, [served.refused])),
        source_provenance_sha256=served.document,
        source_file=source,
        source=Source(
            kind=SourceKind.SDIST, uri=source.url, digest={"sha256": source.sha256}, filename=source.filename
        ),
        artifact_inspection=listings[0],
        source_inspection=listings[1],
    )
    return found.replace(obstacle=_obstacle(wheel, source, listings))


def _obstacle(wheel: PublishedFile, source: PublishedFile, listings: list[Inspection]) -> Obstacle | None:
    try:
        for file, listing in zip((wheel, source), listings, strict=True):
            _check_readable(file, listing)
        read_traces(listings[0])
        check_source(listings[1], source.filename)
    except NotRebuildable as stopped:
        return stopped.obstacle
    return None


def _check_readable(file: PublishedFile, listing: Inspection) -> None:
    if not listing.readable:
        why = listing.problems[-1] if listing.problems else "it is malformed."
        raise unsupported(f"{file.filename} cannot be read to its end: {why}")


class Served(NamedTuple):
    """What the index serves as the provenance of a file."""

    document: Sha256 | None = None
    """Its blob."""
    notes: tuple[str, ...] = ()
    """A sentence, if the index names a document that it does not have."""
    refused: str | None = None
    """Why nobody asked for it; a sentence."""


def provenance_document(context: PlanningContext, file: PublishedFile) -> Served:
    """Fetch the provenance document of a file from where the index says it is.

    Raises:
        UnavailableError: no proper answer, or more than :data:`MAX_BYTES`. This must not become None: a release
            would look as if its attestation had vanished, when in truth nobody could look.
    """
    if file.provenance_url is None:
        return Served()
    try:
        document = context.fetcher.document(file.provenance_url, accept=MEDIA_TYPE, max_bytes=MAX_BYTES)
    except ForbiddenAddressError as error:
        return Served(refused=f"The index names attestations for {file.filename}, but {error}")
    if document is None:
        note = f"The index names attestations for {file.filename}, but there are none at the address it gives."
        return Served(notes=(note,))
    return Served(document.sha256)


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
        raise unsupported(
            f"The source archive {filename} is not unpacked: readers disagree about what it holds. "
            f"{source.contradictions[0]}",
        )
    for member in source.members:
        fault = _fault(member)
        if fault is not None:
            raise unsupported(f"The source archive {filename} is not unpacked: {quoted(member.name)} {fault}.")
    if not any(member.kind is MemberKind.FILE for member in source.members):
        raise unsupported(f"The source archive {filename} holds no files.")


def has_build_script(source: Inspection) -> bool:
    """Whether anything at the top of a source archive says how it is built."""
    top = source.top_directory
    scripts = {posixpath.join(top, name) for name in _TELLING}
    return any(normal_path(member.name) in scripts for member in source.members)


def source_text(source: Inspection, name: str) -> str | None:
    """Text of a file at the top of the project; None when there is none."""
    path = posixpath.join(source.top_directory, name)
    return next((text for member, text in source.texts.items() if normal_path(member) == path), None)


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
        return self.listing.texts.get(posixpath.join(self.top, name))


def list_commit(context: PlanningContext, tree: SourceTree, sdist: Inspection | None, project: str) -> CommitListing:
    """List a commit.

    Raises:
        NotRebuildable: the listing was cut short.
    """
    archive, submodules = archive_input(tree), submodule_inputs(tree)
    listing, *below = inspect(context, [archive, *(each for _, each, _ in submodules)], texts=texts_below(""))
    if not listing.readable or not all(each.readable for each in below):
        raise unsupported(f"The files of the commit {tree.commit.sha} cannot be listed.")
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
        and (path := normal_path(member.name)) in {posixpath.join(top, name) for name in _TELLING}
    }
    found = [
        normal_path(member.name).rpartition("/")[0]
        for name in _TELLING
        for member in commit.members
        if member.kind is MemberKind.FILE and (name, member.sha256) in wanted
        if normal_path(member.name).rpartition("/")[2] == name
    ]
    return min(found, key=lambda path: (path.count("/") + bool(path), path), default=None)
