"""Names that stand in statements for good: types, levels, the policy behind a verdict, and what one says by version."""

from __future__ import annotations

from typing import Any, Final

from rebuilder.errors import SigningError
from rebuilder.model.replayed import MOST_BITS
from rebuilder.model.value import Sha256, Value, canonical_json, sha256_hex
from rebuilder.model.verdict import Verdict

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
PROVENANCE_TYPE: Final = "https://slsa.dev/provenance/v1"
VSA_TYPE: Final = "https://slsa.dev/verification_summary/v1"

# Ours are tag URIs (RFC 4151): names, not addresses. Nothing is fetched from them and no domain is claimed.
VERDICT_TYPE: Final = "tag:rebuilder,2026:verdict/v2"
"""Predicate of verdicts that are neither PASSED nor FAILED, and extension field of those that are."""
VERDICT_V1: Final = "tag:rebuilder,2026:verdict/v1"
"""The same in statements from before a trail had nodes; only read."""
POLICY_URI: Final = "tag:rebuilder,2026:policy/v4"

METADATA_WRITTEN: Final = "REBUILDER_BITWISE_METADATA_WRITTEN"
"""``verifiedLevels`` of ``reproduced`` where recorded metadata was written into the finished archive."""
LEVELS: Final[dict[Verdict, str]] = {
    Verdict.REPRODUCED: "REBUILDER_BITWISE",
    Verdict.EQUIVALENT: "REBUILDER_EQUIVALENT_CONTENT",
    Verdict.DIFFERS: "FAILED",
}
"""``verifiedLevels`` of the verdicts that a verification summary can carry.

One rebuilder does not make a SLSA level, and values of one's own must not begin with ``SLSA_``
(https://slsa.dev/spec/v1.1/verification_summary#slsaresult).
"""

POLICY: Final[dict[str, Any]] = {
    "uri": POLICY_URI,
    "rules": [
        "A verdict is about one published file, named by its SHA-256.",
        "REBUILDER_BITWISE: one rebuild in a sandbox without a network has the published SHA-256, by the build alone.",
        "REBUILDER_EQUIVALENT_CONTENT: one rebuild equals the published file once named archive metadata is set aside.",
        "REBUILDER_BITWISE_METADATA_WRITTEN: it has the published SHA-256 once the recorded metadata is written.",
        "Member names, contents, executable bits and link targets are never set aside.",
        f"A build is told at most {MOST_BITS} bits of the published file, each value from a closed set and listed.",
        "Besides, it may be told the words of the changelog entry of a binary-only upload, which are shown whole.",
        "FAILED: a rebuild completed, and none is equal in either way.",
        "None of these rests on a build with a Debian package that no list binds that the archive signed.",
        "REBUILDER_UNAUTHENTICATED: only such a build has the published SHA-256. It is never PASSED.",
        "Everything else is no claim about the file, and is not signed as PASSED or FAILED.",
        "All attempts are listed, the unsuccessful ones too.",
    ],
}
"""The rules of :func:`rebuilder.model.report.decide` in words; a change of either makes a new version."""

POLICY_SHA256: Final[Sha256] = sha256_hex(canonical_json(POLICY))
POLICIES: Final = {
    POLICY_URI: POLICY_SHA256,
    "tag:rebuilder,2026:policy/v2": "34b8bdc13ec3aa38d0591ef22b64f2bf748b409a6653069eeca75498d57fa99f",
}
"""The rules of verdicts that count: those of today, and those from before Debian packages were built. Version 3 did not
tell apart what was built with packages that nobody signed."""

UNAUTHENTICATED: Final = "REBUILDER_UNAUTHENTICATED"
"""Level of ``unauthenticated``, which no verification summary carries: a mirror and a publisher can bring it about."""

ACCOUNTED: Final = "REBUILDER_ACCOUNTED"
"""Level of ``accounted``, which no verification summary carries: nothing was passed."""
ACCOUNTING_POLICY_URI: Final = "tag:rebuilder,2026:accounting-policy/v1"
ACCOUNTING_POLICY: Final[dict[str, Any]] = {
    "uri": ACCOUNTING_POLICY_URI,
    "rules": [
        "A verdict is about one published file, named by its SHA-256, that was not rebuilt as a whole.",
        "Every member is listed by path and SHA-256, with what it is accounted for with.",
        "REBUILDER_ACCOUNTED: each member that is executed is a file of the source archive, or follows from it.",
        "It follows from it where building it here gives it, or where a named rule says how.",
        "Compiled code follows from it where it names that, or other such code needs it: by name, not by content.",
        "FAILED: a member that is executed, or that changes what is installed, is accounted for with none of these.",
        "REBUILDER_ACCOUNTED says nothing about what is in compiled code, and is never PASSED.",
    ],
}
"""The rules of a decision that rests on an accounting, in words; a change of either makes a new version."""
ACCOUNTING_POLICY_SHA256: Final[Sha256] = sha256_hex(canonical_json(ACCOUNTING_POLICY))

