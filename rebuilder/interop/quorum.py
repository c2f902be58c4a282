"""What several rebuilders say about one file together, as statements: that it was reproduced, or that they disagree.

1. Votes are counted: only the same bytes count, one vote for each operator, key and lineage of code.
2. Where nobody says that a rebuild differs and two are left, a verification summary with ``SLSA_BUILD_REPRODUCED`` and
   an SVR are made. Where somebody does, a statement of the conflict is made instead.
3. Whoever has a key signs them; nothing here has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rebuilder.consumer.answer import Level, Vote, dissent, independent
from rebuilder.signing.statements import Builder, rfc3339, statement_about
from rebuilder.signing.vocabulary import (
    BUILD_REPRODUCED,
    CONFLICT_TYPE,
    QUORUM_POLICY_SHA256,
    QUORUM_POLICY_URI,
    QUORUM_TYPE,
    SVR_TYPE,
    VSA_TYPE,
)

LEAST = 2
_POLICY = {"uri": QUORUM_POLICY_URI, "digest": {"sha256": QUORUM_POLICY_SHA256}}


class NoQuorumError(ValueError):
    """Too few rebuilders confirm the file: a sentence that says how many."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Votes about one file, counted."""

    confirming: tuple[Vote, ...]
    """Independent ones that made the same bytes."""
    dissenting: tuple[Vote, ...]
    """Those that say that a rebuild differs."""

    @property
    def in_conflict(self) -> bool:
        """Whether there are both."""
        return bool(self.confirming and self.dissenting)


def count(votes: Sequence[Vote]) -> Counted:
    """Count votes about one file.

    Raises:
        ValueError: they are about several files, or give one file several names.
    """
    if len({each.sha256 for each in votes}) > 1:
        raise ValueError("The statements are about different files.")
    same = [each for each in votes if each.level is not None and each.level.reaches(Level.METADATA_WRITTEN)]
    if len(names := {each.filename for each in same}) > 1:
        raise ValueError(f"The statements give the file different names: {', '.join(sorted(names))}.")
    return Counted(tuple(independent(same, lineages=True)), tuple(dissent(votes)))


def statements(counted: Counted, verifier: Builder, version: str, resource: str, now: datetime) -> list[dict[str, Any]]:
    """The statements about the file: a verification summary and an SVR, or the conflict.

    Args:
        counted: Of :func:`count`.
        verifier: Who says it.
        version: Of this program.
        resource: Package URL of the release, or another address of the file.
        now: The time.

    Raises:
        NoQuorumError: nothing can be said.
    """
    if counted.in_conflict:
        return [_conflict(counted, verifier, version, resource, now)]
    if counted.dissenting:
        raise NoQuorumError("Nobody confirms the file, and a rebuild of it differs.")
    if len(counted.confirming) < LEAST:
        found = len(counted.confirming)
        raise NoQuorumError(
            f"{found} independent {'rebuilder' if found == 1 else 'rebuilders'} made the same bytes, and {LEAST} are "
            "needed: with operators, keys and programs of their own."
        )
    return [_summary(counted, verifier, version, resource, now), _svr(counted, verifier, now)]


def _summary(counted: Counted, verifier: Builder, version: str, resource: str, now: datetime) -> dict[str, Any]:
    predicate = {
        "verifier": {"id": verifier.id, "version": {"rebuilder": version}},
        "timeVerified": rfc3339(now),
        "resourceUri": resource,
        "policy": _POLICY,
        "inputAttestations": [{"digest": {"sha256": each.statement}} for each in counted.confirming],
        "verificationResult": "PASSED",
        "verifiedLevels": [BUILD_REPRODUCED],
        "slsaVersion": "1.2",
        QUORUM_TYPE: {"rebuilders": [_voter(each) for each in counted.confirming]},
    }
    return _about(counted, VSA_TYPE, predicate)


def _svr(counted: Counted, verifier: Builder, now: datetime) -> dict[str, Any]:
    predicate = {
        "verifier": {"id": verifier.id, "policies": [_POLICY]},
        "timeCreated": rfc3339(now),
        "properties": [BUILD_REPRODUCED],
    }
    return _about(counted, SVR_TYPE, predicate)


def _conflict(counted: Counted, verifier: Builder, version: str, resource: str, now: datetime) -> dict[str, Any]:
    predicate = {
        "verifier": {"id": verifier.id, "version": {"rebuilder": version}},
        "timeVerified": rfc3339(now),
        "resourceUri": resource,
        "policy": _POLICY,
        "reproduced": [_voter(each) for each in counted.confirming],
        "differs": [_voter(each) for each in counted.dissenting],
    }
    return _about(counted, CONFLICT_TYPE, predicate)


def _about(counted: Counted, kind: str, predicate: dict[str, Any]) -> dict[str, Any]:
    about = counted.confirming[0]
    return statement_about(about.filename, about.sha256, kind, predicate)


def _voter(vote: Vote) -> dict[str, Any]:
    voter: dict[str, Any] = {
        "operator": vote.voter.operator,
        "name": vote.voter.name,
        "keyId": vote.voter.key_id,
        "lineage": vote.voter.lineage,
        "statement": {"digest": {"sha256": vote.statement}},
    }
    if vote.level is not None:
        voter["level"] = vote.level.value
    if (moment := vote.logged or vote.verified) is not None:
        voter["said"] = rfc3339(moment)
    return voter
