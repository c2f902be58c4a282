"""What an index answers, kept for a while, together with what the policy says of each file that it lists."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from threading import Lock
from typing import Any
from urllib.parse import quote

from rebuilder.consumer.answer import Answer
from rebuilder.consumer.enforcement import Enforcement, Reply
from rebuilder.consumer.lock_files import Dependency
from rebuilder.errors import UnavailableError
from rebuilder.model.text import visible
from rebuilder.network.index_reader import IndexReader

_FRESH_SECONDS = 60.0
"""How long a page is handed out again before the index is asked whether it changed."""
_MOST_BYTES = 64 << 20
"""Of documents as they came; each takes several times as much once it is taken apart."""
_MOST_REPLIES = 8
"""Forms of one page that are kept; clients may reach the proxy by several names."""
_IN_ADDRESSES = "%:/?#[]@!$&'()*+,;="


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as the index lists it."""

    document: dict[str, Any]
    file: Dependency
    """The file as something to ask about."""
    url: str
    """Absolute."""


@dataclass(frozen=True, slots=True)
class Read:
    """The document of a project, taken apart."""

    document: dict[str, Any]
    files: Sequence[Listed]


@dataclass
class Page:
    """A document of the index, and the answer about each of its files; in the order of the index."""

    etag: str | None
    since: float
    read: Read
    base: str
    """Its address there."""
    media_type: str
    size: int
    """Bytes as it came."""
    answers: Sequence[Answer]
    replies: dict[str, Reply] = field(default_factory=dict)

    @property
    def answered(self) -> list[tuple[Listed, Answer]]:
        """Each file with its answer."""
        return list(zip(self.read.files, self.answers, strict=True))

    def reply(self, key: str, make: Callable[[], Reply]) -> Reply:
        """One form of the page, made once."""
        if (found := self.replies.get(key)) is None:
            found = make()
            if len(self.replies) < _MOST_REPLIES:
                self.replies[key] = found
        return found


class Pages:
    """Pages by index and project; any thread may ask.

    Args:
        enforcement: Says what passes.
        clock: Seconds that only grow.
    """

    def __init__(self, enforcement: Enforcement, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.enforcement, self._clock = enforcement, clock
        self._pages: OrderedDict[tuple[str, str, str], Page] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def get(self, index: IndexReader, path: str, accept: str, read: Callable[[bytes, str], Read]) -> Page | None:
        """The page of a project as the index has it now; None: it has none.

        Args:
            index: Who has it.
            path: Below the address of the index.
            accept: Media types; an answer of another type is none.
            read: Takes it apart, given its address.

        Raises:
            UnavailableError: the index does not answer, or not with such a page.
        """
        key = (index.url, path, accept)
        with self._lock:
            known = self._pages.get(key)
        if known is not None and self._clock() - known.since < _FRESH_SECONDS:
            return known
        answer = index.get(path, accept, known.etag if known is not None else None)
        if answer.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
            return None
        if answer.status == HTTPStatus.NOT_MODIFIED and known is not None:
            found = replace(known, since=self._clock(), replies={})
        elif answer.status == HTTPStatus.OK and answer.media_type and answer.media_type in accept:
            page, size = read(answer.content, answer.url), len(answer.content)
            found = Page(answer.etag, self._clock(), page, answer.url, answer.media_type, size, ())
        else:
            raise UnavailableError(f"The index answers {answer.status} for {path}, and not with JSON as it must.")
        found.answers = self.enforcement.gate.answers([each.file for each in found.read.files])
        with self._lock:
            before = self._pages.pop(key, None)
            self._size += found.size - (before.size if before is not None else 0)
            self._pages[key] = found
            while self._size > _MOST_BYTES and len(self._pages) > 1:
                self._size -= self._pages.popitem(last=False)[1].size
        return found


def phrase(code: int, text: str) -> str:
    """Code and reason phrase: one line of ASCII."""
    return f"{code} {visible(text, 900).encode('ascii', 'replace').decode()}"


def sent_on(url: str) -> Reply:
    """Where the bytes are; an address has ASCII only."""
    return Reply("302 Found", (("Location", quote(url, safe=_IN_ADDRESSES)), ("Cache-Control", "no-store")))
