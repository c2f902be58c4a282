"""A transparency log entry: one spelling, a promise signed by the log, a proof that fits its checkpoint."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from rebuilder.model.value import canonical_json
from rebuilder.provenance.format.strict_json import array, base64_bytes, decimal, fields, text
from rebuilder.provenance.refusal import Refused, lacking, not_checkable, shown

if TYPE_CHECKING:
    from rebuilder.provenance.trust.authorities import Authorities

CLOCK_TOLERANCE = timedelta(hours=1)
"""How far ahead of our clock a signed time may be."""
_LAST_SECOND = 253_402_300_799
"""End of the year 9999."""
_NOTE = re.compile(r"([^\n]+)\n(0|[1-9][0-9]{0,18})\n([^\n]+)\n(?:[^\n]+\n)*\n((?:— [^ \n]+ [^ \n]+\n)+)")


@dataclass(frozen=True)
class LogEntry:
    """An entry (protobuf-specs, ``TransparencyLogEntry``), read strictly; nothing is verified yet."""

    index: int
    log_id: bytes
    kind: str
    version: str
    time: datetime | None
    promise: bytes | None
    """Signed entry timestamp."""
    has_proof: bool
    body: bytes
    content: dict[str, Any]
    """As it was sent, without members that are null."""


def read(value: Any) -> LogEntry:
    """Read an entry.

    Raises:
        Refused: it is malformed, or its inclusion proof does not fit its own checkpoint.
    """
    what = "The log entry"
    found = fields(
        value,
        what,
        required=["logIndex", "logId", "kindVersion", "canonicalizedBody"],
        optional=["integratedTime", "inclusionPromise", "inclusionProof"],
    )
    kind = fields(found["kindVersion"], f"{what}'s kind", required=["kind", "version"])
    log_id = fields(found["logId"], f"{what}'s log id", required=["keyId"])
    promise = None
    if "inclusionPromise" in found:
        inner = fields(found["inclusionPromise"], f"{what}'s promise", required=["signedEntryTimestamp"])
        promise = base64_bytes(inner["signedEntryTimestamp"], f"{what}'s promise")
    if "inclusionProof" in found:
        _check_proof(found["inclusionProof"])
    time = None
    if "integratedTime" in found:
        seconds = decimal(found["integratedTime"], f"{what}'s time")
        if seconds > _LAST_SECOND:
            raise Refused(f"{what}'s time is after the year 9999.")
        time = datetime.fromtimestamp(seconds, UTC) if seconds else None
    return LogEntry(
        index=decimal(found["logIndex"], f"{what}'s index"),
        log_id=base64_bytes(log_id["keyId"], f"{what}'s log id"),
        kind=text(kind["kind"], f"{what}'s kind"),
        version=text(kind["version"], f"{what}'s version"),
        time=time,
        promise=promise,
        has_proof="inclusionProof" in found,
        body=base64_bytes(found["canonicalizedBody"], f"{what}'s body"),
        content=found,
    )


def _check_proof(value: Any) -> None:
    """Check what verifying the proof and the checkpoint's signature leaves open: size, root and signer's name."""
    what = "The inclusion proof"
    found = fields(value, what, required=["logIndex", "rootHash", "treeSize", "hashes"], optional=["checkpoint"])
    decimal(found["logIndex"], f"{what}'s index")
    size = decimal(found["treeSize"], f"{what}'s tree size")
    root = base64_bytes(found["rootHash"], f"{what}'s root hash")
    for step in array(found["hashes"], f"{what}'s hashes"):
        if len(base64_bytes(step, f"{what}'s hash")) != 32:
            raise Refused(f"{what} has a hash that is not SHA-256.")
    if "checkpoint" not in found:
        raise not_checkable(f"{what} has no checkpoint, so nothing signs the tree it leads to.")
    note = text(fields(found["checkpoint"], "The checkpoint", required=["envelope"])["envelope"], "The checkpoint")
    parts = _NOTE.fullmatch(note)
    if not parts:
        raise Refused("The checkpoint is not a signed note.")
    origin = parts[1].partition(" - ")[0]
    names = [line.split(" ")[1] for line in parts[4].splitlines()]
    signatures = [line.split(" ")[2] for line in parts[4].splitlines()]
    if origin not in names:
        raise Refused("The checkpoint is not signed in the name of the log it is of.")
    for signature in signatures:
        base64_bytes(signature, "A checkpoint's signature")
    if int(parts[2]) != size or base64_bytes(parts[3], "The checkpoint's root hash") != root:
        raise Refused(f"{what} is for another tree than its checkpoint.")


def require_past(time: datetime, now: datetime) -> None:
    """The time is not ahead of our clock.

    Raises:
        Refused: it is.
    """
    if time > now + CLOCK_TOLERANCE:
        raise Refused(f"The signed time {time.isoformat()} lies in the future.")


def verify(entry: LogEntry, authorities: Authorities) -> datetime:
    """Verify the log's promise, and the inclusion proof if there is one; give the time the log signed.

    Both bind the entry's body, so that :mod:`~rebuilder.provenance.format.log_body` can bind the rest to it.

    Raises:
        Refused: something does not hold, or there is no signed time.
    """
    from sigstore._internal.merkle import verify_merkle_inclusion
    from sigstore._internal.rekor.checkpoint import verify_checkpoint
    from sigstore._utils import KeyID
    from sigstore.errors import Error as SigstoreError
    from sigstore.models import TransparencyLogEntry
    from sigstore_models.rekor.v1 import TransparencyLogEntry as Inner

    if entry.time is None or entry.promise is None:
        raise lacking("The log entry has no signed time: it lacks the time, or the log's inclusion promise.")
    authorities.check_log(entry.log_id, entry.time)
    signed = {
        "body": entry.content["canonicalizedBody"],
        "integratedTime": int(entry.time.timestamp()),
        "logID": entry.log_id.hex(),
        "logIndex": entry.index,
    }
    try:
        authorities.rekor_keys.verify(key_id=KeyID(entry.log_id), signature=entry.promise, data=canonical_json(signed))
        if entry.has_proof:
            logged = TransparencyLogEntry(Inner.from_dict(entry.content))
            verify_merkle_inclusion(logged)
            verify_checkpoint(authorities.rekor_keys, logged)
    except SigstoreError as error:
        raise Refused(f"The log entry is not genuine: {shown(str(error))}.") from None
    return entry.time
