"""One rebuilder, read by somebody who trusts nothing but its keys: what it says about a file, by the file's digest.

What is shown is checked like this, and whatever fails is refused with a sentence; nothing weaker is used instead:

1. The list of keys (``keys.json``), if the site has one, goes on from the one that was seen and the one that came by
   another way, and did not expire. Where neither is known, and a key of the log is, the list is in this log: otherwise
   anybody could show a list with that key and keys of their own.
2. The checkpoint of the log is signed by the key of the log, cosigned as a policy for logs asks for, and the log goes
   on from the checkpoint that was seen.
3. Of a file: its newest statement with a verdict has the digest that its entry in the log has; the proof leads from the
   entry to a checkpoint that the key of the log signed, and that the log goes on from; the file is among its subjects.
   Where the file is known by SHA-512 only, the site says which SHA-256 it has, and the statement must name both.
4. The statement's key is the one that the entry names, and was good when the entry was logged.
5. The statement does not contradict itself (:mod:`rebuilder.consumer.statement`).

Only when all of that is done is the newest checkpoint remembered.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

from rebuilder.atomic_file import write_whole
from rebuilder.consumer.answer import Vote, Voter
from rebuilder.errors import SigningError, StoreError, UnavailableError, UsageError
from rebuilder.log.audit import LogError, Published, goes_on, read_entry
from rebuilder.log.entry import LOG, LogEntry, digest_path
from rebuilder.log.note import Checkpoint, LogPolicy, Note, NoteKey
from rebuilder.log.proof import LogProof
from rebuilder.log.seen import SeenLog, SeenVerdicts, text_of
from rebuilder.log.tiles import Nodes, TileReader
from rebuilder.model.value import Sha256, Sha512, algorithm, is_sha256, sha256_hex
from rebuilder.network.site_reader import SiteReader

if TYPE_CHECKING:
    from rebuilder.signing.key_list import KeyList, ListedKey

_KEPT_NODES = 10_000
_SKEW = timedelta(days=1)
"""What two clocks may be apart."""
_MOST_READ = 20
"""Statements about one file that are read until one of them is a verdict."""
_KEY_LIST = "keys.json"
KEY_LIST_TYPE = "application/vnd.tuf+json"
"""What an entry of the log says of a list of keys, in place of a predicate."""


@dataclass(frozen=True, slots=True)
class Trusted:
    """A rebuilder that somebody counts on."""

    place: str
    """Directory, address or bundle of its site."""
    name: str | None = None
    """What people call it; None: its place."""
    log_key: NoteKey | None = None
    """Key of its log; None: the one it shows the first time, remembered."""
    key_list: bytes | None = None
    """A ``keys.json`` that came by another way, whose root keys are trusted; None: the first one that is seen."""
    log_policy: LogPolicy | None = None
    """Which logs count, and who must have cosigned their checkpoints; None: nobody."""

    @property
    def log_keys(self) -> tuple[NoteKey, ...]:
        """The keys that its log may have; empty: any."""
        return (self.log_key,) if self.log_key is not None else self.log_policy.logs if self.log_policy else ()

    @property
    def remembered_as(self) -> str:
        """Its place, the same from whatever directory it is named."""
        return self.place if "://" in self.place else str(Path(self.place).resolve())


@dataclass
class Rebuilder:
    """A rebuilder whose log was looked at; :meth:`open` makes it. Any thread may ask it."""

    trusted: Trusted
    site: SiteReader
    published: Published
    keys: Sequence[NoteKey]
    """Those that may have signed checkpoints."""
    key_list: KeyList | None
    now: datetime
    operator: str
    """Who runs it: the key that signs its log, or what another place has that shows the same keys."""
    remarks: list[str] = field(default_factory=list)
    """What could not be looked at, as sentences."""
    _agreed: dict[tuple[int, bytes], None] = field(default_factory=dict)
    _notes: dict[Note, list[NoteKey]] = field(default_factory=dict)
    """Checkpoints of proofs that were looked at, and who signed them; many proofs have the same one."""
    _pems: dict[str, bytes] = field(default_factory=dict)
    _against: dict[str, int] = field(default_factory=dict)
    """By SHA-256, the newest statement that was seen and does not confirm the file."""
    _newest: Published | None = None
    _tree: tuple[int, Nodes] | None = None
    """The tree that checkpoints of proofs are held against, by its size."""
    _lock: Lock = field(default_factory=Lock)

    @classmethod
    def open(
        cls, trusted: Trusted, site: SiteReader, memory: Path, now: datetime, *, expired: list[str] | None = None
    ) -> Self:
        """Look at its keys and its log.

        Args:
            trusted: Which one.
            site: Its files.
            memory: Directory where what was seen is remembered; :meth:`remember` writes there.
            now: By this machine's clock.
            expired: For who looks at history: that the list of keys expired is put in, instead of being an error.

        Raises:
            LogError: it is not what it must be.
            UnavailableError: it does not answer.
            UsageError: what was remembered cannot be read.
        """
        before = None if site.is_bundle else SeenLog(memory, trusted.remembered_as).read()
        read = site.reading(f"{LOG}/")
        known = trusted.log_keys or ((before.key,) if before is not None else ())
        keys = known or (NoteKey.read(text_of(read("key"))),)
        earlier = _earlier_lists(trusted, _list_file(memory, trusted.remembered_as))
        key_list = _key_list(site, earlier, now, expired)
        if key_list is not None and (earlier or not known):
            keys = _checkpoint_keys(key_list, known, keys[0])
        published = _published(read, keys)
        found = cls(trusted, site, published, keys, key_list, now, operator=_signer(published.note, keys).vkey)
        found._agreed[found.published.checkpoint.size, found.published.checkpoint.root] = None
        found._refuse_alone(found.published.note)
        if key_list is not None and known and not earlier:
            found._refuse_unlogged(key_list, known)
            found.keys = _checkpoint_keys(key_list, known, keys[0])
            if not found.published.note.signed_by(found.keys):
                raise LogError("The checkpoint is signed by a key that the list of keys revokes.")
        if before is not None:
            found.published.follows(before.checkpoint, read)
        signer = _signer(found.published.note, keys)
        found._against = SeenVerdicts(memory, signer.vkey).read()
        anywhere = SeenLog(memory, signer.vkey).read()
        if anywhere is not None:
            found._follow(anywhere.checkpoint)
        elif not known and trusted.key_list is None:
            what = "bundle" if site.is_bundle else "site"
            found.remarks.append(f"{found.name}: nothing but the {what} vouches for the key of its log, {signer.vkey}")
        return found

    @property
    def name(self) -> str:
        """What people call it."""
        return self.trusted.name or self.trusted.place.removeprefix("https://").rstrip("/")

    def vote(self, digest: Sha256 | Sha512) -> Vote | None:
        """The newest verdict about a file, by any of its digests; None: it says nothing about it.

        Raises:
            LogError: what it shows is not what it must be.
            UnavailableError: it does not answer.
        """
        try:
            sha256 = sha256_named(self.site, digest)
        except FileNotFoundError:
            return None
        number, vote = self._newest_verdict(sha256, digest)
        seen = self._against.get(sha256, -1)
        if number < seen < self.published.checkpoint.size:
            raise LogError(f"It holds back the statement {seen} about this file, which it showed before.")
        if number < seen:
            raise UnavailableError(f"This copy is older than the statement {seen} about this file, which was seen.")
        if vote is not None and vote.level is None:
            self._against[sha256] = number
        return vote

    def _newest_verdict(self, sha256: Sha256, digest: Sha256 | Sha512) -> tuple[int, Vote | None]:
        """The newest statement with a verdict about a file, and its number; -1: there is none."""
        from rebuilder.consumer.statement import VERDICT_TYPES, is_of_several, names_file, read_vote

        try:
            listing = self.site.read(f"{digest_path(sha256)}/index.json")
        except FileNotFoundError:
            return -1, None
        for number, _ in sorted(listed_statements(listing, VERDICT_TYPES), reverse=True)[:_MOST_READ]:
            statement, entry, voter = self._statement(sha256, number)
            if not is_of_several(statement):
                vote = read_vote(statement, sha256, entry, voter, self.trusted.place)
                return number, vote.replace(number=number) if names_file(statement, digest, sha256) else None
        return -1, None

    def _statement(self, sha256: Sha256, number: int) -> tuple[dict[str, Any], LogEntry, Voter]:
        """A statement about a file, its entry in the log, and who signed it."""
        from rebuilder.signing.envelope import verify

        read = self.site.reading(f"{digest_path(sha256)}/")
        envelope = read(f"{number}.dsse.json")
        entry = self._entry(number, LogProof.read(read(f"{number}.tlog-proof")))
        if sha256_hex(envelope) != entry.envelope:
            raise LogError(f"The statement {number} is not the one that was logged.")
        if sha256 not in entry.subjects:
            raise LogError(f"The statement {number} is about another file.")
        pem = self._public_key(entry)
        try:
            statement = verify(envelope.decode("utf-8", "replace"), pem)
        except SigningError as error:
            raise LogError(str(error)) from None
        return statement, entry, Voter(operator=self.operator, name=self.name, key_id=entry.key_id)

    def _refuse_alone(self, note: Note) -> None:
        """Make sure that enough witnesses cosigned a checkpoint."""
        if self.trusted.log_policy is not None:
            try:
                self.trusted.log_policy.refuse(note)
            except ValueError as error:
                raise LogError(str(error)) from None

    def _refuse_unlogged(self, listed: KeyList, known: Sequence[NoteKey]) -> None:
        """Make sure that a list of keys is in the log, whose key is known and whose newest checkpoint it signed."""
        ours = {one.public for one in known}
        names = [each.key_id for each in _for_checkpoints(listed) if _raw(each) in ours]
        for name in names:
            directory = digest_path(Sha256(name))
            try:
                listing = self.site.read(f"{directory}/index.json")
            except FileNotFoundError:
                continue
            read = self.site.reading(f"{directory}/")
            for number, _ in listed_statements(listing, {KEY_LIST_TYPE})[:_MOST_READ]:
                proof = LogProof.read(read(f"{number}.tlog-proof"))
                if proof.entry is None or sha256_hex(listed.document) != read_entry(number, proof.entry, None).envelope:
                    continue
                shown = proof.check(proof.entry)
                if proof.index == number and shown.size <= self.published.checkpoint.size:
                    self.agree(Published(proof.note, shown))
                    return
        raise LogError(
            "The list of keys that the site shows is not in the log whose key is known: it is somebody else's, or is "
            "not logged yet."
        )

    def _entry(self, number: int, proof: LogProof) -> LogEntry:
        """The entry that a proof shows to be in the log."""
        if proof.entry is None or proof.index != number:
            raise LogError(f"The proof beside the statement {number} is of another entry.")
        checkpoint, entry = proof.check(proof.entry), read_entry(number, proof.entry, None)
        signers = self._notes.get(proof.note)
        if signers is None:
            signers = self._notes[proof.note] = proof.note.signed_by(self.keys)
        if not signers or signers[0].name != checkpoint.origin:
            raise LogError(f"The proof of the statement {number} is of another log, {checkpoint.origin}.")
        if self.now + _SKEW < entry.logged:
            raise LogError(
                f"This machine's clock says {self.now:%Y-%m-%d}, and the statement {number} was logged on "
                f"{entry.logged:%Y-%m-%d}: one of the two clocks is wrong."
            )
        if self.key_list is not None:
            self.key_list.judge_checkpoint(signers[0].public, entry.logged)
        self.agree(Published(proof.note, checkpoint))
        return entry

    def agree(self, other: Published) -> None:
        """Make sure that a checkpoint of the same key and the log's newest one are of one history.

        Raises:
            LogError: they are not.
        """
        shown = other.checkpoint
        with self._lock:
            if (shown.size, shown.root) in self._agreed:
                return
            if self.site.is_bundle:
                raise LogError("The bundle has proofs of several checkpoints, which nobody can hold together offline.")
            newest = self._newest or self.published
            older, later = sorted((shown, newest.checkpoint), key=lambda each: each.size)
            goes_on(older, later, self._nodes(later.size))
            if shown.size > newest.checkpoint.size:
                self._refuse_alone(other.note)
                self._newest = other
            self._agreed[shown.size, shown.root] = None

    def _nodes(self, size: int) -> Nodes:
        """The tree of a size; proofs were made for many checkpoints, and most of what shows them is the same."""
        if self._tree is None or self._tree[0] != size:
            reader = TileReader.of_files(size, self.site.reading(f"{LOG}/"))
            self._tree = size, lru_cache(maxsize=_KEPT_NODES)(reader)
        return self._tree[1]

    def _follow(self, earlier: Checkpoint) -> None:
        """Hold the log against what was seen of it at any place; a copy may be an older one."""
        now = self.published.checkpoint
        if (now.size, now.root) == (earlier.size, earlier.root):
            return
        if now.size == earlier.size:
            raise LogError(f"The log was forked: its first {now.size} entries are not those that it showed before.")
        if now.size > earlier.size and not self.site.is_bundle:
            self.published.follows(earlier, self.site.reading(f"{LOG}/"))
        else:
            age = "older" if now.size < earlier.size else "newer"
            self.remarks.append(
                f"{self.name}: this copy of the log is {age} than what was seen of it ({now.size:,} entries, and "
                f"{earlier.size:,}); whether both are one history cannot be seen from it."
            )

    def _public_key(self, entry: LogEntry) -> bytes:
        from rebuilder.signing.keys import key_id, load_public

        if self.key_list is not None:
            return self.key_list.judge(entry.key_id, entry.logged).pem
        if entry.key_id in self._pems:
            return self._pems[entry.key_id]
        if not is_sha256(entry.key_id):
            raise LogError("The entry of a statement names a key by something that is no digest.")
        pem = self.site.reading("")(f"keys/{entry.key_id}.pem")
        try:
            named = key_id(load_public(pem))
        except SigningError as error:
            raise LogError(str(error)) from None
        if named != entry.key_id:
            raise LogError("The key of a statement is another one than it is called.")
        self._pems[entry.key_id] = pem
        return pem

    def same_operator(self, other: Rebuilder) -> bool:
        """Whether another place shows a key that this one has: of the log or in its list, replaced and revoked too.

        Who lists the key of somebody else only makes one vote of two.
        """
        return bool(self._everything() & other._everything())

    def _everything(self) -> set[bytes]:
        found = {each.public for each in self.keys}
        if self.key_list is not None:
            found |= {_raw(each) for each in _for_checkpoints(self.key_list)}
            found |= {each.encode() for each in (*self.key_list.keys, *self.key_list.root_keys)}
        return found

    def same_log(self, other: Rebuilder) -> bool:
        """Whether another place shows the log of the same key; the two must then be one history.

        Raises:
            LogError: they are not: somebody is shown one history, and somebody else another one.
        """
        if not {each.vkey for each in self.keys} & {each.vkey for each in other.keys}:
            return False
        ours, theirs = self.published.checkpoint, other.published.checkpoint
        if (ours.size, ours.root) != (theirs.size, theirs.root):
            longer = self if ours.size >= theirs.size else other
            if longer.site.is_bundle:
                self.remarks.append(f"Whether {self.name} and {other.name} show one history cannot be seen offline.")
            else:
                longer.agree((other if longer is self else self).published)
        return True

    def remember(self, memory: Path) -> None:
        """Remember the newest checkpoint and the list of keys.

        Raises:
            StoreError: they cannot be written.
        """
        newest = self._newest or self.published
        key = _signer(newest.note, self.keys)
        SeenLog(memory, key.vkey).keep(key, newest.note)
        SeenVerdicts(memory, key.vkey).keep(self._against)
        if not self.site.is_bundle:
            SeenLog(memory, self.trusted.remembered_as).keep(key, newest.note)
        if self.key_list is not None:
            file = _list_file(memory, self.trusted.remembered_as)
            try:
                if not file.is_file() or file.read_bytes() != self.key_list.document:
                    file.parent.mkdir(parents=True, exist_ok=True)
                    write_whole(file, self.key_list.document, mode=0o600)
            except OSError as error:
                raise StoreError(f"What was seen cannot be remembered in {file}: {error.strerror}.") from None


def listed_statements(listing: bytes, kinds: set[str] | None = None) -> list[tuple[int, str]]:
    """Number and key of each statement in the list of a digest's directory, as the list says them.

    Args:
        listing: ``index.json`` there.
        kinds: Only statements with one of these predicate types; None: all.

    Raises:
        LogError: it is no such list.
    """
    try:
        rows = json.loads(listing)["statements"]
        found = [(each["number"], each["key_id"]) for each in rows if kinds is None or each["predicate_type"] in kinds]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise LogError("The list of statements about the file is not what it must be.") from None
    if not all(type(number) is int and number >= 0 and str(key).isalnum() for number, key in found):
        raise LogError("The list of statements about the file has numbers or keys that are none.")
    return found


def sha256_named(site: SiteReader, digest: Sha256 | Sha512) -> Sha256:
    """The SHA-256 of the file with a digest, as the site says; nothing vouches for it but a statement with both.

    Raises:
        FileNotFoundError: the site does not know that digest.
        LogError: what it says is no digest.
        UnavailableError: the site does not answer.
    """
    if algorithm(digest) == "sha256":
        return Sha256(digest)
    try:
        found = json.loads(site.read(f"{digest_path(digest)}/index.json"))["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
        found = None
    if not isinstance(found, str) or not is_sha256(found):
        raise LogError("What the site says of a file by its SHA-512 is not what it must be.")
    return Sha256(found)


def _published(read: Callable[[str], bytes], keys: Sequence[NoteKey]) -> Published:
    """The newest checkpoint, signed by one of the keys."""
    for number, key in enumerate(keys, 1):
        try:
            return Published.read(read, key)
        except LogError:
            if number == len(keys):
                raise
    raise LogError("The list of keys has none that may sign checkpoints of the log.")


def _signer(note: Note, keys: Sequence[NoteKey]) -> NoteKey:
    return note.signed_by(keys)[0]


def _list_file(memory: Path, place: str) -> Path:
    return memory / f"{sha256_hex(place.rstrip('/').encode())[:32]}.keys.json"


def _earlier_lists(trusted: Trusted, file: Path) -> list[KeyList]:
    """The lists of keys that are trusted already: the one that came by another way, and the one that was seen."""
    try:
        seen = file.read_bytes() if file.is_file() else None
    except OSError as error:
        raise UsageError(f"What was seen before, {file}, cannot be read: {error.strerror}.") from None
    known = [each for each in dict.fromkeys((trusted.key_list, seen)) if each is not None]
    if not known:
        return []
    from rebuilder.signing.key_list import KeyList, KeyListError

    try:
        return [KeyList.read(each, None) for each in known]
    except KeyListError as error:
        raise LogError(str(error)) from None


def _key_list(site: SiteReader, earlier: Sequence[KeyList], now: datetime, expired: list[str] | None) -> KeyList | None:
    """The list of keys of the site, which goes on from all that are trusted."""
    if not earlier:
        try:
            site.read(_KEY_LIST)
        except FileNotFoundError:
            return None
    from rebuilder.signing.key_list import KeyListError, newest_list

    trusted: Sequence[KeyList | None] = earlier or (None,)
    found = None
    try:
        for each in trusted:
            found = newest_list(site.read, each)
    except KeyListError as error:
        raise LogError(str(error)) from None
    try:
        if found is not None:
            found.refuse_expired(now)
    except KeyListError as error:
        if expired is None:
            raise LogError(str(error)) from None
        expired.append(str(error))
    return found


def _checkpoint_keys(key_list: KeyList, known: Sequence[NoteKey], shown: NoteKey) -> tuple[NoteKey, ...]:
    """The keys that may have signed checkpoints: those of the list, which must have one that is known already."""
    listed = {_raw(each): each for each in _for_checkpoints(key_list)}
    both = [each for each in known if each.public in listed]
    if known and not both:
        raise LogError("The key of the log that is known is not in the list of keys of the site.")
    name = (both or [shown])[0].name
    return tuple(NoteKey(name, raw) for raw, each in listed.items() if each.period.revoked_from is None)


def _for_checkpoints(key_list: KeyList) -> list[ListedKey]:
    from rebuilder.signing.key_list import Use

    return [each for each in key_list.keys.values() if each.use is Use.CHECKPOINTS]


def _raw(key: ListedKey) -> bytes:
    """The bytes of a listed key, as signed notes have them."""
    from rebuilder.signing.keys import raw_public

    return raw_public(key.pem)
