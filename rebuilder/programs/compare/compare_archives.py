"""``compare_archives PUBLISHED REBUILT --result PATH``: write how two archives compare as JSON.

The result has the fields ``level``, ``normalisations``, ``differences``, ``differences_total`` and ``problem`` of
``rebuilder.model.comparison.Comparison``; of equivalent archives also ``record`` or ``unwritable``: what of the
published metadata can be written anew into the rebuilt one.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import zlib
from collections.abc import Collection
from typing import IO, Any

from rebuilder.programs.answer import answered
from rebuilder.programs.archive import replay_tar, replay_zip
from rebuilder.programs.archive.contradictions import contradictions
from rebuilder.programs.archive.deb import DebArchive
from rebuilder.programs.archive.landing import same_files
from rebuilder.programs.archive.normalise_search import normalised, rules_for, smallest_set
from rebuilder.programs.archive.opening import read_archive
from rebuilder.programs.archive.reading import Entry, UnreadableError, UnwritableError
from rebuilder.programs.archive.zip import ZipArchive
from rebuilder.programs.compare import elf_sections
from rebuilder.programs.compare.differences import (
    Found,
    by_key,
    content_change,
    content_differences,
    first_difference,
    metadata_differences,
)

SHOWN = 500
"""Most differences handed back."""
LOOK_BYTES = 1 << 19
"""How far into a member the first difference is looked for."""
LOOK_LIST_BYTES = 4 << 20
"""The same of the list of files in a wheel, whose rows say little before the last of them is read."""
LOOK_TOTAL = 24 << 20
"""How many bytes of members are looked into altogether, on each side."""
GZIP, GZIP_HEAD = b"\x1f\x8b\x08", 10
"""How a gzip file begins, and how many bytes its header has (RFC 1952)."""
LOOK_CLOSELY = 48
"""Of how many members several differing lines are handed back; of the others it is one or two."""


def main(argv: list[str]) -> int:
    """Compare the two archives; 0 whatever the result."""
    parser = argparse.ArgumentParser(prog="compare_archives")
    parser.add_argument("published", metavar="PUBLISHED")
    parser.add_argument("rebuilt", metavar="REBUILT")
    return answered(parser, argv, lambda given: compare(given.published, given.rebuilt))


def compare(published_path: str, rebuilt_path: str) -> dict[str, Any]:
    """Compare two files; gives the document described at the top of this module."""
    if filecmp.cmp(published_path, rebuilt_path, shallow=False):
        return _document("identical")
    published, rebuilt = read_archive(published_path), read_archive(rebuilt_path)
    for side, reading in (("published", published), ("rebuilt", rebuilt)):
        if not reading.readable:
            return _document(
                "different", problem=f"The {side} file cannot be read as an archive. {reading.problems[0]}"
            )
    if published.format != rebuilt.format:
        problem = f"The published file is of format {published.format}, the rebuilt file of format {rebuilt.format}."
        return _document("different", problem=problem)
    if published.archive == rebuilt.archive:
        # The values account for every byte, so this cannot be; if it is, our reader is wrong, and equal it is not.
        problem = "The files differ in bytes that the reader of archives does not account for."
        return _document("different", problem=problem)
    return _judged((published_path, rebuilt_path), (published.archive, rebuilt.archive))


def _judged(paths: tuple[str, str], archives: tuple[Any, Any]) -> dict[str, Any]:
    """The document for two archives of one format that are not the same."""
    for side, archive in zip(("published", "rebuilt"), archives):  # noqa: B905 - Python 3.9
        contradiction = contradictions(archive)
        if contradiction:
            problem = f"Readers disagree about what the {side} file holds. {contradiction[0]}"
            return _document("different", _content(paths, archives), problem=problem)
    needed = smallest_set(*archives)
    if needed is None:
        return _document("different", _content(paths, archives))
    if not same_files(*archives):
        # No normalisation touches what is installed, so this cannot be; if it is, one of them is wrong.
        problem = "Installers would not put the same files on disk, although only metadata seems to differ."
        return _document("different", problem=problem)

    document = _document("equivalent", metadata_differences(*archives), normalisations=needed)
    return {**document, **_recorded(paths, archives, needed)}


def _content(paths: tuple[str, str], archives: tuple[Any, Any]) -> list[Found]:
    """What remains when all metadata is set aside, with a closer look at the first contents that differ."""
    rules = rules_for(archives[0])
    published, rebuilt = (normalised(each, rules, rules) for each in archives)
    sides = [by_key(each) for each in archives]
    found = _smallest_first(content_differences(published, rebuilt, archives), sides)
    wanted = _worth_a_look(found, sides)
    if not wanted:
        return found
    left, right = (_contents(path, archive, wanted) for path, archive in zip(paths, archives))  # noqa: B905
    looked = 0
    for index in sorted(range(len(found)), key=lambda index: _size(found[index], sides)):
        each, key = found[index], found[index].key
        if key is None or key not in wanted or each.change != "content":
            continue
        whole = all(side[key][1].size <= _look_bytes(each.member) for side in sides)
        closely = looked < LOOK_CLOSELY
        theirs, ours, unpacked = left[key], right[key], ""
        if whole and closely:
            theirs, ours, unpacked = _without_gzip(theirs, ours)
        where = unpacked + first_difference(theirs, ours, whole=whole)
        change = content_change(theirs, ours, whole=whole, most=12 if closely else 2)
        found[index] = each._replace(detail=f"{each.detail} {where}", content=change)
        looked += 1
    compiled = {key for key in wanted if all(side[key].startswith(elf_sections.MAGIC) for side in (left, right))}
    return _with_sections(found, compiled, paths) if compiled else found


def _without_gzip(published: bytes, rebuilt: bytes) -> tuple[bytes, bytes, str]:
    """What is compressed in two members, where only that differs, and a word for it; otherwise the members."""
    if not published.startswith(GZIP) or published[:GZIP_HEAD] != rebuilt[:GZIP_HEAD]:
        return published, rebuilt, ""
    plain = []
    for each in (published, rebuilt):
        stream = zlib.decompressobj(31)
        try:
            plain.append(stream.decompress(each, LOOK_BYTES))
        except zlib.error:
            return published, rebuilt, ""
        if not stream.eof or stream.unused_data:
            return published, rebuilt, ""
    if plain[0] == plain[1]:
        return published, rebuilt, ""
    return plain[0], plain[1], "Decompressed: "


def _with_sections(found: list[Found], compiled: Collection[Any], paths: tuple[str, str]) -> list[Found]:
    """The differences, with what of compiled files differs, section by section."""
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        left, right = (_extracted(path, compiled, os.path.join(directory, str(at))) for at, path in enumerate(paths))
        result = []
        for each in found:
            here = each.change == "content" and each.key in left and each.key in right
            told = elf_sections.described(left[each.key], right[each.key]) if here else None
            result.append(each._replace(detail=f"{each.detail} {told}") if told else each)
    return result


def _extracted(path: str, wanted: Collection[Any], directory: str) -> dict[Any, str]:
    """Some members, each in a file of a name of ours; of those of one name, the first."""
    os.mkdir(directory)
    found: dict[Any, str] = {}

    def receive(entry: Entry) -> IO[bytes] | None:
        key = (os.fsencode(entry.name), 0)
        if key not in wanted or key in found:
            return None
        found[key] = os.path.join(directory, str(len(found)))
        return open(found[key], "wb")

    read_archive(path, raw=False, receive=receive)
    return found


def _smallest_first(found: list[Found], sides: list[Any]) -> list[Found]:
    """The differences in the same order; where there are too many, those in the smallest members before the others.

    What says most about a build is small, and what says least is large.
    """
    if len(found) <= SHOWN:
        return found
    order = sorted(range(len(found)), key=lambda index: (_size(found[index], sides), index))
    kept = set(order[:SHOWN])
    return [*(found[index] for index in sorted(kept)), *(found[index] for index in order[SHOWN:])]


def _look_bytes(name: str) -> int:
    return LOOK_LIST_BYTES if name.endswith(".dist-info/RECORD") else LOOK_BYTES


def _size(found: Found, sides: list[Any]) -> int:
    return max((side[found.key][1].size for side in sides if found.key in side), default=0)


def _worth_a_look(found: list[Found], sides: list[Any]) -> set[Any]:
    """Members to look into: the smallest ones, up to a total size."""
    wanted, total = set(), 0
    for each in sorted(found[:SHOWN], key=lambda each: _size(each, sides)):
        if each.change != "content" or each.key is None:
            continue
        total += max(min(side[each.key][1].size, _look_bytes(each.member)) for side in sides)
        if total > LOOK_TOTAL:
            break
        wanted.add(each.key)
    return wanted


def _contents(path: str, archive: Any, wanted: Collection[Any]) -> dict[Any, bytes]:
    """Beginnings of members, read from the archive a second time."""
    places = {index: key for key, (index, _member) in by_key(archive).items() if key in wanted}
    reading = read_archive(path, lambda index, name: _look_bytes(name) if index in places else 0, raw=False)
    return {key: reading.contents.get(index, b"") for index, key in places.items()}


def _document(
    level: str, found: list[Found] | None = None, normalisations: tuple[str, ...] = (), problem: str | None = None
) -> dict[str, Any]:
    found = found or []
    return {
        "level": level,
        "normalisations": list(normalisations),
        "differences": [each.document() for each in found[:SHOWN]],
        "differences_total": len(found),
        "problem": problem,
    }


def _recorded(paths: tuple[str, str], archives: tuple[Any, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The record of two archives, equal under these normalisations: see ``replay_zip`` and ``replay_tar``.

    It is ``{"record": …}``, or ``{"unwritable": …}`` with the end of a sentence.
    """
    if isinstance(archives[1], DebArchive):
        return {"unwritable": "nothing is written into finished packages of Debian"}
    module = replay_zip if isinstance(archives[1], ZipArchive) else replay_tar
    unknown = [name for name in names if name not in module.FIELDS]
    if unknown:
        return {"unwritable": f"{', '.join(unknown)} is never written"}
    try:
        return {"record": module.record((paths[0], archives[0]), (paths[1], archives[1]), list(names))}
    except (UnwritableError, UnreadableError) as refusal:
        return {"unwritable": str(refusal)}
