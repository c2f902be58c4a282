"""What is kept beside a tree: what it was made from, and when; whether it still is that, and which trees may go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from pydantic import Field

from rebuilder.atomic_file import write_whole
from rebuilder.environments.settle import retime
from rebuilder.environments.tree import changes, fingerprint, kept, own_times, whole_listing
from rebuilder.errors import BuildEnvironmentError, CorruptEnvironmentError
from rebuilder.model.environment import Image, Made, Manifest, Specification
from rebuilder.model.value import Sha256, Sha256Field, Value, sha256_hex

_READINGS = 3
"""A tree whose times were put right is read again; one that changes still is being written to."""


class EnvironmentCheck:
    """Reads an environment as a whole before its first use, and looks at its fingerprint from then on.

    Args:
        report: Told what takes long.
        read_whole: Fingerprint by place, of what this process has read as a whole; it is added to.
    """

    def __init__(self, report: Callable[[str], None], read_whole: dict[str, str]) -> None:
        self._report = report
        self._fingerprints = read_whole

    def __call__(self, record: Record, place: Path) -> None:
        """Look at the one that is kept in a directory; touched times are put right.

        Raises:
            BuildEnvironmentError: it was modified; the sentence says which file.
            OSError: it cannot be read.
        """
        before = whole_fingerprint(place)
        if before == self._fingerprints.get(str(place)):
            return
        file = place / "fingerprint"
        noted = file.read_text(encoding="ascii", errors="replace") if file.exists() else None
        if noted is not None and noted != before:
            self._report(f"reading {record.spec.name} again, because something touched it")
        times = record.spec.package_times is True
        own = own_times(_recorded(record, place)) if times else {}
        for _ in range(_READINGS):
            if True in [retime(tree, own if tree.name == "root" else None) for tree in kept(place)]:
                before = whole_fingerprint(place)
            found = whole_listing(place, record.base, times=times)
            if sha256_hex(found) != record.sha256:
                raise _modified(record, place, found)
            before, read = whole_fingerprint(place), before
            if before == read:
                self._fingerprints[str(place)] = before
                if noted != before:
                    with suppress(OSError):  # in somebody else's store, or on a full disk, it is only told again
                        write_whole(file, before.encode(), durable=True)
                return
        raise CorruptEnvironmentError(
            f"The build environment {record.spec.name} was changed while it was read.",
            hint=f"Find out which program writes below {place}.",
        )


def whole_fingerprint(place: Path) -> str:
    """Of all that is kept of an environment in a directory."""
    return "".join(map(fingerprint, kept(place)))


def _recorded(record: Record, place: Path) -> bytes:
    """The listing that lies beside it, which has to be the one that its digest is of."""
    recorded = (place / "listing").read_bytes()
    if sha256_hex(recorded) != record.sha256:
        raise _modified(record, place, b"")
    return recorded


def _modified(record: Record, place: Path, found: bytes) -> BuildEnvironmentError:
    try:
        recorded = (place / "listing").read_bytes()
    except OSError:
        recorded = b""
    name = record.spec.name
    hint = f"Find out who did it. To have it made again, remove {place}."
    if sha256_hex(recorded) != record.sha256:
        return CorruptEnvironmentError(f"The build environment {name} and its listing were modified.", hint=hint)
    changed = changes(recorded, found)
    more = f", and {len(changed) - 3} more" if len(changed) > 3 else ""
    return CorruptEnvironmentError(
        f"The build environment {name} was modified since it was made: {', '.join(changed[:3])}{more}.", hint=hint
    )


def superseded(
    root: Path, before: datetime, referred: Callable[[], set[bytes]], records: Sequence[Record]
) -> list[Path]:
    """Directories of the trees that may go; what stands for a layer among them is taken away.

    Args:
        root: Of the store.
        before: The moment since which nothing used them.
        referred: See :meth:`rebuilder.environments.store.EnvironmentStore.forget`; asked only where there are any.
        records: Of all that there are.

    Raises:
        OSError: the store cannot be read or changed.
    """
    marks = [each for each in (root / "trees").glob("*/superseded") if each.lstat().st_mtime < before.timestamp()]
    if not marks:
        return []
    needed = {each.read_text().strip() for each in (root / "current").glob("[!.]*")}
    needed |= {each.hex() for each in referred()}
    gone = {each.parent.name for each in marks} - needed
    gone -= {each.base for each in records if each.sha256 not in gone}
    for pointer in (root / "layers").glob("[!.]*"):
        if pointer.read_text().strip() in gone:
            pointer.unlink()
    return [root / "trees" / each for each in sorted(gone)]


PUBLISHED = "environments"
"""Directory of a site that has the records of build environments as ``TREE.json``."""


class Record(Value):
    """What is kept about one tree."""

    sha256: Sha256Field
    """Digest of the tree, see :mod:`rebuilder.environments.tree`."""
    spec: Manifest
    made: Made
    made_at: datetime
    recipe: int = Field(default=1, ge=1, le=1_000_000)
    """:data:`rebuilder.environments.settle.RECIPE` at that time."""

    @property
    def base(self) -> Sha256 | None:
        """Digest of the tree that it lies over; None: it is a tree of its own."""
        return self.made.base.sha256 if self.made.base is not None else None

    @property
    def given(self) -> bool:
        """Whether somebody gave it as it is, so that it cannot be made again."""
        return self.made.image is not None and self.made.image.base is None and self.spec.interpreter is None

    @property
    def specification(self) -> Specification:
        """What the tree was made from, to the digest."""
        given = self.spec.interpreter is not None or self.made.image is not None
        return Specification(
            method="image" if given else "configured" if self.spec.configured else "extracted",
            suite=self.spec.suite,
            **{name: getattr(self.made, name) for name in ("releases", "packages", "image")},
            **{name: getattr(self.spec, name) for name in ("provides", "links", "prune", "package_times")},
            base=self.made.base.specification if self.made.base is not None else None,
            recipe=self.recipe,
        )

    @property
    def public(self) -> Record:
        """The same without what is this machine's alone: its mirrors, and where given files lay."""
        made = self.made.replace(sources=())
        if self.spec.interpreter is None:
            return self.replace(made=made)
        image = made.image or Image(sha256=self.spec.interpreter.sha256 or self.sha256)
        return self.replace(spec=self.spec.replace(interpreter=None), made=made.replace(image=image))
