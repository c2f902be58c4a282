"""Compiles what a wheel for Linux has compiled, where a build environment has the same compiler, and compares.

It is evidence and never a pass: a function that is equal is the source's, and one that differs may be the source's
too, made by another patch release of the compiler. With another release of it the numbers would mean nothing, so
major and minor version have to be the same, and the version of Python as well: its headers become code.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from rebuilder.compare.comparer import WITH_OBJDUMP, compare_compiled
from rebuilder.ecosystems.obstacles import NotRebuildable, unsupported
from rebuilder.ecosystems.pypi.build_inputs import SOURCE_TREE, BuildConditions, BuildInputs, build_definition
from rebuilder.ecosystems.pypi.context import PlanningContext
from rebuilder.ecosystems.pypi.hypotheses import build_in
from rebuilder.ecosystems.pypi.image_builds import image_attempts
from rebuilder.ecosystems.pypi.interpreter_choice import interpreter_in
from rebuilder.environments.protocol import BuildEnvironment
from rebuilder.errors import CorruptError, RebuilderError
from rebuilder.model.accounting import Accounting, CompiledHere, How, MemberAccount
from rebuilder.model.attempt import Attempt, Output
from rebuilder.model.binary import BinaryFormat, BinaryImage, CodeComparison
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.evidence import Evidence
from rebuilder.model.text import without_places

PROJECT = "/project"
"""Where cibuildwheel has the source in its containers, and most wheels for Linux were compiled."""
MOST_CODE = 4 << 20
"""Bytes of code in a wheel that are compiled; what is larger takes many minutes."""
_SECONDS = 300.0
_EPOCH = 315_532_800
"""1980-01-01, the first day of ZIP: with a time of its own it would give another archive each time."""
_USUAL_FLAGS = ("-O3", "-g", "-fwrapv", "-fPIC")
"""Those of CPython's own build, for files that do not say theirs."""
_ARCHITECTURES = {"x86_64"}
"""Those whose code is compared, see :mod:`rebuilder.programs.binary.code`; build environments are of this machine's."""
_PRODUCER = "DW_AT_producer"
_PACKAGE = re.compile(r"gcc-\d+ (?:\d+:)?(\d+\.\d+)[.-]")
_MAJOR_MINOR = re.compile(r"(\d+\.\d+)(?:\.|$)")
_PYTHON = re.compile(r"cp(3)(\d{1,2})")
_FLAGS = re.compile(
    r"-(?:O[0-3sg]|g|fPIC|fpic|fwrapv|fno-strict-aliasing|fno-strict-overflow|fno-semantic-interposition|fno-plt|"
    r"fstack-protector(?:-strong|-all)?|fstack-clash-protection|fcf-protection(?:=(?:full|branch|return|none|check))?|fvisibility=hidden|"
    r"fno-omit-frame-pointer|fomit-frame-pointer|funroll-loops|ffast-math|fno-math-errno|ftree-vectorize|fexceptions|"
    r"fasynchronous-unwind-tables|ffunction-sections|fdata-sections|march=x86-64(?:-v[234])?|mtune=generic|msse[234]?)"
)
"""Options that may go from a published file into a build: a closed set, so that they can say nothing else."""
_MOST_FLAGS = 12
"""More than usual files have; in which order these stand is less than 64 bits, and a build may be told 96."""
_DEFAULTS = (
    ("-fstack-protector", "-fno-stack-protector"),
    ("-fstack-clash-protection", "-fno-stack-clash-protection"),
    ("-fcf-protection", "-fcf-protection=none"),
    ("-fno-omit-frame-pointer", "-fomit-frame-pointer"),
)
"""What Debian's Python adds, and what takes that back where the published file was compiled without."""


@dataclass(frozen=True)
class _Maker:
    """What compiled most of a wheel."""

    gcc: str
    """Major and minor version."""
    python: str
    flags: tuple[str, ...]
    """Those that all units have."""


