"""What is in a trust root file, in lines a person can compare."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from pydantic import ValidationError
from sigstore._internal.trust import Key
from sigstore.errors import Error as SigstoreError
from sigstore_models.common.v1 import PublicKeyDetails
from sigstore_models.trustroot import v1 as trustroot_v1

from rebuilder.errors import StoreError, UsageError
from rebuilder.model.value import sha256_hex
from rebuilder.provenance.format.strict_json import parse
from rebuilder.provenance.npm.keys import NpmKeys
from rebuilder.provenance.refusal import Refused, shown
from rebuilder.provenance.trust.authorities import Authorities

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
