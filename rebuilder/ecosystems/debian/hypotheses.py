"""From a signed source package to build definitions of its packages, likeliest first.

0. Where a ``.buildinfo`` was given, as that says, as far as it can be had and is little.
1. The source is built in the release of Debian that has the package, with the newest build dependencies there.
2. Where something else comes out, the two packages are held against each other
   (:mod:`rebuilder.ecosystems.debian.traces`): a build path, versions of tools. What they name is looked for in the
   lists of that release and of others, in lists from before, and in the pool, and the build is made again with it.
3. Then, or where nothing comes out, with what the release had when the package was built; then in another release
   that has the very same file, without updates, with changelogs left whole, with its tests run.
4. Where a version is named that nobody has any more, or the compiler here is newer than the package, it is not the
   package that is to blame: its inputs are missing.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Literal, TypeVar

from rebuilder.ecosystems.debian.archive import SignedRelease
from rebuilder.ecosystems.debian.binary_only import BinaryOnlyEntry
from rebuilder.ecosystems.debian.build import PLACE, DebianBuild, definition, unpacked
from rebuilder.ecosystems.debian.build_dependencies import Resolution, resolve
from rebuilder.ecosystems.debian.build_inputs import SourceFiles, environment, source_files
from rebuilder.ecosystems.debian.candidates import Candidate
from rebuilder.ecosystems.debian.changelogs import before_updates, last_point_release, newest_tool, updates_with
from rebuilder.ecosystems.debian.documents import given_build_info
from rebuilder.ecosystems.debian.index import SourceName, SourcePackage
from rebuilder.ecosystems.debian.pinned_packages import Pin
from rebuilder.ecosystems.debian.planning import Planner, base_name, made_with, traces_of
from rebuilder.ecosystems.debian.subject import file_name
from rebuilder.ecosystems.debian.traces import OtherVersion, Traces, other_versions
from rebuilder.ecosystems.obstacles import NotRebuildable, inputs_missing, unsupported
from rebuilder.environments.protocol import BuildEnvironment
from rebuilder.model.attempt import Attempt, History, Hypothesis
from rebuilder.model.comparison import Level
from rebuilder.model.definition import Input
from rebuilder.model.diagnosis import Cause
from rebuilder.model.evidence import Evidence, Obstacle
from rebuilder.model.replayed import MOST_BITS, Replayed, bits_before, told_before
from rebuilder.model.verdict import Verdict

_Made = TypeVar("_Made")
_MOST = 8
"""Builds of one package with one thing changed after the other."""
_WHOLE_CHANGELOGS = "notrimdch"
_CHANGELOG = re.compile(r"data\.tar/usr/share/doc/[^/]+/changelog(?:\.[A-Za-z0-9.-]+)?(?:\.gz)?")
_LATER = timedelta(days=2)
_RANDOM_BITS = 36
"""Of six letters and digits."""
_VERSION_BITS, _SUITE_BITS, _OPTION_BITS = 10, 2, 4
_DATE_BITS = 12
"""Each of some thousand updates of a release makes one state more of what can be installed."""
_NAME_BITS = 17
"""Which package of the archive, where the build would not have it by itself."""


@dataclass(frozen=True)
class Way:
    """How a source is built."""

    suite: str
    pins: tuple[Pin, ...] = ()
    updates: bool = True
    """Whether updates of the release, and its security updates, are taken."""
    then: tuple[Pin, ...] = ()
    """What the release has updated since the package was built, as it was then."""
    dated: bool = False
    """Whether the published file alone says when that was."""
    options: tuple[str, ...] = ()
    tests: bool = False
    """Whether the source's tests are run; what they write can be in a package."""
    directory: str | None = None
    lacks: Obstacle | None = None


@dataclass(frozen=True)
class Repair:
    """Another way, and what speaks for it."""

    way: Way
    sentence: str


