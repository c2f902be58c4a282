"""Writing files of the site: a reader never meets half of one, and what would come out as it is is not made again."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from rebuilder.atomic_file import replacing
from rebuilder.errors import StoreError
from rebuilder.resources import resource
from rebuilder.site.marks import STANDINGS, standing_mark

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