def compiled_here(
    context: PlanningContext, evidence: Evidence, accounting: Accounting, attempts: tuple[Attempt, ...] = ()
) -> Accounting:
    """The same accounting, with compiled members compared with what compiling the source archive here gave.

    Args:
        context: What to compile and to compare with.
        evidence: About the wheel.
        accounting: Of the same wheel, with what compiled members say about themselves.
        attempts: All that were made for it; what one gave in an image of the settings is taken first.

    Whatever fails on the way is a remark: it is evidence beside a verdict, and costs none.

    Raises:
        CorruptError: an environment or a program of ours was modified.
    """
    members = [each for each in accounting.members if each.how is How.NOT_COMPILED and _image(each) is not None]
    if (tried := next((each for _, each in image_attempts(attempts)), None)) is not None and tried.rebuilt is not None:
        name = tried.hypothesis.definition.toolchain.name
        accounting = accounting.replace(compiled=CompiledHere(definition=tried.hypothesis.definition, run=tried.run))
        told = f"It was built in the image {name}, and by what its files tell not with the tools that made it"
        return _compared(context, evidence, accounting, tried.rebuilt, told, environment=WITH_OBJDUMP)
    if (rust := _rust(evidence, members)) is not None:
        return _with_remark(accounting, rust)
    maker = _maker(evidence.artifact.filename, members)
    if maker is None or not context.compilers:
        return accounting
    told = f"Its compiled code was made by GCC {maker.gcc} for Python {maker.python}"
    try:
        definition = _planned(context, evidence, maker, sum(map(_code_bytes, members)))
        run = context.run(definition)
    except CorruptError:
        raise
    except (NotRebuildable, RebuilderError) as stopped:
        why = stopped.obstacle.sentence if isinstance(stopped, NotRebuildable) else without_places(str(stopped))
        return _with_remark(accounting, f"{told}. It was not compiled here: {why}")
    compiled = CompiledHere(definition=definition, run=run)
    made, name = compiled.rebuilt, definition.toolchain.name
    accounting = accounting.replace(compiled=compiled)
    if made is None:
        return _with_remark(accounting, f"{told}. Compiling it in {name} did not come to its end.")
    flags = " ".join(maker.flags or _USUAL_FLAGS)
    told += f". It was compiled here in {name} with {flags}"
    told += "" if maker.flags else ", since it does not say with what"
    return _compared(context, evidence, accounting, made, told, environment=name)


def _compared(
    context: PlanningContext, evidence: Evidence, accounting: Accounting, made: Output, told: str, *, environment: str
) -> Accounting:
    """With what comparing the compiled members with those of the wheel that was made gives."""
    members = [each for each in accounting.members if each.how is How.NOT_COMPILED and _image(each) is not None]
    file = evidence.artifact.file
    try:
        found = compare_compiled(context.programs, file.sha256, made.sha256, file.filename, environment=environment)
    except CorruptError:
        raise
    except RebuilderError as error:
        return _with_remark(accounting, f"{told}. It was not compared: {without_places(str(error))}")
    if found is None:
        return _with_remark(accounting, f"{told}; comparing it did not come to its end.")
    compared = tuple(
        _with(each, found[each.path]) if each in members and each.path in found else each for each in accounting.members
    )
    return _with_remark(accounting.replace(members=compared), f"{told}.")


def _planned(context: PlanningContext, evidence: Evidence, maker: _Maker, code: int) -> BuildDefinition:
    """The build of the source archive with the compiler of the evidence.

    Raises:
        NotRebuildable: it is too much, no environment has the compiler, or the source does not say how it is built.
        BuildEnvironmentError: the environment cannot be made, or was modified.
    """
    if code > MOST_CODE:
        size = f"{code / 1e6:.0f} MB of code, more than the {MOST_CODE / 1e6:.0f} MB that are compiled"
        raise unsupported(f"It has {size}.")
    environment = next(filter(partial(_has, maker), _environments(context, maker)), None)
    if environment is None:
        raise unsupported("No build environment here has both.")
    interpreter = interpreter_in(environment.name, maker.python)
    limits = context.limits.replace(wall_seconds=min(context.limits.wall_seconds, _SECONDS))
    definition = _definition(build_in(replace(context, limits=limits), evidence, interpreter), maker)
    if any(each.sha256 == evidence.artifact.sha256 for each in definition.inputs):
        raise unsupported("Its source asks for that very file, which could then be copied.")
    return definition


def _with_remark(accounting: Accounting, sentence: str) -> Accounting:
    return accounting.replace(remarks=(*accounting.remarks, sentence))


def _with(member: MemberAccount, found: CodeComparison) -> MemberAccount:
    """The member with what came of comparing it; only the same bytes settle what it is."""
    if found.rebuilt_sha256 == member.sha256:
        return member.replace(how=How.COMPILED_EQUAL, recompiled=found)
    return member.replace(how=How.COMPILED_DIFFERENT, recompiled=found, detail=found.sentence)


