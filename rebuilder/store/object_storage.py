"""Objects by name in an S3 store, or one that answers like it; `obstore` talks to it (the extra ``fleet``).

What comes from there is believed about nothing: whoever reads knows a digest, or checks a signature. So it does not
matter whether a server keeps what it promises, only whether it answers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import ObjectStore, S3Store

from rebuilder.errors import StoreError, UsageError

if TYPE_CHECKING:
    from obstore import ObjectMeta

_IN_ONE_PIECE = 16 << 20
"""Bytes up to which an object is sent with a condition; larger ones go in parts, which have none."""
_CHUNK = 1 << 20
_SECONDS = timedelta(seconds=60)
_TRIES = 1000
_FIRST_WAIT, _LONGEST_WAIT = timedelta(seconds=0.1), timedelta(seconds=5)


class Listed(NamedTuple):
    """One object as it is listed."""

    size: int
    tag: str
    """Changes when the object is written again."""
    modified: datetime
    """When it was written last, by the clock of the server."""

    def is_younger(self, than: timedelta) -> bool:
        """Whether it was written within this time, by the clock of this machine."""
        return datetime.now(UTC) - self.modified < than


class ObjectStorage:
    """Objects by key.

    All methods raise :class:`StoreError` when the server does not answer, or refuses.

    Args:
        store: Where they are.
        place: What it is called in messages.
    """

    def __init__(self, store: ObjectStore, place: str) -> None:
        self._store = store
        self._place = place

    @classmethod
    def open(cls, url: str, *, seconds: float = 10) -> ObjectStorage:
        """What ``s3://BUCKET/PREFIX`` means; nothing is asked yet.

        Args:
            url: The address.
            seconds: How long a server that does not answer is asked again.

        Server, region and credentials are those of the environment, as every S3 client reads them:
        ``AWS_ENDPOINT_URL``, ``AWS_REGION``, ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``.

        Raises:
            UsageError: it is no such address.
        """
        if not url.startswith("s3://") or not url.removeprefix("s3://").partition("/")[0]:
            raise UsageError(f"{url[:80]!r} is no address of an S3 bucket.", hint="Write it like s3://bucket/prefix.")
        plain = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
        try:
            store = S3Store.from_url(
                url.rstrip("/"),
                checksum_algorithm="SHA256",  # of each part, which the server compares
                client_options={"allow_http": plain, "connect_timeout": timedelta(seconds=10), "timeout": _SECONDS},
                retry_config={
                    "max_retries": _TRIES,
                    "retry_timeout": timedelta(seconds=seconds),
                    "backoff": {"init_backoff": _FIRST_WAIT, "max_backoff": _LONGEST_WAIT, "base": 2},
                },
            )
        except (BaseError, ValueError) as error:
            raise UsageError(f"The S3 store {url} cannot be used: {_first_line(error)}.") from None
        return cls(store, url)

    def put(
        self, key: str, content: bytes | Path, *, once: bool = False, again_after: timedelta = timedelta.max
    ) -> None:
        """Write an object.

        Args:
            key: Its name.
            content: Its bytes, or a file of them.
            once: Whether one that is there already is left as it is; a server that cannot tell writes it again.
            again_after: With ``once``: one that was written longer ago is written again, so that it stays.
        """
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        with self._explained(key):
            found = self.listed(key) if once else None
            if found is not None and found.is_younger(again_after):
                return
            if not once or found is not None or size > _IN_ONE_PIECE:
                obstore.put(self._store, key, content)
                return
            try:
                obstore.put(self._store, key, content, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return

    def stream(self, key: str) -> Iterator[bytes]:
        """The bytes of an object, as they come.

        Raises:
            StoreError: there is none, too.
        """
        with self._explained(key):
            yield from (bytes(each) for each in obstore.get(self._store, key).stream(min_chunk_size=_CHUNK))

    def read(self, key: str, most: int) -> bytes | None:
        """The bytes of a small object; None when it is larger than ``most``, whatever its listing said."""
        found = bytearray()
        for chunk in self.stream(key):
            found += chunk
            if len(found) > most:
                return None
        return bytes(found)

    def listed(self, key: str) -> Listed | None:
        """One object, without its bytes; None when there is none."""
        with self._explained(key):
            try:
                found = obstore.head(self._store, key)
            except FileNotFoundError:
                return None
            return _listed(found)

    def all(self, prefix: str = "") -> Iterator[tuple[str, Listed]]:
        """Every object below a prefix by its name, however many there are."""
        with self._explained(prefix):
            for chunk in obstore.list(self._store, prefix=prefix or None):
                yield from ((each["path"], _listed(each)) for each in chunk)

    def below(self, prefix: str, most: int) -> dict[str, Listed]:
        """The objects below a prefix, by the rest of their names; no more than ``most`` of them."""
        return {name.removeprefix(f"{prefix}/"): each for name, each in islice(self.all(prefix), most)}

    def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        with self._explained(key):
            try:
                obstore.delete(self._store, key)
            except FileNotFoundError:
                return

    @contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise StoreError(f"There is no object {key} in {self._place}.") from None
        except (BaseError, ValueError, OSError) as error:
            raise StoreError(
                f"The S3 store {self._place} cannot be used ({key}): {_first_line(error)}.",
                hint="Look whether its server runs, and whether the credentials of the environment allow it.",
            ) from error


def _listed(found: ObjectMeta) -> Listed:
    return Listed(found["size"], f"{found['e_tag']} {found['last_modified']}", found["last_modified"])


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")[:300]
