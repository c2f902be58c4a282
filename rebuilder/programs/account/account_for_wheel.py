"""``account_for_wheel WHEEL [SOURCE] [--built WHEEL] --filename NAME --result PATH``: account for every member.

The result is ``{"members": [MemberAccount, …], "remarks": [SENTENCE, …], "problem": SENTENCE}`` (see
``rebuilder.model.accounting``). Nothing of the wheel is run, and nothing but its members is read for this: the source
archive, and the wheel that building that archive without a compiler gave, where there is one.

That the content is the source's is not enough for what is executed: a file of the tests, put at the top as
``sitecustomize.py``, would run whenever Python starts. So a member counts as the source's where a build would put it.
"""

from __future__ import annotations

import argparse
import hashlib
import posixpath
from collections import Counter
from collections.abc import Iterable
from typing import Any

from rebuilder.programs.account.compiled import check_compiled
from rebuilder.programs.account.dist_info import (
    check_directory,
    check_entry_points,
    check_metadata,
    check_others,
    check_record,
    check_wheel_file,
)
from rebuilder.programs.account.generated import (
    cached_module,
    fills_template,
    is_bindings_package,
    is_never_loaded,
    is_version_file,
    without_delvewheel,
)
from rebuilder.programs.account.members import (
    COMPILED,
    DATA,
    METADATA,
    PYTHON,
    QUOTED,
    SCRIPT,
    STARTUP,
    SourceFiles,
    WheelMember,
    look_into,
    read_source,
    read_texts,
    read_wheel,
)
from rebuilder.programs.answer import answered
from rebuilder.programs.archive.reading import examples

_TEXTS = (PYTHON, STARTUP, SCRIPT, DATA, METADATA)
_WHY = {
    PYTHON: "The source archive has no such Python file.",
    STARTUP: "The source archive has no such file, and Python runs it whenever it starts.",
    SCRIPT: "The source archive has no such script.",
}
_LOADED = (
    ".zip",
    ".whl",
    ".egg",
    ".pyz",
    ".jar",
    ".pkl",
    ".pickle",
    ".joblib",
    ".js",
    ".mjs",
    ".cjs",
    ".lua",
    ".pl",
    ".rb",
)
"""Ends of the names of files that are run once something opens them: accused where the source has another in place."""
_MOST_TOLD = 20
"""Changed files whose lines are told."""
_TEMPLATES = (".in", ".tmpl", ".template", ".tpl")


def main(argv: list[str]) -> int:
    """Account for the members of the wheel; 0 whatever was found."""
    parser = argparse.ArgumentParser(prog="account_for_wheel")
    parser.add_argument("wheel", metavar="WHEEL")
    parser.add_argument("source", metavar="SOURCE", nargs="?")
    parser.add_argument("--built", metavar="WHEEL", help="what building the source without a compiler gave")
    parser.add_argument("--filename", required=True, help="under which the wheel is published")
    return answered(parser, argv, lambda given: account(given.wheel, given.source, given.built, given.filename))


_Landing = tuple[str, str]


def _landing(member: WheelMember) -> _Landing:
    """Scheme and path that a member is installed to."""
    return ("platlib" if member.scheme == "purelib" else member.scheme), member.path


def account(wheel: str, source: str | None, built: str | None, filename: str) -> dict[str, Any]:
    """Account for the members of a wheel; gives the document described at the top of this module."""
    members, problem = read_wheel(wheel)
    if problem is not None:
        return {"members": [], "remarks": [], "problem": f"The wheel cannot be read. {problem}"}
    if source is None:
        for each in members:
            each.how = "listed"
        return _document(members, [])
    files, problem = read_source(source)
    if problem is not None:
        return {"members": [], "remarks": [], "problem": f"The source archive cannot be read. {problem}"}
    made = {_landing(each): each.sha256 for each in read_wheel(built)[0]} if built is not None else {}
    remarks = _account(wheel, members, files, made, filename)
    _tell_lines(source, members)
    return _document(members, remarks)


def _account(
    wheel: str, members: list[WheelMember], source: SourceFiles, made: dict[_Landing, str], filename: str
) -> list[str]:
    places = Places(source, members)
    for each in members:
        if each.astray:
            each.accuse("It is no plain file, or some systems install it under another name.")
            continue
        if each.kind == METADATA:
            _same_as_egg_info(each, source)
        else:
            places.find(each)
        if (
            each.how != "source"
            and made.get(_landing(each)) == each.sha256
            and not _is_metadata(each, "RECORD", "WHEEL")
        ):
            each.settle("built")
    by_path = {each.path: each for each in members}
    for each in members:
        module = by_path.get(cached_module(each.path) or "")
        if not each.how and module is not None and is_never_loaded(each.head, module.seconds):
            detail = "Byte code that names another time than its module has: Python compiles the module instead."
            each.settle("derived", source=module.name, rule="stale-byte-code", detail=detail)
    settled = {"source", "built", "derived"}
    open_ones = [each for each in members if each.how not in settled and each.kind in _TEXTS and not each.astray]
    look_into(wheel, open_ones)
    for each in open_ones:
        if each.content is not None:
            _look(each, places, source, made)
    check_compiled(wheel, members, source, filename.partition("-")[0])
    check_directory(members, filename)
    check_entry_points(members, source)
    remark = check_metadata(members, source)
    check_wheel_file(members, filename)
    check_others(members)
    for each in members:
        if not each.how and each.kind in _WHY:
            each.accuse(_WHY[each.kind])
        elif not each.how and each.kind == DATA and each.path.lower().endswith(_LOADED) and places.in_place(each):
            each.accuse("It is run once something opens it, and the source archive has another file in its place.")
    check_record(members)
    return [remark] if remark is not None else []