@dataclass(frozen=True)
class Case:
    """One package and its source, as far as they were read."""

    planner: Planner
    evidence: Evidence
    candidate: Candidate
    source: SourcePackage
    targets: tuple[str, ...]
    files: SourceFiles
    entry: BinaryOnlyEntry | None

    def once(self, key: Hashable, make: Callable[[], _Made]) -> _Made:
        """See :meth:`rebuilder.ecosystems.notebook.Notebook.once`."""
        return self.planner.notebook.once(self.evidence, key, make)

    def releases(self, way: Way) -> list[SignedRelease]:
        """The states of the archive that build dependencies are chosen from."""
        found = self.planner.context.archive.releases(way.suite)
        return [each for each in found if way.updates or not each.archive.pocket]

    def room(self, way: Way) -> tuple[BuildEnvironment, Resolution]:
        """The environment of a way.

        Raises:
            NotRebuildable: there is none, or a build dependency is not to be had.
        """
        return self.once(("room", way.suite, way.pins, way.updates, way.then), partial(self._room, way))

    def _room(self, way: Way) -> tuple[BuildEnvironment, Resolution]:
        context = self.planner.context
        base = context.environments.get(base_name(way.suite))
        resolution = resolve(
            context,
            self.source,
            base,
            self.releases(way),
            architecture=self.planner.architecture,
            part=self.part,
            pins=way.pins + tuple(each for each in way.then if each.name not in {pin.name for pin in way.pins}),
        )
        return environment(context, base, resolution), resolution

    @property
    def part(self) -> Literal["all", "any"]:
        """``all``: packages for any machine are built; ``any``: those for one architecture."""
        return "all" if self.candidate.package.architecture == "all" else "any"


def case_of(planner: Planner, evidence: Evidence) -> Case:
    """Find again what evidence was made of, and all that its source gives with it.

    Raises:
        NotRebuildable: the lists or files of then are not to be had, or it is for another architecture.
        UnavailableError: a mirror does not answer.
    """
    candidate = planner.candidates.again(evidence.artifact, evidence.index_sha256)
    source = planner.candidates.source(candidate) if candidate is not None else None
    if candidate is None or source is None:
        sentence = "The signed lists that it was found in are not to be had any more."
        raise inputs_missing(sentence, Cause.SOURCE_UNAVAILABLE)
    package = candidate.package
    if package.architecture not in {"all", planner.architecture}:
        raise unsupported(f"Packages for {package.architecture} are not built on a machine of {planner.architecture}.")
    if candidate.suite not in planner.context.releases:
        known = ", ".join(planner.context.releases)
        raise unsupported(f"There is no build environment of {candidate.suite}; there is one of {known}.")
    siblings = planner.candidates.siblings(candidate, source)
    version = f"{source.version}{package.rebuild or ''}"
    return Case(
        planner=planner,
        evidence=evidence,
        candidate=candidate,
        source=source,
        targets=tuple(file_name(each.name, each.version, each.architecture) for each in siblings),
        files=source_files(planner.context, source, candidate.index.release),
        entry=planner.binary_only(candidate, siblings, version) if package.rebuild is not None else None,
    )


def infer(case: Case, history: History) -> None:
    """Plan the step from the source package; see :mod:`rebuilder.model.attempt`.

    Raises:
        NotRebuildable: what keeps it from having (more) hypotheses.
    """
    for given in _given(case):
        with contextlib.suppress(NotRebuildable):  # what it names is not to be had, which blames nobody
            attempt = history.of(_hypothesis(case, given.way, given.sentence))
            if _exact(attempt) and not attempt.unauthenticated:
                return
    way = Way(case.candidate.suite)
    why = f"The archive has it in {way.suite}."
    attempt = history.of(_hypothesis(case, way, why))
    tried, made, signed = {way}, 1, (way, attempt)
    while not _exact(attempt) and made < _MOST:
        following = next((each for each in _repairs(case, way, attempt) if each.way not in tried), None)
        if following is None:
            break
        tried.add(following.way)
        try:
            hypothesis = _hypothesis(case, following.way, following.sentence)
        except NotRebuildable:
            continue
        other, made = history.of(hypothesis), made + 1
        if other.distance < attempt.distance:
            way, attempt = following.way, other
        if not other.unauthenticated and other.distance < signed[1].distance:
            signed = following.way, other
    if _exact(attempt):
        return
    way, attempt = signed  # what comes out with packages that nobody signed excuses nothing
    if attempt.rebuilt is not None and (lacks := _lacking(case, way, attempt)) is not None:
        history.of(_hypothesis(case, replace(way, lacks=lacks), lacks.sentence))


