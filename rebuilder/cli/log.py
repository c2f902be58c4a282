"""``rebuilder log``: an auditor's check of a published log, its key, and taking back what a restored ledger lacks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rebuilder.errors import ExitCode, StoreError, UsageError
from rebuilder.log.audit import LogError, Published, Read, read_entry
from rebuilder.log.entry import LogEntry
from rebuilder.log.note import NoteKey
from rebuilder.log.places import KEY, LOG, digest_path
from rebuilder.log.seen import SeenLog, text_of, usual_memory
from rebuilder.model.text import visible
from rebuilder.model.value import sha256_hex
from rebuilder.network.site_reader import SiteReader

if TYPE_CHECKING:
    from rebuilder.config import Config


def verify(place: str, *, key: str | None, statements: bool, seen: Path | None) -> int:
    """Check the whole log of a site: signature, every entry and tile, and that it goes on from what was seen before.

    Args:
        place: Directory or address of the site.
        key: The key of the log as one word; None: the one it had the first time, or shows now.
        statements: Check every statement that the log names, too.
        seen: Directory where what was seen is remembered; None: the usual one of this user.

    Returns:
        The exit code: 1 where the log is not what it must be.

    Raises:
        UsageError: the place or the key is none.
        UnavailableError: the site does not answer.
    """
    memory = seen or usual_memory()
    with SiteReader(place) as site:
        try:
            print(_verified(place, site, key, memory, statements=statements))  # noqa: T201
        except ValueError as error:
            print(f"{visible(place)}: {visible(str(error), 500)}")  # noqa: T201
            return ExitCode.DIFFERS
    return ExitCode.OK


def _verified(place: str, site: SiteReader, key: str | None, memory: Path, *, statements: bool) -> str:
    seen = SeenLog(memory, place)
    before = seen.read()
    read = site.reading(f"{LOG}/")
    trusted = _key(key) if key is not None else before.key if before else NoteKey.read(text_of(read("key")))
    published = Published.read(read, trusted)
    if before is not None:
        published.follows(before.checkpoint, read)
    logged = None
    for number, data in published.entries(read):
        entry = read_entry(number, data, logged)
        logged = entry.logged
        if statements:
            _check_statement(number, entry, site.reading(""))
    seen.keep(trusted, published.note)
    size = published.checkpoint.size
    what = f"{size:,} {'entry' if size == 1 else 'entries'}"
    of = f", each with its statement, the last of {logged:%Y-%m-%d %H:%M} UTC" if statements and logged else ""
    since = (
        f"It goes on from the {before.checkpoint.size:,} that were seen before."
        if before
        else (
            "It is remembered, and must go on from here."
            + ("" if key is not None else f" Nothing but the site vouches for its key, {trusted.vkey}")
        )
    )
    return f"The log {visible(trusted.name)} is whole: {what}{of}. {since}"


def _check_statement(number: int, entry: LogEntry, read: Read) -> None:
    from rebuilder.signing.envelope import verify as check
    from rebuilder.signing.keys import key_id, load_public

    for subject in entry.subjects:
        envelope = read(f"{digest_path(subject)}/{number}.dsse.json")
        if sha256_hex(envelope) != entry.envelope:
            raise LogError(f"The statement of entry {number} is not the one that was logged.")
    pem = read(f"keys/{entry.key_id}.pem")
    if key_id(load_public(pem)) != entry.key_id:
        raise LogError(f"The key of the statement of entry {number} is another one than it is called.")
    check(envelope.decode(), pem)


def show_key(config: Config) -> None:
    """Print the key of our log as one word, for who checks it.

    Raises:
        UsageError: nothing was published yet.
    """
    try:
        print(text_of((config.site_directory / KEY).read_bytes()))  # noqa: T201
    except OSError:
        raise UsageError("There is no log yet.", hint="The first verdict that is published makes it.") from None


def recover(config: Config, place: str | None) -> None:
    """Take the entries that were published back into a ledger that was restored from a backup.

    Raises:
        StoreError: what is published does not go on from this ledger's log.
        UsageError, UnavailableError: the site cannot be read.
    """
    from rebuilder.wiring import publishing

    with publishing(config) as signer, SiteReader(place or str(config.site_directory)) as site:
        try:
            count = signer.log.take_back(site.reading(""))
        except ValueError as error:
            raise StoreError(f"The published log cannot be taken back: {error}") from None
    print(f"{count:,} {'entry was' if count == 1 else 'entries were'} taken back; the log goes on from there.")  # noqa: T201


def _key(text: str) -> NoteKey:
    try:
        return NoteKey.read(text.strip())
    except ValueError as error:
        raise UsageError(f"This is no key of a log: {error}", hint="It is one word, as in the file log/key.") from None
