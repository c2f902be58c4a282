"""Everything the PyPI ecosystem needs, without network, sandbox or build environments."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from rebuilder.ecosystems.pypi.context import PlanningContext
from rebuilder.ecosystems.pypi.ecosystem import PyPI
from rebuilder.environments.protocol import BuildEnvironment, Environments, Wanted
from rebuilder.model.attempt import Attempt, Hypothesis, Limit, Outcome, Output, Run
from rebuilder.model.comparison import Comparison, Level
from rebuilder.model.definition import BuildDefinition, Input, Role
from rebuilder.model.report import EnvironmentSummary
from rebuilder.model.value import Sha256, sha256_hex
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.fetcher import FakeFetcher
from tests.fakes.memo import MemoryMemo
from tests.fakes.programs import InProcessPrograms
from tests.fakes.projects import Distribution, minibackend_wheel
from tests.fakes.resolver import FakeResolver
from tests.fakes.sources import FakeSources

INDEX = "https://example.org/simple"
UPLOADED = datetime(2025, 3, 2, tzinfo=UTC)
PYTHONS = {"bullseye": "3.9", "bookworm": "3.11", "trixie": "3.13", "forky": "3.14"}
PYTHONS |= {f"{name}-git": python for name, python in PYTHONS.items()} | {"python2": "3.9"}


def run(outcome: Outcome = Outcome.COMPLETED, *outputs: Output, limit: Limit | None = None) -> Run:
    """What a sandbox would report."""
    return Run(
        outcome=outcome,
        exit_code=None if limit else 0 if outcome is Outcome.COMPLETED else 70,
        limit=limit,
        outputs=outputs,
        log_sha256=sha256_hex(b""),
        wall_seconds=1,
        cpu_seconds=1,
        peak_memory_bytes=1,
        sandbox_version="fake 1",
        started=UPLOADED,
    )


class FakeEnvironments(Environments):
    """Implements :class:`rebuilder.environments.protocol.Environments` with names alone."""

    def get(self, wanted: Wanted) -> BuildEnvironment:
        """See :class:`rebuilder.environments.protocol.Environments`."""
        assert isinstance(wanted, str)
        name = wanted
        return self._environment(name, sha256_hex(name.encode()))

    def by_digest(self, sha256: str) -> BuildEnvironment:
        """See :class:`rebuilder.environments.protocol.Environments`."""
        return next(each for name in PYTHONS if (each := self.get(name)).sha256 == sha256)

    def remake(self, name: str) -> BuildEnvironment:
        """See :class:`rebuilder.environments.protocol.Environments`."""
        return self.get(name)

    def _environment(self, name: str, digest: Sha256) -> BuildEnvironment:
        summary = EnvironmentSummary(name=name, sha256=digest, packages=())
        return BuildEnvironment(
            name=name, sha256=digest, root=Path("/nowhere"), provides={"python": PYTHONS[name]}, summary=summary
        )


@dataclass
class Surroundings:
    """An index with a build backend, and the ecosystem that looks at it."""

    blobs: MemoryBlobs = field(default_factory=MemoryBlobs)
    resolver: FakeResolver = field(default_factory=FakeResolver)
    memo: MemoryMemo = field(default_factory=MemoryMemo)
    asked: list[BuildDefinition] = field(default_factory=list)
    """Definitions that were run to ask a backend for its requirements."""
    requires: Any = field(default_factory=list)
    """What the backend answers; None when asking fails."""
    max_file_bytes: int = 1 << 20
    sandboxes: frozenset[str] = frozenset({"bubblewrap"})
    """Kinds definitions can be run in."""
    clock: Literal["archive", "kernel"] = "archive"
    """Whether a clock is set where only times in the archive are left."""

    def __post_init__(self) -> None:
        self.fetcher = FakeFetcher(self.blobs)
        self.programs = InProcessPrograms(self.blobs)
        self.sources = FakeSources(self.blobs)
        self._pages: dict[str, list[dict[str, Any]]] = {}
        self.add_dependency(minibackend_wheel())

    @property
    def pypi(self) -> PyPI:
        """The ecosystem, as a new process would have it."""
        context = PlanningContext(
            fetcher=self.fetcher,
            blobs=self.blobs,
            programs=self.programs,
            run=self._run,
            resolver=self.resolver,
            environments=FakeEnvironments(),
            uv_input=self._uv,
            memo=self.memo,
            max_file_bytes=self.max_file_bytes,
            sandboxes=self.sandboxes,
            clock=self.clock,
        )
        return PyPI(INDEX, context)

    def add_dependency(self, distribution: Distribution, uploaded: datetime = datetime(2020, 1, 1, tzinfo=UTC)) -> None:
        """Publish something builds may need."""
        url = self.fetcher.serve(f"https://example.org/{distribution.filename}", distribution.data)
        self.resolver.add(distribution, uploaded=uploaded, url=url)

    def publish(self, *distributions: Distribution, **fields: Any) -> None:
        """List files; ``fields`` are those of their index entries."""
        for each in distributions:
            url = self.fetcher.serve(f"https://example.org/files/{each.filename}", each.data)
            entry = {
                "filename": each.filename,
                "url": url,
                "hashes": {"sha256": each.sha256},
                "size": len(each.data),
                "upload-time": UPLOADED.isoformat(),
            }
            entries = self._pages.setdefault(each.project, [])
            entries.append(entry | fields)
            page = {"meta": {"api-version": "1.1"}, "name": each.project, "files": entries}
            self.fetcher.serve(f"{INDEX}/{each.project}/", json.dumps(page).encode())

    def _uv(self) -> Input:
        return Input(role=Role.BUILD_TOOL, name="uv", sha256=self.blobs.put(b"uv"), path="/tools/uv", executable=True)

    def _run(self, definition: BuildDefinition) -> Run:
        self.asked.append(definition)
        if self.requires is None:
            return run(Outcome.BUILD_FAILED)
        content = json.dumps({"requires": self.requires}).encode()
        return run(
            Outcome.COMPLETED, Output(filename="requires.json", sha256=self.blobs.put(content), size=len(content))
        )


def attempt(hypothesis: Hypothesis, level: Level | None, limit: Limit | None = None) -> Attempt:
    """An attempt that ended at this level; without one the build failed, or was stopped at a limit."""
    if level is None:
        outcome = Outcome.TIMED_OUT if limit else Outcome.BUILD_FAILED
        return Attempt(hypothesis=hypothesis, run=run(outcome, limit=limit))
    rebuilt = Output(filename=hypothesis.target, sha256=Sha256("cd" * 32), size=1)
    comparison = Comparison(level=level, published_sha256=Sha256("ab" * 32), rebuilt_sha256=rebuilt.sha256)
    return Attempt(hypothesis=hypothesis, run=run(), rebuilt=rebuilt, comparison=comparison)
