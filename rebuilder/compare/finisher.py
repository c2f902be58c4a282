"""Writes recorded metadata into a rebuilt archive that is equivalent, to see whether it is the published file then.

The comparison has both files, and records what the published one has of the metadata that it set aside. Another sandbox
run has the rebuilt file and that record, and writes. Neither has code of the build in it, and what the second leaves is
compared by digest.
"""

from __future__ import annotations

import re
from typing import Any

from rebuilder.compare.comparer import Comparer
from rebuilder.environments.protocol import Environments
from rebuilder.errors import RebuilderError
from rebuilder.model.attempt import Attempt, Finishing, Outcome
from rebuilder.model.comparison import Comparison, Level
from rebuilder.model.definition import BuildDefinition, EnvironmentRef, Input, Role
from rebuilder.model.replayed import Replayed, When
from rebuilder.model.value import Sha256, canonical_json, sha256_hex
from rebuilder.sandbox.protocol import PROGRAM_LIMITS, Programs, Runner
from rebuilder.store.protocol import Blobs

BUILD_TYPE = "tag:rebuilder,2026:finishing/v1"
"""Documented in docs/predicates/program-runs.md."""
RECORD = "/inputs/record.json"
LIMITS = PROGRAM_LIMITS.replace(
    wall_seconds=300, cpu_seconds=300, memory_bytes=2 << 30, file_bytes=512 << 20, output_bytes=512 << 20
)
_ENVIRONMENT = {"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin", "TZ": "UTC"}
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!~-]{0,200}")


class Finisher:
    """Finishes attempts. The build environment that is named has Python 3.9 or newer."""

    def __init__(
        self,
        run: Runner,
        programs: Programs,
        comparer: Comparer,
        environments: Environments,
        blobs: Blobs,
        *,
        environment_name: str,
    ) -> None:
        self._run = run
        self._programs = programs
        self._comparer = comparer
        self._environments = environments
        self._blobs = blobs
        self._environment_name = environment_name

    def finished(self, attempt: Attempt) -> Attempt:
        """The attempt with what finishing it gave; the same attempt unless it is equivalent.

        Whatever goes wrong is told in it: what was reached without this stands.
        """
        comparison = attempt.comparison
        if comparison is None or comparison.level is not Level.EQUIVALENT:
            return attempt
        filename = attempt.hypothesis.target
        try:
            record, problem = self._recorded(comparison, filename)
            if record is None:
                return attempt.replace(finishing_problem=problem)
            finishing = self._written(comparison.rebuilt_sha256, filename, record)
        except RebuilderError as error:
            problem = f"The recorded values could not be written into the finished archive. {error}"
            return attempt.replace(finishing_problem=problem)
        return attempt.replace(finishing=finishing)

    def _recorded(self, comparison: Comparison, filename: str) -> tuple[dict[str, Any] | None, str]:
        record, unwritable = self._comparer.recorded(comparison, filename)
        if not _is_record(record, comparison.normalisations):
            return None, f"Nothing was written into the finished archive: {_said(unwritable)}."
        return record, ""

    def _written(self, rebuilt: Sha256, filename: str, record: dict[str, Any]) -> Finishing:
        environment = self._environments.get(self._environment_name)
        sha256 = self._blobs.put(canonical_json(record))
        definition = finishing_definition(
            environment.ref,
            self._programs.program_input("archive"),
            rebuilt,
            sha256,
            filename,
        )
        run = self._run(definition)
        finished = run.outputs[0] if run.outcome is Outcome.COMPLETED and len(run.outputs) == 1 else None
        return Finishing(
            definition=definition,
            run=run,
            record_sha256=sha256,
            replayed=tuple(_replayed(name, values) for name, values in record["values"].items()),
            finished=finished,
        )


def finishing_definition(
    toolchain: EnvironmentRef, program: Input, rebuilt: Sha256, record: Sha256, filename: str
) -> BuildDefinition:
    """The run that writes a record into a rebuilt file."""
    name = filename if _PLAIN.fullmatch(filename) else "file"
    archive = Input(role=Role.PARAMETERS, name="rebuilt", sha256=rebuilt, path=f"/inputs/rebuilt/{name}")
    document = Input(role=Role.PARAMETERS, name="record.json", sha256=record, path=RECORD)
    command = (
        "python3",
        "-I",
        "-S",
        program.path,
        "finish_archive",
        "--rebuilt",
        archive.path,
        "--record",
        document.path,
    )
    return BuildDefinition(
        build_type=BUILD_TYPE,
        purl="pkg:generic/rebuilder-finishing",
        targets=(filename,),
        inputs=(program, archive, document),
        toolchain=toolchain,
        commands=((*command, "--out", f"/out/{name}"),),
        environment=_ENVIRONMENT,
        limits=LIMITS,
    )


def _replayed(name: str, values: Any) -> Replayed:
    document = canonical_json(values)
    return Replayed(name=name, when=When.FINISHED_ARCHIVE, sha256=sha256_hex(document), bits=8 * len(document))


def _is_record(record: Any, names: tuple[str, ...]) -> bool:
    """Whether it has the form of a record, and of nothing but what the comparison set aside."""
    if not isinstance(record, dict) or set(record) != {"format", "members", "values"}:
        return False
    values = record["values"]
    return isinstance(values, dict) and set(values) == set(names) and all(isinstance(v, dict) for v in values.values())


def _said(problem: object) -> str:
    return problem if isinstance(problem, str) and problem.isprintable() and len(problem) < 400 else "it has no reason"
