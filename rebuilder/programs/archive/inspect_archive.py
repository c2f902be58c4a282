"""``inspect_archive FILE… --result PATH [--text GLOB…] [--text-bytes N]``: write what archives hold as JSON.

The result is ``{"archives": [Inspection, …]}`` in the order of the arguments (see ``rebuilder.model.evidence``).
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import re
from typing import Any

from rebuilder.programs.archive.contradictions import contradictions
from rebuilder.programs.archive.opening import read_archive
from rebuilder.programs.archive.reading import Keep, shown

TEXT_BYTES = 1 << 20
"""Longest text handed back unless another length is asked for; longer ones are cut, which ``problems`` says."""
TEXTS = 200
"""Most texts handed back per archive."""


def main(argv: list[str]) -> int:
    """Inspect the archives named by the arguments; 0 whatever was found in them."""
    parser = argparse.ArgumentParser(prog="inspect_archive")
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--result", required=True, metavar="PATH")
    parser.add_argument("--text", nargs="*", action="extend", default=[], metavar="GLOB")
    parser.add_argument("--text-bytes", type=int, default=TEXT_BYTES, metavar="N")
    arguments = parser.parse_args(argv)
    documents = [inspect(path, arguments.text, arguments.text_bytes) for path in arguments.files]
    with open(arguments.result, "w", encoding="utf-8") as file:
        json.dump({"archives": documents}, file)
    return 0


def inspect(path: str, globs: list[str], longest: int = TEXT_BYTES) -> dict[str, Any]:
    """Read one archive; gives the document of an ``Inspection``.

    Args:
        path: The file.
        globs: Members whose text to hand back; ``*`` matches slashes too, as in :mod:`fnmatch`.
        longest: Bytes of the longest text.
    """
    reading = read_archive(path, _keep(globs, longest), raw=False)
    members = reading.archive.members if reading.archive else ()
    texts: dict[str, str] = {}
    problems = list(reading.problems)
    for index, content in sorted(reading.contents.items()):
        name = members[index].name if index < len(members) else ""
        if len(content) > longest:
            problems.append(f"“{shown(name)}” is longer than {longest:,} bytes; only its beginning was read as text.")
        texts[name] = content[:longest].decode("utf-8", "backslashreplace")
    return {
        "format": reading.format,
        "members": [{name: value for name, value in each.listing().items() if value is not None} for each in members],
        "texts": texts,
        "problems": problems,
        "contradictions": list(contradictions(reading.archive)) if reading.readable else [],
        "readable": reading.readable,
    }


def _keep(globs: list[str], longest: int) -> Keep:
    if not globs:
        return lambda _index, _name: 0
    pattern = re.compile("|".join(fnmatch.translate(each) for each in globs))
    kept: set[int] = set()

    def keep(index: int, name: str) -> int:
        if len(kept) >= TEXTS or not pattern.match(name):
            return 0
        kept.add(index)
        return longest + 1

    return keep