def _given(case: Case) -> Iterator[Repair]:
    """As a ``.buildinfo`` that was given says: with its versions, directory and options, or the latter two alone.

    Whoever wrote it may know the published bytes, so what it says counts as if it were read from them.
    """
    sha256, read = case.evidence.buildinfo_sha256, case.planner.context.blobs.read
    info = given_build_info(read(sha256), case.candidate.package.source) if sha256 is not None else None
    if info is None:
        return
    usual = Way(case.candidate.suite)
    ours = made_with(case.room(usual)[0])
    pins = tuple(
        Pin(name=each.name, version=each.version, installed=True, added=each.name not in ours)
        for each in info.installed
        if each.architecture in {None, info.build_architecture} and ours.get(each.name) != each.version
    )
    words = info.environment.get("DEB_BUILD_OPTIONS", "").split()
    options = tuple(sorted({each for each in words if each != "nocheck" and not each.startswith("parallel=")}))
    place = f"{PLACE}/{unpacked(SourceName(case.source.name, case.source.version))}"
    alike = replace(usual, options=options, directory=info.build_path if info.build_path != place else None)
    entry = case.entry.replayed if case.entry is not None else ()
    for way in dict.fromkeys((replace(alike, pins=pins), alike)):
        if way != usual and bits_before((*entry, *_replayed(case, way))) <= MOST_BITS:
            yield Repair(way, "The .buildinfo that was given says that it was built so.")


def _exact(attempt: Attempt) -> bool:
    return attempt.comparison is not None and attempt.comparison.level is Level.IDENTICAL


def _repairs(case: Case, way: Way, attempt: Attempt) -> Iterator[Repair]:
    """Ways that change one thing, likeliest first."""
    traces = _traces(case, attempt)
    if traces is not None:
        yield from _other_places(case, way, traces)
        for other in _others(case, way, traces):
            yield from _with_other_version(case, way, other)
        yield from _as_of_then(case, way, traces.moment)
    else:
        yield from _as_of_then(case, way, _newest_time(case.evidence), dated=True)
    yield from _elsewhere(case, way)
    if way.updates and _differs_without_updates(case, way):
        yield Repair(replace(way, updates=False), f"It is built without the updates that {way.suite} got later.")
    if traces is not None and any(map(_CHANGELOG.fullmatch, traces.others)) and not way.options:
        sentence = "Its changelogs are longer than the tool leaves them today: they are left whole."
        yield Repair(replace(way, options=(_WHOLE_CHANGELOGS,)), sentence)
    gone = [each for each in _others(case, way, traces) if each.sure] if traces is not None else []
    if traces is not None and not way.tests and (traces.unpaired or not traces.explained(gone)):
        sentence = "No version of a tool explains what differs: its tests are run, which can write files."
        yield Repair(replace(way, tests=True), sentence)


def _traces(case: Case, attempt: Attempt) -> Traces | None:
    if attempt.rebuilt is None:
        return None
    rebuilt = attempt.rebuilt
    return case.once(("traces", rebuilt.sha256), lambda: traces_of(case.planner.context, case.evidence, rebuilt))


def _others(case: Case, way: Way, traces: Traces) -> list[OtherVersion]:
    key = ("installed", way.suite, way.pins, way.updates, way.then)
    installed = case.once(key, lambda: made_with(case.room(way)[0]))
    updates = case.once(("updates", *key, tuple(traces.added.items())), lambda: _updates_since(case, way, traces))
    return [*other_versions(traces, installed), *updates]


def _updates_since(case: Case, way: Way, traces: Traces) -> list[OtherVersion]:
    """Updates of the release that have the names of all that only the rebuilt file says: it was built before them.

    Dates do not tell: an update can be dated long before it came out.
    """
    runs = [run for each in traces.added.values() for run in each]
    if not runs or traces.unpaired or not traces.added.keys() >= set(traces.stray):
        return []
    room = case.room(way)[0]
    found, installed = updates_with(room, way.suite, {name for run in runs for name in run}), made_with(room)
    if not all(any(names.issuperset(run) for _, names in found.values()) for run in runs):
        return []
    pins = [Pin(name=name, version=before, installed=True) for name, (before, _) in found.items()]
    had = {each.name for each in case.planner.had(case.releases(replace(way, updates=True)), pins)}
    return [
        OtherVersion(
            name,
            installed[name],
            before,
            sure=name not in had,
            sentence=f"Only the rebuilt file has {', '.join(sorted(names)[:3])}, of {name} {installed[name]}, "
            f"an update of {way.suite}; before it there was {before}.",
            explains=tuple(traces.added),
        )
        for name, (before, names) in found.items()
        if any(names.issuperset(run) for run in runs)
    ]


