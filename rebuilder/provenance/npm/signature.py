"""Checking the npm registry's signature over name, version and digest."""

from __future__ import annotations

import base64
from datetime import datetime

from rebuilder.model.provenance import FindingKind, RegistrySignature
from rebuilder.provenance.format.strict_json import base64_bytes
from rebuilder.provenance.npm.attestation import AttestedRelease, npm_keys
from rebuilder.provenance.npm.keys import SIGNATURES
from rebuilder.provenance.outcome import Facts
from rebuilder.provenance.refusal import not_checkable, shown
from rebuilder.provenance.trust.files import TrustRoot


def check(
    signature: RegistrySignature,
    facts: Facts,
    *,
    target: AttestedRelease,
    trust: TrustRoot,
    signed_time: datetime | None,
    stated_time: datetime | None,
) -> str:
    """Check one signature over ``name@version:sha512-BASE64``, the digest being the one of the tarball at hand.

    Args:
        signature: As the packument gives it.
        facts: Filled in.
        target: The tarball.
        trust: The pinned trust root.
        signed_time: Log time of a verified publish attestation of the same release.
        stated_time: What the packument says; believed with a finding.

    Returns:
        The sentence for "verified".

    Raises:
        Refused: a check failed.
    """
    raw = base64_bytes(signature.signature, "The registry signature")
    when = signed_time or stated_time
    if when is None:
        raise not_checkable("When this was published is not known, so the registry's key cannot be judged.")
    key = npm_keys(trust).find(signature.key_id, SIGNATURES, when)
    digest = base64.b64encode(bytes.fromhex(target.sha512)).decode()
    key.verify(raw, f"{target.name}@{target.version}:sha512-{digest}".encode())
    facts.proven["key_id"] = key.key_id
    if signed_time is None:
        facts.note(
            FindingKind.UNSIGNED_TIME,
            f"That the registry key {shown(key.key_id)} was valid rests on a publication time nobody signed.",
        )
    return f"The registry signed name, version and digest with its key {key.key_id}."
