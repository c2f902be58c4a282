"""Everything published about the wheels of a release, attestations (PEP 740) included; those are checked elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from rebuilder.ecosystems.inspection import inspect
from rebuilder.ecosystems.obstacles import NotRebuildable, quoted
from rebuilder.ecosystems.pypi.archives import check_source, source_path, texts_below
from rebuilder.ecosystems.pypi.command_line import name_parts
from rebuilder.ecosystems.pypi.context import PlanningContext
from rebuilder.ecosystems.pypi.requirements import RECORD
from rebuilder.ecosystems.pypi.simple_index import IndexProject, ReleaseFile, to_verify
from rebuilder.ecosystems.pypi.subject import ECOSYSTEM, release_purl
from rebuilder.ecosystems.pypi.wheel_traces import read_traces
from rebuilder.errors import ForbiddenAddressError, UnavailableError
from rebuilder.model.artifact import Artifact, PublishedFile
from rebuilder.model.definition import Input, Role
from rebuilder.model.evidence import Evidence, Inspection, Obstacle, Source, SourceKind
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
        raise NotRebuildable(
            Verdict.INPUTS_MISSING,
            f"The index gives no SHA-256 or no usable address for the source archive {archives[0].filename}.",
        )
    return source


def _check_size(context: PlanningContext, file: PublishedFile) -> None:
    if file.size is not None and file.size > context.max_file_bytes:
        raise NotRebuildable(
            Verdict.UNSUPPORTED,
            f"{file.filename} has {file.size:,} bytes; files up to {context.max_file_bytes:,} bytes are taken.",
        )


def _no_source(file: ReleaseFile) -> Obstacle:
    sentence = f"The release {file.version} publishes no source archive, so there is nothing to rebuild the wheel from."
    return Obstacle(verdict=Verdict.INPUTS_MISSING, sentence=sentence)


def _alone(context: PlanningContext, evidence: Evidence, obstacle: Obstacle) -> Evidence:
    """A file that follows from nothing else published: it is listed all the same, since a commit may give it."""
    file = evidence.artifact.file
    context.fetcher.file(file.url, sha256=file.sha256, max_bytes=context.max_file_bytes)
    [listing] = inspect(context, [as_input(file)], texts=(*WHEEL_TEXTS, *texts_below(_usual_top(file))))
    return evidence.replace(artifact_inspection=listing, obstacle=obstacle)


def _usual_top(source: PublishedFile) -> str:
    return source.filename.removesuffix(".tar.gz").removesuffix(".zip")


def as_input(file: PublishedFile) -> Input:
    """A published file, for a program that only reads it."""
    return Input(
        role=Role.PARAMETERS, name=file.filename, sha256=file.sha256, path=source_path(file.filename), uri=file.url
    )


def _inspected(context: PlanningContext, evidence: Evidence, wheel: PublishedFile, source: PublishedFile) -> Evidence:
    for each in (wheel, source):
        context.fetcher.file(each.url, sha256=each.sha256, max_bytes=context.max_file_bytes)
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
        raise NotRebuildable(Verdict.UNSUPPORTED, f"{file.filename} cannot be read to its end: {why}")


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
