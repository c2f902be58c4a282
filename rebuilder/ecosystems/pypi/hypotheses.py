"""From the published source archive to build definitions of a wheel, likeliest first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from rebuilder.ecosystems.obstacles import NotRebuildable, inputs_missing, unsupported
from rebuilder.ecosystems.pypi.build_environment import parameters, resolve_requirements
from rebuilder.ecosystems.pypi.build_inputs import BuildInputs, Product, chosen_tools, replayed
from rebuilder.ecosystems.pypi.candidates import Marks, by_the_clock, candidates, with_what
from rebuilder.ecosystems.pypi.command_line import SCRIPT, own_directory
from rebuilder.ecosystems.pypi.context import PlanningContext
from rebuilder.ecosystems.pypi.evidence import (
    as_input,
    build_scripts,
    has_build_script,
    held_compiled_code,
    source_path,
    source_text,
)
from rebuilder.ecosystems.pypi.extension_switches import Switch, applicable, extension_switches, switched_off
from rebuilder.ecosystems.pypi.image_builds import (
    IN_IMAGE,
    ImageBuild,
    image_attempts,
    image_build,
    says_something,
    with_cython,
)
from rebuilder.ecosystems.pypi.interpreter_choice import PYTHON_2, Interpreter, choose, named_is_lacking, named_python
from rebuilder.ecosystems.pypi.requirements import narrowed, packed_itself, read_build_system, recorded_tools
from rebuilder.ecosystems.pypi.search import EXTENSIONS_OFF, Candidate, Priors, Reached, hypothesis, try_candidates
from rebuilder.ecosystems.pypi.second_look import Published, second_look
from rebuilder.ecosystems.pypi.tool_versions import BEFORE_PYTHON_3
from rebuilder.ecosystems.pypi.tools_used import Tools, tools_used
from rebuilder.ecosystems.pypi.wheel_traces import WheelTraces, read_traces
from rebuilder.ecosystems.source_trees import SourceOrigin, Unpacked
from rebuilder.errors import BuildEnvironmentError, CorruptEnvironmentError
from rebuilder.model.artifact import Artifact, PublishedFile
from rebuilder.model.attempt import Attempt, History
from rebuilder.model.definition import Input, Role
from rebuilder.model.diagnosis import Cause
from rebuilder.model.evidence import Evidence, Inspection, Obstacle, Source
from rebuilder.model.replayed import too_much
from rebuilder.model.verdict import Verdict
from rebuilder.sandbox.prepared import REQUIREMENTS

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


def infer(context: PlanningContext, evidence: Evidence, history: History) -> Obstacle | None:
    """Plan the step from the source archive to the wheel; see :mod:`rebuilder.model.attempt`.

    Raises:
        NotRebuildable: what keeps it from having (more) hypotheses.
    """
    if evidence.obstacle is not None:
        return evidence.obstacle
    case = context.notebook.once(evidence, "wheel", lambda: _case(evidence))
    if (compiled := held_compiled_code(evidence)) is not None:
        if _build_in_image(context, case, history):
            return None
        _build_without_compiling(context, case, history, compiled)
        return compiled
    if _build_as_recorded(context, case, history):
        return None
    tried = [each.hypothesis.name for each in history.attempts]
    try_candidates(
        history,
        _priors(context, case).ordered(_wheel_candidates(case), tried),
        interpreters=context.notebook.once(evidence, "interpreters", lambda: _interpreters(context, case)),
        resolve=lambda interpreter: context.notebook.once(
            evidence, ("wheel", interpreter), lambda: _with_requirements(context, case, interpreter)
        ),
        refine=partial(_refine, context, case, history),
        without_extensions=partial(_without_extensions, context, case),
    )
    return None


RECORDED = "-as-recorded"
"""In the name of a hypothesis with the tools that the release records."""


def _build_as_recorded(context: PlanningContext, case: WheelEvidence, history: History) -> bool:
    """Plan builds with the tools that the release says it was built with; whether one confirms it."""
    tools = recorded_tools(case.wheel, case.source)
    if tools is None:
        return False
    recorded = replace(case, tools=replace(case.tools, requirements=tools))
    with suppress(NotRebuildable):  # what is recorded may be nowhere to be had
        try_candidates(
            history,
            [replace(each, name=f"{each.name}{RECORDED}") for each in _wheel_candidates(case)],
            interpreters=context.notebook.once(case.evidence, "interpreters", lambda: _interpreters(context, case))[:1],
            resolve=lambda interpreter: context.notebook.once(
                case.evidence, ("recorded", interpreter), lambda: _with_requirements(context, recorded, interpreter)
            ),
        )
    return any(each.confirms and RECORDED in each.hypothesis.name for each in history.attempts)


def _build_in_image(context: PlanningContext, case: WheelEvidence, history: History) -> bool:
    """Plan builds in the image that the settings name for the wheel's platform; whether they decide about it."""
    evidence = case.evidence
    image = _image(context, evidence)
    if image is None or isinstance(image, str):
        return False
    published = Published(evidence, case.wheel, case.traces, case.tools)

    def resolve(interpreter: Interpreter) -> tuple[BuildInputs, str]:
        return context.notebook.once(
            evidence, ("image", interpreter), lambda: _with_requirements(context, case, interpreter, image=image)
        )

    with suppress(NotRebuildable):  # what is to be had for its Python may not be all that it takes
        build_inputs, _ = resolve(image.interpreter)
        try_candidates(
            history,
            [
                replace(each, name=f"{each.name}{IN_IMAGE}")
                for each in _wheel_candidates(case)
                if too_much(replayed(build_inputs, each.conditions)) is None
            ],
            interpreters=[image.interpreter],
            resolve=resolve,
            refine=lambda reached: second_look(context, published, history, reached),
        )
    tried = [each for _, each in image_attempts(history.attempts)]
    if any(each.confirms for each in tried):
        return True
    nearest = tried[0] if tried else None
    if nearest is None or nearest.comparison is None or nearest.hypothesis.lacks not in (image.lacks, None):
        return False
    compared = nearest.comparison
    key = ("alike", compared.rebuilt_sha256)
    if not context.notebook.once(evidence, key, lambda: says_something(context, compared)):
        return False
    hypothesis = nearest.hypothesis
    if hypothesis.lacks is not None:
        sentence = f"{hypothesis.sentence} Its compiled files and the published ones were made alike."
        history.of(hypothesis.replace(name=f"{hypothesis.name}-alike", sentence=sentence, lacks=None))
    return True


