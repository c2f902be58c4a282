"""Compares a rebuilt file with the published file."""

from __future__ import annotations

import re
from typing import Annotated, Any, NamedTuple

from pydantic import Field, StringConstraints, ValidationError

from rebuilder.model.attempt import Outcome, Output, Run
from rebuilder.model.binary import CodeComparison, CompiledMember
from rebuilder.model.comparison import Comparison, Difference, Level, MemberChange
from rebuilder.model.definition import Input, Role
from rebuilder.model.value import Sha256, Value
from rebuilder.sandbox.protocol import PROGRAM_LIMITS, ProgramResult, Programs
from rebuilder.store.protocol import Blobs

LIMITS = PROGRAM_LIMITS.replace(wall_seconds=600, cpu_seconds=600, memory_bytes=2 << 30)
_SHOWN = 500
_COMPILED = re.compile(r"\.so(?:\.[\w.]+)?$")
WITH_OBJDUMP = "diffoscope"
"""A build environment that every machine has or can make."""


class _Answer(Value):
    """What ``compare_archives`` writes, as far as it is believed."""

    level: Level
    normalisations: tuple[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,40}$")], ...] = Field(
        default=(), max_length=64
    )
    differences: tuple[Difference, ...] = Field(default=(), max_length=_SHOWN)
    differences_total: int = Field(default=0, ge=0)
    problem: str | None = None
    record: Any = None
    unwritable: Any = None


class _CodeAnswer(Value):
    """What ``compare_binaries`` writes, as far as it is believed."""

    members: tuple[CompiledMember, ...] = Field(max_length=1000)


class Recorded(NamedTuple):
    """What of a published archive can be written into an equivalent one, as a sandbox program wrote it."""

    record: Any
    """Unchecked; None when there is none."""
    unwritable: Any
    """Why there is none: unchecked too."""


class Comparer:
    """Compares by digest here, and looks into archives inside the sandbox only."""

    def __init__(self, blobs: Blobs, programs: Programs) -> None:
        """Use ``blobs`` to make sure that both files are there before a sandbox starts for them."""
        self._blobs = blobs
        self._programs = programs
        self._last: tuple[tuple[Sha256, Sha256], Recorded] | None = None
        """What the last comparison recorded."""

    def difference(self, first: Output, second: Output) -> Comparison | None:
        """How the second of two results differs from the first; None when it does not. See :meth:`compare`."""
        if (first.sha256, first.filename) == (second.sha256, second.filename):
            return None
        found = self.compare(first.sha256, second.sha256, first.filename, second.filename)
        return None if found.level is Level.IDENTICAL else found

    def compare(self, published: Sha256, rebuilt: Sha256, filename: str, rebuilt_filename: str) -> Comparison:
        """Compare two blobs.

        Args:
            published: Digest of the published file.
            rebuilt: Digest of the rebuilt file.
            filename: Published name.
            rebuilt_filename: Name the build gave its result. Under another name no file is equivalent, since installers
                act on it; a name is no member, so it is not among the differences.

        Raises:
            StoreError: a blob is not there or corrupt.
            SandboxUnavailableError, SandboxFaultError, BuildEnvironmentError: see ``Programs.run``.
        """
        if published == rebuilt:
            return Comparison(level=Level.IDENTICAL, published_sha256=published, rebuilt_sha256=rebuilt)
        for each in (published, rebuilt):
            self._blobs.path(each)
        inputs = sides(published, rebuilt, filename)
        result = self._programs.run(
            "compare", "compare_archives", [each.path for each in inputs], inputs=inputs, limits=LIMITS
        )
        answer = _answer(result)
        self._last = (published, rebuilt), Recorded(answer.record, answer.unwritable)
        level = answer.level if filename == rebuilt_filename else Level.DIFFERENT
        return Comparison(
            level=level,
            published_sha256=published,
            rebuilt_sha256=rebuilt,
            normalisations=answer.normalisations if level is Level.EQUIVALENT else (),
            differences=answer.differences,
            differences_total=answer.differences_total,
            problem=answer.problem,
        )

    def with_functions(self, comparison: Comparison, filename: str) -> Comparison:
        """The same, with which functions and sections of compiled files differ, where there are such.

        Raises:
            SandboxUnavailableError, SandboxFaultError, BuildEnvironmentError: see ``Programs.run``.
        """
        if not any(
            each.change is MemberChange.CONTENT and _COMPILED.search(each.member) for each in comparison.differences
        ):
            return comparison
        both = comparison.published_sha256, comparison.rebuilt_sha256
        found = compare_compiled(self._programs, *both, filename, environment=WITH_OBJDUMP) or {}
        return comparison.replace(
            differences=tuple(
                each.replace(detail=f"{each.detail} {_code(found[each.member])}") if each.member in found else each
                for each in comparison.differences
            )
        )

    def recorded(self, comparison: Comparison, filename: str) -> Recorded:
        """What can be written into an archive that was found equivalent; compared again, if another was meanwhile.

        Raises:
            StoreError, …: see :meth:`compare`.
        """
        both = comparison.published_sha256, comparison.rebuilt_sha256
        if self._last is None or self._last[0] != both:
            self.compare(*both, filename, filename)
        return self._last[1] if self._last is not None and self._last[0] == both else Recorded(None, None)


def compare_compiled(
    programs: Programs, published: Sha256, rebuilt: Sha256, filename: str, *, environment: str
) -> dict[str, CodeComparison] | None:
    """How far each ELF file that two wheels have under the same name is the same; by its name.

    The build environment has ``objdump``.

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
        answer = _CodeAnswer.model_validate(result.document)
    except ValidationError:
        return None
    return {each.member: each for each in answer.members}


def _code(found: CodeComparison) -> str:
    sections = ", ".join(found.sections_different[:8])
    return f"{found.sentence} Sections that differ: {sections}." if sections else found.sentence


def _answer(result: ProgramResult) -> _Answer:
    if result.run.outcome is not Outcome.COMPLETED or result.document is None:
        return _unknown(
            f"The SHA-256 digests differ. Looking into the files did not come to an end: {ending(result.run)}."
        )
    try:
        answer = _Answer.model_validate(result.document)
    except ValidationError:
        return _unknown(
            "The SHA-256 digests differ. What the comparison inside the sandbox wrote cannot be understood."
        )
    if answer.level is Level.IDENTICAL or (answer.level is Level.EQUIVALENT and not answer.normalisations):
        return _unknown("The SHA-256 digests differ, but looking into the files found no difference that explains it.")
    return answer


def _unknown(problem: str) -> _Answer:
    return _Answer(level=Level.DIFFERENT, problem=problem)


def ending(run: Run) -> str:
    """How a run came to no end of its own, as the end of a sentence."""
    if run.limit is not None:
        return f"it reached its limit on {run.limit.value} after {run.wall_seconds:.0f} s"
    return f"it ended with exit code {run.exit_code}"


_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!~-]{0,200}")


def sides(published: Sha256, rebuilt: Sha256, filename: str) -> tuple[Input, Input]:
    """Both files under one name, so that what a program says of them does not depend on where they came from.

    File names come from a registry; one that is odd is replaced by ``file``.
    """
    name = filename if _PLAIN.fullmatch(filename) else "file"
    return (
        Input(role=Role.PARAMETERS, name="published", sha256=published, path=f"/inputs/published/{name}"),
        Input(role=Role.PARAMETERS, name="rebuilt", sha256=rebuilt, path=f"/inputs/rebuilt/{name}"),
    )
