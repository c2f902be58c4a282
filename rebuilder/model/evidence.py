"""What is known about an artifact before anything is built."""

from __future__ import annotations

from enum import StrEnum

from rebuilder.model.artifact import Artifact, PublishedFile
from rebuilder.model.diagnosis import Cause
from rebuilder.model.inspection import Inspection
from rebuilder.model.provenance import RegistrySignature
from rebuilder.model.value import Sha256Field, Value
from rebuilder.model.verdict import Verdict


class SourceKind(StrEnum):
    """Where a rebuild starts from."""

    SDIST = "sdist"
    GIT = "git"
    ARCHIVE = "archive"
    """An archive that somebody named by its address."""


class Source(Value):
    """What an artifact claims to be built from."""

    kind: SourceKind
    uri: str
    digest: dict[str, str]
    """Algorithm to hexadecimal digest, such as ``{"sha256": "…"}`` or ``{"gitCommit": "…"}``."""
    filename: str | None = None


class Obstacle(Value):
    """Why an artifact gets a verdict without a finished rebuild: a value, not an exception."""

    verdict: Verdict
    """One of ``unsupported``, ``inputs-missing``, ``build-failed`` or ``timed-out``."""
    sentence: str
    """What stands in the way, as a full sentence for a stranger."""
    cause: Cause | None = None
    """Its cause, where the verdict does not say it already."""


class Evidence(Value):
    """Everything published about one artifact, as far as it was read."""

    artifact: Artifact
    source: Source | None = None
    source_file: PublishedFile | None = None
    index_sha256: Sha256Field
    """Digest of the index document the artifact was listed in; the document itself is a blob."""
    artifact_inspection: Inspection | None = None
    source_inspection: Inspection | None = None
    provenance_sha256: Sha256Field | None = None
    """Blob with the attestations the registry serves for the artifact, as served; None when it names none."""
    provenance_refused: str | None = None
    """Why the address that the index gives for them was not asked; a sentence."""
    source_provenance_sha256: Sha256Field | None = None
    """The same for ``source_file``."""
    registry_signatures: tuple[RegistrySignature, ...] = ()
    """What the registry itself signed about the artifact, as listed; npm only."""
    obstacle: Obstacle | None = None
    notes: tuple[str, ...] = ()
    """Sentences worth knowing that change nothing, such as "The registry marks this file as yanked: …"."""

    @property
    def contradictions(self) -> tuple[str, ...]:
        """Where readers make different things of the artifact or of its source archive, one text a file."""
        sides = (
            (self.artifact.filename, self.artifact_inspection),
            (self.source_file.filename if self.source_file else "", self.source_inspection),
        )
        return tuple(
            f"Readers disagree about what {name} holds. {' '.join(listing.contradictions[:3])}"
            for name, listing in sides
            if listing is not None and listing.contradictions
        )
