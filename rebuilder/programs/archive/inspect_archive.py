"""``inspect_archive FILE… --result PATH [--text GLOB…] [--text-bytes N]``: write what archives hold as JSON.

The result is ``{"archives": [Inspection, …]}`` in the order of the arguments (see ``rebuilder.model.evidence``).
"""

from __future__ import annotations

import argparse
import fnmatch
import re
from typing import Any

from rebuilder.programs.answer import answered
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
    parser.add_argument("--text", nargs="*", action="extend", default=[], metavar="GLOB")
    parser.add_argument("--text-bytes", type=int, default=TEXT_BYTES, metavar="N")
    return answered(
        parser,
        argv,
        lambda given: {"archives": [inspect(path, given.text, given.text_bytes) for path in given.files]},
    )


def inspect(path: str, globs: list[str], longest: int = TEXT_BYTES) -> dict[str, Any]:
    """Read one archive; gives the document of an ``Inspection``.

    ``globs`` are of members whose text to hand back; ``*`` matches slashes too, as in :mod:`fnmatch`.
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
