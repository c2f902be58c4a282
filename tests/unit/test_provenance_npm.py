"""npm attestations and registry signatures: genuine ones verify, everything else is refused for its own reason."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rebuilder.model.provenance import FindingKind, Form, Provenance, ProvenanceStatus, RegistrySignature
from rebuilder.provenance.npm.npm import verify_npm
from rebuilder.provenance.trust.files import shipped
from tests.fakes.sigstore_instance import TIME, SigstoreInstance, b64, github, google, new_key, sign

ASSETS = Path(__file__).parent.parent / "assets" / "attestations" / "npm"
NAME, VERSION, SHA512 = "@scope/pkg", "1.0.0", hashlib.sha512(b"tarball").hexdigest()
PURL = "pkg:npm/%40scope/pkg@1.0.0"
NOW = TIME + timedelta(days=1)
SIGSTORE_1 = (
    "7bea9f6e7ff37f5fab0b36bf061200fff03099fd2fd696b91d04bc5e4f225eb9fd6e0cadcad54ba980f43fb352a99e8810b4e0abeb5c0ef2"
    "cf9108cd1f258b36"
)
SIGSTORE_04 = (
    "282c0c5fa936d264321643581b65d3de5c0af6ed4fdfac12f5851115df39cc25cfaf0ad22d908487bfef30114d61c25746206d1834be4f8f"
    "d1659178f77cc004"
)
PREDICATE = {
    "buildDefinition": {
        "resolvedDependencies": [{"uri": "git+https://github.com/o/r@refs/tags/v1", "digest": {"gitCommit": "c" * 40}}]
    }
}


@pytest.fixture(scope="module")
def instance() -> SigstoreInstance:
    """A Sigstore and a registry of our own."""
    return SigstoreInstance()


def sha512_of(tarball: str) -> str:
    """Digest of a recorded tarball."""
    return hashlib.sha512((ASSETS / tarball).read_bytes()).hexdigest()


def recorded(name: str) -> bytes:
    """A recorded attestation document; a lone bundle is put into one."""
    data = (ASSETS / name).read_bytes()
    if name.endswith("bundle.json"):
        entry = {"predicateType": "https://slsa.dev/provenance/v1", "bundle": json.loads(data)}
        data = json.dumps({"attestations": [entry]}).encode()
    return data


def publish(instance: SigstoreInstance, **more: Any) -> dict[str, Any]:
    """A publish attestation of our own registry."""
    return instance.npm(PURL, SHA512, None, {"name": NAME, "version": VERSION, "registry": "urn:r"}, **more)


def check(instance: SigstoreInstance, *entries: dict[str, Any], **more: Any) -> Provenance:
    """Verify attestations of our own."""
    document = json.dumps({"attestations": entries}).encode()
    return verify_npm(document, NAME, VERSION, SHA512, instance.trust(), now=NOW, **more)


@pytest.mark.parametrize(
    ("document", "name", "version", "sha512", "commit"),
    [
        (
            "provenance-npm-test-cli-v02-prega.tgz.json",
            "@laurentsimon/provenance-npm-test",
            "1.0.3",
            sha512_of("provenance-npm-test-cli-v02-prega.tgz"),
            "b38894f2dda4355ea5606fccb166e61565e12a14",
        ),
        (
            "provenance-npm-test-cli-v1-prega.tgz.json",
            "sigstore",
            "2.3.1",
            sha512_of("provenance-npm-test-cli-v1-prega.tgz"),
            "46e7056ff9912ebfee5298d94024895a9fea76c0",
        ),
        (
            "sigstore-js-2.1.0-bundle.json",
            "sigstore",
            "2.1.0",
            sha512_of("sigstore-js-2.1.0.tgz"),
            "26d16513386ffaa790b1c32f927544f1322e4194",
        ),
        ("sigstore-attestations.json", "sigstore", "1.0.0", SIGSTORE_1, "06528997c3c8ab9f864fad9a3658446aca7fd86d"),
        ("valid-attestations.json", "sigstore", "0.4.0", SIGSTORE_04, "8a2ee2fd20dda58ffa4a8d808a65cb1e04711c03"),
    ],
)
def test_genuine(document: str, name: str, version: str, sha512: str, commit: str) -> None:
    """Recorded documents verify: SLSA v0.2 and v1, bundles 0.1 to 0.3, intoto log entries, registry keys."""
    provenance = verify_npm(recorded(document), name, version, sha512, shipped())
    assert ProvenanceStatus.VERIFIED == provenance.status, provenance.sentence
    assert commit == provenance.commit
    provenances = [result for result in provenance.results if result.publisher]
    assert [commit] == [result.stated_source.commit for result in provenances if result.stated_source]
    assert provenance.repository is not None
    assert provenance.repository.startswith("https://github.com/")
    assert Provenance.model_validate(provenance.document()) == provenance


@pytest.mark.parametrize(
    ("document", "name", "version", "sha512", "reason"),
    [
        (
            "provenance-npm-test-cli-v1-prega-invalidsigprov.tgz.json",
            "sigstore",
            "2.3.1",
            sha512_of("provenance-npm-test-cli-v1-prega.tgz"),
            "not the certificate's over this statement",
        ),
        (
            "provenance-npm-test-cli-v1-prega-invalidsigpub.tgz.json",
            "sigstore",
            "2.3.1",
            sha512_of("provenance-npm-test-cli-v1-prega.tgz"),
            "not the one of the",
        ),
        (
            "mismatched-subject-digest-attestations.json",
            "sigstore",
            "0.4.0",
            SIGSTORE_04,
            "not the one of the",
        ),
        ("malformed-subject-attestations.json", "sigstore", "0.4.0", SIGSTORE_04, "not the one of the"),
        ("valid-attestations.json", "sigstore", "0.4.0", "0" * 128, "about other bytes"),
        ("valid-attestations.json", "sigstore", "0.4.1", SIGSTORE_04, "about another release"),
        ("valid-attestations.json", "sigstor", "0.4.0", SIGSTORE_04, "about another release"),
    ],
)
def test_recorded_refused(document: str, name: str, version: str, sha512: str, reason: str) -> None:
    """Altered documents, and genuine ones shown for something else, are refused for the right reason."""
    provenance = verify_npm(recorded(document), name, version, sha512, shipped())
    assert ProvenanceStatus.INVALID == provenance.status
    assert reason in provenance.sentence
    assert provenance.publisher is None


@pytest.mark.parametrize("kind", ["intoto", "dsse"])
def test_both_kinds_of_entries(instance: SigstoreInstance, kind: str) -> None:
    """Log entries of both kinds bind both kinds of signers."""
    provenance = check(
        instance, publish(instance, kind=kind), instance.npm(PURL, SHA512, github(), PREDICATE, kind=kind)
    )
    assert ProvenanceStatus.VERIFIED == provenance.status, provenance.sentence
    assert ("c" * 40, ()) == (provenance.commit, provenance.findings)


@pytest.mark.parametrize("kind", ["intoto", "dsse"])
@pytest.mark.parametrize("part", ["payload", "signature", "signer"])
def test_entry_of_something_else(instance: SigstoreInstance, kind: str, part: str) -> None:
    """A genuine log entry of another payload, signature or signer proves nothing about this one."""
    entry = instance.npm(PURL, SHA512, github(), PREDICATE, kind=kind)
    bundle = entry["bundle"]
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
    signature = base64.b64decode(bundle["dsseEnvelope"]["signatures"][0]["sig"])
    pem = _pem(bundle["verificationMaterial"]["certificate"]["rawBytes"])
    if part == "payload":
        payload += b" "
    elif part == "signature":
        signature = sign(new_key(), payload)
    else:
        other = instance.npm(PURL, SHA512, github(), PREDICATE)
        pem = _pem(other["bundle"]["verificationMaterial"]["certificate"]["rawBytes"])
    bundle["verificationMaterial"]["tlogEntries"] = [instance.entry(kind, payload, signature, pem, TIME)]
    provenance = check(instance, entry)
    assert ProvenanceStatus.INVALID == provenance.status
    expected = f"another {part}" if kind == "intoto" else "log entry"
    assert expected in provenance.sentence


def _pem(raw: str) -> bytes:
    text = "\n".join(raw[i : i + 64] for i in range(0, len(raw), 64))
    return f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n".encode()


@pytest.mark.parametrize("forger", ["log", "ca", "ct_log", "registry"])
def test_other_authority(instance: SigstoreInstance, forger: str) -> None:
    """Whatever another log, authority or registry signed does not verify."""
    names = ("ca", "ct_log", "log", "registry")
    other = SigstoreInstance(**{name: getattr(instance, name) for name in names if name != forger})
    if forger != "ca":
        other.ca_certificate = instance.ca_certificate
    provenance = check(instance, publish(other), other.npm(PURL, SHA512, github(), PREDICATE))
    assert ProvenanceStatus.VERIFIED != provenance.status
    assert provenance.publisher is None or forger == "registry"


def test_certificate_not_valid_then(instance: SigstoreInstance) -> None:
    """A certificate that had expired when the log took the entry in is refused."""
    late = TIME + timedelta(hours=1)
    assert (
        ProvenanceStatus.VERIFIED == check(instance, instance.npm(PURL, SHA512, github(), PREDICATE, time=late)).status
    )
    provenance = check(instance, instance.npm(PURL, SHA512, github(), PREDICATE, time=late, issued=TIME))
    assert ProvenanceStatus.INVALID == provenance.status
    assert "The certificate was valid from" in provenance.sentence


def test_statement_against_certificate(instance: SigstoreInstance) -> None:
    """A statement that names another commit or repository than the certificate is a contradiction."""
    for identity in (github(commit="f" * 40), github(repository="o/other")):
        provenance = check(instance, publish(instance), instance.npm(PURL, SHA512, identity, PREDICATE))
        assert ProvenanceStatus.INVALID == provenance.status
        assert [FindingKind.SOURCE_DIFFERS] == [f.kind for f in provenance.findings][:1]


def test_wrong_kind_of_signer(instance: SigstoreInstance) -> None:
    """Provenance is signed with a certificate, publish attestations with the registry's key; never crosswise."""
    entry = instance.npm(PURL, SHA512, github(), PREDICATE)
    entry["predicateType"] = publish(instance)["predicateType"]
    assert "registry's key" in check(instance, entry).sentence
    entry = publish(instance)
    entry["predicateType"] = "https://slsa.dev/provenance/v1"
    assert "publisher's certificate" in check(instance, entry).sentence


