"""Wall time by stage, told on to whoever shows progress, and bytes that were moved meanwhile."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rebuilder.byte_counter import MOVED, ByteCounter
from rebuilder.environments.protocol import BuildEnvironment, Environments, LayerPackage, Wanted
from rebuilder.model.environment import Release
from rebuilder.model.report import Stage, Transferred


class CacheCounter:
    """Hits and misses by kind of cache; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted: Counter[tuple[str, bool]] = Counter()

    def count(self, kind: str, *, hit: bool) -> None:
        """One question to the cache of this kind."""
        with self._lock:
            self._counted[kind, hit] += 1

    def take(self) -> dict[str, tuple[int, int]]:
        """Hits and misses by kind since the last time."""
        with self._lock:
            counted, self._counted = self._counted, Counter()
        return {kind: (counted[kind, True], counted[kind, False]) for kind in {kind for kind, _ in counted}}


class Stopwatch:
    """Adds up the seconds each stage of one artifact takes. Stages follow each other; they do not nest."""

    def __init__(
        self, progress: Progress, *, seconds: Callable[[], float] = time.monotonic, bytes_moved: ByteCounter = MOVED
    ) -> None:
        self._progress = progress
        self._now = seconds
        self._bytes_moved = bytes_moved
        self._before = bytes_moved.moved
        self._spent: dict[Stage, float] = {}
        self._current: Stage | None = None
        self._since = 0.0

    def begin(self, subject: str) -> None:
        """Start over for the next artifact of ``subject``."""
        self._progress.subject(subject)
        self._spent = {}
        self._current = None
        self._before = self._bytes_moved.moved

    def stage(self, stage: Stage, detail: str = "") -> None:
        """The current stage ends and ``stage`` begins, or goes on after an interruption."""
        self._close()
        self._current = stage
        self._progress.stage(stage, detail)

    @contextmanager
    def within(self, stage: Stage) -> Iterator[None]:
        """Count what happens inside for ``stage``, then go on with the current one; shows nothing."""
        self._close()
        interrupted, self._current = self._current, stage
        try:
            yield
        finally:
            self._close()
            self._current = interrupted

    def show(self, detail: str) -> None:
        """Tell the display what the running stage is busy with."""
        if self._current is not None:
            self._progress.stage(self._current, detail)

    def end(self) -> dict[Stage, float]:
        """No stage is running any more; give what each took, in seconds."""
        self._close()
        self._current = None
        return dict(self._spent)

    @property
    def seconds(self) -> dict[Stage, float]:
        """Seconds by stage so far, the running one included, to the millisecond."""
        self._close()
        return {stage: round(spent, 3) for stage, spent in self._spent.items()}

    @property
    def transferred(self) -> Transferred:
        """Bytes that this process has moved since the artifact was begun."""
        (fetched, written), before = self._bytes_moved.moved, self._before
        return Transferred(fetched=fetched - before[0], written=written - before[1])

    def _close(self) -> None:
        now = self._now()
        if self._current is not None:
            self._spent[self._current] = self._spent.get(self._current, 0.0) + now - self._since
        self._since = now


class WatchedEnvironments:
    """Build environments whose making and checking counts as a stage of its own, whichever stage asked for them.

    It is shown only when it takes long: give :meth:`Stopwatch.show` to what makes them.

    A check looks at thousands of files, and one artifact asks for its environments many times, by name and by digest:
    what was checked at most ``recent`` seconds ago is not checked again.
    """

    def __init__(
        self,
        environments: Environments,
        stopwatch: Stopwatch,
        *,
        recent: float = 60.0,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environments = environments
        self._stopwatch = stopwatch
        self._recent = recent
        self._now = seconds
        self._checked: dict[str, tuple[float, BuildEnvironment]] = {}
        self.seen: dict[str, BuildEnvironment] = {}
        """By digest: those that were asked for, as they were when they were last checked."""

    def get(self, wanted: Wanted) -> BuildEnvironment:
        """See :meth:`rebuilder.environments.protocol.Environments.get`."""
        key = wanted if isinstance(wanted, str) else repr(wanted)
        return self._watched(key, lambda: self._environments.get(wanted))

    def by_digest(self, sha256: str) -> BuildEnvironment:
        """See :meth:`rebuilder.environments.protocol.Environments.by_digest`."""
        return self._watched(sha256, lambda: self._environments.by_digest(sha256))

    def remake(self, name: str) -> BuildEnvironment:
        """See :meth:`rebuilder.environments.protocol.Environments.remake`."""
        self._checked.pop(name, None)
        return self._watched(name, lambda: self._environments.remake(name))

    def layered(
        self, base: BuildEnvironment, packages: Sequence[LayerPackage], releases: Sequence[Release]
    ) -> BuildEnvironment:
        """See :meth:`rebuilder.environments.protocol.Environments.layered`."""
        key = repr((base.sha256, sorted(repr(each.package) for each in packages)))
        return self._watched(key, lambda: self._environments.layered(base, packages, releases))

    def _watched(self, what: str, ask: Callable[[], BuildEnvironment]) -> BuildEnvironment:
        since, environment = self._checked.get(what, (0.0, None))
        if environment is None or self._now() - since > self._recent:
            with self._stopwatch.within(Stage.ENVIRONMENT):
                environment = ask()
            self._checked[what] = self._checked[environment.sha256] = self._now(), environment
        self.seen[environment.sha256] = environment
        return environment


class Progress(Protocol):
    """Who is told which stage an artifact is in."""

    def subject(self, name: str) -> None:
        """Work on another subject begins; ``name`` is what the user called it."""
        ...

    def stage(self, stage: Stage, detail: str = "") -> None:
        """A stage begins; the one before it has ended."""
        ...
