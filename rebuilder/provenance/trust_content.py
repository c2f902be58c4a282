"""What is in a trust root file, in lines a person can compare."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sigstore.errors import Error as SigstoreError

from rebuilder.errors import StoreError, UsageError
from rebuilder.model.value import sha256_hex
from rebuilder.provenance.authorities import Authorities
from rebuilder.provenance.npm_keys import NpmKeys
from rebuilder.provenance.refusal import Refused, shown
from rebuilder.provenance.strict_json import parse


def describe(data: bytes, name: str) -> tuple[str, list[str]]:
    """Which part of the trust root ``data`` is, with one line for each authority, log or key.

    Raises:
        UsageError: it is no part of a trust root, or lacks what verifying needs.
    """
    try:
        document = parse(data, "It")
        if isinstance(document, dict) and set(document) == {"keys"}:
            return "npm_keys", [key.line for key in NpmKeys(data).keys]
        return "trusted_root", _lines(Authorities(data))
    except (Refused, StoreError, SigstoreError, ValueError) as error:
        raise UsageError(
            f"{name} is not a Sigstore trusted root: {shown(str(error), 300)}",
            hint="Give the file trusted_root.json of a Sigstore TUF repository, see docs/trust.md.",
        ) from None


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
