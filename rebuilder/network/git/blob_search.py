"""Which commits of a repository hold the most of some files: what names no commit is found by what it is made of.

Git names a file by a digest of its content, and a commit names all of its files. So a history without the content of
any file is enough: it is fetched so, and the changes of each commit to the wanted files alone are added up from the
first commit on (``git log --find-object``, gitdiffcore "pickaxe").
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from rebuilder.model.git import BlobSearch, Holder, SourceProblem, Trouble
from rebuilder.network.git.objects import read_object
from rebuilder.network.git.process import Git

MOST_WANTED = 4_000
"""Files that are looked for; of more, those nearest to the top."""
_MOST_COMMITS = 200_000
_MOST_BYTES = 128 << 20
"""Of what git prints about the history."""
_MOST_HOLDERS = 30
"""With the same number of files: the first and the last of more."""
_TAGS = "refs/rebuilder/tags/"
_FILE = re.compile(rb"100[0-7]{3} blob ([0-9a-f]{40})\t")
_RECORD = re.compile(rb":([0-7]{6}) ([0-7]{6}) ([0-9a-f]{40}) ([0-9a-f]{40}) [A-Z][0-9]*")


class _Change(NamedTuple):
    """What one commit does to one of the wanted blobs, against its first parent."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class _Wanted:
    """The files that are looked for."""

    paths: Mapping[str, Sequence[str]]
    """Blob to the paths that the files with this content have."""

    def files(self, path: str, blob: str | None) -> Iterable[str]:
        """Those that lie at this path of a repository, or would in one of its directories."""
        return (each for each in self.paths.get(blob or "", ()) if path == each or path.endswith(f"/{each}"))


def fetch_history(git: Git, most_bytes: int) -> SourceProblem | None:
    """Fetch what branches and tags reach, without the content of files; None when it is there.

    References of other kinds, such as those of pull requests, are left out: anybody can make them. The forms of commits
    and trees are not checked, as old programs wrote many that git refuses today, and with a filter git cannot be told
    which: nothing of such a history is checked out. The commit that is built from is fetched and checked by itself.

    Raises:
        GitStopped: a limit was reached.
    """
    done = git.fetch(
        ["+refs/heads/*:refs/rebuilder/heads/*", f"+refs/tags/*:{_TAGS}*"],
        *("--filter=blob:none", "--update-shallow", "--prune"),
        most_growth=most_bytes,
        settings=("-c", "fetch.fsckObjects=false"),
    )
    _forget_filter(git)
    return git.problem(done) if done.code else None


def _forget_filter(git: Git) -> None:
    """Git would ask a remote that filters for the content of the files that it is told to look for."""
    git.run("config", "--remove-section", "remote.source")


def search(
    git: Git, members: Mapping[str, str], also: Sequence[str], *, text: str | None = None
) -> BlobSearch | SourceProblem:
    """Search a repository that :func:`fetch_history` filled; see :meth:`rebuilder.network.protocol.Sources.holders`.

    Raises:
        GitStopped: a limit was reached.
        Unsound: what came is damaged.
    """
    order = git.run("rev-list", "--all", "--parents", "--topo-order", "--reverse", most_output=_MOST_BYTES)
    lines = [line.split() for line in order.output.decode("ascii", "replace").splitlines()]
    if order.code or not lines:
        return SourceProblem(trouble=Trouble.NO_COMMIT, sentence=f"{git.remote.shown} has no branches and no tags.")
    if len(lines) > _MOST_COMMITS:
        sentence = f"{git.remote.shown} has {len(lines):,} commits; up to {_MOST_COMMITS:,} are searched."
        return SourceProblem(trouble=Trouble.TOO_LARGE, sentence=sentence)
    nearest = sorted(members.items(), key=lambda each: (each[0].count("/"), each[0]))[:MOST_WANTED]
    paths: dict[str, list[str]] = {}
    for path, blob in nearest:
        paths.setdefault(blob, []).append(path)
    changes = _changes(git, paths)
    best, named = _added_up(lines, changes, _Wanted(paths), frozenset(also))
    told = [*best, *named]
    times, texts = _times(git, told), _texts(git, told, text) if text else {}

    def holder(sha: str, found: Iterable[str]) -> Holder:
        return Holder(commit=sha, committed_at=times[sha], files=tuple(sorted(found)), text=texts.get(sha))

    seen = {each for found in changes.values() for change in found for each in (change.before, change.after) if each}
    return BlobSearch(
        commits=len(lines),
        searched=len(nearest),
        holders=tuple(holder(sha, found) for sha, found in best.items()),
        named={sha: holder(sha, found) for sha, found in named.items()},
        seen=tuple(sorted(seen & paths.keys())),
    )


