"""Checking one attestation of an npm release, a Sigstore bundle, or the registry's signature over its digest."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from rebuilder.model.provenance import FindingKind, Forge, RegistrySignature
from rebuilder.provenance import claims
from rebuilder.provenance.format import known_parts, log_entry, statement
from rebuilder.provenance.format.statement import Statement
from rebuilder.provenance.format.strict_json import BUNDLE, NPM_ATTESTATION, base64_bytes, fields, text
from rebuilder.provenance.npm.bundle import (
    Bundle,
    parts,
    read,
    require_known_version,
    verify_certified,
    verify_keyed,
)
from rebuilder.provenance.npm.keys import ATTESTATIONS, SIGNATURES, NpmKeys
from rebuilder.provenance.npm.npm import PUBLISH
from rebuilder.provenance.outcome import Facts
from rebuilder.provenance.refusal import Refused, not_checkable, shown
from rebuilder.provenance.trust.authorities import authorities
from rebuilder.provenance.trust.files import TrustRoot

_TYPES = frozenset({statement.STATEMENT_V1, statement.STATEMENT_V01})
_PROVENANCE = frozenset({statement.SLSA_V02, statement.SLSA_V1})


@dataclass(frozen=True)
class AttestedRelease:
    """The tarball an attestation must be about."""

    name: str
    version: str
    sha512: str
    """Lower-case hexadecimal."""

    @property
    def purl(self) -> str:
        """The subject name npm writes: only the scope's ``@`` is encoded."""
        name = "%40" + self.name[1:] if self.name.startswith("@") else self.name
        return f"pkg:npm/{name}@{self.version}"


@lru_cache(maxsize=4)
def npm_keys(trust: TrustRoot) -> NpmKeys:
    """The registry's keys, read once.

    Raises:
        StoreError: the list is broken.
    """
    return NpmKeys(trust.npm_keys)


def check(entry: Any, target: AttestedRelease, trust: TrustRoot, now: datetime, facts: Facts) -> str:
    """Check one attestation; fill in ``facts`` as they are proven.

    Returns:
        The sentence for "verified".

    Raises:
        Refused: a check failed.
    """
    found = fields(facts.take(entry, NPM_ATTESTATION), "The attestation", required=["predicateType", "bundle"])
    predicate_type = text(found["predicateType"], "The predicate type")
    require_known_version(found["bundle"])
    bundle = facts.take(found["bundle"], BUNDLE)

    def about(signed: Statement) -> None:
        if signed.subject_name != target.purl:
            raise Refused(f"It is about another release: {shown(signed.subject_name)}, not {shown(target.purl)}.")
        statement.require_digest(signed, "sha512", target.sha512)
        facts.proven["subject_holds"] = True

    try:
        return _checked(read(bundle), predicate_type, facts, about, target=target, trust=trust, now=now)
    except Refused as refusal:
        if facts.undecided(refusal) and "subject_holds" not in facts.proven:
            certificate, envelope, logged = parts(bundle)
            known_parts.require(
                facts, authorities(trust), envelope=envelope, certificate=certificate, entry=logged, subject=about
            )
        raise


def _checked(
    bundle: Bundle,
    predicate_type: str,
    facts: Facts,
    about: Callable[[Statement], None],
    *,
    target: AttestedRelease,
    trust: TrustRoot,
    now: datetime,
) -> str:
    if predicate_type == PUBLISH:
        return _publish(bundle, facts, about, target=target, trust=trust, now=now)
    if predicate_type not in _PROVENANCE and bundle.certificate is None:
        raise not_checkable(f"It is of the unknown kind {shown(predicate_type)}.")
    return _provenance(bundle, predicate_type, facts, about, trust=trust, now=now)


def _publish(
    bundle: Bundle,
    facts: Facts,
    about: Callable[[Statement], None],
    *,
    target: AttestedRelease,
    trust: TrustRoot,
    now: datetime,
) -> str:
    """The registry says: this is what was published under this name and version."""
    if bundle.key_hint is None:
        raise Refused("A publish attestation must be signed with the registry's key, not with a certificate.")
    when = log_entry.verify(bundle.entry, authorities(trust))
    key = npm_keys(trust).find(bundle.key_hint, ATTESTATIONS, when)
    verify_keyed(bundle, key)
    facts.proven |= {"key_id": key.key_id, "log_time": when, "log_index": bundle.entry.index}
    log_entry.require_past(when, now)
    signed = _statement(bundle, PUBLISH, about, facts)
    named = (signed.predicate.get("name"), signed.predicate.get("version"))
    if named != (target.name, target.version):
        raise Refused(f"It is about the release {shown(named[0])} {shown(named[1])}.")
    return f"The registry attests that it published these bytes on {when:%Y-%m-%d %H:%M:%S} UTC."


def _provenance(
    bundle: Bundle,
    predicate_type: str,
    facts: Facts,
    about: Callable[[Statement], None],
    *,
    trust: TrustRoot,
    now: datetime,
) -> str:
    """The publisher's workflow says: I built this from there."""
    if bundle.certificate is None:
        raise Refused("Build provenance must be signed with a publisher's certificate, not with a key.")
    when = verify_certified(bundle, authorities(trust))
    publisher = claims.publisher(bundle.certificate)
    facts.proven |= {
        "publisher": publisher,
        "log_time": when,
        "log_index": bundle.entry.index,
        "not_before": bundle.certificate.not_valid_before_utc,
        "not_after": bundle.certificate.not_valid_after_utc,
    }
    log_entry.require_past(when, now)
    signed = _statement(bundle, predicate_type, about, facts)
    if predicate_type not in _PROVENANCE:
        raise not_checkable(f"It is of the unknown kind {shown(predicate_type)}.")
    stated = statement.stated_source(signed, publisher)
    facts.proven["stated_source"] = stated
    difference = statement.require_agreement(stated, publisher, strict=True)
    if difference:
        raise Refused(difference, finding=FindingKind.SOURCE_DIFFERS)
    if publisher.forge is Forge.OTHER:
        raise not_checkable(f"The certificate's identity was vouched for by {shown(publisher.issuer)}, unknown to us.")
    return f"Signed by {shown(publisher.identity, 300)} on {when:%Y-%m-%d %H:%M:%S} UTC."


def _statement(bundle: Bundle, predicate_type: str, about: Callable[[Statement], None], facts: Facts) -> Statement:
    if bundle.envelope.payload_type != statement.PAYLOAD_TYPE:
        raise not_checkable(f"The signed payload is of the unknown type {shown(bundle.envelope.payload_type)}.")
    signed = statement.read(bundle.envelope.payload, types=_TYPES)
    if signed.predicate_type != predicate_type:
        raise Refused(f"The registry lists it as {shown(predicate_type)}, signed is {shown(signed.predicate_type)}.")
    facts.proven["predicate_type"] = shown(signed.predicate_type, 500)
    facts.unknown += signed.unknown
    about(signed)
    return signed


def check_signature(
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
        Refused: a check_signature failed.
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
