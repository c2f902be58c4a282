"""Names and versions in the files that a watch names: lock files, as ``rebuilder check`` reads them, and lists."""

from __future__ import annotations

from pathlib import Path

from rebuilder.consumer.lock_files import read_lock
from rebuilder.consumer.platform_files import Target
from rebuilder.ecosystems.conventions import NamedPackages
from rebuilder.toml_files import FileError, read_text


def collect(path: Path, named: NamedPackages) -> None:
    """Take the projects that a file names, and the versions it pins, whatever the platform.

    Raises:
        FileError: it cannot be used; ``named.read`` tells what was looked at all the same.
    """
    if path.suffix not in named.rules.lock_suffixes:
        named.collect(path)
        return
    named.read.append(path)
    for each in read_lock(path, read_text(path), Target(every=True)):
        if each.ecosystem != named.rules.name:
            raise FileError(path, f"This is a lock file of {each.ecosystem}, and the watch is for {named.rules.name}.")
        if not each.from_index:
            named.note(path, None, f"{each.name!r} is skipped: it does not come from an index.")
            continue
        try:
            named.add(each.name, each.version)
        except (ValueError, TypeError) as error:
            raise FileError(path, f"{each.place[:200]}: this package cannot be used: {error}.") from None
