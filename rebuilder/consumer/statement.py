"""A signed statement of ours as a vote; pure.

What the statement says in two places must be the same: a verdict of its own words beside the result of the verification
summary that other programs read.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from pydantic import ValidationError

from rebuilder.consumer.answer import Level, Vote, Voter
from rebuilder.errors import SigningError
from rebuilder.log.audit import LogError
from rebuilder.log.entry import LogEntry
from rebuilder.model.replayed import Replayed
from rebuilder.model.value import Sha256, Sha512, algorithm
from rebuilder.model.verdict import Verdict
from rebuilder.signing.vocabulary import (
    LEVELS,
    METADATA_WRITTEN,
    POLICIES,
    QUORUM_TYPE,
    UNAUTHENTICATED,
    VERDICT_TYPE,
    VERDICT_V1,
    VSA_TYPE,
    verdict_of,
)

VERDICT_TYPES = {VSA_TYPE, VERDICT_TYPE, VERDICT_V1}
"""Predicate types of statements that carry a verdict; others are about how something was built."""
_LEVELS = {
    LEVELS[Verdict.REPRODUCED]: (Verdict.REPRODUCED, Level.BUILD_ALONE),
    METADATA_WRITTEN: (Verdict.REPRODUCED, Level.METADATA_WRITTEN),
    LEVELS[Verdict.EQUIVALENT]: (Verdict.EQUIVALENT, Level.EQUIVALENT),
}
_MOST_REPLAYED = 100
_REPLAYED = set(Replayed.model_fields)


def is_of_several(statement: dict[str, Any]) -> bool:
    """Whether a signed statement says what several rebuilders found, and no verdict of the one that signed it."""
    predicate = statement.get("predicate")
    return isinstance(predicate, dict) and QUORUM_TYPE in predicate


def names_file(statement: dict[str, Any], digest: Sha256 | Sha512, sha256: Sha256) -> bool:
    """Whether a statement about the file with a SHA-256 names it by a digest, too.

    Statements from before files were named by SHA-512 name none.

    Raises:
        LogError: the file that it is about has another one.
    """
    named = [
        each["digest"].get(algorithm(digest)) for each in statement["subject"] if each["digest"]["sha256"] == sha256
    ]
    if any(each is not None and each != digest for each in named):
        raise LogError("The statement is about another file than the one with this SHA-512.")
    return digest in named


def read_vote(statement: dict[str, Any], sha256: Sha256, entry: LogEntry, voter: Voter, site: str) -> Vote:
    """What a statement says about a file.

    Args:
        statement: Its signature was checked.
        sha256: Of the file.
        entry: Of the statement in the log; it was checked.
        voter: Who signed.
        site: Where the report is, if it is an address; otherwise the vote has no address of a report.

    Raises:
        LogError: it is not about the file, has another form than is documented, or contradicts itself.
    """
    try:
        return _vote(statement, sha256, entry, voter, site)
    except SigningError as error:
        raise LogError(f"The statement of the rebuilder cannot be used: {error}") from None
    except (KeyError, TypeError, AttributeError, IndexError, ValidationError):
        raise LogError("The statement of the rebuilder has another form than is documented.") from None
    except ValueError as error:
        raise LogError(str(error)) from None


def _vote(statement: dict[str, Any], sha256: Sha256, entry: LogEntry, voter: Voter, site: str) -> Vote:
    names = [each["name"] for each in statement["subject"] if each["digest"]["sha256"] == sha256]
    if not names:
        raise LogError("The statement is not about this file.")
    if len(statement["subject"]) != 1:
        raise LogError("The statement is about several files, and a verdict is about one.")
    if statement["predicateType"] != entry.predicate_type:
        raise LogError("The statement is of another kind than the log says.")
    predicate = statement["predicate"]
    said = verdict_of(statement)
    verdict = Verdict(said["verdict"])
    level = _level(statement["predicateType"], predicate, verdict)
    sentence = str(said["sentence"])
    policy = predicate["policy"]
    if level is not None and POLICIES.get(policy["uri"]) != policy["digest"]["sha256"]:
        level = None
        sentence = f"It was decided by other rules ({policy['uri']}) than this program knows, and does not count."
    upstream = said.get("upstream", {})
    publisher = upstream.get("publisher", {}) if upstream.get("status") == "verified" else {}
    artifact = said.get("artifact") or {}
    report = None
    if site.startswith(("https://", "http://")) and artifact:
        from rebuilder.model.report import page_path

        page = page_path(artifact["ecosystem"], artifact["name"], artifact["version"], names[0], sha256)
        report = f"{site.rstrip('/')}/{quote(page, safe='/+!~@')}/index.html"
    return Vote(
        sha256=sha256,
        filename=names[0],
        package=artifact.get("name"),
        version=artifact.get("version"),
        verdict=verdict,
        level=level,
        kind=said.get("kind"),
        sentence=sentence,
        replayed=tuple(
            Replayed.model_validate({name: value for name, value in each.items() if name in _REPLAYED})
            for each in said.get("replayed", [])[:_MOST_REPLAYED]
        ),
        voter=voter,
        statement=entry.envelope,
        verified=predicate["timeVerified"],
        logged=entry.logged,
        attested=upstream.get("status"),
        publisher=publisher.get("repository") or publisher.get("identity"),
        report=report,
    )


def _level(kind: str, predicate: dict[str, Any], verdict: Verdict) -> Level | None:
    if kind != VSA_TYPE:
        if verdict in LEVELS:
            raise LogError("The statement has a verdict that only a verification summary carries.")
        known = verdict is Verdict.UNAUTHENTICATED and predicate["level"] == UNAUTHENTICATED
        return Level.UNAUTHENTICATED if known else None
    levels, result = predicate["verifiedLevels"], predicate["verificationResult"]
    if not isinstance(levels, list) or len(levels) != 1:
        raise LogError("The verification summary has not one level.")
    found = _LEVELS.get(levels[0])
    if found is not None and result == "PASSED" and verdict is found[0]:
        return found[1]
    if found is None and result == "FAILED" and verdict is Verdict.DIFFERS and levels == [LEVELS[verdict]]:
        return None
    raise LogError("The verification summary and the verdict of the statement contradict each other.")