QUORUM_TYPE: Final = "tag:rebuilder,2026:quorum/v1"
"""Extension field of a verification summary that several rebuilders stand behind: who they are."""
CONFLICT_TYPE: Final = "tag:rebuilder,2026:conflict/v1"
"""Predicate: rebuilders say opposite things about one file."""
INCIDENT_TYPE: Final = "tag:rebuilder,2026:incident/v1"
"""Predicate: what is known about something under suspicion, and what has to do with it."""
QUORUM_POLICY_URI: Final = "tag:rebuilder,2026:quorum-policy/v1"
SVR_TYPE: Final = "https://in-toto.io/attestation/svr/v0.2"
BUILD_REPRODUCED: Final = "SLSA_BUILD_REPRODUCED"
"""https://slsa.dev/spec/v1.2/verification_summary: for two independent rebuilds at least, never for one."""

QUORUM_POLICY: Final[dict[str, Any]] = {
    "uri": QUORUM_POLICY_URI,
    "rules": [
        "A statement is about one published file, named by its SHA-256.",
        "At least two rebuilders made the same bytes; equal content is not enough.",
        "Rebuilders of one operator, with one key, or with one code that finds out how to build are one.",
        "No rebuilder that was asked says that a rebuild differs.",
        "Every statement that counts is named by its digest.",
    ],
}
QUORUM_POLICY_SHA256: Final[Sha256] = sha256_hex(canonical_json(QUORUM_POLICY))


_VERSIONS = {VERDICT_TYPE, VERDICT_V1}


def findings_of(statement: dict[str, Any]) -> dict[str, Any]:
    """The findings in a statement whose signature was checked.

    Args:
        statement: In-toto Statement v1 with a verification summary, or with a predicate of ours.

    Raises:
        SigningError: it has no verdict, more than one, or one that contradicts itself; a sentence says which.
    """
    said = verdict_of(statement)
    trail = said.get("trail")
    if trail is None:
        return said
    if not isinstance(trail, dict) or not isinstance(trail.get("steps"), list):
        raise SigningError("Its trail has no list of steps.")
    newest = VERDICT_TYPE in {statement.get("predicateType"), *statement["predicate"]}
    if ("nodes" in trail) != newest:
        raise SigningError("Its trail is written as in another version of the verdict.")
    if newest:
        _check(trail, said, statement)
    return said


def verdict_of(statement: dict[str, Any]) -> dict[str, Any]:
    """The same without a look at the trail, for who does not read it.

    Raises:
        SigningError: it has no verdict, or more than one.
    """
    predicate, kind = statement.get("predicate"), statement.get("predicateType")
    if not isinstance(predicate, dict):
        raise SigningError("It has no predicate.")
    inside = _VERSIONS & predicate.keys()
    versions = [*inside, *({kind} & _VERSIONS)]
    if len(versions) != 1:
        raise SigningError(f"It has {'two verdicts of different versions' if versions else 'no verdict'}.")
    (version,) = versions
    said = predicate[version] if inside else predicate
    if not isinstance(said, dict):
        raise SigningError("Its verdict is no JSON object.")
    return said


def _check(trail: dict[str, Any], said: dict[str, Any], statement: dict[str, Any]) -> None:
    """The trail must be a graph that ends in the subject, and count attempts that are listed."""
    from pydantic import ValidationError

    from rebuilder.model.graph import Node, NodeKind, SourceTrail, Step

    try:
        nodes = [_known(Node, each) for each in trail["nodes"]]
        graph = SourceTrail.model_validate({"nodes": nodes, "steps": [_known(Step, each) for each in trail["steps"]]})
        subjects = [f"sha256:{each['digest']['sha256']}" for each in statement["subject"]]
        listed = len(said["attempts"])
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise SigningError(f"Its trail cannot be so: {reason}.") from None
    except (KeyError, TypeError, AttributeError):
        raise SigningError("Its trail, its attempts or its subject have another form than is documented.") from None
    if graph.nodes and [each.id for each in graph.nodes if each.kind is NodeKind.ARTIFACT] != subjects:
        raise SigningError("Its trail leads to another file than its subject.")
    for step in graph.steps:
        if any(not 0 <= each < listed for each in step.attempts):
            raise SigningError(f"Its step {step.name} counts an attempt that is not listed.")


def _known(kind: type[Value], document: dict[str, Any]) -> dict[str, Any]:
    """The fields that are known; readers ignore others."""
    return {name: content for name, content in document.items() if name in kind.model_fields}
