"""What a source asks to be built with, and what its wheel says it was built with (pure).

The wheel may carry the SBOM of its build environment (PEP 770). Whoever publishes writes that record, so it is believed
no further than ``pyproject.toml``: it counts only where the source archive has the very same file, names releases and
nothing else, and those come from the index, as of the upload, with the digests that the index lists. It is tried before
anything is inferred; what it does not confirm, goes on as without.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from typing import Any

from packageurl import PackageURL
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from rebuilder.ecosystems.obstacles import NotRebuildable, inputs_missing, quoted
from rebuilder.ecosystems.pypi.subject import ECOSYSTEM, version_of
from rebuilder.ecosystems.pypi.tool_versions import Bracket
from rebuilder.ecosystems.pypi.wheel_traces import Generator
from rebuilder.foreign_json import read_json
from rebuilder.foreign_words import read_requirement, read_toml
from rebuilder.model.evidence import Inspection
from rebuilder.model.verdict import Verdict

LEGACY_BACKEND = "setuptools.build_meta:__legacy__"
"""What PEP 517 prescribes for a source tree that names no backend."""

_OBJECT = re.compile(r"[A-Za-z_][\w.]*(:[A-Za-z_][\w.]*)?", re.ASCII)
_FIRST_DATE = 19900101
"""A post-release number from here on is a date."""
_MOST = 100
"""Build requirements a project may name; real ones have a handful."""


@dataclass(frozen=True)
class BuildSystem:
    """How a source tree wants to be built (PEP 517, PEP 518)."""

    backend: str
    """``module`` or ``module:object``."""
    backend_path: tuple[str, ...]
    """Directories in the source tree that hold the backend itself."""
    requires: tuple[Requirement, ...]


@dataclass(frozen=True)
class Requirements:
    """Build requirements after the wheel's own words were heard."""

    requirements: tuple[str, ...]
    pinned: str | None
    """The requirement that stands for ``Generator``, such as ``hatchling==1.27.0``; None without one."""
    notes: tuple[str, ...] = ()
    alternatives: tuple[Requirements, ...] = ()
    """What to ask for when nothing satisfies these, in this order."""
    stand_in: Requirements | None = None
    """What to ask for when all else fails: the nearest to a tool that cannot be had."""


def narrowed(found: Requirements, versions: Bracket) -> Requirements:
    """Hold a tool to the versions that write files of the wheel's shape.

    When what the source asks for excludes them, the shape wins: the build used what was installed. When there is no
    such release at all, the shape is forgotten.
    """
    if not versions.rules:
        return found
    text = f"{versions.tool}{versions.specifier}"
    others = tuple(each for each in found.requirements if canonicalize_name(Requirement(each).name) != versions.tool)
    notes = (*found.notes, versions.sentence)
    told = (*notes, "That is not what the source asks for, so what was installed was used.")
    installed = replace(found, requirements=(*others, text), notes=told)
    return replace(found, requirements=(*found.requirements, text), notes=notes, alternatives=(installed, found))


def read_build_system(pyproject: str | None) -> BuildSystem:
    """Read ``[build-system]``; without it, setuptools builds from ``setup.py`` as PEP 517 prescribes.

    Raises:
        NotRebuildable: it is malformed, or names something that is not on an index.
    """
    table = _table(pyproject) if pyproject is not None else None
    if table is None:
        return BuildSystem(LEGACY_BACKEND, (), (Requirement("setuptools"),))
    backend = table.get("build-backend", LEGACY_BACKEND)
    if not isinstance(backend, str) or not _OBJECT.fullmatch(backend):
        raise _malformed(f"build-backend is {quoted(str(backend))}")
    requires = table.get("requires", [])
    if not _texts(requires) or len(requires) > _MOST:
        raise _malformed("requires is not a list of requirements")
    paths = table.get("backend-path", [])
    if not _texts(paths) or len(paths) > _MOST or any(_leaves_tree(path) for path in paths):
        raise _malformed("backend-path is not a list of directories in the source tree")
    if "build-backend" not in table and not requires:
        requires = ["setuptools"]
    return BuildSystem(backend, tuple(paths), parse_requirements(requires))


def parse_requirements(texts: list[str]) -> tuple[Requirement, ...]:
    """Read PEP 508 requirements that an index can satisfy.

    Raises:
        NotRebuildable: one is malformed, or names a direct address instead of a release.
    """
    requirements = []
    for text in texts:
        try:
            requirement = read_requirement(text)
        except InvalidRequirement:
            raise NotRebuildable(
                Verdict.BUILD_FAILED,
                f"The source asks to be built with {quoted(text)}, which is not a requirement (PEP 508).",
            ) from None
        if requirement.url is not None:
            raise inputs_missing(
                f"The source asks to be built with {quoted(text)}: what is at that address today need not be "
                "what was there when the wheel was made.",
            )
        requirements.append(requirement)
    return tuple(requirements)


