"""Sandbox programs without a sandbox, for fast tests."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rebuilder.model.attempt import Limit, Outcome, Run
from rebuilder.model.definition import Input, Limits, Role
from rebuilder.programs.command import run as run_program
from rebuilder.programs.families import PROGRAMS
from rebuilder.sandbox.protocol import PROGRAM_LIMITS, ProgramResult
from rebuilder.store.protocol import Blobs

_NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class InProcessPrograms:
    """A :class:`sandbox.protocol.Programs` by calling the program here, with files in a temporary directory."""

    def __init__(self, blobs: Blobs, *, limit: Limit | None = None, exit_code: int = 0) -> None:
        """With ``limit`` or ``exit_code``, every run ends that way and writes nothing."""
        self._blobs = blobs
        self.limit, self.exit_code = limit, exit_code
        self.runs: list[tuple[str, tuple[str, ...]]] = []
        """Programs and arguments, in order."""

    def run(
        self,
        family: str,
        program: str,
        arguments: Sequence[str],
        *,
        inputs: Sequence[Input],
        limits: Limits = PROGRAM_LIMITS,
        environment: str | None = None,
    ) -> ProgramResult:
        """See :meth:`rebuilder.sandbox.protocol.Programs.run`."""
        self.runs.append((program, tuple(arguments)))
        if self.limit is not None or self.exit_code:
            return ProgramResult(run=self._ended(self.exit_code))
        with tempfile.TemporaryDirectory() as directory:
            places = {}
            for each in inputs:
                place = Path(directory, each.path.lstrip("/"))
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(self._blobs.read(each.sha256))
                places[each.path] = str(place)
            result = Path(directory, "result.json")
            moved = [head + eq + places.get(path, path) for head, eq, path in map(_split, arguments)]
            code = run_program(PROGRAMS[family], [family, program, *moved, "--result", str(result)])
            document = json.loads(result.read_text("utf-8").replace(directory, "")) if code == 0 else None
        return ProgramResult(run=self._ended(code), document=document)

    def program_input(self, family: str) -> Input:
        """See :attr:`rebuilder.sandbox.protocol.Programs.program_input`."""
        sha256 = self._blobs.put(f"{family} programs".encode())
        return Input(role=Role.PROGRAM, name=f"{family}.pyz", sha256=sha256, path=f"/tools/{family}.pyz")

    def _ended(self, code: int) -> Run:
        outcome = Outcome.BUILD_FAILED if code else Outcome.COMPLETED
        return Run(
            outcome=Outcome.TIMED_OUT if self.limit else outcome,
            exit_code=None if self.limit else code,
            limit=self.limit,
            log_sha256=self._blobs.put(b""),
            wall_seconds=0,
            cpu_seconds=0,
            peak_memory_bytes=0,
            sandbox_version="none",
            started=_NOW,
        )


def _split(argument: str) -> tuple[str, str, str]:
    """An option, its sign, and the path; a path by itself has neither."""
    return argument.partition("=") if argument.startswith("--") and "=" in argument else ("", "", argument)
