"""An auditor's check of a whole published log, and that it goes on from what was seen before."""

from __future__ import annotations

from pathlib import Path

from rebuilder.consumer.rebuilder import listed_numbers
from rebuilder.errors import ExitCode, UsageError
from rebuilder.log.audit import LogError, Published, Read, read_entry
from rebuilder.log.entry import LogEntry
from rebuilder.log.note import NoteKey
from rebuilder.log.places import LOG, digest_path
from rebuilder.log.seen import SeenLog, text_of, usual_memory
from rebuilder.model.text import visible
from rebuilder.model.value import sha256_hex
from rebuilder.network.site_reader import SiteReader


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
        if number not in listed_numbers(read(f"{digest_path(subject)}/index.json")):
            raise LogError(f"The statement of entry {number} is not listed under the digest of what it is about.")
    pem = read(f"keys/{entry.key_id}.pem")
    if key_id(load_public(pem)) != entry.key_id:
        raise LogError(f"The key of the statement of entry {number} is another one than it is called.")
    check(envelope.decode(), pem)


def _key(text: str) -> NoteKey:
    try:
        return NoteKey.read(text.strip())
    except ValueError as error:
        raise UsageError(f"This is no key of a log: {error}", hint="It is one word, as in the file log/key.") from None
