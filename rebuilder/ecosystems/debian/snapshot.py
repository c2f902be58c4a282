"""Files that Debian's archive had once, from a service that keeps all of them, or from a directory laid out like it.

The layout is that of Debian's own service: ``mr/binary/NAME/VERSION/binfiles`` and ``mr/package/NAME/VERSION/srcfiles``
list files by their SHA-1 in JSON, and ``file/SHA1`` is one. A SHA-1 only finds a file: what a signed list binds is
checked by its SHA-256, and what none binds is nobody's word but the service's.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

from rebuilder.ecosystems.debian.index import IndexedFile
from rebuilder.errors import FetchMismatchError, FileGoneError, UnavailableError
from rebuilder.foreign_json import read_json
from rebuilder.model.value import Sha256
from rebuilder.network.protocol import Fetcher
from rebuilder.store.protocol import Blobs

_DOCUMENT_BYTES = 8 << 20
_ARCHIVES = frozenset({"debian", "debian-security"})
"""Of those that the service keeps; others are not Debian's, or of other architectures."""
_SHA1 = re.compile(r"[0-9a-f]{40}", re.ASCII)
_PATH = re.compile(r"/?(?:[A-Za-z0-9][A-Za-z0-9.+~_-]*/)*[A-Za-z0-9][A-Za-z0-9.+~_-]*", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~_%:-]*", re.ASCII)
_CHUNK = 1 << 20
UNNAMED = "snapshot:"
"""What addresses begin with that stand for a directory of this machine, which is nobody's business."""


class SnapshotFile(NamedTuple):
    """A file that is kept."""

    name: str
    """As the archive calls it."""
    path: str
    """Below an archive's address, as it was there."""
    size: int
    """Bytes."""
    sha1: str
    """What it is found by; nothing is bound by it."""


class Snapshot:
    """The service.

    Args:
        place: Its address (``https://…``), or the absolute path of a directory.
        fetcher: Reaches it.
        blobs: Where files are put.
    """

    def __init__(self, place: str, fetcher: Fetcher, blobs: Blobs) -> None:
        self._place = place.rstrip("/")
        self._fetcher = fetcher
        self._blobs = blobs
        self._directory = Path(place) if place.startswith("/") else None

    def of_binary(self, name: str, version: str) -> list[SnapshotFile]:
        """The files of a binary package in one version, for every architecture.

        Raises:
            UnavailableError: the service does not answer, or says something that is no list.
        """
        return self._listed(f"mr/binary/{quote(name, safe='')}/{quote(version, safe='')}/binfiles")

    def of_source(self, name: str, version: str) -> list[SnapshotFile]:
        """The files of a source package.

        Raises:
            UnavailableError: see :meth:`of_binary`.
        """
        return self._listed(f"mr/package/{quote(name, safe='')}/{quote(version, safe='')}/srcfiles")

    def address(self, file: SnapshotFile) -> str:
        """Where a file is, as a report may name it."""
        return f"{self._place if self._directory is None else UNNAMED}/file/{file.sha1}"

    def digest(self, file: SnapshotFile, max_bytes: int) -> Sha256 | None:
        """Take an unbound file into the blobs, and say which bytes it has; None when it is not there.

        Raises:
            UnavailableError: the service does not answer.
            FetchMismatchError: it is larger than ``max_bytes``.
        """
        if self._directory is not None:
            return self._copied(file, max_bytes)
        found = self._fetcher.digest(self.address(file), max_bytes=max_bytes)
        return self._fetcher.file(self.address(file), sha256=found, max_bytes=max_bytes) if found else None

    def take(self, wanted: IndexedFile, among: list[SnapshotFile]) -> str | None:
        """Take a file whose SHA-256 is known into the blobs; where it is from, None when it is not there.

        Raises:
            UnavailableError: the service does not answer, or has other bytes than the archive signed.
        """
        for each in among:
            if (each.name, each.size) != (wanted.name, wanted.size):
                continue
            if self._directory is None:
                with contextlib.suppress(FileGoneError):
                    self._fetcher.file(self.address(each), sha256=wanted.sha256, max_bytes=wanted.size)
                    return self.address(each)
            elif (found := self._copied(each, wanted.size)) == wanted.sha256:
                return self.address(each)
            elif found is not None:
                raise FetchMismatchError(f"The snapshot has {wanted.name} with other bytes than the archive signed.")
        return None

    def _copied(self, file: SnapshotFile, max_bytes: int) -> Sha256 | None:
        """A file of the directory, as a blob."""
        path = self._directory / "file" / file.sha1 if self._directory else Path()
        if not path.is_file():
            return None
        try:
            with path.open("rb") as data:
                if hashlib.file_digest(data, "sha1").hexdigest() != file.sha1:
                    raise FetchMismatchError(f"The snapshot has {file.name} with other bytes than it says.")
                data.seek(0)
                return self._blobs.put_stream(iter(lambda: data.read(_CHUNK), b""), max_bytes=max_bytes)[0]
        except OSError as error:
            raise UnavailableError(f"The snapshot cannot be read: {error.strerror}.") from None

    def _listed(self, path: str) -> list[SnapshotFile]:
        data = self._document(path)
        if data is None:
            return []
        try:
            document = read_json(data)
            result, info = document["result"], document["fileinfo"]
            hashes = [each["hash"] for each in result]
            return list(dict.fromkeys(file for sha1 in hashes for file in _files(sha1, info[sha1])))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UnavailableError(f"The snapshot's list {path[:200]} is none.") from None

    def _document(self, path: str) -> bytes | None:
        if self._directory is None:
            found = self._fetcher.document(
                f"{self._place}/{path}?fileinfo=1", accept="application/json", max_bytes=_DOCUMENT_BYTES
            )
            return found.content if found is not None else None
        place = self._directory / unquote(path)
        try:
            return place.read_bytes() if place.is_file() else None
        except OSError as error:
            raise UnavailableError(f"The snapshot cannot be read: {error.strerror}.") from None


def _files(sha1: str, places: list[dict[str, object]]) -> Iterator[SnapshotFile]:
    """The names that one file had; those that are none, and other archives, are passed over.

    Raises:
        ValueError, TypeError, KeyError: this is no description of one.
    """
    if not _SHA1.fullmatch(sha1):
        raise ValueError("no SHA-1")
    for each in places:
        name, path, size = each["name"], each["path"], each["size"]
        if each.get("archive_name") not in _ARCHIVES or not isinstance(size, int) or isinstance(size, bool):
            continue
        if not isinstance(name, str) or not isinstance(path, str) or size < 0:
            continue
        if _NAME.fullmatch(name) and _PATH.fullmatch(path):
            yield SnapshotFile(name, f"{path.strip('/')}/{name}", size, sha1)
