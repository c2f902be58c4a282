"""Debian packages: bound by what the archive signed, read, and rebuilt from their signed source packages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from rebuilder import deb822
from rebuilder.deb822 import MalformedStanzaError
from rebuilder.ecosystems.debian.build_inputs import check_size, unavailable_files
from rebuilder.ecosystems.debian.candidates import Candidate, Candidates, wanted_architecture
from rebuilder.ecosystems.debian.context import PlanningContext
from rebuilder.ecosystems.debian.documents import given_build_info, opened, subjects_in
from rebuilder.ecosystems.debian.hypotheses import case_of, infer
from rebuilder.ecosystems.debian.index import BinaryPackage, SourcePackage, listed
from rebuilder.ecosystems.debian.planning import Planner
from rebuilder.ecosystems.debian.project import project_builds
from rebuilder.ecosystems.debian.subject import ECOSYSTEM, NO_UDEBS, file_name, parse_subject, release_purl
from rebuilder.ecosystems.debian.version import order, without_epoch
from rebuilder.ecosystems.inspection import inspect
from rebuilder.ecosystems.notebook import Notebook
from rebuilder.ecosystems.obstacles import NotRebuildable, or_obstacle, planned, unsupported
from rebuilder.ecosystems.protocol import Ecosystem, StepTask
from rebuilder.errors import FetchMismatchError, FileGoneError, UnavailableError, UnknownProjectError, UsageError
from rebuilder.model.artifact import Artifact, ListedFile, Listing, PublishedFile, Subject
from rebuilder.model.attempt import History, Hypothesis
from rebuilder.model.definition import Input, Limits, Role
from rebuilder.model.diagnosis import Cause
from rebuilder.model.evidence import Evidence, Inspection, Obstacle, Source, SourceKind
from rebuilder.model.graph import Node, NodeKind, Origin, SourceTrail, Step, file_node, source_id
from rebuilder.model.project import Project, ProjectTree
from rebuilder.model.text import clipped
from rebuilder.model.value import canonical_json, sha256_hex
from rebuilder.model.verdict import Verdict
from rebuilder.network.protocol import Fetcher

DSC_BYTES = 4 << 20
TEXTS = ("control.tar/*", "data.tar/usr/share/doc/*/changelog.Debian.*")
"""Members of a package whose text is read: all of its control files."""
SOURCE_TO_PACKAGE = "source-package-to-package"


class Debian(Ecosystem):
    """Packages of Debian's archive: fetched, bound, read, and rebuilt from their source packages."""

    name = ECOSYSTEM

    def __init__(self, context: PlanningContext) -> None:
        """Nothing is read or asked before the first subject."""
        self.context = context
        self._candidates = Candidates(lambda: context.archive, context.releases)
        self._notebook = Notebook()

    @property
    def fetcher(self) -> Fetcher:
        """See :class:`rebuilder.ecosystems.protocol.Ecosystem`."""
        return self.context.archive.fetcher

    parse = staticmethod(parse_subject)

    def named_in(self, path: Path) -> list[Subject]:
        """See :func:`rebuilder.ecosystems.debian.documents.subjects_in`."""
        return subjects_in(path, self.context.blobs, self.context.maintainers, self._candidates)

    def listing(self, name: str, seen: str | None = None) -> Listing | None:
        """What the suites of apt's settings have of a package now, for this machine's architecture."""
        subject = parse_subject(name)
        found = sorted(self._candidates.current(subject), key=lambda each: order(each.package.version), reverse=True)
        if not found:
            raise self._unknown(subject)
        files = dict.fromkeys(
            ListedFile(
                purl=release_purl(package.name, package.version),
                version=package.version,
                filename=package.file.name,
                sha256=package.file.sha256,
            )
            for package in (each.package for each in found)
        )
        mark = sha256_hex(canonical_json([each.document() for each in files]))
        if mark == seen:
            return None
        newest = found[0].package.version
        return Listing(ecosystem=ECOSYSTEM, name=subject.name, files=tuple(files), newest=newest, mark=mark)

    def project_names(self) -> Iterator[str]:
        """Every binary package that the suites of apt's settings have for this machine's architecture."""
        archive = self.context.archive
        names: set[str] = set()
        for release in archive.releases(None):
            for index in archive.indices(release, f"binary-{archive.settings.architecture}/Packages"):
                names.update(deb822.values(archive.text(index), b"Package"))
        yield from sorted(names)

    def remarks(self) -> tuple[str, ...]:
        """Suites of which a mirror shows an older state than was seen before."""
        opened = self.context.opened
        return opened.late() if opened is not None else ()

    def evidence(self, subject: Subject) -> list[Evidence]:
        """See :class:`rebuilder.ecosystems.protocol.Ecosystem`. A version has one package for an architecture.

        The newest version counts where none is named. A version that no list has now is looked for in the lists that
        were verified before.
        """
        found = list(self._candidates.current(subject))
        version = subject.version or max((each.package.version for each in found), key=order, default=None)
        if version is None:
            raise self._no_version(subject, found)
        chosen = _of_version(found, version, subject) or _of_version(
            self._candidates.earlier(subject), version, subject
        )
        if not chosen and subject.suite is None:
            chosen = _of_version(self._candidates.elsewhere(subject), version, subject)
        wanted = wanted_architecture(subject)
        chosen = [each for each in chosen if wanted in {None, each.package.architecture}]
        if not chosen:
            raise self._no_version(subject, found)
        by_file = {each.package.file.sha256: each for each in reversed(chosen)}
        if subject.local_sha256 in by_file:
            by_file = {subject.local_sha256: by_file[subject.local_sha256]}
        if len(by_file) > 1:
            raise UnavailableError(
                f"The archives in apt's settings have {len(by_file)} different packages {subject.name} {version}.",
                hint="Name the suite: deb:NAME==VERSION@SUITE.",
            )
        return [self._given(subject, each, self._evidence(each)) for each in by_file.values()]

    def _given(self, subject: Subject, candidate: Candidate, evidence: Evidence) -> Evidence:
        """The evidence, and what the user gave about the build of the file."""
        notes, sha256 = list(subject.notes), subject.buildinfo_sha256
        if sha256 and given_build_info(self.context.blobs.read(sha256), candidate.package.source) is None:
            notes.append("What was given about its build is about another source package, and not used.")
            sha256 = None
        return evidence.replace(buildinfo_sha256=sha256, notes=(*evidence.notes, *notes))

    def _evidence(self, candidate: Candidate) -> Evidence:
        package, index = candidate.package, candidate.index
        archive, file = self.context.archive, package.file
        self._candidates.remember(candidate)
        evidence = Evidence(
            artifact=Artifact(
                ecosystem=ECOSYSTEM,
                purl=release_purl(package.name, package.version),
                name=package.name,
                version=package.version,
                file=PublishedFile(
                    filename=file_name(package.name, package.version, package.architecture),
                    url=archive.address(index.release, file),
                    sha256=file.sha256,
                    size=file.size,
                ),
            ),
            index_sha256=index.sha256,
            notes=tuple(_notes(candidate)),
        )
        try:
            check_size(file, self.context.max_file_bytes)
            try:
                archive.file(index.release, file, self.context.max_file_bytes)
            except FileGoneError:
                kept = archive.snapshot
                if kept is None or kept.take(file, kept.of_binary(package.name, package.version)) is None:
                    what = f"The published {evidence.artifact.filename} itself is"
                    states = () if candidate.earlier else (index.release.kept,)
                    raise unavailable_files(what, [file.path], states) from None
            inspection = self._inspected(evidence.artifact.file)
            evidence = evidence.replace(artifact_inspection=inspection)
            check_control(inspection, package)
        except NotRebuildable as stopped:
            return evidence.replace(obstacle=stopped.obstacle)
        return self._with_source(evidence, candidate)

    def _with_source(self, evidence: Evidence, candidate: Candidate) -> Evidence:
        wanted, notes = candidate.package.source, list(evidence.notes)
        source = self._candidates.source(candidate)
        dsc = source.dsc if source is not None else None
        if source is None or dsc is None:
            notes.append(f"No signed list has its source package {wanted.name} {wanted.version} any more.")
            sentence = f"No signed list of the archive has its source package {wanted.name} {wanted.version} any more."
            obstacle = Obstacle(verdict=Verdict.INPUTS_MISSING, sentence=sentence, cause=Cause.SOURCE_UNAVAILABLE)
            return evidence.replace(obstacle=obstacle, notes=tuple(notes))
        release = candidate.index.release
        try:
            self.context.archive.file(release, dsc, DSC_BYTES)
            notes += dsc_findings(self.context.blobs.read(dsc.sha256), source, self.context.maintainers)
        except FetchMismatchError:
            raise
        except UnavailableError as error:
            notes.append(f"Its .dsc cannot be had ({str(error).rstrip('.')}); the signed list says all that is in it.")
        return evidence.replace(
            source=Source(
                kind=SourceKind.DSC,
                uri=self.context.archive.address(release, dsc),
                digest={"sha256": dsc.sha256},
                filename=dsc.name,
            ),
            notes=tuple(notes),
        )

    def steps(self, evidence: Evidence, origin: Origin | None = None) -> SourceTrail:
        """One, from the source package."""
        end = file_node(NodeKind.ARTIFACT, evidence.artifact.file)
        if evidence.source is None:
            return SourceTrail(nodes=(end,))
        start = Node(kind=NodeKind.SOURCE_ARCHIVE, id=source_id(evidence.source), name=evidence.source.filename)
        return SourceTrail(nodes=(start, end), steps=(Step(name=SOURCE_TO_PACKAGE, start=start.id, end=end.id),))

    def next(self, task: StepTask, history: History) -> Hypothesis | Obstacle | None:
        """See :class:`rebuilder.ecosystems.protocol.Ecosystem`."""
        evidence = task.evidence
        if evidence.obstacle is not None or evidence.source is None:
            return evidence.obstacle
        planner = self._planner(task.limits)

        def infer_case(history: History) -> None:
            case = planner.notebook.once(evidence, "case", lambda: case_of(planner, evidence))
            infer(replace(case, planner=planner), history)

        return planned(infer_case, history)

    def project(self, tree: ProjectTree) -> Project | Obstacle:
        """See :func:`rebuilder.ecosystems.debian.project.project_builds`."""
        return or_obstacle(lambda: project_builds(self._planner(Limits()), tree))

    def _planner(self, limits: Limits) -> Planner:
        return Planner(self.context, self._candidates, limits, self._notebook)

    def _inspected(self, file: PublishedFile) -> Inspection:
        given = Input(role=Role.PARAMETERS, name=file.filename, sha256=file.sha256, path="/inputs/package.deb")
        [inspection] = inspect(self.context, [given], texts=TEXTS)
        return inspection

    def _unknown(self, subject: Subject) -> UnknownProjectError:
        suites = dict.fromkeys(each.suite for each in self.context.archive.settings.of(subject.suite))
        return UnknownProjectError(
            f"There is no package {subject.name} in {', '.join(suites)}.",
            hint=NO_UDEBS if subject.name.endswith("-udeb") else "Check the spelling of its name.",
        )

    def _no_version(self, subject: Subject, found: list[Candidate]) -> UsageError:
        wanted, architectures = wanted_architecture(subject), self._candidates.architectures(subject)
        if wanted not in {None, "all", *architectures}:
            hint = f"It has packages for {', '.join(architectures)}."
            return UsageError(f"The archive has no packages for {wanted}.", hint=hint)
        if not found and subject.version is None:
            return self._unknown(subject)
        wanted = f"{subject.name} {subject.version or ''}".strip()
        wanted += f" for {subject.architecture}" if subject.architecture else ""
        have = dict.fromkeys(
            f"{each.package.version} for {each.package.architecture} in {each.index.release.archive.suite}"
            for each in found
        )
        return UsageError(
            f"No list of the archive that is or was seen here has {wanted}.",
            hint=f"There is {', '.join(list(have)[:5])}." if have else "Check the spelling of its name.",
        )


