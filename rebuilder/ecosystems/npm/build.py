"""The build definition of a tarball (pure); docs/predicates/npm-build.md describes it for readers."""

from __future__ import annotations

from dataclasses import dataclass, field

from rebuilder.ecosystems.source_trees import CheckedOut
from rebuilder.model.artifact import Artifact
from rebuilder.model.definition import BuildDefinition, EnvironmentRef, Input, Limits
from rebuilder.model.evidence import Source, SourceKind

BUILD_TYPE = "tag:rebuilder,2026:npm-build/v1"
"""Documented in docs/predicates/npm-build.md."""
SOURCE = "/build/source"
_TOOLS = "/build/tools"
_HOME = "/build/home"
_UMASK = "0022"
_PYTHON = ("/usr/bin/python3", "-I", "-S")
_PROGRAMS = {"npm": "bin/npm-cli.js"}
"""The JavaScript file of each package manager, below its package."""
_ENVIRONMENT = {
    "HOME": _HOME,
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
class NpmBuild:
    """One build of one tarball, in the words of the ecosystem."""

    artifact: Artifact
    checkout: CheckedOut
    directory: str
    """Of the package in the repository; empty when it is the repository."""
    packer: tuple[str, str]
    """The package manager that packs, and its version."""
    pack_node: str
    """Version of the Node that it runs on."""
    program: Input
    """Our own programs."""
    tools: tuple[Input, ...]
    """Tarballs of Node and of package managers."""
    environment: EnvironmentRef
    limits: Limits
    sandbox: str
    inputs: tuple[Input, ...] = ()
    """What else is read: tarballs of dependencies, lock files."""
    commands: tuple[tuple[str, ...], ...] = field(default=())
    """What is run between checking out and packing."""


def definition(build: NpmBuild) -> BuildDefinition:
    """Check the commit out, unpack the tools, build, pack."""
    artifact, tree = build.artifact, build.checkout
    run = (*_PYTHON, build.program.path)
    return BuildDefinition(
        build_type=BUILD_TYPE,
        purl=artifact.purl,
        targets=(artifact.filename,),
        source=Source(kind=SourceKind.GIT, uri=tree.origin, digest={"gitCommit": tree.sha}),
        inputs=(build.program, *build.tools, *tree.inputs, *build.inputs),
        toolchain=build.environment,
        commands=(
            (*run, "tools", "--into", _TOOLS, *(each.path for each in build.tools)),
            (*run, *tree.command(SOURCE, int(_UMASK, 8))),
            *build.commands,
            (*run, *_packing(build)),
        ),
        environment=_ENVIRONMENT | {"PATH": f"{node_directory(build.pack_node)}:/usr/bin:/bin"},
        umask=_UMASK,
        sandbox=build.sandbox,
        limits=build.limits,
    )


def node_directory(version: str) -> str:
    """Where the executable of a Node is in a build."""
    return f"{_TOOLS}/node-{version}/bin"


def _packing(build: NpmBuild) -> tuple[str, ...]:
    tool, version = build.packer
    artifact = build.artifact
    made = f"{artifact.name.removeprefix('@').replace('/', '-')}-{artifact.version}.tgz"
    return (
        *("pack", "--tool", tool, "--node", f"{node_directory(build.pack_node)}/node"),
        *("--program", f"{_TOOLS}/{tool}-{version}/{_PROGRAMS[tool]}"),
        *("--directory", f"{SOURCE}/{build.directory}".rstrip("/")),
        *("--made", made, "--out", f"/out/{artifact.filename}"),
    )
