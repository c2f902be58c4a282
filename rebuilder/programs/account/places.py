"""Whether a member is a file of the source, and lies where a build of that source would put it.

That the content is the source's is not enough for what is executed: a file of the tests, put at the top as
``sitecustomize.py``, would run whenever Python starts.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterable

from rebuilder.programs.account.members import COMPILED, DATA, PYTHON, QUOTED, SCRIPT, STARTUP, SourceFiles, WheelMember

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
