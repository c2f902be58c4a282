"""``rebuilder preflight``: what a maintainer is told before the upload."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from rebuilder.cli.display import Display
from rebuilder.cli.explain import evidence_words
from rebuilder.config import Config
from rebuilder.ecosystems.registry import ECOSYSTEMS
from rebuilder.errors import ExitCode, UsageError
from rebuilder.model.project import Outcome, Preflight, ProjectFinding
from rebuilder.model.text import visible
from rebuilder.network.git.work_tree import read_work_tree
from rebuilder.preflight.examination import examine
from rebuilder.wiring import wire

_CODES = {
    Outcome.SAME: ExitCode.OK,
    Outcome.SAME_CONTENT: ExitCode.OK,
    Outcome.DIFFERS: ExitCode.DIFFERS,
    Outcome.UNDECIDED: ExitCode.UNDECIDED,
}


def preflight(config: Config, path: Path, *, as_json: bool) -> int:
    """Look at a project and print what was found.

    Args:
        config: The settings.
        path: The directory of the project.
        as_json: One JSON object instead of sentences.

    Returns:
        0: a stranger gets the same bytes, or the same content; 1: not; 3: that could not be found out.

    Raises:
        UsageError: there is no project.
        RebuilderError: something on our side failed.
    """
    name = next(
        (name for name, each in ECOSYSTEMS.items() if any((path / file).is_file() for file in each.project_files)),
        None,
    )
    if name is None:
        wanted = ", ".join(file for each in ECOSYSTEMS.values() for file in each.project_files)
        raise UsageError(f"{path} is no project: it has none of {wanted}.", hint="Name the directory of a project.")
    display = Display(sys.stderr)
    with display, wire(config, display) as parts:
        parts.stopwatch.begin(path.resolve().name)
        tree = read_work_tree(path, parts.blobs)
        found = examine(parts, parts.ecosystems[name], tree)
        parts.stopwatch.end()
    print(json.dumps(found.document()) if as_json else "\n".join(lines(found)))  # noqa: T201
    return _CODES[found.outcome]


_ICONS = {Outcome.SAME: "✔", Outcome.SAME_CONTENT: "≈", Outcome.DIFFERS: "✘", Outcome.UNDECIDED: "?"}


def lines(found: Preflight) -> Iterator[str]:
    """What is printed; safe for a terminal."""
    yield f"{_ICONS[found.outcome]} {visible(found.project)}: {visible(found.sentence)}"
    for built in found.built:
        yield f"  {_ICONS[built.outcome]} {visible(built.filename)}  {built.sha256[:16]}…"
    for number, each in enumerate(found.findings, start=1):
        yield ""
        yield from _finding(number, each)
    if found.unexplained:
        yield ""
        yield "Nothing explains:"
        yield from (f"     {visible(each)}" for each in found.unexplained[:20])
    if found.notes:
        yield ""
        yield from (f"  {visible(each)}" for each in found.notes)
    yield ""
    yield f"  {found.builds} builds, {found.seconds:.1f} s"


def _finding(number: int, each: ProjectFinding) -> Iterator[str]:
    yield f"{number}. {visible(each.sentence)}  [{each.cause.value}, {each.certainty.value}]"
    for line in each.evidence:
        yield f"     {visible(evidence_words(line, left='elsewhere', right='here'))}"
    for place in each.places:
        yield f"   {visible(place.file)}:{place.line}: {visible(place.text)}"
    yield f"   What to change: {visible(each.advice)}"