def _tell_lines(path: str, members: list[WheelMember]) -> None:
    """Add to what accuses a changed file the first lines that are only on one side; the source is read for that."""
    changed = [each for each in members if each.accuses and each.beside][:_MOST_TOLD]
    texts = read_texts(path, (each.beside for each in changed)) if changed else {}
    for each in changed:
        theirs, ours = (
            [line.strip() for line in text.decode("utf-8", "backslashreplace").splitlines()]
            for text in (each.content or b"", texts.get(each.beside, b""))
        )
        for side, lines, others in (("wheel", theirs, set(ours)), ("source", ours, set(theirs))):
            only = [line for line in lines if line and line not in others]
            if only:
                each.detail += f" Only in the {side}: {examples(only, 2)}."


def _look(member: WheelMember, places: Places, source: SourceFiles, made: dict[_Landing, str]) -> None:
    """Account for a member by what is in it."""
    content = member.content or b""
    if (other := _with_other_ends(content)) is not None:
        text, detail = other
        digest = hashlib.sha256(text).hexdigest()
        if made.get(_landing(member)) == digest:
            member.settle("built", detail=detail)
            return
        path = places.of_text(digest, member) if member.kind != METADATA else _any(source, digest)
        if path is not None:
            member.settle("line-ends", source=path, detail=detail)
            return
    if member.kind == DATA and not content.strip():
        member.settle("derived", rule="empty-file", detail="It is empty.")
    if member.kind != PYTHON or _follows(member, content, places, source):
        return
    beside = places.in_place(member)
    if beside is not None:
        member.beside = beside
        member.accuse(f"The source archive has {beside} in its place, which is another file.")


def _with_other_ends(content: bytes) -> tuple[bytes, str] | None:
    """A text as it was before all its line ends were changed, and how they were; None where they are of both kinds."""
    pairs, lines = content.count(b"\r\n"), content.count(b"\n")
    if lines == 0 or content.count(b"\r") != pairs or pairs not in {0, lines}:
        return None
    if pairs:
        return content.replace(b"\r\n", b"\n"), "With CRLF for every LF."
    return content.replace(b"\n", b"\r\n"), "With LF for every CRLF."


def _follows(member: WheelMember, content: bytes, places: Places, source: SourceFiles) -> bool:
    """Account for a Python file by a rule; gives whether one holds."""
    lacks = places.in_place(member) is None
    if lacks and not content.strip():
        member.settle("derived", rule="empty-module", detail="It is empty.")
    elif is_version_file(member.path if lacks else "", content):
        detail = "It only assigns plain values: names of versions, dates, commits."
        member.settle("derived", rule="version-file", detail=detail)
    elif lacks and is_bindings_package(member.path, content):
        member.settle("derived", rule="bindings-package", detail="It only hands on the compiled module of its name.")
    else:
        for before in without_delvewheel(content.replace(b"\r\n", b"\n")):
            path = places.of_text(hashlib.sha256(before).hexdigest(), member)
            if path is not None or (lacks and not before.strip()):
                detail = "delvewheel had it add the directory of the libraries that it copied in; nothing else is new."
                member.settle("derived", source=path or "", rule="delvewheel-patch", detail=detail)
        for path, text in source.texts.items():
            if not path.endswith(_TEMPLATES) or not places.may_lie(path.rpartition(".")[0], member):
                continue
            if fills_template(text, content):
                member.settle("derived", source=path, rule="filled-template", detail="Only values in it are new.")
    return member.how == "derived"


def _same_as_egg_info(member: WheelMember, source: SourceFiles) -> None:
    """Account for what setuptools wrote into the source archive too, and for texts of licences."""
    name = member.name.partition("/")[2]
    if name in {"RECORD", "WHEEL", "METADATA"}:
        return
    for path in source.by_sha256.get(member.sha256, ()):
        if name == "entry_points.txt" and path not in dict(source.egg_info(name)):
            continue
        if path.rpartition("/")[2] == name.rpartition("/")[2]:
            member.settle("source", source=path)
            return


def _is_metadata(member: WheelMember, *names: str) -> bool:
    return member.kind == METADATA and member.name.partition("/")[2] in names