def _other_places(case: Case, way: Way, traces: Traces) -> Iterator[Repair]:
    """Where the published file says that it was built."""
    name = unpacked(SourceName(case.source.name, case.source.version))
    form = re.compile(rf"/build/{re.escape(case.source.name)}-[A-Za-z0-9]{{6}}/{re.escape(name)}")
    for path in traces.paths:
        if form.fullmatch(path):
            yield Repair(replace(way, directory=path), f"The published file names the directory {path}.")


def _with_other_version(case: Case, way: Way, other: OtherVersion) -> Iterator[Repair]:
    """Where a version of a package is looked for: in the lists of the release, in its pool, in other releases."""
    planner = case.planner
    installed = made_with(case.room(way)[0])
    names = sorted(name for name, version in installed.items() if version == other.have) or [other.package]
    releases = case.releases(replace(way, updates=True))
    for version in planner.versions(releases, other, installed.get("base-files", "")):
        pins = {each.name: each for each in way.pins} | {name: Pin(name=name, version=version) for name in names}
        chosen = tuple(pins[name] for name in sorted(pins))
        yield Repair(replace(way, pins=chosen), f"{other.sentence} It is built with {other.package} {version}.")
    for suite in planner.suites(way.suite):
        releases = planner.context.archive.releases(suite)
        if any(other.fits(each) for each in planner.listed(releases, other.package)):
            yield Repair(Way(suite, options=way.options), f"{other.sentence} That is the one of {suite}.")


def _newest_time(evidence: Evidence) -> int | None:
    """When the published file says that it was built; seconds since 1970."""
    inspection = evidence.artifact_inspection
    times = [each.mtime for each in inspection.members] if inspection is not None else []
    try:
        return int(max(datetime.fromisoformat(each).replace(tzinfo=UTC) for each in times).timestamp())
    except ValueError:  # it has none, or one that no calendar has
        return None


def _as_of_then(case: Case, way: Way, moment: int | None, *, dated: bool = False) -> Iterator[Repair]:
    """With what the release had when the package was built, by the changelogs of what it has now.

    The source, or the entry of who built it again, says when that was, and where nothing was built the published file:
    the newest uploads of then, which builders of updates have, and what the last point release before had.
    """
    if way.then or not way.updates or moment is None:
        return
    room, built = case.room(way)[0], datetime.fromtimestamp(moment, UTC)
    for then in (built, last_point_release(room, built)):
        updates = before_updates(room, way.suite, then) if then is not None else {}
        sources = [
            tuple(Pin(name=name, version=version, installed=True) for name, version in each.items())
            for each in updates.values()
        ]
        wanted = tuple(pin for each in sources for pin in each)
        there = case.once(("had", wanted), partial(case.planner.had, case.releases(way), wanted))
        # Packages of one source go together: what is there of them alone does not go with the others of today.
        if had := tuple(pin for each in sources if set(each) <= set(there) for pin in each):
            named = ", ".join(f"{each.name} {each.version}" for each in had)
            said = "By its own times it" if dated else "It"
            sentence = f"{said} was built at {built:%Y-%m-%d}, when {way.suite} had earlier updates: {named}."
            yield Repair(replace(way, then=had, dated=dated), sentence)


def _elsewhere(case: Case, way: Way) -> Iterator[Repair]:
    """Other releases that have the very same file: it was built before the newer of them."""
    package, planner = case.candidate.package, case.planner
    for suite in planner.suites(case.candidate.suite):
        releases = planner.context.archive.releases(suite)
        found = planner.candidates.versions(releases, package.name, planner.architecture)
        if any(each.package.file.sha256 == package.file.sha256 for each in found):
            yield Repair(Way(suite, options=way.options, directory=way.directory), f"{suite} has the very same file.")


def _differs_without_updates(case: Case, way: Way) -> bool:
    try:
        with_updates, without = (case.room(replace(way, updates=each))[1] for each in (True, False))
    except NotRebuildable:
        return False
    return with_updates.packages != without.packages


