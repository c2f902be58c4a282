"""The build definition that a recipe asks for (pure); docs/predicates/recipe-build.md describes it for readers."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from rebuilder.ecosystems.generic.recipe import Recipe, RecipeTarget
from rebuilder.model.definition import BuildDefinition, EnvironmentRef, Input, Limits, Role
from rebuilder.model.evidence import Source, SourceKind
from rebuilder.model.graph import SourceCommit

BUILD_TYPE = "tag:rebuilder,2026:recipe-build/v1"
"""Documented in docs/predicates/recipe-build.md."""
_TREE = "/build/source"
_UMASK = "0022"
_PYTHON = ("/usr/bin/python3", "-I", "-S")
_ENVIRONMENT = {
    "HOME": "/tmp",  # noqa: S108 - inside the sandbox, where nobody else is
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "TZ": "UTC",
}


@dataclass(frozen=True)
class SourceFiles:
    """What a build starts from: files among its inputs, and what makes a tree of them."""

    source: Source
    inputs: tuple[Input, ...]
    command: tuple[str, ...]
    """Of our own program, without its interpreter and path."""


def from_archive(recipe: Recipe) -> SourceFiles:
    """Unpack the archive of the recipe."""
    given = recipe.source
    assert given.url is not None  # noqa: S101 - the caller asks for the kind of source that the recipe has
    assert given.sha256 is not None  # noqa: S101
    path = f"/inputs/{given.filename}"
    return SourceFiles(
        source=Source(kind=SourceKind.ARCHIVE, uri=given.url, digest={"sha256": given.sha256}, filename=given.filename),
        inputs=(Input(role=Role.SOURCE, name=given.filename, sha256=given.sha256, path=path, uri=given.url),),
        command=("unpack", "--source", path, "--into", _TREE, "--umask", _UMASK),
    )


def from_commit(commit: SourceCommit) -> SourceFiles:
    """Check the commit out, with the tags that point at it."""
    tree, named = commit.tree, commit.tree.commit
    archive = Input(role=Role.SOURCE, name=f"{named.sha}.tar", sha256=tree.archive_sha256, path="/inputs/commit.tar")
    raw = Input(role=Role.SOURCE, name=named.sha, sha256=named.object_sha256, path="/inputs/commit")
    inputs, tags = [archive, raw], []
    for number, each in enumerate(named.tags):
        tags += ["--tag", each.name]
        if each.object_sha256 is not None:
            path = f"/inputs/tags/{number}"
            inputs.append(Input(role=Role.SOURCE, name=each.name, sha256=each.object_sha256, path=path))
            tags += ["--tag-object", f"{each.name}={path}"]
    return SourceFiles(
        source=Source(kind=SourceKind.GIT, uri=named.repository, digest={"gitCommit": named.sha}),
        inputs=tuple(inputs),
        command=(
            *("checkout", "--archive", archive.path, "--commit", named.sha, "--commit-object", raw.path),
            *("--into", _TREE, "--origin", named.repository, "--umask", _UMASK, *tags),
        ),
    )


@dataclass(frozen=True)
class RunSettings:
    """What a build has that no recipe says."""

    environment: EnvironmentRef
    program: Input
    """Our own, that makes the tree."""
    limits: Limits
    sandbox: str


def definition(recipe: Recipe, files: SourceFiles, around: RunSettings) -> BuildDefinition:
    """Make the source tree, run the commands, and hand over every target that they leave."""
    place = f"{_TREE}/{recipe.directory}" if recipe.directory != "." else _TREE
    shell = ("/usr/bin/env", f"--chdir={place}", "/bin/sh")
    kept = [f"if test -f {path}; then cp -- {path} {out}; fi" for path, out in map(_paths, recipe.targets)]
    return BuildDefinition(
        build_type=BUILD_TYPE,
        purl=recipe.purl,
        targets=tuple(each.filename for each in recipe.targets),
        source=files.source,
        inputs=(around.program, *files.inputs),
        toolchain=around.environment,
        commands=(
            (*_PYTHON, around.program.path, *files.command),
            *((*shell, "-e", "-u", "-c", command) for command in recipe.commands),
            (*shell, "-e", "-c", "\n".join(kept)),
        ),
        environment=_ENVIRONMENT | recipe.variables,
        umask=_UMASK,
        sandbox=around.sandbox,
        limits=around.limits,
    )


def _paths(target: RecipeTarget) -> tuple[str, str]:
    """Where a target lies, and where it is handed over, as the shell reads them."""
    return shlex.quote(f"./{target.file or target.filename}"), shlex.quote(f"/out/{target.filename}")
