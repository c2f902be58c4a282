"""Cases for the rules of the diagnosis, made from archives that the real comparison looked at."""

from __future__ import annotations

import hashlib
import io
import tempfile
import zipfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from rebuilder.diagnose.case import DiagnosisInput
from rebuilder.diagnose.diagnosis import diagnose
from rebuilder.ecosystems.pypi.diagnosis import RULES
from rebuilder.model.attempt import Attempt, Outcome, Output
from rebuilder.model.comparison import Comparison, Level
from rebuilder.model.decision import decide
from rebuilder.model.diagnosis import Cause, Diagnosis
from rebuilder.model.evidence import Inspection, Member, MemberKind, Obstacle
from rebuilder.model.value import sha256_hex
from rebuilder.programs.compare.compare_archives import compare
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.projects import SOME_TIME, make_wheel

Files = Mapping[str, str | bytes]
NAME, VERSION = "spindle", "3.1.6"
INFO = f"{NAME}-{VERSION}.dist-info"
CODE: Files = {f"{NAME}/__init__.py": "value = 1\n"}


def wheel(files: Files, **options: Any) -> bytes:
    """A wheel with these files and the metadata a small backend writes."""
    return make_wheel(NAME, VERSION, files, **options).data


def compared(published: bytes, rebuilt: bytes) -> Comparison:
    """What the program inside the sandbox says of two files."""
    with tempfile.TemporaryDirectory() as directory:
        paths = Path(directory) / "published", Path(directory) / "rebuilt"
        for path, data in zip(paths, (published, rebuilt), strict=True):
            path.write_bytes(data)
        found = compare(*map(str, paths))
    found.pop("record", None)  # what is to be written is no part of what is said
    return Comparison.model_validate(
        found | {"published_sha256": sha256_hex(published), "rebuilt_sha256": sha256_hex(rebuilt)}
    )


def case(
    published: bytes,
    rebuilt: bytes,
    *,
    source: Files = CODE,
    filename: str | None = None,
    rebuilt_name: str | None = None,
    again: bytes | None = None,
    **changes: Any,
) -> DiagnosisInput:
    """A finished verification.

    Args:
        published: The published file.
        rebuilt: Ours.
        source: Files of the source archive, below its top directory.
        filename: Published name, if it is not the usual one.
        rebuilt_name: The name the build gave, if it is another one.
        again: A second rebuild, if there was one.
        changes: Fields of the case.
    """
    subject = reports.artifact(NAME, VERSION, **({"filename": filename} if filename else {}))
    evidence = reports.evidence(subject).replace(
        source_inspection=Inspection(
            format="tar.gz",
            members=tuple(_member(f"{NAME}-{VERSION}/{path}", content) for path, content in source.items()),
        ),
        artifact_inspection=Inspection(format="zip", members=_members(published)),
    )
    comparison = compared(published, rebuilt)
    if rebuilt_name is not None:
        comparison = comparison.replace(level=Level.DIFFERENT, normalisations=())
    blobs = MemoryBlobs()
    first = reports.attempt(subject, reports.run(blobs), comparison=comparison)
    if rebuilt_name is not None and first.rebuilt is not None:
        output = Output(filename=rebuilt_name, sha256=first.rebuilt.sha256, size=first.rebuilt.size)
        first = first.replace(rebuilt=output)
    attempts: list[Attempt] = [first]
    if again is not None:
        between = compared(rebuilt, again)
        second = first.replace(repeat=True, agreement=between.level, disagreement=between)
        attempts.append(second)
    fields: dict[str, Any] = {"evidence": evidence, "attempts": tuple(attempts)}
    fields["decision"] = decide(tuple(attempts), None)
    return DiagnosisInput(**(fields | changes))


def failure(log: str = "", *, code: int = 70, **run: Any) -> DiagnosisInput:
    """A build that ended with an error."""
    subject = reports.artifact(NAME, VERSION)
    blobs = MemoryBlobs()
    outcome = {"outcome": Outcome.BUILD_FAILED, "exit_code": code} | run
    attempts = (reports.attempt(subject, reports.run(blobs, log=log.encode(), **outcome)),)
    return DiagnosisInput(reports.evidence(subject), attempts, decide(attempts, None), log=log)


def obstructed(obstacle: Obstacle, *, source: bool = True) -> DiagnosisInput:
    """A verification without an attempt."""
    evidence = reports.evidence(reports.artifact(NAME, VERSION), source=source, obstacle=obstacle)
    return DiagnosisInput(evidence, (), decide((), obstacle))


def later(days: int = 1) -> datetime:
    """Another time than files in archives have by default."""
    return SOME_TIME.replace(day=SOME_TIME.day + days)


def found(value: DiagnosisInput) -> Diagnosis:
    """The diagnosis; there is one."""
    result = diagnose(value, RULES)
    assert result is not None
    return result


def causes(value: DiagnosisInput) -> list[Cause]:
    """The causes of a case all of whose differences are explained."""
    result = found(value)
    assert () == result.unexplained, result
    return [each.cause for each in result.findings]


def _members(data: bytes) -> tuple[Member, ...]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return tuple(_member(name, archive.read(name)) for name in archive.namelist())


def _member(name: str, content: str | bytes) -> Member:
    data = content.encode() if isinstance(content, str) else content
    return Member(
        name=name,
        kind=MemberKind.FILE,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        mtime="2024-03-01T12:00:00",
    )
