"""The toolchains of one machine: made once, kept by digest, checked before every use.

Below the root directory::

    trees/SHA256/root/         the tree itself
    trees/SHA256/listing       its listing; SHA256 is the digest of this file
    trees/SHA256/record.json   what it was made from
    trees/SHA256/fingerprint   of the tree when it was last read as a whole
    current/NAME               digest of the tree that a name stands for now
    making/                    locks, and what is being made
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from rebuilder.errors import CorruptToolchainError, ToolchainError
from rebuilder.model.report import ToolchainSummary
from rebuilder.model.value import Sha256, Sha256Field, Value, canonical_json, sha256_hex
from rebuilder.ports import Clock, Toolchain
from rebuilder.toolchains.catalog import Spec, find
from rebuilder.toolchains.debootstrap import Made, Mmdebstrap
from rebuilder.toolchains.settle import retime
from rebuilder.toolchains.tree import changes, fingerprint, listing

Maker = Callable[[Spec, Path], Made]
"""Makes a tree of a specification at a path that does not exist yet."""

Report = Callable[[str], None]
"""Told in a few words what takes long just now."""


class Record(Value):
    """What is kept about one tree."""

    sha256: Sha256Field
    """Digest of the tree, see :mod:`rebuilder.toolchains.tree`."""
    spec: Spec
    made: Made
    made_at: datetime


class DebianToolchains:
    """Implements :class:`rebuilder.ports.Toolchains`."""

    def __init__(
        self,
        root: Path,
        clock: Clock,
        *,
        report: Report | None = None,
        maker: Maker | None = None,
        specs: Callable[[str], Spec] = find,
    ) -> None:
        """Use (and fill) the toolchains below ``root``.

        Args:
            root: Directory, made when it is missing.
            clock: For the time of making in the record.
            report: Told what takes long; nobody when None.
            maker: What makes a tree; mmdebstrap when None.
            specs: Gives the specification of a name, or raises ToolchainError.
        """
        self._root = root.absolute()
        self._clock = clock
        self._report = report or (lambda _: None)
        self._maker = maker or Mmdebstrap(now=clock.now)
        self._specs = specs

    def get(self, name: str) -> Toolchain:
        """The toolchain of that name; made when there is none yet, checked each time.

        Raises:
            ToolchainError: it cannot be made or read, or was modified; the sentence says which file.
        """
        spec = self._specs(name)
        with _disk_errors(self._root):
            sha256 = self._fitting(spec)
            if sha256 is None:
                with self._lock(name):
                    sha256 = self._fitting(spec) or self._make(spec)
            return self._checked(sha256)

    def kept(self, name: str) -> Toolchain | None:
        """The toolchain of that name, checked like :meth:`get` does; None when it would have to be made.

        Raises:
            ToolchainError: it cannot be read, or was modified.
        """
        spec = self._specs(name)
        with _disk_errors(self._root):
            sha256 = self._fitting(spec)
            return None if sha256 is None else self._checked(sha256)

    def remake(self, name: str) -> Toolchain:
        """Make it afresh from what the archive has now; the one before stays available by its digest.

        Raises:
            ToolchainError: it cannot be made.
        """
        spec = self._specs(name)
        with _disk_errors(self._root), self._lock(name):
            return self._checked(self._make(spec))

    def by_digest(self, sha256: str) -> Toolchain:
        """A toolchain made earlier, checked like :meth:`get` does.

        Raises:
            ToolchainError: this machine has none with that digest, or it was modified.
        """
        if len(sha256) != 64 or set(sha256) - set("0123456789abcdef") or not self._tree(sha256).is_dir():
            raise ToolchainError(
                f"This machine has no toolchain with the digest {sha256[:64]}.",
                hint="Only a machine that made it can run a definition that names it; the report lists its packages.",
            )
        with _disk_errors(self._root):
            return self._checked(Sha256(sha256))

    def record(self, sha256: str) -> Record:
        """What is kept about a tree.

        Raises:
            ToolchainError: it cannot be read.
        """
        file = self._tree(sha256) / "record.json"
        try:
            record = Record.model_validate_json(file.read_bytes())
        except (OSError, ValidationError) as error:
            raise self._broken(sha256, file.name) from error
        if record.sha256 != sha256:
            raise self._broken(sha256, file.name)
        return record

    def _tree(self, sha256: str) -> Path:
        return self._root / "trees" / sha256

    def _current(self, name: str) -> Sha256 | None:
        try:
            sha256 = (self._root / "current" / name).read_text(encoding="ascii", errors="replace").strip()
        except FileNotFoundError:
            return None
        return Sha256(sha256) if len(sha256) == 64 and sha256.isalnum() and self._tree(sha256).is_dir() else None

    def _fitting(self, spec: Spec) -> Sha256 | None:
        """The tree the name stands for, unless the user has named another interpreter since."""
        sha256 = self._current(spec.name)
        if sha256 is not None and spec.interpreter is not None and self.record(sha256).spec != spec:
            return None
        return sha256

    def _checked(self, sha256: Sha256) -> Toolchain:
        record, tree = self.record(sha256), self._tree(sha256)
        mark = tree / "fingerprint"
        recorded = mark.read_text(encoding="ascii", errors="replace") if mark.exists() else None
        root = tree / "root"
        if not root.is_dir():
            raise self._broken(sha256, "root")
        if fingerprint(root) != recorded:
            self._read_again(record, root)
        return Toolchain(
            name=record.spec.name,
            sha256=record.sha256,
            root=root,
            python_version=record.spec.python,
            summary=ToolchainSummary(
                name=record.spec.name,
                sha256=record.sha256,
                python=record.spec.python,
                packages=tuple(f"{each.name} {each.version}" for each in record.made.packages),
                notes=record.made.notes,
            ),
        )

    def _read_again(self, record: Record, root: Path) -> None:
        """Something touched the tree: read all of it, and say what changed if its content did."""
        self._report(f"reading {record.spec.name} again, because something touched it")
        before = fingerprint(root)
        found = listing(root)
        if sha256_hex(found) != record.sha256:
            raise self._modified(record, root, found)
        retime(root)
        mark = fingerprint(root)
        if mark == before or sha256_hex(listing(root)) == record.sha256:
            # In somebody else's store, or on a full disk, the next run reads everything again: slow, not wrong.
            with suppress(OSError):
                write_whole(root.parent / "fingerprint", mark.encode())

    def _modified(self, record: Record, root: Path, found: bytes) -> ToolchainError:
        try:
            recorded = (root.parent / "listing").read_bytes()
        except OSError:
            recorded = b""
        name = record.spec.name
        hint = f"Find out who did it. To have it made again, remove {root.parent}."
        if sha256_hex(recorded) != record.sha256:
            return CorruptToolchainError(f"The toolchain {name} and its listing were modified.", hint=hint)
        changed = changes(recorded, found)
        more = f", and {len(changed) - 3} more" if len(changed) > 3 else ""
        return CorruptToolchainError(
            f"The toolchain {name} was modified since it was made: {', '.join(changed[:3])}{more}.", hint=hint
        )

    def _broken(self, sha256: str, what: str) -> ToolchainError:
        tree = self._tree(sha256)
        return ToolchainError(
            f"The toolchain at {tree} cannot be used: its {what} is missing or malformed.",
            hint=f"To have it made again, remove {tree}.",
        )

    def _make(self, spec: Spec) -> Sha256:
        """Make a tree and let the name stand for it. The name's lock is held."""
        making = self._root / "making"
        for left_over in making.glob(f"{spec.name}-*"):
            shutil.rmtree(left_over)
        self._report(f"making {spec.name} from the {'settings' if spec.interpreter else 'Debian archive'}")
        place = Path(tempfile.mkdtemp(prefix=f"{spec.name}-", dir=making))
        try:
            sha256 = self._fill(spec, place)
            tree = self._tree(sha256)
            if not tree.exists():
                _directory(tree.parent)
                place.rename(tree)
        finally:
            shutil.rmtree(place, ignore_errors=True)
        write_whole(_directory(self._root / "current") / spec.name, f"{sha256}\n".encode())
        return sha256

    def _fill(self, spec: Spec, place: Path) -> Sha256:
        place.chmod(0o755)
        root = place / "root"
        made = self._maker(spec, root)
        found = listing(root)
        sha256 = sha256_hex(found)
        record = Record(sha256=sha256, spec=spec, made=made, made_at=self._clock.now())
        write_whole(place / "listing", found)
        write_whole(place / "record.json", canonical_json(record.document()))
        write_whole(place / "fingerprint", fingerprint(root).encode())
        for log in place.glob("*.log"):
            log.unlink()
        return sha256

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        """Let one process at a time make a toolchain; the kernel frees the lock of one that dies."""
        _directory(self._root)
        making = _directory(self._root / "making")
        with (making / f".{name}.lock").open("wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._report(f"waiting for another process that makes {name}")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield


@contextmanager
def _disk_errors(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = error.filename or root
        raise ToolchainError(
            f"The toolchains below {root} cannot be used: {error.strerror or error} ({place}).",
            hint="Check the free space and the permissions there.",
        ) from error


def _directory(place: Path) -> Path:
    """Make a directory that every user can pass, whatever our umask: builds run as another one."""
    if not place.is_dir():
        place.mkdir(parents=True, exist_ok=True)
        place.chmod(0o755)
    return place


def write_whole(file: Path, data: bytes) -> None:
    """Write a whole file or nothing."""
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}-", delete=False) as draft:
        try:
            draft.write(data)
            draft.flush()
            os.fsync(draft.fileno())
            os.fchmod(draft.fileno(), 0o644)
            Path(draft.name).replace(file)
        except BaseException:
            Path(draft.name).unlink(missing_ok=True)
            raise
