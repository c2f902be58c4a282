"""Which build environments may go: another one took their place long ago, and nobody needs them any more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from rebuilder.environments.record import Record


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