def _rust(evidence: Evidence, members: Sequence[MemberAccount]) -> str | None:
    """Why code that rustc made was not compiled here; None where there is none."""
    made = [each for member in members if (image := _image(member)) for each in image.compilers if each.name == "rustc"]
    if not made:
        return None
    version = next((f" {each.version}" for each in made if each.version is not None), "")
    listed = evidence.source_inspection.members if evidence.source_inspection is not None else ()
    names = [each.name.rpartition("/")[2] for each in listed]
    if vendored := names.count(".cargo-checksum.json"):
        why = f"the source archive holds the {vendored:,} crates that it needs, and no build environment has that rustc"
    elif "Cargo.lock" in names:
        why = "the crates that Cargo.lock names are not in the source archive, and a build has no network"
    elif "Cargo.toml" in names:
        why = "the source archive has neither the crates that it needs nor a Cargo.lock, which would say which they are"
    else:
        why = "the source archive has no Cargo.toml, which would say how it is compiled"
    return f"Its compiled code was made by rustc{version}. It was not compiled here: {why}."


def _image(member: MemberAccount) -> BinaryImage | None:
    """The code of a member that can be compared; None when it is of another format or processor, or from elsewhere."""
    facts = member.binary
    if facts is None or facts.format is not BinaryFormat.ELF or facts.vendored is not None or not facts.images:
        return None
    return facts.images[0] if facts.images[0].architecture in _ARCHITECTURES else None


def _maker(filename: str, members: Sequence[MemberAccount]) -> _Maker | None:
    """GCC and Python of most members; None where they do not say."""
    images = [image for each in members if (image := _image(each)) is not None]
    versions = Counter(version for image in images if (version := _gcc(image)) is not None)
    tag = _PYTHON.search(filename)
    if not versions or tag is None:
        return None
    options = [
        [flag for flag in each.flags if _FLAGS.fullmatch(flag)]
        for image in images
        for each in image.compilers
        if each.name == "GCC" and each.where == _PRODUCER and each.flags and each.language != "AS"
    ]
    shared = (
        tuple(flag for flag in dict.fromkeys(options[0]) if all(flag in each for each in options)) if options else ()
    )
    return _Maker(versions.most_common(1)[0][0], f"{tag[1]}.{tag[2]}", shared[:_MOST_FLAGS])


def _gcc(image: BinaryImage) -> str | None:
    """Major and minor version of the GCC that made it: of debugging information first, else the newest one.

    Objects of the C library that are linked into every file name the GCC that made these, which is older.
    """
    found = [each for each in image.compilers if each.name == "GCC" and each.version is not None]
    told = [each for each in found if each.where == _PRODUCER] or found
    numbers = [match[1] for each in told if (match := _MAJOR_MINOR.match(each.version or ""))]
    return max(numbers, key=lambda each: tuple(map(int, each.split("."))), default=None)


def _code_bytes(member: MemberAccount) -> int:
    image = _image(member)
    return sum(each.size for each in image.sections if each.name == ".text") if image is not None else 0


def _environments(context: PlanningContext, maker: _Maker) -> Iterator[BuildEnvironment]:
    """Those that may have what is asked for; one is made only where it says so."""
    for each in context.compilers:
        if each.provides.get("python") == maker.python and each.provides.get("gcc", maker.gcc) == maker.gcc:
            yield context.environments.get(each.name)


def _has(maker: _Maker, environment: BuildEnvironment) -> bool:
    versions = {found[1] for each in environment.summary.packages if (found := _PACKAGE.match(each))}
    return maker.gcc in versions and environment.provides.get("python") == maker.python


def _definition(build_inputs: BuildInputs, maker: _Maker) -> BuildDefinition:
    """The build of the source archive, with the options of the evidence."""
    options = _options(maker.flags or _USUAL_FLAGS, f"{SOURCE_TREE}/{build_inputs.tree.top}".rstrip("/"))
    definition = build_definition(build_inputs, BuildConditions(source_date_epoch=_EPOCH, epoch_is_recorded=False))
    return definition.replace(environment={**definition.environment, "CFLAGS": options, "CXXFLAGS": options})


def _options(flags: Sequence[str], place: str) -> str:
    """Options for the compiler; the source seems to be in ``/project`` although it is in ``place``.

    ``NDEBUG`` is CPython's own: newer setuptools take these in the place of Python's, and without it the headers of
    Python assert in nearly every function.
    """
    back = [off for name, off in _DEFAULTS if not any(flag.startswith(name) for flag in flags)]
    return " ".join((*back, "-U_FORTIFY_SOURCE", "-DNDEBUG", *flags, f"-ffile-prefix-map={place}={PROJECT}"))
