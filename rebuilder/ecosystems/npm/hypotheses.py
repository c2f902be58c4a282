"""From a commit to build definitions of the tarball, likeliest first.

1. The package is found in the commit (:mod:`rebuilder.ecosystems.npm.checkout`), and what the release has
   besides.
2. Where every member of the release is a file of the commit, it is packed as it is: no script is run.
3. Otherwise its scripts are read (:mod:`rebuilder.ecosystems.npm.scripts`), Node and package manager chosen by rule,
   and its dependencies taken as inputs (:mod:`rebuilder.ecosystems.npm.dependencies`).
4. Where content comes out but not the archive, other versions of the packing tool are tried.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from rebuilder.ecosystems.npm.build import Construction, NpmBuild, Tool, definition, in_source, wanted_tools
from rebuilder.ecosystems.npm.checkout import Checkout, read_checkout
from rebuilder.ecosystems.npm.context import ENVIRONMENT, PlanningContext
from rebuilder.ecosystems.npm.dependencies import Dependencies, Manager, dependencies
from rebuilder.ecosystems.npm.managers import choose_manager, fitting_version, npm_series
from rebuilder.ecosystems.npm.node_versions import NODE, NodeChoice, choose, newest, series_at
from rebuilder.ecosystems.npm.scripts import BuildScripts, ScriptStep, UnreadableScript, ways_to_build
from rebuilder.ecosystems.obstacles import NotRebuildable
from rebuilder.model.attempt import Attempt, History, Hypothesis
from rebuilder.model.comparison import Level
from rebuilder.model.definition import EnvironmentRef, Limits
from rebuilder.model.evidence import Evidence, Obstacle
from rebuilder.model.graph import SourceCommit
from rebuilder.model.replayed import Replayed
from rebuilder.model.verdict import Verdict

_Made = TypeVar("_Made")
_CLEAN = "clean-publish"
"""A tool that packs a copy without what only development needs (https://github.com/shashkovdanil/clean-publish)."""
_CLEANED = "clean-publish-made"
_MOST_WAYS, _MOST_PACKERS = 4, 4
_NEAR = timedelta(days=30)
"""A registry may say when it first saw a release instead of when it was published: what is later than this after the
commit is not believed."""
_SLACK = timedelta(days=1)


@dataclass(frozen=True)
class Packer:
    """What packs, and what speaks for it."""

    tool: Tool
    node: str
    sentence: str
    replayed: tuple[Replayed, ...] = ()


@dataclass(frozen=True)
class Case:
    """One release and its commit, as far as they were read."""

    context: PlanningContext
    evidence: Evidence
    checkout: Checkout
    not_after: datetime
    """Nothing newer than this was used."""
    not_after_sentence: str

    def once(self, key: Hashable, make: Callable[[], _Made]) -> _Made:
        """See :meth:`rebuilder.ecosystems.notebook.Notebook.once`."""
        return self.context.notebook.once(self.evidence, (self.checkout.tree.sha, key), make)


def infer(context: PlanningContext, evidence: Evidence, commit: SourceCommit, history: History) -> Obstacle | None:
    """Plan the step from the commit; see :mod:`rebuilder.model.attempt`."""
    try:
        sha = commit.tree.commit.sha
        case = context.notebook.once(evidence, ("case", sha), lambda: _case(context, evidence, commit))
        _try(replace(case, context=context), history)
    except NotRebuildable as stopped:
        return stopped.obstacle
    return None


def _case(context: PlanningContext, evidence: Evidence, commit: SourceCommit) -> Case:
    checkout = read_checkout(context, evidence, commit)
    return Case(context, evidence, checkout, *cut_off(evidence.artifact.file.uploaded, checkout.committed))


def cut_off(published: datetime | None, committed: datetime) -> tuple[datetime, str]:
    """The moment after which nothing was used, and how that is known."""
    if published is not None and committed - _SLACK <= published <= committed + _NEAR:
        return max(published, committed), "the registry says that it was published then"
    return committed + _SLACK, "the commit is from the day before, and the registry's time is not near it"


def _try(case: Case, history: History) -> None:
    """Try every way with the likeliest packer, then the other packers with the way that came nearest."""
    first, *others = case.once("packers", lambda: _packers(case))[:_MOST_PACKERS]
    best: tuple[Attempt, Construction | None, str] | None = None
    for made, about in _constructions(case):
        attempt = history.of(_hypothesis(case, made, about, first))
        if attempt.confirms:
            best = (attempt, made, about)
            break
        if best is None or _distance(attempt) < _distance(best[0]):
            best = (attempt, made, about)
        restored = _restored(case, made, attempt)
        if restored is not None and history.of(_hypothesis(case, restored, _RESTORED + about, first)).confirms:
            best = (history.of(_hypothesis(case, restored, _RESTORED + about, first)), restored, _RESTORED + about)
            break
    if best is None or best[0].rebuilt is None or _exact(best[0]):
        return
    for packer in others:
        if _exact(history.of(_hypothesis(case, best[1], best[2], packer))):
            return


_RESTORED = "What the commit has is put back as it was. "


def _exact(attempt: Attempt) -> bool:
    return attempt.finished_identical or (
        attempt.comparison is not None and attempt.comparison.level is Level.IDENTICAL
    )


def _distance(attempt: Attempt) -> int:
    comparison = attempt.comparison
    if comparison is None or comparison.problem:
        return 1 << 30
    return comparison.differences_total


def _restored(case: Case, made: Construction | None, attempt: Attempt) -> Construction | None:
    """The same with what the commit has put back, where the build changed a file that the release has as the commit."""
    if made is None or made.restored or attempt.comparison is None or attempt.confirms:
        return None
    checkout = case.checkout
    besides = {*checkout.lacks, *checkout.changed}
    differing = [each.member.partition("/")[2] for each in attempt.comparison.differences]
    return replace(made, restored=True) if any(each not in besides for each in differing) else None


def _constructions(case: Case) -> Iterator[tuple[Construction | None, str]]:
    """What may be done between checking out and packing, likeliest first, each with a sentence about it."""
    checkout, tried = case.checkout, False
    if not checkout.lacks:
        tried = True
        yield None, "Every file of the release is one of the commit, which is packed as it is; no script is run."
    if not checkout.lacks and not checkout.changed:
        return
    obstacle: NotRebuildable | None = None
    try:
        ways = _ways(checkout)
        for way in ways[:_MOST_WAYS]:
            node = case.once("nodes", lambda: _nodes(case))[0]
            made, about = case.once(("way", way.name), partial(_construction, case, way, node))
            tried = True
            yield made, about
    except NotRebuildable as stopped:
        obstacle = stopped
    if not tried:
        if obstacle is not None:
            raise obstacle
        yield None, "Nothing in package.json says how the other files of the release are made; the commit is packed."


def _ways(checkout: Checkout) -> list[BuildScripts]:
    if _CLEAN in checkout.manifest and "package.json" in checkout.changed:
        command = f"{_CLEAN} --without-publish --temp-dir {_CLEANED}"
        return [BuildScripts(_CLEAN, (ScriptStep(_CLEAN, command, checkout.directory),))]
    above = checkout.scripts(checkout.above) if checkout.above is not None else None
    try:
        return ways_to_build(checkout.scripts(checkout.manifest), checkout.directory, above)
    except UnreadableScript as reason:
        raise NotRebuildable(Verdict.UNSUPPORTED, f"package.json is not followed: {reason}.") from None


def _nodes(case: Case) -> list[NodeChoice]:
    entry = case.context.entry(case.evidence)
    recorded = entry.get("_nodeVersion")
    versions = case.context.registry.packument(NODE).versions
    found = choose(
        versions,
        case.checkout.manifest,
        case.checkout.texts,
        case.checkout.committed,
        recorded if isinstance(recorded, str) else None,
    )
    if not found:
        raise NotRebuildable(Verdict.INPUTS_MISSING, "The npm registry has no Node that the package allows.")
    return found


def _construction(case: Case, way: BuildScripts, node: NodeChoice) -> tuple[Construction, str]:
    checkout, registry = case.checkout, case.context.registry
    choice = choose_manager([checkout.manifest, checkout.above], checkout.locks, checkout.directory)
    version = fitting_version(choice, node.version, registry.packument(choice.tool).versions)
    if version is None:
        wanted = f"{choice.tool} {choice.version}" if choice.version else choice.tool
        raise NotRebuildable(Verdict.INPUTS_MISSING, f"The npm registry has no {wanted}, which the source asks for.")
    manager = Tool(choice.tool, version)
    tools = [manager]
    if manager.name != "npm":
        npm = newest(registry.packument("npm").versions, npm_series(node.version))
        tools += [Tool("npm", npm)] if npm is not None else []
    needs = bool(_needed(checkout))
    if needs and choice.lock is None:
        raise NotRebuildable(
            Verdict.UNSUPPORTED,
            "The commit has no lock file that is read here, so what its build depended on is not known.",
        )
    found = Dependencies((), (), "It has no dependencies.")
    if needs and choice.lock is not None:
        found = dependencies(
            case.context,
            choice.lock,
            manager=Manager(manager.name, manager.version, (manager.command,)),  # type: ignore[arg-type]
            program=case.context.programs.program_input("npm"),
            source=in_source(""),
        )
    made = Construction(
        node=node.version,
        tools=tuple(tools),
        inputs=found.inputs,
        install=found.commands,
        steps=way.steps,
        packed=_CLEANED if way.name == _CLEAN else "",
    )
    left = f" Not run: {', '.join(dict.fromkeys(way.left_out))}." if way.left_out else ""
    run = "; ".join(f"{each.script}: {each.command}" for each in way.steps)
    return made, f"{' '.join((found.sentence, *found.notes))} With Node {node.version}, {node.sentence}, {run}.{left}"


def _needed(checkout: Checkout) -> set[str]:
    """Names of what the package, or its repository, depends on."""
    kinds = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies", "workspaces")
    found: set[str] = set()
    for manifest in (checkout.manifest, checkout.above or {}):
        for kind in kinds:
            named = manifest.get(kind)
            found |= set(map(str, named)) if isinstance(named, dict | list) else set()
    return found


def _packers(case: Case) -> list[Packer]:
    """Versions of npm and of the Node it runs on, likeliest first. ``packer.packers`` is to take this place."""
    registry, now = case.context.registry, case.checkout.committed
    nodes, npm = registry.packument(NODE), registry.packument("npm")
    node = newest(nodes.versions, series_at(now))
    if node is None:
        raise NotRebuildable(Verdict.INPUTS_MISSING, "The npm registry has no Node from before the commit.")
    usable = [each for each in npm.versions if (when := npm.published(each)) is not None and when <= case.not_after]
    found = [newest(usable, npm_series(node)) or newest(npm.versions, npm_series(node))]
    return [Packer(Tool("npm", each), node, "as that Node has it") for each in found if each is not None]


def _hypothesis(case: Case, made: Construction | None, about: str, packer: Packer) -> Hypothesis:
    key = ("hypothesis", made, packer.tool, packer.node)
    return case.once(key, lambda: _made_hypothesis(case, made, about, packer))


def _made_hypothesis(case: Case, made: Construction | None, about: str, packer: Packer) -> Hypothesis:
    context, checkout = case.context, case.checkout
    environment = context.environments.get(ENVIRONMENT)
    wanted = wanted_tools(packer.tool, packer.node, made)
    build = NpmBuild(
        artifact=case.evidence.artifact,
        checkout=checkout.tree,
        directory=checkout.directory,
        packer=packer.tool,
        pack_node=packer.node,
        program=context.programs.program_input("npm"),
        tools=tuple(context.registry.tool(*each) for each in wanted),
        environment=EnvironmentRef(name=environment.name, sha256=environment.sha256),
        limits=_limits(context.limits, made),
        sandbox=context.sandbox,
        construction=made,
    )
    place = f" The package is in {checkout.directory}." if checkout.directory else ""
    return Hypothesis(
        name="pack-only" if made is None else "built",
        sentence=f"{about}{place} It is packed by {packer.tool.label} on Node {packer.node}, {packer.sentence}.",
        definition=definition(build),
        replayed=packer.replayed,
    )


def _limits(limits: Limits, made: Construction | None) -> Limits:
    """Node takes 120 MB of disk, and packages of a build several hundred."""
    return limits if made is None else limits.replace(disk_bytes=max(limits.disk_bytes, 3 << 30))
