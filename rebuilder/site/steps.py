"""Names of the steps from source to artifact, as tables and the picture of the trail call them."""

from __future__ import annotations

from rebuilder.ecosystems.registry import conventions
from rebuilder.model.attempt import Hypothesis
from rebuilder.model.evidence import SourceKind

_SOURCES = {
    SourceKind.SDIST: "Source archive",
    SourceKind.GIT: "Commit",
    SourceKind.ARCHIVE: "Source archive",
}


def edge_words(name: str, ecosystem: str) -> str:
    """A step of the trail: ``Commit → wheel``."""
    start, end = conventions(ecosystem).step_words(name)
    return f"{start.capitalize()} → {end}"


def step_words(hypothesis: Hypothesis) -> str:
    """The step one build belongs to, by where it starts and what it is to give."""
    definition = hypothesis.definition
    start = _SOURCES[definition.source.kind] if definition.source else "No source"
    return f"{start} → {target_words(hypothesis.target, definition.ecosystem)}"


def target_words(filename: str, ecosystem: str) -> str:
    """What kind of file has this name."""
    return conventions(ecosystem).file_words(filename)
