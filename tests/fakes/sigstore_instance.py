"""A whole Sigstore of our own: certificate authority, certificate log, transparency log, npm registry key.

Signs what no recorded attestation has: other forges, wrong times, foreign keys. Keys are made anew for each.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rebuilder.provenance.trust.files import TrustRoot

TIME = datetime(2025, 6, 1, 12, 0, 0, tzinfo=UTC)
PAYLOAD_TYPE = "application/vnd.in-toto+json"
FULCIO = "1.3.6.1.4.1.57264.1."
SLSA_V1 = "https://slsa.dev/provenance/v1"
NPM_PUBLISH = "https://github.com/npm/attestation/tree/main/specs/publish/v0.1"
ORIGIN = "log.example"


def b64(data: bytes) -> str:
    """Base64 text."""
    return base64.b64encode(data).decode()


def new_key() -> ec.EllipticCurvePrivateKey:
    """A P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    """DER of the public key."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """ECDSA with SHA-256."""
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def pae(payload: bytes) -> bytes:
    """What DSSE signs."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


@dataclass(frozen=True)
class Identity:
    """What a certificate says about who signs."""

    name: str
    """Subject alternative name: a URI, or an e-mail address."""
    claims: dict[int, str]
    """Fulcio extension number to text."""


def github(repository: str = "o/r", workflow: str = "release.yml", commit: str = "c" * 40, **more: str) -> Identity:
    """A GitHub Actions workflow."""
    url = f"https://github.com/{repository}"
    config = f"{url}/.github/workflows/{workflow}@refs/tags/v1"
    claims = {8: "https://token.actions.githubusercontent.com", 9: config, 12: url, 13: commit, 14: "refs/tags/v1"}
    claims |= {18: config, 21: f"{url}/actions/runs/1/attempts/1"}
    if "environment" in more:
        claims[23] = more["environment"]
    return Identity(config, claims)


def gitlab(repository: str = "g/s/r", path: str = ".gitlab-ci.yml") -> Identity:
    """A GitLab pipeline."""
    url = f"https://gitlab.com/{repository}"
    config = f"{url}//{path}@refs/tags/v1"
    claims = {8: "https://gitlab.com", 9: config, 12: url, 13: "d" * 40, 14: "refs/tags/v1", 18: config}
    return Identity(config, claims | {21: f"{url}/-/jobs/1"})


def google(email: str = "robot@example.org") -> Identity:
    """A Google service account."""
    return Identity(email, {1: "https://accounts.google.com", 8: "https://accounts.google.com"})


def circleci(project: str = "p-1", pipeline: str = "d-1") -> Identity:
    """A CircleCI pipeline."""
    signer = f"https://circleci.com/api/v2/projects/{project}/pipeline-definitions/{pipeline}"
    claims = {8: "https://oidc.circleci.com", 9: signer, 12: "github.com/o/r", 13: "e" * 40, 14: "refs/heads/main"}
    return Identity(signer, claims)


