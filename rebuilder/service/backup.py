"""A backup of a store that can be taken while the service runs, and a store put back from one.

Below the directory of a backup::

    backup.json           which ledger counts, and what it needs; replaced whole, after all that it names is there
    ledger-DIGEST.sqlite  the ledger, also where PostgreSQL keeps it
    blobs/                by digest, as in a store
    environments/         TREE.tar, a build environment each (rebuilder.environments.exchange)
    debian/               lists of Debian's archive that were verified

All but the ledger never changes once it is there, so a second backup into the same directory copies only what is new,
and one that was interrupted leaves the one before as it was. Keys, settings and the site are not in it.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from rebuilder.atomic_file import replacing, write_whole
from rebuilder.environments.store import EnvironmentStore
from rebuilder.errors import BuildEnvironmentError, CorruptStoreError, StoreError, UsageError
from rebuilder.model.value import Sha256, Value, indented_json
from rebuilder.replay.published import of_our_own
from rebuilder.replay.replayer import needed_inputs
from rebuilder.store.blobs import DiskBlobs
from rebuilder.store.ledger import Ledger, copying
from rebuilder.store.ledger.database import Database

_INDEX = "backup.json"
_FORM = 1
_CHUNK = 1 << 20
_BUSY_SECONDS = 20.0


class BackupIndex(Value):
    """``backup.json``."""

    form: int
    made_at: datetime
    ledger: Sha256
    """Of the file of the ledger."""
    rows: int
    """Of all its tables together."""
    environments: tuple[Sha256, ...]
    """Digests of trees, each after the one it lies over."""


@dataclass
class Outcome:
    """What was done."""

    index: BackupIndex
    copied: int = 0
    """Blobs that were not there before."""
    present: int = 0
    """Blobs that were."""
    environments: int = 0
    """Build environments that were not there before."""
    damaged: list[str] = field(default_factory=list)
    """A sentence for each thing that the store itself has no more, or not as it was."""


Report = Callable[[str], None]
"""Told what is being done now."""


@dataclass(frozen=True)
class StorePlaces:
    """The parts of a store that a backup has."""

    ledger: str | Path
    blobs: Path
    environments: EnvironmentStore
    lists: Path


def back_up(store: StorePlaces, place: Path, now: datetime, report: Report) -> Outcome:
    """Copy what is new in a store; it may be in use.

    The ledger comes first, as it is at one moment: whatever it names was in the store by then.

    Args:
        store: The store; its ledger has to exist.
        place: Directory of the backup: empty, new, or one with an earlier backup.
        now: The time.
        report: Is told what is being done.

    Raises:
        UsageError: the directory holds something else.
        StoreError: something cannot be read or written; an earlier backup is as it was.
    """
    with _explained(place):
        before = _read_index(place)
        if before is None and place.exists() and any(not _own(each) for each in place.iterdir()):
            raise UsageError(f"{place} holds other files; a backup is not written among them.", hint="Name a new one.")
        place.mkdir(parents=True, exist_ok=True)
        report("the ledger")
        digest, rows, wanted = _copy_ledger(store.ledger, place)
        outcome = Outcome(BackupIndex(form=_FORM, made_at=now, ledger=digest, rows=rows, environments=()))
        report("build environments")
        kept = _export_environments(store.environments, place / "environments", outcome)
        report("blobs")
        _copy_blobs(DiskBlobs(store.blobs), DiskBlobs(place / "blobs"), sorted(stored(store.blobs)), outcome)
        _copy_lists(store.lists, place / "debian")
        target = DiskBlobs(place / "blobs")
        outcome.damaged += (
            f"A report names {each}, and the store does not have it."
            for each in sorted(wanted - {*kept})
            if not target.has(each)
        )
        outcome.index = outcome.index.replace(environments=tuple(kept))
        write_whole(place / _INDEX, indented_json(outcome.index.document()), durable=True)
        for other in place.glob("ledger-*.sqlite*"):
            if other.name != _ledger_name(digest):
                other.unlink()
    return outcome


def restore(place: Path, store: StorePlaces, report: Report) -> Outcome:
    """Make an empty store what it was; what was interrupted is begun again with the same call.

    Ledger, blobs and build environments are checked by their digests; lists are when they are read.

    Raises:
        UsageError: there is no backup, or the store has a ledger already.
        StoreError: the backup is damaged, or something cannot be written; the ledger comes last, so there is none then.
    """
    with _explained(place):
        index = _read_index(place)
        if index is None:
            raise UsageError(
                f"There is no backup in {place}.", hint="Name the directory that `rebuilder backup` wrote."
            )
        saved = place / _ledger_name(index.ledger)
        if not saved.is_file() or _sha256(saved) != index.ledger:
            raise StoreError(f"The ledger in the backup {place} is damaged or gone.", hint="Use an earlier backup.")
        if not _remote(store.ledger) and Path(store.ledger).exists():
            raise UsageError(
                f"There is a ledger already: {store.ledger}.",
                hint="Move the old store away, or name a new one with --store.",
            )
        outcome = Outcome(index)
        report("build environments")
        for tree in index.environments:
            _import_environment(store.environments, tree, place / "environments" / f"{tree}.tar", outcome)
        report("blobs")
        source = place / "blobs"
        _copy_blobs(DiskBlobs(source), DiskBlobs(store.blobs), sorted(stored(source)), outcome)
        _copy_lists(place / "debian", store.lists)
        if outcome.damaged:
            raise CorruptStoreError(" ".join(outcome.damaged[:5]), hint="Use another copy of the backup.")
        report("the ledger")
        _put_ledger(saved, store.ledger)
    return outcome


def stored(blobs: Path) -> Iterator[Sha256]:
    """Digests of all blobs in a directory, those included that are about to leave."""
    for folder in blobs.glob("*"):
        if len(folder.name) == 2 or folder.name == "leaving":
            for each in folder.iterdir():
                if len(each.name) == 64:
                    yield Sha256(each.name)


def _copy_ledger(ledger: str | Path, place: Path) -> tuple[Sha256, int, set[Sha256]]:
    """Digest of the copy, its rows, and the digests of what its reports need."""
    draft = place / "ledger-new.sqlite"
    draft.unlink(missing_ok=True)
    with (
        closing(Database(ledger, busy_seconds=_BUSY_SECONDS, upgrade=False)) as old,
        closing(Database(draft, busy_seconds=_BUSY_SECONDS)) as new,
    ):
        rows = sum(copying.copy(old, new, lambda *_: None, in_use=True).values())
    with Ledger.open(draft) as copied:
        wanted = _needed(copied)
    digest = _sha256(draft)
    draft.rename(place / _ledger_name(digest))
    return digest, rows, wanted


def _needed(ledger: Ledger) -> set[Sha256]:
    """Digests of what the newest report on each file needs: that file, logs, what builds read, environments.

    What else a report names was never in the store: packages inside of environments, members of archives.
    """
    found: set[Sha256] = set()
    for row in ledger.latest():
        if (signed := ledger.signed_report(row)) is None:
            continue
        report, again = signed.report, of_our_own(signed.report)
        found |= {report.artifact.sha256, *(each.run.log_sha256 for each in report.attempts)}
        found |= {one.sha256 for each in report.attempts for one in each.hypothesis.definition.inputs}
        if again is not None:
            found |= {*again.environments, *(each.sha256 for each in needed_inputs(again))}
    return found


def _put_ledger(saved: Path, ledger: str | Path) -> None:
    if _remote(ledger):
        with (
            closing(Database(saved, busy_seconds=_BUSY_SECONDS)) as old,
            closing(Database(ledger, busy_seconds=_BUSY_SECONDS)) as new,
        ):
            copying.copy(old, new, lambda *_: None, in_use=True)
        return
    with saved.open("rb") as source, replacing(Path(ledger), durable=True, replace=False) as draft:
        shutil.copyfileobj(source, draft, _CHUNK)


def _export_environments(environments: EnvironmentStore, place: Path, outcome: Outcome) -> list[Sha256]:
    """Write those that are not there yet; all digests, each after that of what it lies over."""
    place.mkdir(exist_ok=True)
    records = [each.record for each in environments.kept_trees()]
    found: list[Sha256] = []
    for record in sorted(records, key=lambda each: (each.base is not None, each.sha256)):
        file = place / f"{record.sha256}.tar"
        try:
            if not file.exists():
                environments.export(record.sha256, file)
                outcome.environments += 1
            found.append(record.sha256)
        except BuildEnvironmentError as error:
            outcome.damaged.append(str(error))
    return found


def _import_environment(environments: EnvironmentStore, tree: Sha256, file: Path, outcome: Outcome) -> None:
    try:
        environments.by_digest(tree)
    except BuildEnvironmentError:
        environments.import_(file)
        outcome.environments += 1


def _copy_blobs(source: DiskBlobs, target: DiskBlobs, digests: list[Sha256], outcome: Outcome) -> None:
    for digest in digests:
        if target.has(digest):
            outcome.present += 1
            continue
        try:
            file = source.path(digest)
        except CorruptStoreError as error:
            outcome.damaged.append(str(error))
            continue
        except StoreError:
            continue  # it was in nobody's use any more and left meanwhile; what reports name is looked for afterwards
        with file.open("rb") as opened:
            target.put_stream(iter(lambda: opened.read(_CHUNK), b""), max_bytes=1 << 62)
        outcome.copied += 1


def _copy_lists(source: Path, target: Path) -> None:
    for file in source.rglob("*"):
        copy = target / file.relative_to(source)
        if file.is_file() and not file.is_symlink() and not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            with file.open("rb") as opened, replacing(copy, durable=True) as draft:
                shutil.copyfileobj(opened, draft, _CHUNK)


def _read_index(place: Path) -> BackupIndex | None:
    """What a directory says it is a backup of; None: it says nothing."""
    file = place / _INDEX
    if not file.is_file():
        return None
    try:
        index = BackupIndex.model_validate_json(file.read_bytes())
    except ValidationError:
        raise UsageError(f"{file} is not the index of a backup.", hint="Name the directory of a backup.") from None
    if index.form != _FORM:
        raise UsageError(f"The backup {place} is of a newer version of this program.", hint="Use that version.")
    return index


def _own(file: Path) -> bool:
    """Whether it can be left of a first backup that was interrupted."""
    return file.name in {"blobs", "environments", "debian"} or file.name.startswith("ledger-")


def _ledger_name(digest: Sha256) -> str:
    return f"ledger-{digest[:16]}.sqlite"


def _remote(ledger: str | Path) -> bool:
    return "://" in str(ledger) and not str(ledger).startswith("sqlite:")


def _sha256(file: Path) -> Sha256:
    with file.open("rb") as opened:
        return Sha256(hashlib.file_digest(opened, "sha256").hexdigest())


@contextmanager
def _explained(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = error.filename or place
        raise StoreError(
            f"{what} cannot be read or written: {error.strerror or error}.",
            hint="Check the disk, and run the same command again: what was copied is kept.",
        ) from None
