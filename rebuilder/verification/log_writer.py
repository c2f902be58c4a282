"""Keeps the append-only log: adds what was signed, signs checkpoints, publishes, and never takes anything back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from rebuilder.atomic_file import write_whole
from rebuilder.clock import Clock
from rebuilder.errors import CorruptError, CorruptStoreError, SigningError
from rebuilder.log.entry import CHECKPOINT, LOG, LogEntry
from rebuilder.log.note import Checkpoint, Note, NoteKey, sign_note
from rebuilder.log.tiles import WIDTH, Nodes, consistency_path, is_consistent, root, tile_path, unbundle
from rebuilder.network.witness import Witness, witnessed
from rebuilder.signing.agreement import Agreement
from rebuilder.signing.keys import raw_public
from rebuilder.signing.protocol import SigningKey
from rebuilder.site.log_files import LogFiles, Tree
from rebuilder.store.ledger.log_book import LogBook

_AT_ONCE = 500
_LARGEST = 1 << 20
_CLOCK_STEP = timedelta(hours=1)


@dataclass(frozen=True)
class LogWriter:
    """Adds statements to the log and publishes it; whoever has it is the one that signs.

    A checkpoint is a promise for good: what it covers stays as it is. So the newest one is kept beside the key, out of
    the store, before it is published; a store that was put back from a backup, or that somebody cut, is refused.
    """

    book: LogBook
    key: SigningKey
    agreement: Agreement
    """Says whether a statement is one of ours: nothing else gets into the log, whoever wrote it into the ledger."""
    name: str
    """Of the log, where it has none yet: afterwards it is the one that was signed first."""
    state: Path
    """File beside the key with the newest checkpoint."""
    files: LogFiles
    clock: Clock
    witnesses: Sequence[Witness] = ()

    def write(self, *, whole: bool = False) -> list[CorruptError]:
        """Log what was signed and publish it.

        Args:
            whole: Write all files again, as when the site was lost.

        Returns:
            What is wrong with statements that are not ours; they are left out.

        Raises:
            CorruptStoreError: the log is not the one of which checkpoints were signed; nothing is signed.
            SigningError: the checkpoint cannot be kept.
            StoreError: the ledger or the site cannot be used.
        """
        refused = self._append()
        kept, shown, size = self._kept(), self.files.checkpoint(), self.book.size()
        if not size and kept is None and shown is None:
            return refused
        nodes = self.book.nodes(size)
        key = self._key(kept)
        published = 0 if whole else self._published(shown, key, size, nodes)
        known = self._agreed(kept, size, nodes) if kept is not None else None
        note = kept
        if note is None or known is None or known.size < size or not note.signed_by([key]):
            note = sign_note(Checkpoint(key.name, size, root(size, nodes)).text, key, self.key.sign)
            self._keep(note)
            note = witnessed(self.witnesses, note, lambda old: consistency_path(old, size, nodes))
            self._keep(note)
        if note.encode() != shown or whole:
            self.files.write(note, key.vkey, Tree(size, nodes, self.book.tile, self.book.entries), published)
        return refused

    def _append(self) -> list[CorruptError]:
        refused, after = list[CorruptError](), 0
        while waiting := self.book.unlogged(after, _AT_ONCE):
            found = {number: self._entries(*each, refused) for number, each in waiting.items()}
            self.book.append({number: entries for number, entries in found.items() if entries})
            after = max(waiting)
        statements = self.book.unlogged_statements()
        issued = {number: self._entries(key_id, [each], refused) for number, (key_id, each) in statements.items()}
        self.book.append_statements({number: entries[0] for number, entries in issued.items() if entries})
        return refused

    def _entries(self, key_id: str, envelopes: Sequence[str], refused: list[CorruptError]) -> list[bytes]:
        """Entries of statements that are ours; none where one of them is not."""
        now = self._time()
        try:
            return [self.agreement.entry(each, key_id, now).encode() for each in envelopes]
        except CorruptError as error:
            refused.append(error)
            return []

    def _time(self) -> datetime:
        """When what is added now is logged. Times of the log only grow, also when a clock was put back a little.

        Raises:
            CorruptStoreError: the clock is far behind the log, and either of them is wrong.
        """
        now, newest = self.clock.now(), self.book.newest()
        try:
            last = LogEntry.read(newest).logged if newest is not None else now
        except ValueError:
            return now
        if last - now > _CLOCK_STEP:
            raise CorruptStoreError(
                f"The clock of this machine says {now:%Y-%m-%d %H:%M} UTC, and the newest entry of the log is of "
                f"{last:%Y-%m-%d %H:%M} UTC: nothing is logged.",
                hint="Set the clock. If it is right, it was wrong before, and the log goes on when that time has come.",
            )
        return max(now, last)

    def take_back(self, read: Callable[[str], bytes]) -> int:
        """Add what was published and is not in the ledger, which is an older copy; give how many entries there were.

        Args:
            read: The bytes of a file of the published site.

        Raises:
            CorruptStoreError: what is published is not a continuation of this ledger's log, or is not ours.
            StoreError: the ledger or the site cannot be used.
        """
        size = self.book.size()
        note = Note.read(read(CHECKPOINT))
        checkpoint = Checkpoint.read(note.text)
        if not note.signed_by([NoteKey(checkpoint.origin, raw_public(self.key.public_pem))]):
            raise CorruptStoreError(f"The checkpoint that is published as {checkpoint.origin} was not signed by us.")
        entries: list[bytes] = []
        for start in range(size - size % WIDTH, checkpoint.size, WIDTH):
            width = min(WIDTH, checkpoint.size - start)
            entries += unbundle(read(f"{LOG}/{tile_path(None, start // WIDTH, width)}"))
        fresh = entries[size % WIDTH :] if checkpoint.size > size else []
        self.book.take_back(size, fresh)
        self._agreed(note, self.book.size(), self.book.nodes(self.book.size()))
        return len(fresh)

    def _key(self, kept: Note | None) -> NoteKey:
        name = Checkpoint.read(kept.text).origin if kept is not None else self.name
        return NoteKey(name, raw_public(self.key.public_pem))

    def _kept(self) -> Note | None:
        try:
            return Note.read(self.state.read_bytes()[: _LARGEST + 1])
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise SigningError(
                f"The newest checkpoint of the log, {self.state}, cannot be read: {error}",
                hint="Put the checkpoint that is published there; without it nobody can tell whether the log is whole.",
            ) from None

    def _keep(self, note: Note) -> None:
        try:
            write_whole(self.state, note.encode(), durable=True)
        except OSError as error:
            raise SigningError(
                f"The newest checkpoint of the log cannot be kept in {self.state}: {error.strerror}.",
                hint="The directory of the keys must be writable for the process that signs.",
            ) from error

    def _published(self, shown: bytes | None, key: NoteKey, size: int, nodes: Nodes) -> int:
        """How many entries of this log the site has; a checkpoint that is not ours is written over."""
        try:
            note = Note.read(shown or b"")
            ours = bool(note.signed_by([key]))
        except ValueError:
            ours = False
        return self._agreed(note, size, nodes).size if ours else 0

    def _agreed(self, note: Note, size: int, nodes: Nodes) -> Checkpoint:
        """A checkpoint that this log goes on from.

        Raises:
            CorruptStoreError: it does not.
        """
        checkpoint = Checkpoint.read(note.text)
        if checkpoint.size > size:
            raise CorruptStoreError(
                f"The log in the ledger has {size} entries, and a checkpoint over {checkpoint.size} was signed: the "
                "ledger is an older copy, or somebody cut it.",
                hint="Take back what was published: rebuilder log recover",
            )
        path = consistency_path(checkpoint.size, size, nodes)
        if not is_consistent(checkpoint.size, checkpoint.root, size, root(size, nodes), path):
            raise CorruptStoreError(
                f"The first {checkpoint.size} entries of the log are not those of which a checkpoint was signed.",
                hint="Restore the ledger from a backup, then: rebuilder log recover. Look for who can write to it.",
            )
        return checkpoint
