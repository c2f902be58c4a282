"""The names of a project's files, of the index that pip and uv use: asked only where a lock file does not say them."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rebuilder.network.index_reader import IndexReader


class IndexNames:
    """Asks the index once for each project, and nobody before the first. A context: its connections are closed.

    Args:
        index_url: Instead of the one of the settings.
    """

    def __init__(self, index_url: str | None = None) -> None:
        self._index_url = index_url
        self._reader: IndexReader | None = None
        self._known: dict[str, dict[str, str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reader is not None:
            self._reader.close()

    def __call__(self, project: str) -> dict[str, str]:
        """File names by SHA-256.

        Raises:
            UsageError: the settings of pip and uv cannot be understood.
            UnavailableError: the index does not answer, or not with JSON.
        """
        if project not in self._known:
            if self._reader is None:
                from rebuilder.ecosystems.pypi.settings import index_settings
                from rebuilder.network.index_reader import IndexReader

                settings = index_settings(self._index_url)
                self._reader = IndexReader(settings.index_url, settings.ca_bundle)
            self._known[project] = self._reader.names(project)
        return self._known[project]
