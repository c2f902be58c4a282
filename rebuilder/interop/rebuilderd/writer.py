"""Signs the links about what was reproduced, and writes what rebuilderd's clients read of a site of plain files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rebuilder.errors import CorruptError, StoreError
from rebuilder.interop.rebuilderd.documents import listed_package
from rebuilder.interop.rebuilderd.link import can_be_linked, link_key_id, public_pem, sign_link
from rebuilder.model.report import Summary
from rebuilder.model.value import canonical_json
from rebuilder.model.verdict import Verdict
from rebuilder.signing.agreement import Agreement
from rebuilder.signing.keys import raw_public
from rebuilder.signing.protocol import SigningKey
from rebuilder.site.writing import Writer
from rebuilder.store.blobs import sha512_of
from rebuilder.store.ledger.package_book import ListedRow, PackageBook
from rebuilder.store.protocol import Blobs

LIST = "api/v0/pkgs/list"
KEYS = "api/v1/meta/public-keys"
_URL = re.compile(rb'"artifact_url":"(?:[^"\\]|\\.)*"')
_EMPTY = b"[]\n"
_CLOCK_STEP = timedelta(minutes=1)
_AT_ONCE = 100
_MOST = 200
"""Links that are signed before the site is written: those of an older ledger follow one time after another."""


@dataclass(frozen=True)
class RebuilderdWriter:
    """Whoever has it has the key for links, and is the one that signs."""

    book: PackageBook
    blobs: Blobs
    key: SigningKey
    """For links; Ed25519."""
    agreement: Agreement
    """Says whether a report is the one that was signed: there is no link about another."""
    root: Path
    """Of the site."""
    _refused: set[int] = field(default_factory=set, init=False)
    """Verifications about which there will be no link."""

    def write(self, summaries: Sequence[Summary], *, whole: bool = False, changed: bool = False) -> list[CorruptError]:
        """Sign what has no link yet, and write the list of packages and the public key.

        Args:
            summaries: The newest verification of each file, as far as the ledger says what was signed.
            whole: Sign all that has no link, however much it is.
            changed: Only of files that changed: the others stay in the list as they are there.

        Returns:
            What is wrong with reports that are not what was signed.

        Raises:
            SigningError: the key cannot be used.
            StoreError: the ledger or the site cannot be used.
        """
        refused = self._sign(None if whole else _MOST, self.book.newest() - _MOST if changed else 0)
        writer = Writer(self.root)
        agreed: dict[object, Verdict] = {_about(each): each.verdict for each in summaries if each.doubt is None}
        if changed:
            listed, written = self._listed()
            for row in self.book.replaced(written):
                listed = _without(listed, listed_package(row, None, self.root), row.number)
            told = {_about(each) for each in summaries}
            for row in self.book.listed(summaries, seen=written):
                line = listed_package(row, agreed.get(_about(row)), self.root)
                listed = _with(listed, line, replace=_about(row) in told)
            writer.write(LIST, listed)
        else:
            lines = [listed_package(row, agreed.get(_about(row)), self.root) for row in self.book.listed()]
            writer.write(LIST, b"[" + b",\n".join(lines) + b"]\n")
        writer.write(KEYS, canonical_json({"current": [public_pem(raw_public(self.key.public_pem))]}) + b"\n")
        return refused

    def _listed(self) -> tuple[bytes, datetime]:
        """The list as it is, and since when there may be files that are not in it."""
        try:
            written = datetime.fromtimestamp((self.root / LIST).stat().st_mtime, UTC)
            return (self.root / LIST).read_bytes(), written - _CLOCK_STEP
        except OSError:
            return _EMPTY, datetime.min.replace(tzinfo=UTC)

    def _sign(self, most: int | None, after: int) -> list[CorruptError]:
        refused, signed, key_id = list[CorruptError](), 0, link_key_id(raw_public(self.key.public_pem))
        while (numbers := self.book.unlinked(key_id, after, _AT_ONCE)) and (most is None or signed < most):
            links = {}
            for number in numbers:
                if number in self._refused:
                    continue
                try:
                    link = self._link(number)
                except CorruptError as error:
                    refused.append(error)
                    link = None
                if link is None:
                    self._refused.add(number)
                else:
                    links[number] = link
            self.book.keep_links(key_id, links)
            signed, after = signed + len(links), numbers[-1]
        return refused

    def _link(self, number: int) -> str | None:
        signed = self.book.report(number)
        if signed is None:
            return None
        self.agreement.check_report(signed)
        if not can_be_linked(signed.report):
            return None
        try:
            sha512 = sha512_of(self.blobs, signed.report.artifact.sha256)
        except (StoreError, OSError):
            sha512 = None
        return sign_link(signed.report, sha512, self.key)


def _about(row: Summary | ListedRow) -> tuple[object, ...]:
    """Which verification of which file; what the ledger says of either counts only where all of it was signed."""
    return row.ecosystem, row.name, row.version, row.identity


def _place(listed: bytes, line: bytes) -> tuple[int, int] | None:
    """From where to where a list has the line of a file, without the comma; None: it has none."""
    head, url = line[: line.index(b'"status":')], _URL.search(line)
    place = -1
    while url is not None and (place := listed.find(url[0], place + 1)) >= 0:
        start = max(listed.rfind(b"\n", 0, place), 0) + 1
        if listed.startswith(head, start):
            return start, listed.index(b"}", listed.index(b'"has_attestation":', place)) + 1
    return None


def _with(listed: bytes, line: bytes, *, replace: bool) -> bytes:
    """The list with one file: in its place, as it was there unless it is to be replaced, or else at the end."""
    if (found := _place(listed, line)) is None:
        return listed.removesuffix(b"]\n") + (b",\n" if len(listed) > len(_EMPTY) else b"") + line + b"]\n"
    return listed[: found[0]] + line + listed[found[1] :] if replace else listed


def _without(listed: bytes, line: bytes, number: int | None) -> bytes:
    """The list without a file, as far as it tells of a verification of it, or of none."""
    if (found := _place(listed, line)) is None:
        return listed
    start, end = found
    told = (b'"build_id":%s,' % each for each in (b"null", b"%d" % (number or 0)))
    if not any(each in listed[start:end] for each in told):
        return listed  # of other bytes at the same address by now
    before, after = listed[:start].removesuffix(b",\n"), listed[end:]
    return before + (after.removeprefix(b",\n") if before == b"[" else after)
