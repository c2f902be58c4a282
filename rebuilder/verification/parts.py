"""What a verification is made with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from rebuilder.clock import Clock
from rebuilder.compare.carried import FindCarried
from rebuilder.compare.comparer import Comparer
from rebuilder.compare.diffoscope import DiffoscopeRunner
from rebuilder.compare.finisher import Finisher
from rebuilder.ecosystems.protocol import Ecosystem
from rebuilder.ecosystems.unavailable_inputs import UnavailableInputs
from rebuilder.model.alarm import Alarm
from rebuilder.model.artifact import Artifact, PinResult
from rebuilder.model.attempt import Attempt, History, NotTried, Run
from rebuilder.model.definition import Limits
from rebuilder.model.report import Report
from rebuilder.model.work import Order
from rebuilder.sandbox.protocol import Runner
from rebuilder.stopwatch import CacheCounter, Stopwatch, WatchedEnvironments
from rebuilder.store.protocol import Blobs
from rebuilder.verification.steps import StepVerifier


class Journal(Protocol):
    """Keeps what was pinned, begun, tried and found; every method is one transaction.

    All raise :class:`rebuilder.errors.StoreError` when nothing can be kept.
    """

    def pin(self, artifact: Artifact, now: datetime) -> PinResult:
        """Remember the digest a file has, and say which others it had before."""
        ...

    def raise_alarm(self, alarm: Alarm) -> bool:
        """Keep an alarm; True when it is new or open again."""
        ...

    def alarms(self, purl: str | None = None) -> list[Alarm]:
        """Alarms that are open, or those of one release; newest first."""
        ...

    def begin(self, artifact: Artifact, now: datetime, order: Order | None = None) -> int:
        """Start a verification, for a queued order or (None) without the queue, and give its number."""
        ...

    def resume(self, artifact: Artifact, since: datetime, order: Order | None = None) -> tuple[int, datetime] | None:
        """Take up again the newest verification of an artifact, if its process went away after ``since``.

        Returns:
            Its number and when it was begun; None when there is none that anything was tried in for such an order.
        """
        ...

    def add_attempt(self, number: int, ordinal: int, attempt: Attempt) -> None:
        """Keep an attempt as soon as it has ended, so that nothing done is lost when the process is."""
        ...

    def add_not_tried(self, number: int, ordinal: int, missing: NotTried) -> None:
        """Keep that a hypothesis could not be tried."""
        ...

    def recorded(self, number: int) -> History:
        """What was tried in a verification, in order."""
        ...

    def earlier_run(self, definition_sha256: str, since: datetime) -> Run | None:
        """The newest run of a definition that completed after ``since``, in any verification; None: there is none."""
        ...

    def examined(self, number: int, report: Report) -> None:
        """Keep the unsigned report of a verification: whoever has a key goes on."""
        ...

    def fail(self, number: int, sentence: str, now: datetime) -> None:
        """End a verification that failed on our side; what was tried in it is kept, and may be gone on with."""
        ...


@dataclass(frozen=True)
class Parts:
    """The real (or fake) parts of a coordinator; see ``wiring``. No key is among them."""

    ecosystems: Mapping[str, Ecosystem]
    blobs: Blobs
    journal: Journal
    run: Runner
    steps: StepVerifier
    environments: WatchedEnvironments
    comparer: Comparer
    finisher: Finisher
    find_carried: FindCarried
    diffoscope: DiffoscopeRunner
    unavailable_inputs: UnavailableInputs
    clock: Clock
    stopwatch: Stopwatch
    limits: Limits
    """What one build may use, where an order says nothing else."""
    cache_counter: CacheCounter
    abandon: Callable[[], None]
    """Ends all sandboxes at once; nothing can be examined afterwards."""
