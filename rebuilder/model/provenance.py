"""What checking upstream's attestations of one artifact said."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum

from rebuilder.model.value import Sha256Field, Value, Worded


class ProvenanceStatus(StrEnum):
    """The outcome of checking; a value, never an exception."""

    VERIFIED = "verified"
    """Signature, certificate, log entry, subject and identity all hold."""
    ABSENT = "absent"
    """Nothing was published to check."""
    INVALID = "invalid"
    """Something was published and a check of it failed; the sentence says which."""
    NOT_CHECKABLE = "not-checkable"
    """Nothing failed, but it says something, or is signed by somebody, that this program cannot judge."""


class Forge(Worded):
    """Who vouched for the publisher's identity when the certificate was issued."""

    words: str

    GITHUB = "github", "GitHub"
    GITLAB = "gitlab", "GitLab"
    GOOGLE = "google", "Google"
    CIRCLECI = "circleci", "CircleCI"
    OTHER = "other", "another forge"


class Form(Worded):
    """What kind of signed thing a result is about."""

    words: str

    PYPI_ATTESTATION = "pypi-attestation", "Attestation"
    """One attestation of a PEP 740 provenance object."""
    NPM_ATTESTATION = "npm-attestation", "Attestation"
    """One Sigstore bundle of an npm attestation document."""
    REGISTRY_SIGNATURE = "registry-signature", "Signature of the registry"
    """The npm registry's own signature over name, version and digest."""


class Publisher(Value):
    """Who signed, as the signing certificate says it (Fulcio certificate extensions, 1.3.6.1.4.1.57264.1).

    Everything here was vouched for by the certificate authority; nothing comes from the index.
    """

    forge: Forge
    issuer: str
    """Issuer of the identity token."""
    identity: str
    """Subject alternative name: a workflow with its ref, or an e-mail address."""
    repository: str | None = None
    """URL of the repository."""
    repository_id: str | None = None
    """The forge's own number of it: kept when it is renamed, another when it is made anew under an old name."""
    workflow: str | None = None
    """Path of the workflow or pipeline file within the repository."""
    build_config: str | None = None
    """URI of the top-level build instructions with their ref."""
    environment: str | None = None
    """Deployment environment; most certificates do not carry it."""
    ref: str | None = None
    """Such as ``refs/tags/v1``."""
    commit: str | None = None
    """Commit id in hexadecimal; None where the forge does not vouch for one (Google Cloud Build)."""
    run_url: str | None = None


class RegistrySignature(Value):
    """The npm registry's signature over name, version and digest, as the package's document lists it; unchecked."""

    key_id: str
    signature: str
    """Base64."""


class ClaimedPublisher(Value):
    """The publisher object the index sends beside a bundle. It is unsigned."""

    kind: str
    fields: dict[str, str]
    """Its text fields, as sent."""


class StatedSource(Value):
    """Where the signed statement itself says the artifact was built from."""

    repository: str | None = None
    commit: str | None = None


class FindingKind(Worded):
    """What is worth knowing beside the status."""

    heading: str
    loud: bool
    """Whether it is pointed out on pages."""

    PUBLISHER_DIFFERS = "publisher-differs", "The index names another publisher than the certificate", True
    """The publisher the index names is not the one in the certificate."""
    ENVIRONMENT_UNCONFIRMED = "environment-unconfirmed", "An environment that no signature confirms"
    """The index names an environment; the certificate does not say."""
    UNKNOWN_FIELD = "unknown-field", "A field that was ignored"
    """An unsigned field this program does not know was ignored."""
    SOURCE_DIFFERS = "source-differs", "Statement and certificate name different sources", True
    """The signed statement and the certificate name different sources."""
    NO_PUBLISH_ATTESTATION = "no-publish-attestation", "The registry’s own attestation is missing"
    """The registry's own publish attestation is missing beside the provenance."""
    UNSIGNED_TIME = "unsigned-time", "A time that nobody signed"
    """A key was judged by a time that nobody signed."""
    PUBLISHER_CHANGED = "publisher-changed", "Publisher changed", True
    """Another forge, repository or account than that of the first verified publisher of the project."""
    REPOSITORY_RENAMED = "repository-renamed", "Repository renamed"
    """The same repository, by the forge's own number, under another name of the same owner."""
    WORKFLOW_CHANGED = "workflow-changed", "Workflow changed"
    """Another workflow or environment of the same repository; less than another publisher."""
    ATTESTATION_VANISHED = "attestation-vanished", "Attestation vanished", True
    """The project had a verified publisher before, and this file has none."""
    ATTESTATION_NOT_CHECKABLE = (
        "attestation-not-checkable",
        "An attestation of the same publisher that cannot be checked",
        True,
    )
    """The same publisher signed, but something in the attestation is not known: less than one that vanished."""
    ATTESTATION_MISSING = "attestation-missing", "The index names an attestation that it does not have", True
    """The index names an attestation and has none at the address it gives."""
    EXPECTATION_BROKEN = "expectation-broken", "Not what was expected", True
    """Not what the settings expect of the project."""


