"""What a policy says about files, one at a time: asked once for each file, and kept for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Self

from rebuilder.consumer.answer import Answer, Standing
from rebuilder.consumer.check import Panel, Speaker, check
from rebuilder.consumer.lock_files import Dependency
from rebuilder.consumer.platform_files import Target
from rebuilder.consumer.policy import Policy
from rebuilder.consumer.rebuilder import Trusted
from rebuilder.errors import RebuilderError, UsageError

KEPT_SECONDS = 300.0
"""How long answers are kept before they are asked for again behind the scenes; nothing older than twice that counts."""
UNREAD_SECONDS = 30.0
"""The same while a rebuilder cannot be read."""
_MOST = 200_000
_MOST_ASKED_AGAIN = 2000
Key = tuple[Any, ...]


class Gate:
    """Answers about files; any thread may ask. A context: the sites are closed at its end.

    An answer is kept for everything that was asked (package, version, file and digest), so that no question can change
    the answer to another one. While the sites are looked at anew, the answers of before are given.

    Args:
        trusted: The rebuilders.
        policy: What is asked of a file.
        memory: Directory where what was seen is remembered.
        others: Whom to ask besides, from this machine.
        clock: Seconds that only grow.

    Raises:
        UsageError: the policy asks for more rebuilders than there are.
    """

    def __init__(
        self,
        trusted: Sequence[Trusted],
        policy: Policy,
        memory: Path,
        *,
        others: Sequence[Speaker] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if policy.need > len(trusted) + len(others):
            raise UsageError(
                f"{policy.need} rebuilders must confirm each file, and the policy names {len(trusted) + len(others)}.",
                hint="Name them in [[rebuilders]]; docs/check.md shows how.",
            )
        self._trusted, self.policy, self._memory = trusted, policy, memory
        self._others, self._clock = others, clock
        self._asking, self._renewing = Lock(), Lock()
        self._panel, self._since, self._fresh = self._opened(), clock(), KEPT_SECONDS
        self._known: dict[Key, Answer] = {}
        self._used: dict[Key, Dependency] = {}
        self._take(self._panel, {})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._renewing:
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
        """The answers about files, each a dependency with at most that file; in their order.

        Raises:
            StoreError: what was seen cannot be remembered.
        """
        self._keep_fresh()
        keyed = [(_key(each), each) for each in files]
        found = self._found(dict(keyed))
        if len(found) < len(dict(keyed)):
            with self._asking:
                lacking = {key: each for key, each in keyed if key not in found}
                found |= self._found(lacking)
                found |= self._asked(self._panel, {key: each for key, each in lacking.items() if key not in found})
        return [replace(found[key], dependency=each) for key, each in keyed]

    def _found(self, keys: dict[Key, Dependency]) -> dict[Key, Answer]:
        found = {key: answer for key in keys if (answer := self._known.get(key)) is not None}
        if len(self._used) < _MOST_ASKED_AGAIN:
            self._used |= keys
        return found

    def _asked(self, panel: Panel, files: dict[Key, Dependency]) -> dict[Key, Answer]:
        """Ask the rebuilders of a panel, and keep what they say if it is the present one."""
        if not files:
            return {}
        outcome = check([*files.values()], panel, self.policy, Target(every=True), None)
        panel.remember()
        found = dict(zip(files, outcome.answers, strict=True))
        if panel is self._panel:
            if len(self._known) > _MOST:
                self._known = {}
            self._known |= found
            if any(each.standing is Standing.UNANSWERED for each in found.values()):
                self._fresh = min(self._fresh, self._clock() - self._since + UNREAD_SECONDS)
        return found

    def _keep_fresh(self) -> None:
        age = self._clock() - self._since
        if age >= 2 * KEPT_SECONDS:  # nobody asked for long: what is known says nothing any more
            with self._renewing:
                if self._clock() - self._since >= 2 * KEPT_SECONDS:
                    self._renew(again=False)
        elif age >= self._fresh and self._renewing.acquire(blocking=False):
            Thread(target=self._renew_behind, daemon=True).start()

    def _renew_behind(self) -> None:
        try:
            self._renew(again=True)
        except RebuilderError:  # whoever asks once the answers are too old is told
            self._fresh = self._clock() - self._since + UNREAD_SECONDS
        finally:
            self._renewing.release()

    def _renew(self, *, again: bool) -> None:
        """Look at the sites anew, and ask again what was asked lately."""
        panel = self._opened()
        try:
            known = self._asked(panel, dict(self._used)) if again else {}
        except RebuilderError:
            panel.__exit__()
            raise
        with self._asking:
            before = self._panel
            self._take(panel, known)
            before.__exit__()

    def _take(self, panel: Panel, known: dict[Key, Answer]) -> None:
        self._panel, self._known, self._since = panel, known, self._clock()
        self._used = {}
        unread = panel.unread or any(each.standing is Standing.UNANSWERED for each in known.values())
        self._fresh = UNREAD_SECONDS if unread else KEPT_SECONDS

    def _opened(self) -> Panel:
        return Panel(self._trusted, self._memory, datetime.now(UTC), self._others)


def _key(asked: Dependency) -> Key:
    """Everything but the place where it stands: what the answer follows from."""
    return (asked.ecosystem, asked.name, asked.version, asked.files, asked.problem, asked.objection)