@dataclass
class SigstoreInstance:
    """Keys of all authorities; every document it makes is genuine unless told otherwise."""

    ca: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    ct_log: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    log: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    registry: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    log_from: datetime = TIME - timedelta(days=1000)
    log_until: datetime | None = None
    ca_until: datetime | None = None
    registry_until: datetime | None = None

    def __post_init__(self) -> None:
        """Make the authority's own certificate."""
        self.ca_certificate = self._ca_certificate()

    def trust(self) -> TrustRoot:
        """A trust root that believes this instance and nobody else."""
        root = {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [self._log("https://log.example", self.log, self.log_from, self.log_until)],
            "certificateAuthorities": [
                {
                    "subject": {"organization": "example", "commonName": "example"},
                    "uri": "https://ca.example",
                    "certChain": {"certificates": [{"rawBytes": b64(self.ca_certificate.public_bytes(Encoding.DER))}]},
                    "validFor": self._period(TIME - timedelta(days=1000), self.ca_until),
                }
            ],
            "ctlogs": [self._log("https://ct.example", self.ct_log, TIME - timedelta(days=1000), None)],
            "timestampAuthorities": [],
        }
        public = {"rawBytes": b64(spki(self.registry)), "keyDetails": "PKIX_ECDSA_P256_SHA_256"}
        public |= {"validFor": self._period(TIME - timedelta(days=1000), self.registry_until)}  # type: ignore[dict-item]
        keys = [
            {"keyId": "SHA256:example", "keyUsage": usage, "publicKey": public}
            for usage in ("npm:signatures", "npm:attestations")
        ]
        return TrustRoot(json.dumps(root).encode(), json.dumps({"keys": keys}).encode())

    def pypi(
        self,
        filename: str,
        content: bytes,
        publisher: dict[str, Any],
        identity: Identity,
        *,
        predicate_type: str,
        predicate: Any = None,
        time: datetime = TIME,
        **certificate: Any,
    ) -> dict[str, Any]:
        """A PEP 740 provenance object with one attestation."""
        payload = self.statement(filename, {"sha256": hashlib.sha256(content).hexdigest()}, predicate_type, predicate)
        key = new_key()
        leaf = self.certificate(key, identity, **({"issued": time} | certificate))
        signature = sign(key, pae(payload))
        attestation = {
            "version": 1,
            "verification_material": {
                "certificate": b64(leaf.public_bytes(Encoding.DER)),
                "transparency_entries": [self.entry("dsse", payload, signature, leaf.public_bytes(Encoding.PEM), time)],
            },
            "envelope": {"statement": b64(payload), "signature": b64(signature)},
        }
        return {"version": 1, "attestation_bundles": [{"publisher": publisher, "attestations": [attestation]}]}

    def npm(
        self,
        purl: str,
        sha512: str,
        identity: Identity | None,
        predicate: Any,
        *,
        kind: str = "intoto",
        time: datetime = TIME,
        **certificate: Any,
    ) -> dict[str, Any]:
        """One npm attestation: build provenance, or a publish attestation when there is no identity."""
        predicate_type = SLSA_V1 if identity else NPM_PUBLISH
        payload = self.statement(purl, {"sha512": sha512}, predicate_type, predicate)
        key = new_key() if identity else self.registry
        key_id = "" if identity else "SHA256:example"
        signature = sign(key, pae(payload))
        material: dict[str, Any]
        if identity:
            leaf = self.certificate(key, identity, **({"issued": time} | certificate))
            pem = leaf.public_bytes(Encoding.PEM)
            material = {"certificate": {"rawBytes": b64(leaf.public_bytes(Encoding.DER))}}
        else:
            pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            material = {"publicKey": {"hint": key_id}}
        material["tlogEntries"] = [self.entry(kind, payload, signature, pem, time, key_id=key_id)]
        bundle = {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": material,
            "dsseEnvelope": {
                "payload": b64(payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": b64(signature), "keyid": key_id}],
            },
        }
        return {"predicateType": predicate_type, "bundle": bundle}

    @staticmethod
    def statement(name: str, digest: dict[str, str], predicate_type: str, predicate: Any) -> bytes:
        """An in-toto statement v1."""
        subject = [{"name": name, "digest": digest}]
        document = {"_type": "https://in-toto.io/Statement/v1", "subject": subject, "predicateType": predicate_type}
        return json.dumps(document | {"predicate": predicate}).encode()

    def entry(
        self, kind: str, payload: bytes, signature: bytes, pem: bytes, time: datetime, *, key_id: str = ""
    ) -> dict[str, Any]:
        """A log entry, alone in its tree."""
        digest = {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}
        version = "0.0.2" if kind == "intoto" else "0.0.1"
        signatures: list[dict[str, str]]
        if kind == "intoto":
            signatures = [{"sig": b64(b64(signature).encode()), "publicKey": b64(pem)}]
            if key_id:
                signatures[0]["keyid"] = key_id
            envelope = {"payloadType": PAYLOAD_TYPE, "signatures": signatures}
            spec: dict[str, Any] = {"content": {"envelope": envelope, "hash": digest, "payloadHash": digest}}
        else:
            signatures = [{"signature": b64(signature), "verifier": b64(pem)}]
            spec = {"envelopeHash": digest, "payloadHash": digest, "signatures": signatures}
        body = rfc8785.dumps({"apiVersion": version, "kind": kind, "spec": spec})
        log_id = hashlib.sha256(spki(self.log)).digest()
        seconds = int(time.timestamp())
        promised: dict[str, str | int] = {
            "body": b64(body),
            "integratedTime": seconds,
            "logID": log_id.hex(),
            "logIndex": 7,
        }
        root = hashlib.sha256(b"\0" + body).digest()
        note = f"{ORIGIN} - 1\n1\n{b64(root)}\n"
        checkpoint = f"{note}\n— {ORIGIN} {b64(log_id[:4] + sign(self.log, note.encode()))}\n"
        return {
            "logIndex": "7",
            "logId": {"keyId": b64(log_id)},
            "kindVersion": {"kind": kind, "version": version},
            "integratedTime": str(seconds),
            "inclusionPromise": {"signedEntryTimestamp": b64(sign(self.log, rfc8785.dumps(promised)))},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": b64(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": checkpoint},
            },
            "canonicalizedBody": b64(body),
        }

    def certificate(
        self,
        key: ec.EllipticCurvePrivateKey,
        identity: Identity,
        *,
        issued: datetime = TIME,
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.CODE_SIGNING,
        stamped_by: ec.EllipticCurvePrivateKey | None = None,
    ) -> x509.Certificate:
        """A certificate valid for ten minutes from ``issued``."""
        name: x509.GeneralName = x509.UniformResourceIdentifier(identity.name)
        if "@" in identity.name and "://" not in identity.name:
            name = x509.RFC822Name(identity.name)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.ca_certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(issued)
            .not_valid_after(issued + timedelta(minutes=10))
            .add_extension(_usage(signing=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.ca.public_key()), critical=False)
            .add_extension(x509.SubjectAlternativeName([name]), critical=True)
        )
        for number, text in identity.claims.items():
            raw = text.encode()
            length = bytes([len(raw)]) if len(raw) < 128 else bytes([0x81, len(raw)])
            value = x509.UnrecognizedExtension(
                x509.ObjectIdentifier(FULCIO + str(number)), raw if number <= 6 else b"\x0c" + length + raw
            )
            builder = builder.add_extension(value, critical=False)
        unlogged = builder.sign(self.ca, hashes.SHA256()).tbs_certificate_bytes
        stamp = self._stamp(unlogged, issued, stamped_by or self.ct_log)
        return builder.add_extension(stamp, critical=False).sign(self.ca, hashes.SHA256())

    def _stamp(self, unlogged: bytes, time: datetime, key: ec.EllipticCurvePrivateKey) -> x509.UnrecognizedExtension:
        """Certificate timestamp of RFC 6962, section 3.3, for a precertificate."""
        moment = struct.pack("!Q", int(time.timestamp() * 1000))
        issuer = hashlib.sha256(spki(self.ca)).digest()
        entry = issuer + struct.pack("!I", len(unlogged))[1:] + unlogged
        signature = sign(key, b"\0\0" + moment + b"\0\1" + entry + b"\0\0")
        log_id = hashlib.sha256(spki(self.ct_log)).digest()
        single = b"\0" + log_id + moment + b"\0\0" + b"\4\3" + struct.pack("!H", len(signature)) + signature
        listed = struct.pack("!H", len(single)) + single
        listed = struct.pack("!H", len(listed)) + listed
        octets = b"\4" + (bytes([len(listed)]) if len(listed) < 128 else bytes([0x81, len(listed)])) + listed
        return x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2"), octets)

    def _ca_certificate(self) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "example authority")])
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.ca.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(TIME - timedelta(days=1000))
            .not_valid_after(TIME + timedelta(days=100_000))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signing=False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.ca.public_key()), critical=False)
            .sign(self.ca, hashes.SHA256())
        )

    def _log(self, url: str, key: ec.EllipticCurvePrivateKey, start: datetime, end: datetime | None) -> dict[str, Any]:
        return {
            "baseUrl": url,
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": b64(spki(key)),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": self._period(start, end),
            },
            "logId": {"keyId": b64(hashlib.sha256(spki(key)).digest())},
        }

    @staticmethod
    def _period(start: datetime, end: datetime | None) -> dict[str, str]:
        period = {"start": start.strftime("%Y-%m-%dT%H:%M:%SZ")}
        return period | ({"end": end.strftime("%Y-%m-%dT%H:%M:%SZ")} if end else {})


def _usage(*, signing: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signing,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=not signing,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
