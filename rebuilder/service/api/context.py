"""What the HTTP API is given to work with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rebuilder.clock import Clock
from rebuilder.model.report import SignedReport, Summary
from rebuilder.model.work import Order, Tier
from rebuilder.service.api.token import Token
from rebuilder.store.ledger import Ledger


class Ask(Protocol):
    """Queues what a subject stands for."""

    def __call__(self, subject: str, tier: Tier, by: str) -> list[Order]:
        """Look a subject up in its registry and queue its files; asking again changes nothing.

        Args:
            subject: Such as ``pypi:idna==3.10`` or a package URL; never a file on this machine.
            tier: How thoroughly.
            by: Who asked, for the log.

        Raises:
            UsageError: the subject is malformed, or nothing like it is published.
            UnavailableError: the registry does not answer.
            StoreError: the ledger cannot be written.
        """
        ...


@dataclass(frozen=True)
class ApiContext:
    """Everything behind the counter; all of it may block, and none of it is called on the event loop."""

    ledger: Ledger
    ask: Ask
    site: Path
    """Directory of the static site; it need not exist yet."""
    verifier: str
    """Who verifies, as the pages name it."""
    metrics: Callable[[], bytes]
    """What Prometheus reads, in its text format."""
    live: Callable[[], list[str]]
    """What makes this process useless until it is started again; empty: nothing."""
    ready: Callable[[], list[str]]
    """What keeps it from doing its work now; empty: nothing."""
    agreeing: Callable[[Iterable[Summary]], list[Summary]]
    """Those rows of the ledger that say what was signed."""
    check: Callable[[SignedReport], None]
    """Raises :class:`CorruptError` for a report that is not the one that was signed."""
    clock: Clock
    token: Token
    public: bool = False
    """Strangers ask too: they see nothing of this machine."""
    ready_in_public: Callable[[], list[str]] = list
    """As ``ready``, in words for strangers."""
    requests_per_minute: int = 600
    """From one address."""
