"""Finds the normalisations under which two archives are equal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rebuilder.programs.archive.deb import DebArchive
from rebuilder.programs.archive.normalise_deb import DEB
from rebuilder.programs.archive.normalise_tar import TAR
from rebuilder.programs.archive.normalise_zip import ZIP
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