class ProvenanceFinding(Value):
    """One thing worth knowing."""

    kind: FindingKind
    sentence: str


class AttestationResult(Value):
    """What checking one attestation, or one registry signature, said.

    Everything but ``form``, ``status``, ``sentence`` and ``sha256`` is filled in only as far as it was proven:
    a publisher beside ``invalid`` did sign, but for something else.
    """

    form: Form
    status: ProvenanceStatus
    sentence: str
    """Why, as a full sentence for a stranger."""
    sha256: Sha256Field
    """Of the attestation's RFC 8785 canonical JSON: the same however the index lays it out."""
    predicate_type: str | None = None
    publisher: Publisher | None = None
    subject_holds: bool = False
    """The signed statement is about this file; says nothing about the rest."""
    stated_source: StatedSource | None = None
    key_id: str | None = None
    """The registry's key, where a registry signed and not a publisher."""
    log_time: datetime | None = None
    """When the transparency log took it in (or a timestamp authority saw it), UTC, signed."""
    log_index: int | None = None
    not_before: datetime | None = None
    """Validity of the certificate, UTC."""
    not_after: datetime | None = None


class Provenance(Value):
    """What upstream signed about one artifact, all together."""

    status: ProvenanceStatus
    sentence: str
    document_sha256: Sha256Field | None = None
    """Of the document the index served, byte for byte; None when there was none."""
    trust_sha256: Sha256Field | None = None
    """Of the Sigstore trusted root it was judged by."""
    results: tuple[AttestationResult, ...] = ()
    claimed: tuple[ClaimedPublisher, ...] = ()
    """One for each bundle, in order; unsigned."""
    findings: tuple[ProvenanceFinding, ...] = ()

    @property
    def publisher(self) -> Publisher | None:
        """The publisher of the first verified attestation that has one; None when anything is invalid."""
        best = self._best
        return best.publisher if best else None

    @property
    def repository(self) -> str | None:
        """Repository URL the verified attestation vouches for."""
        best = self._best
        if best is None or best.publisher is None:
            return None
        return best.publisher.repository or (best.stated_source.repository if best.stated_source else None)

    @property
    def commit(self) -> str | None:
        """Commit id the verified attestation vouches for; the certificate's before the statement's."""
        best = self._best
        if best is None or best.publisher is None:
            return None
        return best.publisher.commit or (best.stated_source.commit if best.stated_source else None)

    @property
    def _best(self) -> AttestationResult | None:
        if self.status is ProvenanceStatus.INVALID:
            return None
        verified = [r for r in self.results if r.status is ProvenanceStatus.VERIFIED and r.publisher is not None]
        return next((r for r in verified if r.publisher and r.publisher.commit), next(iter(verified), None))


class RememberedPublisher(Value):
    """The first verified publisher of a project, with the file it was seen with."""

    ecosystem: str
    name: str
    """Of the project, in its one spelling."""
    forge: Forge
    issuer: str
    account: str | None = None
    """Who published, where a repository does not say it: see :func:`account`."""
    repository: str | None = None
    repository_id: str | None = None
    workflow: str | None = None
    environment: str | None = None
    purl: str
    """Of the release the file belongs to."""
    filename: str
    sha256: Sha256Field
    uploaded: datetime | None = None
    """When the registry says the file was uploaded, UTC; unsigned."""
    remembered: datetime
    """When it was verified here, UTC."""


class Expectation(Value):
    """What somebody expects of the publisher of a project; what is None is not expected."""

    repository: str | None = None
    """URL."""
    forge: Forge | None = None
    account: str | None = None
    """See :func:`account`."""
    workflow: str | None = None
    """Path in the repository; for GitHub the file name alone will do."""
    environment: str | None = None
    attested: bool | None = None
    """True: every file has a verified attestation; False: it may be missing; None: it must not go missing again."""


def account(publisher: Publisher) -> str | None:
    """Who published, where naming the repository is not enough.

    GitHub and GitLab vouch that the repository's own workflow ran: None. Elsewhere anybody may build anybody's
    repository, so that only the certificate's identity tells them apart: an e-mail address, a pipeline's address.
    """
    if publisher.forge in {Forge.GITHUB, Forge.GITLAB}:
        return None
    identity = publisher.identity
    return re.sub(r"@refs/.*", "", identity) if "://" in identity else identity
