"""``python -m tests.bench causes``: whether the cause that was planted in a release is the one that is named.

Each release is built by a real backend under the circumstances that are its cause, put on an index on this machine,
and verified as any other. No guest with a clock of its own is used: with one, times in contents come out again, and
there would be nothing to explain.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty

from packaging.utils import parse_wheel_filename

from rebuilder.config import Config
from rebuilder.diagnose.case import DiagnosisInput
from rebuilder.errors import RebuilderError
from rebuilder.model.definition import Limits
from rebuilder.model.diagnosis import Cause, Certainty, Diagnosis, Finding
from rebuilder.model.report import Report
from rebuilder.model.verdict import Verdict
from rebuilder.model.work import Tier
from rebuilder.sandbox.uml.probe import SWITCH
from rebuilder.verification.coordinator import Coordinator
from rebuilder.verification.findings import diagnosed, vary
from rebuilder.wiring import Wired, wire
from tests.bench.planted.catalogue import DEPENDENCIES, RELEASES
from tests.bench.planted.release import Planted, release
from tests.fakes.command import Installation
from tests.fakes.progress import NoDisplay
from tests.fakes.projects import Distribution, minibackend_wheel
from tests.fakes.publisher import Publisher, PublisherError, release_of
from tests.fakes.registry import JSON, Registry

LIMITS = Limits(
    wall_seconds=120,
    cpu_seconds=12,
    memory_bytes=400 << 20,
    processes=100,
    file_bytes=40 << 20,
    disk_bytes=200 << 20,
    output_bytes=60 << 20,
    log_bytes=2 << 20,
)
PUBLISHED = (
    *("flit-core-3.12.0", "hatchling-1.33.0", "packaging-26.3", "pathspec-1.1.1", "pluggy-1.7.0", "poetry-core-2.1.3"),
    *("setuptools-80.9.0", "tomlkit-0.15.2", "trove-classifiers-2026.9.21.13", "wheel-0.37.1", "wheel-0.45.1"),
)
"""Backends on the index; a publisher may have others."""
BY_THE_CLOCK = {Cause.EMBEDDED_TIME, Cause.ARCHIVE_TIMES}
_OLDER = 4.0
"""Seconds between such a release and its rebuild: within the same two seconds both would have the same times."""
NOTHING, FAILED = "—", "(failed)"


@dataclass(frozen=True)
class Result:
    """What was said of one planted release."""

    name: str
    planted: Planted
    verdict: str
    """What went wrong with the bench itself, where there is none."""
    findings: tuple[Finding, ...]
    unexplained: int
    seconds: float

    @property
    def said(self) -> str:
        """The cause that is named first."""
        if self.verdict not in {*Verdict}:
            return FAILED
        return self.findings[0].cause.value if self.findings else NOTHING

    @property
    def cause(self) -> str:
        """The planted cause that :attr:`said` is held against: of several the one that was said, if it was."""
        causes = [each.value for each in self.planted.causes] or [NOTHING]
        return self.said if self.said in causes else causes[0]

    @property
    def right(self) -> bool:
        """Whether the first cause said is a planted one, and all that were planted are said."""
        said = {each.cause for each in self.findings}
        return self.said == self.cause and set(self.planted.causes) <= said

    @property
    def false_shown(self) -> list[Cause]:
        """Causes that were not planted and are said to be shown."""
        found = (each.cause for each in self.findings if each.certainty is Certainty.SHOWN)
        return [each for each in found if each not in self.planted.causes]


def main(argv: Sequence[str]) -> int:
    """Print a line for each release, the matrix and the shares; 1 when a goal is missed."""
    arguments = argparse.ArgumentParser(prog="make bench-causes", description=__doc__)
    arguments.add_argument("--only", action="append", default=[], help="causes, or names of releases")
    arguments.add_argument("--environments", type=Path, default=Path(".build/toolchains"))
    arguments.add_argument("--backends", type=Path, action="append", help="directories with wheels of build backends")
    arguments.add_argument("--seconds", type=float, default=3600, help="for all releases together")
    arguments.add_argument("--each", type=float, default=240, help="seconds for one release")
    arguments.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="releases at once")
    arguments.add_argument("--details", action="store_true", help="print what was said of the wrong ones")
    options = arguments.parse_args(argv)
    wanted = {
        name: each
        for name, each in RELEASES.items()
        if not options.only or name in options.only or {cause.value for cause in each.causes} & {*options.only}
    }
    folders = options.backends or [Path(".build/wheelhouse"), Path(".build/backends")]
    backends = [wheel(each) for folder in folders for each in sorted(folder.glob("*.whl")) if each.stat().st_size < 3e6]
    results = []
    before = cpu_seconds()
    places = (wanted, options.environments, backends)
    for result in at_once(options.jobs, *places, seconds=options.seconds, each=options.each):
        print(line(result), flush=True)
        if options.details and not (result.right and not result.false_shown):
            print_details(result)
        results.append(result)
    print()
    print("\n".join(matrix(results)))
    print()
    right = sum(each.right for each in results)
    shown = sum(len(each.false_shown) for each in results)
    share = right / max(len(results), 1)
    print(f"{len(results)} of {len(wanted)} releases, {cpu_seconds() - before:.0f} s of CPU")
    print(f"right: {right} of {len(results)} ({share:.1%}), goal >= 95 %")
    print(f"said to be shown, and not planted: {shown}, goal 0")
    return 0 if len(results) == len(wanted) and share >= 0.95 and not shown else 1


def at_once(
    jobs: int,
    releases: dict[str, Planted],
    environments: Path,
    backends: Sequence[Distribution],
    *,
    seconds: float,
    each: float,
) -> Iterator[Result]:
    """Results of some processes, each with an index and an installation of its own, as they come."""
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[tuple[str, str, Diagnosis, float]] = context.Queue()
    names = list(releases)

    def work(share: list[str]) -> None:
        with laid_out(environments, backends) as bench:
            for found in bench.run({name: releases[name] for name in share}, seconds=seconds, each=each):
                said = Diagnosis(findings=found.findings, unexplained_total=found.unexplained)
                queue.put((found.name, found.verdict, said, found.seconds))

    processes = [context.Process(target=work, args=(names[at::jobs],)) for at in range(jobs)]
    for process in processes:
        process.start()
    try:
        while any(process.is_alive() for process in processes) or not queue.empty():
            with suppress(Empty):
                name, verdict, said, spent = queue.get(timeout=0.5)
                yield Result(name, releases[name], verdict, said.findings, said.unexplained_total, spent)
    finally:
        for process in processes:
            process.terminate()
            process.join()


def wheel(path: Path) -> Distribution:
    """A wheel on disk."""
    return Distribution(parse_wheel_filename(path.name)[0], path.name, path.read_bytes())


@contextmanager
def laid_out(
    environments: Path, backends: Sequence[Distribution], *, guest: bool = False, limits: Limits = LIMITS
) -> Iterator[Bench]:
    """An index and an installation of its own, all gone at the end.

    Args:
        environments: Directory of build environments that were made before.
        backends: Wheels of build backends; those that are missing are missed when a release wants them.
        guest: Whether builds may have a clock of their own.
        limits: What a build may use.
    """
    before = os.environ.get(SWITCH)
    if not guest:
        os.environ[SWITCH] = "none"
    try:
        with Registry() as registry, tempfile.TemporaryDirectory(prefix="rebuilder-bench-") as name:
            place = Path(name)
            place.chmod(0o755)
            here = Installation.make(place, environments, registry.url)
            tools = [minibackend_wheel(), *DEPENDENCIES, *backends]
            offered = {release_of(each) for each in (minibackend_wheel(), *DEPENDENCIES)} | set(PUBLISHED)
            for each in tools:
                if release_of(each) in offered:
                    registry.add(each, uploaded=datetime(2020, 1, 1, tzinfo=UTC))
            config = Config(
                store=here.store, keys=place / "keys", site=here.site, index_url=registry.url, limits=limits
            )
            with wire(config, NoDisplay()) as parts:
                yield Bench(registry, parts, Publisher(parts.environments, tools, place))
    finally:
        if before is None:
            os.environ.pop(SWITCH, None)
        else:
            os.environ[SWITCH] = before


@dataclass(frozen=True)
class Bench:
    """Where releases are planted and verified."""

    registry: Registry
    parts: Wired
    publisher: Publisher

    def run(self, releases: dict[str, Planted], *, seconds: float, each: float | None = None) -> Iterator[Result]:
        """Plant and verify releases until the time is over.

        Args:
            releases: By name.
            seconds: No release is begun after that.
            each: Seconds for one release; it needs the main thread.
        """
        start = time.monotonic()
        for name, planted in releases.items():
            if time.monotonic() - start > seconds:
                return
            with limited(each):
                began = time.monotonic()
                try:
                    verdict, diagnosis = self.examined(name, planted)
                except (PublisherError, RebuilderError, TimeoutError) as error:
                    verdict, diagnosis = f"{type(error).__name__}: {error}", None
            findings = diagnosis.findings if diagnosis is not None else ()
            unexplained = diagnosis.unexplained_total if diagnosis is not None else 0
            yield Result(name, planted, verdict, findings, unexplained, time.monotonic() - began)

    def examined(self, name: str, planted: Planted) -> tuple[str, Diagnosis | None]:
        """The verdict on one release, and why it is not another one.

        Raises:
            PublisherError: the release could not be built.
            RebuilderError: the verification failed on our side.
        """
        made = release(planted, name, self.publisher)
        uploaded = datetime.now(UTC)
        if BY_THE_CLOCK & {*planted.causes}:
            time.sleep(_OLDER)
        for each in filter(None, (made.sdist, made.wheel)):
            self.registry.add(each, uploaded=uploaded, requires_python=planted.requires_python)
        if not planted.upload_time:
            forget_times(self.registry, name)
        coordinator = Coordinator(self.parts)
        subject = self.parts.ecosystems["pypi"].parse(f"{name}=={made.wheel.filename.split('-')[1]}")
        [evidence] = [each for each in coordinator.evidence(subject) if each.artifact.filename == made.wheel.filename]
        report = coordinator.examine(coordinator.begin(evidence, tier=Tier.FULL))
        if planted.vary and report.decision.attempt is not None:
            report = with_variation(self.parts, report)
        return report.decision.verdict.value, report.diagnosis


def with_variation(parts: Wired, report: Report) -> Report:
    """The report as ``rebuilder explain --vary`` shows it."""
    variation = vary(parts, report.attempts[report.decision.attempt or 0], report.evidence)
    case = DiagnosisInput(report.evidence, report.attempts, report.decision, report.trail, variation=variation)
    return report.replace(diagnosis=diagnosed(parts, case), variation=variation)


def forget_times(registry: Registry, name: str) -> None:
    """Serve the index page of a project without upload times."""
    found = registry._find(f"/simple/{name}/")
    assert found is not None
    document = json.loads(found.body)
    for each in document["files"]:
        del each["upload-time"]
    registry.serve(f"/simple/{name}/", json.dumps(document).encode(), JSON)


@contextmanager
def limited(seconds: float | None) -> Iterator[None]:
    """Raise TimeoutError when something takes longer; builds that run then are ended by their sandbox."""

    def stop(*_: object) -> None:
        raise TimeoutError("it took too long")

    if seconds is None:
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def line(result: Result) -> str:
    """One release in one line."""
    planted = " + ".join(each.value for each in result.planted.causes) or NOTHING
    how = result.findings[0].how if result.findings else result.verdict
    more = [each.cause.value for each in result.findings[1:]]
    mark = "right" if result.right else "WRONG"
    false = f" FALSE SHOWN {', '.join(result.false_shown)}" if result.false_shown else ""
    also = f" (+ {', '.join(more)})" if more else ""
    what = f"{result.planted.backend}, {result.planted.what}"
    said = f"{result.said}{also}, {how}: {mark}{false}"
    return f"{result.name:<26} {what[:66]:<66} {planted:<22} {said} {result.seconds:.1f} s"


def print_details(result: Result) -> None:
    """All that was said."""
    print(f"    verdict {result.verdict}, {result.unexplained} unexplained")
    for each in result.findings:
        print(f"    [{each.cause.value}, {each.how}] {each.sentence}")
        for evidence in each.evidence:
            sides = f"{evidence.published!r} / {evidence.rebuilt!r}" if evidence.published or evidence.rebuilt else ""
            print(f"        {evidence.member or ''} {sides} {evidence.note or ''}")
        print(f"      → {each.advice}")


def matrix(results: Sequence[Result]) -> Iterator[str]:
    """Planted causes down, causes said first across; only those that occur."""
    counted = Counter((each.cause, each.said) for each in results)
    order = [*(each.value for each in Cause), NOTHING, FAILED]
    rows = [each for each in order if any(planted == each for planted, _ in counted)]
    columns = [each for each in order if any(said == each for _, said in counted)]
    numbers = {each: str(at) for at, each in enumerate(columns, start=1)}
    width = max((len(each) for each in order), default=0)
    yield f"{'planted, and said first:':<{width}} " + "".join(f"{numbers[each]:>4}" for each in columns)
    for row in rows:
        cells = (counted[row, column] for column in columns)
        yield (
            f"{row:<{width}} "
            + "".join(f"{cell or '·':>4}" for cell in cells)
            + (f"   {numbers[row]} = {row}" if row in numbers else "")
        )
    yield from (f"{'':<{width}} {numbers[each]} = {each}" for each in columns if each not in rows)


def cpu_seconds() -> float:
    """Of this process and all it waited for."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, kinds))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
