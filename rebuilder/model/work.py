"""Work that is to be done: what is queued, why, how thoroughly, and who is at it."""

from __future__ import annotations

from datetime import datetime

from rebuilder.model.definition import Limits
from rebuilder.model.value import Sha256Field, Value, Worded


class Reason(Worded):
    """Why an artifact is to be looked at; the order is the order of priority."""

    words: str

    ASKED = "asked", "asked for by hand"
    """Somebody asked for it by hand."""
    RELEASE = "release", "new release"
    """It is new."""
    REGRESSION = "regression", "may be worse than before"
    """A quick look found what was better before: looked at in full."""
    RETRY = "retry", "another try"
    """The attempt before failed in a way that may pass."""
    RECHECK = "recheck", "periodic check"
    """It was verified before and it is time to do it again."""

    @property
    def priority(self) -> int:
        """Smaller goes first; the distances leave room for what a watch adds (-9 to 9)."""
        return 20 * list(Reason).index(self)


class Tier(Worded):
    """How thoroughly."""

    words: str

    QUICK = "quick", "quick"
    """The first hypothesis only, from the source archive, with the environment that is there; no repository is asked.

    What it does not confirm is looked at in full before anything is said about it, by the command line and the service.
    """
    SOURCE = "source", "source archive only"
    """All hypotheses, from the source archive; no repository is asked."""
    FULL = "full", "full"
    """All hypotheses, the steps from the commit, a repeat build for stability, diffoscope."""


class Check(Worded):
    """What is done with the artifact."""

    words: str
    """Behind those of the tier; mostly nothing."""

    VERIFY = "verify", ""
    """Evidence is collected anew, and hypotheses are tried."""
    INPUTS = "inputs", ", again with the stored inputs"
    """Published bytes are fetched again; the definition that confirmed it is run again from the stored inputs."""
    REPLAY = "replay", ", the report run again"
    """The published report is run again from what is kept for it; nothing new is said about the artifact."""
    ENVIRONMENT = "toolchain", ", with build environments made anew"
    """As ``verify``, after the build environments were made anew."""


class Order(Value):
    """What is asked of the queue: one published file, and how to look at it."""

    ecosystem: str
    purl: str
    """Of the release."""
    name: str
    version: str
    filename: str
    sha256: Sha256Field | None = None
    """As the index lists it; None where a registry lists another digest."""
    reason: Reason
    tier: Tier = Tier.FULL
    check: Check = Check.VERIFY
    watch: str | None = None
    """Name of the watch that asked; None for what was asked by hand."""
    nudge: int = 0
    """What the watch adds to the priority, -9 (sooner) to 9 (later)."""
    limits: Limits | None = None
    """What one build may use; None for the limits of the settings."""
    double_runs: bool = False
    """Whether each build that completes counts only once a second runner has made it, too; of a fleet alone."""

    @property
    def priority(self) -> int:
        """Smaller goes first."""
        return self.reason.priority + self.nudge


class Task(Value):
    """One queued order: plain data that any worker can take."""

    id: int
    order: Order
    created: datetime
    """When the file was first queued."""
    not_before: datetime
    tries: int = 0
    """How often it was tried before."""


class Lease(Value):
    """A task that a worker holds until a moment; renewed while it works."""

    task: Task
    owner: str
    """Who holds it: ``machine/process/start``."""
    until: datetime