def _of_version(found: Iterable[Candidate], version: str, subject: Subject) -> list[Candidate]:
    """Those of a version; the name of a file on disk has it without the epoch, and its digest decides."""
    every = list(found)
    exact = [each for each in every if each.package.version == version]
    if exact or subject.local_sha256 is None:
        return exact
    return [each for each in every if without_epoch(each.package.version) == version]


def check_control(inspection: Inspection, package: BinaryPackage) -> None:
    """Make sure that a package can be read, that readers agree about it, and that it is what the list says.

    Raises:
        NotRebuildable: it is not so; the sentence says what is wrong.
    """
    if not inspection.readable:
        why = inspection.problems[-1] if inspection.problems else "It is malformed."
        raise unsupported(f"{package.file.name} cannot be read to its end: {why}")
    if inspection.format != "deb":
        raise unsupported(f"{package.file.name} is no Debian package.")
    try:
        fields = deb822.fields(inspection.texts.get("control.tar/control", ""))
    except MalformedStanzaError as error:
        raise unsupported(f"The control file of {package.file.name} is none: {error}.") from None
    said = tuple(fields.get(each, "") for each in ("package", "version", "architecture"))
    if said != (package.name, package.version, package.architecture):
        shown = clipped(" ".join(said)) or "nothing"
        raise unsupported(
            f"The package says of itself that it is {shown}; the signed list says {package.name} {package.version} "
            f"{package.architecture}.",
        )


