"""Which image a wheel with compiled code is built in, and whether what came of that was compiled as the wheel was.

The settings name an image for platform tags; what it is made of, nobody here knows. So a rebuild that differs says
something about the wheel only where both were made alike, by all that compiled files say about themselves: the
same compiler to its last word, the same options, the same generators, the same libraries beside them.
See docs/adr/0051-builds-in-given-images.md.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rebuilder.compare.accounting import read_binaries
from rebuilder.ecosystems.pypi.build_inputs import PLACES, InImage, held_tool
from rebuilder.ecosystems.pypi.command_line import ARCHITECTURE, name_parts
from rebuilder.ecosystems.pypi.context import PlanningContext
from rebuilder.ecosystems.pypi.interpreter_choice import Interpreter, interpreter_in, supports
from rebuilder.ecosystems.pypi.requirements import Requirements
from rebuilder.ecosystems.pypi.subject import version_of
from rebuilder.environments.protocol import BuildEnvironment
from rebuilder.model.attempt import Attempt
from rebuilder.model.binary import Binaries, BinaryMember, Section
from rebuilder.model.comparison import Comparison
from rebuilder.model.evidence import Evidence, Obstacle
from rebuilder.model.replayed import Replayed
from rebuilder.model.value import Sha256
from rebuilder.model.verdict import Verdict

IN_IMAGE = "-in-image"
"""In the name of a hypothesis that is tried in an image."""
_SYSTEM = re.compile(r"3\.(\d{1,2})(?:\.\d+)?", re.ASCII)
_TAG = re.compile(r"cp3(\d{1,2})-\w+")
_REPAIRED = re.compile(rf"(?:manylinux(?:_2_(\d{{1,2}})|1|2010|2014)|musllinux_1_(\d))_{ARCHITECTURE}", re.ASCII)
"""A closed set, since such a tag is told to ``auditwheel``, in the place of which something of the build may run."""
_NAMED_BY_YEAR = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_OLDEST = 9
"""Python 3.9: what the programs need that run inside builds."""
_REPAIRS = re.compile(r"\.dist-info/(?:WHEEL|RECORD|sboms/[^/]+)$")
"""What auditwheel writes, beside libraries that it copies in."""
_NOT_LOADED = re.compile(r"\.(?:z?debug_\w+|comment|symtab|strtab|shstrtab|gnu_debug\w+|note\.gnu\.build-id)")
"""Names of sections that no process has in its memory, and of the digest of all."""
_PLATFORM = "AUDITWHEEL_PLAT"
"""What auditwheel takes for ``--plat`` where it is not given; images that are for one platform set it."""


@dataclass(frozen=True)
class ImageBuild:
    """How a wheel is built in an image."""

    name: str
    interpreter: Interpreter
    use: InImage
    cython: str | None
    """The release of Cython that the wheel's compiled files name."""
    lacks: Obstacle
    """What is so until the wheel and its rebuild are seen to be made alike."""

    @property
    def sentence(self) -> str:
        """For readers of an attempt."""
        return f"The settings name the image {self.name} for wheels of this platform."


