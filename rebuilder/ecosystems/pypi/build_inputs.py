"""The build definition of a wheel or a source archive (pure); docs/predicates/ describes both kinds for readers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from rebuilder.ecosystems.pypi.command_line import SCRIPT, option_choices, version_choices
from rebuilder.ecosystems.pypi.extension_switches import CHOICES, Switch, SwitchKind
from rebuilder.ecosystems.pypi.hash_seed import SEEDS
from rebuilder.ecosystems.pypi.requirements import BuildSystem
from rebuilder.ecosystems.pypi.wheel_traces import OnWindows
from rebuilder.ecosystems.source_trees import CheckedOut, SourceOrigin, unpack_command
from rebuilder.model.artifact import Pin
from rebuilder.model.attempt import MOST_HYPOTHESES
from rebuilder.model.definition import BuildDefinition, EnvironmentRef, Input, Limits, Role
from rebuilder.model.evidence import Obstacle, Source
from rebuilder.model.replayed import EXTENSIONS, Replayed, told_before
from rebuilder.sandbox.prepared import COMMANDS, ENVIRONMENT, PYTHON, VENV, WHEELS, by_pip

SOURCE_TREE = "/build/src"
BUILD_TYPE = "tag:rebuilder,2026:pypi-wheel-build/v1"
"""Documented in docs/predicates/pypi-wheel-build.md."""
COMMIT_BUILD_TYPE = "tag:rebuilder,2026:pypi-commit-build/v1"
"""Documented in docs/predicates/pypi-commit-build.md."""
PROJECT_BUILD_TYPE = "tag:rebuilder,2026:pypi-project-build/v1"
"""Documented in docs/predicates/pypi-project-build.md."""
REQUIRES_RESULT = "requires.json"
_PACKAGES_OF_PYTHON_3 = f"{ENVIRONMENT}/lib/python3.9/site-packages"
"""In the build environment that has Python 2, too."""
USUAL_SANDBOX = "bubblewrap"
CLOCK_SANDBOX = "uml"
"""The kind of sandbox whose clock can be set."""
UMASKS = (0o022, 0o002)
"""Those a build is given: who made the file had one of them, or its modes are none that a build has to know."""
SECONDS = 1 << 32
"""From 1970 to 2106."""
_SDISTS, _FROM_SDIST, _UNREPAIRED = "/build/sdist", "/build/from-sdist", "/build/wheel"
_INTERPRETERS = 1 << 4
"""No more are there, or presented by others."""
PATCH_RELEASES = 1 << 7
"""More are not told apart within a series of releases."""
_RELEASES = 1 << 10
"""No build tool has more releases."""

USUAL_DIRECTORIES = frozenset(
    {
        *("assets", "benchmarks", "bin", "build", "ci", "config", "data", "demo", "deploy", "dist", "doc", "docs"),
        *("env", "examples", "images", "logs", "node_modules", "notebooks", "requirements", "resources", "sample"),
        *("samples", "scripts", "spec", "static", "target", "templates", "test", "testing", "tests", "tools", "venv"),
    }
)
"""Names of directories that lie beside the packages of many projects; those told to a build are of this set."""


class Product(StrEnum):
    """What the backend is asked for; the value is the sandbox program that asks."""

    WHEEL = "build_wheel"
    WITHOUT_COMPILING = "build_without_compiling"
    SDIST = "build_sdist"


@dataclass(frozen=True)
class InImage:
    """How a build is made in an image that was given; see docs/adr/0051-builds-in-given-images.md."""

    python: str
    """Path of the interpreter."""
    version: str
    """Its series, such as ``3.13``."""
    variables: tuple[tuple[str, str], ...] = ()
    """What the image sets for what runs in it."""
    repair: tuple[str, ...] | None = None
    """Options of ``auditwheel repair``, which is run on the wheel then; None: it is as the backend leaves it."""
    place: str | None = None
    """Where the source seems to be, in debugging information and in messages: one of :data:`PLACES`."""
    temporary: tuple[str, str] | None = None
    """How the name of a directory begins that the backend builds in, and what is random in it."""


TEMPORARY_NAMES = 3 * 37**8
"""Eight characters that Python chooses at random, of letters in lower case, digits and ``_``, behind a name of the
project that may be written in three ways."""
PLATFORM_TAGS = 1 << 11
"""Those that ``auditwheel`` is told: 113 versions of C libraries, and a dozen architectures."""
PLACES = ("/project", "/io", "/src", "/work", "/workspace", "/github/workspace", "/host", "/code")
"""Where containers that build wheels usually have the source; the first is that of cibuildwheel."""


@dataclass(frozen=True)
class BuildInputs:
    """Everything about a build that its hypotheses share."""

    purl: str
    filename: str
    source: Source
    tree: SourceOrigin
    system: BuildSystem
    toolchain: EnvironmentRef
    program: Input
    uv: Input
    requirements: Input
    dependencies: tuple[Input, ...]
    limits: Limits
    sandbox: str = USUAL_SANDBOX
    """Kind of sandbox, unless the clock matters."""
    product: Product = Product.WHEEL
    setup_options: tuple[str, ...] | None = None
    """Options of ``setup.py bdist_wheel``, where that is run instead of the backend's hook."""
    setup_script: tuple[str, ...] = SCRIPT
    """What Python runs for that; see :class:`rebuilder.ecosystems.pypi.command_line.SetupCommand`."""
    setup_path: str | None = None
    """Directory of the project that ``setup.py`` finds its build tools in: those of the project itself."""
    python_2: bool = False
    """Whether Python 2 runs ``setup.py``, in an environment that has it; no backend's hook is for it."""
    as_python: str | None = None
    """The older Python that the one of the environment presents itself as."""
    windows: OnWindows | None = None
    """How Windows shows in the wheel, if it was packed there."""
    chosen: tuple[Replayed, ...] = ()
    """What was read from the published file to choose the tools."""
    pretended: tuple[tuple[str, str], ...] = ()
    """Variables that give plug-ins of the backend the version, as setuptools-scm takes it."""
    switches: tuple[Switch, ...] = ()
    """What the source's own build scripts are told, so that they leave its compiled extensions out."""
    through_sdist: str | None = None
    """Name of a source archive, without its suffix, that is made first and that the wheel is then built from."""
    retagged: tuple[str, tuple[str, ...]] | None = None
    """Name of the wheel that the backend makes, and options of ``wheel tags`` that is run on it."""
    hash_seed: int = 0
    """That of the interpreter, which the order of its sets depends on."""
    as_debian: tuple[str, ...] = ()
    """What Debian and Ubuntu change in setuptools: how it writes ``requirements``, or names files of ``namespaces``."""
    presented: tuple[str, str] | None = None
    """A tool, and the release of its series that it calls itself: the one that packed the wheel is not to be had."""
    directories: tuple[str, ...] = ()
    """Empty ones that lay beside the source, of :data:`USUAL_DIRECTORIES`."""
    reads_as_python_2: bool = False
    """Whether headers are read as Python 2 reads them."""
    in_image: InImage | None = None
    """How an image that was given is used, where the build environment is one."""
    lacks: Obstacle | None = None
    """What the file was built with that cannot be had: a difference says nothing about it then."""

    @property
    def python(self) -> tuple[str, ...]:
        """The interpreter of the build environment that runs programs of ours, with its options."""
        return (self.in_image.python if self.in_image is not None else PYTHON, "-I", "-S")

    @property
    def leaves_in(self) -> str:
        """The directory that the backend leaves the file in."""
        repaired = self.in_image is not None and self.in_image.repair is not None
        return _UNREPAIRED if repaired and self.product is Product.WHEEL else "/out"