def installed_backend(system: BuildSystem, generator: Generator | None, project: str, version: str) -> BuildSystem:
    """The same system, without the backend in the source where another release of the project packed the wheel.

    A backend that builds itself names its own version; where ``Generator`` names another one of the same project,
    the build used that, as it was installed.
    """
    if generator is None or not version_of(generator.version) or not system.backend_path:
        return system
    if _distribution(generator, system) != canonicalize_name(project) or _same(generator.version, version):
        return system
    if is_unreleased(generator.version):  # a checkout that calls itself so: what was installed has a released version
        return system
    return BuildSystem(system.backend, (), system.requires)


def packing_backend(system: BuildSystem, generator: Generator | None) -> BuildSystem:
    """The same system, with the backend that ``Generator`` names where the source names another, or none.

    A frontend calls what pyproject.toml names, but commands such as ``flit build`` and ``poetry build`` do not read it.
    """
    if generator is None or system.backend_path or not version_of(generator.version):
        return system
    distribution = "poetry-core" if _is_poetry_core(generator) else _distribution(generator, system)
    backend = BACKENDS.get(distribution or "")
    declared = system.backend.partition(".")[0]
    others = {"setuptools", *(_family(each) for each in BACKENDS.values())}
    if backend is None or declared.partition("_")[0] not in others:
        return system
    if declared.partition("_")[0] == _family(backend) and not _is_poetry_core(generator):
        return system
    return BuildSystem(backend, (), system.requires)


def _family(backend: str) -> str:
    return backend.partition(".")[0].partition("_")[0]


def _is_poetry_core(generator: Generator) -> bool:
    """Whether this is an early poetry-core, which called itself poetry; poetry has no such release."""
    return generator.name == "poetry" and generator.version in {"1.0.0a6", "1.0.0a7", "1.0.0a8", "1.0.0a9"}


def packed_itself(system: BuildSystem, generator: Generator | None, project: str, version: str) -> bool:
    """Whether the very release that is packed did the packing, without being declared as its own backend."""
    return (
        generator is not None
        and not system.backend_path
        and _distribution(generator, system) == canonicalize_name(project)
        and version_of(generator.version) is not None
        and _same(generator.version, version)
    )


def _same(one: str, other: str) -> bool:
    return Version(one) == Version(other)


def pin_generator(
    system: BuildSystem, generator: Generator | None, project: str, version: str | None = None
) -> Requirements:
    """Put the program that packed the wheel in its exact version among the build requirements.

    Where ``pyproject.toml`` and ``Generator`` contradict each other the Generator wins: it is what really ran.
    A project that was built by itself (its own backend, from its own source) needs no pin.
    """
    texts = tuple(str(requirement) for requirement in system.requires)
    if generator is None:
        return Requirements(texts, None, ("The wheel does not say which program packed it.",))
    distribution = _distribution(generator, system)
    said = f"{generator.name} {generator.version}"
    if distribution is None or not version_of(generator.version):
        return Requirements(texts, None, (f"The wheel says {quoted(said)} packed it, which is no known build tool.",))
    from_tree = bool(system.backend_path) and is_unreleased(generator.version)
    if distribution == canonicalize_name(project) and (
        version is None or from_tree or _same(generator.version, version)
    ):
        return Requirements(texts, None, (f"The wheel says {said} packed it: the project was built by itself.",))
    return _pinned(system, distribution, generator.version, said)


def _pinned(system: BuildSystem, distribution: str, version: str, said: str) -> Requirements:
    notes = []
    extras: set[str] = set()
    kept = []
    for requirement in system.requires:
        if canonicalize_name(requirement.name) != distribution:
            kept.append(str(requirement))
            continue
        extras |= requirement.extras
        if not requirement.specifier.contains(version, prereleases=True):
            notes.append(
                f"pyproject.toml asks for {quoted(str(requirement))}, but the wheel says {said} packed it; "
                "that version is used."
            )
    if distribution == "wheel" and _allows_older_setuptools(system):
        # Since 70.1 setuptools has a bdist_wheel of its own, which calls itself setuptools.
        kept.append("setuptools<70.1")
        notes.append("The wheel package packed the wheel, as with setuptools before 70.1.")
    named = f"{distribution}{'[' + ','.join(sorted(extras)) + ']' if extras else ''}"
    pin = f"{named}=={version}"
    return Requirements((*kept, pin), pin, tuple(notes), stand_in=_nearest(tuple(kept), named, version, said))


def _nearest(kept: tuple[str, ...], named: str, version: str, said: str) -> Requirements:
    """What to build with when the version that packed the wheel cannot be had: the nearest before it, or any."""
    why = (
        "a version that a checkout of it gives itself and that was never released"
        if is_unreleased(version)
        else "which cannot be had together with all that it needs"
    )
    note = f"The wheel says {said} packed it, {why}"
    other = Requirements((*kept, named), None, (note,))
    return replace(other, requirements=(*kept, f"{named}<={Version(version).base_version}"), alternatives=(other,))


