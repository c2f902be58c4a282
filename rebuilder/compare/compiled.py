"""Compares compiled files of a published wheel with those of one that was compiled here, inside the sandbox."""

from __future__ import annotations

from pydantic import Field, ValidationError

from rebuilder.compare.comparer import sides
from rebuilder.model.attempt import Outcome
from rebuilder.model.binary import CodeComparison, CompiledMember
from rebuilder.model.value import Sha256, Value
from rebuilder.sandbox.protocol import PROGRAM_LIMITS, Programs

LIMITS = PROGRAM_LIMITS.replace(wall_seconds=600, cpu_seconds=600, memory_bytes=2 << 30)


class _Answer(Value):
    """What ``compare_binaries`` writes, as far as it is believed."""

    members: tuple[CompiledMember, ...] = Field(max_length=1000)


def compare_compiled(
    programs: Programs, published: Sha256, rebuilt: Sha256, filename: str, *, environment: str
) -> dict[str, CodeComparison] | None:
    """How far each ELF file that two wheels have under the same name is the same; by its name.

    Args:
        programs: Runs the comparison.
        published: The published wheel.
        rebuilt: The one that was compiled here.
        filename: Name of the first.
        environment: A build environment with ``objdump``.

    Returns:
        None where the comparison did not come to its end.

    Raises:
        SandboxUnavailableError, SandboxFaultError, BuildEnvironmentError: see :class:`Programs`.
    """
    inputs = sides(published, rebuilt, filename)
    paths = [each.path for each in inputs]
    result = programs.run("binary", "compare_binaries", paths, inputs=inputs, limits=LIMITS, environment=environment)
    if result.run.outcome is not Outcome.COMPLETED:
        return None
    try:
        answer = _Answer.model_validate(result.document)
    except ValidationError:
        return None
    return {each.member: each for each in answer.members}
