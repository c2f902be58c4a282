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
from rebuilder.programs.source.git_store import Store, object_name

USAGE, MALFORMED, NO_GIT, GIT_FAILED, NOT_THE_COMMIT = 64, 65, 69, 70, 76

_COMMIT = re.compile(
    rb"tree (?P<tree>[0-9a-f]{40})\n(?P<parents>(?:parent [0-9a-f]{40}\n)*)"
    rb"author [^\n]*\ncommitter [^\n]*> (?P<time>[0-9]{1,18}) [+-][0-9]{4,6}\n"
)


class _OtherCommit(Exception):  # noqa: N818 - reads as what happened
    """The objects do not have the names they should have; the text is a sentence."""


class _GitFailed(Exception):  # noqa: N818 - reads as what happened
    """Git itself refused; the text is a sentence."""


class _Commit(NamedTuple):
    name: str
    tree: str
    has_parents: bool
    time: int


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
    parser.add_argument("--branch", help="a branch to be on (default: detached)")
    parser.add_argument("--shallow", action="store_true", help="as a shallow clone, not as one with all history")
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
    raw = _read(options.commit_object)
    commit = _understood(raw, options.commit)
    root = os.path.realpath(options.into)
    os.makedirs(root, exist_ok=True)
    _git(root, "init", "--quiet", "--template=", "--initial-branch", options.branch or "main")
    store = Store(os.path.join(root, ".git", "objects"))
    entries = store.write_archive(options.archive)
    found = store.write_tree(entries)
    if found != commit.tree:
        raise _OtherCommit(f"the files make the tree {found}, but the commit {commit.name} has {commit.tree}")
    store.write("commit", len(raw), [raw])
    _cut_history(root, commit, shallow=options.shallow)
    _references(root, store, commit, options.branch, _tags(options.tag, options.tag_object))
    if options.origin:
        _git(root, "config", "remote.origin.url", options.origin)
        _git(root, "config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")
    _git(root, "read-tree", "--reset", "-u", commit.name)
    _set_times(root, commit.time * 10**9)
    _git(root, "update-index", "-q", "--refresh", codes=(0, 1))
    print(f"checkout: {commit.name} with {len(entries)} files, {_described(root)}")
    changed = _git(root, "status", "--porcelain", "--untracked-files=all")
    if changed:
        # Such a repository asks for line ends it does not have itself; a clone of it may look changed, too.
        print(f"checkout: git takes {len(changed.splitlines())} files for changed, because of .gitattributes")
    return 0


def _understood(raw: bytes, name: str) -> _Commit:
    found = _COMMIT.match(raw)
    if object_name("commit", raw) != name or found is None:
        raise _OtherCommit(f"what was given is not the commit {name!r}")
    return _Commit(name, found["tree"].decode(), bool(found["parents"]), int(found["time"]))


def _cut_history(root: str, commit: _Commit, *, shallow: bool) -> None:
    """Let git not miss the parents: openly, or as if the commit had none."""
    if not commit.has_parents:
        return
    name = "shallow"
    if not shallow:
        os.makedirs(os.path.join(root, ".git", "info"), exist_ok=True)
        _git(root, "config", "advice.graftFileDeprecated", "false")
        name = os.path.join("info", "grafts")
    with open(os.path.join(root, ".git", name), "w", encoding="ascii") as file:
        file.write(f"{commit.name}\n")


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


def _git(root: str, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
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
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
    )
    if done.returncode not in codes:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise _GitFailed(f"git {arguments[0]} failed: {ascii(said[-1]) if said else done.returncode}")
    return done.stdout.decode("utf-8", "replace")
