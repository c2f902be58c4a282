"""``python -m tests.bench preflight``: whether what is planted in a project is named before its release, and how fast.

Each project is a directory, built by a real backend in the real sandbox, with a guest that has a clock of its own.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rebuilder.cli.preflight import lines, read_texts
from rebuilder.ecosystems.registry import ECOSYSTEMS
from rebuilder.errors import RebuilderError
from rebuilder.model.definition import Limits
from rebuilder.model.diagnosis import Cause, Certainty
from rebuilder.model.project import Outcome, Preflight
from rebuilder.network.git.work_tree import read_work_tree
from rebuilder.preflight.examination import examine
from rebuilder.wiring import Wired
from tests.bench.causes import laid_out, wheel
from tests.bench.planted.projects import NONE, ONE, PROJECTS, THREE
from tests.bench.planted.release import Planted, source_tree

GOAL_RIGHT, GOAL_SECONDS = 0.95, 15.0


@dataclass(frozen=True)
class Result:
    """What was said of one project."""

    name: str
    planted: Planted
    found: Preflight | None
    problem: str
    seconds: float

    @property
    def shown(self) -> set[Cause]:
        """Causes that are said to be shown."""
        findings = self.found.findings if self.found is not None else ()
        return {each.cause for each in findings if each.certainty is Certainty.SHOWN}

    @property
    def named(self) -> set[Cause]:
        """All causes that were said."""
        return {each.cause for each in self.found.findings} if self.found is not None else set()

    def right(self, own: set[Cause]) -> bool:
        """Whether all that were planted are named, and nothing but what the backend does by itself besides."""
        wanted = {*self.planted.causes}
        differs = self.found is not None and self.found.outcome is Outcome.DIFFERS
        return wanted <= self.named and self.named <= wanted | own and differs == bool(wanted)

    def false_shown(self, own: set[Cause]) -> set[Cause]:
        """Causes that are said to be shown, and were not planted."""
        return self.shown - {*self.planted.causes} - own


def main(argv: Sequence[str]) -> int:
    """Print a line for each project, and the shares; 1 when a goal is missed."""
    arguments = argparse.ArgumentParser(prog="make bench", description=__doc__)
    arguments.add_argument("--only", action="append", default=[], help="names of projects")
    arguments.add_argument("--details", action="store_true", help="print what a maintainer reads of the wrong ones")
    arguments.add_argument("--environments", type=Path, default=Path(".build/toolchains"))
    arguments.add_argument("--backends", type=Path, action="append", help="directories with wheels of build backends")
    options = arguments.parse_args(argv)
    folders = options.backends or [Path(".build/wheelhouse"), Path(".build/backends")]
    backends = [wheel(each) for folder in folders for each in sorted(folder.glob("*.whl")) if each.stat().st_size < 3e6]
    wanted = {**NONE, **{name: PROJECTS[name] for name in options.only}} if options.only else PROJECTS
    own: dict[str, set[Cause]] = {}
    results: list[Result] = []
    with laid_out(options.environments, backends, guest=True, limits=Limits()) as bench:
        for name, planted in wanted.items():
            result = looked_at(name, planted, bench.parts)
            if name in NONE:
                own[planted.backend] = result.shown
            results.append(result)
            print(line(result, own[planted.backend]), flush=True)
            if options.details and result.found is not None and not result.right(own[planted.backend]):
                print("\n".join(lines(result.found)), flush=True)
    return report([each for each in results if each.name not in NONE], own)


def looked_at(name: str, planted: Planted, parts: Wired) -> Result:
    """Lay a project out, and look at it."""
    with TemporaryDirectory(prefix="rebuilder-bench-") as place:
        root = Path(place) / name
        for path, content in source_tree(planted, name).items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        began = time.monotonic()
        found, problem = None, ""
        try:
            tree = read_work_tree(root, parts.blobs)
            found = examine(parts, parts.ecosystems["pypi"], tree, read_texts(root, tree, ECOSYSTEMS["pypi"]))
            problem = found.sentence if found.outcome is Outcome.UNDECIDED else ""
        except RebuilderError as error:
            problem = str(error)
        return Result(name, planted, found, problem, time.monotonic() - began)


def line(result: Result, own: set[Cause]) -> str:
    """One project in one line."""
    said = ", ".join(sorted(each.value for each in result.named)) or result.problem or "nothing"
    wanted = " + ".join(each.value for each in result.planted.causes) or "nothing"
    right = result.right(own) if result.name not in NONE else not result.problem
    mark = "right" if right else "WRONG"
    false = result.false_shown(own)
    also = f" FALSE SHOWN {', '.join(false)}" if false else ""
    builds = result.found.builds if result.found is not None else 0
    what = f"{result.planted.backend}, {result.planted.what}"
    cpu = result.found.cpu_seconds if result.found is not None else 0.0
    costs = f"{builds} builds, CPU {cpu:.1f} s, {result.seconds:.1f} s"
    return f"{result.name:<22} {what[:44]:<44} {wanted} → {said}: {mark}{also}, {costs}"


def report(results: Sequence[Result], own: dict[str, set[Cause]]) -> int:
    """Print the shares; 1 when a goal is missed."""
    one, three = ([each for each in results if each.name in names] for names in (ONE, THREE))
    right = [each for each in results if each.right(own[each.planted.backend])]
    false = sum(len(each.false_shown(own[each.planted.backend])) for each in results)
    share = len(right) / max(len(results), 1)
    median = statistics.median(each.seconds for each in results)
    print()
    print(f"one cause: {sum(each in right for each in one)} of {len(one)} right")
    print(f"three causes: {sum(each in right for each in three)} of {len(three)} right")
    print(f"right: {share:.1%}, goal >= {GOAL_RIGHT:.0%}")
    print(f"said to be shown, and not planted: {false}, goal 0")
    cpu = statistics.median(each.found.cpu_seconds for each in results if each.found is not None)
    print(f"median of the builds' CPU: {cpu:.1f} s")
    print(f"median: {median:.1f} s, goal <= {GOAL_SECONDS:.0f} s")
    return 0 if share >= GOAL_RIGHT and not false and median <= GOAL_SECONDS else 1
