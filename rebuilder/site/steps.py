"""Names of the steps from source to artifact, as tables and the picture of the trail call them."""

from __future__ import annotations

from rebuilder.model.definition import BuildDefinition
from rebuilder.model.evidence import SourceKind
from rebuilder.model.trail import StepName

_EDGES = {
    StepName.COMMIT_TO_SDIST: "Commit → source archive",
    StepName.SDIST_TO_WHEEL: "Source archive → wheel",
    StepName.COMMIT_TO_WHEEL: "Commit → wheel",
}
_SOURCES = {
    SourceKind.SDIST: "Source archive",
    SourceKind.GIT: "Commit",
    SourceKind.DEBIAN_SOURCE: "Debian source package",
}
_TARGETS = (
    (".whl", "wheel"),
    (".deb", "Debian package"),
    (".tgz", "package archive"),
    (".zip", "source archive"),
    (".tar.gz", "source archive"),
    (".tar.bz2", "source archive"),
    (".tar.xz", "source archive"),
)


def edge_words(name: StepName) -> str:
    """A step of the trail: ``Commit → wheel``."""
    return _EDGES[name]


def step_words(definition: BuildDefinition) -> str:
    """The step one build belongs to, by where it starts and what it is to give."""
    start = _SOURCES[definition.source.kind] if definition.source else "No source"
    return f"{start} → {target_words(definition.filename)}"


def target_words(filename: str) -> str:
    """What kind of file has this name."""
    return next((words for end, words in _TARGETS if filename.endswith(end)), "published file")
