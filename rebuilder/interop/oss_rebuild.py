"""Bundles of OSS Rebuild (``rebuild.intoto.jsonl``), and what somebody collected for a check, as votes.

A bundle has two statements, each in an envelope of its own: how a file was rebuilt (``Rebuild@v0.1``), and that the
rebuilt file equals the published one once both are *stabilised* (``ArtifactEquivalence@v0.1``). What stabilising sets
aside is theirs to choose, so it is a level of its own here. Whether the files were the same to the last bit, which
they do not say, follows from the digests: they are the same exactly when rebuilt and published file have one.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rebuilder.consumer.answer import Level, Vote, Voter
from rebuilder.errors import SigningError, UsageError
from rebuilder.foreign_json import read_json
from rebuilder.interop.rebuilderd.link import link_key_id, read_link, read_public_pem
from rebuilder.log.audit import LogError
from rebuilder.model.value import Sha256, Sha512, algorithm, sha256_hex
from rebuilder.model.verdict import Verdict
from rebuilder.signing.envelope import unseal
from rebuilder.signing.keys import key_id, load_public, signature_fits
from rebuilder.signing.vocabulary import PAYLOAD_TYPE, PROVENANCE_TYPE, STATEMENT_TYPE

LINEAGE = "oss-rebuild"
_EQUIVALENCE = "/ArtifactEquivalence@v0.1"
_REBUILD = "/Rebuild@v0.1"
_LARGEST_BUNDLE = 16 << 20
_MOST_STATEMENTS = 16
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
    if len(bundle) > _LARGEST_BUNDLE:
        raise ValueError("The bundle is larger than any that is read.")
    text, place, found = bundle.decode("utf-8", "replace"), 0, list[bytes]()
    decoder = json.JSONDecoder()
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        if len(found) == _MOST_STATEMENTS:
            raise ValueError(f"The bundle has more than {_MOST_STATEMENTS} statements.")
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


_LARGEST = 16 << 20
_MOST = 100_000


class Collected:
    """Bundles of OSS Rebuild, or links of rebuilderd; implements :class:`rebuilder.consumer.check.Speaker`.

    Which file something is about is read before it is believed, and only finds it: what counts is checked when it is
    asked for.

    Args:
        place: Directory; its files are looked for at any depth.
        kind: ``oss-rebuild`` or ``rebuilderd``.
        key: File of the public key that everything there must be signed with.
        name: What people call the rebuilder.

    Raises:
        UsageError: the directory or the key cannot be read, or the kind is none.
    """

    def __init__(self, place: Path, kind: str, key: Path, name: str) -> None:
        if kind not in {"oss-rebuild", "rebuilderd"}:
            raise UsageError(f"Rebuilders of the kind {kind!r} are not known.", hint="Write oss-rebuild or rebuilderd.")
        if not place.is_dir():
            raise UsageError(f"There is no directory {place}.")
        self.name = name
        self._kind = kind
        try:
            self._key = key.read_bytes()
            self._links = {}
            if kind == "rebuilderd":
                public = read_public_pem(self._key.decode("utf-8", "replace"))
                self._links = {link_key_id(public): public}
        except OSError as error:
            raise UsageError(f"The key {key} cannot be read: {error.strerror}.") from None
        except ValueError as error:
            raise UsageError(f"{key}: {error}") from None
        self._about: dict[str, list[Path]] = {}
        for file in sorted(each for each in place.rglob("*") if each.is_file())[:_MOST]:
            for digest in {digest for each in _named(file, kind) for digest in each.values()}:
                self._about.setdefault(digest, []).append(file)

    def vote(self, digest: Sha256 | Sha512) -> Vote | None:
        """What is said about a file, by any of its digests; None: nothing.

        Raises:
            LogError: something about it is not what it must be.
        """
        found = None
        for file in self._about.get(digest, ()):
            try:
                found = self._read(file.read_bytes(), digest)
            except (OSError, ValueError, SigningError) as error:
                raise LogError(f"{file.name}: {error}") from None
        return found

    def _read(self, document: bytes, digest: Sha256 | Sha512) -> Vote:
        # All that names the file is signed: with the SHA-256 that it says, the whole document is checked.
        named = [each for each in _named(document, self._kind) if each.get(algorithm(digest)) == digest]
        sha256 = Sha256(named[0]["sha256"]) if named else Sha256("")
        if self._kind == "rebuilderd":
            return read_link(document, self._links, sha256=sha256, operator=self.name)
        return read_bundle(document, self._key, sha256=sha256, operator=self.name)


def _named(given: Path | bytes, kind: str) -> Iterator[dict[str, str]]:
    """Digests of each of the files that something may be about; all of them have a SHA-256."""
    try:
        if isinstance(given, Path) and given.stat().st_size > _LARGEST:
            return
        data = given.read_bytes() if isinstance(given, Path) else given
        if kind == "rebuilderd":
            products = json.loads(data)["signed"]["products"].values()
            yield from map(_both, products)
        else:
            for envelope in documents(data):
                statement = json.loads(base64.b64decode(json.loads(envelope)["payload"]))
                yield from (_both(each["digest"]) for each in statement["subject"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return


def _both(digests: dict[str, object]) -> dict[str, str]:
    return {"sha256": str(digests["sha256"])} | {each: str(digests[each]) for each in {"sha512"} & digests.keys()}
