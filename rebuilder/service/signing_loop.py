"""The process with the key: signs what workers examined, and writes the pages."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from rebuilder.errors import CorruptError, RebuilderError, SigningError
from rebuilder.model.alarm import Alarm, AlarmKind
from rebuilder.model.report import Report
from rebuilder.service.logs import bound
from rebuilder.signing.key_directory import KeyNotGoodError
from rebuilder.store.ledger.rows import EndedError
from rebuilder.verification.signer import Signer

_AT_ONCE = 20
_PATIENCE = 3600.0
"""Seconds after which a report that cannot be signed because the store is away is not waited for any more."""
_CLOSED_ALARMS = 1000
"""The newest of those that are not open."""
_INDEX_SECONDS = 10.0
"""Pages of several files wait for one writing of the index."""
_COMPLETE_SECONDS = 3600.0
"""So often all rows of the ledger are compared with what was signed, and the index is written whole."""

log = logging.getLogger("rebuilder.signing")


@dataclass
class SigningLoop:
    """Goes through what is examined and not signed, then through what is signed and has no page yet.

    Args:
        signer: What signs and publishes.
        monotonic: Seconds that only ever grow.
    """

    signer: Signer
    monotonic: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._stale = True
        self._written, self._completed = -_INDEX_SECONDS, -_COMPLETE_SECONDS
        self._told: tuple[object, ...] = ()
        """Counts and alarms as the pages show them: they change without any verdict."""
        self._known: dict[int, tuple[object, ...]] | None = None
        self._waits: dict[int, float] = {}
        """Reports whose signature waits for the store, and since when."""
        self._keyless = False
        """Whether the key was refused, and that was said."""

    def step(self) -> int:
        """Sign and publish what waits; the index follows every few seconds. Gives how many were signed.

        Raises:
            RebuilderError: the ledger or the site cannot be used; what was not done waits.
        """
        signed_now = 0
        for number, report in self.signer.ledger.unsigned(limit=_AT_ONCE):
            with bound(artifact=report.artifact.filename, purl=report.artifact.purl, verification=number):
                signed_now += self._sign(number, report)
        for number, signed in self.signer.ledger.unpublished(limit=_AT_ONCE):
            artifact = signed.report.artifact
            with bound(artifact=artifact.filename, purl=artifact.purl, verification=number):
                try:
                    self.signer.publish(number, signed)
                except CorruptError as error:  # an alarm by now, and nothing that another try would change
                    log.error("Not published: %s", error)  # noqa: TRY400 - a sentence, not a traceback
                    continue
                log.info("signed and published.", extra={"verdict": signed.report.decision.verdict.value})
            self._stale = True
        if self.monotonic() >= self._written + _INDEX_SECONDS:
            shown, alarms = self._shown(), self._alarms()
            if self.monotonic() >= self._completed + _COMPLETE_SECONDS:
                self.signer.write_index()
                self._stale, self._told, self._completed = False, shown, self.monotonic()
            elif self._stale or shown != self._told:
                self.signer.update_index()
                self._stale, self._told = False, shown
            self._follow(alarms)
            self._written = self.monotonic()
        return signed_now

    def _shown(self) -> tuple[object, ...]:
        ledger = self.signer.ledger
        alarms = [(each.number, each.severity) for each in ledger.alarm_book.open()]
        return (ledger.statistics.standing(self.signer.clock.now()), alarms)

    def _alarms(self) -> dict[int, tuple[object, ...]]:
        """The state of every alarm about a release, by its number."""
        book = self.signer.ledger.alarm_book
        kept = (*book.open(), *book.closed(_CLOSED_ALARMS))
        about = (each for each in kept if each.alarm.purl and not each.alarm.kind.about_us)
        return {each.number: (each.alarm.purl, each.acknowledged, each.note, each.open) for each in about}

    def _follow(self, alarms: dict[int, tuple[object, ...]]) -> None:
        """Pages say what became of an alarm about them: that it was raised elsewhere, or acknowledged."""
        before = self._known if self._known is not None else alarms
        for purl in dict.fromkeys(str(state[0]) for key, state in alarms.items() if state != before.get(key)):
            self.signer.write_pages_of(purl)
        self._known = alarms

    def _sign(self, number: int, report: Report) -> bool:
        """Sign one report; one that cannot be signed must not keep the others waiting."""
        now = self.monotonic()
        done = False
        try:
            self.signer.finish(number, report)
            done = True
        except KeyNotGoodError as error:  # an alarm of its own; what was examined waits for the next key
            if not self._keyless:  # it stays so until the next start
                log.warning("%s %s", error, error.hint or "")
            self._keyless = True
            return False
        except EndedError:
            log.info("Somebody else has signed it.")
        except (CorruptError, SigningError, ValueError) as error:
            self._refuse(number, report, error)
        except RebuilderError as error:  # a full disk, a ledger that is away: nothing is wrong with the report
            if now - self._waits.setdefault(number, now) < _PATIENCE:
                log.warning("The report cannot be signed yet: %s", error)
                return False
            self._refuse(number, report, error)
        self._waits.pop(number, None)
        return done

    def _refuse(self, number: int, report: Report, error: Exception) -> None:
        log.error("The report cannot be signed: %s", error)
        ledger, now, artifact = self.signer.ledger, self.signer.clock.now(), report.artifact
        ledger.fail(number, f"It cannot be signed: {error}", now)
        ledger.raise_alarm(
            Alarm(
                kind=AlarmKind.GIVEN_UP,
                purl=artifact.purl,
                filename=artifact.filename,
                sentence=f"{artifact.filename} was examined, and what was found cannot be signed: {error}",
                raised=now,
                cause=f"{AlarmKind.GIVEN_UP.value}:signing",
            )
        )
