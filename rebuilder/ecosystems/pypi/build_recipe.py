"""The build definition of a wheel or a source archive (pure); docs/predicates/ describes both kinds for readers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rebuilder.ecosystems.pypi.requirements import BuildSystem
from rebuilder.ecosystems.pypi.source_trees import SOURCE_TREE, CheckedOut, SourceOrigin
from rebuilder.ecosystems.pypi.windows_traces import OnWindows
from rebuilder.model.definition import BuildDefinition, Input, Limits, Role, ToolchainRef
from rebuilder.model.evidence import Source
from rebuilder.model.resolution import Pin

BUILD_TYPE = "tag:rebuilder,2026:pypi-wheel-build/v1"
"""Documented in docs/predicates/pypi-wheel-build.md."""
COMMIT_BUILD_TYPE = "tag:rebuilder,2026:pypi-commit-build/v1"
"""Documented in docs/predicates/pypi-commit-build.md."""
ENVIRONMENT = "/build/env"
REQUIREMENTS = "/inputs/requirements.txt"
FILE_TIMES = "/inputs/file-times.json"
FILE_MODES = "/inputs/file-modes.json"
PACE = "/inputs/pace.json"
ORDER = "/inputs/order.json"
WHEELS = "/inputs/wheels"
REQUIRES_RESULT = "requires.json"
USUAL_SANDBOX = "bubblewrap"
CLOCK_SANDBOX = "uml"
"""The kind of sandbox whose clock can be set."""


class Product(StrEnum):
    """What the backend is asked for; the value is the guest program that asks."""

    WHEEL = "build_wheel"
    SDIST = "build_sdist"


@dataclass(frozen=True)
class Bench:
    """Everything about a build that its hypotheses share."""

    purl: str
    filename: str
    source: Source
    tree: SourceOrigin
    system: BuildSystem
    toolchain: ToolchainRef
    guest: Input
    uv: Input
    requirements: Input
    dependencies: tuple[Input, ...]
    limits: Limits
    sandbox: str = USUAL_SANDBOX
    """Kind of sandbox, unless the clock matters."""
    product: Product = Product.WHEEL
    setup_options: tuple[str, ...] | None = None
    """Options of ``setup.py bdist_wheel``, where that is run instead of the backend's hook."""
    setup_path: str | None = None
    """Directory of the project that ``setup.py`` finds its build tools in: those of the project itself."""
    windows: OnWindows | None = None
    """How Windows shows in the wheel, if it was packed there."""


@dataclass(frozen=True)
class Circumstances:
    """What one hypothesis says about the machine the file was packed on."""

    source_date_epoch: int | None = None
    file_times: Input | None = None
    file_modes: Input | None = None
    source_umask: int = 0o022
    umask: int = 0o022
    order: Input | None = None
    """Names of the members in the order of the directory they were packed from."""
    clock: datetime | None = None
    """What the clock shows when the build begins; only a sandbox with a clock of its own does that."""
    pace: Input | None = None
    """Plan of when files may be touched: the clock goes while a build waits for that, and stands while it works."""


def build_definition(bench: Bench, circumstances: Circumstances) -> BuildDefinition:
    """Make the source tree, make the build environment, build."""
    pace = () if circumstances.pace is None else ("--pace", circumstances.pace.path)
    build = (
        (*_backend_command(bench), "--out", "/out", *pace)
        if bench.setup_options is None
        else _setup_command(bench, bench.setup_options, pace)
    )
    ours = ("/usr/bin/python3", "-I", "-S", bench.guest.path)
    if circumstances.order is not None:
        build = (*ours, "in_order", "--out=/out", "--order", circumstances.order.path, "--", *build)
    if bench.windows is not None:
        crlf = tuple(f"--crlf={name}" for name in bench.windows.crlf)
        build = (*ours, "as_windows", "--out=/out", *crlf, "--", *build)
    return _definition(bench, circumstances, build)


