"""What was written of what: a page whose input is the same, and whose files nobody touched, is not made again."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from rebuilder.atomic_file import write_whole
from rebuilder.resources import resource


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
