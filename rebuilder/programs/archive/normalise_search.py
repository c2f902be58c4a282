"""Finds the normalisations under which two archives are equal.

A Debian package has two archives in one, and headers of its own around them. dpkg unpacks as root and keeps what the
data archive says: owners, modes and directories are what is installed, and are never set aside here, nor are those of
control files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rebuilder.programs.archive.deb import DebArchive
from rebuilder.programs.archive.normalise_tar import TAR, tar_times
from rebuilder.programs.archive.normalise_zip import ZIP
from rebuilder.programs.archive.tar import TarArchive
from rebuilder.programs.archive.zip import ZipArchive

Rules = Mapping[str, Any]
"""Name to function, in the order in which they are applied."""


def rules_for(archive: Any) -> Rules:
    """The normalisations of an archive's format."""
    if isinstance(archive, DebArchive):
        return DEB
    return ZIP if isinstance(archive, ZipArchive) else TAR


def normalised(archive: Any, names: Iterable[str], rules: Rules) -> Any:
    """The archive after the named normalisations, applied in the order of ``rules``."""
    wanted = set(names)
    for name, rule in rules.items():
        if name in wanted:
            archive = rule(archive)
    return archive


def smallest_set(published: Any, rebuilt: Any) -> tuple[str, ...] | None:
    """The smallest set of normalisations that makes two archives equal; None when all together do not.

    A single one is looked for first. Otherwise all that change anything are taken, and one after the other is left
    out as long as the archives stay equal: none of what remains can be left out.
    """
    rules = rules_for(published)
    if published == rebuilt:
        return ()
    if normalised(published, rules, rules) != normalised(rebuilt, rules, rules):
        return None
    changing = [name for name, rule in rules.items() if rule(published) != published or rule(rebuilt) != rebuilt]
    for name in changing:
        if rules[name](published) == rules[name](rebuilt):
            return (name,)
    # A rule may change something only after another one did, so those that change nothing by themselves may matter.
    alike = normalised(published, changing, rules) == normalised(rebuilt, changing, rules)
    needed = changing if alike else list(rules)
    for name in tuple(needed):
        without = [each for each in needed if each != name]
        if normalised(published, without, rules) == normalised(rebuilt, without, rules):
            needed = without
    return tuple(needed)


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
