"""Reads the files of a published site, from a directory or from a web server; nothing that is read is believed here."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Self
from urllib.parse import quote

from rebuilder import __version__
from rebuilder.errors import UnavailableError, UsageError

_LARGEST = 64 << 20
_SECONDS = 30.0


class SiteReader:
    """Files of one site by their path below its root.

    Args:
        place: A directory, or an http(s) address.

    Raises:
        UsageError: it is neither.
    """

    def __init__(self, place: str) -> None:
        self._closing = ExitStack()
        self._root: Path | None = None
        if "://" not in place:
            self._root = Path(place)
            if not self._root.is_dir():
                raise UsageError(f"There is no directory {place!r}.", hint="Name a site: its directory or its address.")
            return
        if not place.startswith(("https://", "http://")):
            raise UsageError(f"A site is read from a directory or by https, not from {place!r}.")
        import httpx

        self._base = place.rstrip("/") + "/"
        headers = {"User-Agent": f"rebuilder/{__version__}"}
        self._client = self._closing.enter_context(httpx.Client(timeout=_SECONDS, headers=headers))

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
        data = self._from_disk(self._root / path) if self._root is not None else self._fetched(path)
        if len(data) > _LARGEST:
            raise UnavailableError(f"The file {path} of the site is larger than any that is read.")
        return data

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
