"""Check a commit out from an archive of its files, as a forge's runner would have: a work tree with ``.git``.

No network and no clone: the objects are made again from the archive, and must have the commit's own names. What
depends on the machine (umask, file times, shallow or not, branch or detached) is given.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from typing import NamedTuple

from rebuilder.programs.archive.unpack import UnpackRefused
from rebuilder.programs.source.git_store import SUBMODULE_MODE, Entries, Store, object_name

USAGE, MALFORMED, NO_GIT, GIT_FAILED, NOT_THE_COMMIT = 64, 65, 69, 70, 76

_COMMIT = re.compile(
    rb"tree (?P<tree>[0-9a-f]{40})\n(?P<parents>(?:parent [0-9a-f]{40}\n)*)"
    rb"author [^\n]*\ncommitter [^\n]*> (?P<time>[0-9]{1,18}) [+-][0-9]{4,6}\n"
)


_TAG = re.compile(rb"object (?P<object>[0-9a-f]{40})\ntype commit\n")
_OBJECT = re.compile(rb"(?P<kind>commit|tag) (?P<size>[0-9]{1,9})\0")


class _OtherCommit(Exception):  # noqa: N818 - reads as what happened
    """The objects do not have the names they should have; the text is a sentence."""


class _GitFailed(Exception):  # noqa: N818 - reads as what happened
    """Git itself refused; the text is a sentence."""


class _Commit(NamedTuple):
    name: str
    tree: str
    parents: list[str]
    time: int
    raw: bytes


def main(argv: list[str]) -> int:
    """Run the program: 0, 65 (malformed input), 69 (no git), 70 (git failed), 76 (not the files of that commit)."""
    parser = argparse.ArgumentParser(prog="checkout", allow_abbrev=False)
    parser.add_argument("--archive", required=True, help="tar archive of the files")
    parser.add_argument("--commit", required=True, help="name of the commit, 40 hexadecimal digits")
    parser.add_argument("--commit-object", required=True, help="file with the raw commit object")
    parser.add_argument("--into", required=True, help="directory to make")
    parser.add_argument("--tag", action="append", default=[], help="a tag to set; annotated with --tag-object")
    parser.add_argument(
        "--tag-object", action="append", default=[], metavar="NAME=FILE", help="raw object of an annotated tag"
    )
    parser.add_argument("--history", help="file with the raw objects of the commits before it, and of their tags")
    parser.add_argument("--history-tags", help="file with a line for each of their tags: object, space, name")
    parser.add_argument(
        "--submodule",
        action="append",
        default=[],
        metavar="COMMIT:ARCHIVE:OBJECT:PATH",
        help="check out a submodule, too; those in it after it",
    )
    parser.add_argument("--branch", help="a branch to be on (default: detached)")
    parser.add_argument("--shallow", action="store_true", help="as a shallow clone, not as one with all history")
    parser.add_argument(
        "--windows", action="store_true", help="as git for Windows does: CRLF in text files, and no executable bits"
    )
    parser.add_argument("--origin", help="address of the remote origin")
    parser.add_argument("--umask", default="0022", help="octal; what new files do not get (default: 0022)")
    options = parser.parse_args(argv)
    if shutil.which("git") is None:
        print("checkout: this build environment has no git", file=sys.stderr)
        return NO_GIT
    os.umask(int(options.umask, 8))
    try:
        return _checkout(options)
    except (UnpackRefused, _OtherCommit, _GitFailed) as trouble:
        codes = {UnpackRefused: MALFORMED, _OtherCommit: NOT_THE_COMMIT, _GitFailed: GIT_FAILED}
        print(f"checkout: {trouble}", file=sys.stderr)
        return codes[type(trouble)]


def _checkout(options: argparse.Namespace) -> int:
    commit = _understood(_read(options.commit_object), options.commit)
    root = os.path.realpath(options.into)
    os.makedirs(root, exist_ok=True)
    _git(root, "init", "--quiet", "--template=", "--initial-branch", options.branch or "main")
    if options.windows:
        _like_windows(root)
    store, entries = _stored(root, commit, options.archive)
    if options.history:
        _history(root, store, commit, _read(options.history), _read(options.history_tags))
    elif commit.parents:
        _cut_history(root, [commit.name], shallow=options.shallow)
    _references(root, store, commit, options.branch, _tags(options.tag, options.tag_object))
    if options.origin:
        _git(root, "config", "remote.origin.url", options.origin)
        _git(root, "config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")
    _git(root, "read-tree", "--reset", "-u", commit.name)
    locked = _locks(entries, os.path.join(root, ".git"))
    if options.submodule:
        _git(root, "config", "submodule.active", ".")
    for each in options.submodule:
        locked |= _submodule(root, *each.split(":", 3), locked=locked, options=options)
    if options.windows:
        _run_nothing(root)
    _set_times(root, commit.time * 10**9)
    _git(root, "update-index", "-q", "--refresh", codes=(0, 1))
    print(f"checkout: {commit.name} with {len(entries)} files, {_described(root)}")
    changed = _git(root, "status", "--porcelain", "--untracked-files=all")
    if changed:
        # Such a repository asks for line ends it does not have itself; a clone of it may look changed, too.
        print(f"checkout: git takes {len(changed.splitlines())} files for changed, because of .gitattributes")
    return 0


def _stored(root: str, commit: _Commit, archive: str) -> tuple[Store, Entries]:
    """The objects of a commit, made in the repository of a work tree."""
    store = Store(os.path.join(root, ".git", "objects"))
    entries = store.write_archive(archive)
    found = store.write_tree(entries)
    if found != commit.tree:
        raise _OtherCommit(f"the files make the tree {found}, but the commit {commit.name} has {commit.tree}")
    store.write("commit", len(commit.raw), [commit.raw])
    return store, entries


def _locks(entries: Entries, repository: str, below: str = "") -> dict[str, tuple[str, str]]:
    """Path of each submodule among the entries: the commit it is locked to, and where its repository is kept."""
    locked = {os.fsdecode(path): name for path, (mode, name) in entries.items() if mode == SUBMODULE_MODE}
    return {below + path: (name, os.path.join(repository, "modules", path)) for path, name in locked.items()}


def _submodule(
    root: str,
    name: str,
    archive: str,
    raw: str,
    path: str,
    *,
    locked: dict[str, tuple[str, str]],
    options: argparse.Namespace,
) -> dict[str, tuple[str, str]]:
    """Check a submodule out as ``git submodule update`` does; gives what its commit locks in turn."""
    expected, kept = locked.get(path, ("", ""))
    if expected != name:
        raise _OtherCommit(f"no commit locks the submodule {path!r} to {name!r}")
    commit, inside = _understood(_read(raw), name), os.path.join(root, path)
    _git(inside, "init", "--quiet", "--template=", "--initial-branch", "main")
    if options.windows:
        _like_windows(inside)
    store, entries = _stored(inside, commit, archive)
    if commit.parents:
        _cut_history(inside, [commit.name], shallow=options.shallow)
    _references(inside, store, commit, None, [])
    _git(inside, "read-tree", "--reset", "-u", commit.name)
    # A clone keeps the repositories of its submodules in its own.
    os.makedirs(os.path.dirname(kept), exist_ok=True)
    os.rename(os.path.join(inside, ".git"), kept)
    with open(os.path.join(inside, ".git"), "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(f"gitdir: {os.path.relpath(kept, inside)}\n")
    _git(inside, "config", "core.worktree", os.path.relpath(inside, kept))
    print(f"checkout: {commit.name} with {len(entries)} files as the submodule {path!a}")
    return _locks(entries, kept, f"{path}/")


def _understood(raw: bytes, name: str) -> _Commit:
    found = _COMMIT.match(raw)
    if object_name("commit", raw) != name or found is None:
        raise _OtherCommit(f"what was given is not the commit {name!r}")
    return _Commit(name, found["tree"].decode(), _parents(found), int(found["time"]), raw)


def _parents(found: re.Match[bytes]) -> list[str]:
    return [line[7:].decode() for line in found["parents"].splitlines()]


def _history(root: str, store: Store, commit: _Commit, objects: bytes, tags: bytes) -> None:
    """Write the commits before one and their tags; where some are missing, the history is openly cut off."""
    parents: dict[str, list[str]] = {commit.name: commit.parents}
    tagged: dict[str, str] = {}
    at = 0
    while found := _OBJECT.match(objects, at):
        data = objects[found.end() : found.end() + int(found["size"])]
        at = found.end() + len(data)
        name = store.write(found["kind"].decode(), len(data), [data])
        read = (_COMMIT if found["kind"] == b"commit" else _TAG).match(data)
        if read is None:
            raise _OtherCommit(f"the history has a malformed object, {name}")
        if found["kind"] == b"commit":
            parents[name] = _parents(read)
        else:
            tagged[name] = read["object"].decode()
    if at != len(objects):
        raise _OtherCommit("the history is cut short")
    pending, before = [commit.name], set[str]()
    while pending:
        name = pending.pop()
        if name in parents and name not in before:
            before.add(name)
            pending += parents[name]
    if before != parents.keys():
        raise _OtherCommit(f"the history has commits that are not before {commit.name}")
    edge = sorted(name for name in before if not before.issuperset(parents[name]))
    if edge:
        _cut_history(root, edge, shallow=True)
    named = [line.split(b" ", 1) for line in tags.splitlines()]
    for target, _ in named:
        if tagged.get(target.decode(), target.decode()) not in before:
            raise _OtherCommit(f"the history has a tag of something else, {target!r}")
    orders = (b"create refs/tags/%s\0%s\0" % (name, target) for target, name in named)
    _git(root, "update-ref", "--stdin", "-z", stdin=b"".join(orders))


def _cut_history(root: str, names: list[str], *, shallow: bool) -> None:
    """Let git not miss the parents of some commits: openly, or as if these had none."""
    name = "shallow"
    if not shallow:
        os.makedirs(os.path.join(root, ".git", "info"), exist_ok=True)
        _git(root, "config", "advice.graftFileDeprecated", "false")
        name = os.path.join("info", "grafts")
    with open(os.path.join(root, ".git", name), "w", encoding="ascii") as file:
        file.writelines(f"{each}\n" for each in names)


def _tags(names: list[str], objects: list[str]) -> list[tuple[str, bytes | None]]:
    files = {name: file for name, _, file in (each.rpartition("=") for each in objects)}
    return [(name, _read(files[name]) if name in files else None) for name in dict.fromkeys([*names, *files])]


def _references(
    root: str, store: Store, commit: _Commit, branch: str | None, tags: list[tuple[str, bytes | None]]
) -> None:
    for name, raw in tags:
        target = commit.name
        if raw is not None:
            if not raw.startswith(b"object %s\ntype commit\n" % commit.name.encode()):
                raise _OtherCommit(f"the tag {name!r} is not one of the commit {commit.name}")
            target = store.write("tag", len(raw), [raw])
        _git(root, "update-ref", f"refs/tags/{name}", target)
    if branch:
        _git(root, "update-ref", f"refs/heads/{branch}", commit.name)
    else:
        _git(root, "update-ref", "--no-deref", "HEAD", commit.name)


def _like_windows(root: str) -> None:
    """The settings that git for Windows is installed with."""
    _git(root, "config", "core.autocrlf", "true")
    _git(root, "config", "core.fileMode", "false")


def _run_nothing(root: str) -> None:
    """Take the executable bits away, which file systems of Windows have not got."""
    for directory, names, files in os.walk(root):
        if ".git" in names:
            names.remove(".git")
        for name in files:
            path = os.path.join(directory, name)
            if not os.path.islink(path):
                os.chmod(path, os.stat(path).st_mode & ~0o111)


def _set_times(root: str, moment: int) -> None:
    """Give everything but ``.git`` the commit's time; a directory after what is in it, which changes it."""
    for directory, names, files in os.walk(root, topdown=False):
        if os.path.relpath(directory, root).split(os.sep)[0] == ".git":
            continue
        links = [name for name in names if os.path.islink(os.path.join(directory, name))]
        for name in (*files, *links, "."):
            os.utime(os.path.join(directory, name), ns=(moment, moment), follow_symlinks=False)


