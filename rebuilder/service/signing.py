"""The desk with the key: signs what workers examined, and writes the pages."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from rebuilder.errors import RebuilderError
from rebuilder.press import Press
from rebuilder.service.logs import bound

_AT_ONCE = 20
_INDEX_SECONDS = 10.0
"""The index names every artifact, so it is not written for each of them."""

log = logging.getLogger("rebuilder.signing")


@dataclass
class SigningDesk:
    """Goes through what is examined and not signed, then through what is signed and has no page yet.

    Args:
        press: What signs and publishes.
        monotonic: Seconds that only ever grow.
    """

    press: Press
    monotonic: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._stale = True  # what a process before this one published may not be in the index
        self._written = -_INDEX_SECONDS

    def step(self) -> int:
        """Sign and publish what waits; the index follows every few seconds. Gives how many were signed.

        Raises:
            RebuilderError: the ledger or the site cannot be used; what was not done waits.
        """
        waiting = self.press.ledger.unsigned(limit=_AT_ONCE)
        for number, report in waiting:
            with bound(artifact=report.artifact.filename, purl=report.artifact.purl, verification=number):
                try:
                    self.press.finish(number, report)
                except (RebuilderError, ValueError) as error:
                    # A report that cannot be signed must not keep the others waiting.
                    log.error("The report cannot be signed: %s", error)  # noqa: TRY400
                    self.press.ledger.fail(number, f"It cannot be signed: {error}", self.press.clock.now())
        for number, signed in self.press.ledger.unpublished(limit=_AT_ONCE):
            artifact = signed.report.artifact
            with bound(artifact=artifact.filename, purl=artifact.purl, verification=number):
                self.press.publish(number, signed)
                log.info("signed and published.", extra={"verdict": signed.report.decision.verdict.value})
            self._stale = True
        if self._stale and self.monotonic() >= self._written + _INDEX_SECONDS:
            self.press.write_index()
            self._stale, self._written = False, self.monotonic()
        return len(waiting)
