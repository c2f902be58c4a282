"""A whole site with a page of every kind, for tests that look at pages."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from pathlib import Path

from rebuilder.model.alarm import Alarm, RecordedAlarm
from rebuilder.model.report import Summary, listed
from rebuilder.site.publisher import Site
from rebuilder.store.protocol import Blobs
from tests.fakes import operations, reports, trails

KEY_ID = "ab" * 32


def write_site(root: Path, blobs: Blobs) -> dict[str, Path]:
    """Write it; give the page of each report by verdict, of the hostile one as ``hostile``, of trails by name."""
    site = Site(root, blobs, public_key=b"a public key\n", key_id=KEY_ID, verifier="rebuilder.example.org")
    # A service has been writing here: every page leads to the one about it.
    if not (root / "operate.html").exists():
        (root / "operate.html").touch()
    pages: dict[str, Path] = {}
    known: list[Summary] = []
    alarms: list[Alarm] = []
    builders = {
        **{verdict.value: make for verdict, make in reports.EVERY.items()},
        "hostile": reports.hostile,
        **trails.EVERY,
    }
    for hours, (name, make) in enumerate(builders.items()):
        report = make(blobs)
        report = report.replace(finished=report.finished - timedelta(hours=5 * hours))
        history = reports.history(report, releases=0)
        if name == "equivalent":
            alarms.append(reports.alarm(report.artifact))
        alarms += report.alarms
        known += [listed(report), *history[1:]]
        kept = [
            RecordedAlarm(number=100 + at, alarm=each, severity=each.kind.severity, last_seen=each.raised)
            for at, each in enumerate(alarms)
        ]
        pages[name] = site.write_artifact(reports.signed(report, key_id=KEY_ID), history, kept)
    kept += operations.alarms(known)
    site.write_operations(operations.busy(known), kept)
    site.write_index(known, kept, reports.NOW, untested={"pypi": 4})
    return pages


def cells(html: str, table: str) -> list[list[str]]:
    """The text of a table of a page, by row and cell; ``table`` is its class, and its head is left out."""
    body = re.search(rf'<table class="stack {table}.*?<tbody>(.*?)</tbody>', html, re.DOTALL)
    rows = body[1].split("</tr>")[:-1] if body else []
    found = ([each[1] for each in re.finditer(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)] for row in rows)
    return [[" ".join(unescape(re.sub("<[^>]+>", "", cell)).split()) for cell in row] for row in found]
