"""Reads, inside the sandbox, what the compiled files in an archive say about themselves."""

from __future__ import annotations

from pydantic import ValidationError

from rebuilder.compare.comparer import ending
from rebuilder.model.attempt import Outcome
from rebuilder.model.binary import Binaries
from rebuilder.model.definition import Input, Role
from rebuilder.model.value import Sha256
from rebuilder.sandbox.protocol import PROGRAM_LIMITS, Programs

LIMITS = PROGRAM_LIMITS.replace(wall_seconds=240, cpu_seconds=240)
"""The largest archives have a gigabyte of compiled code."""
_PATH = "/inputs/archive"


def read_binaries(programs: Programs, archive: Sha256) -> Binaries:
    """What every compiled file in an archive says about itself; why not, when that cannot be told.

    Args:
        programs: Runs the reader where nothing in a file can do harm.
        archive: A wheel, or any other archive, by its digest.

    Raises:
        SandboxUnavailableError, SandboxFaultError, BuildEnvironmentError: see ``Programs.run``.
    """
    file = Input(role=Role.PARAMETERS, name="archive", sha256=archive, path=_PATH)
    result = programs.run("binary", "read_binaries", [_PATH], inputs=[file], limits=LIMITS)
    if result.run.outcome is not Outcome.COMPLETED or result.document is None:
        return Binaries(
            problems=(f"Its compiled files were not read: the reader did not finish; {ending(result.run)}.",)
        )
    try:
        return Binaries.model_validate(result.document)
    except ValidationError:
        return Binaries(problems=("What the reader of compiled files wrote cannot be understood.",))
