"""What the append-only log costs at a million entries: adding them, proving one, and the memory of it."""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rebuilder.log.entry import LogEntry
from rebuilder.log.tiles import consistency_path, inclusion_path, leaf_hash, root, root_of_inclusion
from rebuilder.model.value import sha256_hex
from rebuilder.store.ledger import Ledger
from rebuilder.store.ledger.log_book import LogBook
from tests.fakes.reports import NOW

ENTRIES = 1_000_000
_AT_ONCE = 1000
"""Entries of one transaction: those of 500 verifications, as the signer adds them."""
_PROOFS = 1000


@dataclass(frozen=True)
class LogFigures:
    """What was measured."""

    appended: float
    """Entries a second, into SQLite, from the first to the last."""
    last: float
    """The same, of the last tenth."""
    milliseconds: float
    """CPU time of a proof that one entry is in the log, by a reader that knows nothing yet; the median."""
    consistency: float
    """The same of a proof that the log goes on from a smaller one."""
    growth: int
    """Bytes: how much more resident memory the process had at the end than after a tenth."""


def log_figures(where: Path, entries: int = ENTRIES) -> LogFigures:
    """Measure in a process of its own, with a new ledger."""
    words = [sys.executable, "-m", "tests.bench.log", str(where), str(entries)]
    return LogFigures(**json.loads(subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout))


def _measured(book: LogBook, entries: int) -> LogFigures:
    template = LogEntry(
        envelope=sha256_hex(b""),
        predicate_type="https://slsa.dev/verification_summary/v1",
        subjects=(sha256_hex(b"a file"),),
        key_id=sha256_hex(b"a key"),
        logged=NOW,
    ).encode()
    empty, spent, early, memory = sha256_hex(b"").encode(), 0.0, 0.0, 0
    for start in range(0, entries, _AT_ONCE):
        rows = [
            template.replace(empty, sha256_hex(b"%d" % number).encode()) for number in range(start, start + _AT_ONCE)
        ]
        begun = time.perf_counter()
        book.take_back(start, rows)
        spent += time.perf_counter() - begun
        if start < entries // 10:
            memory = _memory()
        if start < entries - entries // 10:
            early = spent
    growth = _memory() - memory
    chance, size = random.Random(1), book.size()  # noqa: S311 - not secret
    expected = root(size, book.nodes(size))
    proofs, consistent = [], []
    for _ in range(_PROOFS):
        number = chance.randrange(size)
        begun = time.process_time()
        path = inclusion_path(number, size, book.nodes(size))
        proofs.append(time.process_time() - begun)
        entry = template.replace(empty, sha256_hex(b"%d" % number).encode())
        assert expected == root_of_inclusion(leaf_hash(entry), number, size, path)
        begun = time.process_time()
        consistency_path(number, size, book.nodes(size))
        consistent.append(time.process_time() - begun)
    one, other = (statistics.median(each) * 1000 for each in (proofs, consistent))
    return LogFigures(size / spent, entries / 10 / (spent - early), one, other, growth)


def _memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    with Ledger.open(sys.argv[1]) as ledger:
        sys.stdout.write(json.dumps(asdict(_measured(ledger.log_book, int(sys.argv[2])))))
