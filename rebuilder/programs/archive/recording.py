"""What of the published metadata can be written anew into a rebuilt archive that is equivalent."""

from __future__ import annotations

from typing import Any

from rebuilder.programs.archive import replay_tar, replay_zip
from rebuilder.programs.archive.deb import DebArchive
from rebuilder.programs.archive.limits import UnreadableError, UnwritableError
from rebuilder.programs.archive.zip import ZipArchive


def recorded(paths: tuple[str, str], archives: tuple[Any, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The record of two archives: ``{"record": …}``, see ``replay_zip`` and ``replay_tar``.

    Args:
        paths: Of the published and of the rebuilt file.
        archives: What was read of them.
        names: The normalisations under which they are equal.

    Returns:
        That, or ``{"unwritable": …}`` with the end of a sentence.
    """
    if isinstance(archives[1], DebArchive):
        return {"unwritable": "nothing is written into finished packages of Debian"}
    module = replay_zip if isinstance(archives[1], ZipArchive) else replay_tar
    unknown = [name for name in names if name not in module.FIELDS]
    if unknown:
        return {"unwritable": f"{', '.join(unknown)} is never written"}
    try:
        return {"record": module.record((paths[0], archives[0]), (paths[1], archives[1]), list(names))}
    except (UnwritableError, UnreadableError) as refusal:
        return {"unwritable": str(refusal)}