def test_no_publish_attestation(instance: SigstoreInstance) -> None:
    """Provenance without the registry's own attestation verifies, with a finding."""
    provenance = check(instance, instance.npm(PURL, SHA512, github(), PREDICATE))
    assert ProvenanceStatus.VERIFIED == provenance.status
    assert [FindingKind.NO_PUBLISH_ATTESTATION] == [finding.kind for finding in provenance.findings]


def test_future(instance: SigstoreInstance) -> None:
    """A signed time ahead of our clock is refused."""
    assert "future" in check(instance, publish(instance, time=NOW + timedelta(days=2))).sentence


def test_unknown_forge(instance: SigstoreInstance) -> None:
    """An identity vouched for by somebody unknown is not checkable."""
    identity = google()
    identity.claims[8] = "https://issuer.example"
    provenance = check(instance, instance.npm(PURL, SHA512, identity, PREDICATE))
    assert ProvenanceStatus.NOT_CHECKABLE == provenance.status
    assert "issuer.example" in provenance.sentence


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"[" * 100_000, "levels deep"),
        (b'{"attestations": []}', "no attestations"),
        (b'{"attestations": [1, 1]}', "listed twice"),
        (b'{"attestations": [1]}', "not an object"),
        (b'{"attestations": [{"predicateType": "urn:x", "bundle": {}}]}', "lacks “mediaType”"),
        (b"{}", "lacks “attestations”"),
        (b'{"attestations": [' + b",".join(b"%d" % n for n in range(17)) + b"]}", "more than 16"),
    ],
)
def test_hostile_json(document: bytes, reason: str) -> None:
    """Malformed documents are refused with a sentence."""
    provenance = verify_npm(document, NAME, VERSION, SHA512, shipped())
    assert ProvenanceStatus.INVALID == provenance.status
    assert reason in provenance.sentence


