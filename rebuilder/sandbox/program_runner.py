"""Runs our own small programs on untrusted files, inside a sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rebuilder.environments.protocol import Environments
from rebuilder.foreign_json import JsonLimits, read_json
from rebuilder.model.attempt import Outcome, Run
from rebuilder.model.definition import BuildDefinition, EnvironmentRef, Input, Limits
from rebuilder.sandbox import program_archive
from rebuilder.sandbox.local_runner import LocalRunner
from rebuilder.sandbox.protocol import ProgramResult, Sandbox
from rebuilder.store.protocol import Blobs

BUILD_TYPE = "tag:rebuilder,2026:program/v1"
"""Names how the commands came about: ``python3 -I /tools/FAMILY.pyz PROGRAM ARGUMENTS…``."""

RESULT = "result.json"

PROGRAM_LIMITS = Limits(
    wall_seconds=120,
    cpu_seconds=120,
    memory_bytes=1 << 30,
    processes=16,
    file_bytes=256 << 20,
    disk_bytes=512 << 20,
    output_bytes=32 << 20,
    log_bytes=1 << 20,
)
"""For programs that read, which need little; callers that need more say so."""

_ENVIRONMENT = {"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin", "TZ": "UTC"}
_RESULT_BYTES = 32 << 20
_LIMITS = JsonLimits(values=4_000_000)


class SandboxPrograms:
    """Implements :class:`rebuilder.sandbox.protocol.Programs`.

    Args:
        sandbox: Where programs run.
        environments: Where their Python comes from.
        blobs: Where inputs, logs and results are.
        environment_name: A build environment with Python 3.9 or newer.
    """

    def __init__(self, sandbox: Sandbox, environments: Environments, blobs: Blobs, environment_name: str) -> None:
        self._kind = sandbox.kind
        self._run = LocalRunner({sandbox.kind: sandbox}, environments, blobs)
        self._environments = environments
        self._blobs = blobs
        self._environment_name = environment_name
        self._inputs: dict[str, Input] = {}

    def program_input(self, family: str) -> Input:
        """The programs of a family, as an input for any build definition; stored as a blob once."""
        if family not in self._inputs:
            self._inputs[family] = program_archive.program_input(self._blobs, family)
        return self._inputs[family]

    def run(
        self,
        family: str,
        program: str,
        arguments: Sequence[str],
        *,
        inputs: Sequence[Input],
        limits: Limits | None = None,
    ) -> ProgramResult:
        """Run one program; see :meth:`rebuilder.sandbox.protocol.Programs.run`.

        The document is None when the program failed, or wrote something that is not JSON.
        """
        environment = self._environments.get(self._environment_name)
        programs = self.program_input(family)
        definition = BuildDefinition(
            build_type=BUILD_TYPE,
            purl="pkg:generic/rebuilder-programs",
            filename=inputs[0].name if inputs else program,
            inputs=(programs, *inputs),
            toolchain=EnvironmentRef(name=environment.name, sha256=environment.sha256),
            commands=(("python3", "-I", programs.path, program, *arguments, "--result", f"/out/{RESULT}"),),
            environment=_ENVIRONMENT,
            sandbox=self._kind,
            limits=limits or PROGRAM_LIMITS,
        )
        run = self._run(definition)
        return ProgramResult(run=run, document=self._document(run))

    def _document(self, run: Run) -> Any:
        if run.outcome is not Outcome.COMPLETED:
            return None
        written = next((each for each in run.outputs if each.filename == RESULT), None)
        if written is None or written.size > _RESULT_BYTES:
            return None
        try:
            return read_json(self._blobs.read(written.sha256), _LIMITS)
        except ValueError:
            return None
