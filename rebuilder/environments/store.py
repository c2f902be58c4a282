"""The build environments of one machine: made once, kept by digest, checked before every use.

Below the root directory::

    trees/SHA256/root/          the tree itself, or what lies over another one, as
    trees/SHA256/hidden/        what that hides of it (:mod:`rebuilder.environments.layers`)
    trees/SHA256/listing        its listing; SHA256 is the digest of this file
    trees/SHA256/record.json    what it was made from
    trees/SHA256/NAME.json      the same, where a second name came to the very same tree
    trees/SHA256/fingerprint    of the tree when it was last read, so that a user is told that it was touched
    trees/SHA256/superseded     empty; its time says since when another one stands for its name, or when one that lies
                                over another was used
    current/NAME                digest of the tree that a name stands for now
    layers/NAME                 digest of what was made of a base and a set of packages
    making/                     locks, and what is being made or read in; what a process left that was killed goes
                                with the next of its kind

Nothing that lies there is believed about a tree: whoever can change the tree can change what lies beside it. A process
reads a tree as a whole before it first uses it, and remembers a fingerprint in its own memory; from then on a look at
the fingerprint is enough, since no program can set back the time at which a file was last changed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pydantic import ValidationError

from rebuilder.atomic_file import replacing, write_whole
from rebuilder.clock import Clock
from rebuilder.environments import exchange, layers
from rebuilder.environments.catalog import find
from rebuilder.environments.debootstrap import Mmdebstrap
from rebuilder.environments.maintainer_scripts import AsRoot
from rebuilder.environments.protocol import BuildEnvironment, LayerPackage, Wanted
from rebuilder.environments.record import EnvironmentCheck, Record, superseded, whole_fingerprint
from rebuilder.environments.settle import RECIPE, discard
from rebuilder.environments.tree import kept, whole_listing
from rebuilder.errors import BaseMissingError, BuildEnvironmentError, CorruptEnvironmentError, UsageError
from rebuilder.model.environment import NAME, Made, Manifest, Release, Specification
from rebuilder.model.report import EnvironmentSummary
from rebuilder.model.value import canonical_json, is_sha256, sha256_hex

Maker = Callable[[Manifest, Path], Made]
"""Makes a tree of a specification at a path that does not exist yet."""

Report = Callable[[str], None]
"""Told in a few words what takes long just now."""


_HOUR = 3600


class Kept(NamedTuple):
    """One tree of the store."""

    record: Record
    names: tuple[str, ...]
    """What stands for it now; none for one that a later one took the place of, or that was imported."""


class EnvironmentStore:
    """Implements :class:`rebuilder.environments.protocol.Environments`."""

    def __init__(
        self,
        root: Path,
        clock: Clock,
        *,
        report: Report | None = None,
        maker: Maker | None = None,
        specs: Callable[[str], Manifest] = find,
        read_whole: dict[str, str] | None = None,
        as_root: AsRoot | None = None,
    ) -> None:
        """Use (and fill) the build environments below ``root``.

        Args:
            root: Directory, made when it is missing.
            clock: For the time of making in the record.
            report: Told what takes long; nobody when None.
            maker: What makes a tree; mmdebstrap when None.
            specs: Gives the specification of a name, or raises BuildEnvironmentError.
            as_root: Where packages are installed; None: nothing is installed over an environment.
            read_whole: Fingerprint by place, of trees that this process has read as a whole; it is added to.
        """
        self._root = root.absolute()
        self._clock = clock
        self._report = report or (lambda _: None)
        self._maker = maker or Mmdebstrap(now=clock.now)
        self._specs = specs
        self._check = EnvironmentCheck(self._report, {} if read_whole is None else read_whole)
        self._as_root = as_root
        self._outdated: dict[str, str] = {}
        """By digest, what is said of a tree that was to be made again and could not be."""

    def get(self, wanted: Wanted) -> BuildEnvironment:
        """The environment that is wanted, checked each time; made when there is none yet, or its manifest changed.

        One that was made to an earlier specification is used where it cannot be made again, and says so.

        Raises:
            BuildEnvironmentError: it cannot be made or read, or was modified; the sentence says which file.
        """
        if isinstance(wanted, Specification):
            return self._specified(wanted)
        spec = wanted if isinstance(wanted, Manifest) else self._spec(wanted)
        with _disk_errors(self._root):
            record = self._current(spec.name)
            if record is None or (record.sha256 not in self._outdated and not _fits(record, spec)):
                with self._lock(spec.name):
                    record = self._current(spec.name)
                    if record is None or not _fits(record, spec):
                        record = self._made_again(spec, record)
            return self._checked(record)

    def kept(self, name: str) -> BuildEnvironment | None:
        """The build environment of that name, checked like :meth:`get` does; None when it would have to be made.

        Raises:
            BuildEnvironmentError: it cannot be read, or was modified.
        """
        spec = self._spec(name)
        with _disk_errors(self._root):
            record = self._current(spec.name)
            return self._checked(record) if record is not None and _fits(record, spec) else None

    def remake(self, name: str) -> BuildEnvironment:
        """Make it afresh from what the archive has now; the one before stays available by its digest.

        Of one that lies over another, that one is: which packages come over it is planned anew.

        Raises:
            BuildEnvironmentError: it cannot be made.
        """
        layer = self._current(name, "layers") if NAME.fullmatch(name) else None
        if layer is not None and layer.base is not None:
            name = self.record(layer.base).spec.name
        spec = self._specs(name)
        with _disk_errors(self._root), self._lock(name):
            return self._checked(self._make(spec))

    def by_digest(self, sha256: str) -> BuildEnvironment:
        """A build environment made earlier, checked like :meth:`get` does.

        Raises:
            BuildEnvironmentError: this machine has none with that digest, or it was modified.
        """
        if not is_sha256(sha256) or not self._tree(sha256).is_dir():
            raise BuildEnvironmentError(
                f"This machine has no build environment with the digest {sha256[:64]}.",
                hint="A machine that has it can export it: `rebuilder environments export` there, `import` here.",
            )
        with _disk_errors(self._root):
            return self._checked(self.record(sha256))

    def layered(
        self, base: BuildEnvironment, packages: Sequence[LayerPackage], releases: Sequence[Release]
    ) -> BuildEnvironment:
        """See :meth:`rebuilder.environments.protocol.Environments.layered`."""
        as_root = self._as_root
        if as_root is None:
            raise BuildEnvironmentError(f"Nothing is installed over {base.name} here.")
        wanted = layers.manifest(base, packages)

        def maker(spec: Manifest, root: Path) -> Made:
            return layers.install(
                spec,
                root.parent,
                base=self.by_digest(base.sha256),
                below=self._listing(base.sha256),
                packages=packages,
                releases=releases,
                as_root=as_root,
            )

        with _disk_errors(self._root), self._lock(wanted.name):
            record = self._current(wanted.name, "layers")
            return self._checked(self._make(wanted, maker=maker) if record is None else record)

    def _listing(self, sha256: str) -> bytes:
        listing = (self._tree(sha256) / "listing").read_bytes()
        if sha256_hex(listing) != sha256:
            raise self._broken(sha256, "listing")
        return listing

    def record(self, sha256: str, name: str | None = None) -> Record:
        """What is kept about a tree.

        Args:
            sha256: Digest of the tree.
            name: Of the build environment that it is to be the record of; None: the first that came to this tree.

        Raises:
            BuildEnvironmentError: it cannot be read.
        """
        own = self._tree(sha256) / f"{name}.json"
        file = own if name is not None and own.exists() else self._tree(sha256) / "record.json"
        try:
            record = Record.model_validate_json(file.read_bytes())
        except (OSError, ValidationError) as error:
            raise self._broken(sha256, file.name) from error
        if record.sha256 != sha256:
            raise self._broken(sha256, file.name)
        return record

    def kept_trees(self) -> tuple[Kept, ...]:
        """All that this machine has, by name and then the newest first; those that cannot be read are left out."""
        names: dict[str, list[str]] = {}
        for pointer in sorted((self._root / "current").glob("[!.]*")):
            names.setdefault(pointer.read_text(encoding="ascii", errors="replace").strip(), []).append(pointer.name)
        found = []
        for place in (self._root / "trees").glob("[0-9a-f]*"):
            with suppress(BuildEnvironmentError):
                found.append(Kept(self.record(place.name), tuple(names.get(place.name, ()))))
        found.sort(key=lambda each: each.record.made_at, reverse=True)
        return tuple(sorted(found, key=lambda each: each.record.spec.name))

    def export(self, sha256: str, file: Path) -> None:
        """Write one environment into a file, the same bytes each time; see :mod:`rebuilder.environments.exchange`.

        Raises:
            BuildEnvironmentError: this machine has none with that digest, or it was modified.
            UsageError: the file is there already, or cannot be made where it is to be.
        """
        environment = self.by_digest(sha256)
        if os.path.lexists(file):
            raise UsageError(f"{file} is there already.", hint="Name a file that does not exist yet.")
        try:
            with _disk_errors(self._root), ExitStack() as stack:
                try:
                    draft = stack.enter_context(replacing(file.absolute(), durable=True))
                except OSError as error:
                    raise UsageError(f"{file} cannot be written: {error.strerror or error}.") from error
                place, record = self._tree(sha256), self.record(sha256)
                document = canonical_json(record.public.document())
                exchange.write(draft, document, _listed(record.spec, place, record.base), place / "root")
        except exchange.NotAnExportError as error:
            raise BuildEnvironmentError(
                f"The build environment {environment.name} cannot be exported: {error}."
            ) from error

    def import_(self, file: Path) -> BuildEnvironment:
        """Take in what :meth:`export` wrote, on whatever machine. It can be had by its digest; no name stands for it.

        Raises:
            UsageError: the file cannot be read, or is no export; nothing of it is kept.
            BuildEnvironmentError: it cannot be stored.
        """
        try:
            source = file.open("rb")
        except OSError as error:
            raise UsageError(f"{file} cannot be read: {error.strerror or error}.") from error
        with source:
            return self.import_from(source, str(file))

    def import_from(self, source: BinaryIO, name: str) -> BuildEnvironment:
        """The same with a file that is open; ``name`` is what a message calls it."""
        with _disk_errors(self._root):
            try:
                document, found = exchange.read_head(source)
                record = Record.model_validate_json(document).public
                if not self._tree(record.sha256).is_dir() or record.sha256 != sha256_hex(found):
                    self._take_in(record, source, found)
            except ValidationError as error:
                words = "its environment.json is not what an environment was made from"
                raise _no_export(name, words) from error
            except exchange.NotAnExportError as error:
                raise _no_export(name, str(error)) from error
        (self._tree(record.sha256) / "superseded").unlink(missing_ok=True)
        return self.by_digest(record.sha256)

    def add(self, make: Callable[[Path], tuple[Manifest, Made]], name: str | None) -> BuildEnvironment:
        """Keep a tree that is made from what somebody gave.

        Args:
            make: Makes it as ``root`` of a directory, and says what it is.
            name: What stands for it from now on; None: it can be had by its digest.

        Raises:
            UsageError: a build environment that is made here has that name.
            BuildEnvironmentError: it cannot be stored.
            Exception: whatever ``make`` raises; nothing of it is kept then.
        """
        with suppress(BuildEnvironmentError):
            if name is not None and self._specs(name):
                raise UsageError(f"The name {name} is that of another build environment.", hint="Choose another one.")
        with _disk_errors(self._root), self._lock("given@"):
            making = self._root / "making"
            for left_over in making.glob("given@*"):
                shutil.rmtree(left_over)
            place = Path(tempfile.mkdtemp(prefix="given@", dir=making))
            try:
                spec, made = make(place)
                record, found = self._record(spec, made, place)
                if self._tree(record.sha256).exists():
                    self._keep(record, self._tree(record.sha256))
                else:
                    self._complete(record, found, place)
            finally:
                shutil.rmtree(place, ignore_errors=True)
            if name is not None:
                with self._lock(name):
                    self._point(name, record.sha256)
            (self._tree(record.sha256) / "superseded").unlink(missing_ok=True)
        return self._checked(record)

    def _take_in(self, record: Record, source: BinaryIO, found: bytes) -> None:
        if record.sha256 != sha256_hex(found):
            raise exchange.NotAnExportError("its listing has not the digest that it names")
        if record.base != exchange.base_of(found):
            raise exchange.NotAnExportError("it lies over another one than its listing says")
        if record.base is not None:
            if not self._tree(record.base).is_dir():
                raise BaseMissingError(record.spec.name, record.base)
            if self.by_digest(record.base).layers:
                raise exchange.NotAnExportError("it lies over one that lies over another one itself")
            exchange.check(found, self._listing(record.base))
        making = _directory(_directory(self._root) / "making")
        place = Path(tempfile.mkdtemp(prefix="import@", dir=making))
        try:
            exchange.unpack(source, found, place)
            if _listed(record.spec, place, record.base) != found:
                raise exchange.NotAnExportError("its listing is not one that a tree gives")
            self._complete(record, found, place)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def forget(self, referred: Callable[[], set[bytes]], before: datetime) -> int:
        """Remove trees that another one took the place of before a moment, unless somebody refers to them.

        What a name stands for, what was imported, and what one that stays lies over is never removed; one that lies
        over another is when it was not used since.

        Args:
            referred: Gives the SHA-256 digests (32 bytes each) that reports and running verifications name.
            before: The moment.

        Returns:
            How many were removed.

        Raises:
            BuildEnvironmentError: the store cannot be read or changed.
        """
        with _disk_errors(self._root):
            gone = superseded(self._root, before, referred, [each.record for each in self.kept_trees()])
            for each in gone:
                place = Path(tempfile.mkdtemp(prefix="gone@", dir=_directory(self._root / "making")))
                each.rename(place / each.name)
                shutil.rmtree(place)
            return len(gone)

    def _specified(self, wanted: Specification) -> BuildEnvironment:
        """The one with exactly that content, made where the archive still has every package of it."""
        for each in self.kept_trees():
            if each.record.specification.same_content(wanted):
                return self.by_digest(each.record.sha256)
        name = f"specification-{wanted.digest[:16]}"
        if wanted.method == "image" or wanted.recipe != RECIPE or wanted.base is not None:
            what = f"with the specification {wanted.digest}, and cannot make it"
            if wanted.image is not None and wanted.image.base is None:
                what = f"of the image with the digest {wanted.image.sha256}, which was given"
            raise BuildEnvironmentError(
                f"This machine has no build environment {what}.",
                hint="Import the image, or what `rebuilder environments export` writes where it is.",
            )
        pinned = Manifest(
            name=name,
            suite=wanted.suite,
            also=wanted.also,
            packages=tuple(f"{each.name}={each.version}" for each in wanted.packages),
            configured=wanted.method == "configured",
            **{field: getattr(wanted, field) for field in ("provides", "links", "prune", "package_times")},
        )
        with _disk_errors(self._root), self._lock(name):
            return self._checked(self._make(pinned, expected=wanted))

    def _tree(self, sha256: str) -> Path:
        return self._root / "trees" / sha256

    def _spec(self, name: str) -> Manifest:
        """The specification of a name: what it is made by, or what was given under it."""
        try:
            return self._specs(name)
        except BuildEnvironmentError:
            record = self._current(name) if NAME.fullmatch(name) else None
            if record is None or not record.given:
                raise
            return record.spec

    def _current(self, name: str, kind: str = "current") -> Record | None:
        """The record of the tree that a name stands for; None when there is none.

        Raises:
            CorruptEnvironmentError: that tree was made under another name.
        """
        pointer = self._root / kind / name
        try:
            sha256 = pointer.read_text(encoding="ascii", errors="replace").strip()
        except FileNotFoundError:
            return None
        if not is_sha256(sha256) or not self._tree(sha256).is_dir():
            return None
        record = self.record(sha256, name)
        if record.spec.name != name:
            raise CorruptEnvironmentError(
                f"The build environment {name} was modified: the name stands for a tree that was made as "
                f"{record.spec.name!r}.",
                hint=f"Find out who did it. To have it made again, remove {pointer}.",
            )
        return record

    def _made_again(self, spec: Manifest, before: Record | None) -> Record:
        """Make the tree of a name; where that fails, the one before serves, unless it is the user's own Python.

        The name's lock is held.
        """
        try:
            return self._make(spec)
        except BuildEnvironmentError as error:
            if before is None or spec.interpreter is not None or before.spec.provides != spec.provides:
                raise
            note = (
                f"The specification of {spec.name} has changed since it was made ({before.made_at:%Y-%m-%d}), and it "
                "could not be made again; the one from then was used."
            )
            self._report(f"{note} {error} {error.hint or ''}".strip())
            self._outdated[before.sha256] = note
            return before

    def _checked(self, record: Record) -> BuildEnvironment:
        place, note = self._tree(record.sha256), self._outdated.get(record.sha256)
        if not (place / "root").is_dir():
            raise self._broken(record.sha256, "root")
        below = self._checked(self.record(record.base)) if record.base is not None else None
        self._check(record, place)
        if below is not None:
            self._used(record.sha256)
        packages = tuple(f"{each.name} {each.version}" for each in record.made.packages)
        return BuildEnvironment(
            name=record.spec.name,
            sha256=record.sha256,
            root=place / "root" if below is None else below.root,
            layers=() if below is None else tuple(kept(place)),
            provides=record.spec.provides,
            specification=record.specification,
            summary=EnvironmentSummary(
                name=record.spec.name,
                sha256=record.sha256,
                provides=record.spec.provides,
                packages=packages if below is None else layers.installed(below.summary.packages, packages),
                notes=(*record.made.notes, *((note,) if note is not None else ())),
            ),
        )

    def _broken(self, sha256: str, what: str) -> BuildEnvironmentError:
        tree = self._tree(sha256)
        return BuildEnvironmentError(
            f"The build environment at {tree} cannot be used: its {what} is missing or malformed.",
            hint=f"To have it made again, remove {tree}.",
        )

    def _make(self, spec: Manifest, *, expected: Specification | None = None, maker: Maker | None = None) -> Record:
        """Make a tree and let the name stand for it. The name's lock is held."""
        making = self._root / "making"
        for left_over in making.glob(f"{spec.name}@*"):
            shutil.rmtree(left_over)
        archive = "the settings" if spec.interpreter else "the Debian archive"
        self._report(f"making {spec.name} from {archive if maker is None else f'{len(spec.packages)} packages'}")
        place = Path(tempfile.mkdtemp(prefix=f"{spec.name}@", dir=making))
        try:
            place.chmod(0o755)
            record, found = self._record(spec, (maker or self._maker)(spec, place / "root"), place)
            if expected is not None and not record.specification.same_content(expected):
                raise BuildEnvironmentError(
                    f"The archive no longer has what the specification {expected.digest} names."
                )
            tree = self._tree(record.sha256)
            if tree.exists():
                self._keep(record, tree)
            else:
                self._complete(record, found, place)
        finally:
            discard(place)
        self._point(spec.name, record.sha256)
        return record

    def _used(self, sha256: str) -> None:
        """One that lies over another was used; told once an hour at most, and not of those that were imported."""
        with suppress(OSError):
            mark = self._tree(sha256) / "superseded"
            if mark.lstat().st_mtime + _HOUR < time.time():
                os.utime(mark)

    def _point(self, name: str, sha256: str) -> None:
        """Let a name stand for a tree; the one before is kept, and marked. Those that lie over others always are."""
        if self.record(sha256).base is not None:
            write_whole(_directory(self._root / "layers") / name, f"{sha256}\n".encode(), durable=True)
            (self._tree(sha256) / "superseded").touch()
            return
        pointer = _directory(self._root / "current") / name
        before = pointer.read_text(encoding="ascii", errors="replace").strip() if pointer.exists() else sha256
        write_whole(pointer, f"{sha256}\n".encode(), durable=True)
        (self._tree(sha256) / "superseded").unlink(missing_ok=True)
        if before != sha256 and is_sha256(before) and self._tree(before).is_dir():
            (self._tree(before) / "superseded").touch()

    def _complete(self, record: Record, found: bytes, place: Path) -> None:
        """Lay beside a finished tree what is kept about it, and give it its place."""
        place.chmod(0o755)
        write_whole(place / "listing", found, durable=True)
        write_whole(place / "record.json", canonical_json(record.document()), durable=True)
        write_whole(place / "fingerprint", whole_fingerprint(place).encode(), durable=True)
        for log in place.glob("*.log"):
            log.unlink()
        tree = self._tree(record.sha256)
        _directory(tree.parent)
        try:
            place.rename(tree)
        except OSError as error:
            if error.errno not in {errno.EEXIST, errno.ENOTEMPTY}:
                raise  # otherwise somebody else was quicker with the same tree

    def _keep(self, record: Record, tree: Path) -> None:
        """The same tree came out once more: keep what it was made from this time."""
        first = self.record(record.sha256)
        file = "record.json" if first.spec.name == record.spec.name else f"{record.spec.name}.json"
        write_whole(tree / file, canonical_json(record.document()), durable=True)

    def _record(self, spec: Manifest, made: Made, place: Path) -> tuple[Record, bytes]:
        found = _listed(spec, place, made.base.sha256 if made.base is not None else None)
        made_at = self._clock.now()
        return Record(sha256=sha256_hex(found), spec=spec, made=made, made_at=made_at, recipe=RECIPE), found

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        """Let one process at a time make a build environment; the kernel frees the lock of one that dies."""
        _directory(self._root)
        making = _directory(self._root / "making")
        with (making / f".{name}.lock").open("wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._report(f"waiting for another process that makes {name}")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _no_export(name: str, why: str) -> UsageError:
    return UsageError(f"{name} is no export of a build environment: {why}.")


def _listed(spec: Manifest, place: Path, base: str | None) -> bytes:
    return whole_listing(place, base, times=spec.package_times is True)


def _fits(record: Record, spec: Manifest) -> bool:
    """Whether a tree was made as it would be made now, whatever packages the archive has now."""
    return record.spec == spec and (record.recipe == RECIPE or record.given)


@contextmanager
def _disk_errors(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = error.filename or root
        raise BuildEnvironmentError(
            f"The build environments below {root} cannot be used: {error.strerror or error} ({place}).",
            hint="Check the free space and the permissions there.",
        ) from error


def _directory(place: Path) -> Path:
    """Make a directory that every user can pass, whatever our umask: builds run as another one."""
    if not place.is_dir():
        place.mkdir(parents=True, exist_ok=True)
        place.chmod(0o755)
    return place
