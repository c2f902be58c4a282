"""From evidence to build definitions, likeliest first."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from rebuilder.ecosystems.pypi.build_environment import parameters, resolve_requirements
from rebuilder.ecosystems.pypi.build_inputs import REQUIREMENTS, BuildInputs, chosen_tools
from rebuilder.ecosystems.pypi.candidates import Marks, guesses, with_what
from rebuilder.ecosystems.pypi.clock_candidates import by_the_clock
from rebuilder.ecosystems.pypi.command_line import own_directory
from rebuilder.ecosystems.pypi.context import Context
from rebuilder.ecosystems.pypi.obstacles import NotRebuildable
from rebuilder.ecosystems.pypi.priors import Priors
from rebuilder.ecosystems.pypi.requirements import packed_itself, read_build_system
from rebuilder.ecosystems.pypi.search import Reached, try_candidates
from rebuilder.ecosystems.pypi.second_look import second_look
from rebuilder.ecosystems.pypi.source_archive import source_text, top_directory
from rebuilder.ecosystems.pypi.source_trees import Unpacked, source_path
from rebuilder.ecosystems.pypi.toolchain_choice import Interpreter, choose, named_python, python_of
from rebuilder.ecosystems.pypi.tools_used import Tools, tools_used
from rebuilder.ecosystems.pypi.wheel_traces import WheelTraces, read_traces
from rebuilder.model.artifact import PublishedFile
from rebuilder.model.attempt import Attempt, Hypothesis
from rebuilder.model.definition import Input, Role, ToolchainRef
from rebuilder.model.diagnosis import Cause
from rebuilder.model.evidence import Evidence, Obstacle, Source
from rebuilder.model.inspection import Inspection
from rebuilder.model.verdict import Verdict

_FOREIGN = {"bazel-wheelmaker": "Bazel (bazel-wheelmaker, the rule py_wheel of rules_python)"}
"""Values of ``Generator`` that belong to build systems outside of Python packaging."""


@dataclass(frozen=True)
class WheelEvidence:
    """What is known of one wheel, once it is complete enough to build."""

    evidence: Evidence
    wheel: Inspection
    source: Inspection
    source_file: PublishedFile
    origin: Source
    traces: WheelTraces
    tools: Tools
    setup_path: str | None
    uploaded: datetime


def infer(workshop: Context, evidence: Evidence) -> Generator[Hypothesis, Attempt, Obstacle | None]:
    """Yield build definitions to try, likeliest first; see ``Ecosystem.hypotheses``."""
    if evidence.obstacle is not None:
        return evidence.obstacle
    try:
        case = _case(evidence)
        named = named_python(case.wheel)
        found = guesses(wheel_marks(case.traces), "source archive")
        experience = Priors(workshop.facts, case.traces.generator)
        yield from try_candidates(
            experience.ordered(found),
            interpreters=choose(
                evidence.artifact.file.requires_python,
                case.uploaded,
                named=named.python if named else None,
                tools=case.tools.versions,
                interpreters=workshop.interpreters,
            ),
            resolve=partial(_furnished, workshop, case),
            refine=partial(_refine, workshop, case),
            confirmed=lambda guess: experience.came_out(found, guess.name),
        )
    except NotRebuildable as stopped:
        return stopped.obstacle
    return None


def _refine(workshop: Context, case: WheelEvidence, reached: Reached) -> Generator[Hypothesis, Attempt, bool]:
    confirmed = yield from second_look(workshop, case.wheel, case.traces, case.tools, reached)
    if not confirmed:
        yield from by_the_clock(workshop, case.traces.times, reached)
    return confirmed


def _case(evidence: Evidence) -> WheelEvidence:
    wheel, source = evidence.artifact_inspection, evidence.source_inspection
    if wheel is None or source is None or evidence.source is None or evidence.source_file is None:
        raise NotRebuildable(Verdict.INPUTS_MISSING, "The release publishes no source archive.")
    uploaded = upload_time(evidence.artifact.file, "wheel")
    traces = read_traces(wheel)
    builder = _FOREIGN.get(traces.generator.name) if traces.generator is not None else None
    if builder is not None:
        raise NotRebuildable(
            Verdict.UNSUPPORTED,
            f"The wheel was packed by {builder}, which builds from a workspace of its own: no Python build backend "
            "makes this wheel from the source archive.",
        )
    artifact = evidence.artifact
    tools = tools_used(
        wheel,
        traces,
        artifact,
        read_build_system(source_text(source, "pyproject.toml")),
        uploaded=uploaded,
        setup_py=source_text(source, "setup.py"),
        setup_cfg=source_text(source, "setup.cfg"),
    )
    itself = packed_itself(tools.system, traces.generator, artifact.name, artifact.version)
    return WheelEvidence(
        evidence=evidence,
        wheel=wheel,
        source=source,
        source_file=evidence.source_file,
        origin=evidence.source,
        traces=traces,
        tools=tools,
        setup_path=own_directory(source, top_directory(source), artifact.name.replace("-", "_")) if itself else None,
        uploaded=uploaded,
    )


def upload_time(file: PublishedFile, what: str) -> datetime:
    """When a file was published.

    Raises:
        NotRebuildable: the index does not say.
    """
    if file.uploaded is None:
        raise NotRebuildable(
            Verdict.UNSUPPORTED,
            f"The index does not say when the {what} was uploaded (PEP 700), so it is unknown which versions of its "
            "build dependencies there were.",
            Cause.NO_UPLOAD_TIME,
        )
    return file.uploaded


def _furnished(workshop: Context, case: WheelEvidence, interpreter: Interpreter) -> tuple[BuildInputs, str]:
    toolchain = workshop.toolchains.get(interpreter.toolchain)
    artifact, source, tools = case.evidence.artifact, case.source_file, case.tools
    bench = BuildInputs(
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
        system=tools.system,
        toolchain=ToolchainRef(name=toolchain.name, sha256=toolchain.sha256),
        guest=workshop.guest.program_input,
        uv=workshop.uv_input(),
        requirements=parameters(workshop, REQUIREMENTS, b""),
        dependencies=(),
        limits=workshop.limits(),
        sandbox=workshop.sandbox,
        setup_options=tools.setup.options if tools.setup else None,
        setup_script=tools.setup is None or tools.setup.has_script,
        lacks=tools.lacks,
        setup_path=case.setup_path,
        windows=tools.windows,
        chosen=chosen_tools(python_of(toolchain), len(workshop.interpreters), tools.held),
    )
    bench, notes = resolve_requirements(
        workshop, bench, tools.requirements, python=python_of(toolchain), not_after=tools.not_after
    )
    about = with_what(tools.system, case.traces.generator, interpreter.python, case.uploaded)
    named = named_python(case.wheel)
    said = [named.sentence] if named is not None else []
    return bench, " ".join((about, *said, interpreter.reason, *tools.sentences, *notes))


def wheel_marks(traces: WheelTraces) -> Marks:
    """What the times and modes in a wheel say."""
    return Marks("wheel", traces.times, traces.uniform_time, traces.source_umask, traces.generated_umask)
