"""Reads the files of a published site, from a directory, a web server or one file; nothing of it is believed here."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Self
from urllib.parse import quote

from rebuilder import __version__
from rebuilder.errors import UnavailableError, UsageError
from rebuilder.log.audit import LogError

_LARGEST = 64 << 20
_SECONDS = 30.0


class SiteReader:
    """Files of one site by their path below its root.

    Args:
        place: A directory, an http(s) address, or a bundle, as ``rebuilder export`` writes it (a ZIP archive).

    Raises:
        UsageError: it is neither.
    """

    def __init__(self, place: str) -> None:
        self._closing = ExitStack()
        self.is_bundle, self.is_remote = False, "://" in place
        """Whether it is one file, that is, a part of a site; whether each file is a request."""
        self._read: Callable[[str], bytes]
        if not self.is_remote:
            root = Path(place)
            if root.is_file():
                self.is_bundle = True
                self._read = self._bundle(root)
            elif root.is_dir():
                self._read = lambda path: self._from_disk(root / path)
            else:
                raise UsageError(
                    f"There is no directory and no bundle {place!r}.",
                    hint="Name a site: its directory, its address, or a bundle of it.",
                )
            return
        if not place.startswith(("https://", "http://")):
            raise UsageError(f"A site is read from a directory or by https, not from {place!r}.")
        import httpx

        self._base = place.rstrip("/") + "/"
        headers = {"User-Agent": f"rebuilder/{__version__}"}
        self._client = self._closing.enter_context(httpx.Client(timeout=_SECONDS, headers=headers))
        self._read = self._fetched

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def read(self, path: str) -> bytes:
        """The bytes of a file.

        Raises:
            FileNotFoundError: the site has none of that name.
            UnavailableError: the site does not answer, or sends more than any file has.
        """
        data = self._read(path)
        if len(data) > _LARGEST:
            raise UnavailableError(f"The file {path} of the site is larger than any that is read.")
        return data

    def reading(self, below: str) -> Callable[[str], bytes]:
        """A function that reads files below a directory of the site; one that is missing is a :class:`LogError`."""

        def read(path: str) -> bytes:
            try:
                return self.read(below + path)
            except FileNotFoundError:
                raise LogError(f"The file {below}{path} is missing.") from None

        return read

    def _bundle(self, file: Path) -> Callable[[str], bytes]:
        try:
            archive = self._closing.enter_context(zipfile.ZipFile(file))
        except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
            raise UsageError(f"The bundle {str(file)!r} cannot be read: {error}.") from None

        def read(path: str) -> bytes:
            try:
                with archive.open(path) as opened:
                    return opened.read(_LARGEST + 1)
            except KeyError:
                raise FileNotFoundError(path) from None
            except (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
                raise UnavailableError(f"{path} cannot be read from the bundle {str(file)!r}: {error}.") from None

        return read

    @staticmethod
    def _from_disk(file: Path) -> bytes:
        try:
            with file.open("rb") as opened:
                return opened.read(_LARGEST + 1)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise FileNotFoundError(str(file)) from None
        except OSError as error:
            raise UnavailableError(f"{file} cannot be read: {error.strerror}.") from None

    def _fetched(self, path: str) -> bytes:
        import httpx

        data = bytearray()
        try:
            with self._client.stream("GET", self._base + quote(path, safe="/+!~@")) as answer:
                if answer.status_code in {404, 410}:
                    raise FileNotFoundError(path)
                if answer.status_code != 200:
                    raise UnavailableError(f"The site answered {answer.status_code} for {path}.")
                for chunk in answer.iter_bytes():
                    data += chunk
                    if len(data) > _LARGEST:
                        break
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise UnavailableError(f"The site cannot be read ({type(error).__name__} for {path}).") from None
        return bytes(data)
