"""An auditor's check of a whole published log, and that it goes on from what was seen before."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rebuilder.consumer.rebuilder import KEY_LIST_TYPE, Rebuilder, Trusted, listed_statements, sha256_named
from rebuilder.errors import ExitCode, UsageError
from rebuilder.log.audit import LogError, read_entry
from rebuilder.log.entry import LOG, LogEntry, digest_path, named_by_sha512
from rebuilder.log.note import LogPolicy, NoteKey
from rebuilder.log.seen import SeenLog, usual_memory
from rebuilder.model.text import visible
from rebuilder.model.value import sha256_hex
from rebuilder.network.site_reader import SiteReader

if TYPE_CHECKING:
    from rebuilder.signing.key_list import KeyList


def verify(
    place: str,
    *,
    key: str | None,
    statements: bool,
    seen: Path | None,
    log_policy: LogPolicy | None = None,
    now: datetime | None = None,
) -> int:
    """Check the whole log of a site: signature, every entry and tile, and that it goes on from what was seen before.

    Args:
        place: Directory or address of the site.
        key: The key of the log as one word; None: the one it had the first time, or shows now.
        statements: Check every statement that the log names, too.
        seen: Directory where what was seen is remembered; None: the usual one of this user.
        log_policy: Which logs count, and who must have cosigned.
        now: By this machine's clock; None: it is asked.

    Returns:
        The exit code: 1 where the log is not what it must be, and where its list of keys expired: all of it is looked
        at then, too.

    Raises:
        UsageError: the place or the key is none.
        UnavailableError: the site does not answer.
    """
    if key is not None and log_policy is not None and log_policy.logs:
        raise UsageError("The key of the log is in the policy for logs; leave --key out.")
    trusted = Trusted(place, log_key=_key(key) if key is not None else None, log_policy=log_policy)
    with SiteReader(place) as site:
        try:
            expired: list[str] = []
            rebuilder = Rebuilder.open(trusted, site, seen or usual_memory(), now or datetime.now(UTC), expired=expired)
            said = _verified(rebuilder, seen or usual_memory(), statements=statements)
            for each in expired:
                print(f"{visible(place)}: {visible(each, 500)} What it was until then:")  # noqa: T201
            print(said)  # noqa: T201
        except ValueError as error:
            print(f"{visible(place)}: {visible(str(error), 500)}")  # noqa: T201
            return ExitCode.DIFFERS
    return ExitCode.DIFFERS if expired else ExitCode.OK


def _verified(found: Rebuilder, memory: Path, *, statements: bool) -> str:
    before = SeenLog(memory, found.trusted.remembered_as).read()
    audit, logged = _Audit(found), None
    for number, data in found.published.entries(found.site.reading(f"{LOG}/")):
        entry = read_entry(number, data, logged)
        logged = entry.logged
        audit.look(number, entry, statements=statements)
    audit.finish()
    signer = found.published.note.signed_by(found.keys)[0]
    if found.key_list is not None and logged is not None:
        found.key_list.judge_checkpoint(signer.public, logged)
    found.remember(memory)
    size = found.published.checkpoint.size
    what = f"{size:,} {'entry' if size == 1 else 'entries'}"
    of = f", each with its statement, the last of {logged:%Y-%m-%d %H:%M} UTC" if statements and logged else ""
    if before is not None:
        since = f"It goes on from the {before.checkpoint.size:,} that were seen before."
    else:
        since = "It is remembered, and must go on from here."
        since += f" Nothing but the site vouches for its key, {signer.vkey}" if not found.trusted.log_keys else ""
    return f"The log {visible(signer.name)} is whole: {what}{of}.{audit.doubts()} {since}"


class _Audit:
    """Looks at what the entries of a log name."""

    def __init__(self, rebuilder: Rebuilder) -> None:
        self._rebuilder = rebuilder
        self._read = rebuilder.site.reading("")
        self._lists: KeyList | None = None
        """The newest list of keys that the log names."""
        self._known: set[str] = set()
        self._doubted = 0

    def look(self, number: int, entry: LogEntry, *, statements: bool) -> None:
        """Look at one entry: at a list of keys always, at a statement when all of them are asked for.

        Raises:
            LogError, ValueError: what it names is not there, or not what was logged.
        """
        if entry.predicate_type == KEY_LIST_TYPE:
            listed = self._rebuilder.key_list
            if listed is None:
                raise LogError(f"Entry {number} is a list of keys, and the site shows none: it hides what was revoked.")
            self._look_at_list(number, entry, listed)
        elif statements:
            self._check_statement(number, entry)

    def _look_at_list(self, number: int, entry: LogEntry, shown: KeyList) -> None:
        from rebuilder.signing.key_list import KeyList

        if entry.envelope in self._known:
            return  # after a backup, a list may be logged once more
        self._known.add(entry.envelope)
        self._lists = KeyList.read(self._envelope(number, entry), self._lists)
        if self._lists.version > shown.version:
            raise LogError(
                f"The site shows version {shown.version} of its list of keys, and version {self._lists.version} is in "
                "the log: what was revoked may be hidden."
            )

    def finish(self) -> None:
        """Make sure that the list of keys that is shown goes on from those in the log.

        Raises:
            ValueError: it does not.
        """
        if self._lists is not None:
            from rebuilder.signing.key_list import newest_list

            newest_list(self._rebuilder.site.read, self._lists)

    def _envelope(self, number: int, entry: LogEntry) -> bytes:
        envelope = b""
        for subject in entry.subjects:
            envelope = self._read(f"{digest_path(subject)}/{number}.dsse.json")
            if sha256_hex(envelope) != entry.envelope:
                raise LogError(f"The statement of entry {number} is not the one that was logged.")
            rows = listed_statements(self._read(f"{digest_path(subject)}/index.json"), {entry.predicate_type})
            if number not in {each for each, _ in rows}:
                raise LogError(f"The statement of entry {number} is not listed under the digest of what it is about.")
        return envelope

    def _check_statement(self, number: int, entry: LogEntry) -> None:
        from rebuilder.signing.envelope import verify as check
        from rebuilder.signing.key_list import KeyListError
        from rebuilder.signing.keys import key_id, load_public

        envelope = self._envelope(number, entry)
        pem = self._read(f"keys/{entry.key_id}.pem")
        if key_id(load_public(pem)) != entry.key_id:
            raise LogError(f"The key of the statement of entry {number} is another one than it is called.")
        check(envelope.decode(), pem)
        for sha512, sha256 in named_by_sha512(envelope.decode()).items():
            try:
                shown = sha256_named(self._rebuilder.site, sha512)
            except FileNotFoundError:
                shown = None
            if shown != sha256:
                raise LogError(f"What the statement of entry {number} is about is not to be found by its SHA-512.")
        try:
            if self._rebuilder.key_list is not None:
                self._rebuilder.key_list.judge(entry.key_id, entry.logged)
        except KeyListError:  # a log takes nothing back, and who reads the statement judges it the same
            self._doubted += 1

    def doubts(self) -> str:
        """How many statements count for nothing, as a sentence behind a space."""
        if not self._doubted:
            return ""
        return f" Statements that do not count, since their key was not good when they were logged: {self._doubted:,}."


def _key(text: str) -> NoteKey:
    try:
        return NoteKey.read(text.strip())
    except ValueError as error:
        raise UsageError(f"This is no key of a log: {error}", hint="It is one word, as in the file log/key.") from None