def _added_up(
    lines: Sequence[Sequence[str]], changes: Mapping[str, Sequence[_Change]], wanted: _Wanted, also: frozenset[str]
) -> tuple[dict[str, Counter[str]], dict[str, Counter[str]]]:
    """The commits with the most of the files and with one less, and those of ``also``; each with the files it has."""
    left = Counter(line[1] for line in lines if len(line) > 1)  # a state is kept until its last child is made of it
    states: dict[str, Counter[str]] = {}
    levels: dict[int, dict[str, Counter[str]]] = {}
    named: dict[str, Counter[str]] = {}
    most = 1
    for commit, *parents in lines:
        state = states.get(parents[0], Counter[str]()) if parents else Counter[str]()
        if parents:
            left[parents[0]] -= 1
            if not left[parents[0]]:
                states.pop(parents[0], None)
        if commit in changes:
            state = state.copy()
            for change in changes[commit]:
                state.subtract(wanted.files(change.path, change.before))
                state.update(wanted.files(change.path, change.after))
            state = +state
        if left[commit]:
            states[commit] = state
        most = max(most, len(state))
        if len(state) >= max(1, most - 1):
            levels.setdefault(len(state), {})[commit] = state
        if commit in also:
            named[commit] = state
    best: dict[str, Counter[str]] = {}
    for level in (most, most - 1):
        found = list(levels.get(level, {}).items())
        half = _MOST_HOLDERS // 2
        best |= dict(found if len(found) <= _MOST_HOLDERS else found[:half] + found[-half:])
    return best, named


def _changes(git: Git, wanted: Iterable[str]) -> dict[str, list[_Change]]:
    """Commit to what it does to the wanted blobs, as git tells it from trees alone."""
    done = git.run(
        *("log", "--all", "-z", "--raw", "--no-abbrev", "--no-renames", "--root", "--diff-merges=first-parent"),
        *("--format=%x01%H", *(f"--find-object={each}" for each in wanted)),
        most_output=_MOST_BYTES,
    )
    found: dict[str, list[_Change]] = {}
    for commit in done.output.split(b"\x01")[1:]:
        sha, _, rest = commit.partition(b"\0") if commit[40:41] == b"\0" else (commit[:40], b"", commit[40:])
        fields = rest.lstrip(b"\n\0").split(b"\0")
        for record, path in zip(fields[::2], fields[1::2], strict=False):
            if told := _RECORD.search(record):
                before = told[3].decode() if told[1].startswith(b"100") else None
                after = told[4].decode() if told[2].startswith(b"100") else None
                change = _Change(path.decode("utf-8", "backslashreplace"), before, after)
                found.setdefault(sha.decode(), []).append(change)
    return found


def _times(git: Git, commits: Sequence[str]) -> dict[str, datetime]:
    """When commits were made, as their committers say; what no calendar has is the beginning of time."""
    asked = "".join(f"{each}\n" for each in dict.fromkeys(commits)).encode()
    done = git.run("log", "--no-walk=unsorted", "--format=%H %ct", "--stdin", stdin=asked, most_output=_MOST_BYTES)
    found = dict.fromkeys(commits, datetime.fromtimestamp(0, UTC))
    for line in done.output.decode("ascii", "replace").splitlines():
        sha, _, seconds = line.partition(" ")
        if sha in found and seconds.isdigit() and int(seconds) < 1 << 36:
            found[sha] = datetime.fromtimestamp(int(seconds), UTC)
    return found


def _texts(git: Git, commits: Iterable[str], path: str) -> dict[str, str]:
    """What a file held at commits; its contents alone are fetched.

    Raises:
        GitStopped: a limit was reached.
        Unsound: what came is damaged.
    """
    if "\n" in path or not path.isprintable():
        return {}
    commits = list(dict.fromkeys(commits))
    names: dict[str, str] = {}
    for commit in commits:
        done = git.run("--literal-pathspecs", "ls-tree", "--full-tree", "-z", "--end-of-options", commit, path)
        if found := _FILE.match(done.output):
            names[commit] = found[1].decode()
    if not names:
        return {}
    wanted = list(dict.fromkeys(names.values()))
    git.fetch(wanted, "--filter=blob:limit=1m", most_growth=_MOST_BYTES)
    _forget_filter(git)
    contents = {name: read_object(git, name, "blob") for name in wanted}
    texts = {name: content.decode("utf-8", "replace") for name, content in contents.items() if content is not None}
    return {commit: texts[name] for commit, name in names.items() if name in texts}
