"""From evidence to build definitions, likeliest first."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from rebuilder.ecosystems.pypi.build_environment import furnish, parameters
from rebuilder.ecosystems.pypi.build_recipe import FILE_TIMES, REQUIREMENTS, Bench, Circumstances
from rebuilder.ecosystems.pypi.file_times import epoch, source_times
from rebuilder.ecosystems.pypi.obstacles import Stopped
from rebuilder.ecosystems.pypi.requirements import BuildSystem, Requirements, pin_generator, read_build_system
from rebuilder.ecosystems.pypi.source_archive import source_text, top_directory
from rebuilder.ecosystems.pypi.source_trees import Unpacked, source_path
from rebuilder.ecosystems.pypi.toolchain_choice import Interpreter
from rebuilder.ecosystems.pypi.trying import Guess, try_guesses
from rebuilder.ecosystems.pypi.wheel_traces import WheelTraces, read_traces
from rebuilder.ecosystems.pypi.workshop import Workshop
from rebuilder.model.artifact import PublishedFile
from rebuilder.model.attempt import Attempt, Hypothesis
from rebuilder.model.definition import Input, Role, ToolchainRef
from rebuilder.model.evidence import Evidence, Obstacle, Source
from rebuilder.model.inspection import Inspection
from rebuilder.model.verdict import Verdict

_DEFAULT_UMASK = 0o022


@dataclass(frozen=True)
class Case:
    """What is known of one wheel, once it is complete enough to build."""

    evidence: Evidence
    wheel: Inspection
    source: Inspection
    source_file: PublishedFile
    origin: Source
    traces: WheelTraces
    system: BuildSystem
    requirements: Requirements
    uploaded: datetime


def infer(workshop: Workshop, evidence: Evidence) -> Generator[Hypothesis, Attempt, Obstacle | None]:
    """Yield build definitions to try, likeliest first; see :meth:`rebuilder.ports.Ecosystem.hypotheses`."""
    if evidence.obstacle is not None:
        return evidence.obstacle
    try:
        case = _case(evidence)
        yield from try_guesses(
            _guesses(workshop, case),
            requires_python=evidence.artifact.file.requires_python,
            uploaded=case.uploaded,
            furnish=partial(_furnished, workshop, case),
        )
    except Stopped as stopped:
        return stopped.obstacle
    return None


def _case(evidence: Evidence) -> Case:
    wheel, source = evidence.artifact_inspection, evidence.source_inspection
    if wheel is None or source is None or evidence.source is None or evidence.source_file is None:
        raise Stopped(Verdict.INPUTS_MISSING, "The release publishes no source archive.")
    uploaded = evidence.artifact.file.uploaded
    if uploaded is None:
        raise Stopped(
            Verdict.UNSUPPORTED,
            "The index does not say when the wheel was uploaded (PEP 700), so it is unknown which versions of its "
            "build dependencies there were.",
        )
    traces = read_traces(wheel)
    system = read_build_system(source_text(source, "pyproject.toml"))
    return Case(
        evidence=evidence,
        wheel=wheel,
        source=source,
        source_file=evidence.source_file,
        origin=evidence.source,
        traces=traces,
        system=system,
        requirements=pin_generator(system, traces.generator, evidence.artifact.name),
        uploaded=uploaded,
    )


def _furnished(workshop: Workshop, case: Case, interpreter: Interpreter) -> tuple[Bench, str]:
    toolchain = workshop.toolchains.get(interpreter.toolchain)
    artifact, source = case.evidence.artifact, case.source_file
    bench = Bench(
        purl=artifact.purl,
        filename=artifact.filename,
        source=case.origin,
        tree=Unpacked(
            archive=Input(
                role=Role.SOURCE,
                name=source.filename,
                sha256=source.sha256,
                path=source_path(source.filename),
                uri=source.url,
            ),
            top=top_directory(case.source),
        ),
        system=case.system,
        toolchain=ToolchainRef(name=toolchain.name, sha256=toolchain.sha256),
        guest=workshop.guest.program_input,
        uv=workshop.uv_input(),
        requirements=parameters(workshop, REQUIREMENTS, b""),
        dependencies=(),
        limits=workshop.limits,
    )
    bench, notes = furnish(workshop, bench, case.requirements, python=toolchain.python_version, not_after=case.uploaded)
    return bench, " ".join((_with_what(case, interpreter), *notes))


def _guesses(workshop: Workshop, case: Case) -> list[Guess]:
    """The two explanations for the times in the wheel, the one that fits first."""
    one_time, file_times = _one_time(case), _restored_times(workshop, case)
    if case.traces.uniform_time is None:
        return [file_times, *one_time]
    return [*one_time, file_times]


def _one_time(case: Case) -> list[Guess]:
    common = max(Counter(case.traces.times.values()).most_common(1), default=("", 0))[0]
    seconds = epoch(common)
    if seconds is None:
        return []
    shown = common.replace("T", " ")
    if case.traces.uniform_time is not None:
        sentence = f"Every member of the published wheel carries the time {shown}, as SOURCE_DATE_EPOCH leaves it."
    else:
        sentence = f"Should there have been one time for everything after all: {shown} is the most common one."
    return [Guess("source-date-epoch", sentence, _circumstances(case, source_date_epoch=seconds))]


def _restored_times(workshop: Workshop, case: Case) -> Guess:
    restored = source_times(case.wheel, case.source, dist_info=case.traces.dist_info)
    document = parameters(workshop, FILE_TIMES, json.dumps(restored, indent=0, sort_keys=True).encode())
    distinct = len(set(case.traces.times.values()))
    found = (
        f"The members of the published wheel carry {distinct} different times, as files of a working tree do"
        if distinct > 1
        else "The one time in the published wheel may be that of the files"
    )
    return Guess(
        "restored-times",
        f"{found}: {len(restored)} source files get the time they have in the wheel; SOURCE_DATE_EPOCH is not set.",
        _circumstances(case, file_times=document),
    )


def _circumstances(
    case: Case, *, source_date_epoch: int | None = None, file_times: Input | None = None
) -> Circumstances:
    generated = case.traces.generated_umask
    copied = case.traces.source_umask
    umask = _DEFAULT_UMASK if generated is None else generated
    return Circumstances(
        source_date_epoch=source_date_epoch,
        file_times=file_times,
        source_umask=umask if copied is None else copied,
        umask=umask,
    )


def _with_what(case: Case, interpreter: Interpreter) -> str:
    generator = case.traces.generator
    packed = f"the wheel names {generator.name} {generator.version}" if generator else "the wheel names no build tool"
    notes = "".join(f" {note}" for note in case.requirements.notes)
    return (
        f"Built with {case.system.backend.partition(':')[0]} ({packed}) on Python {interpreter.python}, with nothing "
        f"newer than the upload on {case.uploaded:%Y-%m-%d %H:%M} UTC.{notes}"
    )
