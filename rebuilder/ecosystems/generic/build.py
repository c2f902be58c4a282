"""The build definition that a recipe asks for (pure); docs/predicates/recipe-build.md describes it for readers."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from rebuilder.ecosystems.generic.recipe import Recipe, RecipeTarget
from rebuilder.ecosystems.source_trees import CheckedOut, SourceOrigin, Unpacked
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


def from_archive(recipe: Recipe) -> tuple[Source, SourceOrigin]:
    """The archive of the recipe, unpacked."""
    given = recipe.source
    assert given.url is not None  # noqa: S101 - the caller asks for the kind of source that the recipe has
    assert given.sha256 is not None  # noqa: S101
    path = f"/inputs/{given.filename}"
    archive = Input(role=Role.SOURCE, name=given.filename, sha256=given.sha256, path=path, uri=given.url)
    digest = {"sha256": given.sha256}
    source = Source(kind=SourceKind.ARCHIVE, uri=given.url, digest=digest, filename=given.filename)
    return source, Unpacked(archive, top="")


def from_commit(commit: SourceCommit) -> tuple[Source, SourceOrigin]:
    """The commit, checked out with the tags that point at it."""
    named = commit.tree.commit
    source = Source(kind=SourceKind.GIT, uri=named.repository, digest={"gitCommit": named.sha})
    return source, CheckedOut.of(commit.tree)


@dataclass(frozen=True)
class RunSettings:
    """What a build has that no recipe says."""

    environment: EnvironmentRef
    program: Input
    """Our own, that makes the tree."""
    limits: Limits
    sandbox: str


def definition(recipe: Recipe, source: Source, tree: SourceOrigin, around: RunSettings) -> BuildDefinition:
    """Make the source tree, run the commands, and hand over every target that they leave."""
    place = f"{_TREE}/{recipe.directory}" if recipe.directory != "." else _TREE
    shell = ("/usr/bin/env", f"--chdir={place}", "/bin/sh")
    kept = [f"if test -f {path}; then cp -- {path} {out}; fi" for path, out in map(_paths, recipe.targets)]
    return BuildDefinition(
        build_type=BUILD_TYPE,
        purl=recipe.purl,
        targets=tuple(each.filename for each in recipe.targets),
        source=source,
        inputs=(around.program, *tree.inputs),
        toolchain=around.environment,
        commands=(
            (*_PYTHON, around.program.path, *tree.command(_TREE, int(_UMASK, 8))),
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
