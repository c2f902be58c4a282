"""The sandbox that runs on the host's kernel, in namespaces made by bubblewrap."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

from rebuilder.errors import SandboxFaultError
from rebuilder.model.attempt import Limit, Outcome, Run
from rebuilder.model.definition import BuildDefinition, Limits
from rebuilder.model.value import Sha256
from rebuilder.ports import Blobs, Clock
from rebuilder.sandbox import arguments
from rebuilder.sandbox.executables import Executables
from rebuilder.sandbox.execution import Ended, Execution
from rebuilder.sandbox.outputs import MOST_FILES, Listing, holds_file_of, list_outputs, store_outputs
from rebuilder.sandbox.trial import check_isolation

__all__ = ["BubblewrapSandbox", "check_isolation"]

_SIGXCPU, _SIGXFSZ = 24, 25


class BubblewrapSandbox:
    """Implements :class:`rebuilder.ports.Sandbox`; safe to use from several threads.

    Args:
        blobs: Where logs and outputs go.
        clock: Tells when a run started.
        scratch: Directory for executable copies of inputs; nothing of a run is ever written there.
    """

    kind = "bubblewrap"

    def __init__(self, blobs: Blobs, clock: Clock, *, scratch: Path) -> None:
        self._blobs = blobs
        self._clock = clock
        self._executables = Executables(scratch / "executable")
        self._execution = Execution()

    def warm(self) -> None:
        """Begin what the first run would wait for (a tenth of a second), without waiting."""
        self._execution.warm()

    def close(self) -> None:
        """End all runs, and the process that starts them."""
        self._execution.close()

    def run(self, definition: BuildDefinition, *, toolchain: Path, inputs: Mapping[str, Path]) -> Run:
        """Run the commands in one sandbox; see :meth:`rebuilder.ports.Sandbox.run`.

        Files are taken from ``/out`` unless a limit ended the run: regular files directly in it, with plain names.

        Raises:
            SandboxUnavailableError: this machine cannot give the isolation.
            SandboxFaultError: the sandbox itself failed.
            UsageError: the definition cannot be run as it is written.
            StoreError: the log or an output could not be stored.
        """
        arguments.check(definition)
        sources = self._sources(definition, inputs)
        started = self._clock.now()
        with self._execution.run(definition, toolchain, sources) as ended:
            meter, exit_code = ended.supervision.meter, ended.supervision.exit_code
            listing = list_outputs(meter.out)
            limit = ended.limit or _limit_behind(ended, definition.limits, listing)
            return Run(
                outcome=_outcome(limit, exit_code),
                exit_code=None if limit else exit_code,
                limit=limit,
                outputs=() if limit else store_outputs(meter.out, listing, self._blobs),
                log_sha256=self._store_log(ended, listing),
                wall_seconds=ended.wall_seconds,
                cpu_seconds=max(ended.ending.cpu_seconds, meter.cpu_seconds),
                peak_memory_bytes=max(ended.ending.memory_bytes, meter.peak_bytes),
                sandbox_version=f"bubblewrap {ended.version}",
                started=started,
            )

    def _sources(self, definition: BuildDefinition, inputs: Mapping[str, Path]) -> dict[str, Path]:
        differ = sorted({each.path for each in definition.inputs} ^ set(inputs))
        if differ:
            raise SandboxFaultError(f"The inputs given and those in the build definition differ at {differ[0]!r}.")
        return {
            each.path: self._executables.path(inputs[each.path], each.sha256) if each.executable else inputs[each.path]
            for each in definition.inputs
        }

    def _store_log(self, ended: Ended, listing: Listing) -> Sha256:
        remarks = "".join(f"rebuilder: {remark}\n" for remark in listing.remarks).encode()
        supervision = ended.supervision
        digest, _ = self._blobs.put_stream(
            itertools.chain(supervision.log(), [remarks]), max_bytes=supervision.log_bytes + len(remarks)
        )
        return digest


def _limit_behind(ended: Ended, limits: Limits, listing: Listing) -> Limit | None:
    """The limit that made a run fail though no look at it saw it passed, found by measuring what it left.

    A full file system stays full, and a file that was cut off has exactly the largest size. The outputs are counted
    for successful runs too, with the holes in them.
    """
    meter, code = ended.supervision.meter, ended.supervision.exit_code
    if listing.bytes > limits.output_bytes or len(listing.files) > MOST_FILES:
        return Limit.OUTPUT
    if code == 0:
        return None
    signs = (
        (Limit.DISK, meter.disk_bytes() > limits.disk_bytes),
        (Limit.OUTPUT, meter.output_bytes() > limits.output_bytes),
        (Limit.FILE_SIZE, code == 128 + _SIGXFSZ or holds_file_of(meter.writable(), limits.file_bytes)),
        (Limit.CPU_TIME, code == 128 + _SIGXCPU),
    )
    return next((limit for limit, shown in signs if shown), None)


def _outcome(limit: Limit | None, exit_code: int | None) -> Outcome:
    if limit is not None:
        return Outcome.TIMED_OUT
    return Outcome.COMPLETED if exit_code == 0 else Outcome.BUILD_FAILED
