"""Whether a tarball was packed by other means than the release before it: a note, as publishers do change machines."""

from __future__ import annotations

from collections.abc import Iterable

from rebuilder.ecosystems.npm.context import PlanningContext
from rebuilder.ecosystems.npm.packer import PackerFacts, read_facts
from rebuilder.ecosystems.npm.subject import is_version, precedence
from rebuilder.ecosystems.obstacles import NotRebuildable
from rebuilder.model.evidence import Evidence
from rebuilder.model.value import canonical_json, sha256_hex

_MOST_BEFORE = 100
"""Releases before one that are asked for, the nearest first."""
_SYSTEMS = {0: "Windows", 3: "Unix", 19: "macOS", 255: "none"}


def packer_change(context: PlanningContext, evidence: Evidence, versions: Iterable[str]) -> str | None:
    """Compare the marks of whoever packed it with those of the nearest release before it that was looked at here.

    Args:
        context: What the tarball is read with, and where marks are remembered.
        evidence: The release.
        versions: All that the registry has of the package.

    Returns:
        A sentence; None where nothing differs, nothing is known of a release before it, or it cannot be read.

    Raises:
        SandboxUnavailableError, SandboxFaultError, BuildEnvironmentError: see :class:`Programs`.
    """
    name, version = evidence.artifact.name, evidence.artifact.version
    try:
        facts = read_facts(context, evidence)
    except NotRebuildable:
        return None
    if not facts.readable:
        return None
    marks = _marks(facts)
    context.memo.put(_key(name, version), marks)
    own = precedence(version)
    before = sorted((each for each in versions if is_version(each) and precedence(each) < own), key=precedence)
    for each in before[: -_MOST_BEFORE - 1 : -1]:
        known = context.memo.get(_key(name, each))
        if isinstance(known, dict):
            differing = [
                f"{mark} {said}, not {known.get(mark)}" for mark, said in marks.items() if said != known.get(mark)
            ]
            told = f"It was packed by other means than {each}, the nearest release before it that was looked at here: "
            return f"{told}{'; '.join(differing)}." if differing else None
    return None


def _marks(facts: PackerFacts) -> dict[str, str]:
    """What stays the same as long as the same program packs on the same system."""
    return {
        "tar headers as written by": facts.writer,
        "owners in them": facts.owners,
        "times in them": "of the files" if facts.times is None else "one for all",
        "system in the gzip header": _SYSTEMS.get(facts.gzip_system, str(facts.gzip_system)),
        "level of compression": "unknown" if facts.gzip_level is None else str(facts.gzip_level),
    }


def _key(name: str, version: str) -> str:
    return sha256_hex(canonical_json({"packer of": [name, version]}))
