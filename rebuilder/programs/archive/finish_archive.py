"""``finish_archive --rebuilt PATH --record PATH --out PATH``: write recorded metadata into a finished archive.

The published file is not here, and no code of a build is. What was written is read again: unless the result equals
the rebuilt archive under the normalisations that the record names, nothing is left.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

from rebuilder.programs.archive import replay_tar, replay_zip
from rebuilder.programs.archive.contradictions import contradictions
from rebuilder.programs.archive.normalise_search import normalised, rules_for
from rebuilder.programs.archive.opening import read_archive
from rebuilder.programs.archive.reading import UnreadableError, UnwritableError
from rebuilder.programs.archive.zip import ZipArchive

REFUSED = 65


def main(argv: list[str]) -> int:
    """Run the program: 0, or 65 with a sentence when nothing was written."""
    parser = argparse.ArgumentParser(prog="finish_archive")
    parser.add_argument("--rebuilt", required=True)
    parser.add_argument("--record", required=True)
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args(argv)
    try:
        _finish(arguments.rebuilt, arguments.record, arguments.out)
    except (UnwritableError, UnreadableError, ValueError, KeyError, TypeError, AttributeError) as refusal:
        if os.path.exists(arguments.out):
            os.unlink(arguments.out)
        print(f"finish_archive: {refusal}", file=sys.stderr)
        return REFUSED
    return 0


def _finish(rebuilt: str, record: str, out: str) -> None:
    """Write the finished archive to ``out``."""
    with open(record, encoding="utf-8") as file:
        document = json.load(file)
    before = read_archive(rebuilt)
    module = replay_zip if isinstance(before.archive, ZipArchive) else replay_tar
    if not before.readable or before.format == "deb" or document["format"] != before.format:
        raise UnwritableError(f"the rebuilt file is no {document['format']!r} archive")
    if document["members"] != len(before.archive.members):
        raise UnwritableError("the record is of another archive")
    with open(out, "wb") as written:
        module.write(rebuilt, before.archive, document, written)
    after, names, rules = read_archive(out), list(document["values"]), rules_for(before.archive)
    if not after.readable or normalised(after.archive, names, rules) != normalised(before.archive, names, rules):
        raise UnwritableError(f"more than {', '.join(names)} would be written")
    if contradictions(after.archive) != contradictions(before.archive):
        raise UnwritableError("readers would disagree about what was written")