@dataclass(frozen=True)
class BuildConditions:
    """What one hypothesis says about the machine the file was packed on."""

    source_date_epoch: int | None = None
    epoch_is_recorded: bool = True
    """Whether that was read from the published file; the time of a commit was not."""
    source_umask: int = 0o022
    umask: int = 0o022
    clock: datetime | None = None
    """What the clock shows while the build works; only a sandbox with a clock of its own does that."""


def build_definition(build_inputs: BuildInputs, conditions: BuildConditions) -> BuildDefinition:
    """Make the virtual environment, make the source tree, build."""
    build = (
        (*_backend_command(build_inputs), "--out", build_inputs.leaves_in)
        if build_inputs.setup_options is None
        else _setup_command(build_inputs, build_inputs.setup_options)
    )
    if build_inputs.windows is not None:
        how = (
            f"--mounted={build_inputs.windows.mounted}"
            if build_inputs.windows.mounted
            else f"--environment={ENVIRONMENT}"
        )
        build = (*build_inputs.python, build_inputs.program.path, "as_windows", "--out=/out", how, "--", *build)
    return _definition(build_inputs, conditions, build, *_repair_commands(build_inputs), *_retag_commands(build_inputs))


SDIST_TARGET, WHEEL_TARGET = "project.tar.gz", "project.whl"
"""Stand for files of a project that is not published, whose names only its backend knows."""
_OWN_SDIST = "/build/own-sdist"


