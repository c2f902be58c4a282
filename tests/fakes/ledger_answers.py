"""Everything a ledger can be asked, as plain JSON: for tests that change how it is kept and not what it says.

Also run with the code of earlier versions (see tests/assets/ledgers): it takes an open ledger and imports nothing of
the program.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

LATER = datetime(2026, 11, 21, 9, tzinfo=UTC)
"""When the ledgers of the assets are asked."""
PROJECTS = ("spindle", "lantern", "almanac", "gearbox", "whale", "orphan", "matrix", "comet", "anvil", "new")
MARKS = ("all", "release")


def answers(ledger: Any) -> dict[str, Any]:
    """What it says, by question; dictionaries of values as documents."""
    latest = ledger.latest()
    known: dict[str, Any] = {
        "latest": latest,
        "latest of one": ledger.latest(purl=latest[0].purl)[:3],
        "stale": ledger.stale(LATER, ecosystem="pypi"),
        "alarms": ledger.alarms(),
        "all alarms": ledger.alarm_book.all(),
        "closed alarms": ledger.alarm_book.closed(10),
        "undelivered": ledger.alarm_book.undelivered(),
        "ended": list(ledger.alarm_book.ended([timedelta(days=3)], LATER).values()),
        "unsigned": [[number, _report(report)] for number, report in ledger.unsigned(9)],
        "unpublished": [number for number, _ in ledger.unpublished(9)],
        "queue": ledger.queue.state(LATER),
        "lease holders": sorted(ledger.queue.owners()),
        "watches": ledger.watches.all(),
        "seen": [ledger.watches.seen(each) for each in MARKS],
        "recent": ledger.lookup.recent(50),
        "operations": _without(ledger.statistics.operations(LATER), "failures"),  # groups by wording
        "counted": sorted([*key, value] for key, value in ledger.statistics.figures(LATER).tallies.items()),
        "standing": ledger.statistics.standing(LATER),
        "publishers": [ledger.remembered_publisher("pypi", each) for each in PROJECTS],
        "cached": [ledger.cache_get("resolution", {"python": each}) for each in ("3.12", "3.13", "3.14")],
    }
    for name in PROJECTS:
        known[f"history of {name}"] = ledger.history("pypi", name)
        known[f"files of {name}"] = {key: sorted(value) for key, value in ledger.watches.known("pypi", name).items()}
        known[f"unfinished of {name}"] = sorted(ledger.watches.unfinished("pypi", name))
    for row in latest:
        report = ledger.signed_report(row)
        known[f"report on {row.filename}"] = {
            "said": _report(report.report),
            "signed": [hashlib.sha256(report.report_bytes).hexdigest(), report.vsa, report.provenance, report.key_id],
            "envelope": ledger.envelopes([row]).get(row.identity),
            "release": ledger.lookup.release([row.purl], LATER),
            "digest": ledger.lookup.digest(row.sha256, LATER),
        }
        for each in report.report.attempts:
            digest = each.hypothesis.definition.digest
            run = ledger.earlier_run(digest, datetime(2026, 1, 1, tzinfo=UTC))
            known[f"run of {digest}"] = run and [run.outcome.value, run.log_sha256, run.wall_seconds, str(run.started)]
    known["attempts"] = {str(number): list(map(_attempt, ledger.recorded(number).attempts)) for number in range(1, 20)}
    plain: dict[str, Any] = json.loads(json.dumps(known, default=_plain))
    return plain


def _report(report: Any) -> list[Any]:
    """What it comes to; its bytes are compared elsewhere."""
    decision, attempts = report.decision, list(map(_attempt, report.attempts))
    return [report.artifact.filename, decision.verdict.value, decision.sentence, str(report.finished), *attempts]


def _attempt(attempt: Any) -> list[Any]:
    """A definition is what its digest says: it is worked out anew from what is read."""
    level = attempt.comparison and attempt.comparison.level.value
    return [attempt.hypothesis.definition.digest, attempt.run.outcome.value, attempt.run.log_sha256, level]


def _without(value: Any, field: str) -> Any:
    return value.model_dump(mode="json", exclude_none=True, exclude={field})


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", exclude_none=True)
    return str(value)
