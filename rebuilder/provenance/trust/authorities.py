"""Sigstore's authorities as the pinned trust root names them: certificates, logs and the times they are good for."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from cryptography import x509
from cryptography.x509 import Certificate, ExtendedKeyUsage, KeyUsage, PrecertificateSignedCertificateTimestamps
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store, VerificationError
from sigstore._internal.sct import verify_sct
from sigstore._internal.trust import KeyringPurpose
from sigstore.errors import Error as SigstoreError
from sigstore.models import TrustedRoot
from sigstore.verify import Verifier
from sigstore_models.common.v1 import TimeRange
from sigstore_models.trustroot import v1 as trustroot_v1

from rebuilder.errors import StoreError
from rebuilder.provenance.refusal import Refused, not_checkable, shown
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