def project_definition(build_inputs: BuildInputs, conditions: BuildConditions) -> BuildDefinition:
    """Make the source archive of a project, and the wheel of that, as frontends do; both are left."""
    sdist = (*_backend_command(replace(build_inputs, product=Product.SDIST)), "--out", "/out")
    unpack = " ".join(unpack_command('"$1"', _FROM_SDIST, conditions.source_umask))
    program = " ".join((*build_inputs.python, build_inputs.program.path))
    taken = ("/bin/sh", "-e", "-c", f"set -- /out/*.tar.gz; {program} {unpack}; mv {_FROM_SDIST}/* {_OWN_SDIST}")
    backend = _backend_command(build_inputs)
    at = backend.index("--source") + 1
    wheel = (*backend[:at], _OWN_SDIST, *backend[at + 1 :], "--out", "/out")
    definition = _definition(build_inputs, conditions, sdist, taken, wheel)
    return definition.replace(build_type=PROJECT_BUILD_TYPE, targets=(SDIST_TARGET, WHEEL_TARGET))


def replayed(build_inputs: BuildInputs, conditions: BuildConditions) -> tuple[Replayed, ...]:
    """What of the published file such a definition tells the build; docs/adr/0018 has the sets it is chosen from."""
    found = [
        *build_inputs.chosen,
        _told("search", f"at most {MOST_HYPOTHESES} definitions", MOST_HYPOTHESES),
        _told("umask", f"{conditions.source_umask:04o} {conditions.umask:04o}", len(UMASKS) ** 2),
    ]
    if conditions.source_date_epoch is not None and conditions.epoch_is_recorded:
        found.append(_told("source-date-epoch", str(conditions.source_date_epoch), SECONDS))
    if conditions.clock is not None:
        found.append(_told("clock", conditions.clock.isoformat(), SECONDS))
    if build_inputs.retagged:
        found.append(_told("tags", " ".join(build_inputs.retagged[1]), option_choices(build_inputs.retagged[1])))
    if build_inputs.pretended:
        found.append(_told("version", build_inputs.pretended[0][1], version_choices(build_inputs.pretended[0][1])))
    if build_inputs.switches:
        found.append(_told(EXTENSIONS, " ".join(each.told for each in build_inputs.switches), CHOICES))
    if build_inputs.setup_options:
        found.append(
            _told("setup-options", " ".join(build_inputs.setup_options), option_choices(build_inputs.setup_options))
        )
    if build_inputs.in_image is not None and build_inputs.in_image.place is not None:
        found.append(_told("build-path", build_inputs.in_image.place, len(PLACES)))
    if build_inputs.in_image is not None and build_inputs.in_image.temporary is not None:
        found.append(_told("temporary-name", build_inputs.in_image.temporary[1], TEMPORARY_NAMES))
    if build_inputs.in_image is not None and build_inputs.in_image.repair:
        found.append(_told("platform-tag", build_inputs.in_image.repair[-1], PLATFORM_TAGS))
    if build_inputs.hash_seed:
        found.append(_told("hash-seed", str(build_inputs.hash_seed), SEEDS))
    return (*found, *_changed_tools(build_inputs))


