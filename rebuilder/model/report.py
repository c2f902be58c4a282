"""Everything that is said about one artifact: the value that pages, JSON and statements are made from."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

from pydantic import model_validator

from rebuilder.model.accounting import Accounting, CompiledHere
from rebuilder.model.alarm import Alarm
from rebuilder.model.artifact import Artifact
from rebuilder.model.attempt import Attempt, Output, Run
from rebuilder.model.comparison import Variation
from rebuilder.model.decision import Decision
from rebuilder.model.definition import BuildDefinition, EnvironmentRef
from rebuilder.model.diagnosis import Diagnosis
from rebuilder.model.environment import with_provides
from rebuilder.model.evidence import Evidence
from rebuilder.model.graph import SourceTrail, with_nodes
from rebuilder.model.provenance import Provenance, ProvenanceStatus
from rebuilder.model.value import Sha256Field, Value, Worded, indented_json, sha256_hex
from rebuilder.model.verdict import Kind, Verdict


class Stage(Worded):
    """The stages a user sees pass by, in order."""

    words: str

    FETCH = "fetch", "Fetching what was published"
    ATTESTATIONS = "attestations", "Checking what upstream signed"
    ENVIRONMENT = "toolchain", "Checking the build environment"
    RESOLVE = "resolve", "Choosing build dependencies"
    BUILD = "build", "Building"
    COMPARE = "compare", "Comparing"
    DIFFOSCOPE = "diffoscope", "Explaining the differences"
    SIGN = "sign", "Signing"
    PUBLISH = "publish", "Publishing"


class EnvironmentSummary(Value):
    """What a page shows of a build environment."""

    name: str
    sha256: str
    provides: dict[str, str] = {}
    """What an ecosystem looks for, such as ``{"python": "3.13"}``."""
    packages: tuple[str, ...]
    """``name version`` of each Debian package."""
    notes: tuple[str, ...] = ()
    """What is out of the ordinary about how it was made, one sentence each."""

    _written_before = model_validator(mode="before")(with_provides)


class Transferred(Value):
    """Bytes that were moved for one artifact."""

    fetched: int
    """Over the network, from indexes, registries and repositories."""
    written: int
    """Into the store, as blobs that it did not have."""


class Sbom(Value):
    """A CycloneDX document about the rebuilt file, or about a build environment; its bytes are a blob."""

    about: Sha256Field
    """Of the rebuilt file, or of the tree of the environment."""
    sha256: Sha256Field
    environment: str | None = None
    """Name of the environment; None: it is about the rebuilt file."""

    @property
    def path(self) -> str:
        """Where it is published: beside the page, or for the whole site below its root."""
        return SBOM if self.environment is None else f"sboms/{self.sha256}.cdx.json"


SBOM = "sbom.cdx.json"


class Rebuild(NamedTuple):
    """The rebuilt file that a verdict rests on, and how it was made."""

    rebuilt: Output
    run: Run
    definition: BuildDefinition


CLOCK_NOT_TRIED = "The recorded clock was not tried on this machine: "
"""How the remark begins on a build that no guest could be had for."""


class Report(Value):
    """One finished verification."""

    artifact: Artifact
    evidence: Evidence
    attempts: tuple[Attempt, ...] = ()
    decision: Decision
    toolchains: tuple[EnvironmentSummary, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    provenance: Provenance | None = None
    """What upstream signed about the artifact; None in reports from before this was checked."""
    trail: SourceTrail | None = None
    """How commit, source archive and artifact follow from each other; None when no commit was looked for."""
    accounting: Accounting | None = None
    """What each member of the file is accounted for with; None where it was rebuilt, or nobody looked."""
    diagnosis: Diagnosis | None = None
    """Why the build alone does not give the published file; None when it does, and in old reports."""
    variation: Variation | None = None
    """What changes the result; only where two rebuilds of one definition differ, or when asked for."""
    remarks: tuple[str, ...] = ()
    """What could not be tried besides the verdict, or failed and did not cost it, one sentence each."""
    sboms: tuple[Sbom, ...] = ()
    """What the rebuilt file and the build environments were made with; the signer adds them."""
    seconds: dict[Stage, float] = {}
    """Wall time by stage; a stage that did not happen is absent."""
    transferred: Transferred | None = None
    """By the process that finished it, as ``seconds`` are; None in reports from before it was counted."""
    started: datetime
    finished: datetime
    rebuilder_version: str

    _written_before = model_validator(mode="before")(with_nodes)

    @property
    def written(self) -> bool:
        """Whether it is reproduced, and recorded metadata was written into the finished archive for that."""
        index = self.decision.attempt
        return self.decision.verdict is Verdict.REPRODUCED and index is not None and bool(self.attempts[index].written)

    @property
    def environment(self) -> EnvironmentRef | None:
        """The build environment on which the verdict rests; None where it rests on no build."""
        index, compiled = self.decision.attempt, self.compiled
        if index is not None:
            return self.attempts[index].hypothesis.definition.toolchain
        return compiled.definition.toolchain if compiled is not None else None

    @property
    def compiled(self) -> CompiledHere | None:
        """The build that compiled code was compared with, where the verdict rests on no other."""
        return self.accounting.compiled if self.accounting is not None and self.decision.attempt is None else None

    @property
    def rebuild(self) -> Rebuild | None:
        """What the verdict rests on, or the build whose compiled code was compared; None when nothing was built."""
        index, compiled = self.decision.attempt, self.compiled
        attempt = self.attempts[index] if index is not None else None
        if attempt is not None and attempt.rebuilt is not None:
            return Rebuild(attempt.rebuilt, attempt.run, attempt.hypothesis.definition)
        if compiled is not None and compiled.rebuilt is not None:
            return Rebuild(compiled.rebuilt, compiled.run, compiled.definition)
        return None

    @property
    def clock_not_tried(self) -> bool:
        """Whether another machine, where a guest runs, may come further."""
        return any(each.startswith(CLOCK_NOT_TRIED) for each in self.remarks)


Identity = tuple[str, str, str, datetime]
"""SHA-256, package URL and file name of an artifact, and when its verification ended."""


class Summary(Value):
    """One row of an index or a history: a verification without its details."""

    ecosystem: str
    name: str
    version: str
    purl: str
    filename: str
    sha256: str
    verdict: Verdict
    kind: Kind | None = None
    sentence: str
    finished: datetime
    written: bool = False
    """Reproduced, with recorded metadata written into the finished archive; otherwise by the build alone."""
    doubt: str | None = None
    """Why nobody should believe it, in a sentence: its key was revoked from an earlier time on. Not in ledgers."""
    cause: str | None = None
    """The diagnosed cause that explains most (:class:`rebuilder.model.diagnosis.Cause`). This and what follows is in
    signed statements and not in ledgers; None also for what was signed before it was."""
    environment: str | None = None
    """``NAME@SHA256`` of the build environment on which the verdict rests."""
    publisher: str | None = None
    """The repository that a verified attestation names, as a URL."""

    @property
    def identity(self) -> Identity:
        """Which verification it is about."""
        return self.sha256, self.purl, self.filename, self.finished


class SignedReport(Value):
    """A report with the statements made of it, as they are published."""

    report: Report
    vsa: str
    """DSSE envelope (JSON text) with the verification summary of the published file."""
    provenance: str | None = None
    """DSSE envelope (JSON text) with the SLSA provenance of the rebuilt file; None when nothing was built."""
    key_id: str
    stored: bytes | None = None
    """The report as it was kept, if it comes from there: what was signed is a digest of these bytes."""

    @property
    def report_bytes(self) -> bytes:
        """The report as it was signed and is published, byte for byte."""
        return report_document(self.report) if self.stored is None else self.stored


def report_document(report: Report) -> bytes:
    """``report.json``: all that is known about one artifact; :class:`Report` reads it back."""
    return indented_json(report.document())


def summarise(report: Report) -> Summary:
    """The row a report gets in an index."""
    artifact = report.artifact
    return Summary(
        ecosystem=artifact.ecosystem,
        name=artifact.name,
        version=artifact.version,
        purl=artifact.purl,
        filename=artifact.filename,
        sha256=artifact.sha256,
        verdict=report.decision.verdict,
        kind=report.decision.kind,
        sentence=report.decision.sentence,
        finished=report.finished,
        written=report.written,
    )


def listed(report: Report) -> Summary:
    """The same with what lists are made by: why, in which environment, by whom."""
    findings = report.diagnosis.findings if report.diagnosis is not None else ()
    environment, provenance = report.environment, report.provenance
    verified = provenance is not None and provenance.status is ProvenanceStatus.VERIFIED
    publisher = provenance.publisher if provenance is not None and verified else None
    return summarise(report).replace(
        cause=findings[0].cause.value if findings else None,
        environment=f"{environment.name}@{environment.sha256}" if environment is not None else None,
        publisher=publisher.repository if publisher is not None else None,
    )


def path_part(*parts: str) -> str:
    """Names from a registry as a path below the site's root: each part is percent-encoded, so that none leaves it.

    ``.`` and ``..`` cannot come out. File systems allow 255 bytes for a part: a longer one is cut, and a digest keeps
    it apart from others that begin alike.
    """
    encoded = (_cut(quote(part, safe="+!~@")) for part in parts)
    return "/".join(part.replace(".", "%2E") if set(part) == {"."} else part for part in encoded)


@lru_cache(1024)
def page_path(ecosystem: str, name: str, version: str, filename: str, sha256: str) -> str:
    """Directory of an artifact's page below the site's root, without a slash at its end.

    The digest is part of it: a file name that comes back with other bytes gets a page of its own. Names are encoded
    as :func:`path_part` says.
    """
    return f"{path_part(ecosystem, name, version, filename)}/{sha256[:16]}"


def _cut(part: str) -> str:
    return part if len(part) <= 200 else f"{part[:180]}~{sha256_hex(part.encode())[:16]}"
