"""What a wheel, its source and its upload time say together about the tools that packed it (pure).

Setuptools from before there was a hook to ask loads ``setup_requires`` over the network while it runs: what
``setup.py`` names there is read without running it.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from packaging.requirements import InvalidRequirement
from packaging.utils import canonicalize_name

from rebuilder.ecosystems.pypi.command_line import SetupCommand, name_parts, setup_command
from rebuilder.ecosystems.pypi.extension_switches import parsed
from rebuilder.ecosystems.pypi.requirements import (
    BuildSystem,
    Requirements,
    installed_backend,
    narrowed,
    packing_backend,
    pin_generator,
)
from rebuilder.ecosystems.pypi.tool_versions import Bracket, bracket, read_shape, shadowing_wheel
from rebuilder.ecosystems.pypi.wheel_traces import OnWindows, WheelTraces, on_windows
from rebuilder.foreign_words import read_requirement
from rebuilder.model.artifact import Artifact
from rebuilder.model.evidence import Inspection, Obstacle
from rebuilder.model.verdict import Verdict

_NEWEST = (
    (datetime(2015, 5, 28, tzinfo=UTC), "16.0"),
    (datetime(2018, 3, 17, tzinfo=UTC), "38.7"),
    (datetime(2019, 8, 13, tzinfo=UTC), "41.0"),
    (datetime(2023, 1, 20, tzinfo=UTC), "66.0"),
)
"""Until when there was no setuptools after a version, of those that decide about the Python (interpreter_limits)."""
_UNNAMED = (
    "The namespace file has no version of Python in its name: setuptools is changed as Debian and Ubuntu change it."
)
_NAMED = re.compile(r"-py\d\.\d{1,2}-nspkg\.pth$")


@dataclass(frozen=True)
class Tools:
    """The tools, and how they were called."""

    system: BuildSystem
    requirements: Requirements
    setup: SetupCommand | None
    windows: OnWindows | None
    unnamed_namespaces: bool
    """Whether namespace files have no version of Python in their names, as the setuptools of Debian leaves them."""
    versions: dict[str, str]
    """By name, as far as they decide about the Python; of setuptools the newest that fits."""
    held: tuple[str, ...]
    """Each tool that the wheel holds to a version or a range, in words."""
    lacks: Obstacle | None
    """What it was built with that cannot be had."""
    not_after: datetime
    """Nothing newer is used."""

    @property
    def sentences(self) -> list[str]:
        """The evidence; that for the requirements is in their notes."""
        said = [each.sentence for each in (self.setup, self.windows) if each is not None]
        return [*said, _UNNAMED] if self.unnamed_namespaces else said


def tools_used(
    wheel: Inspection,
    traces: WheelTraces,
    artifact: Artifact,
    system: BuildSystem,
    *,
    uploaded: datetime,
    setup_py: str | None,
    setup_cfg: str | None,
) -> Tools:
    """Read it off."""
    generator = traces.generator
    declared = installed_backend(system, generator, artifact.name, artifact.version)
    system = packing_backend(declared, generator)
    requirements = pin_generator(system, generator, artifact.name, artifact.version)
    if generator is not None and system.backend != declared.backend:
        note = f"{declared.backend} would not have named {generator.name} in the wheel: {system.backend} is called."
        requirements = replace(requirements, notes=(*requirements.notes, note))
    held = [f"{generator.name} {generator.version}"] if generator else []
    versions = {generator.name: generator.version} if generator else {}
    if generator is not None and generator.name == "bdist_wheel":
        fitting = bracket(read_shape(wheel, traces, setup_cfg))
        requirements = narrowed(with_setup_requires(requirements, setup_py), fitting)
        versions = {"wheel": generator.version, **_setuptools(fitting, uploaded)}
        held += [f"setuptools {fitting.specifier}"] if fitting.rules else []
    elif generator is not None and generator.name == "setuptools":
        required = any(canonicalize_name(each.name) == "wheel" for each in system.requires)
        shape = read_shape(wheel, traces, setup_cfg)
        beside = shadowing_wheel(shape, generator.version, required=required)
        requirements = narrowed(requirements, beside)
        versions |= {"wheel": beside.specifier} if beside.rules else {}
        held += [f"wheel {beside.specifier}"] if beside.rules else []
    return Tools(
        system=system,
        requirements=requirements,
        setup=setup_command(traces, artifact.filename, system, setup_py=setup_py, setup_cfg=setup_cfg),
        windows=on_windows(wheel, traces),
        unnamed_namespaces=_unnamed_namespaces(wheel),
        versions=versions,
        held=tuple(held),
        lacks=_lacking(artifact.filename),
        not_after=uploaded,
    )


def _unnamed_namespaces(wheel: Inspection) -> bool:
    found = [each.name for each in wheel.members if each.name.endswith("-nspkg.pth")]
    return bool(found) and not any(_NAMED.search(name) for name in found)


def _lacking(filename: str) -> Obstacle | None:
    """What a wheel needs that is not to be had: its platform. That of a Python is said where one is chosen."""
    platform = name_parts(filename)[3]
    if platform == "any":
        return None
    sentence = (
        f"The wheel is tagged for one platform ({platform}), though it holds no compiled code: a build here does not "
        "give it."
    )
    return Obstacle(verdict=Verdict.UNSUPPORTED, sentence=sentence)


def _setuptools(fitting: Bracket, uploaded: datetime) -> dict[str, str]:
    newest = next((version for until, version in _NEWEST if uploaded < until), None)
    newest = newest if newest is not None and fitting.contains(newest) else fitting.newest or newest
    return {} if newest is None else {"setuptools": newest}


_MOST = 20


def with_setup_requires(found: Requirements, setup_py: str | None) -> Requirements:
    """Add what ``setup.py`` names to the build requirements, whatever else of them is tried."""
    texts = setup_requires(setup_py)
    return _added(found, texts, f"setup.py asks for {', '.join(texts)} to be run.") if texts else found


def _added(found: Requirements, texts: tuple[str, ...], note: str) -> Requirements:
    return replace(
        found,
        requirements=(*found.requirements, *texts),
        notes=(*found.notes, note),
        alternatives=tuple(_added(each, texts, note) for each in found.alternatives),
        stand_in=found.stand_in and _added(found.stand_in, texts, note),
    )


def setup_requires(setup_py: str | None) -> tuple[str, ...]:
    """Requirements in the keyword ``setup_requires`` of a call, where they are written out; releases only."""
    tree = parsed(setup_py or "")
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.keyword) and node.arg == "setup_requires":
            return tuple(text for text in _literals(node.value)[:_MOST] if _is_release(text))
    return ()


def _literals(node: ast.expr) -> list[str]:
    items = node.elts if isinstance(node, ast.List | ast.Tuple) else [node]
    return [each.value for each in items if isinstance(each, ast.Constant) and isinstance(each.value, str)]


def _is_release(text: str) -> bool:
    try:
        return read_requirement(text).url is None
    except InvalidRequirement:
        return False