def requires_definition(bench: Bench) -> BuildDefinition:
    """Make the tree and the environment, and only ask the backend what else it requires (``/out/requires.json``)."""
    ask = (*_backend_command(bench), "--requires-only", "--result", f"/out/{REQUIRES_RESULT}")
    return _definition(bench, Circumstances(), ask)


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


def _definition(bench: Bench, circumstances: Circumstances, last: tuple[str, ...]) -> BuildDefinition:
    given = (circumstances.file_times, circumstances.file_modes, circumstances.order, circumstances.pace)
    documents = tuple(each for each in given if each is not None)
    inputs = (bench.guest, bench.uv, *bench.tree.inputs, bench.requirements, *bench.dependencies)
    return BuildDefinition(
        build_type=COMMIT_BUILD_TYPE if isinstance(bench.tree, CheckedOut) else BUILD_TYPE,
        purl=bench.purl,
        filename=bench.filename,
        source=bench.source,
        inputs=(*inputs, *documents),
        toolchain=bench.toolchain,
        commands=(_tree_command(bench, circumstances), *_environment_commands(bench), last),
        environment=_environment(circumstances),
        umask=f"{circumstances.umask:04o}",
        clock=circumstances.clock,
        clock_stands=circumstances.clock is not None,
        sandbox=bench.sandbox if circumstances.clock is None else CLOCK_SANDBOX,
        limits=bench.limits,
    )


def _tree_command(bench: Bench, circumstances: Circumstances) -> tuple[str, ...]:
    times = ("--times", circumstances.file_times.path) if circumstances.file_times else ()
    modes = ("--modes", circumstances.file_modes.path) if circumstances.file_modes else ()
    program = bench.tree.command(circumstances.source_umask)
    return ("/usr/bin/python3", "-I", "-S", bench.guest.path, *program, *times, *modes)


def _environment_commands(bench: Bench) -> tuple[tuple[str, ...], ...]:
    uv = (bench.uv.path, "--quiet", "--offline", "--no-config", "--no-progress", "--cache-dir", "/build/uv")
    venv = (*uv, "venv", "--no-project", "--python", "/usr/bin/python3", ENVIRONMENT)
    install = (
        *(*uv, "pip", "install", "--no-index", "--no-deps", "--require-hashes", "--link-mode", "hardlink"),
        *("--find-links", WHEELS, "--python", f"{ENVIRONMENT}/bin/python", "-r", bench.requirements.path),
    )
    return (venv, install) if bench.dependencies else (venv,)


def _backend_command(bench: Bench) -> tuple[str, ...]:
    paths = [argument for path in bench.system.backend_path for argument in ("--backend-path", path)]
    return (
        *(f"{ENVIRONMENT}/bin/python", bench.guest.path, bench.product.value),
        *("--backend", bench.system.backend, *paths),
        *("--source", _project(bench)),
    )


def _setup_command(bench: Bench, options: tuple[str, ...], pace: tuple[str, ...]) -> tuple[str, ...]:
    python, project = f"{ENVIRONMENT}/bin/python", _project(bench)
    arguments = ("bdist_wheel", *options, "--dist-dir=/out")
    path = () if bench.setup_path is None else (f"PYTHONPATH={project}/{bench.setup_path}".rstrip("/"),)
    if pace:
        # Who ran "setup.py sdist bdist_wheel" had egg_info run first of all, which shows where files wait for times.
        waiting = ("run_setup", "--source", project, *pace, "--", "egg_info")
        return ("/usr/bin/env", *path, python, bench.guest.path, *waiting, *arguments)
    return ("/usr/bin/env", f"--chdir={project}", *path, python, "setup.py", *arguments)


def _project(bench: Bench) -> str:
    return f"{SOURCE_TREE}/{bench.tree.top}" if bench.tree.top else SOURCE_TREE


def _environment(circumstances: Circumstances) -> dict[str, str]:
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
