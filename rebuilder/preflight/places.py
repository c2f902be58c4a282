"""A finding with the lines that it comes from, and a patch where a rule knows one."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from rebuilder.ecosystems.conventions import Conventions
from rebuilder.model.project import ProjectFinding, ProjectTree


def located(facts: Conventions, tree: ProjectTree, finding: ProjectFinding, texts: Mapping[str, str]) -> ProjectFinding:
    """The same with places and a patch.

    Args:
        facts: Of the ecosystem.
        tree: The files of the project.
        finding: What was found.
        texts: Files that say how the project is built, by path.
    """
    found = facts.places(finding.cause, texts)
    words = " ".join(each.note or "" for each in finding.evidence)
    lacking = [each for each in tree.files if f"'{each}'" in words]
    return finding.replace(places=found, patch=_patch(facts.mended(finding.cause, found, texts, lacking), texts))


def _patch(mended: Mapping[str, str], texts: Mapping[str, str]) -> str | None:
    """A unified diff that ``git apply`` and ``patch -p1`` take; None without a change."""
    lines: list[str] = []
    for name, text in mended.items():
        before = texts.get(name, "")
        if not (before or text).endswith("\n"):
            return None  # what has no line end there, diffs mark in a way of their own
        old = f"a/{name}" if name in texts else "/dev/null"
        lines += difflib.unified_diff(before.splitlines(), text.splitlines(), old, f"b/{name}", lineterm="")
    return "\n".join(lines) + "\n" if lines else None