def _changed_tools(build_inputs: BuildInputs) -> Iterator[Replayed]:
    """What of it changes tools, the interpreter or what lies beside the source."""
    if build_inputs.presented:
        yield _told("presented-tool", " ".join(build_inputs.presented), PATCH_RELEASES)
    if build_inputs.directories:
        told = " ".join(build_inputs.directories)
        yield _told("directories", told, len(USUAL_DIRECTORIES) ** len(build_inputs.directories))
    if build_inputs.as_debian:
        yield _told("tool-patch", f"setuptools of Debian: {', '.join(build_inputs.as_debian)}", 4)
    if build_inputs.reads_as_python_2:
        yield _told("interpreter-patch", "headers as Python 2 reads them", 2)
    if build_inputs.windows is not None:
        yield _told("windows", "yes" if build_inputs.windows.mounted is None else "mounted", 4)


def chosen_tools(interpreter: str, versions: Iterable[str]) -> tuple[Replayed, ...]:
    """The tools that were chosen by what the published file says."""
    return (
        _told("interpreter", interpreter, _INTERPRETERS),
        *(held_tool(each) for each in versions),
    )


def held_tool(version: str) -> Replayed:
    """A tool that was held to a version or a range, in words."""
    return _told("tool-version", version[:100], _RELEASES)


def _told(name: str, value: str, choices: int) -> Replayed:
    return told_before(name, value[:100], max(0, choices - 1).bit_length())


def requires_definition(build_inputs: BuildInputs) -> BuildDefinition:
    """Make the tree and the environment, and only ask the backend what else it requires (``/out/requires.json``)."""
    ask = (*_backend_command(build_inputs), "--requires-only", "--result", f"/out/{REQUIRES_RESULT}")
    return _definition(build_inputs, BuildConditions(), ask)


def requirements_text(pins: Iterable[Pin]) -> str:
    """A requirements file with a hash for every release."""
    lines = [f"{pin.name}=={pin.version} --hash=sha256:{pin.sha256}\n" for pin in pins]
    return "".join(sorted(lines))


def dependency_input(pin: Pin) -> Input:
    """A build dependency as an input."""
    return Input(
        role=Role.BUILD_DEPENDENCY,
        name=pin.name,
        version=pin.version,
        sha256=pin.sha256,
        path=f"{WHEELS}/{pin.filename}",
        uri=pin.url,
    )


def _definition(build_inputs: BuildInputs, conditions: BuildConditions, *last: tuple[str, ...]) -> BuildDefinition:
    inputs = (
        build_inputs.program,
        *((build_inputs.uv,) if build_inputs.in_image is None else ()),
        *build_inputs.tree.inputs,
        build_inputs.requirements,
        *build_inputs.dependencies,
    )
    return BuildDefinition(
        build_type=COMMIT_BUILD_TYPE if isinstance(build_inputs.tree, CheckedOut) else BUILD_TYPE,
        purl=build_inputs.purl,
        targets=(build_inputs.filename,),
        source=build_inputs.source,
        inputs=inputs,
        toolchain=build_inputs.toolchain,
        commands=(
            *_environment_commands(build_inputs),
            _tree_command(build_inputs, conditions),
            *_directory_commands(build_inputs),
            *_environment_changes(build_inputs),
            *_sdist_commands(build_inputs, conditions),
            *last,
        ),
        environment=_switches(build_inputs, SwitchKind.VARIABLE)
        | _image_variables(build_inputs)
        | _environment(build_inputs, conditions)
        | dict(build_inputs.pretended),
        umask=f"{conditions.umask:04o}",
        clock=conditions.clock,
        clock_stands=conditions.clock is not None,
        sandbox=build_inputs.sandbox if conditions.clock is None else CLOCK_SANDBOX,
        limits=build_inputs.limits,
    )


