"""What the HTTP API needs behind it: a real ledger with a few verdicts, a site, and a registry that is a dictionary."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from rebuilder.clock import Clock
from rebuilder.errors import UnavailableError, UsageError
from rebuilder.model.alarm import Alarm, AlarmKind
from rebuilder.model.report import Report
from rebuilder.model.work import Order, Reason, Tier
from rebuilder.service.api.context import ApiContext, Token
from rebuilder.store.ledger import Ledger
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.ledgers import open_ledger
from tests.fakes.sites import write_site

SECRET = "a-token-that-only-tests-know"
SILENT = "pypi:silent==1.0"
"""A subject whose registry does not answer."""


def order(name: str = "almanac", version: str = "2.1", **changes: object) -> Order:
    """One wheel, asked for by hand."""
    fields: dict[str, object] = {
        "ecosystem": "pypi",
        "purl": f"pkg:pypi/{name}@{version}",
        "name": name,
        "version": version,
        "filename": f"{name}-{version}-py3-none-any.whl",
        "sha256": reports.sha(f"{name} {version}"),
        "reason": Reason.ASKED,
    }
    return Order.model_validate(fields | changes)


class FakeAsk:
    """A registry with ``almanac`` 2.1 and nothing else; implements :class:`rebuilder.service.api.context.Ask`."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self.asked: list[tuple[str, Tier, str]] = []

    def __call__(self, subject: str, tier: Tier, by: str, priority: int = 0) -> list[Order]:
        """Queue it, or say why not."""
        self.asked.append((subject, tier, by))
        if subject == SILENT:
            raise UnavailableError("The index at https://index.example.org/ does not answer.", hint="Try again later.")
        if subject not in {"pypi:almanac==2.1", "pkg:pypi/almanac@2.1"}:
            raise UsageError("No such release is published.", hint="Check the spelling.")
        orders = [order(tier=tier).replace(nudge=priority)]
        self._ledger.queue.add(orders, self._clock.now())
        return orders


def finish(ledger: Ledger, report: Report, at: datetime | None = None) -> Report:
    """Keep a report as a finished verification."""
    report = report.replace(finished=at) if at else report
    number = ledger.begin(report.artifact, report.started)
    ledger.finish(number, reports.signed(report))
    return report


@contextmanager
def open_api_context(root: Path, *, pages: bool = False, **changes: Any) -> Iterator[ApiContext]:
    """What serves verdicts, one waiting task and two alarms, and a site if wanted; all of it lives below ``root``."""
    clock = FixedClock(reports.NOW)
    blobs = MemoryBlobs()
    (root / "site").mkdir(parents=True)
    if pages:
        write_site(root / "site", blobs)
    with open_ledger(root / "ledger.sqlite") as ledger:
        for make in (*reports.EVERY.values(), reports.hostile):
            finish(ledger, make(blobs))
        ledger.queue.add([order("gearbox", "1.0", reason=Reason.RELEASE)], clock.now())
        about = reports.artifact("almanac", "2.0")
        ledger.raise_alarm(reports.alarm(about))
        ledger.raise_alarm(Alarm(kind=AlarmKind.DISK, sentence="The disk is nearly full.", raised=reports.NOW))
        fields: dict[str, Any] = {
            "ledger": ledger,
            "ask": FakeAsk(ledger, clock),
            "blobs": blobs,
            "site": root / "site",
            "verifier": "rebuilder.example.org",
            "metrics": lambda: b"# HELP rebuilder_up It runs.\n# TYPE rebuilder_up gauge\nrebuilder_up 1.0\n# EOF\n",
            "live": list,
            "ready": list,
            "agreeing": list,
            "doubted": list,
            "check": lambda _: None,
            "clock": clock,
            "token": Token(SECRET),
            "requests_per_minute": 1_000_000,
        }
        yield ApiContext(**(fields | changes))
