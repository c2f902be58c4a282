"""What a release says it was built with: the SBOM of its build environment that it carries (PEP 770) (pure).

Whoever publishes writes the record, so it is believed no further than ``pyproject.toml``: it counts only where the
source archive has the very same file, names releases and nothing else, and those come from the index, as of the upload,
with the digests that the index lists. It is tried before anything is inferred; what it does not confirm, goes on as
without.
"""

from __future__ import annotations

from typing import Any

from packageurl import PackageURL
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from rebuilder.ecosystems.pypi.requirements import Requirements
from rebuilder.ecosystems.pypi.subject import ECOSYSTEM
from rebuilder.foreign_json import read_json
from rebuilder.model.evidence import Inspection

RECORD = "*.dist-info/sboms/*.cdx.json"
_MOST = 100
"""Releases that one names; real builds have a handful."""


def recorded_tools(wheel: Inspection, source: Inspection) -> Requirements | None:
    """What a wheel and its source archive both say it was built with; None where they say nothing usable.

    Args:
        wheel: With the texts of :data:`RECORD`.
        source: Whose member of the same content makes a record part of the source.
    """
    known = {each.sha256 for each in source.members if each.sha256 is not None}
    for member in wheel.members:
        text = wheel.texts.get(member.name)
        if text is not None and member.name.endswith(".cdx.json") and member.sha256 in known:
            pins = _pins(text)
            if pins:
                note = f"The release records what it was built with, in {member.name.rpartition('/')[2][:80]!r}."
                return Requirements(pins, None, (note,))
    return None


def _pins(text: str) -> tuple[str, ...]:
    """Exact releases that a record names as what was built with; none when it is malformed anywhere."""
    try:
        components = [each for one in read_json(text.encode())["formulation"] for each in one["components"]]
        found = [_pin(each) for each in components]
    except (ValueError, KeyError, TypeError, AttributeError, InvalidVersion):
        return ()
    names = {each.partition("==")[0] for each in found}
    return tuple(sorted(found)) if len(names) == len(found) <= _MOST else ()


def _pin(component: Any) -> str:
    package = PackageURL.from_string(component["purl"])
    if package.type != ECOSYSTEM or package.namespace or package.qualifiers or package.subpath or not package.version:
        raise ValueError("it is no release of the index")
    return f"{canonicalize_name(package.name, validate=True)}=={Version(package.version)}"