def is_unreleased(version: str) -> bool:
    """Whether a version is one that checkouts give themselves, and no index takes or has.

    Local versions are refused by indexes; ``.dev`` and ``.post`` with a date is what setuptools and others append.
    """
    known = Version(version)
    return bool(known.local) or known.is_devrelease or (known.post or 0) >= _FIRST_DATE


def _allows_older_setuptools(system: BuildSystem) -> bool:
    """Whether an older setuptools may have run the ``wheel`` package: nothing in pyproject.toml forbids it."""
    bounds = [each.specifier for each in system.requires if canonicalize_name(each.name) == "setuptools"]
    return all(bound.contains("70.0.0") for bound in bounds)


def _distribution(generator: Generator, system: BuildSystem) -> str | None:
    """The distribution on an index that writes this ``Generator``."""
    name = canonicalize_name(generator.name)
    required = {canonicalize_name(requirement.name) for requirement in system.requires}
    module = system.backend.partition(":")[0]
    if name == "bdist-wheel":  # the command of the wheel package, before setuptools took it over
        return "wheel"
    if name == "flit":
        return "flit-core" if module.startswith("flit_core") or "flit-core" in required else "flit"
    if name == "poetry":  # poetry-core before 1.1 called itself poetry too
        return "poetry-core" if module.startswith("poetry.core") or "poetry-core" in required else "poetry"
    if name == "uv":
        return "uv-build"
    if name in _KNOWN or name in required:
        return name
    # A backend in the source tree is built with as it is there, and need not be on an index at all.
    return name if name == canonicalize_name(module.partition(".")[0]) and not system.backend_path else None


BACKENDS = {
    "flit": "flit.buildapi",
    "flit-core": "flit_core.buildapi",
    "hatchling": "hatchling.build",
    "maturin": "maturin",
    "meson-python": "mesonpy",
    "pdm-backend": "pdm.backend",
    "pdm-pep517": "pdm.pep517.api",
    "poetry": "poetry.masonry.api",
    "poetry-core": "poetry.core.masonry.api",
    "scikit-build-core": "scikit_build_core.build",
    "uv-build": "uv_build",
    "whey": "whey",
}
"""Distributions that pack wheels themselves and say so in ``Generator``, and how they are called (PEP 517)."""
_KNOWN = {*BACKENDS, "setuptools"} - {"flit", "poetry"}
"""Those whose ``Generator`` is the name of their distribution."""


def _table(pyproject: str) -> dict[str, Any] | None:
    try:
        document = read_toml(pyproject)
    except tomllib.TOMLDecodeError as error:
        raise _malformed(f"it is not TOML ({quoted(str(error))})") from None
    table = document.get("build-system")
    if table is not None and not isinstance(table, dict):
        raise _malformed("build-system is not a table")
    return table


def _malformed(what: str) -> NotRebuildable:
    return NotRebuildable(
        Verdict.BUILD_FAILED, f"pyproject.toml of the source is malformed: {what}; no frontend builds it."
    )


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _leaves_tree(path: str) -> bool:
    return path.startswith(("/", "-")) or ".." in path.split("/") or not path.isprintable()


RECORD = "*.dist-info/sboms/*.cdx.json"
_MOST_RECORDED = 100
"""Releases that one names; real builds have a handful."""


def recorded_tools(wheel: Inspection, source: Inspection) -> Requirements | None:
    """What a wheel and its source archive both say it was built with; None where they say nothing usable.

    Args:
        wheel: With the texts of :data:`RECORD`.
        source: Whose member of the same content makes a record part of the source.
    """
    known = {each.sha256 for each in source.members if each.sha256 is not None}
    for member in wheel.members:
        text = wheel.texts.get(member.name)
        if text is not None and member.name.endswith(".cdx.json") and member.sha256 in known:
            pins = _pins(text)
            if pins:
                note = f"The release records what it was built with, in {member.name.rpartition('/')[2][:80]!r}."
                return Requirements(pins, None, (note,))
    return None


def _pins(text: str) -> tuple[str, ...]:
    """Exact releases that a record names as what was built with; none when it is malformed anywhere."""
    try:
        components = [each for one in read_json(text.encode())["formulation"] for each in one["components"]]
        found = [_pin(each) for each in components]
    except (ValueError, KeyError, TypeError, AttributeError, InvalidVersion):
        return ()
    names = {each.partition("==")[0] for each in found}
    return tuple(sorted(found)) if len(names) == len(found) <= _MOST_RECORDED else ()


def _pin(component: Any) -> str:
    package = PackageURL.from_string(component["purl"])
    if package.type != ECOSYSTEM or package.namespace or package.qualifiers or package.subpath or not package.version:
        raise ValueError("it is no release of the index")
    return f"{canonicalize_name(package.name, validate=True)}=={Version(package.version)}"
