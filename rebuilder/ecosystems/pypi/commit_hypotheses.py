"""From a commit to build definitions of the source archive or of the wheel, likeliest first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from rebuilder.ecosystems.obstacles import NotRebuildable, source_lacks, unsupported
from rebuilder.ecosystems.pypi.build_environment import resolve_requirements
from rebuilder.ecosystems.pypi.build_inputs import BuildInputs, Product, chosen_tools
from rebuilder.ecosystems.pypi.candidates import (
    Marks,
    by_the_clock,
    candidates,
    epoch_candidate,
    shown_time,
    untried,
    with_what,
)
from rebuilder.ecosystems.pypi.context import PlanningContext
from rebuilder.ecosystems.pypi.evidence import CommitListing, build_scripts, held_compiled_code, list_commit
from rebuilder.ecosystems.pypi.extension_switches import Switch
from rebuilder.ecosystems.pypi.hypotheses import (
    starting_inputs,
    upload_time,
    ways_to_leave_out,
    wheel_marks,
    with_tools,
)
from rebuilder.ecosystems.pypi.interpreter_choice import PYTHON_2, Interpreter, choose, named_python
from rebuilder.ecosystems.pypi.origin import find_tag
from rebuilder.ecosystems.pypi.requirements import BuildSystem, Requirements, pin_generator, read_build_system
from rebuilder.ecosystems.pypi.sdist_configuration import GZIP_HEADER, read_sdist_traces
from rebuilder.ecosystems.pypi.search import Candidate, Reached, hypothesis, try_candidates
from rebuilder.ecosystems.pypi.second_look import Published, second_look
from rebuilder.ecosystems.pypi.tools_used import Tools, tools_used
from rebuilder.ecosystems.pypi.wheel_traces import Generator as PackedBy
from rebuilder.ecosystems.pypi.wheel_traces import WheelTraces, read_traces
from rebuilder.ecosystems.source_trees import CheckedOut, archive_input
from rebuilder.model.artifact import Artifact, PublishedFile
from rebuilder.model.attempt import History
from rebuilder.model.evidence import Evidence, Inspection, Obstacle, Source, SourceKind
from rebuilder.model.git import SourceTree
from rebuilder.model.graph import Origin, SourceCommit, Step

_MOST_GUESSES = 3
_LISTS_CHANGES = re.compile(r"\bpbr\b")
"""It writes AUTHORS and ChangeLog from all commits."""
_ASKS_GIT = re.compile(r"\b(?:pbr|versioneer|versioningit|dunamai|git)\b|scm|vcs|dynamic[-_]versioning", re.IGNORECASE)
"""Plugins that count commits from a tag where the commit has none, and build scripts that do so themselves."""
_THROUGH_SDIST = "The wheel is built from a source archive that is made of the commit, as frontends do."


@dataclass(frozen=True)
class CommitTarget:
    """One published file that a build from the commit is to give."""

    product: Product
    file: PublishedFile
    listing: Inspection

    @property
    def what(self) -> str:
        """For sentences."""
        return "wheel" if self.product is Product.WHEEL else "source archive"


@dataclass(frozen=True)
class CommitEvidence:
    """What both steps share."""

    evidence: Evidence
    tree: SourceTree
    commit: CommitListing
    checkout: CheckedOut
    system: BuildSystem
    requirements: Requirements
    generator: PackedBy | None
    tools: Tools | None
    """Those of the wheel, where it can be read."""

    @property
    def artifact(self) -> Artifact:
        """What is to be rebuilt."""
        return self.evidence.artifact


def infer_from_commit(
    context: PlanningContext, evidence: Evidence, step: Step, commit: SourceCommit, history: History
) -> Obstacle | None:
    """Plan a step from a commit; see :mod:`rebuilder.model.attempt`.

    Evidence with an obstacle may still have steps: a wheel without a source archive, a source archive alone.

    Raises:
        NotRebuildable: what keeps it from having (more) hypotheses.
    """
    targets = targets_of(evidence)
    if not targets:
        return evidence.obstacle
    wanted = next((each for each in targets if f"sha256:{each.file.sha256}" == step.end), None)
    if wanted is None:
        return None
    case = context.notebook.once(
        evidence,
        ("commit", commit.tree.commit.sha),
        lambda: _case(context, evidence, commit.origin, commit.tree, targets),
    )
    _try_step(context, case, wanted, history)
    return None


def wants_history(context: PlanningContext, evidence: Evidence, commit: SourceCommit) -> bool:
    """Whether the build takes something from git that is not at the commit: tags before it, or a list of changes."""
    targets = targets_of(evidence)
    sdist = next((each.listing for each in targets if each.product is Product.SDIST), None)
    try:
        listed = list_commit(context, commit.tree, sdist, evidence.artifact.name)
    except NotRebuildable:
        return False
    texts = list(filter(None, map(listed.text, ("pyproject.toml", "setup.py", "setup.cfg"))))
    here = {each.name: commit.tree.commit.sha for each in commit.tree.commit.tags}
    tagged = find_tag(here, evidence.artifact.name, evidence.artifact.version).commit is not None
    return any(map(_LISTS_CHANGES.search, texts)) if tagged else asks_git(texts)


def asks_git(texts: Iterable[str]) -> bool:
    """Whether files that say how a project is built let its build ask git, such as for a version."""
    return any(map(_ASKS_GIT.search, texts))


def targets_of(evidence: Evidence) -> list[CommitTarget]:
    """The published source archive, then the wheel unless it holds compiled code; as far as they were listed."""
    file, listing = evidence.artifact.file, evidence.artifact_inspection
    targets = []
    if evidence.source_file is not None and evidence.source_inspection is not None:
        targets.append(CommitTarget(Product.SDIST, evidence.source_file, evidence.source_inspection))
    if listing is not None and held_compiled_code(evidence) is None:
        product = Product.WHEEL if file.filename.endswith(".whl") else Product.SDIST
        targets.append(CommitTarget(product, file, listing))
    return targets


def _case(
    context: PlanningContext, evidence: Evidence, origin: Origin, tree: SourceTree, targets: list[CommitTarget]
) -> CommitEvidence:
    sdist = next((each.listing for each in targets if each.product is Product.SDIST), None)
    commit = list_commit(context, tree, sdist, evidence.artifact.name)
    system = read_build_system(commit.text("pyproject.toml"))
    tools = _tools(commit, evidence.artifact, system, targets)
    generator = _generator(targets)
    return CommitEvidence(
        evidence=evidence,
        tree=tree,
        commit=commit,
        checkout=CheckedOut.of(tree, tag=origin.tag, top=commit.top, shallow=True),
        system=system if tools is None else tools.system,
        requirements=pin_generator(system, generator, evidence.artifact.name) if tools is None else tools.requirements,
        generator=generator,
        tools=tools,
    )


def _tools(commit: CommitListing, artifact: Artifact, system: BuildSystem, targets: list[CommitTarget]) -> Tools | None:
    """What the published wheel says about its tools."""
    for target in targets:
        if target.product is Product.WHEEL and target.listing.readable:
            try:
                return tools_used(
                    target.listing,
                    read_traces(target.listing),
                    artifact,
                    system,
                    uploaded=upload_time(target.file, target.what),
                    setup_py=commit.text("setup.py"),
                    setup_cfg=commit.text("setup.cfg"),
                )
            except NotRebuildable:
                return None
    return None


def _generator(targets: list[CommitTarget]) -> PackedBy | None:
    """What packed the wheel made the source archive, too: a release is built in one go."""
    for target in targets:
        if target.product is Product.WHEEL:
            try:
                return read_traces(target.listing).generator
            except NotRebuildable:
                return None
    return None


def _try_step(context: PlanningContext, case: CommitEvidence, target: CommitTarget, history: History) -> None:
    if not target.listing.readable:
        raise unsupported(f"{target.file.filename} cannot be read to its end.")
    if target.product is Product.SDIST and not target.file.filename.endswith(".tar.gz"):
        raise unsupported(f"{target.file.filename} is not a .tar.gz archive, which is all that backends make.")
    found = (
        _wheel_candidates(case, target) if target.product is Product.WHEEL else _sdist_candidates(context, case, target)
    )
    prefix = "wheel-from-commit" if target.product is Product.WHEEL else "sdist-from-commit"
    found = [replace(each, name=f"{prefix}-{each.name}") for each in found[:_MOST_GUESSES]]
    filename, published = target.file.filename, None
    if target.product is Product.WHEEL and case.tools is not None:
        published = Published(case.evidence, target.listing, read_traces(target.listing), case.tools)
    try_candidates(
        history,
        found,
        interpreters=choose(
            case.artifact.file.requires_python,
            upload_time(target.file, target.what),
            named=named_python(target.listing),
            tools=case.tools.versions if case.tools else None,
            interpreters=[each for each in context.interpreters if each.python != PYTHON_2],
        ),
        resolve=lambda interpreter: context.notebook.once(
            case.evidence,
            ("commit", case.tree.commit.sha, filename, interpreter),
            lambda: _with_requirements(context, case, target, interpreter),
        ),
        # The clock of a wheel is tried, too; that of a source archive is not in its members alone.
        refine=partial(_refine, context, published, found[0].name, history) if published is not None else None,
        without_extensions=partial(_without_extensions, context, case, target) if published is not None else None,
    )


def _without_extensions(
    context: PlanningContext, case: CommitEvidence, target: CommitTarget, interpreter: Interpreter
) -> Iterator[tuple[BuildInputs, str]]:
    archive, key = archive_input(case.tree), ("commit", case.tree.commit.sha, target.file.filename, interpreter)
    return ways_to_leave_out(
        context,
        case.evidence,
        key,
        lambda: build_scripts(context, archive, case.checkout.top, case.system.backend_path),
        lambda switches: _with_requirements(context, case, target, interpreter, switches),
    )


def _refine(context: PlanningContext, published: Published, first: str, history: History, reached: Reached) -> bool:
    """Go on from an attempt; ``first`` is the name of the likeliest candidate, the only one tried in another way."""
    if second_look(context, published, history, reached):
        return True
    if reached.candidate.name == first and _through_sdist(context, published, history, reached):
        return True
    by_the_clock(context, published.evidence, published.traces.times, history, reached)
    return False


def _through_sdist(context: PlanningContext, published: Published, history: History, reached: Reached) -> bool:
    """Try what frontends do unless told otherwise: make a source archive, build the wheel from that."""
    attempt = reached.attempt
    if attempt.confirms or attempt.rebuilt is None or reached.build_inputs.setup_options is not None:
        return False
    build_inputs = replace(reached.build_inputs, through_sdist=_sdist_name(published.evidence))
    candidate = replace(
        reached.candidate,
        name=f"{reached.candidate.name}-through-sdist",
        sentence=f"{_THROUGH_SDIST} {reached.candidate.sentence}",
    )
    again = history.of(hypothesis(candidate, build_inputs, reached.about))
    return again.confirms or second_look(
        context, published, history, Reached(again, candidate, build_inputs, reached.about)
    )


def _sdist_name(evidence: Evidence) -> str:
    """Name of the release's source archive without its suffix: the published one's, else as PEP 625 has it."""
    source = evidence.source_file
    if source is not None and source.filename.endswith(".tar.gz"):
        return source.filename.removesuffix(".tar.gz")
    return "-".join(evidence.artifact.filename.split("-")[:2])


def _wheel_candidates(case: CommitEvidence, target: CommitTarget) -> list[Candidate]:
    traces: WheelTraces = read_traces(target.listing)
    marks = wheel_marks(traces)
    return untried([*candidates(marks, "commit"), _commit_time(case, marks)])


def _sdist_candidates(context: PlanningContext, case: CommitEvidence, target: CommitTarget) -> list[Candidate]:
    with context.blobs.path(target.file.sha256).open("rb") as file:
        traces = read_sdist_traces(target.listing, file.read(GZIP_HEADER))
    marks = Marks(target.what, traces.times, traces.uniform_time, traces.source_umask, traces.generated_umask)
    first, *others = candidates(marks, "commit")
    if traces.gzip_time is not None and traces.uniform_time is None:
        sentence = (
            f"The header of the published {target.what} carries the time {shown_time(traces.gzip_time)}, which "
            "may be SOURCE_DATE_EPOCH."
        )
        others = [epoch_candidate(marks, "header-time", traces.gzip_time, sentence)]
    return untried([first, *others, _commit_time(case, marks)])


def _commit_time(case: CommitEvidence, marks: Marks) -> Candidate:
    seconds = int(case.tree.commit.committed_at.timestamp())
    sentence = (
        f"Should the build have had the commit's own time as SOURCE_DATE_EPOCH, as release scripts often set it: "
        f"{shown_time(seconds)}."
    )
    return epoch_candidate(marks, "commit-time", seconds, sentence, recorded=False)


def _with_requirements(
    context: PlanningContext,
    case: CommitEvidence,
    target: CommitTarget,
    interpreter: Interpreter,
    switches: tuple[Switch, ...] = (),
) -> tuple[BuildInputs, str]:
    commit, uploaded, tools = case.tree.commit, upload_time(target.file, target.what), case.tools
    source = Source(kind=SourceKind.GIT, uri=commit.repository, digest={"gitCommit": commit.sha})
    artifact = case.artifact.replace(file=target.file)
    environment = f"{interpreter.environment}-git"
    build_inputs = replace(
        starting_inputs(context, artifact, source, case.checkout, environment=environment),
        system=case.system,
        product=target.product,
        as_python=interpreter.python if interpreter.runs_on else None,
        chosen=chosen_tools(interpreter.python, tools.held if tools else _held(case)),
        lacks=source_lacks(case.tree, target.listing, target.what, below="src"),
    )
    said: list[str] = []
    if tools is not None and target.product is Product.WHEEL:
        build_inputs, said = with_tools(build_inputs, tools, target.listing, interpreter, switches)
    not_after = uploaded if tools is None else max(uploaded, tools.not_after)
    build_inputs, notes = resolve_requirements(
        context, build_inputs, case.requirements, python=interpreter.python, not_after=not_after
    )
    about = with_what(case.system, case.generator, interpreter.python, uploaded)
    return build_inputs, " ".join((_checked_out(case.checkout), about, *said, *notes))


def _held(case: CommitEvidence) -> tuple[str, ...]:
    return (f"{case.generator.name} {case.generator.version}",) if case.generator is not None else ()


def _checked_out(checkout: CheckedOut) -> str:
    tags = ", ".join(name for name, _ in checkout.tags)
    tagged = f"with the tag {tags}" if len(checkout.tags) == 1 else f"with the tags {tags}" if tags else "without a tag"
    place = f" The project is in its directory {checkout.top}." if checkout.top else ""
    history = (
        "with the history before it"
        if checkout.history
        else "as a runner's shallow clone has it: the history before it is not there"
    )
    return f"The commit {checkout.sha} is checked out {tagged}, {history}.{place}"
