"""From a commit to build definitions of the tarball, likeliest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from rebuilder.ecosystems.inspection import inspect
from rebuilder.ecosystems.npm.build import NpmBuild, definition
from rebuilder.ecosystems.npm.context import ENVIRONMENT, PlanningContext
from rebuilder.ecosystems.npm.node_versions import NODE, newest, series_at
from rebuilder.ecosystems.npm.subject import precedence
from rebuilder.ecosystems.obstacles import NotRebuildable
from rebuilder.ecosystems.source_trees import CheckedOut, archive_input
from rebuilder.foreign_json import JsonLimits, UnreadableJson, read_json
from rebuilder.model.attempt import History, Hypothesis
from rebuilder.model.definition import EnvironmentRef
from rebuilder.model.evidence import Evidence, Obstacle, normal_path
from rebuilder.model.graph import SourceCommit
from rebuilder.model.verdict import Verdict

_MANIFEST = "package.json"
_LIMITS = JsonLimits(values=100_000)


@dataclass(frozen=True)
class Checkout:
    """A package in a commit."""

    tree: CheckedOut
    directory: str
    """Of the package; empty when it is the repository."""
    manifest: dict[str, object]
    """Its package.json; hostile."""
    committed: datetime


def infer(context: PlanningContext, evidence: Evidence, commit: SourceCommit, history: History) -> Obstacle | None:
    """Plan the step from the commit; see :mod:`rebuilder.model.attempt`."""
    try:
        _try(context, evidence, commit, history)
    except NotRebuildable as stopped:
        return stopped.obstacle
    return None


def _try(context: PlanningContext, evidence: Evidence, commit: SourceCommit, history: History) -> None:
    once, sha = context.notebook.once, commit.tree.commit.sha
    checkout = once(evidence, ("checkout", sha), lambda: read_checkout(context, evidence, commit))
    packers = once(evidence, ("packers", sha), lambda: _packers(context, checkout))
    for number, (version, node) in enumerate(packers):
        hypothesis = once(evidence, (sha, number), lambda: _pack_only(context, evidence, checkout, version, node))  # noqa: B023 - called at once
        if history.of(hypothesis).confirms:
            return


def read_checkout(context: PlanningContext, evidence: Evidence, commit: SourceCommit) -> Checkout:
    """Find the package in the commit.

    Raises:
        NotRebuildable: the commit has no package.json of that name.
    """
    [listing] = inspect(context, [archive_input(commit.tree)], texts=[f"*{_MANIFEST}"])
    artifact, found = evidence.artifact, dict[str, dict[str, object]]()
    for member, text in listing.texts.items():
        directory, _, file = f"/{normal_path(member)}".rpartition("/")
        manifest = read_manifest(text) if file == _MANIFEST else None
        if manifest is not None and manifest.get("name") == artifact.name:
            found[directory.strip("/")] = manifest
    if not found:
        sha = commit.tree.commit.sha
        raise NotRebuildable(Verdict.UNSUPPORTED, f"The commit {sha} has no package.json of {artifact.name}.")
    directory = min(found, key=lambda path: (path.count("/") + bool(path), path))
    return Checkout(
        tree=CheckedOut.of(commit.tree, tag=commit.origin.tag, top=directory, shallow=True),
        directory=directory,
        manifest=found[directory],
        committed=commit.tree.commit.committed_at,
    )


def read_manifest(text: str) -> dict[str, object] | None:
    """A package.json; None where it is none."""
    try:
        content = read_json(text.removeprefix("\ufeff").encode("utf-8", "surrogatepass"), _LIMITS)
    except UnreadableJson:
        return None
    return content if isinstance(content, dict) else None


def _packers(context: PlanningContext, checkout: Checkout) -> list[tuple[str, str]]:
    """Versions of npm and of the Node it runs on, likeliest first. ``packer.packers`` is to take this place."""
    now = checkout.committed
    nodes, npm = context.registry.packument(NODE), context.registry.packument("npm")
    node = newest(nodes.versions, series_at(now))
    usable = [
        each
        for each in npm.versions
        if "-" not in each and (npm.published(each) or datetime.max.replace(tzinfo=UTC)) <= now
    ]
    if node is None or not usable:
        raise NotRebuildable(Verdict.INPUTS_MISSING, "The npm registry has no Node and npm from before the commit.")
    ten = newest(usable, 10)
    return [(each, node) for each in dict.fromkeys([ten, max(usable, key=precedence)]) if each is not None]


def _pack_only(context: PlanningContext, evidence: Evidence, checkout: Checkout, version: str, node: str) -> Hypothesis:
    environment = context.environments.get(ENVIRONMENT)
    build = NpmBuild(
        artifact=evidence.artifact,
        checkout=checkout.tree,
        directory=checkout.directory,
        packer=("npm", version),
        pack_node=node,
        program=context.programs.program_input("npm"),
        tools=(context.registry.tool(NODE, node), context.registry.tool("npm", version)),
        environment=EnvironmentRef(name=environment.name, sha256=environment.sha256),
        limits=context.limits,
        sandbox=context.sandbox,
    )
    return Hypothesis(
        name="pack-only",
        sentence=f"The commit is packed as it is, by npm {version} on Node {node}; no script is run.",
        definition=definition(build),
    )
