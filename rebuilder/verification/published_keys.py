"""The list of keys as the signer uses it: it is published and logged, and says which reports nobody should believe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from rebuilder.log.entry import LogEntry
from rebuilder.model.operations import Operations
from rebuilder.model.report import Identity, Summary
from rebuilder.signing.key_directory import KeyDirectory
from rebuilder.signing.key_list import KEY_LIST, KeyList, ListedKey, Use, version_path
from rebuilder.site.publisher import Site
from rebuilder.store.ledger.log_book import LogBook, SignedRow


@dataclass
class PublishedKeys:
    """Without a list it does nothing."""

    directory: KeyDirectory
    book: LogBook
    site: Site
    _issued: int = field(default=0, init=False)
    """Up to which version the lists are known to be in the log, or on their way."""
    _doubted: tuple[object, dict[Identity, tuple[str, SignedRow]]] | None = field(default=None, init=False)

    def publish(self) -> None:
        """Write the list, the versions that lead to it, and the public keys; have what is new logged.

        The list itself comes last: whoever sees it finds what leads to it.

        Raises:
            SigningError: a list cannot be read.
            StoreError: the ledger or the site cannot be used.
        """
        newest = self.directory.newest()
        if newest is None:
            return
        if newest.version > self._issued:
            for version, document in self.directory.documents().items():
                signer = KeyList.read(document, None).signers[0]
                if version > self._issued and not self.book.is_issued(signer, document.decode()):
                    self.book.issue(signer, document.decode())
                self.site.write_document(version_path(version), document)
            self._issued = newest.version
        for key in newest.keys.values():
            self.site.write_key(key.key_id, key.pem)
        self.site.write_document(KEY_LIST, newest.document)

    def doubted(self) -> dict[Identity, str]:
        """Which verifications were signed by a revoked key and logged from that moment on; a sentence on each.

        Raises:
            SigningError: the list cannot be read.
            StoreError: the ledger cannot be read.
        """
        return {identity: sentence for identity, (sentence, _) in self._found().items()}

    @property
    def trust(self) -> str:
        """Names what :meth:`doubted` follows from, besides the log: another one when a key is revoked."""
        listed = self.directory.newest()
        return repr([(key.key_id, key.period) for key in listed.revoked]) if listed is not None else ""

    def marked(self, rows: Iterable[Summary]) -> list[Summary]:
        """Rows as they are shown: with the reason of doubt about those that nobody should believe."""
        doubted = self._found()
        return [row.replace(doubt=doubted[row.identity][0]) if row.identity in doubted else row for row in rows]

    def doubted_standing(self) -> list[int]:
        """The numbers of those that are the newest of their files."""
        return [row.number for _, row in self._found().values() if row.stands]

    def discounted(self, operations: Operations) -> Operations:
        """Figures in which files that nobody should believe count as nothing else."""
        rows = [row for _, row in self._found().values() if row.stands]
        if not rows:
            return operations
        verdicts = Counter(row.verdict for row in rows)
        return operations.replace(
            current={each: number - verdicts[each] for each, number in operations.current.items()},
            written=operations.written - sum(row.written for row in rows),
            revoked=len(rows),
        )

    def _found(self) -> dict[Identity, tuple[str, SignedRow]]:
        listed = self.directory.newest()
        revoked = listed.revoked if listed is not None else ()
        state = (revoked, self.book.size() if revoked else 0)
        if self._doubted is None or self._doubted[0] != state:
            found: dict[Identity, tuple[str, SignedRow]] = {}
            for key in revoked:
                if key.use is Use.STATEMENTS:
                    sentence = _sentence(key)
                    rows = self.book.signed_by(key.key_id)
                    found |= {row.identity: (sentence, row) for row in rows if _after(key, row.entry)}
            self._doubted = (state, found)
        return self._doubted[1]


def _after(key: ListedKey, entry: bytes | None) -> bool:
    since = key.period.revoked_from
    return since is not None and (entry is None or LogEntry.read(entry).logged >= since)


def _sentence(key: ListedKey) -> str:
    return (
        f"Do not believe this verdict: the key that signed it was revoked from {key.period.revoked_from:%Y-%m-%d %H:%M}"
        f" UTC on ({key.period.reason}), before it was logged."
    )
