"""Examinations that cost nothing: an ecosystem whose files cannot be rebuilt, and the parts around it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from rebuilder.clock import Clock
from rebuilder.ecosystems.registry import conventions
from rebuilder.ecosystems.unavailable_inputs import UnavailableInputs
from rebuilder.model.artifact import Subject
from rebuilder.model.attempt import Attempt
from rebuilder.model.definition import Limits
from rebuilder.model.evidence import Evidence, Obstacle
from rebuilder.model.value import sha256_hex
from rebuilder.model.verdict import Verdict
from rebuilder.provenance.checker import ProvenanceChecker
from rebuilder.stopwatch import CacheCounter, Stopwatch
from rebuilder.store.ledger import Ledger
from rebuilder.store.protocol import Blobs
from rebuilder.verification.steps import StepVerifier
from rebuilder.wiring import Wired
from tests.fakes.memo import MemoryMemo
from tests.fakes.progress import NoDisplay
from tests.fakes.sources import FakeSources
from tests.fakes.verifications import artifact

UNSUPPORTED = Obstacle(verdict=Verdict.UNSUPPORTED, sentence="Files of this kind cannot be rebuilt yet.")


def evidence_of(subject: Subject, obstacle: Obstacle = UNSUPPORTED) -> Evidence:
    """What is published about a wheel for which there is nothing to do."""
    of = artifact(subject.name, subject.version or "", sha256_hex(f"{subject.name} {subject.version}".encode()))
    if subject.filename is not None:
        of = of.replace(file=of.file.replace(filename=subject.filename))
    return Evidence(artifact=of, index_sha256=sha256_hex(b"index"), obstacle=obstacle)


class IdleEcosystem:
    """Stands for ``pypi``; ``during`` is called while a file is looked at, and may fail."""

    name = "pypi"

    def __init__(self, during: Callable[[Subject], None] = lambda _: None, obstacle: Obstacle = UNSUPPORTED) -> None:
        self.during = during
        self.obstacle = obstacle

    def evidence(self, subject: Subject) -> list[Evidence]:
        """One file."""
        self.during(subject)
        return [evidence_of(subject, self.obstacle)]

    def account(self, evidence: Evidence, attempts: tuple[Attempt, ...]) -> None:
        """Nobody knows how."""


def idle_parts(ledger: Ledger, blobs: Blobs, clock: Clock, ecosystem: IdleEcosystem) -> Wired:
    """What a worker needs to examine with such an ecosystem; whoever asks for a build has made a mistake."""
    nothing = cast("Any", None)
    stopwatch = Stopwatch(NoDisplay())
    checker = ProvenanceChecker(blobs, lambda: nothing, ledger, {}, clock, conventions=conventions)
    return Wired(
        ecosystems={"pypi": cast("Any", ecosystem)},
        blobs=blobs,
        journal=ledger,
        ledger=ledger,
        run=nothing,
        steps=StepVerifier(checker, FakeSources(blobs), stopwatch),
        environments=nothing,
        comparer=nothing,
        finisher=SimpleNamespace(finished=nothing),  # type: ignore[arg-type]
        find_carried=nothing,
        diffoscope=nothing,
        unavailable_inputs=UnavailableInputs(MemoryMemo(), clock),
        clock=clock,
        stopwatch=stopwatch,
        limits=Limits(),
        cache_counter=CacheCounter(),
        abandon=lambda: None,
    )
