"""From a commit to build definitions of the tarball, likeliest first.

1. The package is found in the commit (:mod:`rebuilder.ecosystems.npm.checkout`), and what the release has
   besides.
2. Where every member of the release is a file of the commit, it is packed as it is: no script is run.
3. Otherwise, and where a script may decide what is packed, its scripts are read
   (:mod:`rebuilder.ecosystems.npm.scripts`), Node and package manager chosen by rule, and its dependencies taken as
   inputs (:mod:`rebuilder.ecosystems.npm.dependencies`).
4. Where content comes out but not the archive, other versions of the packing tool are tried.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

from rebuilder.ecosystems.npm.build import Construction, NpmBuild, definition, in_source, opening, wanted_tools
from rebuilder.ecosystems.npm.checkout import Checkout, manifests, own_checkout, read_checkout
from rebuilder.ecosystems.npm.context import ENVIRONMENT, PlanningContext
from rebuilder.ecosystems.npm.dependencies import Dependencies, Manager, check_scopes, dependencies, scope_registries
from rebuilder.ecosystems.npm.node_versions import (
    NODE,
    NodeChoice,
    allowed_scripts,
    choose,
    choose_manager,
    fitting_version,
    newest,
    npm_series,
    usual_at,
)
from rebuilder.ecosystems.npm.packer import Packer, find_packers
from rebuilder.ecosystems.npm.registry import no_tool
from rebuilder.ecosystems.npm.resolution import Resolved, resolve
from rebuilder.ecosystems.npm.scripts import BuildScripts, ScriptStep, UnreadableScript, built_before, ways_to_build
from rebuilder.ecosystems.npm.subject import ECOSYSTEM, precedence, release_purl, tarball_name
from rebuilder.ecosystems.npm.tarball import MANIFEST, scripts_of
from rebuilder.ecosystems.obstacles import NotRebuildable, unsupported
from rebuilder.model.artifact import Artifact, PublishedFile
from rebuilder.model.attempt import Attempt, History, Hypothesis, Outcome
from rebuilder.model.comparison import Difference, Level, MemberChange
from rebuilder.model.definition import Limits
from rebuilder.model.diagnosis import Cause
from rebuilder.model.evidence import Evidence, Obstacle
from rebuilder.model.graph import SourceCommit
from rebuilder.model.project import Project, ProjectTree
from rebuilder.model.replayed import Replayed, told_before
from rebuilder.model.value import canonical_json
from rebuilder.model.verdict import Verdict

_Made = TypeVar("_Made")
_CLEAN = "clean-publish"
"""A tool that packs a copy without what only development needs (https://github.com/shashkovdanil/clean-publish)."""
_CLEANED = "clean-publish-made"
_UNKNOWN_VERSIONS = Obstacle(
    verdict=Verdict.INPUTS_MISSING,
    sentence=(
        "The commit has no lock file, and the registry that is asked does not say which versions of its dependencies "
        "there were then: what the release was built with cannot be told."
    ),
    cause=Cause.DEPENDENCY_DRIFT,
)
_MOST_WAYS, _MOST_PACKERS = 4, 4
_BEFORE_PACKING = frozenset({"prepublish", "prepublishOnly", "prepare", "prepack"})
_WINDOWS = told_before("line-ends", "crlf", 1)
_FEW = 3
"""Differences that another version of the packer may explain."""
_NEAR = timedelta(days=30)
"""A registry may say when it first saw a release instead of when it was published: what is later than this after the
commit is not believed."""
_SLACK = timedelta(days=1)


@dataclass(frozen=True)
class Way:
    """What is done between checking out and packing."""

    name: str
    """Short and stable, such as ``pack-only``."""
    made: Construction | None
    """None: nothing."""
    about: str
    """Whole sentences."""
    replayed: tuple[Replayed, ...] = ()
    lacks: Obstacle | None = None
    """Why what the package asks for is not done."""
    after_failure: bool = False
    """Whether it is tried only where no build came to its end."""

    @property
    def restored(self) -> Way:
        """The same, and what the commit has is put back as it was."""
        if self.made is None:
            return self
        about = f"{self.about} What the commit has is put back as it was."
        return replace(self, name=f"{self.name}-restored", made=replace(self.made, restored=True), about=about)


_AS_IT_IS = Way("pack-only", None, "The commit is packed as it is; no script is run.")


@dataclass(frozen=True)
class Case:
    """One release and its commit, as far as they were read."""

    context: PlanningContext
    evidence: Evidence
    checkout: Checkout
    not_after: datetime
    """Nothing newer than this was used."""
    not_after_sentence: str

    def tools(self, package: str) -> list[str]:
        """Versions of Node or of a package manager that can be had: without the release, which builds nothing here."""
        return [each for each in self.context.registry.tools(package) if not self.is_release(package, each)]

    def is_release(self, package: str, version: str) -> bool:
        """Whether a package is the release that is to be rebuilt."""
        artifact = self.evidence.artifact
        return (package, version) == (artifact.name, artifact.version)

    def once(self, key: Hashable, make: Callable[[], _Made]) -> _Made:
        """See :meth:`rebuilder.ecosystems.notebook.Notebook.once`."""
        return self.context.notebook.once(self.evidence, (self.checkout.tree.sha, key), make)


def infer(context: PlanningContext, evidence: Evidence, commit: SourceCommit, history: History) -> None:
    """Plan the step from the commit; see :mod:`rebuilder.model.attempt`.

    Raises:
        NotRebuildable: what keeps it from having (more) hypotheses.
    """
    sha = commit.tree.commit.sha
    case = context.notebook.once(evidence, ("case", sha), lambda: _case(context, evidence, commit))
    _try(replace(case, context=context), history)


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
    packers = case.once("packers", lambda: _packers(case))
    first = case.once("first packer", lambda: _first_to_be_had(case, packers))
    others = packers[packers.index(first) + 1 : _MOST_PACKERS]
    tried: list[tuple[Attempt, Way]] = []
    for way in _ways(case):
        if way.after_failure and any(made.made is not None and each.rebuilt is not None for each, made in tried):
            continue
        for each in (way, way.restored):
            tried.append((history.of(_hypothesis(case, each, first)), each))
            if tried[-1][0].confirms or not _changed_by_the_build(case, each, tried[-1][0]):
                break
        if tried[-1][0].confirms:
            break
    attempt, way = min(tried, key=lambda each: _distance(each[0]))
    if attempt.rebuilt is None:
        return
    if way.lacks == _UNKNOWN_VERSIONS and any(each.change is MemberChange.MISSING for each in _content(attempt)):
        # Other versions make other content; a file that no build makes is not for them to explain.
        history.of(_hypothesis(case, replace(way, lacks=None), first))
    if not attempt.confirms and (
        (way.lacks or case.checkout.missing) is not None or (way.made is not None and _distance(attempt) > _FEW)
    ):
        return  # a build is dear, and only a file or two depend on who packs it
    attempt = _with_others(case, history, attempt, way, others)
    failed = _failed([each for each, made in tried if made.made is not None])
    if way.made is None and not attempt.confirms and failed is not None:
        history.of(_hypothesis(case, replace(way, lacks=failed), first))


def _failed(builds: Sequence[Attempt]) -> Obstacle | None:
    """That no build came to its end, so that what the scripts write or leave out is not known."""
    if not builds or any(each.rebuilt is not None for each in builds):
        return None
    late = all(each.run.outcome is Outcome.TIMED_OUT for each in builds)
    ended = "did not come to their end in time" if late else "failed"
    return Obstacle(
        verdict=Verdict.TIMED_OUT if late else Verdict.BUILD_FAILED,
        sentence=f"The scripts that run before packing {ended} here; what they write or leave out is not known.",
    )


def _with_others(case: Case, history: History, attempt: Attempt, way: Way, others: Sequence[Packer]) -> Attempt:
    """Try other packers with a way, until the archive comes out or they make no difference; the last attempt."""
    for packer in others:
        if _exact(attempt):
            break
        if _is_to_be_had(case, packer):
            before, attempt = attempt, history.of(_hypothesis(case, way, packer))
            if _content(before) == _content(attempt) != set():
                break  # who packs it makes no difference to what differs
    return attempt


def _exact(attempt: Attempt) -> bool:
    comparison = attempt.comparison
    return attempt.finished_identical or (comparison is not None and comparison.level is Level.IDENTICAL)


def _content(attempt: Attempt) -> set[Difference]:
    """What differs in files, whatever the archive says of them."""
    comparison = attempt.comparison
    found = comparison.differences if comparison is not None and comparison.level is Level.DIFFERENT else ()
    return {each for each in found if each.change is not MemberChange.METADATA}


def _distance(attempt: Attempt) -> int:
    return 0 if attempt.confirms else 1 + attempt.distance


def _changed_by_the_build(case: Case, way: Way, attempt: Attempt) -> bool:
    """Whether a file came out otherwise that the release has as the commit has it."""
    if way.made is None or way.made.restored or attempt.comparison is None:
        return False
    besides = {*case.checkout.lacks, *case.checkout.changed}
    return any(each.member.partition("/")[2] not in besides for each in attempt.comparison.differences)


def _ways(case: Case) -> Iterator[Way]:
    """What may be done between checking out and packing, likeliest first.

    Raises:
        NotRebuildable: something that the first of them needs cannot be had, and the commit lacks what they make.
    """
    checkout = case.checkout
    if not checkout.lacks and not checkout.changed:
        yield _AS_IT_IS
        if not _BEFORE_PACKING & scripts_of(checkout.manifest).keys():
            return  # no script decides what is packed
    obstacle: NotRebuildable | None = None
    builds: list[BuildScripts] = []
    try:
        builds = _scripts(case)[:_MOST_WAYS]
        if builds:
            case.once(("way", builds[0], 0), partial(_built, case, builds[0]))
    except NotRebuildable as stopped:
        obstacle = stopped
        if checkout.lacks:
            raise
    only = replace(_AS_IT_IS, lacks=obstacle.obstacle if obstacle is not None else None)
    if set(checkout.changed) == {MANIFEST} and not checkout.lacks:
        yield only  # package managers write package.json anew when they pack
    if obstacle is None:
        older = [(builds[0], at) for at in range(1, len(case.once("nodes", partial(_nodes, case))))] if builds else []
        for build, at in (*((each, 0) for each in builds), *older):
            try:
                way = case.once(("way", build, at), partial(_built, case, build, at))
            except NotRebuildable:
                break
            yield replace(way, after_failure=at > 0 or build.after_failure)
    if (not builds or not checkout.lacks) and (checkout.lacks or checkout.changed or obstacle is not None):
        yield only


def _scripts(case: Case) -> list[BuildScripts]:
    """The ways to build that the package.json tells, likeliest first."""
    checkout = case.checkout
    if _CLEAN in checkout.manifest and "package.json" in checkout.changed:
        command = f"{_CLEAN} --without-publish --temp-dir {_CLEANED}"
        return [BuildScripts(_CLEAN, (ScriptStep(_CLEAN, command, checkout.directory),))]
    above = scripts_of(checkout.above) if checkout.above is not None else None
    brings = any(each.startswith("node_modules/") for each in checkout.lacks)
    try:
        found = ways_to_build(scripts_of(checkout.manifest), checkout.directory, above)
        before = _built_before(case) if found and checkout.directory else ()
    except UnreadableScript as reason:
        raise unsupported(f"package.json is not followed: {reason}.") from None
    if before:
        first = found[0]
        behind = replace(first, name=f"{first.name}-behind-neighbours", steps=(*before, *first.steps))
        found = [behind, *(replace(each, after_failure=True) for each in found)]
    if found and (allowed := allowed_scripts([checkout.manifest, checkout.above])):
        found.insert(1, _with_install_scripts(case, found[0], allowed))
    return found or ([BuildScripts("bundle", ())] if brings else [])


def _with_install_scripts(case: Case, build: BuildScripts, allowed: Sequence[str]) -> BuildScripts:
    """The same, behind the scripts of installation that the source allows by the names of the packages."""
    checkout = case.checkout
    choice = choose_manager([checkout.manifest, checkout.above], checkout.locks, checkout.directory)
    command = f"{'pnpm' if choice.tool == 'pnpm' else 'npm'} rebuild {' '.join(allowed)}"
    step = ScriptStep("allowed install scripts", command, choice.lock.directory if choice.lock else checkout.directory)
    return replace(build, name=f"{build.name}-installed", steps=(step, *build.steps), after_failure=True)


def _built_before(case: Case) -> tuple[ScriptStep, ...]:
    """See :func:`rebuilder.ecosystems.npm.scripts.built_before`."""
    checkout = case.checkout
    paths = [f"{each}/{MANIFEST}" for each in checkout.packages]
    packages = manifests(case.context, checkout.files, paths)
    return built_before(packages | {checkout.directory: dict(checkout.manifest)}, checkout.directory)


def _nodes(case: Case) -> list[NodeChoice]:
    entry = case.context.entry(case.evidence)
    recorded = entry.get("_nodeVersion")
    versions = case.tools(NODE)
    if not versions:
        raise no_tool(f"no package {NODE}, so no Node to build with")
    found = choose(
        versions,
        case.checkout.manifest,
        case.checkout.texts,
        case.checkout.committed,
        recorded if isinstance(recorded, str) else None,
    )
    if not found:
        raise no_tool(f"no version of {NODE} that the package allows to be built with")
    return found


def _built(case: Case, build: BuildScripts, at: int = 0) -> Way:
    """One way to build, with the tools and the dependencies that it needs, with one of the Nodes that may be meant."""
    checkout = case.checkout
    node = case.once("nodes", partial(_nodes, case))[at]
    choice = choose_manager([checkout.manifest, checkout.above], checkout.locks, checkout.directory)
    packages = {Manager(choice.tool, each).package for each in ("1.0.0", "2.0.0")}
    versions = [each for package in sorted(packages) for each in case.tools(package)]
    version = fitting_version(choice, node.version, versions)
    if version is None:
        wanted = f"{choice.tool} {choice.version}" if choice.version else choice.tool
        raise no_tool(f"no {wanted}, which the source asks for")
    manager = Manager(choice.tool, version)
    tools = [manager]
    if manager.name != "npm":
        npm = newest(case.tools("npm"), npm_series(node.version))
        tools += [Manager("npm", npm)] if npm is not None else []
    lock, own, chosen, lacks = choice.lock, True, tuple[str, ...](), None
    scopes = scope_registries(checkout.texts.get(".npmrc", ""))
    if _needed(checkout) and lock is None:
        check_scopes(case.context.registry, _needed(checkout), scopes)
        manager = _resolver(case.tools("npm"), node.version)
        tools = [manager, *tools]
        resolved = _resolved(case, node, manager)
        lock, own, chosen = resolved.lock, False, (resolved.sentence, *resolved.notes)
        lacks = _UNKNOWN_VERSIONS if resolved.guessed else None
    found = Dependencies((), (), "It has no dependencies.")
    if _needed(checkout) and lock is not None:
        found = dependencies(
            case.context,
            lock,
            manager=manager,
            program=case.context.programs.program_input("npm"),
            source=in_source(""),
            own=own,
            scopes=scopes,
        )
        _refuse_itself(case, lock.path, found)
    made = Construction(
        node=node.version,
        tools=tuple(tools),
        inputs=found.inputs,
        install=found.commands,
        steps=build.steps,
        packed=_CLEANED if build.name == _CLEAN else "",
    )
    left = f" Not run: {', '.join(dict.fromkeys(build.left_out))}." if build.left_out else ""
    run = "; ".join(_label(each, checkout.directory) for each in build.steps) or "no script is run"
    why = (f"That was the moment because {case.not_after_sentence}.",) if chosen else ()
    about = " ".join((*chosen, *why, found.sentence, *found.notes))
    about = f"{about} With Node {node.version}, {node.sentence}, {run}.{left}"
    return Way(build.name, made, about, node.replayed, lacks)


def _refuse_itself(case: Case, lock: str, found: Dependencies) -> None:
    """A build that could read the published file would show nothing."""
    sha256 = case.evidence.artifact.sha256
    for each in found.inputs:
        if each.sha256 == sha256 or (each.version is not None and case.is_release(each.name, each.version)):
            sentence = f"{lock} installs the release itself, as {each.name} {each.version}: nothing is built from that."
            raise unsupported(sentence)


def _label(step: ScriptStep, directory: str) -> str:
    """One command for a sentence; with its directory where that is another than the package's, or the top."""
    elsewhere = f" (in {step.directory})" if step.directory not in {directory, ""} else ""
    return f"{step.script}{elsewhere}: {step.command}"


def _resolver(versions: Sequence[str], node: str) -> Manager:
    """The npm that chooses versions and installs them where there is no lock file: one that knows lock files."""
    oldest = 6 if precedence(node)[0] >= (6,) else 5
    version = newest(versions, max(npm_series(node), oldest))
    if version is None:
        raise no_tool(f"no npm for Node {node}")
    return Manager("npm", version)


def _resolved(case: Case, node: NodeChoice, npm: Manager) -> Resolved:
    """The lock file that npm would have written at the time of the release."""
    checkout = case.checkout
    workspaces = checkout.above is not None and "workspaces" in checkout.above
    return resolve(
        case.context,
        opening(_npm_build(case, Construction(node.version, (npm,)), npm, node.version)),
        [checkout.manifest, *([checkout.above] if workspaces and checkout.above is not None else [])],
        "" if workspaces else checkout.directory,
        manager=npm,
        program=case.context.programs.program_input("npm"),
        source=in_source(""),
        not_after=case.not_after,
        release=(case.evidence.artifact.name, case.evidence.artifact.version),
    )


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
    """What the tarball says of its packer, then what Node had at the time: no tarball keeps itself from a rebuild."""
    found: tuple[Packer, ...] = ()
    sentence = "What packed it cannot be had, so another packs it."
    try:
        found = find_packers(case.context, case.evidence, case.not_after)
    except NotRebuildable as unknown:
        sentence = unknown.obstacle.sentence
    named = _named_packer(case, found) if found else []
    node = usual_at(case.tools(NODE), case.not_after)
    npm = newest(case.tools("npm"), npm_series(node)) if node is not None else None
    usual = [Packer(tool="npm", version=npm, node=node, sentence=sentence, replayed=())] if node and npm else []
    return [*[*named, *found][:_MOST_PACKERS], *usual]


def _first_to_be_had(case: Case, packers: Sequence[Packer]) -> Packer:
    """The likeliest packer whose tarballs the registry has.

    Raises:
        NotRebuildable: it has none of them.
    """
    found = next((each for each in packers if _is_to_be_had(case, each)), None)
    if found is None:
        wanted = [f"{each.tool} {each.version} on Node {each.node}" for each in packers]
        if not wanted:
            raise no_tool(f"no package {NODE} with a Node of the time, or no npm for one, to pack with")
        raise no_tool(f"not what may have packed it, or not the Node ({NODE}) for that: {', '.join(wanted)}")
    return found


def _is_to_be_had(case: Case, packer: Packer) -> bool:
    wanted = wanted_tools(Manager(packer.tool, packer.version), packer.node, None)
    try:
        for each in wanted:
            case.context.registry.tool(*each)
    except NotRebuildable:
        return False
    return not any(case.is_release(*each) for each in wanted)


def _named_packer(case: Case, found: Sequence[Packer]) -> list[Packer]:
    """The version of the likeliest packing tool that the source itself names, if it names one."""
    checkout, first = case.checkout, found[0]
    choice = choose_manager([checkout.manifest, checkout.above], checkout.locks, checkout.directory)
    if choice.tool != first.tool or choice.version in {None, first.version}:
        return []
    sentence = f"{first.sentence} The version is the one that package.json names."
    told = tuple(each for each in first.replayed if each.name != "packer")
    return [first.replace(version=choice.version, sentence=sentence, replayed=told)]


def _hypothesis(case: Case, way: Way, packer: Packer) -> Hypothesis:
    return case.once(("hypothesis", way, packer), partial(_made_hypothesis, case, way, packer))


def _npm_build(case: Case, made: Construction | None, packer: Manager, pack_node: str) -> NpmBuild:
    context, checkout = case.context, case.checkout
    environment = context.environments.get(ENVIRONMENT)
    return NpmBuild(
        artifact=case.evidence.artifact,
        checkout=checkout.tree,
        directory=checkout.directory,
        packer=packer,
        pack_node=pack_node,
        program=context.programs.program_input("npm"),
        tools=tuple(context.registry.tool(*each) for each in wanted_tools(packer, pack_node, made)),
        environment=environment.ref,
        limits=_limits(context.limits, made),
        sandbox=context.sandbox,
        version=checkout.version,
        construction=made,
    )


def _made_hypothesis(case: Case, way: Way, packer: Packer) -> Hypothesis:
    checkout, tool = case.checkout, Manager(packer.tool, packer.version)
    build = _npm_build(case, way.made, tool, packer.node)
    place = f" The package is in {checkout.directory}." if checkout.directory else ""
    if checkout.version is not None:
        place += (
            f" Its package.json has another version: {checkout.version} is written there, as tools do that publish "
            "what is tagged."
        )
    if checkout.windows:
        place += " It is checked out as on Windows: CRLF in text files, and no executable bits."
    return Hypothesis(
        name=way.name,
        sentence=f"{way.about}{place} It is packed by {tool.label} on Node {packer.node}. {packer.sentence}",
        definition=definition(build),
        replayed=(*((_WINDOWS,) if checkout.windows else ()), *way.replayed, *packer.replayed),
        lacks=way.lacks or checkout.missing,
    )


def _limits(limits: Limits, made: Construction | None) -> Limits:
    """Node takes 120 MB of disk, and packages of a build several hundred."""
    return limits if made is None else limits.replace(disk_bytes=max(limits.disk_bytes, 3 << 30))


def project_builds(context: PlanningContext, tree: ProjectTree) -> Project:
    """How the package of a work tree is built and packed today: its scripts, and npm of the Node that it is built with.

    Raises:
        NotRebuildable: nothing says how, or what it asks for cannot be had.
        UnavailableError, SandboxFaultError, …: see the ports.
    """
    checkout, now = own_checkout(context, tree), datetime.now(UTC)
    name, version = str(checkout.manifest["name"]), str(checkout.manifest["version"])
    purl, filename = release_purl(name, version), tarball_name(name, version)
    file = PublishedFile(filename=filename, url="file:", sha256=tree.archive_sha256)
    artifact = Artifact(ecosystem=ECOSYSTEM, purl=purl, name=name, version=version, file=file)
    evidence = Evidence(artifact=artifact, index_sha256=context.blobs.put(canonical_json({"name": name})))
    case = Case(context, evidence, checkout, now, "nothing is released yet")
    builds = _scripts(case)
    way = _built(case, builds[0]) if builds else _AS_IT_IS
    node = _nodes(case)[0].version
    npm = newest(case.tools("npm"), npm_series(node))
    if npm is None:
        raise no_tool(f"no npm for Node {node}")
    build = _npm_build(case, way.made, Manager("npm", npm), node)
    sentence = f"{way.about} It is packed by npm {npm} on Node {node}."
    packed = Hypothesis(name=way.name, sentence=sentence, definition=definition(build), filename=filename)
    return Project(name=name, purl=purl, hypotheses=(packed,), notes=(sentence,))
