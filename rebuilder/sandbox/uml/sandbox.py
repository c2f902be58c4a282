"""The sandbox with a kernel and a clock of its own: User Mode Linux, inside the namespaces bubblewrap makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from rebuilder.clock import Clock
from rebuilder.environments.protocol import BuildEnvironment
from rebuilder.errors import BuildEnvironmentError, CorruptEnvironmentError, NoGuestError
from rebuilder.model.attempt import Run
from rebuilder.model.definition import BuildDefinition
from rebuilder.sandbox.bubblewrap import arguments
from rebuilder.sandbox.bubblewrap.run_sandbox import Bubblewrap, check
from rebuilder.sandbox.collected import collected, ending, outcome, store_log, store_outputs
from rebuilder.sandbox.executables import Executables
from rebuilder.sandbox.leftovers import list_outputs
from rebuilder.sandbox.uml import answer
from rebuilder.sandbox.uml.machine import ROOT, machine
from rebuilder.sandbox.uml.probe import ENVIRONMENT, GuestProbe
from rebuilder.store.protocol import Blobs

__all__ = ["ENVIRONMENT", "UmlSandbox"]


BROKEN = 137
"""Exit code of a build whose guest was gone before it could tell one, as of a program that was killed."""


class UmlSandbox:
    """Implements :class:`rebuilder.sandbox.protocol.Sandbox`; safe to use from several threads.

    Args:
        blobs: Where logs and outputs go.
        clock: Tells when a run started.
        scratch: Directory for executable copies of inputs, and for links to many; nothing of a run is written there.
        kernel: Gives the build environment with the kernel; raises :class:`BuildEnvironmentError` where there is none.
        memory: File that keeps whether a guest runs here; None: that is found out anew.
    """

    kind = "uml"

    def __init__(
        self,
        blobs: Blobs,
        clock: Clock,
        *,
        scratch: Path,
        kernel: Callable[[], BuildEnvironment],
        memory: Path | None = None,
    ) -> None:
        self._blobs = blobs
        self._clock = clock
        self._executables = Executables(scratch / "executable")
        self._collected = scratch / "collected"
        self._given = kernel
        self._bubblewrap = Bubblewrap()
        self._probe = GuestProbe(self._kernel, self._bubblewrap, memory)

    def problem(self) -> NoGuestError | None:
        """Why no guest runs here, with what mends it; None when one does.

        Raises:
            CorruptEnvironmentError: the build environment with the kernel was modified.
        """
        return self._probe.problem()

    def warm(self) -> None:
        """Begin what the first run would wait for, without waiting."""
        self._bubblewrap.warm()

    def close(self) -> None:
        """End all runs, and the process that starts them."""
        self._bubblewrap.close()

    def run(
        self, definition: BuildDefinition, *, root: Path, inputs: Mapping[str, Path], layers: Sequence[Path] = ()
    ) -> Run:
        """Boot a guest, run the commands in it, halt it; see :meth:`rebuilder.sandbox.protocol.Sandbox.run`.

        The guest's clock shows ``definition.clock`` when the last command begins.

        Raises:
            NoGuestError: no guest runs here, or it ended before the commands began.
            SandboxUnavailableError: this machine cannot give the isolation.
            SandboxFaultError: the sandbox around the guest failed, or the machine had no memory left.
            CorruptEnvironmentError: the build environment with the kernel was modified.
            UsageError: the definition cannot be run as it is written.
            StoreError: the log or an output could not be stored.
        """
        arguments.check(definition, self.kind)
        if (problem := self._probe.remembered()) is not None:
            raise problem
        sources = self._executables.sources(definition, inputs)
        kernel = self._kernel()
        started = self._clock.now()
        with ExitStack() as stack:
            shown = stack.enter_context(collected(sources, self._collected))
            around = machine(definition, kernel, root, shown)
            ended = stack.enter_context(
                self._bubblewrap.run(
                    around.definition, kernel.root, around.sources, around.program, layers=layers, under=ROOT
                )
            )
            supervision, meter = ended.supervision, ended.supervision.meter
            said = supervision.log_tail() or f"exit code {supervision.exit_code}"
            first, last = answer.begun(meter.build), answer.answer(meter.build)
            if first is None:
                raise self._probe.problem(anew=True) or answer.not_begun(last, ended.limit, said)
            told = answer.told(last, ended.limit, said)
            if told.exit_code or told.broken:  # its processes are processes of this machine
                check(ended.shortage)
            limit = told.limit
            listing = list_outputs(meter.out)
            exit_code = told.exit_code
            if told.broken is not None:  # a build can do that to its guest, so it is how the build ended
                exit_code = supervision.exit_code or BROKEN
                listing = listing._replace(files=(), remarks=(*listing.remarks, told.broken))
            log = answer.log(meter.build, definition.limits.log_bytes)
            return Run(
                outcome=outcome(limit, exit_code),
                exit_code=None if limit else exit_code,
                limit=limit,
                outputs=() if limit else store_outputs(meter.out, listing, self._blobs),
                log_sha256=store_log([log], listing, self._blobs, ending=ending(limit, told.exit_code)),
                wall_seconds=ended.wall_seconds,
                cpu_seconds=max(ended.ending.cpu_seconds, meter.cpu_seconds),
                peak_memory_bytes=told.peak_bytes or meter.peak_bytes,
                sandbox_version=f"uml {first.kernel} ({kernel.sha256}) in bubblewrap {ended.version}",
                started=started,
            )

    def _kernel(self) -> BuildEnvironment:
        try:
            return self._given()
        except CorruptEnvironmentError:
            raise
        except BuildEnvironmentError as error:
            raise NoGuestError(str(error).rstrip("."), hint=error.hint) from error
