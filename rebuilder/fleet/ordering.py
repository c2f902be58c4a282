"""Asking a fleet for a run, and waiting until an answer counts."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from rebuilder.clock import Clock
from rebuilder.environments.store import EnvironmentStore
from rebuilder.errors import (
    BuildEnvironmentError,
    CorruptStoreError,
    NoGuestError,
    RebuilderError,
    SandboxFaultError,
    SandboxUnavailableError,
    StoreError,
    UnavailableError,
)
from rebuilder.fleet import answers, objects
from rebuilder.fleet.environments import publish_environment
from rebuilder.model.alarm import Alarm, AlarmKind
from rebuilder.model.attempt import Run
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.fleet import Answer, Fault, FaultKind, RunnerState, RunOrder, own_queue, queue_of
from rebuilder.model.settings import FleetSettings
from rebuilder.model.text import visible
from rebuilder.store.ledger import Ledger
from rebuilder.store.object_storage import Listed, ObjectStorage
from rebuilder.store.remote_blobs import RemoteBlobs, key_of, outputs_of

_WANTED: ContextVar[tuple[int, bool]] = ContextVar("wanted", default=(0, False))


@contextmanager
def wanted(priority: int, *, twice: bool = False) -> Iterator[None]:
    """Runs that are asked for meanwhile are for an order of this priority (smaller goes first).

    Args:
        priority: Of the order.
        twice: Whether each that completes is to be made by two runners.
    """
    before = _WANTED.set((priority, twice))
    try:
        yield
    finally:
        _WANTED.reset(before)


def rank() -> int:
    """The priority as a broker has it: 0 (first) to 9."""
    return min(9, max(0, (_WANTED.get()[0] + 10) // 10))


def twice() -> bool:
    """Whether a run that completes counts only once another runner has made it, too."""
    return _WANTED.get()[1]


_MOST_LISTED = 200
"""Objects below one order that are looked at; each honest runner that is at it has two."""
_MOST_ORDERS = 4
"""So often a run is asked for anew whose runner went away, had trouble of its own, or was refused."""
_LATELY = timedelta(days=1)
"""A runner that answered within this time is asked rather than another one."""
_AWAY_SECONDS = 300
"""So long the S3 store may be away while an answer is waited for."""
_POLL_SECONDS = (0.2, 0.2, 0.5, 0.5, 1.0, 2.0)
_FAULTS: dict[FaultKind, type[RebuilderError]] = {
    FaultKind.UNAVAILABLE: SandboxUnavailableError,
    FaultKind.ENVIRONMENT: BuildEnvironmentError,
    FaultKind.STORE: StoreError,
    FaultKind.SANDBOX: SandboxFaultError,
}

log = logging.getLogger("rebuilder.fleet")


class Broker(Protocol):
    """Carries orders to runners; may lose them, and may bring one twice."""

    def send(self, queue: str, nonce: str, definition_sha256: str, rank: int) -> None:
        """Put an order into a queue.

        Raises:
            UnavailableError: the broker does not answer.
        """
        ...

    def waiting(self, queue: str) -> int:
        """How many orders of a queue no runner has taken yet.

        Raises:
            UnavailableError: the broker does not answer.
        """
        ...


@dataclass(frozen=True)
class Answered:
    """A run that counts, and whose it is."""

    run: Run
    runner_id: str


@dataclass
class _Waiting:
    """What is known of an order while it is waited for."""

    began: float
    sent: float
    wait: float
    """Seconds after which it is sent again, if it seems to be lost."""
    changed: float
    seen: dict[str, Listed] = field(default_factory=dict)
    begun: float | None = None
    judged: set[str] = field(default_factory=set)
    refused: tuple[float, str] | None = None
    """When, and whose answer was refused last, of those who are enrolled."""


class _OrderLost(Exception):  # noqa: N818 - not an error: it is asked for anew
    """Nothing will come of an order any more."""

    def __init__(self, runner_id: str | None, fault: RebuilderError, *, silent: bool = False) -> None:
        super().__init__(str(fault))
        self.runner_id = runner_id
        self.fault = fault
        self.silent = silent
        """Whether the runner that was at it gives no sign of life."""


@dataclass
class FleetRunner:
    """Callable as :class:`rebuilder.sandbox.protocol.Runner`; one run at a time.

    Args:
        ledger: Runners and orders.
        blobs: Of the coordinator, with the S3 store behind.
        storage: That S3 store.
        environments: Of the coordinator.
        broker: Carries orders.
        clock: Tells when a run was ordered.
        settings: Of the fleet.
        owner: Name of this process.
        scratch: Directory for exports while they are sent.
        pause: Lets so many seconds pass.
        monotonic: Seconds that pass.
    """

    ledger: Ledger
    blobs: RemoteBlobs
    storage: ObjectStorage
    environments: EnvironmentStore
    broker: Broker
    clock: Clock
    settings: FleetSettings
    owner: str
    scratch: Path
    pause: Callable[[float], object] = time.sleep
    monotonic: Callable[[], float] = time.monotonic

    def __call__(self, definition: BuildDefinition) -> Run:
        """Run a definition somewhere else; see :meth:`rebuilder.sandbox.protocol.Runner.__call__`.

        Raises:
            UnavailableError: no runner took it for a long time, or the broker does not answer.
            NoGuestError, SandboxUnavailableError, BuildEnvironmentError, StoreError, SandboxFaultError: as on one
                machine, from the last of several runners that was asked.
        """
        return self.answered(definition).run

    def answered(self, definition: BuildDefinition, *, of: str | None = None) -> Answered:
        """Run a definition, by one runner or by any.

        Args:
            definition: What to run.
            of: Id of the runner whose answer counts; None: any, and another one where the first had trouble.

        Raises:
            RebuilderError: see :meth:`__call__`.
        """
        # First the definition, then the order, then its inputs: whoever tidies the S3 store asks the ledger for open
        # orders, and their definitions for what they need.
        self.blobs.put(definition.canonical)
        asked, avoided = of, set[str]()
        fault: RebuilderError = UnavailableError("No runner answered.")
        for tries in range(_MOST_ORDERS if of is None else 1):
            order, new = self.ledger.run_orders.add(
                definition.digest, queue_of(definition), asked_of=asked, owner=self.owner, now=self.clock.now()
            )
            try:
                return self._waited_for(order, definition, new=new)
            except _OrderLost as lost:
                self.ledger.run_orders.drop(order.nonce)
                fault = lost.fault
                log.warning("A run is asked for anew: %s", lost)
                if lost.runner_id is not None:
                    avoided.add(lost.runner_id)
                if of is None:  # whoever is gone takes nothing; one by name may be busy, so that is not tried first
                    asked = None if lost.silent and tries == 0 else self.another(order.queue, avoided)
            except BaseException:
                self.ledger.run_orders.drop(order.nonce)
                raise
            finally:
                self._tidy(order)
        raise fault

    def another(self, queue: str, than: Collection[str]) -> str | None:
        """An active runner other than these, if possible one that lately served the queue; None when there is none."""
        return self.ledger.run_orders.another_runner(queue, than, self.clock.now() - _LATELY)

    def name(self, runner_id: str) -> str:
        """What a runner is called, for people."""
        runner = self.ledger.runners.get(runner_id)
        return runner.name if runner is not None else runner_id[:16]

    def alarm(self, kind: AlarmKind, cause: str, sentence: str) -> None:
        """Raise an alarm about runners."""
        log.warning(sentence)
        self.ledger.raise_alarm(Alarm(kind=kind, sentence=sentence, raised=self.clock.now(), cause=cause))

    def _publish(self, definition: BuildDefinition) -> None:
        """Put all that a definition needs where a runner finds it."""
        for sha256 in dict.fromkeys(each.sha256 for each in definition.inputs):
            self.blobs.send(sha256)
        publish_environment(self.environments, definition.toolchain.sha256, self.storage, self.scratch)

    def _waited_for(self, order: RunOrder, definition: BuildDefinition, *, new: bool) -> Answered:
        self._publish(definition)
        self.storage.put(objects.order(order.nonce), definition.digest.encode())
        if new:
            self._send(order, order.asked_of)
        now = self.monotonic()
        waiting = _Waiting(began=now, sent=now, wait=self.settings.lease_seconds, changed=now)
        polls, away_since = 0, None
        while True:
            try:
                if (found := self._look(order, definition, waiting)) is not None:
                    return found
                away_since = None
                self._judge(order, definition, waiting)
            except StoreError as error:  # of the S3 store, the disk or the ledger: each may be away for a while
                now = self.monotonic()
                if away_since is None:
                    away_since = now
                    log.warning("Whether there is an answer cannot be seen just now: %s", error)
                if now - away_since > max(_AWAY_SECONDS, self.settings.lease_seconds):
                    raise
                waiting.changed = now
            self.pause(_POLL_SECONDS[min(polls, len(_POLL_SECONDS) - 1)])
            polls += 1

    def _look(self, order: RunOrder, definition: BuildDefinition, waiting: _Waiting) -> Answered | None:
        """See what runners wrote, and take the first answer that counts."""
        prefix = objects.answers(order.nonce)
        listed = self.storage.below(prefix, _MOST_LISTED)
        if len(listed) == _MOST_LISTED:  # the one that counts may be beyond
            sentence = f"Somebody wrote {_MOST_LISTED} objects or more in answer to one order of the fleet."
            self.alarm(AlarmKind.RUNNER_REFUSED, "flood", sentence)
            raise _OrderLost(None, SandboxFaultError(sentence))
        for name in sorted(listed):
            runner_id = name.removesuffix(objects.ANSWER)
            if runner_id == name or name in waiting.judged:
                continue
            try:
                answered = self._accepted(order, definition, runner_id)
            except answers.RefusedAnswerError as refused:
                waiting.judged.add(name)
                self._refused(order, runner_id, refused)
                if self._is_active(runner_id):
                    waiting.refused = self.monotonic(), runner_id
            else:
                return answered
        if listed != waiting.seen:
            waiting.seen, waiting.changed = listed, self.monotonic()
        if waiting.begun is None and any(self._is_active(each) for each in listed):
            waiting.begun = self.monotonic()
        return None

    def _is_active(self, name: str) -> bool:
        runner = self.ledger.runners.get(name.removesuffix(objects.BEGUN))
        return runner is not None and runner.state is RunnerState.ACTIVE

    def _judge(self, order: RunOrder, definition: BuildDefinition, waiting: _Waiting) -> None:
        """Send an order again that seems to be lost; give one up whose runner seems to be gone.

        Raises:
            _OrderLost: it is given up.
        """
        now, lease = self.monotonic(), self.settings.lease_seconds
        longest = definition.limits.wall_seconds + self.settings.grace_seconds
        if waiting.begun is not None:
            if now - waiting.changed > lease or now - waiting.begun > longest:
                begun = next((each for each in waiting.seen if each.endswith(objects.BEGUN)), "")
                gone = begun.removesuffix(objects.BEGUN) or None
                fault = SandboxFaultError("The runner that was at it gives no sign of life.")
                raise _OrderLost(gone, fault, silent=now - waiting.changed > lease)
            return
        if waiting.refused is not None and now - waiting.refused[0] > lease:
            raise _OrderLost(waiting.refused[1], SandboxFaultError("What came for it was refused."))
        if order.asked_of is not None and now - waiting.began > definition.limits.wall_seconds + lease:
            raise _OrderLost(order.asked_of, UnavailableError("The runner that was asked did not take it."))
        if now - waiting.began > self.settings.patience_seconds:
            raise UnavailableError(
                f"No runner took a build in {self.settings.patience_seconds:,.0f} seconds.",
                hint="`rebuilder runners list` shows who answers, and when each did last.",
            )
        if now - waiting.sent <= lease:
            return
        queued = self._queued(order)
        if not queued or (now - waiting.sent > waiting.wait and self.ledger.run_orders.overtaken(order)):
            log.info("Nobody has taken the order %s: it is sent again.", order.nonce)
            # Urgent ones may overtake it all day; what is in the queue twice is done once, and must not fill it.
            waiting.sent, waiting.wait = now, 2 * waiting.wait if queued else waiting.wait
            with contextlib.suppress(UnavailableError):
                # To one by name: somebody who does not count any more may be emptying the queue of all.
                self._send(order, order.asked_of or self.another(order.queue, ()))

    def _accepted(self, order: RunOrder, definition: BuildDefinition, runner_id: str) -> Answered:
        """Check an answer to its last byte, and let it count.

        Raises:
            RefusedAnswerError: it does not count.
            _OrderLost: the runner had trouble of its own.
            StoreError: the S3 store or the ledger cannot be used.
        """
        runner = self.ledger.runners.get(runner_id)
        key = f"{objects.answers(order.nonce)}/{runner_id}{objects.ANSWER}"
        envelope = self.storage.read(key, answers.MOST_BYTES) if runner is not None else None
        answer = answers.check(envelope, order, definition, runner)
        assert envelope is not None  # noqa: S101 - it was checked
        if answer.fault is not None:
            fault = _error(answer.fault, self.name(runner_id))
            self.ledger.runners.note_trouble(runner_id, str(fault))
            raise _OrderLost(runner_id, fault)
        assert answer.run is not None  # noqa: S101 - an answer has one of both
        self._fetch(answer, answer.run)
        log_sha256 = answer.run.log_sha256
        if not self.ledger.run_orders.accept(order.nonce, runner_id, envelope.decode(), log_sha256, self.clock.now()):
            raise answers.RefusedAnswerError("another answer was accepted, or the runner is not active any more")
        # Clocks of runners are believed as little as all else: a run from the future would stand for later ones.
        return Answered(answer.run.replace(started=order.ordered), runner_id)

    def _fetch(self, answer: Answer, run: Run) -> None:
        """Bring the outputs and the log here.

        Raises:
            RefusedAnswerError: their bytes are not what the answer says.
            StoreError: the S3 store does not answer.
        """
        prefix = outputs_of(answer.runner)
        wanted = [(each.sha256, each.size) for each in run.outputs] + [(run.log_sha256, answer.log_bytes)]
        for sha256, size in wanted:
            if self.storage.listed(key_of(prefix, sha256)) is None:
                raise answers.RefusedAnswerError(f"its output {sha256} is not there")
            try:
                found = self.blobs.fetch(prefix, sha256, max_bytes=size)
            except CorruptStoreError as error:
                raise answers.RefusedAnswerError(str(error).rstrip(".")) from None
            if found != size:
                raise answers.RefusedAnswerError(f"its output {sha256} has another size than it says", proven=True)

    def _refused(self, order: RunOrder, runner_id: str, refused: answers.RefusedAnswerError) -> None:
        """Tell of an answer that does not count; what a runner signed against its order quarantines it.

        Raises:
            _OrderLost: the runner that took the order is out, so nobody else will answer it.
        """
        runner = self.ledger.runners.get(runner_id)
        if runner is None:  # any name can be written there
            sentence = f"Answers in names that nobody enrolled are in the S3 store {self.settings.blobs}."
            self.alarm(AlarmKind.RUNNER_REFUSED, "stranger", sentence)
            return
        if runner.state is RunnerState.QUARANTINED:  # it does not know, and goes on
            raise _OrderLost(runner_id, SandboxFaultError(f"The runner {runner.name} is quarantined."))
        sentence = f"An answer of the runner {runner.name} to {order.definition_sha256} was refused: {refused}."
        if refused.proven:
            self.ledger.runners.change(
                runner_id, RunnerState.QUARANTINED, self.clock.now(), reason=f"Its answer was refused: {refused}."
            )
            sentence += " It is quarantined."
        self.alarm(AlarmKind.RUNNER_REFUSED, cause_of(runner_id), sentence)
        if refused.proven:
            raise _OrderLost(runner_id, SandboxFaultError(sentence))

    def _send(self, order: RunOrder, runner_id: str | None) -> None:
        self.broker.send(_queue(order, runner_id), order.nonce, order.definition_sha256, rank())

    def _queued(self, order: RunOrder) -> bool:
        try:
            return self.broker.waiting(_queue(order, order.asked_of)) > 0
        except UnavailableError:
            return True  # nothing could be sent anyway

    def _tidy(self, order: RunOrder) -> None:
        """Nobody waits for it any more; runners that meet it leave it."""
        with contextlib.suppress(StoreError):  # what stays is in nobody's way
            self.storage.delete(objects.order(order.nonce))
            prefix = objects.answers(order.nonce)
            for name in self.storage.below(prefix, _MOST_LISTED):
                self.storage.delete(f"{prefix}/{name}")


def _queue(order: RunOrder, runner_id: str | None) -> str:
    return order.queue if runner_id is None else own_queue(order.queue, runner_id)


def cause_of(runner_id: str) -> str:
    """What alarms about one runner have in common."""
    return f"runner:{visible(runner_id)[:16]}"


def _error(fault: Fault, name: str) -> RebuilderError:
    sentence = f"The runner {name} could not run it: {visible(fault.sentence)[:500]}"
    if fault.kind is FaultKind.NO_GUEST:
        return NoGuestError(sentence.rstrip("."))
    return _FAULTS[fault.kind](sentence)
