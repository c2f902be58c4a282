"""What is tried besides and after a verdict: a failure of it is a remark in the report and never costs the verdict."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from rebuilder.errors import CorruptError, NoGuestError, RebuilderError, SandboxFaultError
from rebuilder.model.attempt import Hypothesis, NotTried
from rebuilder.model.report import CLOCK_NOT_TRIED
from rebuilder.model.text import without_places

log = logging.getLogger(__name__)


class Experiments:
    """Keeps the remarks of one verification."""

    def __init__(self) -> None:
        self._remarks: list[str] = []

    @property
    def remarks(self) -> tuple[str, ...]:
        """One sentence for everything that could not be tried, in order."""
        return tuple(dict.fromkeys(self._remarks))

    def no_clock(self, missing: NotTried) -> None:
        """Remark that a build could not see the recorded clock here."""
        self._remarks.append(f"{CLOCK_NOT_TRIED}{missing.reason}.")

    @contextmanager
    def trying(self, failed: str) -> Iterator[None]:
        """Go on after whatever goes wrong inside; what was reached before stands.

        Args:
            failed: Says that it went wrong, for a stranger; the reason is added.

        Raises:
            CorruptError: something of ours was modified, which is an incident whatever it was needed for.
        """
        try:
            yield
        except CorruptError:
            raise
        except RebuilderError as error:
            self._remarks.append(f"{failed}: {without_places(str(error))}")
        except Exception as error:  # what was published must not be able to keep its verdict from being told
            log.exception("%s, by a defect of the rebuilder.", failed)
            self._remarks.append(f"{failed}: a defect of the rebuilder ({type(error).__name__}).")


def not_tried(hypothesis: Hypothesis, error: NoGuestError | SandboxFaultError) -> NotTried:
    """What is recorded of a hypothesis that no guest could be had for."""
    reason = error.reason if isinstance(error, NoGuestError) else str(error).rstrip(".")
    return NotTried(hypothesis=hypothesis, reason=without_places(reason))
