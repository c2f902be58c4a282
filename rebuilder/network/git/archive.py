"""The files of a commit as one tar archive that has the same bytes on every machine.

Raw content in order of the bytes of the paths, no filters, no attributes (``export-ignore`` would hide files), modes
0644 and 0755, the committer's time, owner 0. A submodule is an empty directory whose pax record names its commit.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rebuilder.model.text import clipped
from rebuilder.network.git.objects import Contents, TreeEntry, Unsound
from rebuilder.programs.source.git_store import SUBMODULE

_BLOCK = 512
_LINK_BYTES = 4096
_POINTER = b"version https://git-lfs."
_POINTER_BYTES = 1024
_NAMED = 3


@dataclass
class ArchiveFindings:
    """What is worth a note."""

    pointers: list[str] = field(default_factory=list)
    odd_names: list[str] = field(default_factory=list)

    def notes(self, submodules: Sequence[TreeEntry]) -> tuple[str, ...]:
        """The notes, as sentences."""
        modules = [f"{_shown(each.path)} at {each.name}" for each in submodules]
        return tuple(
            f"{sentence} {', '.join(names[:_NAMED])}{_more(names)}."
            for names, sentence in (
                (modules, "The content of submodules is not included:"),
                (self.pointers, "Pointers of Git LFS were left as they are:"),
                (self.odd_names, "There are file names with characters that cannot be printed:"),
            )
            if names
        )


def tar_chunks(entries: Sequence[TreeEntry], contents: Contents, moment: int, seen: ArchiveFindings) -> Iterator[bytes]:
    """The archive, piece by piece.

    Args:
        entries: In order of their paths.
        contents: Where their bytes are.
        moment: Time of every member, in seconds since 1970.
        seen: Is told what is worth a note.

    Raises:
        Unsound: content is missing or damaged.
    """
    for entry in entries:
        if not entry.path.decode("utf-8", "surrogateescape").isprintable():
            seen.odd_names.append(_shown(entry.path))
        if entry.kind == "link":
            yield _header(entry, moment, link=_link(entry, contents))
        elif entry.kind == "submodule":
            yield _header(entry, moment)
        else:
            yield _header(entry, moment)
            yield from _content(entry, contents, seen)
    yield bytes(2 * _BLOCK)


def _content(entry: TreeEntry, contents: Contents, seen: ArchiveFindings) -> Iterator[bytes]:
    first = True
    for chunk in contents.chunks(entry):
        if first and entry.size <= _POINTER_BYTES and chunk.startswith(_POINTER):
            seen.pointers.append(_shown(entry.path))
        first = False
        yield chunk
    yield bytes(-entry.size % _BLOCK)


def _link(entry: TreeEntry, contents: Contents) -> bytes:
    if entry.size > _LINK_BYTES:
        raise Unsound(f"The symbolic link {ascii(entry.path[:200])[1:]} is longer than a path can be.")
    target = b"".join(contents.chunks(entry))
    if not target or b"\0" in target:
        raise Unsound(f"The symbolic link {ascii(entry.path[:200])[1:]} leads nowhere.")
    return target


def _header(entry: TreeEntry, moment: int, link: bytes = b"") -> bytes:
    info = tarfile.TarInfo(entry.path.decode("utf-8", "surrogateescape"))
    info.mtime = moment
    info.mode = 0o644 if entry.kind == "file" else 0o755
    if entry.kind == "link":
        info.type, info.mode = tarfile.SYMTYPE, 0o777
        info.linkname = link.decode("utf-8", "surrogateescape")
    elif entry.kind == "submodule":
        info.type = tarfile.DIRTYPE
        info.pax_headers = {SUBMODULE: entry.name}
    else:
        info.size = entry.size
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _shown(path: bytes) -> str:
    return clipped(path.decode("utf-8", "surrogateescape"))


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
