"""The builds of one preflight: here, on another machine, and with one thing changed at a time.

1. *Here*: the definition as an ecosystem gives it, with the time of the commit as ``SOURCE_DATE_EPOCH``.
2. *Elsewhere*: every factor changed at once, in a kernel whose clock stands more than a year later. What comes out the
   same there comes out the same for a stranger, and nothing more is built for it.
3. *One at a time* (:class:`rebuilder.verification.variation.VariationRunner`), where it does not.
4. *Untold*: without ``SOURCE_DATE_EPOCH``, as a release is made that does not set it.
5. *Directly*: from the tree, where releases go through a source archive.

A finding comes with the lines that it comes from, and with a patch where a rule knows one.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from rebuilder.diagnose.case import EcosystemRules
from rebuilder.ecosystems.conventions import Conventions
from rebuilder.errors import NoGuestError, SandboxFaultError
from rebuilder.model.attempt import Attempt, Hypothesis, Outcome, Output, Run
from rebuilder.model.comparison import Comparison, Factor, Level, Variation
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.project import Project, ProjectFinding, ProjectTree
from rebuilder.model.report import Stage
from rebuilder.verification.attempts import product, wait_until_apart
from rebuilder.verification.parts import Parts
from rebuilder.verification.variation import VariationRunner, elsewhere

_SIGNALS = 128
"""Exit codes above are of what was killed."""
_AT_ONCE = 2
"""Builds; each has its own limits, and one is in a kernel with one CPU."""
EPOCH = "SOURCE_DATE_EPOCH"


@dataclass
class FileBuilds:
    """What the builds gave of one file of the release."""

    hypothesis: Hypothesis
    run: Run
    here: Output
    other: Output | None = None
    """Elsewhere; None where nothing came out."""
    difference: Comparison | None = None
    """How the one here differs from that; None when it does not."""
    variation: Variation | None = None
    restless: tuple[tuple[str, str, str], ...] = ()
    """What varied with nothing changed, and no factor settled: member, line, what stands there otherwise."""
    untold: Comparison | None = None
    """How two builds of the file differ that are told no time; None when they do not."""


@dataclass
class ProjectBuilds:
    """What all builds gave."""

    first: Attempt
    """The build here, as an attempt on the last file."""
    files: list[FileBuilds] = field(default_factory=list)
    there: BuildDefinition | None = None
    """What was built elsewhere."""
    directly: Comparison | None = None
    """How the last file differs when it is made of the tree; None when it does not, or is made so anyway."""
    directly_works: bool = False
    """Of a build here that gave nothing: whether the last file comes out when it is made of the tree."""
    elsewhere_failed: Run | None = None
    clock: str | None = None
    """Why no other time could be shown to a build; None when it was."""
    count: int = 0
    cpu_seconds: float = 0.0


class _SharedRuns:
    """Runs of definitions that give several files: the table of each file is made of the same runs."""

    def __init__(self, run: Callable[[BuildDefinition], Run], threads: ThreadPoolExecutor) -> None:
        self._run = run
        self._threads = threads
        self._made: dict[str, list[Future[Run]]] = {}

    @property
    def count(self) -> int:
        """How many were made."""
        return sum(map(len, self._made.values()))

    @property
    def cpu_seconds(self) -> float:
        """What they used, all processes together."""
        return sum(each.result().cpu_seconds for made in self._made.values() for each in made if not each.exception())

    def begin(self, definition: BuildDefinition) -> None:
        """Begin the first run of a definition, which is going to be asked for."""
        if definition.digest not in self._made:
            self._made[definition.digest] = [self._threads.submit(self._run, definition)]

    def for_one_file(self) -> Callable[[BuildDefinition], Run]:
        """A runner that gives the first, second, … run of a definition when it is asked so often."""
        asked: dict[str, int] = {}

        def run(definition: BuildDefinition) -> Run:
            made, number = self._made.setdefault(definition.digest, []), asked.get(definition.digest, 0)
            asked[definition.digest] = number + 1
            if number == len(made):
                made.append(self._threads.submit(self._run, definition))
            return made[number].result()

        return run


def build_project(parts: Parts, project: Project, rules: EcosystemRules, *, told: bool) -> ProjectBuilds:
    """Make the builds. ``told``: Whether releases are known to be made with :data:`EPOCH`.

    Raises:
        BuildEnvironmentError, StoreError, SandboxUnavailableError, SandboxFaultError: see
            :class:`rebuilder.sandbox.protocol.Runner`.
    """
    project = _on_several_cpus(project)
    definition = project.hypotheses[-1].definition
    untold = None if told else _without_time(definition)
    show = parts.stopwatch.stage
    show(Stage.BUILD, "here")
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        runs = _SharedRuns(parts.run, threads)
        here = runs.for_one_file()(definition)
        found = ProjectBuilds(Attempt(hypothesis=project.hypotheses[-1], run=here))
        outputs = [(each, product(here, each)) for each in project.hypotheses]
        found.files = [FileBuilds(each, here, output) for each, output in outputs if output is not None]
        if len(found.files) < len(project.hypotheses):
            found.directly_works = project.directly is not None and _works(runs, project.directly)
            found.count, found.cpu_seconds = runs.count, runs.cpu_seconds
            return found
        now = parts.clock.now()
        there = elsewhere(definition, now)
        for early in (there, untold, project.directly.definition if project.directly is not None else None):
            if early is not None:
                runs.begin(early)
        found.there = _elsewhere(parts, runs, definition, there, found)
        _untold(parts, runs, untold, found)
        _directly(parts, runs, project, found)
        for each in found.files:
            if each.difference is not None and each.difference.level is Level.DIFFERENT:
                show(Stage.BUILD, f"{each.here.filename}, with one thing changed at a time")
                runner = VariationRunner(runs.for_one_file(), parts.comparer, now, is_inventory=rules.is_inventory)
                each.variation = runner.vary(each.hypothesis, there=found.there)
                each.restless = tuple(sorted(runner.restless))
        found.count, found.cpu_seconds = runs.count, runs.cpu_seconds
    return found


def _without_time(definition: BuildDefinition) -> BuildDefinition | None:
    """The same without being told a time; None where it is not."""
    if EPOCH not in definition.environment:
        return None
    rest = {name: value for name, value in definition.environment.items() if name != EPOCH}
    return definition.replace(environment=rest)


def _on_several_cpus(project: Project) -> Project:
    """The same on as many CPUs as a table compares with one, where this machine has so many."""
    cpus = min(2, len(os.sched_getaffinity(0)))

    def on(hypothesis: Hypothesis) -> Hypothesis:
        return hypothesis.replace(definition=hypothesis.definition.replace(cpu_count=cpus))

    return project.replace(
        hypotheses=tuple(map(on, project.hypotheses)), directly=on(project.directly) if project.directly else None
    )


def _works(runs: _SharedRuns, hypothesis: Hypothesis) -> bool:
    return product(runs.for_one_file()(hypothesis.definition), hypothesis) is not None


def _elsewhere(
    parts: Parts, runs: _SharedRuns, definition: BuildDefinition, there: BuildDefinition, found: ProjectBuilds
) -> BuildDefinition:
    """Make the build elsewhere; gives the definition that it was made of."""
    parts.stopwatch.stage(Stage.BUILD, "on another machine, at another time")
    made = None
    try:
        made = runs.for_one_file()(there)
        if made.outcome is Outcome.TIMED_OUT or (made.exit_code or 0) > _SIGNALS:
            found.clock = "in a kernel of its own the build reached a limit"
    except (NoGuestError, SandboxFaultError) as error:
        found.clock = error.reason if isinstance(error, NoGuestError) else str(error).rstrip(".")
    if made is None or found.clock is not None:
        there = elsewhere(definition, parts.clock.now(), [each for each in Factor if each is not Factor.TIME])
        made = runs.for_one_file()(there)
    found.elsewhere_failed = made
    for each in found.files:
        each.other = product(made, each.hypothesis)
        if each.other is not None:
            found.elsewhere_failed = None
            each.difference = parts.comparer.difference(each.other, each.here)
    return there


def _untold(parts: Parts, runs: _SharedRuns, untold: BuildDefinition | None, found: ProjectBuilds) -> None:
    if untold is None:
        return
    parts.stopwatch.stage(Stage.BUILD, f"without {EPOCH}")
    run = runs.for_one_file()
    first = run(untold)
    wait_until_apart(first)
    second = run(untold)
    for each in found.files:
        sides = [product(made, each.hypothesis) for made in (first, second)]
        if sides[0] is not None and sides[1] is not None:
            each.untold = parts.comparer.difference(sides[0], sides[1])


def _directly(parts: Parts, runs: _SharedRuns, project: Project, found: ProjectBuilds) -> None:
    if project.directly is None:
        return
    parts.stopwatch.stage(Stage.BUILD, "from the tree, without the source archive")
    made = runs.for_one_file()(project.directly.definition)
    output = product(made, project.directly)
    if output is not None:
        found.directly = parts.comparer.difference(output, found.files[-1].here)


def worst(levels: Sequence[Level]) -> Level:
    """The one of several that is farthest from the same bytes."""
    return max(levels, key=list(Level).index, default=Level.IDENTICAL)


def located(facts: Conventions, tree: ProjectTree, finding: ProjectFinding, texts: Mapping[str, str]) -> ProjectFinding:
    """The same with places and a patch."""
    found = facts.places(finding.cause, texts)
    words = " ".join(each.note or "" for each in finding.evidence)
    members = tuple({each.member for each in finding.evidence if each.member is not None})
    lacking = [
        each for each in tree.files if f"'{each}'" in words or f"/{each}".endswith(tuple(f"/{one}" for one in members))
    ]
    return finding.replace(places=found, patch=_patch(facts.mended(finding.cause, found, texts, lacking), texts))


def _patch(mended: Mapping[str, str], texts: Mapping[str, str]) -> str | None:
    """A unified diff that ``git apply`` and ``patch -p1`` take; None without a change."""
    lines: list[str] = []
    for name, text in mended.items():
        before = texts.get(name, "")
        if not (before or text).endswith("\n"):
            return None  # what has no line end there, diffs mark in a way of their own
        old = f"a/{name}" if name in texts else "/dev/null"
        lines += difflib.unified_diff(before.splitlines(), text.splitlines(), old, f"b/{name}", lineterm="")
    return "\n".join(lines) + "\n" if lines else None
