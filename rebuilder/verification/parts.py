"""What a verification is made with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rebuilder.clock import Clock
from rebuilder.compare.carried import FindCarried
from rebuilder.compare.comparer import Comparer
from rebuilder.compare.diffoscope import DiffoscopeRunner
from rebuilder.compare.finisher import Finisher
from rebuilder.ecosystems.protocol import Ecosystem
from rebuilder.model.definition import Limits
from rebuilder.sandbox.protocol import Runner
from rebuilder.stopwatch import CacheCounter, Stopwatch, WatchedEnvironments
from rebuilder.store.protocol import Blobs
from rebuilder.verification.journal import Journal
from rebuilder.verification.steps import StepVerifier


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
    clock: Clock
    stopwatch: Stopwatch
    limits: Limits
    """What one build may use, where an order says nothing else."""
    cache_counter: CacheCounter
    abandon: Callable[[], None]
    """Ends all sandboxes at once; nothing can be examined afterwards."""
