"""The JSON that the API gives and takes, where it is not a document of the static site already."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from rebuilder.model.operations import QueueEntry, public_entry
from rebuilder.model.report import Summary
from rebuilder.model.value import Value
from rebuilder.model.work import Order, Tier
from rebuilder.site.documents import IndexEntry, index_entry
from rebuilder.store.ledger.lookup import Known, Recent

# What people write ends up in the ledger, in pages and in messages: no control characters.
_Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]


class Problem(Value):
    """Why there is no answer."""

    error: str
    """One sentence: what happened, to what."""
    hint: str | None = None
    """What to do."""


class Queued(Value):
    """Where a file is in the queue."""

    entry: QueueEntry
    position: int | None = None
    """1 is next; absent while a worker has it, while it waits for its time, or behind a thousand others."""


class FileStatus(Value):
    """What is known about one published file."""

    purl: str
    filename: str
    sha256: str | None = None
    """Absent for a file that is only queued, where the registry lists another digest."""
    current: IndexEntry | None = None
    """The newest verification; absent when there is none yet."""
    history: tuple[Summary, ...] = ()
    """Earlier verifications of the same bytes, newest first, no more than 49."""
    queued: Queued | None = None


class Status(Value):
    """What is known about the files of a release, or with a digest."""

    files: tuple[FileStatus, ...]


class Verdicts(Value):
    """Finished verifications, newest first."""

    verdicts: tuple[IndexEntry, ...]
    next: str | None = None
    """Give it as ``before`` to get the page after this one; absent on the last."""


class Wanted(Value):
    """A verification somebody asks for."""

    subject: Annotated[_Line, Field(max_length=512, examples=["pypi:idna==3.10", "pkg:npm/left-pad@1.3.0"])]
    tier: Tier = Tier.FULL
    priority: Annotated[int, Field(ge=-9, le=9)] = 0
    """Among what was asked for: -9 is sooner, 9 later."""


class Accepted(Value):
    """What was queued, or was queued already."""

    orders: tuple[Order, ...]
    status: tuple[str, ...]
    """Addresses on this server where the verdict will be, one for each release."""


class Acknowledgement(Value):
    """Somebody has looked at an alarm."""

    by: Annotated[_Line, Field(max_length=200)]
    note: Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$")] = (
        Field(default="", max_length=2000)
    )


def file_status(known: Known, *, public: bool = False) -> FileStatus:
    """What is shown of what the ledger knows; ``public``: to strangers."""
    place = known.place
    entry = place and (public_entry(place.entry) if public else place.entry)
    return FileStatus(
        purl=known.purl,
        filename=known.filename,
        sha256=known.sha256,
        current=IndexEntry.model_validate(index_entry(known.verifications[0])) if known.verifications else None,
        history=known.verifications[1:],
        queued=Queued(entry=entry, position=place.position) if place and entry else None,
    )


def verdicts_page(recent: Recent) -> Verdicts:
    """One page of finished verifications."""
    return Verdicts(
        verdicts=tuple(IndexEntry.model_validate(index_entry(each)) for each in recent.rows), next=recent.next
    )
