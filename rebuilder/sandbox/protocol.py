"""Where build definitions run, and our own programs with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from rebuilder.model.attempt import Run
from rebuilder.model.definition import BuildDefinition, Input, Limits


class Sandbox(Protocol):
    """Runs one build definition where nothing but its inputs can reach it."""

    @property
    def kind(self) -> str:
        """``bubblewrap``, ``uml``; equals :attr:`BuildDefinition.sandbox` of what it runs."""
        ...

    def run(
        self, definition: BuildDefinition, *, root: Path, inputs: Mapping[str, Path], layers: Sequence[Path] = ()
    ) -> Run:
        """Run the commands; give back the outcome, the log and the files left in ``/out`` (as blobs).

        Args:
            definition: What to run.
            root: Root directory of the build environment on this machine.
            inputs: Path inside the sandbox to the file on this machine, for every ``definition.inputs``.
            layers: Directories on this machine that are seen over the root directory, the uppermost first.

        Raises:
            SandboxUnavailableError: this machine cannot give the isolation.
            SandboxFaultError: the sandbox itself failed.
        """
        ...


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
"""Of our own programs, which need little; callers whose programs need more say what."""


class ProgramResult(NamedTuple):
    """What one of our own programs said from inside the sandbox."""

    run: Run
    document: Any = None
    """The JSON it wrote; None when it did not finish (``run`` says why)."""


class Programs(Protocol):
    """Runs our own small programs on untrusted files, inside the sandbox."""

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
        """Run ``python3 /tools/FAMILY.pyz PROGRAM ARGUMENTS… --result /out/result.json`` with these blobs bound.

        ``environment``: Name of a build environment, where the program needs what the usual one lacks.

        Raises:
            SandboxUnavailableError, SandboxFaultError, BuildEnvironmentError: see :class:`Sandbox`.
        """
        ...

    def program_input(self, family: str) -> Input:
        """The programs of a family (one zip application), as an input for any build definition."""
        ...


class Runner(Protocol):
    """Whoever runs build definitions: all that travels to another process or machine.

    It has sandboxes, build environments and blobs; no ledger, no key, and no network of its own.
    """

    def __call__(self, definition: BuildDefinition, /) -> Run:
        """Run a definition with its inputs taken from the blobs by digest; what it leaves is put there.

        Raises:
            SandboxUnavailableError: there is no such sandbox, or this machine cannot give its isolation.
            BuildEnvironmentError: the build environment cannot be had.
            StoreError: an input is not stored, or is damaged.
            SandboxFaultError: the sandbox itself failed.
        """
        ...
