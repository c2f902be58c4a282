"""Writing files of the site: a reader never meets half of one, and what would come out as it is is not made again."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from rebuilder.atomic_file import replacing, write_whole
from rebuilder.errors import StoreError
from rebuilder.resources import resource
from rebuilder.site.marks import STANDINGS, standing_mark


class Written:
    """Notes by name: of a page, a digest of all it was made of, what ``stat`` said of its files, and their paths.

    Any change of a file's bytes changes its change time, which cannot be set from user space. Whoever may write the
    notes may also write the compiled templates beside them, which are code.

    Args:
        root: Of the site.
        file: Where notes are kept, a line each; the last one of a name counts. None: nothing is kept.
    """

    def __init__(self, root: Path, file: Path | None) -> None:
        self._root, self._file = str(root), file
        self._recalled: dict[str, str] = {}
        self._fresh: dict[str, str] = {}

    def recall(self) -> None:
        """Read what was kept; a process that does not has nothing to go by."""
        with contextlib.suppress(OSError, ValueError):  # what cannot be read was not noted
            if self._file is not None:
                lines = self._file.read_text("utf-8").splitlines(keepends=True)
                found = {line.partition("\t")[0]: line for line in lines}
                self._recalled = {name: line.rstrip("\n").partition("\t")[2] for name, line in found.items()}
                if len(lines) > 2 * len(found):
                    write_whole(self._file, "".join(found.values()).encode(), mode=0o600)

    def has(self, page: str, made_of: str) -> bool:
        """Whether the files of a page were made of just this, and are as they were left."""
        said, left, *paths = (self.noted(page) or "\t").split("\t")
        return said == made_of and left == self._standing(page, paths) != ""

    def wrote(self, page: str, made_of: str, paths: Iterable[str]) -> None:
        """Note that this is all there is of a page: names in its directory, those that begin with ``/`` in the root."""
        self.note(page, "\t".join([made_of, self._standing(page, paths), *paths]))

    def noted(self, name: str) -> str | None:
        """What was kept, or noted by this process, under a name."""
        return self._fresh.get(name) or self._recalled.get(name)

    def note(self, name: str, text: str) -> None:
        """Note something; see :meth:`keep`. Both are of one line, and the name has no tabulator."""
        self._fresh[name] = text

    def give(self) -> dict[str, str]:
        """What was noted since notes were kept or given away."""
        given, self._fresh = self._fresh, {}
        return given

    def keep(self, notes: Mapping[str, str] | None = None) -> None:
        """Keep what was noted here or, if given, elsewhere; notes that cannot be kept are no loss."""
        notes = self.give() if notes is None else notes
        if self._recalled:
            self._recalled.update(notes)
        if self._file is not None and notes:
            with contextlib.suppress(OSError), self._file.open("a", encoding="utf-8") as opened:
                opened.write("".join(f"{name}\t{text}\n" for name, text in notes.items()))

    def _standing(self, page: str, paths: Iterable[str]) -> str:
        found = sha256()
        for each in paths:
            try:
                at = os.lstat(f"{self._root}{each}" if each.startswith("/") else f"{self._root}/{page}/{each}")
            except OSError:
                return ""
            found.update(b"%d %d %d %d %d;" % (at.st_ino, at.st_mode, at.st_size, at.st_mtime_ns, at.st_ctime_ns))
        return found.hexdigest()[:32]


def digest(*parts: str | bytes | None) -> str:
    """Of all that something is made of; each part is told apart from the next."""
    found = sha256()
    for each in parts:
        data = each.encode("utf-8", "backslashreplace") if isinstance(each, str) else each
        found.update(b"-" if data is None else b"%d:%b" % (len(data), data))
    return found.hexdigest()[:32]


@cache
def program() -> str:
    """Names what makes pages: this program with its templates, and what renders them."""
    found = [digest(version("jinja2"), version("markupsafe"))]
    for folder, pattern in ((resource("reports") / "templates", "*.html"), (Path(__file__).parents[1], "*.py")):
        found += [digest(each.name, each.read_bytes()) for each in sorted(folder.rglob(pattern))]
    return digest(*found)


_Item = TypeVar("_Item")
_Found = TypeVar("_Found")
_inherited: tuple[Callable[[Sequence[Any]], Any], Sequence[Sequence[Any]]]


def by_processes(
    work: Callable[[Sequence[_Item]], _Found], items: Sequence[_Item], at_once: int = 200
) -> Iterator[_Found]:
    """What ``work`` gives for ``at_once`` items at a time, in their order.

    Forked processes do it, which have all that this one has; little work is done by this one, and all of it where other
    threads might hold a lock that nobody would release in a forked process.
    """
    chunks = [items[start : start + at_once] for start in range(0, len(items), at_once)]
    number = min(len(os.sched_getaffinity(0)), len(chunks))
    if number < 2 or threading.active_count() > 1:
        yield from map(work, chunks)
        return
    with ProcessPoolExecutor(number, get_context("fork"), _inherit, (work, chunks)) as pool:
        yield from pool.map(_do, range(len(chunks)))


def _inherit(*inherited: Any) -> None:
    global _inherited  # noqa: PLW0603 - it cannot be sent to a process, and need not
    _inherited = inherited


def _do(number: int) -> Any:
    work, chunks = _inherited
    return work(chunks[number])


PARTIAL = ".partial"
"""Directory below the site's root for files that are still being written; a name that no page has."""
_ABANDONED = timedelta(days=1)


