"""The sandbox that runs on the host's kernel, in namespaces made by bubblewrap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path

from rebuilder.clock import Clock
from rebuilder.model.attempt import Limit, Run
from rebuilder.model.definition import BuildDefinition
from rebuilder.sandbox.bubblewrap import arguments
from rebuilder.sandbox.bubblewrap.run_sandbox import Bubblewrap
from rebuilder.sandbox.collected import collected, ending, outcome, store_log, store_outputs
from rebuilder.sandbox.executables import Executables
from rebuilder.sandbox.leftovers import limit_behind, list_outputs
from rebuilder.store.protocol import Blobs


class BubblewrapSandbox:
    """Implements :class:`rebuilder.sandbox.protocol.Sandbox`; safe to use from several threads.

    Args:
        blobs: Where logs and outputs go.
        clock: Tells when a run started.
        scratch: Directory for executable copies of inputs, and for links to many; nothing of a run is written there.
        bubblewrap: What starts runs.
    """

    kind = "bubblewrap"

    def __init__(self, blobs: Blobs, clock: Clock, *, scratch: Path, bubblewrap: Bubblewrap | None = None) -> None:
        self._blobs = blobs
        self._clock = clock
        self._executables = Executables(scratch / "executable")
        self._collected = scratch / "collected"
        self._bubblewrap = bubblewrap or Bubblewrap()

    def storing(self, blobs: Blobs) -> BubblewrapSandbox:
        """The same sandbox, with its logs and outputs in other blobs."""
        other = copy(self)
        other._blobs = blobs  # noqa: SLF001  # ours
        return other

    def warm(self) -> None:
        """Begin what the first run would wait for (a tenth of a second), without waiting."""
        self._bubblewrap.warm()

    def close(self) -> None:
        """End all runs, and the process that starts them."""
        self._bubblewrap.close()

    def run(
        self, definition: BuildDefinition, *, root: Path, inputs: Mapping[str, Path], layers: Sequence[Path] = ()
    ) -> Run:
        """Run the commands in one sandbox; see :meth:`rebuilder.sandbox.protocol.Sandbox.run`.

        Files are taken from ``/out`` unless a limit ended the run: regular files directly in it, with plain names.

        Raises:
            SandboxUnavailableError: this machine cannot give the isolation.
            SandboxFaultError: the sandbox itself failed.
            UsageError: the definition cannot be run as it is written.
            StoreError: the log or an output could not be stored.
        """
        arguments.check(definition, self.kind)
        sources = self._executables.sources(definition, inputs)
        started = self._clock.now()
        with (
            collected(sources, self._collected) as shown,
            self._bubblewrap.run(definition, root, shown, layers=layers) as ended,
        ):
            meter, exit_code = ended.supervision.meter, ended.exit_code
            listing = list_outputs(meter.out)
            behind = limit_behind(meter, exit_code, definition.limits, listing)
            limit = ended.limit or (Limit(behind) if behind else None)
            return Run(
                outcome=outcome(limit, exit_code),
                exit_code=None if limit else exit_code,
                limit=limit,
                outputs=() if limit else store_outputs(meter.out, listing, self._blobs),
                log_sha256=store_log(ended.supervision.log(), listing, self._blobs, ending=ending(limit, exit_code)),
                wall_seconds=ended.wall_seconds,
                cpu_seconds=max(ended.ending.cpu_seconds, meter.cpu_seconds),
                peak_memory_bytes=max(ended.ending.memory_bytes, meter.peak_bytes),
                sandbox_version=f"bubblewrap {ended.version}",
                started=started,
            )
