"""What a published report says is to be run, out of its signed documents; nothing else that is published is believed.

1. The provenance statement has the build definition, whole, and the digest of what it gave. Its envelope must be
   signed by the key that is trusted; the definition must come out of our model as it stands in the statement, so that
   nothing in it is passed over.
2. The verdict, signed by the same key, names that very envelope by its digest. Where recorded values were written into
   the finished archive it names the definition of that run by its digest, too, and what came out of it.
3. Where there is a proof that the statement is in the log of the site, the proof must hold; where the site has a list
   of keys, the key must have been good when the statement was logged, or now where that was not shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from rebuilder.clock import SystemClock
from rebuilder.errors import ExitCode, RebuilderError, SigningError
from rebuilder.foreign_json import read_json
from rebuilder.log.entry import LogEntry
from rebuilder.log.note import NoteKey
from rebuilder.log.proof import LogProof
from rebuilder.model.definition import BuildDefinition, Limits
from rebuilder.model.report import Report
from rebuilder.model.text import clipped
from rebuilder.model.value import Sha256, canonical_json, is_sha256, sha256_hex
from rebuilder.model.verdict import Verdict
from rebuilder.signing.envelope import verify
from rebuilder.signing.key_list import KeyList
from rebuilder.signing.keys import key_id, load_public
from rebuilder.signing.vocabulary import PROVENANCE_TYPE, findings_of

MOST = Limits(
    wall_seconds=86_400,
    cpu_seconds=864_000,
    memory_bytes=64 << 30,
    processes=65_536,
    file_bytes=16 << 30,
    disk_bytes=64 << 30,
    output_bytes=16 << 30,
    log_bytes=256 << 20,
)
"""What a definition of somebody else may ask for."""
_KERNEL = re.compile(r"uml \S{1,100} \(([0-9a-f]{64})\) in bubblewrap ")


class NotReplayableError(RebuilderError):
    """Why a report could not be run again; it says nothing about the artifact."""

    exit_code = ExitCode.UNDECIDED


@dataclass(frozen=True)
class Documents:
    """The published documents of one report, as they were read."""

    provenance: bytes
    """DSSE envelope of how the rebuild was made."""
    verdict: bytes
    """DSSE envelope of what was said about the published file."""
    key: bytes
    """Public key to trust, PEM."""
    finishing: bytes | None = None
    """Definition of the run that wrote recorded values into the finished archive; None: there is no such document."""
    proof: bytes | None = None
    """That the provenance statement is in the log of the site (C2SP tlog-proof); None: there is none."""
    log_key: bytes | None = None
    """Key of that log, one word."""
    key_list: bytes | None = None
    """The list of keys of the site (``keys.json``), with their periods; None: it has none."""

    def signed_by(self, key: bytes) -> Documents:
        """The same, with another key to trust."""
        return replace(self, key=key)


@dataclass(frozen=True)
class PublishedReport:
    """What is to be run again, and what has to come out."""

    purl: str
    filename: str
    """Of the published file."""
    published: Sha256
    verdict: str
    unsteady: bool
    """Whether the same definition gave other bytes the second time, as where the archive has the time of the build."""
    definition: BuildDefinition
    product: str
    """Name of the file that the build left."""
    rebuilt: Sha256
    """What the build gave."""
    finishing: BuildDefinition | None = None
    """Writes recorded values into that file; None: nothing was written."""
    finished: Sha256 | None = None
    """What that gave."""
    kernel: Sha256 | None = None
    """Digest of the environment with the kernel, of a build in a guest."""
    key_id: str = ""
    logged: datetime | None = None
    """When the statement was logged; None: that was not shown."""

    @property
    def definitions(self) -> tuple[BuildDefinition, ...]:
        """All that are run, in order."""
        return (self.definition, *((self.finishing,) if self.finishing is not None else ()))

    @property
    def environments(self) -> dict[Sha256, str]:
        """Digests of the trees that are needed, with the names they had."""
        found = {each.toolchain.sha256: each.toolchain.name for each in self.definitions}
        return found | ({self.kernel: "uml"} if self.kernel is not None else {})

    @property
    def wanted(self) -> Sha256:
        """Digest of the last file that is made."""
        return self.finished or self.rebuilt


def read_published(documents: Documents) -> PublishedReport:
    """Check the documents of a report and say what is to be run.

    Raises:
        NotReplayableError: a signature or a proof does not hold, they do not belong together, or they are of a version
            that is not understood.
    """
    try:
        return _read(documents)
    except (SigningError, ValueError) as error:
        raise NotReplayableError(f"The report is not what was signed: {error}") from None
    except (KeyError, TypeError, AttributeError, RecursionError):
        raise NotReplayableError("The statements of the report are not written as this version reads them.") from None


def of_our_own(report: Report) -> PublishedReport | None:
    """The same of a report that was made and signed here; None where nothing was built."""
    index, compiled = report.decision.attempt, report.compiled
    if compiled is not None and compiled.rebuilt is not None:
        if "SOURCE_DATE_EPOCH" not in compiled.definition.environment:
            return None  # of an earlier version: another archive each time
        return PublishedReport(
            purl=report.artifact.purl,
            filename=report.artifact.filename,
            published=report.artifact.sha256,
            verdict=report.decision.verdict.value,
            unsteady=False,
            definition=compiled.definition,
            product=compiled.rebuilt.filename,
            rebuilt=compiled.rebuilt.sha256,
        )
    attempt = report.attempts[index] if index is not None else None
    if attempt is None or attempt.rebuilt is None:
        return None
    done, definition = attempt.finishing, attempt.hypothesis.definition
    finished = done.finished if done is not None else None
    kernel = _KERNEL.match(attempt.run.sandbox_version)
    return PublishedReport(
        purl=report.artifact.purl,
        filename=report.artifact.filename,
        published=report.artifact.sha256,
        verdict=report.decision.verdict.value,
        unsteady=any(
            each.repeat and each.rebuilt is not None and each.rebuilt.sha256 != attempt.rebuilt.sha256
            for each in report.attempts
            if each.hypothesis.definition.digest == definition.digest
        ),
        definition=definition,
        product=attempt.rebuilt.filename,
        rebuilt=attempt.rebuilt.sha256,
        finishing=done.definition if done is not None and finished is not None else None,
        finished=finished.sha256 if finished is not None else None,
        kernel=Sha256(kernel[1]) if kernel is not None and definition.sandbox == "uml" else None,
    )


def _read(documents: Documents) -> PublishedReport:
    key = key_id(load_public(documents.key))
    provenance = verify(documents.provenance.decode("utf-8", "replace"), documents.key)
    if provenance.get("predicateType") != PROVENANCE_TYPE:
        raise ValueError("its provenance is a statement of another kind.")
    definition = read_definition(provenance["predicate"]["buildDefinition"])
    (made,) = provenance["subject"]
    verdict = verify(documents.verdict.decode("utf-8", "replace"), documents.key)
    said, (subject,) = findings_of(verdict), verdict["subject"]
    listed = [each["digest"]["sha256"] for each in verdict["predicate"].get("inputAttestations", [])]
    if sha256_hex(documents.provenance) not in listed:
        raise ValueError("its verdict names another provenance.")
    decided = said.get("decidedBy")
    attempt = said["attempts"][decided] if decided is not None else said["accounting"]["compiled"]
    if attempt["definition"]["digest"]["sha256"] != definition.digest:
        raise ValueError("its verdict rests on another definition.")
    finishing, finished = _finishing(attempt, documents.finishing)
    logged = _logged(documents, key)
    if documents.key_list is not None:
        keys = KeyList.read(documents.key_list, None)
        keys.judge(key, logged or SystemClock().now())
        if logged is not None:
            keys.judge_checkpoint(_log_key(documents).public, logged)
    version = provenance["predicate"]["runDetails"]["builder"]["version"]["sandbox"]
    kernel = _KERNEL.match(str(version))
    published, rebuilt = _digest(subject["digest"]["sha256"]), _digest(made["digest"]["sha256"])
    identical = any(said["verdict"] == each.value for each in Verdict if each.identical)
    if identical != (decided is not None and (finished or rebuilt) == published):
        raise ValueError("its verdict does not fit the digests of what was made.")
    return PublishedReport(
        purl=_text(verdict["predicate"]["resourceUri"]),
        filename=_text(subject["name"]),
        published=published,
        verdict=_text(said["verdict"]),
        unsteady=decided is not None
        and any(
            each["repeat"] and each.get("rebuilt", made)["digest"]["sha256"] != rebuilt
            for each in said["attempts"]
            if each["definition"]["digest"]["sha256"] == definition.digest
        ),
        definition=definition,
        product=_text(made["name"]),
        rebuilt=rebuilt,
        finishing=finishing,
        finished=finished,
        kernel=Sha256(kernel[1]) if kernel is not None and definition.sandbox == "uml" else None,
        key_id=key,
        logged=logged,
    )


def _finishing(attempt: dict[str, Any], document: bytes | None) -> tuple[BuildDefinition | None, Sha256 | None]:
    """The run that wrote recorded values, if it came to something, and what came out of it."""
    done = attempt.get("finishing")
    if done is None or "finished" not in done:
        return None, None
    if document is None:
        raise ValueError("the definition of the run that wrote recorded values is not there.")
    definition = read_definition(read_json(document))
    if definition.digest != done["definition"]["digest"]["sha256"]:
        raise ValueError("the run that wrote recorded values has another definition than was signed.")
    return definition, _digest(done["finished"]["digest"]["sha256"])


def read_definition(document: dict[str, Any]) -> BuildDefinition:
    """A build definition of somebody else.

    Raises:
        ValueError: it is none, has something that this version does not know, or asks for more than is given.
        KeyError, TypeError: it has another shape.
    """
    definition = BuildDefinition.from_slsa(document)
    if definition.canonical != canonical_json(document):
        raise ValueError("its definition has something that this version does not know.")
    for name, most in MOST.model_dump().items():
        if not 0 < getattr(definition.limits, name) <= most:
            raise ValueError(f"its definition asks for {name} = {getattr(definition.limits, name):g}.")
    return definition


def _logged(documents: Documents, signed_by: str) -> datetime | None:
    """When the provenance statement was logged, where there is a proof."""
    if documents.proof is None:
        return None
    key = _log_key(documents)
    proof = LogProof.read(documents.proof)
    if proof.entry is None:
        raise ValueError("the proof of the log does not say what was logged.")
    checkpoint = proof.check(proof.entry)
    if not proof.note.signed_by([key]) or checkpoint.origin != key.name:
        raise ValueError("the proof is not of the log whose key is there.")
    entry = LogEntry.read(proof.entry)
    if entry.envelope != sha256_hex(documents.provenance) or entry.key_id != signed_by:
        raise ValueError("the proof of the log is about another statement.")
    return entry.logged


def _log_key(documents: Documents) -> NoteKey:
    if documents.log_key is None:
        raise ValueError("there is a proof of a log, and no key of that log.")
    return NoteKey.read(documents.log_key.decode("utf-8", "replace").strip())


def _digest(value: object) -> Sha256:
    if not isinstance(value, str) or not is_sha256(value):
        raise ValueError("a digest in it is none.")
    return Sha256(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return clipped(value, 300)
