"""PEP 740 provenance: what is genuine verifies, everything else is refused for its own reason."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pypi_attestations import AttestationType

from rebuilder.model.provenance import FindingKind, Forge, Provenance, ProvenanceStatus
from rebuilder.provenance.format.strict_json import MAX_BYTES
from rebuilder.provenance.pypi.pypi import verify_pypi
from rebuilder.provenance.trust.files import shipped
from tests.fakes.sigstore_instance import (
    SLSA_V1,
    TIME,
    Identity,
    SigstoreInstance,
    circleci,
    github,
    gitlab,
    google,
    new_key,
)

ASSETS = Path(__file__).parent.parent / "assets" / "attestations" / "pypi"
PUBLISH = AttestationType.PYPI_PUBLISH_V1.value
FILE, CONTENT = "pkg-1.0-py3-none-any.whl", b"content"
GITHUB = {"kind": "GitHub", "repository": "o/r", "workflow": "release.yml", "environment": None}
NOW = TIME + timedelta(days=1)


@pytest.fixture(scope="module")
def instance() -> SigstoreInstance:
    """A Sigstore of our own."""
    return SigstoreInstance()


def genuine(name: str) -> tuple[bytes, str, str]:
    """A recorded provenance object, and name and digest of its file."""
    file = ASSETS / name
    return (ASSETS / f"{name}.provenance").read_bytes(), name, hashlib.sha256(file.read_bytes()).hexdigest()


def recorded(name: str = "abi3info-2024.10.3-py3-none-any.whl") -> dict[str, Any]:
    """A recorded provenance object to alter."""
    document: dict[str, Any] = json.loads(genuine(name)[0])
    return document


def check_altered(document: Any, name: str = "abi3info-2024.10.3-py3-none-any.whl") -> Provenance:
    """Verify an altered provenance object of a recorded file."""
    return verify_pypi(json.dumps(document).encode(), name, genuine(name)[2], shipped())


def made(instance: SigstoreInstance, publisher: dict[str, Any] = GITHUB, **more: Any) -> dict[str, Any]:
    """A provenance object of our own for FILE."""
    fields: dict[str, Any] = {"identity": github(), "predicate_type": PUBLISH} | more
    return instance.pypi(FILE, CONTENT, publisher, **fields)


def check(instance: SigstoreInstance, document: dict[str, Any]) -> Provenance:
    """Verify a provenance object of our own."""
    digest = hashlib.sha256(CONTENT).hexdigest()
    return verify_pypi(json.dumps(document).encode(), FILE, digest, instance.trust(), now=NOW)


@pytest.mark.parametrize(
    ("name", "forge", "repository", "commit"),
    [
        (
            "abi3info-2024.10.3-py3-none-any.whl",
            Forge.GITHUB,
            "https://github.com/woodruffw/abi3info",
            "0f40f4f357b9141ec3472771d4cb904e229b0de2",
        ),
        (
            "pypi_attestations-0.0.19.tar.gz",
            Forge.GITHUB,
            "https://github.com/trailofbits/pypi-attestations",
            "08802efe1f8e5fec4ad842d6b8ce97656092ee72",
        ),
        (
            "sampleproject-4.0.0.tar.gz",
            Forge.GITHUB,
            "https://github.com/pypa/sampleproject",
            "621e4974ca25ce531773def586ba3ed8e736b3fc",
        ),
        ("gcb_attestation_test-0.0.0.tar.gz", Forge.GOOGLE, None, None),
    ],
)
def test_genuine(name: str, forge: Forge, repository: str | None, commit: str | None) -> None:
    """Recorded attestations verify, and the certificate says who and from which commit."""
    provenance = verify_pypi(*genuine(name), shipped())
    assert ProvenanceStatus.VERIFIED == provenance.status, provenance.sentence
    assert provenance.publisher is not None
    assert (forge, repository, commit) == (provenance.publisher.forge, provenance.repository, provenance.commit)
    assert () == provenance.findings
    (result,) = provenance.results
    assert result.log_time is not None
    assert result.not_before is not None
    assert result.not_after is not None
    assert result.not_before <= result.log_time <= result.not_after
    assert Provenance.model_validate(provenance.document()) == provenance


@pytest.mark.parametrize(
    ("publisher", "identity", "forge", "commit"),
    [
        (GITHUB, github(), Forge.GITHUB, "c" * 40),
        (
            {"kind": "GitLab", "repository": "g/s/r", "workflow_filepath": ".gitlab-ci.yml"},
            gitlab(),
            Forge.GITLAB,
            "d" * 40,
        ),
        ({"kind": "Google", "email": "robot@example.org"}, google(), Forge.GOOGLE, None),
        (
            {"kind": "CircleCI", "project_id": "p-1", "pipeline_definition_id": "d-1"},
            circleci(),
            Forge.CIRCLECI,
            "e" * 40,
        ),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else None,
)
def test_every_forge(
    instance: SigstoreInstance, publisher: dict[str, Any], identity: Identity, forge: Forge, commit: str | None
) -> None:
    """All kinds of publishers verify; the same certificate under another publisher's name does not."""
    provenance = check(instance, made(instance, publisher, identity=identity))
    assert ProvenanceStatus.VERIFIED == provenance.status, provenance.sentence
    assert provenance.publisher is not None
    assert (forge, commit) == (provenance.publisher.forge, provenance.commit)
    changed = {key: value + "x" if key != "kind" else value for key, value in publisher.items() if value}
    refused = check(instance, made(instance, changed, identity=identity))
    assert ProvenanceStatus.INVALID == refused.status
    assert [FindingKind.PUBLISHER_DIFFERS] == [finding.kind for finding in refused.findings]
    assert identity.name in refused.sentence