def _image(context: PlanningContext, evidence: Evidence) -> ImageBuild | str | None:
    return context.notebook.once(evidence, "image", lambda: image_build(context, evidence))


def image_problem(context: PlanningContext, evidence: Evidence) -> str | None:
    """Why the image that the settings name for a wheel cannot build it, as a sentence; None where nothing is wrong."""
    found = _image(context, evidence) if held_compiled_code(evidence) is not None else None
    return found if isinstance(found, str) else None


WITHOUT_COMPILING = "without-compiling"
"""The hypothesis that gives what of a wheel with compiled code needs no compiler: its metadata, generated modules."""
_SECONDS = 300.0


def _build_without_compiling(
    context: PlanningContext, case: WheelEvidence, history: History, compiled: Obstacle
) -> None:
    """Plan the one build that gives everything but compiled code; it is to account for members, not to confirm them."""
    limits = context.limits
    context = replace(context, limits=limits.replace(wall_seconds=min(limits.wall_seconds, _SECONDS)))
    interpreter = context.notebook.once(case.evidence, "interpreters", lambda: _interpreters(context, case))[0]
    build_inputs, about = context.notebook.once(
        case.evidence, ("wheel", interpreter), lambda: _with_requirements(context, case, interpreter)
    )
    build_inputs = replace(build_inputs, product=Product.WITHOUT_COMPILING, setup_options=None, lacks=compiled)
    candidate = replace(_wheel_candidates(case)[0], sentence="Nothing is compiled.")
    history.of(hypothesis(candidate, build_inputs, about, name=WITHOUT_COMPILING))


def learn(context: PlanningContext, evidence: Evidence, attempts: Iterable[Attempt]) -> None:
    """Remember which candidate confirmed a wheel, if one did, so that it comes first for wheels like it."""
    if evidence.obstacle is not None:
        return
    try:
        case = context.notebook.once(evidence, "wheel", lambda: _case(evidence))
    except NotRebuildable:
        return
    found = _wheel_candidates(case)
    for attempt in attempts:
        name = attempt.hypothesis.name.partition("-python")[0].partition(EXTENSIONS_OFF)[0]
        if attempt.confirms and not attempt.repeat and name in {each.name for each in found}:
            _priors(context, case).came_out(found, name)
            return


def _wheel_candidates(case: WheelEvidence) -> list[Candidate]:
    return candidates(wheel_marks(case.traces), "source archive")


