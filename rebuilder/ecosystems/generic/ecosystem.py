"""Release files that no registry carries: what their recipes say is fetched, built and compared.

A recipe is read where it is asked for. Its text is then kept: among the blobs, where the evidence names it by its
digest, and in the ledger under the release it describes, so that a worker process that was given no path finds it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packageurl import PackageURL

from rebuilder.ecosystems.conventions import Context
from rebuilder.ecosystems.generic.recipe import ECOSYSTEM, Recipe, RecipeTarget, parse_recipe, read_recipe
from rebuilder.ecosystems.protocol import Ecosystem, Signed, StepTask
from rebuilder.ecosystems.source_trees import CheckedOut, SourceOrigin, Unpacked
from rebuilder.ecosystems.unavailable_inputs import unavailable
from rebuilder.environments.catalog import catalog
from rebuilder.environments.from_settings import manifests
from rebuilder.errors import FileGoneError, ForbiddenAddressError, UnavailableError, UsageError
from rebuilder.model.artifact import Artifact, ListedFile, Listing, PublishedFile, Subject
from rebuilder.model.attempt import History, Hypothesis, plan
from rebuilder.model.definition import BuildDefinition, EnvironmentRef, Input, Limits, Role
from rebuilder.model.evidence import Evidence, Obstacle, Source, SourceKind
from rebuilder.model.graph import (
    Node,
    NodeKind,
    Origin,
    SourceCommit,
    SourceTrail,
    Step,
    commit_node,
    file_node,
    source_id,
)
from rebuilder.model.value import sha256_hex
from rebuilder.model.verdict import Verdict
from rebuilder.network.http.address import Credentials
from rebuilder.network.protocol import Fetcher, Sources
from rebuilder.toml_files import FileError

FROM_ARCHIVE, FROM_COMMIT = "source-to-file", "commit-to-file"
_HINT = "Name the file with the recipe, such as generic:recipes/hello.toml; docs/recipes.md says what is in one."


class Generic(Ecosystem):
    """A release is a recipe."""

    name = ECOSYSTEM

    def __init__(self, context: Context) -> None:
        """Nothing is read or fetched yet."""
        self._context = context
        self._fetcher = context.fetcher(context.ca_bundle, Credentials())
        self._known = context.memo(ECOSYSTEM)
        described = manifests(context.settings.environments, context.settings.interpreters)
        self._environments = frozenset({*catalog(), *described})

    @property
    def fetcher(self) -> Fetcher:
        """See :class:`rebuilder.ecosystems.protocol.Ecosystem`; no registry has credentials here."""
        return self._fetcher

    def parse(self, text: str) -> Subject:
        """Read the path of a recipe, or ``NAME==VERSION`` of one that was read before.

        Raises:
            UsageError: the recipe cannot be used; the sentence names the file, the line and the key.
        """
        asked = text.strip()
        if asked.startswith("pkg:"):
            return self._named_by_purl(asked)
        name, separator, version = asked.partition("==")
        if separator:
            return Subject(ecosystem=ECOSYSTEM, name=name, version=version, asked=asked)
        recipe = self._read(asked)
        return Subject(ecosystem=ECOSYSTEM, name=recipe.name, version=recipe.version, asked=asked)

    def listing(self, name: str, seen: str | None = None) -> Listing | None:
        """Look at the recipe itself: it changes when somebody edits it.

        Raises:
            UsageError: see :meth:`parse`.
        """
        recipe = self._read(name) if name.endswith(".toml") else self._recalled(name, None)[0]
        mark = sha256_hex(recipe.model_dump_json().encode())
        if mark == seen:
            return None
        return Listing(
            ecosystem=ECOSYSTEM,
            name=recipe.name,
            files=tuple(
                ListedFile(purl=recipe.purl, version=recipe.version, filename=each.filename, sha256=each.sha256)
                for each in recipe.targets
            ),
            newest=recipe.version,
            mark=mark,
        )

    def project_names(self) -> Iterator[str]:
        """See :class:`rebuilder.ecosystems.protocol.Ecosystem`: there is no registry that lists them."""
        raise UsageError("Recipes are watched by the files they are in, not by patterns.", hint=_HINT)

    def evidence(self, subject: Subject) -> list[Evidence]:
        """Fetch the published files, and the source where it is an archive.

        Raises:
            UsageError: no such recipe was read before, or it has no such file.
            ForbiddenAddressError: the recipe leads into our own network.
        """
        recipe, text = self._recalled(subject.name, subject.version)
        chosen = [each for each in recipe.targets if subject.filename in {None, each.filename}]
        if not chosen:
            raise UsageError(f"The recipe of {subject.name} has no target {subject.filename}.", hint=_HINT)
        document = self._context.blobs.put(text.encode())
        source = lost = None
        if recipe.source.url is not None and recipe.source.sha256 is not None:
            lost = self._lost(recipe.source.url, recipe.source.sha256)
            source, _tree = from_archive(recipe)
        return [self._evidence(recipe, each, document, source, lost) for each in chosen]

    def _evidence(
        self, recipe: Recipe, target: RecipeTarget, document: str, source: Source | None, lost: Obstacle | None
    ) -> Evidence:
        obstacle, blobs = self._lost(target.url, target.sha256) or lost, self._context.blobs
        file = PublishedFile(
            filename=target.filename,
            url=target.url,
            sha256=target.sha256,
            size=blobs.path(target.sha256).stat().st_size if blobs.has(target.sha256) else None,
        )
        artifact = Artifact(ecosystem=ECOSYSTEM, purl=recipe.purl, name=recipe.name, version=recipe.version, file=file)
        if source is not None and source.digest["sha256"] == target.sha256:
            sentence = f"The source of {target.filename} would be that very file: what sees it can copy it."
            obstacle = Obstacle(verdict=Verdict.UNSUPPORTED, sentence=sentence)
        return Evidence(artifact=artifact, source=source, index_sha256=document, obstacle=obstacle)

    def _lost(self, url: str, sha256: str) -> Obstacle | None:
        """Fetch a file; why it cannot be had."""
        try:
            self._fetcher.file(url, sha256=sha256, max_bytes=self._context.settings.download_bytes)
        except ForbiddenAddressError:
            raise
        except UnavailableError as error:
            return unavailable(str(error), for_everybody=isinstance(error, FileGoneError)).obstacle
        return None

    def steps(self, evidence: Evidence, origin: Origin | None = None) -> SourceTrail:
        """One: from the archive, or from the commit, that the recipe names."""
        start, name, source = commit_node(origin), FROM_COMMIT, evidence.source
        if source is not None:
            start, name = Node(kind=NodeKind.SOURCE_ARCHIVE, id=source_id(source), name=source.filename), FROM_ARCHIVE
        end = file_node(NodeKind.ARTIFACT, evidence.artifact.file)
        return SourceTrail(nodes=(start, end), steps=(Step(name=name, start=start.id, end=end.id),))

    def next(self, task: StepTask, history: History) -> Hypothesis | Obstacle | None:
        """The one build that the recipe asks for."""
        recipe, context = self._of(task.evidence), self._context
        source, tree = from_archive(recipe) if task.commit is None else from_commit(task.commit)
        environment = context.environments.get(recipe.environment)
        around = RunSettings(
            environment=environment.ref,
            program=context.programs.program_input("source"),
            limits=task.limits,
            sandbox=context.settings.sandbox,
        )
        hypothesis = Hypothesis(
            name="recipe",
            sentence="The recipe says how it is built.",
            definition=definition(recipe, source, tree, around),
            filename=task.evidence.artifact.filename,
        )

        def planned(history: History) -> Obstacle | None:
            history.of(hypothesis)
            return None

        return plan(planned, history)

    def origin(self, evidence: Evidence, signed: Signed, sources: Sources) -> Origin | None:
        """The commit that the recipe names, if it names one."""
        source = self._of(evidence).source
        if source.repository is None:
            return None
        sentence = "Claimed, not attested: the recipe names this commit."
        return Origin(
            repository=source.repository, commit=source.commit, tag=source.tag, attested=False, sentence=sentence
        )

    def _read(self, path: str) -> Recipe:
        try:
            recipe, text = read_recipe(Path(path), self._environments)
        except FileError as error:
            raise UsageError(error.remark.label, hint=_HINT) from None
        for key in (recipe.name, f"{recipe.name}=={recipe.version}"):
            self._known.put(key, text)
        return recipe

    def _recalled(self, name: str, version: str | None) -> tuple[Recipe, str]:
        """A recipe that was read before, by this process or another one with the same ledger."""
        text = self._known.get(f"{name}=={version}" if version is not None else name)
        if not isinstance(text, str):
            wanted = f"{name} {version}" if version is not None else name
            raise UsageError(f"No recipe of {wanted} was read here yet.", hint=_HINT)
        return parse_recipe(Path(name), text), text

    def _of(self, evidence: Evidence) -> Recipe:
        text = self._context.blobs.read(evidence.index_sha256).decode()
        return parse_recipe(Path(evidence.artifact.name), text)

    def _named_by_purl(self, asked: str) -> Subject:
        try:
            purl = PackageURL.from_string(asked)
        except ValueError:
            raise UsageError(f"{asked[:80]!r} is not a package URL.", hint=_HINT) from None
        qualifiers = purl.qualifiers if isinstance(purl.qualifiers, dict) else {}
        filename = qualifiers.get("file_name")
        return Subject(ecosystem=ECOSYSTEM, name=purl.name, version=purl.version, filename=filename, asked=asked)


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