def test_workflow_and_run(instance: SigstoreInstance) -> None:
    """Workflow path, ref and run come out of the certificate's extensions."""
    publisher = check(instance, made(instance)).publisher
    assert publisher is not None
    assert (".github/workflows/release.yml", "refs/tags/v1") == (publisher.workflow, publisher.ref)
    assert publisher.run_url == "https://github.com/o/r/actions/runs/1/attempts/1"


@pytest.mark.parametrize(
    ("claimed", "signed", "status", "finding"),
    [
        ("release", "release", ProvenanceStatus.VERIFIED, None),
        ("release", None, ProvenanceStatus.VERIFIED, FindingKind.ENVIRONMENT_UNCONFIRMED),
        ("release", "other", ProvenanceStatus.INVALID, FindingKind.PUBLISHER_DIFFERS),
        (None, "release", ProvenanceStatus.VERIFIED, None),
    ],
)
def test_environment(
    instance: SigstoreInstance,
    claimed: str | None,
    signed: str | None,
    status: ProvenanceStatus,
    finding: FindingKind | None,
) -> None:
    """An environment only the index names is said to be unconfirmed; one the certificate denies is refused."""
    identity = github(environment=signed) if signed else github()
    provenance = check(instance, made(instance, GITHUB | {"environment": claimed}, identity=identity))
    assert status == provenance.status, provenance.sentence
    assert [finding] if finding else [] == [found.kind for found in provenance.findings]


@pytest.mark.parametrize(
    ("commit", "status"), [("c" * 40, ProvenanceStatus.VERIFIED), ("f" * 40, ProvenanceStatus.INVALID)]
)
def test_slsa_provenance(instance: SigstoreInstance, commit: str, status: ProvenanceStatus) -> None:
    """SLSA provenance v1 is taken; a commit other than the certificate's is a contradiction."""
    source = {"uri": "git+https://github.com/o/r@refs/tags/v1", "digest": {"gitCommit": commit}}
    other = {"uri": "git+https://example.org/o/tool@refs/heads/main", "digest": {"gitCommit": "9" * 40}}
    predicate = {"buildDefinition": {"resolvedDependencies": [other, source]}}
    provenance = check(instance, made(instance, predicate_type=SLSA_V1, predicate=predicate))
    assert status == provenance.status, provenance.sentence
    assert provenance.results[0].stated_source is not None
    assert commit == provenance.results[0].stated_source.commit
    assert SLSA_V1 == provenance.results[0].predicate_type


def test_absent() -> None:
    """No provenance is a value of its own."""
    assert ProvenanceStatus.ABSENT == verify_pypi(None, FILE, "0" * 64, shipped()).status


def test_other_bytes() -> None:
    """A genuine attestation says nothing about other bytes, nor about another file name."""
    document, name, digest = genuine("sampleproject-4.0.0.tar.gz")
    other = verify_pypi(document, name, "0" * 64, shipped())
    assert ProvenanceStatus.INVALID == other.status
    assert "about other bytes" in other.sentence
    renamed = verify_pypi(document, "sampleproject-4.0.1.tar.gz", digest, shipped())
    assert ProvenanceStatus.INVALID == renamed.status
    assert "about another file" in renamed.sentence
    assert renamed.publisher is None


def test_same_name_spelt_otherwise(instance: SigstoreInstance) -> None:
    """File names are compared as names and versions, as the index does."""
    document = instance.pypi("Pkg-1.0.0-py3-none-any.whl", CONTENT, GITHUB, github(), predicate_type=PUBLISH)
    digest = hashlib.sha256(CONTENT).hexdigest()
    found = verify_pypi(json.dumps(document).encode(), "pkg-1.0-py3-none-any.whl", digest, instance.trust(), now=NOW)
    assert ProvenanceStatus.VERIFIED == found.status, found.sentence


