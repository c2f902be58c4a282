"""Bundles of OSS Rebuild (``rebuild.intoto.jsonl``) as votes.

A bundle has two statements, each in an envelope of its own: how a file was rebuilt (``Rebuild@v0.1``), and that the
rebuilt file equals the published one once both are *stabilised* (``ArtifactEquivalence@v0.1``). What stabilising sets
aside is theirs to choose, so it is a level of its own here. Whether the files were the same to the last bit, which
they do not say, follows from the digests: they are the same exactly when rebuilt and published file have one.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from pydantic import ValidationError

from rebuilder.consumer.answer import Level, Vote, Voter
from rebuilder.foreign_json import read_json
from rebuilder.model.value import Sha256, sha256_hex
from rebuilder.model.verdict import Verdict
from rebuilder.signing.envelope import unseal
from rebuilder.signing.keys import key_id, load_public, signature_fits
from rebuilder.signing.vocabulary import PAYLOAD_TYPE, PROVENANCE_TYPE, STATEMENT_TYPE

LINEAGE = "oss-rebuild"
_EQUIVALENCE = "/ArtifactEquivalence@v0.1"
_REBUILD = "/Rebuild@v0.1"
_LARGEST = 16 << 20
_MOST = 16
"""Statements in one bundle; there are two."""


def read_bundle(bundle: bytes, public_pem: bytes, *, sha256: Sha256, operator: str | None = None) -> Vote:
    """What a bundle says about a file.

    Args:
        bundle: As it was published.
        public_pem: The key that its operator signs with, got by another way: PEM, ECDSA P-256.
        sha256: Of the file that is asked about.
        operator: Who has the key, as the reader calls them; None: the key itself.

    Raises:
        SigningError: the key is none.
        ValueError: a statement is not signed with the key, the bundle is about another file, or it contradicts itself.
    """
    key = load_public(public_pem)
    fits = partial(signature_fits, key)
    found = documents(bundle)
    statements = [_object(unseal(each, PAYLOAD_TYPE, fits, what="an in-toto statement")) for each in found]
    try:
        filename, level, finished = _read(statements, sha256)
        identifier = key_id(key)
        return Vote(
            sha256=sha256,
            filename=filename,
            verdict=Verdict.REPRODUCED if level is Level.BUILD_ALONE else Verdict.EQUIVALENT,
            level=level,
            voter=Voter(
                operator=operator or identifier, name=operator or identifier, key_id=identifier, lineage=LINEAGE
            ),
            statement=sha256_hex(bundle),
            verified=finished,
        )
    except (KeyError, TypeError, AttributeError, IndexError, ValidationError):
        raise ValueError("The bundle has another form than its format says.") from None


def documents(bundle: bytes) -> list[bytes]:
    """The envelopes, which follow one another with or without a line's end between them."""
    if len(bundle) > _LARGEST:
        raise ValueError("The bundle is larger than any that is read.")
    text, place, found = bundle.decode("utf-8", "replace"), 0, list[bytes]()
    decoder = json.JSONDecoder()
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        if len(found) == _MOST:
            raise ValueError(f"The bundle has more than {_MOST} statements.")
        try:
            _, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            raise ValueError("The bundle is not a sequence of JSON objects.") from None
        found.append(text[place:end].encode())
        place = end
    return found


def _object(payload: bytes) -> dict[str, Any]:
    statement = read_json(payload)
    if not isinstance(statement, dict) or statement.get("_type") != STATEMENT_TYPE:
        raise ValueError("A statement of the bundle is not an in-toto Statement v1.")
    return statement


def _read(statements: list[dict[str, Any]], sha256: Sha256) -> tuple[str, Level, str | None]:
    """Name of the file, level, and when the rebuild ended."""
    about = [each for each in _of_kind(statements, _EQUIVALENCE) if _digest(each["subject"]) == sha256]
    if len(about) != 1:
        raise ValueError(
            "The bundle is about another file."
            if not about
            else "The bundle says about the file more than once what it is."
        )
    definition = about[0]["predicate"]["buildDefinition"]
    parameters = definition["externalParameters"]
    candidate, target = parameters["candidate"], parameters["target"]
    named = {each["name"]: each["digest"]["sha256"] for each in definition["resolvedDependencies"]}
    if set(named) != {candidate, target} or len(definition["resolvedDependencies"]) != 2:
        raise ValueError("The bundle compares other files than it names.")
    if named[target] != sha256:
        raise ValueError("The bundle compares the rebuilt file with another one than it is about.")
    rebuilds = [each for each in _of_kind(statements, _REBUILD) if _digest(each["subject"]) == named[candidate]]
    if not rebuilds or any(each["subject"][0]["name"] != candidate for each in rebuilds):
        raise ValueError("The bundle does not say how the file that it compares was rebuilt.")
    filename = about[0]["subject"][0]["name"]
    if any(each["predicate"]["buildDefinition"]["externalParameters"]["artifact"] != filename for each in rebuilds):
        raise ValueError("The bundle says of another file how it was rebuilt.")
    level = Level.BUILD_ALONE if named[candidate] == sha256 else Level.NORMALISED
    return filename, level, rebuilds[0]["predicate"]["runDetails"].get("metadata", {}).get("finishedOn")


def _of_kind(statements: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [
        each
        for each in statements
        if each["predicateType"] == PROVENANCE_TYPE and each["predicate"]["buildDefinition"]["buildType"].endswith(kind)
    ]


def _digest(subject: list[dict[str, Any]]) -> str:
    if len(subject) != 1:
        raise ValueError("A statement of the bundle is about more than one file.")
    return str(subject[0]["digest"]["sha256"])