def _environment_commands(build_inputs: BuildInputs) -> tuple[tuple[str, ...], ...]:
    if build_inputs.in_image is not None:  # uv may not run there, and it may have another tar
        return by_pip(build_inputs.in_image.python, dependencies=bool(build_inputs.dependencies))
    return COMMANDS if build_inputs.dependencies else (VENV,)


def _tree_command(build_inputs: BuildInputs, conditions: BuildConditions) -> tuple[str, ...]:
    program = build_inputs.tree.command(SOURCE_TREE, conditions.source_umask)
    return (*build_inputs.python, build_inputs.program.path, *program)


def _directory_commands(build_inputs: BuildInputs) -> tuple[tuple[str, ...], ...]:
    if not build_inputs.directories:
        return ()
    return (("/usr/bin/env", f"--chdir={_project(build_inputs)}", "mkdir", "-p", "--", *build_inputs.directories),)


def _environment_changes(build_inputs: BuildInputs) -> Iterator[tuple[str, ...]]:
    program = (*build_inputs.python, build_inputs.program.path)
    if build_inputs.presented:
        tool, version = build_inputs.presented
        yield (*program, "as_version", f"--environment={ENVIRONMENT}", f"--tool={tool}", f"--version={version}")
    if build_inputs.as_debian:
        yield (*program, "as_debian", f"--environment={ENVIRONMENT}", *build_inputs.as_debian)
    if build_inputs.reads_as_python_2:
        yield (*program, "as_python_2", f"--environment={ENVIRONMENT}")
    if build_inputs.in_image is not None and build_inputs.in_image.temporary is not None:
        prefix, name = build_inputs.in_image.temporary
        yield (*program, "as_temporary", f"--environment={ENVIRONMENT}", f"--prefix={prefix}", f"--name={name}")
    if build_inputs.as_python is not None:
        yield (*program, "as_python", "--environment", ENVIRONMENT, "--version", build_inputs.as_python)


def _sdist_commands(build_inputs: BuildInputs, conditions: BuildConditions) -> tuple[tuple[str, ...], ...]:
    """Make the source archive that the wheel goes through, and unpack it."""
    if build_inputs.through_sdist is None:
        return ()
    directly = replace(build_inputs, through_sdist=None, product=Product.SDIST)
    unpack = unpack_command(f"{_SDISTS}/{build_inputs.through_sdist}.tar.gz", _FROM_SDIST, conditions.source_umask)
    return (
        (*_backend_command(directly), "--out", _SDISTS),
        (*build_inputs.python, build_inputs.program.path, *unpack),
    )


def _backend_command(build_inputs: BuildInputs) -> tuple[str, ...]:
    paths = [argument for path in build_inputs.system.backend_path for argument in ("--backend-path", path)]
    return (
        *(f"{ENVIRONMENT}/bin/python", build_inputs.program.path, build_inputs.product.value),
        *("--backend", build_inputs.system.backend, *paths),
        *("--source", _project(build_inputs)),
        *_config_settings(build_inputs),
    )


def _config_settings(build_inputs: BuildInputs) -> Iterator[str]:
    """As frontends take them; options of ``setup.py`` are passed on by the backend of setuptools."""
    for name, value in _switches(build_inputs, SwitchKind.SETTING).items():
        yield f"--config-setting={name}={value}"
    for option in _switches(build_inputs, SwitchKind.OPTION):
        yield f"--config-setting=--global-option={option}"


