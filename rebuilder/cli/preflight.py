"""``rebuilder preflight``: what a maintainer is told before the upload."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rebuilder.cli.display import Display
from rebuilder.cli.explain import evidence_words
from rebuilder.config import Config
from rebuilder.ecosystems.conventions import Conventions
from rebuilder.ecosystems.registry import ECOSYSTEMS
from rebuilder.errors import ExitCode, UsageError
from rebuilder.model.project import Outcome, OwnFile, Preflight, ProjectFinding, ProjectTree
from rebuilder.model.sbom import project_sbom
from rebuilder.model.text import visible
from rebuilder.network.git.work_tree import read_work_tree
from rebuilder.preflight.examination import examine, preflight_sarif
from rebuilder.store.protocol import Blobs
from rebuilder.wiring import wire

_CODES = {
    Outcome.SAME: ExitCode.OK,
    Outcome.SAME_CONTENT: ExitCode.OK,
    Outcome.DIFFERS: ExitCode.DIFFERS,
    Outcome.UNDECIDED: ExitCode.UNDECIDED,
}
_ICONS = {Outcome.SAME: "✔", Outcome.SAME_CONTENT: "≈", Outcome.DIFFERS: "✘", Outcome.UNDECIDED: "?"}
_SIDE = {"published file": "file there", "rebuilt file": "file here", "published": "there", "rebuilt": "here"}
_SIDES = re.compile("|".join(_SIDE))
"""What rules for published files call the two sides."""
_RELEASES = "dist"
_RECORDS = ".cdx.json"
_LARGEST_TEXT = 256 << 10
_MOST_TEXTS = 200


def preflight(
    config: Config,
    paths: Sequence[Path],
    *,
    as_json: bool,
    sarif: Path | None = None,
    patch: Path | None = None,
    record: Path | None = None,
) -> int:
    """Look at a project and print what was found.

    Args:
        config: The settings.
        paths: The directory of the project, or files that are to be published of the one in this directory.
        as_json: One JSON object instead of sentences.
        sarif: Where SARIF is written, too.
        patch: Where the patches are written that rules know.
        record: Where an SBOM of what it is built with is written, for the project to carry.

    Returns:
        0: a stranger gets the same bytes, or the same content; 1: not; 3: that could not be found out.

    Raises:
        UsageError: there is no project.
        RebuilderError: something on our side failed.
    """
    if record is not None and not record.name.endswith(_RECORDS):
        raise UsageError(f"A record is named NAME{_RECORDS}, not {visible(record.name)}.")
    for each in filter(None, (sarif, record, patch)):
        if each.is_dir() or not os.access(each if each.exists() else each.parent, os.W_OK):
            raise UsageError(f"{visible(str(each))} cannot be written.", hint="Name a file in a directory of yours.")
    directory, asked = _asked(paths)
    name, facts = _ecosystem(directory)
    files = asked or _to_be_published(directory / _RELEASES, facts)
    display = Display(sys.stderr)
    with display, wire(config, display) as parts:
        parts.stopwatch.begin(directory.resolve().name)
        tree = read_work_tree(directory, parts.blobs)
        own = [_own(each, parts.blobs, config.download_bytes).replace(asked=bool(asked)) for each in files]
        found = examine(parts, parts.ecosystems[name], tree, read_texts(directory, tree, facts), own)
        parts.stopwatch.end()
    print(json.dumps(document(found)) if as_json else "\n".join(lines(found)))  # noqa: T201
    if sarif is not None:
        _write(sarif, preflight_sarif(found, facts.project_files[0]))
    if record is not None and found.definition is not None:
        _write(record, project_sbom(found.definition).decode())
    if patch is not None:
        _write(patch, "".join(filter(None, (each.patch for each in found.findings))))
    return _CODES[found.outcome]


def document(found: Preflight) -> dict[str, Any]:
    """What was found as plain JSON types, with the build definition in its published form."""
    plain = found.replace(definition=None).document()
    return plain if found.definition is None else plain | {"buildDefinition": found.definition.slsa}


def _asked(paths: Sequence[Path]) -> tuple[Path, list[Path]]:
    """The directory of the project, and the files that were named."""
    directories, files = [each for each in paths if each.is_dir()], [each for each in paths if not each.is_dir()]
    missing = [each for each in files if not each.is_file()]
    if missing:
        raise UsageError(f"There is no file {visible(str(missing[0]))}.", hint="Name a project, or files of dist/.")
    if len(directories) > 1:
        raise UsageError("More than one directory is named.", hint="Look at one project at a time.")
    return (directories[0] if directories else Path()), files


def _ecosystem(directory: Path) -> tuple[str, Conventions]:
    for name, each in reversed(ECOSYSTEMS.items()):  # a package of Debian is made around a project of another kind
        if each.is_project(directory):
            return name, each
    wanted = ", ".join(file for each in ECOSYSTEMS.values() for file in each.project_files)
    raise UsageError(
        f"{visible(str(directory))} is no project: nothing there ({wanted}) is about something to publish.",
        hint="Name the directory of a project.",
    )


def _to_be_published(place: Path, facts: Conventions) -> list[Path]:
    if not place.is_dir():
        return []
    return sorted(each for each in place.iterdir() if each.is_file() and each.name.endswith(facts.released_files))


def _own(path: Path, blobs: Blobs, most: int) -> OwnFile:
    try:
        with path.open("rb") as file:
            sha256, _ = blobs.put_stream(iter(lambda: file.read(1 << 20), b""), max_bytes=most)
    except OSError as error:
        raise UsageError(f"{visible(str(path))} cannot be read: {error.strerror}.") from None
    return OwnFile(filename=path.name, sha256=sha256)


def read_texts(directory: Path, tree: ProjectTree, facts: Conventions) -> dict[str, str]:
    """Files of a tree that say how it is built and released, by path."""
    found: dict[str, str] = {}
    for name in tree.files:
        if len(found) < _MOST_TEXTS and facts.build_files.fullmatch(name) and not (directory / name).is_symlink():
            data = (directory / name).read_bytes()
            if len(data) <= _LARGEST_TEXT:
                found[name] = data.decode("utf-8", "replace")
    return found


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{visible(str(path))} cannot be written: {error.strerror}.") from None


def lines(found: Preflight) -> Iterator[str]:
    """What is printed; safe for a terminal."""
    yield f"{_ICONS[found.outcome]} {visible(found.project)}: {visible(found.sentence)}"
    for built in found.built:
        yield f"  {_ICONS[built.outcome]} {visible(built.filename)}  {built.sha256}"
    for own in found.compared:
        yield f"  {_ICONS[own.outcome]} yours: {visible(own.filename)}  {own.sha256}"
        yield f"      {visible(own.sentence)}"
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
    yield f"  {found.builds} builds in {found.seconds:.1f} s"


def _finding(number: int, each: ProjectFinding) -> Iterator[str]:
    yield f"{number}. {visible(each.sentence)}  [{each.cause.value}, {each.certainty.value}]"
    if each.files:
        yield f"   In {visible(', '.join(each.files))}:"
    for line in each.evidence:
        note = _SIDES.sub(lambda found: _SIDE[found[0]], line.note) if line.note is not None else None
        yield f"     {visible(evidence_words(line.replace(note=note), left='there', right='here'))}"
    for place in each.places:
        yield f"   {visible(place.file)}:{place.line}: {visible(place.text)}"
    yield f"   What to change: {visible(each.advice)}"
    if each.patch is not None:
        yield from (f"   | {visible(line.expandtabs())}" for line in each.patch.splitlines())
