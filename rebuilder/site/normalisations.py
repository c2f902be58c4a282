"""What each named normalisation sets aside, in one sentence for a reader (docs/normalisations.md has the details)."""

from __future__ import annotations

from rebuilder.site.display import SHORT, visible

SENTENCES = {
    "zip-times": "The modification times stored for the members of a ZIP archive.",
}


def meaning(name: str) -> str:
    """The sentence for ``name``; one that says so when there is none."""
    return SENTENCES.get(name, f"Archive metadata that the normalisation “{visible(name, SHORT)}” sets aside.")