def _described(root: str) -> str:
    try:
        return f"which git describes as {_git(root, 'describe', '--tags', '--always').strip()}"
    except _GitFailed:
        return "which git does not describe"


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _git(root: str, *arguments: str, codes: tuple[int, ...] = (0,), stdin: bytes = b"") -> str:
    """Run git without settings of anybody; what it prints."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CEILING_DIRECTORIES": os.path.dirname(root),
        "LC_ALL": "C",
    }
    done = subprocess.run(
        ["git", "-c", "core.logAllRefUpdates=false", *arguments],  # noqa: S607 - the build environment's
        cwd=root,
        env=environment,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
    )
    if done.returncode not in codes:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise _GitFailed(f"git {arguments[0]} failed: {ascii(said[-1]) if said else done.returncode}")
    return done.stdout.decode("utf-8", "replace")


def reverse_tree(argv: list[str]) -> int:
    """Reverse a tree: 0, and one line with the number of directories."""
    parser = argparse.ArgumentParser(prog="reverse_tree", allow_abbrev=False)
    parser.add_argument("--tree", required=True, help="directory; it and all below are reversed")
    options = parser.parse_args(argv)
    print(f"reverse_tree: {reverse(options.tree)} directories")
    return 0


def reverse(tree: str) -> int:
    """Reverse every directory; gives the number of those that list their entries in another order now."""
    count = 0
    for directory, _directories, _files in os.walk(tree, topdown=False):
        before = os.stat(directory)
        names = os.listdir(directory)
        _renew(directory, names[::-1])
        if os.listdir(directory) == names:
            _renew(directory, names)
        count += os.listdir(directory) != names
        os.utime(directory, ns=(before.st_atime_ns, before.st_mtime_ns))
    return count


def _renew(directory: str, names: list[str]) -> None:
    for name in names:
        place, aside = os.path.join(directory, name), os.path.join(directory, ".reverse-tree-aside")
        if not os.path.lexists(aside):
            os.rename(place, aside)
            os.rename(aside, place)
