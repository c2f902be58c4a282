"""Makes the ledger of version 0005; see README.md beside this file for how it is run."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

# All of this is what it was called then.
from rebuilder.cli import db
from rebuilder.model.alarm import Alarm, AlarmKind, Severity
from rebuilder.model.attempt import Attempt
from rebuilder.model.definition import Limits
from rebuilder.model.operations import WatchState
from rebuilder.model.provenance import Forge, RememberedPublisher
from rebuilder.model.verdict import Verdict
from rebuilder.model.work import Check, Order, Reason, Tier
from rebuilder.storage.blobs import DiskBlobs
from rebuilder.storage.ledger import Ledger

from tests.fakes import reports
from tests.fakes.postgres import Postgres
from tests.fakes.reports import NOW

HERE = Path(__file__).parent
sys.path.append(str(HERE.parents[1] / "fakes"))
from ledger_answers import answers  # noqa: E402


def order(name: str, reason: Reason, **fields: object) -> Order:
    """An order for a wheel of a project."""
    of = reports.artifact(name)
    same = {"ecosystem": "pypi", "purl": of.purl, "name": name, "version": of.version, "filename": of.filename}
    return Order.model_validate({**same, "reason": reason, **fields})


def finished(ledger: Ledger, report: Any, number: int) -> None:
    """One verification from the first look to its page."""
    for ordinal, attempt in enumerate(report.attempts):
        ledger.add_attempt(number, ordinal, attempt)
    ledger.examined(number, report)
    ledger.finish(number, reports.signed(report))
    ledger.published(number, report.finished)


def verifications(ledger: Ledger, blobs: DiskBlobs) -> None:
    """One of each verdict; one file twice, one changed, one that is examined only, two that came to nothing."""
    for make in reports.EVERY.values():
        report = make(blobs)
        ledger.pin(report.artifact, report.started)
        finished(ledger, report, ledger.begin(report.artifact, report.started))
    again = reports.reproduced(blobs).model_copy(update={"finished": NOW + timedelta(hours=1)})
    finished(ledger, again, ledger.begin(again.artifact, NOW, order("spindle", Reason.RECHECK, check=Check.INPUTS)))
    ledger.pin(reports.artifact(sha256=reports.sha("other bytes")), NOW)
    examined = reports.differs(blobs, "comet")
    ledger.queue.add([order("comet", Reason.RELEASE, watch="release")], NOW)
    lease = ledger.queue.claim("machine-0123abcd/6/6", NOW, 60)
    assert lease is not None
    number = ledger.begin(examined.artifact, NOW, lease.task.order)
    ledger.add_attempt(number, 0, examined.attempts[0])
    ledger.queue.complete(lease, number, examined, {("resolution", "hit"): 3, ("resolution", "miss"): 1})
    failed: Attempt = reports.build_failed(blobs).attempts[0]
    ledger.fail(ledger.begin(reports.artifact("anvil"), NOW), "The mirror did not answer.", NOW)
    number = ledger.begin(reports.artifact("anvil"), NOW)  # it still runs when the program ends
    ledger.add_attempt(number, 0, failed)


def queue(ledger: Ledger) -> None:
    """Orders that wait, one that is worked on, one that was given back."""
    limits = Limits(memory_bytes=1 << 30)
    asked = order("new", Reason.ASKED, sha256=reports.sha("new"), limits=limits)
    retry = order("gearbox", Reason.RETRY, tier=Tier.SOURCE, watch="all", nudge=3)
    ledger.queue.add([asked, retry, order("whale", Reason.RECHECK, check=Check.TOOLCHAIN)], NOW)
    lease = ledger.queue.claim("machine-0123abcd/7/7", NOW, 60)
    assert lease is not None
    ledger.queue.put_back(lease, None, "The disk was full.", NOW, not_before=NOW + timedelta(days=9), counts=True)
    assert ledger.queue.claim("machine-0123abcd/8/8", NOW, 86400 * 30) is not None


def around(ledger: Ledger) -> None:
    """Alarms in every state, watches, publishers, what is cached and who leads."""
    book, spindle = ledger.alarm_book, reports.artifact()
    book.raise_alarm(reports.alarm(spindle))
    book.raise_alarm(reports.alarm(reports.artifact("lantern"), AlarmKind.REGRESSION, "It was confirmed before."))
    book.raise_alarm(Alarm(kind=AlarmKind.DISK, sentence="The disk is nearly full.", raised=NOW))
    book.fill({"desk": tuple(Severity)}, lambda _: False, NOW)
    [first, second, *_] = book.due(NOW, 2, targets=["desk"])
    book.delivered([first.id])
    book.failed([second.id], "Nobody answered.", None)
    book.acknowledge(2, "somebody", "It is looked at.", NOW)
    book.clear(AlarmKind.DISK, "", NOW)
    for name, trouble in (("all", None), ("release", "The index did not answer.")):
        state = WatchState(name=name, checked=NOW, projects=9, queued=2, failed=int(bool(trouble)), trouble=trouble)
        ledger.watches.looked(state, {"spindle": "W/1", "lantern": "W/2"})
    ledger.remember_publisher(
        RememberedPublisher(
            ecosystem="pypi",
            name="spindle",
            forge=Forge.GITHUB,
            issuer="https://token.actions.example.org",
            repository="https://forge.example.org/o/spindle",
            repository_id="17",
            workflow=".forge/workflows/release.yml",
            purl=spindle.purl,
            filename=spindle.filename,
            sha256=spindle.sha256,
            uploaded=spindle.file.uploaded,
            remembered=NOW,
        )
    )
    for number, python in enumerate(("3.12", "3.13")):
        ledger.cache_put("resolution", {"python": python}, {"pins": [reports.sha(python), None, number]}, NOW)
    ledger.cache_put("public-key", "ab" * 32, "-----BEGIN PUBLIC KEY-----", NOW)
    assert ledger.lead("schedules", "machine-0123abcd/9/9", NOW)
    assert ledger.lead("another", "machine-0123abcd/9/9", NOW)


def main() -> None:
    """Write two dumps and the answers."""
    with tempfile.TemporaryDirectory() as directory, Postgres() as server:
        place = Path(directory, "ledger")
        with Ledger.open(place) as ledger:
            verifications(ledger, DiskBlobs(Path(directory, "blobs")))
            queue(ledger)
            around(ledger)
            said = answers(ledger)
            referred = {each.hex() for each in ledger.references()}
            said["blobs"] = sorted(referred & {each.name for each in Path(directory, "blobs").glob("??/*")})
        assert {each.value for each in reports.EVERY} <= {row["verdict"] for row in said["latest"]}
        assert Verdict.INFRA_ERROR.value in json.dumps(said["operations"])
        lines = [f"{line}\n" for line in sqlite3.connect(place).iterdump()]
        (HERE / "0005.sqlite.sql").write_text("".join(lines))
        there = server.create()
        db.copy(str(place), server.url(there))
        dump = shutil.which("pg_dump") or "pg_dump"
        options = ("--inserts", "--no-owner", "--no-privileges", "--no-comments", "--schema=public")
        done = subprocess.run([dump, *options, server.url(there)], check=True, capture_output=True, text=True)
    left_out = ("--", "\\", "SET ", "SELECT pg_catalog.set_config", "CREATE SCHEMA")  # what depends on the server
    kept = [line for line in done.stdout.splitlines() if line and not line.startswith(left_out)]
    (HERE / "0005.postgresql.sql").write_text("\n".join(kept) + "\n")
    (HERE / "0005.answers.json").write_text(_by_line(said))


def _by_line(said: dict[str, Any]) -> str:
    lines = (f"{json.dumps(question)}: {json.dumps(answer)}" for question, answer in sorted(said.items()))
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    main()