def _priors(context: PlanningContext, case: WheelEvidence) -> Priors:
    return Priors(context.memo, case.traces.generator)


def _interpreters(context: PlanningContext, case: WheelEvidence) -> list[Interpreter]:
    return choose(
        case.evidence.artifact.file.requires_python,
        case.uploaded,
        named=named_python(case.wheel),
        tools=case.tools.versions,
        python_2=any(tag.startswith("py2") for tag in case.traces.tags),
        interpreters=context.interpreters,
    )


def _refine(context: PlanningContext, case: WheelEvidence, history: History, reached: Reached) -> bool:
    published = Published(case.evidence, case.wheel, case.traces, case.tools)
    if second_look(context, published, history, reached):
        return True
    by_the_clock(context, case.evidence, case.traces.times, history, reached)
    return False


def _case(evidence: Evidence) -> WheelEvidence:
    wheel, source = evidence.artifact_inspection, evidence.source_inspection
    if wheel is None or source is None or evidence.source is None or evidence.source_file is None:
        raise inputs_missing("The release publishes no source archive.")
    uploaded = upload_time(evidence.artifact.file, "wheel")
    traces = read_traces(wheel)
    builder = _FOREIGN.get(traces.generator.name) if traces.generator is not None else None
    if builder is not None:
        raise unsupported(
            f"The wheel was packed by {builder}, which builds from a workspace of its own: no Python build backend "
            "makes this wheel from the source archive.",
        )
    if not has_build_script(source):
        raise inputs_missing(
            f"The source archive {evidence.source_file.filename} has neither pyproject.toml nor setup.py nor "
            "setup.cfg: nothing in it says how the wheel is built.",
            Cause.INCOMPLETE_SOURCE,
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
        setup_path=own_directory(source, source.top_directory, artifact.name.replace("-", "_")) if itself else None,
        uploaded=uploaded,
    )


def upload_time(file: PublishedFile, what: str) -> datetime:
    """When a file was published.

    Raises:
        NotRebuildable: the index does not say.
    """
    if file.uploaded is None:
        raise unsupported(
            f"The index does not say when the {what} was uploaded (PEP 700), so it is unknown which versions of its "
            "build dependencies there were.",
            Cause.NO_UPLOAD_TIME,
        )
    return file.uploaded


def _without_extensions(
    context: PlanningContext, case: WheelEvidence, interpreter: Interpreter
) -> Iterator[tuple[BuildInputs, str]]:
    file = as_input(case.source_file)
    return ways_to_leave_out(
        context,
        case.evidence,
        ("wheel", interpreter),
        lambda: build_scripts(context, file, case.source.top_directory, case.tools.system.backend_path),
        lambda switches: _with_requirements(context, case, interpreter, switches),
    )


def ways_to_leave_out(
    context: PlanningContext,
    evidence: Evidence,
    key: tuple[object, ...],
    scripts: Callable[[], Iterable[str]],
    resolve: Callable[[tuple[Switch, ...]], tuple[BuildInputs, str]],
) -> Iterator[tuple[BuildInputs, str]]:
    """Builds that are told to leave compiled extensions out, each in one way that the source itself has.

    Args:
        context: What they are prepared with.
        evidence: At hand.
        key: Of the build without that, as far as the notebook is concerned.
        scripts: Gives the texts of what the source builds itself with.
        resolve: Gives such a build, and sentences about it.
    """
    found = context.notebook.once(evidence, (*key[:-1], "switches"), lambda: extension_switches(scripts()))
    for switches in found:
        try:
            build_inputs, about = context.notebook.once(evidence, (*key, switches), partial(resolve, switches))
        except NotRebuildable:
            continue  # the backend may ask for other things then
        if applicable(switches, build_inputs.system.backend, by_script=build_inputs.setup_options is not None):
            yield build_inputs, about


