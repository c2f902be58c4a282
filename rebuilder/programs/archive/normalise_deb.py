"""Normalisations of Debian packages: of their ar headers, and of the two tar archives in them.

dpkg unpacks as root and keeps what the data archive says: owners, modes and directories are what is installed, and are
never set aside here, nor are those of control files.
"""

from __future__ import annotations

from collections.abc import Callable

from rebuilder.programs.archive.deb import DebArchive
from rebuilder.programs.archive.normalise_tar import TAR, tar_times
from rebuilder.programs.archive.tar import TarArchive

_DATED = (".pyc", ".pyo", ".elc", ".go")
"""Endings of compiled files that are used only where their time, or that of their source, says so."""
_INNER = ("tar-format", "tar-padding", "tar-order", *(name for name in TAR if not name.startswith("tar-")))


def ar_times(archive: DebArchive) -> DebArchive:
    """``ar-times``: times of the parts of a package."""
    loose = tuple(each._replace(mtime="0") for each in archive.loose)
    return archive._replace(ar=tuple(each._replace(mtime="0") for each in archive.ar), loose=loose)


def ar_owners(archive: DebArchive) -> DebArchive:
    """``ar-owners``: user, group and permissions of the parts of a package, which no reader looks at."""
    loose = tuple(each._replace(owner=(0, 0, b"", b""), mode=0) for each in archive.loose)
    return archive._replace(ar=tuple(each._replace(owner=(0, 0), mode=0) for each in archive.ar), loose=loose)


def deb_times(archive: DebArchive) -> DebArchive:
    """``tar-times``: times of members; not of files, where one is compiled and its use depends on a time."""
    dated = any(each.name.endswith(_DATED) for each in archive.data.members)
    data = archive.data if dated else tar_times(archive.data)
    return archive._replace(control=tar_times(archive.control), data=data)


def _inner(rule: Callable[[TarArchive], TarArchive]) -> Callable[[DebArchive], DebArchive]:
    return lambda archive: archive._replace(control=rule(archive.control), data=rule(archive.data))


DEB: dict[str, Callable[[DebArchive], DebArchive]] = {
    "ar-times": ar_times,
    "ar-owners": ar_owners,
    "tar-times": deb_times,
    **{name: _inner(TAR[name]) for name in _INNER},
}
