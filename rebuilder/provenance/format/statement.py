"""What a signed in-toto statement says: about which file, of what kind, built from where."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from rebuilder.model.provenance import Publisher, StatedSource
from rebuilder.provenance.claims import Refused, not_checkable, shown
from rebuilder.provenance.format.strict_json import STATEMENT, Unknown, fields, known, mapping, one, parse, text

STATEMENT_V1 = "https://in-toto.io/Statement/v1"
STATEMENT_V01 = "https://in-toto.io/Statement/v0.1"
SLSA_V02 = "https://slsa.dev/provenance/v0.2"
SLSA_V1 = "https://slsa.dev/provenance/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True)
class Statement:
    """A statement with exactly one subject."""

    predicate_type: str
    subject_name: str
    subject_digest: dict[str, Any]
    predicate: dict[str, Any]
    unknown: tuple[Unknown, ...] = ()
    """Members beside those. in-toto tells readers to ignore them; what they say is not known all the same."""


def read(payload: bytes, *, types: frozenset[str]) -> Statement:
    """Read a statement whose signature was verified.

    Raises:
        Refused: malformed, of an unknown type, or not with exactly one subject.
    """
    taken, unknown = known(parse(payload, "The signed statement"), STATEMENT)
    found = fields(
        taken,
        "The signed statement",
        required=["_type", "subject", "predicateType"],
        optional=["predicate"],
    )
    if found["_type"] not in types:
        raise not_checkable(f"The signed statement is of the unknown type {shown(found['_type'])}.")
    subject = fields(one(found["subject"], "The list of subjects"), "The subject", required=["name", "digest"])
    return Statement(
        predicate_type=text(found["predicateType"], "The predicate type"),
        subject_name=text(subject["name"], "The subject's name"),
        subject_digest=mapping(subject["digest"], "The subject's digest"),
        predicate=mapping(found.get("predicate", {}), "The predicate"),
        unknown=unknown,
    )


def require_digest(statement: Statement, algorithm: str, expected: str) -> None:
    """The statement is about the file with this digest.

    Raises:
        Refused: it is about other bytes.
    """
    found = statement.subject_digest.get(algorithm)
    if found != expected:
        raise Refused(
            f"It is about other bytes: the signed {algorithm} of {shown(statement.subject_name)} is "
            f"{shown(found, 80)}, the file's is {shown(expected, 80)}."
        )


def stated_source(statement: Statement, publisher: Publisher | None) -> StatedSource | None:
    """Repository and commit a SLSA provenance predicate names.

    v0.2: the first of ``materials``; v1: the first of ``buildDefinition.resolvedDependencies`` that is the
    certificate's repository, or else the first. None for other predicates, or when none is named.

    Raises:
        Refused: the predicate is malformed.
    """
    if statement.predicate_type == SLSA_V02:
        listed, digest_name = statement.predicate.get("materials"), "sha1"
    elif statement.predicate_type == SLSA_V1:
        definition = mapping(statement.predicate.get("buildDefinition", {}), "The build definition")
        listed, digest_name = definition.get("resolvedDependencies"), "gitCommit"
    else:
        return None
    if not isinstance(listed, list):
        return None
    sources = [_source(entry, digest_name) for entry in listed[:100]]
    own = publisher.repository if publisher else None
    named = [source for source in sources if source.commit or source.repository]
    return next(
        (s for s in named if s.repository and own and same_repository(s.repository, own)), next(iter(named), None)
    )


def _source(entry: object, digest_name: str) -> StatedSource:
    found = mapping(entry, "A source in the predicate")
    digest = found.get("digest")
    commit = digest.get(digest_name) if isinstance(digest, dict) else None
    uri = found.get("uri")
    repository = None
    if isinstance(uri, str) and uri.startswith("git+"):
        address = uri.removeprefix("git+")
        head, at, tail = address.rpartition("@")
        # An "@" before the path is a user name, not a ref.
        repository = head if at and head.count("/") >= 3 and "//" not in tail else address
    return StatedSource(
        repository=repository[:2000] if repository else None,
        commit=commit if isinstance(commit, str) and _COMMIT.fullmatch(commit) else None,
    )


def same_repository(left: str, right: str) -> bool:
    """Whether two URLs name one repository: scheme, ``.git`` and a slash at the end do not matter."""
    return _bare(left) == _bare(right)


def _bare(url: str) -> str:
    return url.partition("://")[2].rstrip("/").removesuffix(".git").casefold() if "://" in url else url.casefold()


def require_agreement(stated: StatedSource | None, publisher: Publisher, *, strict: bool) -> str | None:
    """Compare what the statement says with what the certificate vouches for.

    The publisher's own workflow wrote the statement; the forge's token put the commit into the certificate.

    Returns:
        None, or a sentence that names the difference.
    """
    if stated is None:
        return None
    same = bool(stated.repository and publisher.repository and same_repository(stated.repository, publisher.repository))
    if stated.repository and publisher.repository and not same:
        if not strict:
            return None
        return (
            f"The signed statement names the repository {shown(stated.repository)}, "
            f"the certificate {shown(publisher.repository)}."
        )
    if (same or strict) and stated.commit and publisher.commit and stated.commit != publisher.commit:
        return f"The signed statement names the commit {stated.commit}, the certificate {shown(publisher.commit)}."
    return None
