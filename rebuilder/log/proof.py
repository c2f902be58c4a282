"""A proof that an entry is in a log, in a file of its own that needs no network (C2SP tlog-proof)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from rebuilder.log.note import Checkpoint, Note, decoded, encoded
from rebuilder.log.tiles import leaf_hash, root_of_inclusion

_FIRST = "c2sp.org/tlog-proof@v1"
_HIGHEST = 64


@dataclass(frozen=True, slots=True)
class LogProof:
    """Where an entry is, the hashes beside its way to the root, and the checkpoint with that root."""

    index: int
    path: tuple[bytes, ...]
    note: Note
    """The checkpoint, with the cosignatures it had when the proof was made."""
    entry: bytes | None = None
    """What is in the log there, for who cannot make it; nobody vouches for it until it is checked."""

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Take a file apart; nothing is checked but its form.

        Raises:
            ValueError: it is no proof.
        """
        head, gap, rest = data.partition(b"\n\n")
        first, *lines = head.decode("ascii", "replace").split("\n")
        extra = decoded(lines.pop(0).removeprefix("extra ")) if lines and lines[0].startswith("extra ") else None
        word, _, index = lines.pop(0).partition(" ") if lines else ("", "", "")
        if first != _FIRST or word != "index" or not index.isdecimal() or str(int(index[:20])) != index or not gap:
            raise ValueError("This is no proof of a transparency log.")
        path = tuple(map(decoded, lines[: _HIGHEST + 1]))
        if len(path) > _HIGHEST or any(len(each) != 32 for each in path):
            raise ValueError("The hashes of the proof are not SHA-256 digests, or too many.")
        return cls(int(index), path, Note.read(rest), extra)

    def encode(self) -> bytes:
        """The proof as a file."""
        extra = [f"extra {encoded(self.entry)}"] if self.entry is not None else []
        lines = [_FIRST, *extra, f"index {self.index}", *map(encoded, self.path), "", ""]
        return "\n".join(lines).encode() + self.note.encode()

    def check(self, entry: bytes) -> Checkpoint:
        """Make sure that the checkpoint is over a tree that has the entry at this place.

        Who signed the checkpoint is another question: :meth:`rebuilder.log.note.Note.signed_by`.

        Raises:
            ValueError: it does not.
        """
        checkpoint = Checkpoint.read(self.note.text)
        if root_of_inclusion(leaf_hash(entry), self.index, checkpoint.size, self.path) != checkpoint.root:
            raise ValueError("The proof does not lead to the root of its checkpoint: it is of another entry.")
        return checkpoint
