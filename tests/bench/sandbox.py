"""What a sandbox costs over a bare process."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rebuilder.clock import SystemClock
from rebuilder.environments.store import EnvironmentStore
from rebuilder.model.attempt import Outcome
from rebuilder.model.definition import BuildDefinition, EnvironmentRef
from rebuilder.sandbox.bubblewrap.sandbox import BubblewrapSandbox
from rebuilder.store.blobs import DiskBlobs


@dataclass(frozen=True)
class Overhead:
    """Median seconds over a bare process."""

    sandbox: float
    bwrap: float


def sandbox_overhead(work: Path, environments: Path, *, runs: int) -> Overhead:
    """Run ``true`` bare, in a bare bwrap, and in our sandbox, in turn."""
    environment = EnvironmentStore(environments, SystemClock()).get("bookworm")
    definition = BuildDefinition(
        build_type="tag:rebuilder,2026:bench",
        purl="pkg:generic/bench",
        targets=("none",),
        toolchain=EnvironmentRef(name=environment.name, sha256=environment.sha256),
        commands=(("/usr/bin/true",),),
        environment={"PATH": "/usr/bin"},
    )
    sandbox = BubblewrapSandbox(DiskBlobs(work / "bench-blobs"), SystemClock(), scratch=work / "scratch")

    def in_sandbox() -> None:
        run = sandbox.run(definition, root=environment.root, inputs={})
        assert run.outcome is Outcome.COMPLETED, run

    def program(*command: str) -> Callable[[], None]:
        def run() -> None:
            subprocess.run(command, check=True)

        return run

    actions = (
        program("true"),
        program("bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"),
        in_sandbox,
    )
    rounds = [[timed(action) for action in actions] for _ in range(runs + 3)][3:]
    sandbox.close()
    return Overhead(
        sandbox=statistics.median(inside - bare for bare, _, inside in rounds),
        bwrap=statistics.median(bwrap - bare for bare, bwrap, _ in rounds),
    )


def timed(action: Callable[[], None]) -> float:
    """Seconds one call takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
