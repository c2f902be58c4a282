"""``record_archive PUBLISHED REBUILT --only NAMES --result PATH``: what of the published metadata can be written anew.

The result is ``{"record": …}`` (see ``replay_zip`` and ``replay_tar``), or ``{"problem": …}``, the end of a sentence.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from rebuilder.programs.archive import replay_tar, replay_zip
from rebuilder.programs.archive.limits import UnreadableError, UnwritableError
from rebuilder.programs.archive.opening import read_archive
from rebuilder.programs.archive.zip import ZipArchive


def main(argv: list[str]) -> int:
    """Record; 0 whatever the result."""
    parser = argparse.ArgumentParser(prog="record_archive")
    parser.add_argument("published", metavar="PUBLISHED")
    parser.add_argument("rebuilt", metavar="REBUILT")
    parser.add_argument("--only", required=True, help="normalisations under which they are equal, with commas")
    parser.add_argument("--result", required=True, metavar="PATH")
    arguments = parser.parse_args(argv)
    document = recorded(arguments.published, arguments.rebuilt, arguments.only.split(","))
    with open(arguments.result, "w", encoding="utf-8") as file:
        json.dump(document, file)
    return 0


def recorded(published: str, rebuilt: str, names: list[str]) -> dict[str, Any]:
    """The document described at the top of this module."""
    theirs, ours = read_archive(published), read_archive(rebuilt)
    if not theirs.readable or not ours.readable or theirs.format != ours.format:
        return {"problem": "the archives cannot be read"}
    module = replay_zip if isinstance(ours.archive, ZipArchive) else replay_tar
    unknown = [name for name in names if name not in module.FIELDS]
    if unknown:
        return {"problem": f"{', '.join(unknown)} is never written"}
    try:
        return {"record": module.record((published, theirs.archive), (rebuilt, ours.archive), names)}
    except (UnwritableError, UnreadableError) as refusal:
        return {"problem": str(refusal)}