def signature(instance: SigstoreInstance, text: str) -> RegistrySignature:
    """The registry's signature over a text."""
    return RegistrySignature(key_id="SHA256:example", signature=b64(sign(instance.registry, text.encode())))


INTEGRITY = "sha512-" + b64(bytes.fromhex(SHA512))


@pytest.mark.parametrize(
    ("text", "until", "published", "status"),
    [
        (f"{NAME}@{VERSION}:{INTEGRITY}", None, TIME, ProvenanceStatus.VERIFIED),
        (f"{NAME}@{VERSION}:{INTEGRITY}", TIME + timedelta(days=1), TIME, ProvenanceStatus.VERIFIED),
        (f"{NAME}@{VERSION}:{INTEGRITY}", TIME, TIME, ProvenanceStatus.INVALID),
        (f"{NAME}@{VERSION}:{INTEGRITY}", None, None, ProvenanceStatus.NOT_CHECKABLE),
        (f"{NAME}@1.0.1:{INTEGRITY}", None, TIME, ProvenanceStatus.INVALID),
    ],
)
def test_registry_signature(
    text: str, until: datetime | None, published: datetime | None, status: ProvenanceStatus
) -> None:
    """Registry signatures bind name, version and digest; the key must have been valid at publication."""
    registry = SigstoreInstance(registry_until=until)
    provenance = verify_npm(
        None, NAME, VERSION, SHA512, registry.trust(), signatures=[signature(registry, text)], published=published
    )
    (result,) = provenance.results
    assert (Form.REGISTRY_SIGNATURE, status) == (result.form, result.status), result.sentence
    overall = ProvenanceStatus.INVALID if status is ProvenanceStatus.INVALID else ProvenanceStatus.ABSENT
    assert overall == provenance.status
    if status is ProvenanceStatus.VERIFIED:
        assert [FindingKind.UNSIGNED_TIME] == [finding.kind for finding in provenance.findings]


def test_registry_signature_time_from_the_log(instance: SigstoreInstance) -> None:
    """Beside a verified publish attestation the signed log time is used, not what the packument says."""
    good = signature(instance, f"{NAME}@{VERSION}:{INTEGRITY}")
    provenance = check(instance, publish(instance), signatures=[good], published=TIME - timedelta(days=9999))
    assert ProvenanceStatus.VERIFIED == provenance.status
    assert () == provenance.findings
    unknown = RegistrySignature(key_id="SHA256:unknown", signature=good.signature)
    provenance = check(instance, publish(instance), signatures=[unknown])
    assert "not in the pinned list" in provenance.results[1].sentence


def test_absent() -> None:
    """Nothing published is a value of its own."""
    assert ProvenanceStatus.ABSENT == verify_npm(None, NAME, VERSION, SHA512, shipped()).status
