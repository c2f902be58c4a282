"""What a rebuild that differs shows about the build of the published wheel, and the same build with that changed.

The published wheel alone may leave a question open that the rebuild beside it answers: with how many empty lines a
description ends before setuptools adds some of its own; which headers an older one would not have written; in which
order the project names its requirements; whether a plug-in found the version; what the backend calls the file before
somebody retags it. Each answer is a rule like those of the first look, and is tried once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from rebuilder.ecosystems.inspection import inspect
from rebuilder.ecosystems.obstacles import NotRebuildable
from rebuilder.ecosystems.pypi.build_environment import resolve_requirements
from rebuilder.ecosystems.pypi.build_inputs import USUAL_DIRECTORIES, BuildInputs, held_tool
from rebuilder.ecosystems.pypi.command_line import retag_options
from rebuilder.ecosystems.pypi.context import PlanningContext
from rebuilder.ecosystems.pypi.evidence import WHEEL_TEXTS
from rebuilder.ecosystems.pypi.hash_seed import seed_for
from rebuilder.ecosystems.pypi.interpreter_choice import PYTHON_2, python_of
from rebuilder.ecosystems.pypi.requirements import Requirements, narrowed
from rebuilder.ecosystems.pypi.search import Reached, hypothesis
from rebuilder.ecosystems.pypi.tool_versions import (
    BEFORE_PYTHON_3,
    Bracket,
    Shape,
    are_sorted,
    by_headers,
    by_line_ends,
    read_by_python_2,
    read_shape,
    reordered,
)
from rebuilder.ecosystems.pypi.tools_used import Tools
from rebuilder.ecosystems.pypi.wheel_traces import WheelTraces, read_traces
from rebuilder.model.attempt import History, Hypothesis
from rebuilder.model.definition import Input, Role
from rebuilder.model.diagnosis import Cause
from rebuilder.model.evidence import Evidence, Inspection, Obstacle
from rebuilder.model.replayed import too_much
from rebuilder.model.verdict import Verdict

_SCM = "SETUPTOOLS_SCM_PRETEND_VERSION"
VARIABLES = {
    "flit-scm": _SCM,
    "hatch-vcs": _SCM,
    "pbr": "PBR_VERSION",
    "pdm-backend": "PDM_BUILD_SCM_VERSION",
    "pdm-pep517": "PDM_PEP517_SCM_VERSION",
    "poetry-dynamic-versioning": "POETRY_DYNAMIC_VERSIONING_BYPASS",
    "setuptools-scm": _SCM,
    "uv-dynamic-versioning": "UV_DYNAMIC_VERSIONING_BYPASS",
}
"""By which variable a plug-in of a build backend takes the version, from the documentation of each."""


@dataclass(frozen=True)
class _Change:
    """One thing that is done otherwise."""

    name: str
    sentence: str
    build_inputs: BuildInputs
    requirements: Requirements


@dataclass(frozen=True)
class Published:
    """The published wheel that attempts are held against."""

    evidence: Evidence
    wheel: Inspection
    traces: WheelTraces
    tools: Tools
    """What it was built with, as far as it says."""


def second_look(context: PlanningContext, published: Published, history: History, reached: Reached) -> bool:
    """Try the build again with everything changed that an attempt shows; whether that confirmed the content.

    An attempt that failed, or whose content is another, is looked at, and so is what comes of that.
    """
    attempt, rebuilt = reached.attempt, reached.attempt.rebuilt
    if attempt.confirms:
        return False
    shown = context.notebook.once(
        published.evidence,
        ("second look", attempt.hypothesis.definition.digest, (rebuilt.filename, rebuilt.sha256) if rebuilt else None),
        lambda: _changed_build(context, published, reached),
    )
    if shown is None:
        return False
    answer = history.of(shown[0])
    again = replace(reached, attempt=answer, build_inputs=shown[1])
    return answer.confirms or second_look(context, published, history, again)


def _changed_build(
    context: PlanningContext, published: Published, reached: Reached
) -> tuple[Hypothesis, BuildInputs] | None:
    """The build with everything changed that the attempt shows; None when that is nothing, or cannot be had."""
    build_inputs, tools = reached.build_inputs, published.tools
    said: list[str] = []
    names: list[str] = []
    requirements = tools.requirements
    for change in _changes(context, published.wheel, published.traces, requirements, reached):
        names.append(change.name)
        said.append(change.sentence)
        build_inputs, requirements = change.build_inputs, change.requirements
        reached = replace(reached, build_inputs=build_inputs)
    if not said:
        return None
    python = build_inputs.as_python or _python(context, build_inputs)
    try:
        build_inputs, notes = resolve_requirements(
            context, build_inputs, requirements, python=python, not_after=tools.not_after
        )
    except NotRebuildable:
        return None
    changed = replace(
        reached.candidate,
        name="-".join((reached.candidate.name, *names)),
        sentence=" ".join((*said, reached.candidate.sentence)),
    )
    found = hypothesis(changed, build_inputs, " ".join((reached.about, *notes)))
    return (found, build_inputs) if too_much(found.replayed) is None else None


def _changes(
    context: PlanningContext, wheel: Inspection, traces: WheelTraces, requirements: Requirements, reached: Reached
) -> Iterator[_Change]:
    """What the attempt shows, each from what the one before left."""
    build_inputs, rebuilt = reached.build_inputs, reached.attempt.rebuilt
    version = _told_version(build_inputs, rebuilt.filename if rebuilt else None)
    if version is not None:
        build_inputs = replace(build_inputs, pretended=version)
        result = f"The rebuild has version {_version(rebuilt.filename)}" if rebuilt else "The build failed"
        sentence = (
            f"{result}, the published wheel has {_version(build_inputs.filename)}: "
            f"{' and '.join(name for name, _ in version)} gives it to the plug-in that the source asks for."
        )
        yield _Change("version", sentence, build_inputs, requirements)
    if version is not None or rebuilt is None:
        return  # nearly every generated file has it in, and so says nothing else
    generator = traces.generator.name if traces.generator is not None else ""
    # setuptools has options for this, and a wheel package beside it may change what it writes.
    options = (
        () if generator in {"bdist_wheel", "setuptools"} else retag_options(rebuilt.filename, build_inputs.filename)
    )
    if options:
        build_inputs = replace(build_inputs, retagged=(rebuilt.filename, options))
        requirements = replace(
            requirements, requirements=(*requirements.requirements, _RETAGS), alternatives=(), stand_in=None
        )
        sentence = f"The backend calls the wheel {rebuilt.filename}: wheel tags {' '.join(options)} was run on it."
        yield _Change("retagged", sentence, build_inputs, requirements)
    used = next(
        (each.version for each in build_inputs.dependencies if canonicalize_name(each.name) == "setuptools"), None
    )
    if used is None:
        return
    file = Input(role=Role.PARAMETERS, name=rebuilt.filename, sha256=rebuilt.sha256, path="/inputs/rebuilt.whl")
    [listing] = inspect(context, [file], texts=WHEEL_TEXTS)
    directories = _empty_directories(wheel, listing)
    if directories and not build_inputs.directories:
        build_inputs = replace(build_inputs, directories=directories)
        sentence = (
            f"top_level.txt names {' and '.join(directories)}, of which there is no file: setuptools finds packages in "
            "empty directories, too, and such lay beside the source."
        )
        yield _Change("directories", sentence, build_inputs, requirements)
    shapes = read_shape(wheel, traces, None), read_shape(listing, read_traces(listing), None)
    python = _python(context, build_inputs)
    if generator == "bdist_wheel" and are_sorted(*shapes) and "requirements" not in build_inputs.as_debian:
        build_inputs = replace(build_inputs, as_debian=(*build_inputs.as_debian, "requirements"))
        sentence = (
            "The published wheel has the requirements of the rebuild, sorted: that is what setuptools does as Debian "
            "and Ubuntu package it."
        )
        yield _Change("sorted", sentence, build_inputs, requirements)
    elif not build_inputs.hash_seed and (seed := seed_for(reordered(*shapes), python)) is not None:
        build_inputs = replace(build_inputs, hash_seed=seed)
        sentence = (
            "Requirements stand in the order of a set, which the hashes of that process gave them: the seed "
            f"{seed} gives them the published order."
        )
        yield _Change("hash-seed", sentence, build_inputs, requirements)
    if generator != "bdist_wheel":
        return
    if read_by_python_2(*shapes) and not build_inputs.reads_as_python_2:
        build_inputs = replace(build_inputs, reads_as_python_2=True, lacks=_NO_PYTHON_2)
        requirements = narrowed(requirements, BEFORE_PYTHON_3)
        sentence = (
            "The description of the published wheel lacks the empty line that it begins with in the rebuild: Python 2 "
            f"read PKG-INFO, and Python {python} is made to read it so."
        )
        yield _Change("python2", sentence, build_inputs, requirements)
    for name, found in (("headers", by_headers(*shapes)), ("description", ends_of(*shapes, used))):
        if found.rules and not found.contains(used):
            held = held_tool(f"setuptools {found.specifier}")
            build_inputs = replace(build_inputs, chosen=(*build_inputs.chosen, held))
            requirements = narrowed(requirements, found)
            yield _Change(name, found.sentence, build_inputs, requirements)


def _python(context: PlanningContext, build_inputs: BuildInputs) -> str:
    if build_inputs.python_2:
        return PYTHON_2
    if build_inputs.in_image is not None:
        return build_inputs.in_image.version
    return python_of(context.environments.by_digest(build_inputs.toolchain.sha256))


_NO_PYTHON_2 = Obstacle(
    verdict=Verdict.UNSUPPORTED,
    sentence="Python 2 built the wheel, which is for Python 3, too, and the rebuild only reads headers as Python 2.",
    cause=Cause.NOT_SUPPORTED,
)
_TOP_LEVEL = ".dist-info/top_level.txt"
_MOST_DIRECTORIES = 4
_RETAGS = "wheel>=0.40"
"""The first that has ``wheel tags``."""


def _told_version(build_inputs: BuildInputs, rebuilt: str | None) -> tuple[tuple[str, str], ...] | None:
    """Variables that give plug-ins the version of the file name, where the rebuild has another one, or failed."""
    published = _version(build_inputs.filename)
    try:
        if build_inputs.pretended or (rebuilt is not None and Version(published) == Version(_version(rebuilt))):
            return None
    except InvalidVersion:
        return None
    names = {canonicalize_name(each.name) for each in build_inputs.dependencies}
    variables = {VARIABLES[name] for name in names & VARIABLES.keys()}
    return tuple((each, published) for each in sorted(variables)) or None


def _empty_directories(published: Inspection, rebuilt: Inspection) -> tuple[str, ...]:
    """Directories in which setuptools found a package without a file, by what top_level.txt has and the rebuild lacks.

    Nothing where another name is lacking too, or one that is not of the usual ones: a name could be a message.
    """
    ours, theirs = (
        {line.strip() for name, text in each.texts.items() if name.endswith(_TOP_LEVEL) for line in text.splitlines()}
        for each in (published, rebuilt)
    )
    packed = {each.name.partition("/")[0].removesuffix(".py") for each in published.members}
    lacking = ours - theirs
    found = () if theirs - ours or not lacking <= USUAL_DIRECTORIES - packed else tuple(sorted(lacking))
    return found if len(found) <= _MOST_DIRECTORIES else ()


def ends_of(published: Shape, rebuilt: Shape, used: str) -> Bracket:
    """Which setuptools ends a description as the published wheel does, by how another version ended the same one."""
    if published.description.strip() != rebuilt.description.strip():
        return Bracket()
    return by_line_ends(published.empty_ends, rebuilt.empty_ends, used)


def _version(filename: str) -> str:
    return filename.split("-")[1] if filename.count("-") >= 4 else ""