def _switches(build_inputs: BuildInputs, kind: SwitchKind) -> dict[str, str]:
    return {each.name: each.value for each in build_inputs.switches if each.kind is kind}


def _setup_command(build_inputs: BuildInputs, options: tuple[str, ...]) -> tuple[str, ...]:
    python, project = f"{ENVIRONMENT}/bin/python", _project(build_inputs)
    found = [] if build_inputs.setup_path is None else [f"{project}/{build_inputs.setup_path}".rstrip("/")]
    if build_inputs.python_2:  # there is no venv of it, and it finds what one of Python 3 has
        python, found = "/usr/bin/python2.7", [*found, _PACKAGES_OF_PYTHON_3]
    path = (f"PYTHONPATH={':'.join(found)}",) if found else ()
    arguments = (
        *_switches(build_inputs, SwitchKind.OPTION),
        "bdist_wheel",
        *options,
        f"--dist-dir={build_inputs.leaves_in}",
    )
    return ("/usr/bin/env", f"--chdir={project}", *path, python, *build_inputs.setup_script, *arguments)


def _repair_commands(build_inputs: BuildInputs) -> tuple[tuple[str, ...], ...]:
    """What cibuildwheel does with a wheel for Linux: the name of what the backend left is not known before."""
    if build_inputs.leaves_in != _UNREPAIRED or build_inputs.in_image is None:
        return ()
    repair = f'exec auditwheel repair --wheel-dir /out "$@" {_UNREPAIRED}/*.whl'
    return (("/bin/sh", "-c", repair, "repair", *(build_inputs.in_image.repair or ())),)


def _retag_commands(build_inputs: BuildInputs) -> tuple[tuple[str, ...], ...]:
    if build_inputs.retagged is None:
        return ()
    name, options = build_inputs.retagged
    return ((f"{ENVIRONMENT}/bin/python", "-m", "wheel", "tags", "--remove", *options, f"/out/{name}"),)


def _project(build_inputs: BuildInputs) -> str:
    if build_inputs.through_sdist is not None:
        return f"{_FROM_SDIST}/{build_inputs.through_sdist}"
    return f"{SOURCE_TREE}/{build_inputs.tree.top}" if build_inputs.tree.top else SOURCE_TREE


def _image_variables(build_inputs: BuildInputs) -> dict[str, str]:
    """What the image sets; the compiler is told where the source seems to be, which it does not note down.

    setuptools takes ``CFLAGS`` in place of its own options, and adds ``CPPFLAGS``; CMake knows only the former.
    """
    used = build_inputs.in_image
    if used is None:
        return {}
    variables = dict(used.variables)
    if used.place is not None:
        option = f"-ffile-prefix-map={_project(build_inputs)}={used.place}"
        added = ("CPPFLAGS",) if build_inputs.system.backend.startswith("setuptools") else ("CFLAGS", "CXXFLAGS")
        for name in added:
            variables[name] = f"{variables.get(name, '')} {option}".lstrip()
    return variables


def _environment(build_inputs: BuildInputs, conditions: BuildConditions) -> dict[str, str]:
    path, locale = "/usr/local/bin:/usr/bin:/bin", {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
    if (used := build_inputs.in_image) is not None:
        variables = dict(used.variables)
        path = f"{used.python.rpartition('/')[0]}:{variables.get('PATH', path)}"
        locale = {} if locale.keys() & variables else locale
    environment = {
        **locale,
        "HOME": "/tmp",  # noqa: S108 - inside the sandbox, where nobody else is
        "PATH": f"{ENVIRONMENT}/bin:{path}",
        "PYTHONHASHSEED": str(build_inputs.hash_seed),
        "TZ": "UTC",
    }
    if conditions.source_date_epoch is not None:
        environment["SOURCE_DATE_EPOCH"] = str(conditions.source_date_epoch)
    return environment