class Writer:
    """Writes below one directory: each file whole or not at all, and only when its bytes change."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._noting: list[str] | None = None

    @contextlib.contextmanager
    def noting(self) -> Iterator[list[str]]:
        """Where everything is that is written meanwhile, or was right already."""
        self._noting = paths = list[str]()
        try:
            yield paths
        finally:
            self._noting = None

    def write(self, path: str, data: bytes) -> bool:
        """Make the file at ``path`` (below the root) hold ``data``; True when it did not already.

        Raises:
            StoreError: the disk is full, read-only, or has no room for such a name.
        """
        target = f"{self._root}/{path}"
        if self._noting is not None:
            self._noting.append(path)
        try:
            if _holds(target, data):
                return False
            self._replace(target, data)
        except OSError as error:
            raise _unwritten(target, error) from error
        return True

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes that ask for the same from reading and writing what they share."""
        directory = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield
        finally:
            os.close(directory)

    def write_directory(self, directory: str, files: Mapping[str, bytes]) -> None:
        """Make a directory hold these files and no others: a new one appears whole, in another each file is replaced.

        The last file is replaced last: it never leads to one that is not there yet.

        Raises:
            StoreError: as for :meth:`write`.
        """
        target = self._root / directory
        try:
            if not target.exists() and self._appeared(target, files):
                return
        except OSError as error:
            raise _unwritten(target, error) from error
        for name, data in files.items():
            self.write(f"{directory}/{name}", data)
        self.remove_others(directory, set(files))

    def _appeared(self, target: Path, files: Mapping[str, bytes]) -> bool:
        """Whether a new directory came of it; False: another process was quicker."""
        draft = self._root / PARTIAL / secrets.token_hex(12)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.mkdir(parents=True)
        try:
            for name, data in files.items():
                with open(f"{draft}/{name}", "xb") as opened:  # noqa: PTH123 - there are many
                    opened.write(data)
            draft.rename(target)
        except OSError:
            shutil.rmtree(draft, ignore_errors=True)
            if not target.is_dir():
                raise
            return False
        return True

    def remove_others(self, directory: str, keep: set[str], ending: str = "") -> None:
        """Remove the plain files of ``directory`` that are not in ``keep``; what cannot be removed stays.

        ``ending``: only those whose names end so.

        Called last, when no page links to them any more.
        """
        with contextlib.suppress(OSError):
            for entry in list(os.scandir(self._root / directory)):
                if entry.name not in keep and entry.name.endswith(ending) and entry.is_file(follow_symlinks=False):
                    Path(entry.path).unlink(missing_ok=True)

    def remove(self, *paths: str) -> None:
        """Remove files, where they are there; what cannot be removed stays."""
        for each in paths:
            with contextlib.suppress(OSError):
                (self._root / each).unlink()

    def remove_directory(self, directory: str) -> None:
        """Remove a directory of plain files that are not needed any more; what cannot be removed stays."""
        self.remove_others(directory, set())
        with contextlib.suppress(OSError):
            (self._root / directory).rmdir()

    def sweep(self, now: datetime) -> None:
        """Remove what a killed process left half-written more than a day before ``now``."""
        with contextlib.suppress(OSError):
            for entry in list(os.scandir(self._root / PARTIAL)):
                written = datetime.fromtimestamp(entry.stat(follow_symlinks=False).st_mtime, UTC)
                if now - written > _ABANDONED and not entry.name.startswith(_UNLISTED):
                    if entry.is_dir(follow_symlinks=False):
                        shutil.rmtree(entry.path, ignore_errors=True)
                    else:
                        Path(entry.path).unlink(missing_ok=True)

    def _replace(self, target: str, data: bytes) -> None:
        # A directory of its own, so that no listing of a page's directory ever shows an unfinished file; on the
        # same file system, so that the rename is atomic. Mode from the umask: a web server has to read it.
        partial = f"{self._root}/{PARTIAL}"
        try:
            _replace(target, data, partial)
        except FileNotFoundError:  # one of the directories is not there yet
            os.makedirs(partial, exist_ok=True)  # noqa: PTH103 - pathlib takes longer than the kernel
            os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
            _replace(target, data, partial)


