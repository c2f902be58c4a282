"""What is known when something is under suspicion: a file, a release, a key, a runner, a build environment."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from rebuilder.model.replay import ReplayOutcome
from rebuilder.model.report import Summary
from rebuilder.model.value import Sha256Field, Value, Worded
from rebuilder.model.verdict import Verdict


class What(Worded):
    """What something under suspicion is to us, and what files can have in common."""

    words: str

    ARTIFACT = "artifact", "Published file"
    DEPENDENCY = "dependency", "Something that builds read"
    """Something that a build could read: a build dependency, a tool, a source archive, a package of an environment."""
    ENVIRONMENT = "environment", "Build environment"
    RUNNER = "runner", "Runner"
    KEY = "key", "Signing key"
    PUBLISHER = "publisher", "Publisher"


class Named(Value):
    """One thing under suspicion."""

    what: What
    name: str
    digest: Sha256Field
    """Of the file, of the tree, or of the public key."""


class Touched(Value):
    """A published file, as its newest report has it."""

    ecosystem: str
    name: str
    version: str
    purl: str
    filename: str
    sha256: Sha256Field
    verdict: Verdict
    finished: datetime

    @classmethod
    def of(cls, row: Summary) -> Touched:
        """The row of an index."""
        return cls.model_validate({name: getattr(row, name) for name in cls.model_fields})


class Shared(Value):
    """Published files that have something in common with what is asked about."""

    what: What
    name: str
    digest: Sha256Field | None = None
    total: int
    files: tuple[Touched, ...] = ()
    """The newest of them, a bounded number."""


class Again(Value):
    """What running a report again came to."""

    outcome: ReplayOutcome
    sentence: str


class Answer(Value):
    """Whether one published file is the one that its source gives."""

    file: Touched
    from_source: Literal["yes", "no", "not known"]
    sentence: str
    again: Again | None = None


class Proposal(Value):
    """What somebody should decide about; nothing of it was done."""

    command: str
    reason: str


class Incident(Value):
    """Everything that is known; what is long is cut off, and its whole number told."""

    asked: str
    suspects: tuple[Named, ...]
    answers: tuple[Answer, ...] = ()
    shared: tuple[Shared, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    looked: datetime

    @property
    def concerned(self) -> set[str]:
        """Digests of published files under suspicion, or of which it says whether they come from their source."""
        suspects = {each.digest for each in self.suspects if each.what is What.ARTIFACT}
        return suspects | {each.file.sha256 for each in self.answers}
