"""What documents the network gave before, and how long they may be used without asking again (RFC 9111)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import ValidationError

from rebuilder.atomic_file import write_whole
from rebuilder.model.value import Sha256Field, Value

_LONGEST_SECONDS = 30 * 24 * 3600
"""No server may make us believe a document for longer."""


class CachedDocument(Value):
    """One answer: where its body is among the blobs, and what revalidates it."""

    url: str
    """After redirects, without credentials."""
    sha256: Sha256Field
    media_type: str
    etag: str | None = None
    last_modified: str | None = None
    fresh_until: float = 0.0
    """Unix time, seconds."""


class HttpCache:
    """A directory with one small JSON file per (address, Accept); bodies are blobs.

    An entry that cannot be read is no entry, and one that cannot be written is a request more next time: the
    cache never decides whether something works.
    """

    def __init__(self, directory: Path, *, now: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._now = now

    def get(self, url: str, accept: str) -> CachedDocument | None:
        """What was kept for an address without credentials."""
        try:
            return CachedDocument.model_validate_json(self._path(url, accept).read_bytes())
        except (OSError, ValidationError):
            return None

    def is_fresh(self, entry: CachedDocument) -> bool:
        """Whether the entry may be used without asking the server.

        A clock that was set back must not make an entry live for ever, hence the upper bound.
        """
        return self._now() < entry.fresh_until <= self._now() + _LONGEST_SECONDS

    def keep(self, url: str, accept: str, entry: CachedDocument, headers: Mapping[str, str]) -> None:
        """Keep an answer for as long as its headers (names in any case the mapping accepts) allow."""
        directives = _directives(headers.get("cache-control", ""))
        path = self._path(url, accept)
        if "no-store" in directives:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            return
        entry = entry.replace(fresh_until=self._fresh_until(directives, headers.get("age")))
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps(entry.document()).encode(), mode=0o600)
        except OSError:
            return

    def _fresh_until(self, directives: Mapping[str, str], age: str | None) -> float:
        if "no-cache" in directives:
            return 0.0
        left = _seconds(directives.get("max-age")) - _seconds(age)
        return self._now() + min(left, _LONGEST_SECONDS) if left > 0 else 0.0

    def _path(self, url: str, accept: str) -> Path:
        return self._directory / (hashlib.sha256(f"{url}\n{accept}".encode()).hexdigest() + ".json")


def _directives(value: str) -> dict[str, str]:
    """``Cache-Control`` as a mapping; a directive that stands twice counts the first time (RFC 9111, 4.2.1)."""
    found: dict[str, str] = {}
    for each in value.split(","):
        name, _, argument = each.strip().partition("=")
        found.setdefault(name.strip().lower(), argument.strip().strip('"'))
    return found


def _seconds(value: str | None) -> int:
    """Delta-seconds; anything malformed counts as 0, that is, as stale."""
    return int(value) if value is not None and re.fullmatch(r"[0-9]{1,10}", value) else 0
