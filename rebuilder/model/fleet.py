"""Runners on other machines: who is one, what is asked of them, and what they sign of a run."""

from __future__ import annotations

import platform
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from rebuilder.model.attempt import Outcome, Run
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.value import Sha256Field, Value

RUN_TYPE: Final = "tag:rebuilder,2026:run/v1"
"""Names the form of :class:`Answer`; ``docs/predicates/run-v1.md``."""

RunnerName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")]
Nonce = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]


class RunnerState(StrEnum):
    """Whether answers of a runner count."""

    ACTIVE = "active"
    QUARANTINED = "quarantined"
    """Two runners disagreed, or it signed what contradicts its order; somebody has to look."""
    REVOKED = "revoked"
    """For good: its key is not trusted any more."""


class EnrolledRunner(Value):
    """A runner as the ledger knows it."""

    id: Sha256Field
    """SHA-256 of its public key (DER SubjectPublicKeyInfo)."""
    name: RunnerName
    """For people."""
    public_key: str
    """PEM, Ed25519."""
    state: RunnerState
    enrolled: datetime
    changed: datetime
    """Since when it is in this state."""
    reason: str | None = None
    """Why it is not active; of an active one, the trouble of its own that it had last."""
    seen: datetime | None = None
    """When an answer of it was last accepted."""


class RunnerFigures(Value):
    """What a runner has done."""

    name: RunnerName
    state: RunnerState
    reason: str | None = None
    """Why it is not active; of an active one, the trouble of its own that it had last."""
    seen: datetime | None = None
    """When an answer of it was last accepted."""
    runs: int = 0
    """Answers that were ever accepted."""


class OpenRuns(Value):
    """Runs of one queue that were asked for and not answered."""

    waiting: int = 0
    oldest: datetime | None = None
    """Since when the first of them has been waiting."""


class FleetFigures(Value):
    """The fleet at one moment."""

    runners: tuple[RunnerFigures, ...] = ()
    """By name; those that were revoked, too."""
    queues: dict[str, OpenRuns] = {}
    """By platform; one with neither an open run nor one of the last days is left out."""


class RunOrder(Value):
    """One run that was asked for and not accepted yet."""

    nonce: Nonce
    """Unguessable, and new for each order: an answer to another one, or to an earlier one, does not fit."""
    definition_sha256: Sha256Field
    queue: str
    asked_of: Sha256Field | None = None
    """The only runner whose answer counts; None: any."""
    ordered: datetime


class AcceptedRun(Value):
    """An answer that counted."""

    nonce: Nonce
    definition_sha256: Sha256Field
    runner_id: Sha256Field
    answered: datetime
    log_sha256: Sha256Field
    envelope: str
    """What the runner signed, as it came."""


class FaultKind(StrEnum):
    """Why a runner could not run a definition; none of it says anything about the build."""

    NO_GUEST = "no-guest"
    UNAVAILABLE = "sandbox-unavailable"
    ENVIRONMENT = "environment"
    STORE = "store"
    SANDBOX = "sandbox-fault"


class Fault(Value):
    """A runner's own trouble."""

    kind: FaultKind
    sentence: Annotated[str, StringConstraints(max_length=2000)]


class Answer(Value):
    """What a runner signs: for which order and which definition, and what running it gave."""

    type: Literal["tag:rebuilder,2026:run/v1"] = RUN_TYPE
    nonce: Nonce
    definition: Sha256Field
    """Digest of the build definition that was run."""
    runner: Sha256Field
    run: Run | None = None
    log_bytes: int = Field(default=0, ge=0)
    """Size of the log; of outputs the run says it."""
    fault: Fault | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.run is None) == (self.fault is None):
            raise ValueError("it has either a run or a fault")
        return self


def same_result(one: Run, other: Run) -> bool:
    """Whether two runs of one definition agree: the same end, and the same files to the byte.

    A limit that was reached says something about the machine, so it agrees with everything.
    """
    if Outcome.TIMED_OUT in {one.outcome, other.outcome}:
        return True

    def files(run: Run) -> list[tuple[str, str]]:
        return sorted((each.filename, each.sha256) for each in run.outputs)

    return one.outcome == other.outcome and files(one) == files(other)


_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def this_platform() -> str:
    """Such as ``linux-amd64``: the queue of runners like this machine."""
    machine = platform.machine()
    return f"linux-{_MACHINES.get(machine, machine)}"


def queue_of(definition: BuildDefinition) -> str:
    """The queue of the runners that can run a definition: this machine's platform, and what kind of sandbox."""
    name = this_platform()
    return name if definition.sandbox == "bubblewrap" else f"{name}-{definition.sandbox}"


def own_queue(queue: str, runner_id: str) -> str:
    """Where orders are put that only one runner may answer."""
    return f"{queue}.{runner_id[:16]}"