def _with_requirements(
    context: PlanningContext,
    case: WheelEvidence,
    interpreter: Interpreter,
    switches: tuple[Switch, ...] = (),
    image: ImageBuild | None = None,
) -> tuple[BuildInputs, str]:
    source, tools, python_2 = case.source_file, case.tools, interpreter.python == PYTHON_2
    if python_2:
        _require_python_2(context, case, interpreter)
    archive = Input(
        role=Role.SOURCE,
        name=source.filename,
        sha256=source.sha256,
        path=source_path(source.filename),
        uri=source.url,
    )
    build_inputs = starting_inputs(
        context,
        case.evidence.artifact,
        case.origin,
        Unpacked(archive, top=case.source.top_directory),
        environment=interpreter.environment,
    )
    build_inputs, said = with_tools(build_inputs, tools, case.wheel, interpreter, switches)
    options = () if python_2 and build_inputs.setup_options is None else build_inputs.setup_options
    build_inputs = replace(build_inputs, setup_path=case.setup_path, setup_options=options, python_2=python_2)
    requirements = narrowed(tools.requirements, BEFORE_PYTHON_3) if python_2 else tools.requirements
    if python_2 and tools.windows is not None and tools.lacks is None:
        build_inputs = replace(build_inputs, lacks=_NO_WINDOWS)
    if image is not None:
        said.append(image.sentence)
        requirements, held = with_cython(image, requirements)
        chosen = (*build_inputs.chosen, *held)
        lacks = named_is_lacking(named_python(case.wheel), interpreter) or image.lacks
        build_inputs = replace(build_inputs, in_image=image.use, lacks=lacks, chosen=chosen)
    build_inputs, notes = resolve_requirements(
        context, build_inputs, requirements, python=interpreter.python, not_after=tools.not_after
    )
    about = with_what(tools.system, case.traces.generator, interpreter.python, case.uploaded)
    return build_inputs, " ".join((about, *said, interpreter.reason, *notes))


_NO_WINDOWS = Obstacle(
    verdict=Verdict.UNSUPPORTED,
    sentence="Python 2 built the wheel on Windows, where it writes text files otherwise than here.",
    cause=Cause.NOT_SUPPORTED,
)


def _require_python_2(context: PlanningContext, case: WheelEvidence, interpreter: Interpreter) -> None:
    """See that Python 2 can build it: by ``setup.py`` alone, and few mirrors have what its environment is made of.

    Raises:
        NotRebuildable: it cannot.
        CorruptEnvironmentError: the environment was modified.
    """
    problem = "" if source_text(case.source, "setup.py") is not None else "it builds by setup.py alone"
    try:
        if not problem:
            context.environments.get(interpreter.environment)
            return
    except CorruptEnvironmentError:
        raise
    except BuildEnvironmentError as error:
        problem = str(error)
    raise unsupported(f"Nothing here builds it with Python 2: {problem}.", Cause.MISSING_INTERPRETER)


def build_in(context: PlanningContext, evidence: Evidence, interpreter: Interpreter) -> BuildInputs:
    """What building the source archive takes in an environment, whatever kept the wheel from being rebuilt.

    Raises:
        NotRebuildable: what is published does not say how, or does not have what it takes.
    """
    return _with_requirements(context, _case(evidence), interpreter)[0]


def starting_inputs(
    context: PlanningContext, artifact: Artifact, source: Source, tree: SourceOrigin, *, environment: str
) -> BuildInputs:
    """A build of an artifact in a build environment, before anything is known of its tools and its dependencies."""
    used = context.environment(environment)
    return BuildInputs(
        purl=artifact.purl,
        filename=artifact.filename,
        source=source,
        tree=tree,
        system=read_build_system(None),
        toolchain=used.ref,
        program=context.programs.program_input("pypi"),
        uv=context.uv_input(),
        requirements=parameters(context, REQUIREMENTS, b""),
        dependencies=(),
        limits=context.limits,
        sandbox=context.sandbox,
    )


def with_tools(
    build_inputs: BuildInputs, tools: Tools, wheel: Inspection, interpreter: Interpreter, switches: tuple[Switch, ...]
) -> tuple[BuildInputs, list[str]]:
    """The same with what the published wheel says about the tools; ``switches`` leave compiled extensions out.

    Returns:
        It, and sentences about that.
    """
    named = named_python(wheel)
    build_inputs = replace(
        build_inputs,
        system=tools.system,
        setup_options=tools.setup.options if tools.setup else None,
        setup_script=tools.setup.script if tools.setup else SCRIPT,
        lacks=tools.lacks or named_is_lacking(named, interpreter) or build_inputs.lacks,
        windows=tools.windows,
        as_python=interpreter.python if interpreter.runs_on else None,
        switches=switches,
        as_debian=("namespaces",) if tools.unnamed_namespaces else (),
        chosen=chosen_tools(interpreter.python, tools.held),
    )
    said = [*([named.sentence] if named else []), *([switched_off(switches)] if switches else []), *tools.sentences]
    return build_inputs, said


def wheel_marks(traces: WheelTraces) -> Marks:
    """What the times and modes in a wheel say."""
    return Marks("wheel", traces.times, traces.uniform_time, traces.source_umask, traces.generated_umask)