def _set(*path: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    """An alteration of a provenance object."""

    def alter(document: dict[str, Any]) -> None:
        place: Any = document
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = to

    return alter


ATTESTATION = ("attestation_bundles", 0, "attestations", 0)
MATERIAL = (*ATTESTATION, "verification_material")
INVALID, NOT_CHECKABLE = ProvenanceStatus.INVALID, ProvenanceStatus.NOT_CHECKABLE


@pytest.mark.parametrize(
    ("alter", "status", "reason"),
    [
        (_set("version", to=2), NOT_CHECKABLE, "unknown version 2"),
        (_set("version", to=True), NOT_CHECKABLE, "unknown version"),
        (_set("version", to=None), NOT_CHECKABLE, "unknown version"),
        (_set("extra", to=1), NOT_CHECKABLE, "“extra”"),
        (_set("attestation_bundles", to=[]), INVALID, "has no bundles"),
        (_set("attestation_bundles", to={}), INVALID, "not an array"),
        (_set("attestation_bundles", 0, "attestations", to=[]), INVALID, "no attestations"),
        (_set(*ATTESTATION, to=[]), INVALID, "not an object"),
        (_set(*ATTESTATION, "version", to=7), NOT_CHECKABLE, "unknown version 7"),
        (_set(*ATTESTATION, "envelope", "statement", to="e30"), INVALID, "not proper base64"),
        (_set(*ATTESTATION, "envelope", "statement", to="e3 0="), INVALID, "not proper base64"),
        (_set(*ATTESTATION, "envelope", "statement", to="e31="), INVALID, "not proper base64"),
        (_set(*ATTESTATION, "envelope", "signature", to=""), INVALID, "not proper base64"),
        (_set(*ATTESTATION, "envelope", "signature", to="AAAA"), INVALID, "signature"),
        (_set(*MATERIAL, "certificate", to="AAAA"), INVALID, "certificate"),
        (_set(*MATERIAL, "certificate", to=5), INVALID, "not text"),
        (_set(*MATERIAL, "transparency_entries", to=[]), INVALID, "no log entry"),
        (_set(*MATERIAL, "transparency_entries", 0, "logIndex", to="١٢"), INVALID, "not a number"),
        (_set(*MATERIAL, "transparency_entries", 0, "integratedTime", to="9" * 19), INVALID, "after the year 9999"),
        (_set(*MATERIAL, "transparency_entries", 0, "integratedTime", to="1727988031"), INVALID, "inclusion promise"),
        (_set(*MATERIAL, "transparency_entries", 0, "inclusionPromise", to=None), INVALID, "inclusion promise"),
        (
            _set(*MATERIAL, "transparency_entries", 0, "inclusionProof", to=None),
            INVALID,
            "no inclusion proof",
        ),
        (_set(*MATERIAL, "transparency_entries", 0, "inclusionProof", "treeSize", to="9"), INVALID, "another tree"),
        (_set("attestation_bundles", 0, "publisher", "kind", to="Forgejo"), NOT_CHECKABLE, "unknown kind Forgejo"),
        (_set("attestation_bundles", 0, "publisher", "workflow", to=3), INVALID, "malformed for the kind GitHub"),
        (_set("attestation_bundles", 0, "publisher", to=None), INVALID, "not an object"),
        (_set("attestation_bundles", 0, "publisher", "repository", to="o/r"), INVALID, "not the publisher the index"),
    ],
)
def test_altered(alter: Callable[[dict[str, Any]], None], status: ProvenanceStatus, reason: str) -> None:
    """Every malformed or altered part is refused, and the sentence says why."""
    document = recorded()
    alter(document)
    provenance = check_altered(document)
    assert status == provenance.status, provenance.sentence
    assert reason in provenance.sentence
    assert provenance.publisher is None or status is NOT_CHECKABLE


def test_duplicates() -> None:
    """The same attestation twice, in one bundle or in two, is refused."""
    document = recorded()
    document["attestation_bundles"] *= 2
    assert "listed twice" in check_altered(document).sentence
    document = recorded()
    document["attestation_bundles"][0]["attestations"] *= 2
    assert "listed twice" in check_altered(document).sentence


def test_mixed() -> None:
    """One bad attestation beside a good one spoils the whole."""
    document = recorded()
    other = recorded("sampleproject-4.0.0.tar.gz")["attestation_bundles"][0]
    document["attestation_bundles"].append(other)
    provenance = check_altered(document)
    assert ProvenanceStatus.INVALID == provenance.status
    assert [ProvenanceStatus.VERIFIED, ProvenanceStatus.INVALID] == [r.status for r in provenance.results]
    assert provenance.publisher is None


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"[" * 100_000, "levels deep"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "levels deep"),
        (b" " * (MAX_BYTES + 1), "the limit is"),
        (b'{"version":1,"version":1}', "same name twice"),
        (b'{"version":NaN}', "has NaN, which is not"),
        (b'{"version":' + b"9" * 5000 + b"}", "a number of more than"),
        (b"\xff\xfe", "not text in UTF-8"),
        (b"", "not JSON"),
        (b'"' + b"\\" * 99_999, "not JSON"),
        (b"[]", "not an object"),
        (b"{}", "not an array"),
        (b'{"version": 1.5}', "unknown version"),
        (b'{"version": 1e400}', "unknown version"),
    ],
)
def test_hostile_json(document: bytes, reason: str) -> None:
    """Size and depth are measured before a parser sees the document; the rest is a sentence too."""
    provenance = verify_pypi(document, FILE, "0" * 64, shipped())
    assert provenance.status in {ProvenanceStatus.INVALID, ProvenanceStatus.NOT_CHECKABLE}
    assert reason in provenance.sentence


