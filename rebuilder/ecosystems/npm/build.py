"""The build definition of a tarball (pure); docs/predicates/npm-build.md describes it for readers."""

from __future__ import annotations

from dataclasses import dataclass

from rebuilder.ecosystems.npm.dependencies import Manager
from rebuilder.ecosystems.npm.node_versions import NODE
from rebuilder.ecosystems.npm.scripts import ScriptStep
from rebuilder.ecosystems.source_trees import CheckedOut
from rebuilder.model.artifact import Artifact
from rebuilder.model.definition import BuildDefinition, EnvironmentRef, Input, Limits
from rebuilder.model.evidence import Source, SourceKind
from rebuilder.sandbox.prepared import HOME, TOOLS, UNPACK_TOOLS

BUILD_TYPE = "tag:rebuilder,2026:npm-build/v1"
"""Documented in docs/predicates/npm-build.md."""
SOURCE = "/build/source"
_UMASK = "0022"
_PYTHON = ("/usr/bin/python3", "-I", "-S")
_ENVIRONMENT = {
    "HOME": HOME,
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "npm_config_audit": "false",
    "npm_config_cache": "/build/cache",
    "npm_config_fund": "false",
    "npm_config_offline": "true",
    "npm_config_update_notifier": "false",
}


@dataclass(frozen=True)
class Construction:
    """What is done between checking a commit out and packing it."""

    node: str
    """Version of the Node that it is done with."""
    tools: tuple[Manager, ...]
    """Package managers on the path, the one that installs first."""
    inputs: tuple[Input, ...] = ()
    """Tarballs of dependencies, lock files."""
    install: tuple[tuple[str, ...], ...] = ()
    """Commands that install them."""
    steps: tuple[ScriptStep, ...] = ()
    """Commands of the package's scripts."""
    restored: bool = False
    """Whether what the commit has is put back as it was, after the steps."""
    packed: str = ""
    """Directory below that of the package that is packed, where it is another one."""


@dataclass(frozen=True)
class NpmBuild:
    """One build of one tarball, in the words of the ecosystem."""

    artifact: Artifact
    checkout: CheckedOut
    directory: str
    """Of the package in the repository; empty when it is the repository."""
    packer: Manager
    pack_node: str
    """Version of the Node that packs."""
    program: Input
    """Our own programs."""
    tools: tuple[Input, ...]
    """Tarballs of Node and of package managers."""
    environment: EnvironmentRef
    limits: Limits
    sandbox: str
    version: str | None = None
    """Is written into package.json, where that has another."""
    construction: Construction | None = None
    """None: the commit is packed as it is."""


def wanted_tools(packer: Manager, pack_node: str, construction: Construction | None) -> list[tuple[str, str]]:
    """Package of the registry, and version, of each tool of a build."""
    nodes = [pack_node, *([construction.node] if construction is not None else [])]
    managers = [packer, *(construction.tools if construction is not None else ())]
    wanted = [*((NODE, each) for each in nodes), *((each.package, each.version) for each in managers)]
    return list(dict.fromkeys(wanted))


def definition(build: NpmBuild) -> BuildDefinition:
    """Unpack the tools, check the commit out, build, pack."""
    artifact, tree, made = build.artifact, build.checkout, build.construction
    run = (*_PYTHON, build.program.path)
    commands: list[tuple[str, ...]] = [
        (*UNPACK_TOOLS, *(each.path for each in build.tools)),
        (*run, *tree.command(SOURCE, int(_UMASK, 8))),
    ]
    if build.version is not None:
        set_version = (*run, "set_version", "--directory", in_source(build.directory), build.version)
        commands.append(set_version)
    path = [node_directory(made.node if made is not None else build.pack_node)]
    if made is not None:
        path += [each.command.rpartition("/")[0] for each in made.tools]
        commands += [*made.install, *((*run, *_step(each)) for each in made.steps)]
        if made.restored:
            commands.append(("/usr/bin/git", "-C", SOURCE, "checkout", "--quiet", "--force", "--", "."))
            if build.version is not None:
                commands.append(set_version)
    return BuildDefinition(
        build_type=BUILD_TYPE,
        purl=artifact.purl,
        targets=(artifact.filename,),
        source=Source(kind=SourceKind.GIT, uri=tree.origin, digest={"gitCommit": tree.sha}),
        inputs=(build.program, *build.tools, *tree.inputs, *(made.inputs if made is not None else ())),
        toolchain=build.environment,
        commands=(*commands, (*run, *_packing(build))),
        environment=_ENVIRONMENT | {"PATH": ":".join([*path, "/usr/bin", "/bin"])},
        umask=_UMASK,
        sandbox=build.sandbox,
        limits=build.limits,
    )


def opening(build: NpmBuild) -> BuildDefinition:
    """The same, as far as the commit is checked out and its tools are there."""
    whole = definition(build)
    return whole.replace(commands=whole.commands[:2])


def node_directory(version: str) -> str:
    """Where the executable of a Node is in a build."""
    return f"{TOOLS}/node-{version}/bin"


def in_source(directory: str) -> str:
    """Where a directory of the repository is in a build."""
    return f"{SOURCE}/{directory}".rstrip("/")


def _step(step: ScriptStep) -> tuple[str, ...]:
    place = in_source(step.directory)
    return ("scripts", "--directory", place, "--top", SOURCE, "--script", step.script, "--", step.command)


def _packing(build: NpmBuild) -> tuple[str, ...]:
    artifact, made = build.artifact, build.construction
    name = f"{artifact.name.removeprefix('@').replace('/', '-')}-{artifact.version}.tgz"
    directory = in_source(build.directory) + (f"/{made.packed}" if made is not None and made.packed else "")
    return (
        *("pack", "--tool", build.packer.dialect, "--node", node_directory(build.pack_node)),
        *("--program", build.packer.command, "--directory", directory),
        *("--made", name, "--out", f"/out/{artifact.filename}"),
    )
