"""Checks what upstream signed about an artifact, against the trust root, the memory and the settings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from rebuilder.clock import Clock
from rebuilder.model.alarm import Alarm, AlarmKind
from rebuilder.model.artifact import Artifact
from rebuilder.model.provenance import (
    Expectation,
    FindingKind,
    Provenance,
    ProvenanceStatus,
    Publisher,
    RegistrySignature,
    RememberedPublisher,
    account,
    project_name,
)
from rebuilder.model.value import sha256_hex
from rebuilder.provenance.identity import judge
from rebuilder.provenance.naming import text
from rebuilder.provenance.npm.npm import verify_npm
from rebuilder.provenance.outcome import absent, missing
from rebuilder.provenance.pypi.pypi import verify_pypi
from rebuilder.provenance.refusal import shown
from rebuilder.provenance.trust.root import TrustRoot
from rebuilder.store.protocol import Blobs

_ALARMS = {
    FindingKind.PUBLISHER_CHANGED: AlarmKind.PUBLISHER_CHANGED,
    FindingKind.EXPECTATION_BROKEN: AlarmKind.EXPECTATION_BROKEN,
    FindingKind.ATTESTATION_VANISHED: AlarmKind.ATTESTATION_VANISHED,
}


class PublisherMemory(Protocol):
    """Remembers the first verified publisher of each project."""

    def remembered_publisher(self, ecosystem: str, name: str) -> RememberedPublisher | None:
        """The publisher of a project (by its normalised name); None when none was seen yet.

        Raises:
            StoreError: the memory cannot be read.
        """
        ...

    def remember_publisher(self, publisher: RememberedPublisher) -> RememberedPublisher:
        """Remember a publisher unless the project has one already; give the one that counts from now on.

        Raises:
            StoreError: the memory cannot be written.
        """
        ...


class ProvenanceChecker:
    """Checks one artifact after the other.

    Args:
        blobs: Where the documents, and npm's tarballs, are.
        trust: Gives the pinned trust root; called only when there is something to check.
        memory: Of first publishers.
        expectations: What the settings expect, by ``ecosystem:name`` with the normalised name.
        clock: For signed times that lie ahead, and for when a publisher was remembered.
    """

    def __init__(
        self,
        blobs: Blobs,
        trust: Callable[[], TrustRoot],
        memory: PublisherMemory,
        expectations: Mapping[str, Expectation],
        clock: Clock,
    ) -> None:
        self._blobs = blobs
        self._trust = trust
        self._memory = memory
        self._expectations = expectations
        self._clock = clock

    def check(
        self,
        artifact: Artifact,
        document_sha256: str | None,
        signatures: Sequence[RegistrySignature] = (),
        *,
        refused: str | None = None,
    ) -> Provenance:
        """Check the attestations of an artifact; the first verified publisher of a project is remembered.

        Args:
            artifact: The file, with the digest it must have.
            document_sha256: Blob of what the index serves as its provenance; None when it serves nothing.
            signatures: The registry's own, as it lists them.
            refused: Why nobody asked what it serves; a sentence.

        Raises:
            StoreError: the blobs, the trust root or the memory cannot be used. All else is a value.
        """
        name = project_name(artifact.ecosystem, artifact.name)
        expectation = self._expectations.get(f"{artifact.ecosystem}:{name}")
        provenance = (
            self._verified(artifact, document_sha256, signatures)
            if refused is None
            else Provenance(status=ProvenanceStatus.NOT_CHECKABLE, sentence=shown(refused, 400))
        )
        remembered = self._memory.remembered_publisher(artifact.ecosystem, name)
        findings = judge(artifact, provenance, remembered=remembered, expectation=expectation)
        broken = any(each.kind is FindingKind.EXPECTATION_BROKEN for each in findings)
        publisher = provenance.publisher
        if remembered is None and publisher and provenance.status is ProvenanceStatus.VERIFIED and not broken:
            # Another process may have been first, with another publisher; of several that signed, one is remembered.
            kept = self._memory.remember_publisher(_memory_of(artifact, name, publisher, self._clock.now()))
            findings = judge(artifact, provenance, remembered=kept, expectation=expectation)
        return provenance.replace(findings=tuple(dict.fromkeys((*provenance.findings, *findings))))

    def _verified(
        self, artifact: Artifact, document_sha256: str | None, signatures: Sequence[RegistrySignature]
    ) -> Provenance:
        document = self._blobs.read(document_sha256) if document_sha256 is not None else None
        provenance = self._judged(artifact, document, signatures)
        return missing(provenance) if document is None and artifact.file.provenance_url is not None else provenance

    def _judged(
        self, artifact: Artifact, document: bytes | None, signatures: Sequence[RegistrySignature]
    ) -> Provenance:
        if artifact.ecosystem == "npm" and (document is not None or signatures):
            return self._npm(artifact, document, signatures)
        if document is None:
            return absent("The index names no attestation for this file.")
        if artifact.ecosystem == "pypi":
            return verify_pypi(document, artifact.filename, artifact.sha256, self._trust(), now=self._clock.now())
        return Provenance(
            status=ProvenanceStatus.NOT_CHECKABLE,
            sentence=f"Attestations of {text(artifact.ecosystem)} files cannot be checked yet.",
            document_sha256=sha256_hex(document),
        )

    def _npm(self, artifact: Artifact, document: bytes | None, signatures: Sequence[RegistrySignature]) -> Provenance:
        with self._blobs.path(artifact.sha256).open("rb") as tarball:
            sha512 = hashlib.file_digest(tarball, "sha512").hexdigest()
        return verify_npm(
            document,
            artifact.name,
            artifact.version,
            sha512,
            self._trust(),
            signatures=signatures,
            published=artifact.file.uploaded,
            now=self._clock.now(),
        )


def alarms(artifact: Artifact, provenance: Provenance, now: datetime) -> tuple[Alarm, ...]:
    """What of it deserves somebody's attention.

    Another workflow of the same repository, and a renamed repository, do not: they stay on the page.
    """
    told = []
    if provenance.status is ProvenanceStatus.INVALID:
        sentence = f"The attestation of {text(artifact.filename)} does not hold: {provenance.sentence}"
        told.append((AlarmKind.ATTESTATION_INVALID, sentence))
    told += [(_ALARMS[each.kind], each.sentence) for each in provenance.findings if each.kind in _ALARMS]
    return tuple(
        Alarm(kind=kind, purl=artifact.purl, filename=artifact.filename, sentence=sentence, raised=now)
        for kind, sentence in told
    )


def _memory_of(artifact: Artifact, name: str, publisher: Publisher, now: datetime) -> RememberedPublisher:
    return RememberedPublisher(
        ecosystem=artifact.ecosystem,
        name=name,
        forge=publisher.forge,
        issuer=publisher.issuer,
        account=account(publisher),
        repository=publisher.repository,
        repository_id=publisher.repository_id,
        workflow=publisher.workflow,
        environment=publisher.environment,
        purl=artifact.purl,
        filename=artifact.filename,
        sha256=artifact.sha256,
        uploaded=artifact.file.uploaded,
        remembered=now,
    )
