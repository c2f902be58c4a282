"""The build definition of a wheel or a source archive (pure); docs/predicates/ describes both kinds for readers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rebuilder.ecosystems.pypi.command_line import option_choices, version_choices
from rebuilder.ecosystems.pypi.requirements import BuildSystem
from rebuilder.ecosystems.pypi.source_trees import SOURCE_TREE, CheckedOut, SourceOrigin
from rebuilder.ecosystems.pypi.windows_traces import WRITTEN_TEXTS, OnWindows
from rebuilder.model.definition import BuildDefinition, EnvironmentRef, Input, Limits, Role
from rebuilder.model.evidence import Obstacle, Source
from rebuilder.model.replay import MOST_HYPOTHESES, Replayed, When
from rebuilder.model.resolution import Pin

BUILD_TYPE = "tag:rebuilder,2026:pypi-wheel-build/v1"
"""Documented in docs/predicates/pypi-wheel-build.md."""
COMMIT_BUILD_TYPE = "tag:rebuilder,2026:pypi-commit-build/v1"
"""Documented in docs/predicates/pypi-commit-build.md."""
ENVIRONMENT = "/build/env"
REQUIREMENTS = "/inputs/requirements.txt"
WHEELS = "/inputs/wheels"
REQUIRES_RESULT = "requires.json"
USUAL_SANDBOX = "bubblewrap"
CLOCK_SANDBOX = "uml"
"""The kind of sandbox whose clock can be set."""
UMASKS = (0o022, 0o002)
"""Those a build is given: who made the file had one of them, or its modes are none that a build has to know."""
SECONDS = 1 << 32
"""From 1970 to 2106."""
_RELEASES = 1 << 10
"""No build tool has more releases."""


class Product(StrEnum):
    """What the backend is asked for; the value is the sandbox program that asks."""

    WHEEL = "build_wheel"
    SDIST = "build_sdist"


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
    setup_script: bool = True
    """Whether there is a ``setup.py``; without one setuptools is called as its backend does then."""
    setup_path: str | None = None
    """Directory of the project that ``setup.py`` finds its build tools in: those of the project itself."""
    windows: OnWindows | None = None
    """How Windows shows in the wheel, if it was packed there."""
    chosen: tuple[Replayed, ...] = ()
    """What was read from the published file to choose the tools."""
    pretended: tuple[tuple[str, str], ...] = ()
    """Variables that give plug-ins of the backend the version, as setuptools-scm takes it."""
    retagged: tuple[str, tuple[str, ...]] | None = None
    """Name of the wheel that the backend makes, and options of ``wheel tags`` that is run on it."""
    lacks: Obstacle | None = None
    """What the file was built with that cannot be had: a difference says nothing about it then."""


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


def build_definition(bench: BuildInputs, circumstances: BuildConditions) -> BuildDefinition:
    """Make the source tree, make the build environment, build."""
    build = (
        (*_backend_command(bench), "--out", "/out")
        if bench.setup_options is None
        else _setup_command(bench, bench.setup_options)
    )
    if bench.windows is not None:
        crlf = tuple(f"--crlf={name}" for name in bench.windows.crlf)
        build = ("/usr/bin/python3", "-I", "-S", bench.program.path, "as_windows", "--out=/out", *crlf, "--", *build)
    return _definition(bench, circumstances, build)


def replayed(bench: BuildInputs, circumstances: BuildConditions) -> tuple[Replayed, ...]:
    """What of the published file such a definition tells the build; docs/adr/0018 has the sets it is chosen from."""
    found = [
        *bench.chosen,
        _told("search", f"at most {MOST_HYPOTHESES} definitions", MOST_HYPOTHESES),
        _told("umask", f"{circumstances.source_umask:04o} {circumstances.umask:04o}", len(UMASKS) ** 2),
    ]
    if circumstances.source_date_epoch is not None and circumstances.epoch_is_recorded:
        found.append(_told("source-date-epoch", str(circumstances.source_date_epoch), SECONDS))
    if circumstances.clock is not None:
        found.append(_told("clock", circumstances.clock.isoformat(), SECONDS))
    if bench.retagged:
        found.append(_told("tags", " ".join(bench.retagged[1]), option_choices(bench.retagged[1])))
    if bench.pretended:
        found.append(_told("version", bench.pretended[0][1], version_choices(bench.pretended[0][1])))
    if bench.setup_options:
        found.append(_told("setup-options", " ".join(bench.setup_options), option_choices(bench.setup_options)))
    if bench.windows is not None:
        found.append(_told("windows", " ".join(("yes", *bench.windows.crlf)), 2 ** (1 + len(WRITTEN_TEXTS))))
    return tuple(found)


def chosen_tools(interpreter: str, interpreters: int, versions: Iterable[str]) -> tuple[Replayed, ...]:
    """The tools that were chosen by what the published file says.

    Args:
        interpreter: Version of Python.
        interpreters: How many there are to choose from.
        versions: Each tool that was held to a version or a range, in words.
    """
    return (
        _told("interpreter", interpreter, interpreters),
        *(held_tool(each) for each in versions),
    )


def held_tool(version: str) -> Replayed:
    """A tool that was held to a version or a range, in words."""
    return _told("tool-version", version[:100], _RELEASES)


def _told(name: str, value: str, choices: int) -> Replayed:
    return Replayed(name=name, when=When.BEFORE_BUILD, value=value[:100], bits=max(0, choices - 1).bit_length())


def requires_definition(bench: BuildInputs) -> BuildDefinition:
    """Make the tree and the environment, and only ask the backend what else it requires (``/out/requires.json``)."""
    ask = (*_backend_command(bench), "--requires-only", "--result", f"/out/{REQUIRES_RESULT}")
    return _definition(bench, BuildConditions(), ask)


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


def _definition(bench: BuildInputs, circumstances: BuildConditions, last: tuple[str, ...]) -> BuildDefinition:
    inputs = (bench.program, bench.uv, *bench.tree.inputs, bench.requirements, *bench.dependencies)
    return BuildDefinition(
        build_type=COMMIT_BUILD_TYPE if isinstance(bench.tree, CheckedOut) else BUILD_TYPE,
        purl=bench.purl,
        filename=bench.filename,
        source=bench.source,
        inputs=inputs,
        toolchain=bench.toolchain,
        commands=(_tree_command(bench, circumstances), *_environment_commands(bench), last, *_retag_commands(bench)),
        environment=_environment(circumstances) | dict(bench.pretended),
        umask=f"{circumstances.umask:04o}",
        clock=circumstances.clock,
        clock_stands=circumstances.clock is not None,
        sandbox=bench.sandbox if circumstances.clock is None else CLOCK_SANDBOX,
        limits=bench.limits,
    )


def _tree_command(bench: BuildInputs, circumstances: BuildConditions) -> tuple[str, ...]:
    program = bench.tree.command(circumstances.source_umask)
    return ("/usr/bin/python3", "-I", "-S", bench.program.path, *program)


def _environment_commands(bench: BuildInputs) -> tuple[tuple[str, ...], ...]:
    uv = (bench.uv.path, "--quiet", "--offline", "--no-config", "--no-progress", "--cache-dir", "/build/uv")
    venv = (*uv, "venv", "--no-project", "--python", "/usr/bin/python3", ENVIRONMENT)
    install = (
        *(*uv, "pip", "install", "--no-index", "--no-deps", "--require-hashes", "--link-mode", "hardlink"),
        *("--find-links", WHEELS, "--python", f"{ENVIRONMENT}/bin/python", "-r", bench.requirements.path),
    )
    return (venv, install) if bench.dependencies else (venv,)


def _backend_command(bench: BuildInputs) -> tuple[str, ...]:
    paths = [argument for path in bench.system.backend_path for argument in ("--backend-path", path)]
    return (
        *(f"{ENVIRONMENT}/bin/python", bench.program.path, bench.product.value),
        *("--backend", bench.system.backend, *paths),
        *("--source", _project(bench)),
    )


def _setup_command(bench: BuildInputs, options: tuple[str, ...]) -> tuple[str, ...]:
    python, project = f"{ENVIRONMENT}/bin/python", _project(bench)
    path = () if bench.setup_path is None else (f"PYTHONPATH={project}/{bench.setup_path}".rstrip("/"),)
    arguments = ("bdist_wheel", *options, "--dist-dir=/out")
    script = ("setup.py",) if bench.setup_script else ("-c", "import setuptools; setuptools.setup()")
    return ("/usr/bin/env", f"--chdir={project}", *path, python, *script, *arguments)


def _retag_commands(bench: BuildInputs) -> tuple[tuple[str, ...], ...]:
    if bench.retagged is None:
        return ()
    name, options = bench.retagged
    return ((f"{ENVIRONMENT}/bin/python", "-m", "wheel", "tags", "--remove", *options, f"/out/{name}"),)


def _project(bench: BuildInputs) -> str:
    return f"{SOURCE_TREE}/{bench.tree.top}" if bench.tree.top else SOURCE_TREE


def _environment(circumstances: BuildConditions) -> dict[str, str]:
    environment = {
        "HOME": "/tmp",  # noqa: S108 - inside the sandbox, where nobody else is
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PATH": f"{ENVIRONMENT}/bin:/usr/local/bin:/usr/bin:/bin",
        "PYTHONHASHSEED": "0",
        "TZ": "UTC",
        # Some backends take the first of several plug-ins in the order of the directory: install in one order.
        "UV_CONCURRENT_INSTALLS": "1",
    }
    if circumstances.source_date_epoch is not None:
        environment["SOURCE_DATE_EPOCH"] = str(circumstances.source_date_epoch)
    return environment