def image_build(context: PlanningContext, evidence: Evidence) -> ImageBuild | str | None:
    """How a wheel with compiled code is built in the image that the settings name for it.

    Returns:
        A sentence where that image cannot build it; None where none is named.

    Raises:
        BuildEnvironmentError: the image is not here, or was modified.
    """
    filename = evidence.artifact.filename
    _, python, abi, platform = name_parts(filename)
    platforms = platform.split(".")
    wanted = next(
        (name for pattern, name in context.images.items() if any(fnmatchcase(tag, pattern) for tag in platforms)), None
    )
    if wanted is None:
        return None
    environment = context.environment(wanted)
    told = f"The image {environment.name}, which the settings name for {platform},"
    if not {"gcc", "clang"} & environment.provides.keys():
        return f"{told} has no compiler."
    if "pip" not in environment.provides:
        return f"{told} has no pip."
    repaired = [tag for tag in platforms if _REPAIRED.fullmatch(tag)]
    if repaired and "auditwheel" not in environment.provides:
        return f"{told} has no auditwheel."
    found = next(_interpreters(environment, python.split("."), abi, evidence.artifact.file.requires_python), None)
    if found is None:
        return f"{told} has no Python {python}-{abi} that is 3.{_OLDEST} or newer."
    version, path = found
    image = environment.specification.image if environment.specification is not None else None
    variables = (image.variables or {}) if image is not None else {}
    options = () if _PLATFORM in variables else ("--plat", max(repaired, key=_system, default=""))
    published = read_binaries(context.programs, context.memo, evidence.artifact.sha256)
    sentence = (
        f"The wheel holds compiled code. It was built in the image {environment.name}, whose tools are not seen to be "
        "those that made it."
    )
    return ImageBuild(
        name=environment.name,
        interpreter=interpreter_in(wanted, version),
        use=InImage(
            python=path,
            version=version,
            variables=tuple(sorted(variables.items())),
            repair=options if repaired else None,
            place=_place(published),
            temporary=_temporary(published, evidence.artifact.name),
        ),
        cython=_cython(published),
        lacks=Obstacle(verdict=Verdict.UNSUPPORTED, sentence=sentence),
    )


def _interpreters(
    environment: BuildEnvironment, tags: Iterable[str], abi: str, requires: str | None
) -> Iterator[tuple[str, str]]:
    """Version and path of those that make wheels of these tags, the first is the one that is used.

    One that is for several releases of Python is made with the oldest of them, as those who build for all of them do.
    """
    there = {key: version for key, version in environment.provides.items() if _TAG.fullmatch(key)}
    ordered = sorted((int(match[1]), key) for key in there if (match := _TAG.fullmatch(key)))
    match = _SYSTEM.fullmatch(environment.provides.get("python", ""))
    newest = int(match[1]) if match is not None else 0
    system = f"3.{newest}"
    usual = next(
        (each for each in ("usr/bin/python3", "usr/local/bin/python3") if os.path.lexists(environment.root / each)),
        None,
    )
    for tag in tags:
        of_tag = re.fullmatch(r"cp3(\d{1,2})", tag)
        for minor, key in ordered:
            exact = key == f"{tag}-{tag if abi in {'abi3', 'none'} else abi}"
            every = tag.startswith("py") and key == f"cp3{minor}-cp3{minor}" and supports(requires, f"3.{minor}")
            if minor >= _OLDEST and (exact or every):
                yield f"3.{minor}", f"/opt/python/{key}/bin/python"
        fits = of_tag is not None and system == f"3.{of_tag[1]}" and abi in {tag, "abi3", "none"}
        fits = fits or (tag.startswith("py") and supports(requires, system))
        if usual is not None and fits and newest >= _OLDEST:
            yield system, f"/{usual}"


def _system(tag: str) -> tuple[int, int]:
    """The version of the C library that a tag stands for."""
    match = _REPAIRED.fullmatch(tag)
    if match is not None and (minor := match[1] or match[2]):
        return (2 if match[1] else 1), int(minor)
    return _NAMED_BY_YEAR.get(tag.partition("_")[0], (0, 0))


def _place(published: Binaries) -> str | None:
    """The usual place of a source that all directories in debugging information lie in."""
    found = {place for each in _own(published) for image in each.facts.images for place in image.directories}
    return next((each for each in PLACES if any(f"{place}/".startswith(f"{each}/") for place in found)), None)


def _temporary(published: Binaries, name: str) -> tuple[str, str] | None:
    """The temporary directory that a backend in the source built in, where its name is made of the project's.

    ``/tmp/.tmp-NAME-pep517-`` and what Python chooses, as backends that wrap setuptools make it.
    """
    spelled = "|".join(sorted({re.escape(each) for each in (name, name.replace("-", "_"), name.replace("-", "."))}))
    pattern = re.compile(rf"/tmp/(\.tmp-(?:{spelled})-pep517-)([a-z0-9_]{{8}})(?:/.*)?", re.ASCII)  # noqa: S108
    told = {place for each in _own(published) for image in each.facts.images for place in image.directories}
    found = {(match[1], match[2]) for place in told if (match := pattern.fullmatch(place))}
    return found.pop() if len(found) == 1 else None


