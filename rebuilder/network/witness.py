"""Asks witnesses of the log for their cosignatures (C2SP tlog-witness)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rebuilder import __version__
from rebuilder.errors import UnavailableError
from rebuilder.log.note import Checkpoint, Note, NoteKey, encoded

_SECONDS = 5.0
_LARGEST = 64 << 10
_MOST_HASHES = 63
_SIZE_TYPE = "text/x.tlog.size"

log = logging.getLogger("rebuilder.log")
Consistency = Callable[[int], Sequence[bytes]]
"""The proof that the log goes on from a size."""


@dataclass
class Witness:
    """One witness: whoever signs that the log only grew, as far as it has seen."""

    key: NoteKey
    """What its cosignatures are checked with."""
    url: str
    """Its submission prefix."""
    _seen: int = field(default=0, init=False)
    """Size of the checkpoint that it has cosigned last, as far as we know."""

    def cosigned(self, note: Note, consistency: Consistency) -> Note:
        """A signed checkpoint with the cosignature of this witness; ``consistency`` gives proofs from smaller sizes.

        Raises:
            UnavailableError: the witness does not answer, or refuses; the sentence says how.
        """
        size = Checkpoint.read(note.text).size
        status, kind, body = self._ask(note, consistency)
        if status == 409 and kind.startswith(_SIZE_TYPE):
            told = body.strip().decode("ascii", "replace")
            if not told.isdecimal() or not 0 <= (seen := int(told[:20])) <= size:
                raise self._trouble(f"has seen {told[:20]!r} entries of this log, which has {size}")
            self._seen = seen
            status, _, body = self._ask(note, consistency)
        if status != 200:
            raise self._trouble(f"answered {status}")
        try:
            found = Note.read(note.encode() + body)
            if not found.signed_by([self.key]):
                raise self._trouble("answered without its own signature")
        except ValueError as error:
            raise self._trouble(f"answered what is no cosignature ({error})") from None
        self._seen = size
        ours = [
            each for each in found.signatures if (each.name, each.identifier) == (self.key.name, self.key.identifier)
        ]
        return Note(note.text, (*note.signatures, ours[-1]))

    def _ask(self, note: Note, consistency: Consistency) -> tuple[int, str, bytes]:
        import httpx

        path = consistency(self._seen)
        if len(path) > _MOST_HASHES:
            raise self._trouble("is asked for more than the protocol allows")
        lines = [f"old {self._seen}", *map(encoded, path), "", ""]
        body = "\n".join(lines).encode() + note.encode()
        headers = {"User-Agent": f"rebuilder/{__version__}"}
        address = f"{self.url.rstrip('/')}/add-checkpoint"
        try:
            with (
                httpx.Client(timeout=_SECONDS, follow_redirects=False) as client,
                client.stream("POST", address, content=body, headers=headers) as answer,
            ):
                data = b""
                for chunk in answer.iter_bytes():
                    data += chunk
                    if len(data) > _LARGEST:
                        raise self._trouble("answered more than any cosignature")
                return answer.status_code, answer.headers.get("content-type", ""), data
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._trouble(f"cannot be reached ({type(error).__name__})") from None

    def _trouble(self, what: str) -> UnavailableError:
        return UnavailableError(f"The witness {self.key.name} {what}.", hint="Look at log.witnesses in the settings.")


def witnessed(witnesses: Sequence[Witness], note: Note, consistency: Consistency) -> Note:
    """A checkpoint with the cosignatures that are to be had now; one that does not answer is passed over."""
    for each in witnesses:
        try:
            note = each.cosigned(note, consistency)
        except UnavailableError as error:
            log.warning("%s", error)
    return note
