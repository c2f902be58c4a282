"""Sigstore's authorities as a trust root names them: ready for verifying, and in lines a person can compare."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import Certificate, ExtendedKeyUsage, KeyUsage, PrecertificateSignedCertificateTimestamps
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store, VerificationError
from pydantic import ValidationError
from sigstore._internal.sct import verify_sct
from sigstore._internal.trust import Key, KeyringPurpose
from sigstore.errors import Error as SigstoreError
from sigstore.models import TrustedRoot
from sigstore.verify import Verifier
from sigstore_models.common.v1 import PublicKeyDetails, TimeRange
from sigstore_models.trustroot import v1 as trustroot_v1

from rebuilder.errors import StoreError, UsageError
from rebuilder.model.value import sha256_hex
from rebuilder.provenance.claims import Refused, not_checkable, shown
from rebuilder.provenance.format.strict_json import parse
from rebuilder.provenance.npm.keys import NpmKeys
from rebuilder.provenance.trust.files import TrustRoot


class Authorities:
    """A trust root made ready for verifying; make one and keep it. Touches neither network nor files."""

    def __init__(self, trusted_root: bytes) -> None:
        """Read a Sigstore trusted root.

        Raises:
            StoreError: it is malformed, or lacks what verifying needs: our own file is broken.
        """
        try:
            self.content = trustroot_v1.TrustedRoot.from_json(trusted_root)
            # Not TrustedRoot.from_file: the bytes read here are the bytes whose digest was checked.
            trusted = TrustedRoot(self.content)
            self.verifier = Verifier(trusted_root=trusted)
            self.rekor_keys = trusted.rekor_keyring(KeyringPurpose.VERIFY)
            self._ct_keys = trusted.ct_keyring(KeyringPurpose.VERIFY)
            self._cas = [
                ([x509.load_der_x509_certificate(c.raw_bytes) for c in ca.cert_chain.certificates], ca.valid_for)
                for ca in self.content.certificate_authorities
            ]
        except (SigstoreError, ValueError) as error:
            raise StoreError(
                f"The Sigstore trusted root cannot be used: {shown(str(error), 300)}",
                hint="Refresh the trust root as docs/trust.md says.",
            ) from None
        self._logs = {log.log_id.key_id: log.public_key.valid_for for log in self.content.tlogs}
        self._ct_logs = {log.log_id.key_id: log.public_key.valid_for for log in self.content.ctlogs}
        self.certificates = frozenset(
            c.raw_bytes for ca in self.content.certificate_authorities for c in ca.cert_chain.certificates
        )
        """DER of all certificates of the authorities."""

    def check_log(self, log_id: bytes, when: datetime) -> None:
        """The log is one of ours, and was in use at that time.

        Raises:
            Refused: it is not, or was not.
        """
        if log_id not in self._logs:
            raise not_checkable(
                f"It is in the transparency log {log_id.hex()[:16]}…, which is not in the pinned trust root: "
                "a newer log, or not Sigstore's."
            )
        if not _covers(self._logs[log_id], when):
            raise Refused(f"The transparency log {log_id.hex()[:16]}… was not in use at {when.isoformat()}.")

    def check_certificate(self, certificate: Certificate, when: datetime) -> None:
        """The certificate is for signing code, from an authority in use then, valid then, and publicly logged.

        RFC 5280 path, RFC 6962 certificate timestamp.

        Raises:
            Refused: one of these does not hold.
        """
        if not certificate.not_valid_before_utc <= when <= certificate.not_valid_after_utc:
            raise Refused(
                f"The certificate was valid from {certificate.not_valid_before_utc.isoformat()} to "
                f"{certificate.not_valid_after_utc.isoformat()}, not at {when.isoformat()} when it was used."
            )
        chain = self._chain(certificate, when)
        try:
            self._check_content(certificate, chain)
        except x509.ExtensionNotFound as error:
            raise Refused(f"The certificate lacks an extension: {shown(str(error))}.") from None

    def _check_content(self, certificate: Certificate, chain: list[Certificate]) -> None:
        usage = certificate.extensions.get_extension_for_class(KeyUsage).value
        extended = certificate.extensions.get_extension_for_class(ExtendedKeyUsage).value
        if not usage.digital_signature or ExtendedKeyUsageOID.CODE_SIGNING not in extended:
            raise Refused("The certificate is not one for signing code.")
        stamp = certificate.extensions.get_extension_for_class(PrecertificateSignedCertificateTimestamps).value[0]
        stamped = stamp.timestamp.replace(tzinfo=UTC)
        if stamp.log_id not in self._ct_logs or not _covers(self._ct_logs[stamp.log_id], stamped):
            raise Refused("The certificate's timestamp is not of a certificate log that was in use then.")
        try:
            verify_sct(certificate, chain, self._ct_keys)
        except SigstoreError as error:
            raise Refused(f"The certificate's timestamp is not genuine: {shown(str(error))}.") from None

    def _chain(self, certificate: Certificate, when: datetime) -> list[Certificate]:
        anchors = [c for certificates, period in self._cas if _covers(period, when) for c in certificates]
        if not anchors:
            raise Refused(f"No certificate authority of the trust root was in use at {when.isoformat()}.")
        # As in sigstore-python: the client-authentication usage X.509 libraries ask for is not the one of signing code.
        authority = ExtensionPolicy.webpki_defaults_ca().may_be_present(
            ExtendedKeyUsage, Criticality.NON_CRITICAL, None
        )
        leaf = ExtensionPolicy.webpki_defaults_ee().may_be_present(ExtendedKeyUsage, Criticality.NON_CRITICAL, None)
        verifier = (
            PolicyBuilder()
            .store(Store(anchors))
            .time(when)
            .extension_policies(ca_policy=authority, ee_policy=leaf)
            .build_client_verifier()
        )
        try:
            return list(verifier.verify(certificate, []).chain[1:])
        except (VerificationError, x509.UnsupportedGeneralNameType) as error:
            raise Refused(
                f"The certificate was not issued by a certificate authority of the trust root: {shown(str(error))}."
            ) from None


@lru_cache(maxsize=4)
def authorities(trust: TrustRoot) -> Authorities:
    """The same object for the same trust root: reading it takes as long as verifying.

    Raises:
        StoreError: the trust root is broken.
    """
    return Authorities(trust.trusted_root)


def _covers(period: TimeRange | None, when: datetime) -> bool:
    return period is None or (period.start <= when and (period.end is None or when <= period.end))


_KNOWN = {*Key._RSA_SHA_256_DETAILS, *Key._EC_DETAILS_TO_HASH, PublicKeyDetails.PKIX_ED25519}  # noqa: SLF001
"""Kinds of keys that are used; a log with another one is left out, and not believed."""
_UNDECODABLE = (SigstoreError, UnsupportedAlgorithm, ValueError)


def describe(data: bytes, name: str) -> tuple[str, list[str]]:
    """Which part of the trust root ``data`` is, with one line for each authority, log or key.

    Raises:
        UsageError: it is no part of a trust root, or lacks what verifying needs.
    """
    kind = "neither a Sigstore trusted root nor a list of the npm registry's keys"
    try:
        document = parse(data, "It")
        if isinstance(document, dict) and "keys" in document:
            kind = "not a list of the npm registry's keys that can be used"
            return "npm_keys", [key.line for key in NpmKeys(data).keys]
        if isinstance(document, dict) and "mediaType" in document:
            kind = "not a Sigstore trusted root that can be used"
        _check_keys(data)
        return "trusted_root", _lines(Authorities(data))
    except (Refused, StoreError, *_UNDECODABLE) as error:
        raise UsageError(
            f"{name} is {kind}: {_plain(error)}",
            hint="Give the file trusted_root.json of a Sigstore TUF repository, or the registry's keys.json there, "
            "see docs/trust.md.",
        ) from None


def _check_keys(data: bytes) -> None:
    """Every key of a known kind and every certificate must decode; the library would go on without them.

    Raises:
        Refused: one does not, or the file has not the layout of a trusted root.
    """
    try:
        content = trustroot_v1.TrustedRoot.from_json(data)
    except ValidationError as error:
        raise Refused(_layout(error)) from None
    for part, logs in (("tlogs", content.tlogs), ("ctlogs", content.ctlogs)):
        for number, log in enumerate(logs):
            if log.public_key.key_details in _KNOWN:
                try:
                    Key(log.public_key)
                except _UNDECODABLE:
                    raise Refused(f"The key of {part}[{number}] cannot be decoded.") from None
    for part, group in (
        ("certificateAuthorities", content.certificate_authorities),
        ("timestampAuthorities", content.timestamp_authorities),
    ):
        for number, authority in enumerate(group):
            if not authority.cert_chain.certificates:
                raise Refused(f"There is no certificate in {part}[{number}].")
            for certificate in authority.cert_chain.certificates:
                try:
                    x509.load_der_x509_certificate(certificate.raw_bytes).public_key()
                except _UNDECODABLE:
                    raise Refused(f"A certificate of {part}[{number}] cannot be decoded.") from None


def _layout(error: ValidationError) -> str:
    first = error.errors()[0]
    field = shown(".".join(map(str, first["loc"])) or "the whole")
    if first["type"] == "missing":
        return f"“{field}” is missing."
    if first["type"] == "extra_forbidden":
        return f"“{field}” is not known."
    return f"“{field}” is not what it must be."


def _plain(error: Exception) -> str:
    """The reason as one sentence; what a library says about bytes it cannot decode helps nobody."""
    if isinstance(error, UnsupportedAlgorithm) or "deserialize" in str(error):
        return "A key in it cannot be decoded."
    sentence = shown(str(error), 300)
    return sentence if sentence.endswith((".", "…")) else f"{sentence}."


def _lines(authorities: Authorities) -> list[str]:
    inner = authorities.content
    lines = []
    for kind, group in (
        ("certificate authority", inner.certificate_authorities),
        ("timestamp authority", inner.timestamp_authorities),
    ):
        for authority in group:
            prints = ", ".join(sha256_hex(c.raw_bytes)[:16] for c in authority.cert_chain.certificates)
            lines.append(f"{kind} {shown(authority.uri)} certificates {prints} {_period(authority.valid_for)}")
    for kind, logs in (("transparency log", inner.tlogs), ("certificate log", inner.ctlogs)):
        for log in logs:
            key = log.public_key
            raw = sha256_hex(key.raw_bytes or b"")[:16]
            lines.append(
                f"{kind} {shown(log.base_url)} id {log.log_id.key_id.hex()[:16]} key {raw} {_period(key.valid_for)}"
            )
    return lines


def _period(period: Any) -> str:
    if period is None:
        return "always valid"
    return f"from {_day(period.start)} to {_day(period.end)}"


def _day(moment: datetime | None) -> str:
    return moment.isoformat() if moment else "further notice"