_UNLISTED = "unlisted-"
"""How the names of files begin below :data:`PARTIAL` that stand for processes with pages the index does not list."""


class Unlisted:
    """Tells other processes, and those after this one, that pages were written which the index does not list yet."""

    def __init__(self, root: Path) -> None:
        self._directory = root / PARTIAL
        self._mine: tuple[Path, int] | None = None
        self._held: list[Path] | None = None

    def begin(self) -> None:
        """Say it, until the index is written or this process ends: then somebody else has to write the index whole.

        Raises:
            OSError: it cannot be said.
        """
        if self._mine is None:
            self._directory.mkdir(parents=True, exist_ok=True)
            name = secrets.token_hex(12)
            file = self._directory / f"{_UNLISTED}{name}"
            descriptor = os.open(self._directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            (self._directory / name).rename(file)  # only now: one that nobody holds is of a process that has ended
            self._mine = file, descriptor

    @contextlib.contextmanager
    def listing(self) -> Iterator[list[Path]]:
        """One process at a time writes the index; gives what processes left that have ended, for :meth:`end`.

        Whoever has begun may do so again inside. An index whose writing fails is one that a process left.

        Raises:
            OSError: the directory cannot be used.
        """
        if self._held is not None:
            yield self._held
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        alone = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(alone, fcntl.LOCK_EX)
            left = [each for each in self._directory.glob(f"{_UNLISTED}*") if self._left(each)]
            self._held = left
            yield left
        except BaseException:
            self._leave()
            raise
        finally:
            self._held = None
            os.close(alone)

    def end(self, left: Iterable[Path]) -> None:
        """All pages of this process are listed by now, and those of processes that have ended."""
        for each in left:
            each.unlink(missing_ok=True)
        if self._mine is not None:
            self._mine[0].unlink(missing_ok=True)
            self._leave()

    def _leave(self) -> None:
        if self._mine is not None:
            os.close(self._mine[1])
            self._mine = None

    def _left(self, file: Path) -> bool:
        if self._mine is not None and file == self._mine[0]:
            return False
        try:
            with file.open("rb") as opened:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # its process lives, or has just listed it
            return False
        return True


def _holds(target: str, data: bytes) -> bool:
    try:
        with open(target, "rb", buffering=0) as file:  # noqa: PTH123
            return os.fstat(file.fileno()).st_size == len(data) and file.read() == data
    except (FileNotFoundError, NotADirectoryError):
        return False


def _unwritten(target: Path | str, error: OSError) -> StoreError:
    return StoreError(
        f"The page {target} cannot be written: {error.strerror or error}.",
        hint="Make room or mend the permissions there, then run `rebuilder publish`: nothing else is lost.",
    )


def _replace(target: str, data: bytes, drafts: str) -> None:
    with replacing(target, mode=None, drafts=drafts) as draft:
        draft.write(data)


_LOOK_AT = 1024
"""Bytes at the start of a page that say what it was made from."""


def made_from(*about: object) -> str:
    """Digest over what makes pages of rows, and whatever else all of them depend on."""
    return hashlib.sha256(_maker() + repr(about).encode()).hexdigest()


def carries(page: Path, expected: str) -> bool:
    """Whether the file is there and says that it was made from just this."""
    try:
        with page.open("rb") as file:
            return f'<meta name="made-from" content="{expected}">'.encode() in file.read(_LOOK_AT)
    except OSError:
        return False


@cache
def _maker() -> bytes:
    digest = hashlib.sha256(repr([standing_mark(each) for each in STANDINGS]).encode())
    for folder in (resource("reports") / "templates", Path(__file__).parent):
        for file in sorted((*folder.rglob("*.html"), *folder.rglob("*.py"))):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.digest()
