"""What a policy says about files that an index lists: asked once for each file, and kept for a while."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Self

from rebuilder.consumer.answer import Answer
from rebuilder.consumer.check import Panel, Speaker, check
from rebuilder.consumer.lock_files import Dependency
from rebuilder.consumer.platform_files import Target
from rebuilder.consumer.policy import Policy
from rebuilder.consumer.rebuilder import Trusted

_KEPT_SECONDS = 300.0
"""How long an answer is kept, and how long before the logs of the rebuilders are looked at again."""
_MOST = 200_000


class Gate:
    """Answers about files; any thread may ask. A context: the sites are closed at its end.

    Args:
        trusted: The rebuilders.
        policy: What is asked of a file.
        memory: Directory where what was seen is remembered.
        others: Whom to ask besides, from this machine.
    """

    def __init__(
        self,
        trusted: Sequence[Trusted],
        policy: Policy,
        memory: Path,
        *,
        others: Sequence[Speaker] = (),
    ) -> None:
        self._trusted, self._policy, self._memory = trusted, policy, memory
        self._others = others
        self._lock = Lock()
        self._panel = self._opened()
        self._since = time.monotonic()
        self._known: dict[tuple[str, str], Answer] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._panel.__exit__()

    @property
    def refused(self) -> list[str]:
        """What is wrong with a rebuilder as a whole, as sentences; while there is something, nothing passes."""
        return self._panel.refused

    @property
    def unread(self) -> list[str]:
        """Rebuilders that could not be read, as sentences."""
        return self._panel.unread

    def answers(self, files: Sequence[Dependency]) -> list[Answer]:
        """The answers about files, each a dependency with that file only; in their order.

        Raises:
            UsageError: the policy asks for more rebuilders than there are.
            StoreError: what was seen cannot be remembered.
        """
        with self._lock:
            self._refresh()
            fresh = [each for each in files if _key(each) not in self._known]
            if fresh:
                outcome = check(fresh, self._panel, self._policy, Target(every=True), None)
                self._panel.remember()
                if len(self._known) > _MOST:
                    self._known.clear()
                self._known |= {_key(each.dependency): each for each in outcome.answers}
            return [self._known[_key(each)] for each in files]

    def _refresh(self) -> None:
        if time.monotonic() - self._since < _KEPT_SECONDS:
            return
        self._panel.__exit__()
        self._panel, self._since = self._opened(), time.monotonic()
        self._known.clear()

    def _opened(self) -> Panel:
        return Panel(self._trusted, self._memory, datetime.now(UTC), self._others)


def _key(dependency: Dependency) -> tuple[str, str]:
    file = dependency.files[0]
    return f"{dependency.ecosystem} {dependency.name} {file.filename} {dependency.objection}", file.digest or ""
