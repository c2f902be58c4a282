"""A maintainer's own work tree: the files that a stranger would have of it, as one archive.

Of a checkout these are the files that git has, with what they hold now; what is ignored or was never added, nobody else
has. Where there is no git, it is everything but what builds and tools leave behind. Backends that ask git for a version
get a commit of these files, with the history and the tags before it.
"""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from rebuilder.errors import UsageError
from rebuilder.model.git import SourceTree
from rebuilder.model.project import ProjectTree
from rebuilder.network.git.history import own_commit
from rebuilder.network.git.objects import Unsound
from rebuilder.programs.source.git_store import Entries, object_name, trees
from rebuilder.store.protocol import Blobs

_MOST_BYTES = 512 << 20
_MOST_FILES = 100_000
_SHOWN = 50
_SECONDS = 60
_LEFT_BEHIND = frozenset(
    {
        *(".git", ".hg", ".svn", ".venv", "venv", "env", ".env", "node_modules", "__pycache__", "dist", "build"),
        *(".tox", ".nox", ".eggs", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".idea", ".vscode"),
    }
)
_CONFIG = (
    *("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.quotePath=false"),
    *("-c", "core.untrackedCache=false"),
)
"""Nothing of the repository is run for a question."""


def read_work_tree(directory: Path, blobs: Blobs) -> ProjectTree:
    """Read the tree of a project; nothing in it is changed.

    Raises:
        UsageError: it is no directory, holds no files, cannot be read, or is too large.
        StoreError: the archive cannot be kept.
    """
    if not directory.is_dir():
        raise UsageError(f"{directory} is no directory.", hint="Name the directory of a project, or files of dist/.")
    repository = _Repository(directory)
    tracked = repository.names("ls-files", "-z", "--cached", "--recurse-submodules")
    commit = repository.line("rev-parse", "--verify", "--quiet", "HEAD^{commit}") if tracked else None
    names = sorted({each for each in tracked if os.path.lexists(directory / each)}) or sorted(_walk(directory))
    if not names:
        raise UsageError(f"{directory} holds no files.")
    newest = repository.line("log", "-1", "--pretty=%ct") if commit is not None else None
    seconds = int(newest) if newest is not None and newest.isdigit() else _newest(directory, names)
    top = (repository.line("rev-parse", "--show-prefix") or "") if commit is not None else ""
    archive, entries = _archive(directory, names, seconds, top)
    changed = repository.names("diff", "--name-only", "-z", "HEAD", "--", ".") if commit is not None else []
    untracked = repository.names("ls-files", "-z", "--others", "--exclude-standard") if tracked else []
    tree = ProjectTree(
        name=directory.resolve().name or "project",
        archive_sha256=blobs.put(archive),
        files=tuple(names),
        top=top.rstrip("/"),
        seconds=seconds,
        commit=commit,
        changed=tuple(sorted(changed)[:_SHOWN]),
        untracked=tuple(sorted(untracked)[:_SHOWN]),
    )
    return tree.replace(checkout=_checkout(repository, tree, entries, blobs))


def _checkout(repository: _Repository, tree: ProjectTree, entries: Entries, blobs: Blobs) -> SourceTree | None:
    """The same files as a commit; None where the repository is damaged."""
    *_, outermost = trees(entries)
    try:
        commit, history = own_commit(repository.answer, tree, object_name("tree", outermost), blobs)
    except Unsound:
        return None
    size = len(entries)
    return SourceTree(commit=commit, archive_sha256=tree.archive_sha256, files=size, size=0, history=history)


class _Repository:
    """The repository that a directory is in, asked without running anything that its settings name."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._program = shutil.which("git")

    def names(self, *arguments: str) -> list[str]:
        """Paths below the directory, separated by NUL in the answer; none where there is no repository."""
        answer = self.answer(arguments)
        return [os.fsdecode(each) for each in answer.split(b"\0") if each]

    def line(self, *arguments: str) -> str | None:
        """The first line of an answer; None when there is none."""
        words = self.answer(arguments).decode("utf-8", "replace").splitlines()
        return words[0].strip() if words else None

    def answer(self, arguments: Sequence[str], stdin: bytes = b"") -> bytes:
        """What git prints; nothing when it fails."""
        if self._program is None:
            return b""
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        environment |= {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_PAGER": "cat"}
        relative = ("--relative",) if arguments[0] == "diff" else ()
        command = [self._program, *_CONFIG, arguments[0], *relative, *arguments[1:]]
        try:
            done = subprocess.run(
                command,
                cwd=self._directory,
                env=environment,
                input=stdin,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return b""
        return done.stdout if done.returncode == 0 else b""


def _walk(directory: Path) -> Iterator[str]:
    """Files of a tree that nobody keeps the history of."""
    for place, directories, files in os.walk(directory):
        below = Path(place).relative_to(directory)
        directories[:] = sorted(
            each
            for each in directories
            if each not in _LEFT_BEHIND
            and not each.endswith(".egg-info")
            and not (Path(place) / each / "pyvenv.cfg").exists()
        )
        yield from (str(below / each) for each in files if not each.endswith((".pyc", ".pyo")))


def _newest(directory: Path, names: Sequence[str]) -> int:
    moments = [0]
    for each in names:
        with suppress(OSError):
            moments.append(int((directory / each).lstat().st_mtime))
    return max(moments)


def _archive(directory: Path, names: Sequence[str], seconds: int, top: str) -> tuple[bytes, Entries]:
    """A tar archive of files, and what git would call them."""
    if len(names) > _MOST_FILES:
        raise UsageError(f"{directory} has more than {_MOST_FILES:,} files.")
    written, size = io.BytesIO(), 0
    entries: Entries = {}
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in names:
            try:
                status = (directory / name).lstat()
                entry = tarfile.TarInfo(f"{top}{name}")
                entry.mtime = seconds
                if stat.S_ISLNK(status.st_mode):
                    entry.type, entry.linkname = tarfile.SYMTYPE, str((directory / name).readlink())
                    mode, data = b"120000", os.fsencode(entry.linkname)
                    archive.addfile(entry)
                elif stat.S_ISREG(status.st_mode):
                    entry.mode = 0o755 if status.st_mode & 0o100 else 0o644
                    size += status.st_size
                    if size > _MOST_BYTES:
                        raise UsageError(
                            f"{directory} has more than {_MOST_BYTES >> 20:,} MB of files.",
                            hint="Take out what is not released, or name it in .gitignore of a git repository.",
                        )
                    mode, data = f"100{entry.mode:o}".encode(), (directory / name).read_bytes()
                    entry.size = len(data)
                    archive.addfile(entry, io.BytesIO(data))
                else:
                    continue
            except (OSError, ValueError) as error:
                raise UsageError(f"{directory / name} cannot be read: {error}.") from None
            entries[os.fsencode(entry.name)] = (mode, object_name("blob", data))
    return written.getvalue(), entries