def _any(source: SourceFiles, sha256: str) -> str | None:
    return next(iter(source.by_sha256.get(sha256, ())), None)


def _document(members: list[WheelMember], remarks: list[str]) -> dict[str, Any]:
    return {"members": [each.document() for each in members], "remarks": remarks, "problem": None}


_USUAL_ROOTS = {"", "src", "lib", "python"}
"""Directories of packages that build backends find by themselves or that are written down the same everywhere."""

_NO_ROOTS = {"test", "tests", "testing", "example", "examples", "doc", "docs", "bench", "benchmarks"}
"""Directories with these in their path hold no packages, however many of their files were put into the wheel."""


class Places:
    """Where files of a source may go."""

    def __init__(self, source: SourceFiles, members: Iterable[WheelMember]) -> None:
        """Find the directories that hold packages; ``members`` are those of the wheel."""
        self._source = source
        self._named = _named_paths(source)
        python = [each for each in members if each.kind == PYTHON]
        prefixes = Counter(
            prefix for each in python for prefix in {_prefix(path, each.path) for path in self._same(each)} - {None}
        )
        most = [prefix for prefix, number in prefixes.items() if prefix is not None and 2 * number >= len(python)]
        self._roots = _USUAL_ROOTS | {each for each in most if not _NO_ROOTS & set(each.split("/"))}
        placed = (each for each in python if any(_prefix(path, each.path) in self._roots for path in self._same(each)))
        self._packages = {each.path.partition("/")[0] for each in placed} | self._named

    def find(self, member: WheelMember) -> None:
        """Account for a member that is a file of the source; one that is executed must lie in its place, too."""
        candidates = self._same(member)
        if not candidates:
            return
        if member.kind in {DATA, COMPILED}:
            member.settle("source", source=max(candidates, key=lambda each: _likeness(each, member.path)))
            return
        placed = [each for each in candidates if self.may_lie(each, member)]
        if placed:
            member.settle("source", source=max(placed, key=lambda each: _likeness(each, member.path)))
        else:
            best = max(candidates, key=lambda each: _likeness(each, member.path))
            member.accuse(f"It is the file {best} of the source archive, which nothing in the source puts here.")

    def of_text(self, sha256: str, member: WheelMember) -> str | None:
        """The path of the source file with this digest that belongs in the place of a member."""
        placed = [each for each in self._source.by_sha256.get(sha256, ()) if self.may_lie(each, member)]
        return max(placed, key=lambda each: _likeness(each, member.path), default=None)

    def in_place(self, member: WheelMember) -> str | None:
        """The file of the source that belongs in the place of a member, whatever it holds."""
        roots = sorted(self._roots, key=len)
        found = (f"{root}/{member.path}" if root else member.path for root in roots)
        return next((path for path in found if path in self._source.by_path), None)

    def _same(self, member: WheelMember) -> list[str]:
        return self._source.by_sha256.get(member.sha256, []) if member.size else self._empty(member)

    def _empty(self, member: WheelMember) -> list[str]:
        """Files without content are many: one of the same name is looked for."""
        every, name = self._source.by_sha256.get(member.sha256, []), posixpath.basename(member.path)
        return [each for each in every if posixpath.basename(each) == name]

    def may_lie(self, path: str, member: WheelMember) -> bool:
        """Whether a build may put the source file at ``path`` where a member is."""
        prefix, same_name = _prefix(path, member.path), posixpath.basename(path) == posixpath.basename(member.path)
        if member.scheme == "scripts" or member.kind == SCRIPT:
            return same_name and (path in self._named or (member.scheme != "scripts" and prefix is not None))
        if member.kind == STARTUP:
            return prefix in _USUAL_ROOTS
        if member.kind == DATA or prefix in self._roots or not same_name:
            return same_name
        if member.scheme == "data":
            return prefix in self._named
        if "/" not in member.path:
            return prefix in self._named and member.path.partition(".")[0] in self._named
        # A package under another name, or one that is copied in: nothing else of the source belongs here.
        package = member.path.partition("/")[0]
        return prefix in self._named or (package in self._packages and self.in_place(member) is None)


def _prefix(path: str, place: str) -> str | None:
    """What stands before a place in a path of the source; None when the path does not end with it."""
    if path == place:
        return ""
    return path[: -len(place) - 1] if path.endswith(f"/{place}") else None


def _likeness(path: str, place: str) -> tuple[int, int, str]:
    left, right = path.split("/")[::-1], place.split("/")[::-1]
    shorter = min(len(left), len(right))
    same = next((number for number in range(shorter) if left[number] != right[number]), shorter)
    return same, -len(path), path


def _named_paths(source: SourceFiles) -> set[str]:
    """Paths that stand between quotes in the files that say how the source is built."""
    found: set[str] = set()
    for text in source.texts.values():
        for quoted in QUOTED.findall(text.decode("utf-8", "replace")):
            path = posixpath.normpath(quoted)
            if path in source.by_path or "/" in path or path.isidentifier():
                found.add(path)
    return found
