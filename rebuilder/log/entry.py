"""What the log says about a statement: its digest, what it is about, when it was logged; and where both lie."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Self

from pydantic import AwareDatetime

from rebuilder.model.value import Sha256, Sha256Field, Sha512, Value, algorithm, canonical_json, sha256_hex

MOST_SUBJECTS = 500
_SHA512 = re.compile(r"[0-9a-f]{128}")


class LogEntry(Value):
    """One entry. The statement itself is beside the log, under the digest of each of its subjects."""

    envelope: Sha256Field
    """SHA-256 of the DSSE envelope, as published."""
    predicate_type: str
    """Of the statement; of a list of keys, the type of its payload."""
    subjects: tuple[Sha256Field, ...]
    """Digests of the files it is about; of a list of keys, those of the public keys."""
    key_id: str
    """Of the key that signed it; of a list of keys, the first root key."""
    logged: AwareDatetime
    """When it was added, to the second; the log's own clock."""

    @classmethod
    def of_key_list(cls, envelope: str, keys: Sequence[str], now: datetime) -> Self:
        """The entry of a list of keys: it is about each of them, by the SHA-256 of the public key."""
        document = json.loads(envelope)
        return cls(
            envelope=sha256_hex(envelope.encode()),
            predicate_type=document["payloadType"],
            subjects=tuple(Sha256(each) for each in sorted(keys)[:MOST_SUBJECTS]),
            key_id=document["signatures"][0]["keyid"],
            logged=now.astimezone(UTC).replace(microsecond=0),
        )

    @classmethod
    def of(cls, envelope: str, now: datetime) -> Self:
        """The entry of a statement that was signed here.

        Raises:
            ValueError: it is no envelope of a statement, or is about too many files for one entry.
        """
        document = json.loads(envelope)
        statement: dict[str, Any] = json.loads(base64.b64decode(document["payload"]))
        subjects = [Sha256(each["digest"]["sha256"]) for each in statement["subject"]]
        if len(subjects) > MOST_SUBJECTS:
            raise ValueError(f"A statement is about {len(subjects)} files; an entry of the log has room for fewer.")
        return cls(
            envelope=sha256_hex(envelope.encode()),
            predicate_type=statement["predicateType"],
            subjects=tuple(subjects),
            key_id=document["signatures"][0]["keyid"],
            logged=now.astimezone(UTC).replace(microsecond=0),
        )

    def encode(self) -> bytes:
        """The bytes that are hashed (RFC 8785)."""
        return canonical_json(self.document())

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Read what :meth:`encode` wrote, and nothing else.

        Raises:
            ValueError: it is no entry, or one that is written in another way.
        """
        found = cls.model_validate_json(data)
        if found.encode() != data:
            raise ValueError("The entry of the log is not written in its canonical form.")
        return found


def named_by_sha512(envelope: str) -> dict[Sha512, Sha256]:
    """The files that a statement names by SHA-512 as well: their SHA-256. A list of keys names none.

    Raises:
        ValueError: it is no envelope of a statement, or a digest is none.
    """
    try:
        statement = json.loads(base64.b64decode(json.loads(envelope)["payload"]))
        found = [each["digest"] for each in statement.get("subject", []) if "sha512" in each["digest"]]
        pairs = {str(each["sha512"]): Sha256(each["sha256"]) for each in found}
    except (KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError("A statement has another form than in-toto statements have.") from None
    if not all(map(_SHA512.fullmatch, pairs)):
        raise ValueError("A statement names a file by a SHA-512 that is none.")
    return {Sha512(each): sha256 for each, sha256 in pairs.items()}


LOG = "log"
CHECKPOINT = f"{LOG}/checkpoint"
KEY = f"{LOG}/key"
"""The key of the log as one word, for who has none yet."""


def digest_path(digest: Sha256 | Sha512) -> str:
    """Directory of what is known by the digest of a file: by SHA-256 all statements; by SHA-512 where they are."""
    return f"{algorithm(digest)}/{digest[:2]}/{digest}"