def _cython(published: Binaries) -> str | None:
    """The one release of Cython that compiled files name; what is no version is text of a stranger."""
    tools = (tool for each in _own(published) for image in each.facts.images for tool in image.tools)
    named = {tool.version for tool in tools if tool.name == "Cython" and tool.version is not None}
    version = version_of(named.pop()) if len(named) == 1 else None
    return None if version is None else str(version)


def _own(found: Binaries) -> list[BinaryMember]:
    """Those that were compiled with the wheel rather than brought along."""
    return [each for each in found.members if each.facts.vendored is None]


def with_cython(image: ImageBuild, requirements: Requirements) -> tuple[Requirements, tuple[Replayed, ...]]:
    """The requirements with the Cython that compiled files name, where they ask for one; and what that told."""
    names = {canonicalize_name(Requirement(each).name) for each in requirements.requirements}
    if image.cython is None or "cython" not in names:
        return requirements, ()
    pinned = (*requirements.requirements, f"cython=={image.cython}")
    return replace(requirements, requirements=pinned), (held_tool(f"Cython {image.cython}"),)


def says_something(context: PlanningContext, compared: Comparison) -> bool:
    """Whether a rebuild that differs says something about the wheel: both were made alike by what compiled files say.

    Nothing says which auditwheel repaired a wheel: what differs only in what that writes says nothing. Neither does
    debugging information alone, which has random directories in it where headers of build dependencies lay.
    """
    published, rebuilt = (_loaded(context, each) for each in (compared.published_sha256, compared.rebuilt_sha256))
    same = {member for member, sections in published.items() if rebuilt.get(member) == sections}
    told = any(each.member not in same and not _REPAIRS.search(each.member) for each in compared.differences)
    return told and made_alike(context, compared.published_sha256, compared.rebuilt_sha256)


def _loaded(context: PlanningContext, wheel: Sha256) -> dict[str, list[tuple[Section, ...]]]:
    """What compiled members have in memory, for each architecture; none where it is not known as a whole."""
    return {
        each.member: [
            tuple(section for section in image.sections if not _NOT_LOADED.fullmatch(section.name))
            for image in each.facts.images
        ]
        for each in read_binaries(context.programs, context.memo, wheel).members
        if each.facts.images and all(0 < len(image.sections) == image.sections_total for image in each.facts.images)
    }


def made_alike(context: PlanningContext, published: Sha256, rebuilt: Sha256) -> bool:
    """Whether the compiled files of two wheels were made alike by all that they say about themselves."""
    both = [read_binaries(context.programs, context.memo, each) for each in (published, rebuilt)]
    first, second = ([(each.member, _made(each)) for each in found.members] for found in both)
    whole = all(found.members and found.total == len(found.members) and not found.problems for found in both)
    named = all(any(image.compilers for image in each.facts.images) for each in _own(both[0]))
    return whole and named and sorted(first) == sorted(second)


def _made(member: BinaryMember) -> str:
    """What tells how it was made; of a library that was brought along all of it, since nothing here compiles it."""
    facts = member.facts
    if facts.vendored is not None:
        return member.sha256
    said = [
        image.replace(
            compilers=tuple(sorted((each.replace(units=None) for each in image.compilers), key=repr)),
            build_id=None,
            exports=(),
            exports_total=0,
            imports_total=0,
            sections=(),
            sections_total=0,
            needed=(),
            needs=(),
        )
        for image in facts.images
    ]
    return repr((facts.format, said))


def image_attempts(attempts: Iterable[Attempt]) -> list[tuple[int, Attempt]]:
    """Attempts in an image that gave something, the one that comes closest first; with their index."""
    found = [
        (index, each)
        for index, each in enumerate(attempts)
        if IN_IMAGE in each.hypothesis.name and not each.repeat and each.comparison is not None
    ]
    return sorted(found, key=lambda each: each[1].distance)
