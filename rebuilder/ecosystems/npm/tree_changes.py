"""What a tarball holds beyond the commit that it is said to come from: known before anything is built.

Every file that lies in the commit with the same content is settled. The others are listed, what runs by itself first:
install scripts, commands, compiled code. Whether a build makes them is shown by building.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rebuilder.ecosystems.npm.origin import Placed, Release, place
from rebuilder.ecosystems.npm.tarball import MANIFEST, TarballFile, read_manifest, scripts_of
from rebuilder.model.attempt import Attempt
from rebuilder.model.comparison import Level, MemberChange
from rebuilder.model.git import BlobSearch, CommitFiles
from rebuilder.model.graph import FileChange, SourceCommit, TreeChange
from rebuilder.model.text import visible
from rebuilder.network.protocol import Sources
from rebuilder.programs.account.list_tarball import below

ELSEWHERE = "Other commits of the repository have this content, not this one."
NOWHERE = "No commit of the repository has this content: a build made it, or somebody added it."
"""What is known of files that the commit has not got, after a search of the history."""
_INSTALL = ("preinstall", "install", "postinstall")
"""Scripts that npm runs where a package is installed (https://docs.npmjs.com/cli/using-npm/scripts)."""
_GYP = "binding.gyp"
"""With it and without an install script, npm runs node-gyp."""
_WORD = re.compile(r"[^\s'\"`;&|()<>]+")
_CODE = (".js", ".cjs", ".mjs", ".jsx", ".ts", ".cts", ".mts", ".wasm", ".json")
_MOST_FIELDS = 12
_MADE = ("built", "A build from the commit made it here, with the same content.")
_MOST_SEARCHED = 2_000
"""Files that are looked for in the history; those that somebody must look at soonest of more."""


@dataclass(frozen=True)
class _Roles:
    """What package.json has run."""

    installed: Mapping[str, str]
    """Path to the script that names it."""
    commands: frozenset[str]

    @classmethod
    def of(cls, package: Mapping[str, Any], paths: frozenset[str]) -> _Roles:
        """Read it; hostile."""
        installed = {path: name for name, text in _scripts(package) for path in _named(text, paths)}
        if _GYP in paths and not {"install", "preinstall"} & {name for name, _ in _scripts(package)}:
            installed[_GYP] = "node-gyp"
        commands = package.get("bin")
        values = commands.values() if isinstance(commands, dict) else [commands]
        named = {posixpath.normpath(each) for each in values if isinstance(each, str) and len(each) < 1000}
        return cls(installed, frozenset(named))

    def rank(self, file: TarballFile) -> int:
        """How soon somebody has to look at a file that nothing accounts for; 0 first."""
        ranks = (file.path in self.installed, file.path in self.commands, file.compiled, _is_code(file))
        return next((number for number, holds in enumerate(ranks) if holds), len(ranks))

    def words(self, file: TarballFile) -> str:
        """What it is to who installs it, as a sentence with a space behind it; empty for most."""
        if (script := self.installed.get(file.path)) is not None:
            return f"Run when the package is installed ({script}). "
        if file.path in self.commands:
            return "Installed as a command. "
        return "Compiled code. " if file.compiled else ""


def made_here(release: Release, filename: str, attempts: Sequence[Attempt]) -> frozenset[str]:
    """The files of the tarball that a build from the commit gave with the same content, and in the same place.

    Args:
        release: The tarball.
        filename: Its name.
        attempts: All that were made; the one that came nearest counts, if all of its differences were kept.
    """
    compared = [
        each.comparison
        for each in attempts
        if each.comparison is not None and each.hypothesis.target == filename and each.comparison.problem is None
    ]
    whole = [
        each
        for each in compared
        if each.differences_total <= len(each.differences) and (each.differences or each.level is not Level.DIFFERENT)
    ]
    if not whole or release.tarball is None:
        return frozenset()
    nearest = min(whole, key=lambda each: (each.level is Level.DIFFERENT, each.differences_total))
    differing = {below(each.member) for each in nearest.differences if each.change not in _NO_CONTENT}
    once = {path for path, number in Counter(each.path for each in release.tarball.files).items() if number == 1}
    return frozenset(once - differing)


_NO_CONTENT = {MemberChange.ADDED, MemberChange.METADATA}
"""Changes that say nothing about a member of the published file."""


def tarball_changes(
    release: Release, commit: SourceCommit, sources: Sources, made: frozenset[str] = frozenset()
) -> tuple[FileChange, ...]:
    """Compare; see :meth:`rebuilder.ecosystems.protocol.Ecosystem.tree_changes`.

    What the commit has and the tarball leaves out is not listed: packages leave out most of a repository.

    Raises:
        UnavailableError, StoreError: see :meth:`Sources.commit`.
    """
    origin, tarball = commit.origin, release.tarball
    if tarball is None or origin.commit is None:
        return ()
    files = sources.files(origin.repository, origin.commit, texts=MANIFEST)
    placed = place(release, files, origin.directory) if isinstance(files, CommitFiles) else None
    if placed is None or not isinstance(files, CommitFiles):
        return ()
    roles = _Roles.of(tarball.package, frozenset(tarball.installed))
    found = [(0, each) for each in _line_ends(release, files, placed)]
    left = {path: file for path, file in tarball.installed.items() if path not in placed.equal}
    if left:
        order = sorted(
            (each for path, each in left.items() if path not in made),
            key=lambda file: (roles.rank(file), file.path.count("/"), file.path),
        )
        wanted = {file.path: file.blob for file in order[:_MOST_SEARCHED]}
        history = sources.holders(origin.repository, wanted) if wanted else None
        known = _Known(release, files, placed, wanted, history if isinstance(history, BlobSearch) else None)
        twins = Counter(file.path.casefold() for file in tarball.files)
        same = Counter(file.path for file in tarball.files)
        for path, file in left.items():
            change = TreeChange.CHANGED if path in placed.other else TreeChange.ADDED
            rule, sentence = _MADE if path in made else known.of(file)
            told = f"{roles.words(file)}{sentence}{_twins(same[path], twins[path.casefold()])}".strip()
            found.append((roles.rank(file), FileChange(path=path, change=change, rule=rule, sentence=told or None)))
    found.sort(key=lambda each: (each[1].rule is not None, each[0], each[1].path))
    return tuple(each for _, each in found)


def _line_ends(release: Release, files: CommitFiles, placed: Placed) -> Iterator[FileChange]:
    """Files that are equal but for CRLF in the place of every LF."""
    for path in placed.equal:
        file = release.tarball.installed[path] if release.tarball else None
        if file is not None and files.blobs.get(_there(placed, path)) != file.blob:
            sentence = "Only the line ends differ (CRLF against LF), as after a checkout on Windows."
            yield FileChange(path=path, change=TreeChange.CHANGED, rule="line-ends", sentence=sentence)


def _there(placed: Placed, path: str) -> str:
    return f"{placed.directory}/{path}" if placed.directory else path


@dataclass(frozen=True)
class _Known:
    """What is known of files that the commit does not have so."""

    _release: Release
    _files: CommitFiles
    _placed: Placed
    _searched: Mapping[str, str]
    """Path to git's name of the files that were looked for in the history."""
    _history: BlobSearch | None

    @cached_property
    def _places(self) -> dict[str, str]:
        """Git's name of a content to where the commit has it."""
        return {blob: path for path, blob in sorted(self._files.blobs.items(), reverse=True)}

    @cached_property
    def _seen(self) -> frozenset[str]:
        return frozenset(self._history.seen if self._history is not None else ())

    def of(self, file: TarballFile) -> tuple[str | None, str]:
        """The rule that explains a file, if one does; and what is known of it."""
        if file.path == MANIFEST and self._release.tarball is not None:
            return _manifest(self._release.tarball.package, self._files.texts.get(_there(self._placed, MANIFEST)))
        elsewhere = self._places.get(file.blob)
        if elsewhere is not None and not (_is_code(file) or file.compiled or file.script):
            return "copied", "The commit has this content in another place; it is no code."
        if elsewhere is not None:
            return None, f"The commit has this content as {visible(elsewhere, 120)}."
        if self._history is None or file.path not in self._searched:
            return None, ""
        if file.blob in self._seen:
            return None, ELSEWHERE
        return None, NOWHERE


def _manifest(published: Mapping[str, Any], text: str | None) -> tuple[str | None, str]:
    """In which fields package.json differs; what is run at installation first."""
    committed = read_manifest(text) if text is not None else None
    if committed is None:
        return None, ""
    fields = [_field(name, published, committed) for name in {**published, **committed}]
    differing = sorted((each for found in fields for each in found), key=lambda each: (each not in _FIRST, each))
    if not differing:
        return "manifest-order", "Fields and values are those of the commit; only how they are written differs."
    shown = ", ".join(visible(each, 60) for each in differing[:_MOST_FIELDS])
    more = f" and {len(differing) - _MOST_FIELDS:,} more" if len(differing) > _MOST_FIELDS else ""
    return None, f"It differs from that of the commit in {shown}{more}."


_FIRST = frozenset(f"scripts.{each}" for each in _INSTALL)


def _field(name: str, published: Mapping[str, Any], committed: Mapping[str, Any]) -> list[str]:
    """The names of what differs in a field; those of its parts for scripts and dependencies."""
    ours, theirs = published.get(name), committed.get(name)
    if ours == theirs and (name in published) == (name in committed):
        return []
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [f"{name}.{each}" for each in {**ours, **theirs} if ours.get(each) != theirs.get(each)]
    if isinstance(ours, dict) and name == "scripts":
        return [f"{name}.{each}" for each in ours]
    return [name]


def _twins(same: int, folded: int) -> str:
    """That other members land in the same place, on every file system or on some."""
    if same > 1:
        return " The tarball has several members of this path; the last one is installed."
    if folded > 1:
        return " Another member differs from it in nothing but the case of its name: some file systems keep only one."
    return ""


def _is_code(file: TarballFile) -> bool:
    return file.script or file.path.lower().endswith(_CODE)


def _scripts(package: Mapping[str, Any]) -> list[tuple[str, str]]:
    scripts = scripts_of(package)
    return [(name, scripts[name]) for name in _INSTALL if name in scripts]


def _named(text: str, paths: frozenset[str]) -> Iterator[str]:
    """The files that the words of a command name, as Node finds them."""
    for word in _WORD.findall(text[:10_000]):
        path = posixpath.normpath(word)
        yield from (each for each in (path, f"{path}.js", f"{path}/index.js") if each in paths)