def test_unknown_predicate(instance: SigstoreInstance) -> None:
    """Something properly signed that we do not understand is not verified, and not called a forgery."""
    provenance = check(instance, made(instance, predicate_type="urn:example:praise"))
    assert ProvenanceStatus.NOT_CHECKABLE == provenance.status
    assert "urn:example:praise" in provenance.sentence


def test_future(instance: SigstoreInstance) -> None:
    """A signed time ahead of our clock is refused."""
    provenance = check(instance, made(instance, time=NOW + timedelta(days=2)))
    assert ProvenanceStatus.INVALID == provenance.status
    assert "future" in provenance.sentence


def test_expired_certificate(instance: SigstoreInstance) -> None:
    """A certificate that had expired when the log took the entry in is refused."""
    assert ProvenanceStatus.VERIFIED == check(instance, made(instance, time=TIME + timedelta(hours=1))).status
    provenance = check(instance, made(instance, time=TIME + timedelta(hours=1), issued=TIME))
    assert ProvenanceStatus.INVALID == provenance.status
    assert "not valid at validation time" in provenance.sentence


@pytest.mark.parametrize(
    ("forger", "reason"),
    [
        ("log", "log entry"),
        ("ca", "timestamp certificate chain"),
        ("ct_log", "SCT"),
    ],
)
def test_other_authority(instance: SigstoreInstance, forger: str, reason: str) -> None:
    """Self-made certificates, and entries of another log under our log's name, are refused."""
    other = SigstoreInstance(**{name: getattr(instance, name) for name in ("ca", "ct_log", "log") if name != forger})
    if forger != "ca":
        other.ca_certificate = instance.ca_certificate
    document = made(other)
    if forger == "log":
        entry = document["attestation_bundles"][0]["attestations"][0]["verification_material"]["transparency_entries"]
        entry[0]["logId"] = made(instance)["attestation_bundles"][0]["attestations"][0]["verification_material"][
            "transparency_entries"
        ][0]["logId"]
    provenance = check(instance, document)
    assert ProvenanceStatus.INVALID == provenance.status
    assert reason in provenance.sentence


def test_wrong_certificate_log_signature(instance: SigstoreInstance) -> None:
    """A certificate timestamp in our log's name that our log did not sign is refused."""
    provenance = check(instance, made(instance, stamped_by=new_key()))
    assert ProvenanceStatus.INVALID == provenance.status
    assert "SCT" in provenance.sentence


@pytest.mark.parametrize("ended", ["log_until", "ca_until"])
def test_authority_retired(ended: str) -> None:
    """What a log or an authority signs after the trust root retired it is refused."""
    retired = SigstoreInstance(**{ended: TIME - timedelta(days=1)})  # type: ignore[arg-type]
    provenance = check(retired, made(retired))
    assert ProvenanceStatus.INVALID == provenance.status
    assert "in use at" in provenance.sentence


def test_other_trust_root(instance: SigstoreInstance) -> None:
    """What another Sigstore signed is nothing to us."""
    digest = hashlib.sha256(CONTENT).hexdigest()
    provenance = verify_pypi(json.dumps(made(instance)).encode(), FILE, digest, shipped(), now=NOW)
    assert ProvenanceStatus.INVALID == provenance.status


def test_unsigned_unknown_field() -> None:
    """An unknown field in the unsigned publisher object is ignored, and said so."""
    document = recorded()
    document["attestation_bundles"][0]["publisher"]["colour"] = "blue"
    provenance = check_altered(document)
    assert ProvenanceStatus.VERIFIED == provenance.status
    assert [FindingKind.UNKNOWN_FIELD] == [finding.kind for finding in provenance.findings]