def _lacking(case: Case, way: Way, attempt: Attempt) -> Obstacle | None:
    """What it was built with and nobody has any more, where that explains all that differs."""
    traces = _traces(case, attempt)
    if traces is None or traces.unpaired:
        return None
    missing = [each for each in _others(case, way, traces) if each.sure]
    room = case.room(way)[0]
    tool, moment = case.once(("tools", way.suite, way.pins, way.then), lambda: newest_tool(room))
    # The time of the rebuilt one: that in the published one is whatever its builder wrote.
    built = datetime.fromtimestamp(traces.moment, UTC) if traces.moment is not None else None
    newer = tool is not None and moment is not None and built is not None and moment > built + _LATER
    if missing and traces.follows(missing, made_with(room)) and (newer or not traces.compiling):
        words = " ".join(dict.fromkeys(each.sentence for each in missing[:3]))
        named = " and ".join(dict.fromkeys(f"{each.package} {each.wanted}" for each in missing[:3]))
        if all(each.explains for each in missing):
            return _missing(f"{words} Nobody has {named} any more.")
        return _missing(f"{words} With what there is of {named} it does not come out, and no other is to be had.")
    if not traces.compiled or not traces.wants_less or not newer or tool is None or moment is None or built is None:
        return None
    name, version = tool
    laid = f" Its note sections are others ({', '.join(traces.notes[0])})." if traces.notes and traces.notes[0] else ""
    besides = ", and what tools and libraries of then leave in changelogs and relations" if traces.besides else ""
    return _missing(
        f"Only compiled code differs{besides}. The package is of {built:%Y-%m-%d}; {name} {version}, the one of "
        f"{way.suite}, is of {moment:%Y-%m-%d}: it was built with an older one, which nobody has any more.{laid} "
        "Whether its code is that of its source is not shown."
    )


def _missing(sentence: str) -> Obstacle:
    return Obstacle(verdict=Verdict.INPUTS_MISSING, sentence=sentence, cause=Cause.DEPENDENCY_DRIFT)


def _hypothesis(case: Case, way: Way, why: str) -> Hypothesis:
    return case.once(("hypothesis", way), partial(_made_hypothesis, case, way, why))


def _made_hypothesis(case: Case, way: Way, why: str) -> Hypothesis:
    room, resolution = case.room(way)
    source, package, planner = case.source, case.candidate.package, case.planner
    described = case.evidence.source
    assert described is not None  # noqa: S101 - a step from it has one
    version = f"{source.version}{package.rebuild or ''}"
    build = DebianBuild(
        targets=case.targets,
        source=SourceName(source.name, source.version),
        described=described,
        files=case.files.inputs,
        kind=case.part,
        version=version,
        architecture="all" if case.part == "all" else planner.architecture,
        environment=room.ref,
        limits=planner.limits,
        sandbox=planner.context.sandbox,
        entry=_entry(case),
        options=way.options,
        tests=way.tests,
        directory=way.directory,
    )
    over = len(resolution.packages)
    packages, are = ("package", "is") if over == 1 else ("packages", "are")
    installed = f"{over} {packages} of its build dependencies {are} installed over {base_name(way.suite)}."
    return Hypothesis(
        name=_name(way),
        sentence=" ".join((why, installed, *resolution.notes, *case.files.notes)),
        definition=definition(build),
        filename=case.evidence.artifact.filename if len(case.targets) > 1 else None,
        replayed=(*(case.entry.replayed if case.entry is not None else ()), *_replayed(case, way)),
        lacks=way.lacks,
    )


def _name(way: Way) -> str:
    if way.directory is not None:
        return "build-path"
    if way.tests:
        return "with-tests"
    if way.options:
        return "whole-changelogs"
    if way.pins:
        return "pinned"
    if way.then:
        return "earlier-updates"
    return "release" if way.updates else "without-updates"


def _entry(case: Case) -> Input | None:
    return case.planner.entry_input(case.entry) if case.entry is not None else None


def _replayed(case: Case, way: Way) -> Iterator[Replayed]:
    """What of a way is read from the published file."""
    if way.suite != case.candidate.suite:
        yield told_before("suite", way.suite, _SUITE_BITS)
    if way.pins:
        versions = dict.fromkeys(each.version for each in way.pins)
        named = ", ".join(f"{each.name} {each.version}" for each in way.pins)
        chosen = sum(_NAME_BITS if each.added else 1 for each in way.pins)  # of packages of one version, any some
        yield told_before("tool-version", named, _VERSION_BITS * len(versions) + chosen)
    if not way.updates:
        yield told_before("updates", "without", 1)
    if way.then:
        yield told_before("updates", "earlier", _DATE_BITS if way.dated else 2)
    if way.options:
        yield told_before("build-options", " ".join(way.options), _OPTION_BITS * len(way.options))
    if way.tests:
        yield told_before("tests", "run", 1)
    if way.directory is not None:
        yield told_before("build-path", way.directory, _RANDOM_BITS)
