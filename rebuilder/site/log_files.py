"""The log as files of the site: the checkpoint, its tiles, and every statement under the digest of what it is about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rebuilder.log.entry import CHECKPOINT, KEY, LOG, LogEntry, digest_path, named_by_sha512
from rebuilder.log.note import Note
from rebuilder.log.proof import LogProof
from rebuilder.log.tiles import HASH, WIDTH, Nodes, bundle, inclusion_path, tile_path, widths
from rebuilder.model.value import Sha256
from rebuilder.site.documents import LoggedStatement, digests_document, statements_document
from rebuilder.site.writing import Writer, Written, by_processes, digest


@dataclass(frozen=True, slots=True)
class Tree:
    """The log that is to be published."""

    size: int
    """How many entries it has."""
    nodes: Nodes
    tile: Callable[[int, int], bytes]
    """Hashes of a tile, at least those that the tree has, by level and index."""
    entries: Callable[[int, int], Sequence[tuple[bytes, str | None]]]
    """Those from one number to before another with their envelopes; None where only the entry is known."""


class LogFiles:
    """Writes the log below the site's root; a file that is right already is left alone."""

    def __init__(self, root: Path, written: Written) -> None:
        self._root = root
        self._writer = Writer(root)
        self._written = written

    def checkpoint(self) -> bytes | None:
        """The published one; None: nothing is published yet."""
        return self._read(CHECKPOINT)

    def write(self, note: Note, key: str, tree: Tree, published: int) -> None:
        """Publish a tree that grew; the checkpoint last, so that it never speaks of what is not there.

        Args:
            note: The signed checkpoint over the tree.
            key: The key of the log as one word.
            tree: What is to be published.
            published: Entries that are published already.

        Raises:
            StoreError: a file cannot be written, or the ledger cannot be read.
        """
        for level, total in widths(tree.size):
            for index, width in _tiles(published >> (8 * level), total):
                self._tile(tile_path(level, index, width), tree.tile(level, index)[: width * HASH])
        bundles = list(_tiles(published, tree.size))
        for notes in by_processes(partial(self._bundles, (note, key), tree, published), bundles, at_once=8):
            self._written.keep(notes)
        self._writer.write(KEY, key.encode() + b"\n")
        self._writer.write(CHECKPOINT, note.encode())

    def _bundles(
        self, signed: tuple[Note, str], tree: Tree, published: int, bundles: Sequence[tuple[int, int]]
    ) -> dict[str, str]:
        """Write some entries and their statements, as far as they are not what they are to be; give notes on them."""
        for index, width in bundles:
            start = index * WIDTH
            rows = tree.entries(start, start + width)
            self._tile(tile_path(None, index, width), bundle([entry for entry, _ in rows]))
            made_of = digest(signed[1], *(part for row in rows for part in row))
            if published > start or not self._written.has(f"{LOG}/{index}", made_of):
                with self._writer.noting() as paths:
                    self._statements(max(start, published), rows[max(0, published - start) :], signed[0], tree)
                if published <= start:
                    self._written.wrote(f"{LOG}/{index}", made_of, [f"/{each}" for each in dict.fromkeys(paths)])
        return self._written.give()

    def _tile(self, path: str, data: bytes) -> None:
        self._writer.write(f"{LOG}/{path}", data)
        if not path.rpartition("/")[0].endswith(".p"):
            self._writer.remove_directory(f"{LOG}/{path}.p")

    def _statements(self, start: int, rows: Sequence[tuple[bytes, str | None]], note: Note, tree: Tree) -> None:
        listed: dict[Sha256, list[LoggedStatement]] = {}
        for number, (data, envelope) in enumerate(rows, start):
            if envelope is None:
                continue
            entry, names = LogEntry.read(data), (f"{number}.dsse.json", f"{number}.tlog-proof")
            proof = LogProof(number, tuple(inclusion_path(number, tree.size, tree.nodes)), note, data)
            about = {"logged": entry.logged, "predicate_type": entry.predicate_type, "key_id": entry.key_id}
            for subject in dict.fromkeys(entry.subjects):
                self._writer.write(f"{digest_path(subject)}/{names[0]}", envelope.encode())
                self._writer.write(f"{digest_path(subject)}/{names[1]}", proof.encode())
                row = LoggedStatement(number=number, envelope=names[0], proof=names[1], **about)
                listed.setdefault(subject, []).append(row)
            for sha512, sha256 in named_by_sha512(envelope).items():
                self._writer.write(f"{digest_path(sha512)}/index.json", digests_document(sha256, sha512))
        with self._writer.alone():  # others write statements about the same files
            for subject, fresh in listed.items():
                listing = f"{digest_path(subject)}/index.json"
                self._writer.write(listing, statements_document(self._read(listing), subject, fresh))

    def _read(self, path: str) -> bytes | None:
        try:
            return (self._root / path).read_bytes()
        except OSError:
            return None


def _tiles(old: int, total: int) -> Iterator[tuple[int, int]]:
    """Index and width of the tiles of a level that are not as they were when it had ``old`` hashes."""
    for index in range(old // WIDTH, (total + WIDTH - 1) // WIDTH):
        yield index, min(WIDTH, total - index * WIDTH)
