"""What planning worked out about the evidence at hand."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from rebuilder.ecosystems.obstacles import NotRebuildable
from rebuilder.model.evidence import Evidence

_Made = TypeVar("_Made")


class Notebook:
    """What planning worked out about the evidence at hand; forgotten when other evidence is.

    A plan starts from the beginning after every attempt (:mod:`rebuilder.model.attempt`): nothing is chosen, fetched or
    listed again for that.
    """

    def __init__(self) -> None:
        self._about: Evidence | None = None
        self._found: dict[Hashable, Any] = {}

    def once(self, about: Evidence, key: Hashable, make: Callable[[], _Made]) -> _Made:
        """What ``make`` gave when it was first asked for this key; its obstacle is kept, too.

        Args:
            about: The evidence, which is the same object as long as it is at hand.
            key: Of everything else that it depends on.
            make: Works it out.

        Raises:
            NotRebuildable: by ``make``.
        """
        if about is not self._about:
            self._about, self._found = about, {}
        if key not in self._found:
            try:
                self._found[key] = make()
            except NotRebuildable as stopped:
                self._found[key] = stopped
        found = self._found[key]
        if isinstance(found, NotRebuildable):
            raise found.with_traceback(None)
        made: _Made = found
        return made
