"""Checks what upstream signed about an artifact, against the trust root, the memory and the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
)
from rebuilder.provenance.claims import shown
from rebuilder.provenance.identity import judge, text
from rebuilder.provenance.outcome import absent, missing
from rebuilder.provenance.trust.files import TrustRoot
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


class Attesting(Protocol):
    """What the checker asks of an ecosystem: see :class:`rebuilder.ecosystems.conventions.Conventions`."""

    def canonical_name(self, name: str) -> str:
        """The one spelling of a project's name."""
        ...

    def older(self, version: str, than: str) -> bool | None:
        """Whether a version comes before another; None where one of them is no version."""
        ...

    def check_attestations(self, given: AttestationInput) -> Provenance | None:
        """Check what is signed about an artifact; None when there is nothing to check."""
        ...


@dataclass(frozen=True)
class AttestationInput:
    """What there is to check about one artifact, and to check it with."""

    artifact: Artifact
    document: bytes | None
    """What the registry serves as its attestations."""
    signatures: Sequence[RegistrySignature]
    """The registry's own."""
    blobs: Blobs
    """Where the file is."""
    trust: Callable[[], TrustRoot]
    """Gives the pinned trust root."""
    now: datetime
    """For signed times that lie ahead."""


class ProvenanceChecker:
    """Checks one artifact after the other.

    Args:
        blobs: Where the documents, and npm's tarballs, are.
        trust: Gives the pinned trust root; called only when there is something to check.
        memory: Of first publishers.
        expectations: What the settings expect, by ``ecosystem:name`` with the normalised name.
        clock: For signed times that lie ahead, and for when a publisher was remembered.
        conventions: Gives those of an ecosystem by its name.
    """

    def __init__(
        self,
        blobs: Blobs,
        trust: Callable[[], TrustRoot],
        memory: PublisherMemory,
        expectations: Mapping[str, Expectation],
        clock: Clock,
        *,
        conventions: Callable[[str], Attesting],
    ) -> None:
        self._blobs = blobs
        self._trust = trust
        self._memory = memory
        self._expectations = expectations
        self._clock = clock
        self._conventions = conventions

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
        conventions = self._conventions(artifact.ecosystem)
        name = conventions.canonical_name(artifact.name)
        expectation = self._expectation(artifact)
        provenance = (
            self._verified(artifact, document_sha256, signatures)
            if refused is None
            else Provenance(status=ProvenanceStatus.NOT_CHECKABLE, sentence=shown(refused, 400))
        )
        remembered = self._memory.remembered_publisher(artifact.ecosystem, name)
        findings = judge(artifact, provenance, remembered=remembered, expectation=expectation, older=conventions.older)
        broken = any(each.kind is FindingKind.EXPECTATION_BROKEN for each in findings)
        publisher = provenance.publisher
        if remembered is None and publisher and provenance.status is ProvenanceStatus.VERIFIED and not broken:
            # Another process may have been first, with another publisher; of several that signed, one is remembered.
            kept = self._memory.remember_publisher(_memory_of(artifact, name, publisher, self._clock.now()))
            findings = judge(artifact, provenance, remembered=kept, expectation=expectation, older=conventions.older)
        return provenance.replace(findings=tuple(dict.fromkeys((*provenance.findings, *findings))))

    def expected_repository(self, artifact: Artifact) -> str | None:
        """Where the settings expect the project of an artifact to come from, if they do."""
        expectation = self._expectation(artifact)
        return expectation.repository if expectation is not None else None

    def _expectation(self, artifact: Artifact) -> Expectation | None:
        name = self._conventions(artifact.ecosystem).canonical_name(artifact.name)
        return self._expectations.get(f"{artifact.ecosystem}:{name}")

    def _verified(
        self, artifact: Artifact, document_sha256: str | None, signatures: Sequence[RegistrySignature]
    ) -> Provenance:
        document = self._blobs.read(document_sha256) if document_sha256 is not None else None
        given = AttestationInput(artifact, document, signatures, self._blobs, self._trust, self._clock.now())
        found = self._conventions(artifact.ecosystem).check_attestations(given)
        provenance = found or absent("The index names no attestation for this file.")
        return missing(provenance) if document is None and artifact.file.provenance_url is not None else provenance


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
