"""Choosing and fetching what a file is built with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rebuilder.ecosystems.obstacles import NotRebuildable, inputs_missing, quoted
from rebuilder.ecosystems.pypi.build_inputs import (
    PATCH_RELEASES,
    REQUIRES_RESULT,
    BuildInputs,
    dependency_input,
    requirements_text,
    requires_definition,
)
from rebuilder.ecosystems.pypi.context import PlanningContext
from rebuilder.ecosystems.pypi.requirements import Requirements, parse_requirements
from rebuilder.ecosystems.pypi.subject import version_of
from rebuilder.foreign_json import read_json
from rebuilder.model.artifact import Pin, Resolution
from rebuilder.model.attempt import Outcome, Run
from rebuilder.model.definition import Input, Role
from rebuilder.model.diagnosis import Cause
from rebuilder.model.evidence import Obstacle
from rebuilder.model.value import Sha256
from rebuilder.model.verdict import Verdict
from rebuilder.sandbox.prepared import REQUIREMENTS

_GRACE = timedelta(days=1)
"""How much later than the file its own build tool may have been published."""
_MAX_RESULT = 1 << 20
_NO_WHEEL = "no usable wheels"
"""How uv says that something is published as a source archive alone; builds are given wheels."""
_RESOLVED_AS = {"2.7": "3.6", "3.4": "3.6", "3.5": "3.6"}
"""uv resolves for no Python before 3.6; what there was for these asks for nothing else."""


@dataclass(frozen=True)
class Chosen:
    """Exact build dependencies."""

    pins: tuple[Pin, ...]
    notes: tuple[str, ...] = ()
    lacks: Obstacle | None = None
    """What cannot be had, where something stands in for it."""
    presented: tuple[str, str] | None = None
    """See :attr:`rebuilder.ecosystems.pypi.build_inputs.BuildInputs.presented`."""


def resolve_requirements(
    context: PlanningContext, build_inputs: BuildInputs, requirements: Requirements, *, python: str, not_after: datetime
) -> tuple[BuildInputs, tuple[str, ...]]:
    """Give a build_inputs its build dependencies, those included that the backend asks for when it is called.

    Args:
        context: What to resolve, fetch and run with.
        build_inputs: All but the dependencies.
        requirements: What is known before the backend is asked.
        python: Version of the build environment's Python, such as ``3.13``.
        not_after: Nothing published later is used.

    Returns:
        The build_inputs, and sentences worth telling.

    Raises:
        NotRebuildable: no releases satisfy the requirements.
        UnavailableError, SandboxFaultError, …: see the ports.
    """
    used, chosen = _choose(context, requirements, python=python, not_after=not_after)
    if chosen.lacks is not None:
        build_inputs = replace(build_inputs, lacks=chosen.lacks, presented=chosen.presented)
    resolved = _with_pins(context, build_inputs, chosen.pins)
    if build_inputs.python_2:  # what setup.py asks for was read from it, and there is no backend
        return resolved, chosen.notes
    asked = _ask_backend(context, resolved)
    if asked is None:
        return resolved, (*chosen.notes, "Asking the backend for further requirements failed.")
    missing = [each for each in parse_requirements(asked) if not _satisfied(each, chosen.pins)]
    if not missing:
        return resolved, chosen.notes
    everything = replace(used, requirements=(*used.requirements, *map(str, missing)), alternatives=(), stand_in=None)
    _, again = _choose(context, everything, python=python, not_after=not_after)
    return _with_pins(context, build_inputs, again.pins), tuple(
        dict.fromkeys((*chosen.notes, *again.notes[len(used.notes) :]))
    )


def _choose(
    context: PlanningContext, wanted: Requirements, *, python: str, not_after: datetime
) -> tuple[Requirements, Chosen]:
    """The requirements that can be satisfied, and with what."""

    def resolve(each: Requirements, moment: datetime) -> Resolution:
        if not each.requirements:
            return Resolution()
        version = _RESOLVED_AS.get(python, python)
        return context.resolver.resolve(each.requirements, python_version=version, not_after=moment)

    problem = ""
    for each in (wanted, *wanted.alternatives):
        resolution = resolve(each, not_after)
        if resolution.problem is None:
            return each, Chosen(resolution.pins, each.notes)
        problem = resolution.problem
    if wanted.pinned is not None:
        later = resolve(each, not_after + _GRACE)
        if later.problem is None:
            note = f"{wanted.pinned} was published only after the wheel: a day more was allowed."
            return each, Chosen(later.pins, (*each.notes, note))
    if wanted.pinned is not None and wanted.stand_in is not None:
        try:
            used, chosen = _choose(context, wanted.stand_in, python=python, not_after=not_after)
        except NotRebuildable:
            pass
        else:
            return used, _standing_in(chosen, Requirement(wanted.pinned))
    raise inputs_missing(
        f"No build dependencies published before {not_after:%Y-%m-%d %H:%M} UTC satisfy "
        f"{', '.join(each.requirements)}: {quoted(problem, longest=600)}",
        Cause.NOT_SUPPORTED if _NO_WHEEL in problem else None,
    )


def _standing_in(chosen: Chosen, pinned: Requirement) -> Chosen:
    """The same, with what is said of a build by another version of the tool that packed the wheel.

    A release of the same series calls itself by that version: what wheels name it for is rarely all that it changed.
    """
    tool, wanted = canonicalize_name(pinned.name), next(iter(pinned.specifier)).version
    version = next((pin.version for pin in chosen.pins if canonicalize_name(pin.name) == tool), "")
    note = f"{chosen.notes[0]}: {pinned.name} {version} stands in for it."
    sentence = f"{note} What that makes is not the published wheel."
    lacks = Obstacle(verdict=Verdict.INPUTS_MISSING, sentence=sentence, cause=Cause.UNPUBLISHED_TOOL)
    presented = (tool, wanted) if _is_beside(wanted, version) else None
    note = f"{note[:-1]}, and calls itself so." if presented else note
    return replace(chosen, notes=(note, *chosen.notes[1:]), lacks=lacks, presented=presented)


def _is_beside(wanted: str, version: str) -> bool:
    """Whether two versions are releases of one series, and the first one of few that there can be."""
    one, other = version_of(wanted), version_of(version)
    if one is None or other is None:
        return False
    plain = wanted == ".".join(map(str, one.release)) and len(one.release) == 3
    return plain and one.release[:2] == other.release[:2] and one.micro < PATCH_RELEASES


def _with_pins(context: PlanningContext, build_inputs: BuildInputs, pins: tuple[Pin, ...]) -> BuildInputs:
    ordered = sorted(pins, key=lambda pin: pin.filename)
    for pin in ordered:
        context.fetcher.file(pin.url, sha256=pin.sha256, max_bytes=context.max_file_bytes)
    return replace(
        build_inputs,
        requirements=parameters(context, REQUIREMENTS, requirements_text(ordered).encode()),
        dependencies=tuple(dependency_input(pin) for pin in ordered),
    )


def parameters(context: PlanningContext, path: str, content: bytes) -> Input:
    """A document we made ourselves, as an input."""
    sha256: Sha256 = context.blobs.put(content)
    return Input(role=Role.PARAMETERS, name=path.rpartition("/")[2], sha256=sha256, path=path)


def _ask_backend(context: PlanningContext, build_inputs: BuildInputs) -> list[str] | None:
    """What the hook for further requirements gives, run in the sandbox; None when it fails.

    A failure is no obstacle yet: the build itself asks again, and then its log is published.
    """
    definition = requires_definition(build_inputs)
    known = context.memo.get(definition.digest)
    if known is not None:
        return [str(each) for each in known]
    run = context.run(definition)
    requires = _read_result(context, run) if run.outcome is Outcome.COMPLETED else None
    if requires is not None:
        context.memo.put(definition.digest, requires)
    return requires


def _read_result(context: PlanningContext, run: Run) -> list[str] | None:
    """The result file; it was written next to untrusted code, so anything may be in it."""
    for output in run.outputs:
        if output.filename == REQUIRES_RESULT and output.size <= _MAX_RESULT:
            try:
                requires = read_json(context.blobs.read(output.sha256))["requires"]
            except (ValueError, KeyError, TypeError):
                return None
            return requires if isinstance(requires, list) and all(isinstance(each, str) for each in requires) else None
    return None


def _satisfied(requirement: Requirement, pins: Sequence[Pin]) -> bool:
    if requirement.marker is not None or requirement.extras:
        return False
    name = canonicalize_name(requirement.name)
    return any(
        canonicalize_name(pin.name) == name and requirement.specifier.contains(pin.version, prereleases=True)
        for pin in pins
    )