def dsc_findings(dsc: bytes, source: SourcePackage, maintainers: Path) -> Iterator[str]:
    """What is to be said of a ``.dsc``: who signed it, and where it says something else than the signed list.

    The list binds it, so that neither changes what is built; both are worth knowing.
    """
    try:
        text, finding = opened(dsc, "source package", maintainers)
        yield finding
        fields = deb822.fields(text)
        ours = {(each.name, each.size, each.sha256) for each in source.files if each != source.dsc}
        theirs = {(name, int(size), sha256) for name, size, sha256 in listed(fields.get("checksums-sha256", ""))}
    except ValueError as error:
        yield f"Its .dsc is not used: {error}."
        return
    if (fields.get("source"), fields.get("version")) != (source.name, source.version) or ours != theirs:
        yield "Its .dsc says something else of the source package than the signed list; the list counts."


def _notes(candidate: Candidate) -> Iterator[str]:
    package, index = candidate.package, candidate.index
    release = index.release
    signers = ", ".join(release.signers)
    yield (
        f"The archive's state of {release.archive.suite} from {release.kept.date}, signed by {signers}, lists it "
        f"(InRelease {release.kept.sha256}, {index.path} {index.sha256})."
    )
    yield from release.notes
    if candidate.earlier:
        yield "The suite has another version now: that list is one that was verified here before."
    if package.rebuild is not None:
        yield f"It is another build ({package.rebuild}) of the source {package.source.name} {package.source.version}."
    if package.built_using:
        named = ", ".join(f"{each.name} {each.version}" for each in package.built_using[:10])
        more = f" and {len(package.built_using) - 10} more" if len(package.built_using) > 10 else ""
        yield f"Parts of other source packages went into it (Built-Using): {named}{more}."
