"""How a repository, a source archive and an artifact follow from each other."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import StringConstraints

from rebuilder.model.artifact import PublishedFile
from rebuilder.model.decision import Decision
from rebuilder.model.evidence import SourceKind
from rebuilder.model.git import SourceTree
from rebuilder.model.value import Sha256Field, Value
from rebuilder.model.verdict import Verdict

StepName = Annotated[
    str, StringConstraints(max_length=80, pattern=r"^[a-z0-9]+(?:-[a-z0-9]+)*-to-[a-z0-9]+(?:-[a-z0-9]+)*$")
]
"""From what to what, such as ``commit-to-sdist``; each ecosystem has its own. One from a commit begins so."""
_TO_SOURCE_ARCHIVE = "commit-to-sdist"


def spoken(name: str) -> str:
    """A step within a sentence: "from the commit to the wheel"."""
    start, _to, end = (part.replace("sdist", "source archive").replace("-", " ") for part in name.partition("-to-"))
    return f"from the {start} to the {end}"


class Origin(Value):
    """The commit an artifact is said to come from, and who says so."""

    repository: str
    """URL, without credentials."""
    commit: str | None = None
    """Commit id in hexadecimal; None when none could be found."""
    tag: str | None = None
    """Tag that names the commit, without ``refs/tags/``."""
    attested: bool
    """True when a verified attestation names repository and commit; False when only unsigned metadata does."""
    sentence: str
    """Who says so, as a sentence: "A verified attestation names this commit." or "Claimed, not attested: …"."""


class SourceCommit(Value):
    """A commit that steps start from, and the files it holds."""

    origin: Origin
    tree: SourceTree


class PlannedStep(Value):
    """A step that may be tried."""

    name: StepName
    source: SourceKind
    """What it starts from."""
    target: PublishedFile
    """What it leads to."""


class TreeChange(StrEnum):
    """How a file in a source archive differs from the commit."""

    ADDED = "added"
    """In the source archive, not in the commit."""
    CHANGED = "changed"
    MISSING = "missing"
    """In the commit, not in the source archive."""


class FileChange(Value):
    """One file that a source archive and the commit do not share."""

    path: str
    """Below the top directory of the source archive."""
    change: TreeChange
    rule: str | None = None
    """Name of the rule that says why this is expected, such as ``generated-metadata``; None: nothing explains it."""
    sentence: str | None = None
    """The rule in words, such as "Build backends write PKG-INFO into every source archive."."""


class Step(Value):
    """One step of the trail with a verdict of its own."""

    name: StepName
    decision: Decision
    attempts: tuple[int, ...] = ()
    """Indexes into the attempts of the report."""
    target: str
    """File name of what the step leads to."""
    target_sha256: Sha256Field


class SourceTrail(Value):
    """The whole picture: repository, source archive, artifact, and a verdict on every step that could be tried."""

    origin: Origin | None = None
    edges: tuple[Step, ...] = ()
    changes: tuple[FileChange, ...] = ()
    """Source archive against commit, unexplained ones first, then by path; cut to what a page can show."""
    changes_total: int = 0
    findings: tuple[str, ...] = ()
    """What should not be so, such as "The tag v1 points at another commit now."."""
    notes: tuple[str, ...] = ()
    """Worth knowing, such as a submodule that is not included."""

    @property
    def disagreement(self) -> str | None:
        """That one step confirms what was published and another differs, as a sentence; None if they agree."""
        passing = [spoken(each.name) for each in self.edges if each.decision.verdict.confirms]
        differing = [spoken(each.name) for each in self.edges if each.decision.verdict is Verdict.DIFFERS]
        if not passing or not differing:
            return None
        against, although = _told(differing, "differs", "differ"), _told(passing, "passes", "pass")
        return f"T{against[1:]}, although {although}."

    @property
    def unexplained(self) -> int:
        """Files in which source archive and commit differ for no known reason.

        0 where the source archive came out of the commit bit for bit: then the build itself makes every one of them.
        """
        made = any(
            each.name == _TO_SOURCE_ARCHIVE and each.decision.verdict is Verdict.REPRODUCED for each in self.edges
        )
        return 0 if made else sum(1 for each in self.changes if each.rule is None)


def with_steps(decision: Decision, trail: SourceTrail | None) -> Decision:
    """The decision, with what the other steps say against it in its sentence."""
    against = trail.disagreement if trail is not None else None
    if against is None or decision.sentence.endswith(against):
        return decision
    return decision.replace(sentence=f"{decision.sentence} {against}")


def _told(steps: list[str], one: str, several: str) -> str:
    return f"the step {steps[0]} {one}" if len(steps) == 1 else f"the steps {' and '.join(steps)} {several}"
