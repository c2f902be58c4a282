"""A journal that lasts as long as the process."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from rebuilder.errors import StoreError
from rebuilder.model.alarm import Alarm
from rebuilder.model.artifact import Artifact, PinResult
from rebuilder.model.attempt import Attempt, History, NotTried, Outcome, Run
from rebuilder.model.report import Report
from rebuilder.model.value import Sha256
from rebuilder.model.work import Order


@dataclass
class _Begun:
    artifact: Artifact
    started: datetime
    order: Order | None
    attempts: list[Attempt] = field(default_factory=list)
    not_tried: list[NotTried] = field(default_factory=list)
    report: Report | None = None
    failed: str | None = None
    going: bool = True

    @property
    def asked(self) -> tuple[object, object] | None:
        return (self.order.check, self.order.tier) if self.order is not None else None


class MemoryJournal:
    """Implements :class:`rebuilder.verification.parts.Journal` with lists."""

    def __init__(self) -> None:
        self._pinned: dict[tuple[str, str], list[Sha256]] = {}
        self._alarms: list[Alarm] = []
        self._begun: list[_Begun] = []

    def pin(self, artifact: Artifact, now: datetime) -> PinResult:
        """See :class:`rebuilder.verification.parts.Journal`."""
        known = self._pinned.setdefault((artifact.purl, artifact.filename), [])
        first = artifact.sha256 not in known
        if first:
            known.append(Sha256(artifact.sha256))
        return PinResult(first_seen=first, earlier=tuple(known[: known.index(Sha256(artifact.sha256))]))

    def raise_alarm(self, alarm: Alarm) -> bool:
        """See :class:`rebuilder.verification.parts.Journal`."""
        same = {(each.kind, each.purl, each.filename, each.sentence) for each in self._alarms}
        new = (alarm.kind, alarm.purl, alarm.filename, alarm.sentence) not in same
        if new:
            self._alarms.insert(0, alarm)
        return new

    def alarms(self, purl: str | None = None) -> list[Alarm]:
        """See :class:`rebuilder.verification.parts.Journal`."""
        return [each for each in self._alarms if purl in {None, each.purl}]

    def begin(self, artifact: Artifact, now: datetime, order: Order | None = None) -> int:
        """See :class:`rebuilder.verification.parts.Journal`."""
        self._begun.append(_Begun(artifact, now, order))
        return len(self._begun)

    def resume(self, artifact: Artifact, since: datetime, order: Order | None = None) -> tuple[int, datetime] | None:
        """See :class:`rebuilder.verification.parts.Journal`."""
        asked = (order.check, order.tier) if order is not None else None
        for number, each in reversed(list(enumerate(self._begun, start=1))):
            if each.artifact == artifact:
                left = not each.going and each.report is None and bool(each.attempts or each.not_tried)
                if not left or each.started < since or each.asked != asked:
                    return None
                each.going = True
                return number, each.started
        return None

    def add_attempt(self, number: int, ordinal: int, attempt: Attempt) -> None:
        """See :class:`rebuilder.verification.parts.Journal`."""
        assert len(self._one(number).attempts) == ordinal
        self._one(number).attempts.append(attempt)

    def add_not_tried(self, number: int, ordinal: int, missing: NotTried) -> None:
        """See :class:`rebuilder.verification.parts.Journal`."""
        assert len(self._one(number).not_tried) == ordinal
        self._one(number).not_tried.append(missing)

    def recorded(self, number: int) -> History:
        """See :class:`rebuilder.verification.parts.Journal`."""
        return History(tuple(self._one(number).attempts), tuple(self._one(number).not_tried))

    def earlier_run(self, definition_sha256: str, since: datetime) -> Run | None:
        """See :class:`rebuilder.verification.parts.Journal`."""
        runs = [
            attempt.run
            for begun in self._begun
            for attempt in begun.attempts
            if attempt.hypothesis.definition.digest == definition_sha256
        ]
        lately = [each for each in runs if each.outcome is Outcome.COMPLETED and each.started >= since]
        return max(lately, key=lambda each: each.started, default=None)

    def examined(self, number: int, report: Report) -> None:
        """See :class:`rebuilder.verification.parts.Journal`."""
        self._running(number).report = report
        self._one(number).going = False

    def fail(self, number: int, sentence: str, now: datetime) -> None:
        """See :class:`rebuilder.verification.parts.Journal`."""
        self._running(number).failed = sentence
        self._one(number).going = False

    def _one(self, number: int) -> _Begun:
        return self._begun[number - 1]

    def _running(self, number: int) -> _Begun:
        if not (0 < number <= len(self._begun) and self._one(number).going):
            raise StoreError(f"There is no verification {number} that is still going on.")
        return self._one(number)
