"""Relationships between packages as source packages write them (Debian Policy, 7.1), and what a builder makes of them.

A builder of the archive leaves out what another architecture or profile wants, and of alternatives it takes the first
one, whatever is installed already: so two builders install the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from rebuilder.deb822 import MalformedStanzaError
from rebuilder.ecosystems.debian.version import is_version

MOST = 5000
"""Alternatives in all of one field; the largest of the archive have some hundreds."""
_LONGEST = 1 << 20
_ALTERNATIVE = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9+.-]{1,149})(?::(?P<qualifier>[a-z0-9][a-z0-9-]{1,39}))?"
    r"(?: ?\( ?(?P<operator><<|<=|=|>=|>>|<|>) ?(?P<version>[^ ()]{1,200}) ?\))?"
    r"(?: ?\[ ?(?P<architectures>[a-z0-9! -]+)\])?"
    r"(?P<profiles>(?: ?<[a-z0-9.!+ -]+>)*)",
    re.ASCII,
)
_CPU = {"armel": "arm", "armhf": "arm", "x32": "amd64"}
_PROFILES = re.compile(r"<([^>]*)>")


class Relation(NamedTuple):
    """One alternative."""

    name: str
    qualifier: str | None
    """``any``, ``native`` or an architecture."""
    operator: str | None
    version: str | None
    architectures: tuple[str, ...] = ()
    """Those it is for, or with ``!`` those it is not for; none: all."""
    profiles: tuple[tuple[str, ...], ...] = ()
    """It is wanted where one of these lists holds as a whole; none: always."""

    def __str__(self) -> str:
        """As it is written, without architectures and profiles."""
        qualified = f"{self.name}:{self.qualifier}" if self.qualifier else self.name
        return f"{qualified} ({self.operator} {self.version})" if self.operator else qualified

    def concerns(self, architecture: str, profiles: AbstractSet[str] = frozenset()) -> bool:
        """Whether it is wanted on an architecture, in a build with some profiles."""
        named = [_matches(each.removeprefix("!"), architecture) for each in self.architectures]
        excluding = bool(self.architectures) and self.architectures[0].startswith("!")
        if named and any(named) == excluding:
            return False
        return not self.profiles or any(
            all((each.removeprefix("!") in profiles) != each.startswith("!") for each in group)
            for group in self.profiles
        )


def relations(field: str) -> Iterator[tuple[Relation, ...]]:
    """What a field asks for: alternatives, one of which is enough.

    Raises:
        MalformedStanzaError: it has something else in it, or more than any source package.
    """
    if len(field) > _LONGEST:
        raise MalformedStanzaError("there is more than a megabyte of relationships")
    count = 0
    for clause in " ".join(field.split()).split(","):
        if not clause.strip():
            continue
        alternatives = tuple(map(_relation, clause.split("|")))
        count += len(alternatives)
        if count > MOST:
            raise MalformedStanzaError(f"there are more than {MOST:,} relationships")
        yield alternatives


def wanted(
    field: str, architecture: str, profiles: AbstractSet[str] = frozenset(), *, all_alternatives: bool = False
) -> list[str]:
    """What a builder installs for a field, or leaves out for one of conflicts; each as a field may have it.

    Args:
        field: Such as ``Build-Depends``.
        architecture: Of the build.
        profiles: Of the build.
        all_alternatives: Whether later alternatives stay; those for the same package as the first one always do.

    Raises:
        MalformedStanzaError: see :func:`relations`.
    """
    found = []
    for clause in relations(field):
        ours = [each for each in clause if each.concerns(architecture, profiles)]
        if ours:
            kept = [each for each in ours if all_alternatives or each.name == ours[0].name]
            found.append(" | ".join(map(str, kept)))
    return found


def is_for(qualifiers: str, architecture: str) -> bool:
    """Whether what has these architectures in brackets, or profiles in angles, is wanted in a build without profiles.

    Raises:
        MalformedStanzaError: they are none.
    """
    return _relation(f"package {qualifiers}").concerns(architecture)


def _relation(text: str) -> Relation:
    found = _ALTERNATIVE.fullmatch(text.strip())
    if found is None or (found["version"] is not None and not is_version(found["version"])):
        raise MalformedStanzaError(f"it has {text.strip()[:60]!r} among its relationships")
    architectures = tuple((found["architectures"] or "").split())
    if len({each.startswith("!") for each in architectures}) > 1:
        raise MalformedStanzaError(f"{text.strip()[:60]!r} names architectures in two ways")
    groups = (tuple(group.split()) for group in _PROFILES.findall(found["profiles"]))
    name, qualifier, operator, version, *_ = found.groups()
    return Relation(name, qualifier, operator, version, architectures, tuple(filter(None, groups)))


def _matches(pattern: str, architecture: str) -> bool:
    """Whether an architecture is one of those that a name stands for (``any``, ``linux-any``, ``any-arm``)."""
    if pattern in {architecture, "any"}:
        return True
    system, _, processor = architecture.rpartition("-")
    ours = (system or "linux", _CPU.get(processor, processor))
    head, dash, tail = pattern.rpartition("-")
    if not dash or "any" not in {head.rpartition("-")[2], tail}:
        return False
    return head.rpartition("-")[2] in {"any", ours[0]} and tail in {"any", ours[1]}
