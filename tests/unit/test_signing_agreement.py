"""What the ledger says is published only where it is what was signed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from rebuilder.errors import CorruptStoreError
from rebuilder.model.alarm import Alarm, AlarmKind
from rebuilder.model.report import Report, SignedReport, Summary, page_path
from rebuilder.model.verdict import Verdict
from rebuilder.signing.agreement import Agreement
from rebuilder.signing.key_directory import KeyDirectory
from rebuilder.signing.statements import Builder
from rebuilder.site.publisher import Site
from rebuilder.store.ledger import Ledger
from rebuilder.verification.signer import Signer
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.ledgers import open_ledger
from tests.fakes.logs import log_writer
from tests.fakes.signer import MemorySigner
from tests.fakes.verifications import NOW


class Harness:
    """A signer, its ledger, and somebody who can write to it."""

    def __init__(self, directory: Path, ledger: Ledger) -> None:
        self.directory = directory
        self.ledger = ledger
        signer, blobs = MemorySigner(), MemoryBlobs()
        self.site = directory / "site"
        site = Site(self.site, blobs, public_key=signer.public_pem, key_id=signer.key_id, verifier="example.org")
        agreement = Agreement({signer.key_id: signer.public_pem})
        keys = KeyDirectory(directory / "keys")
        log = log_writer(ledger, self.site)
        builder = Builder(id="tag:example.org,2026:t")
        self.press = Signer(ledger, blobs, signer, builder, site, FixedClock(), agreement, log, keys)
        self.bad = self.finish(reports.build_failed(blobs))
        self.good = self.finish(reports.unsupported(blobs))

    def finish(self, report: Report) -> SignedReport:
        """Sign a report as the service does."""
        number = self.ledger.begin(report.artifact, report.started)
        self.ledger.examined(number, report)
        return self.press.finish(number, report)

    def write(self, statement: str, **values: Any) -> None:
        """Change the ledger behind its back."""
        engine = create_engine(f"sqlite:///{self.directory / 'ledger.sqlite'}")
        with engine.begin() as connection:
            assert connection.execute(text(statement), values).rowcount > 0
        engine.dispose()

    def page(self, signed: SignedReport) -> Path:
        """Where its page is, if it is."""
        of = signed.report.artifact
        return self.site / page_path(of.ecosystem, of.name, of.version, of.filename, of.sha256) / "index.html"

    def refused(self, words: str) -> None:
        """Publishing tells of the bad one, leaves it out everywhere, and writes the good one."""
        name = self.bad.report.artifact.filename
        with pytest.raises(CorruptStoreError, match=words) as error:
            self.press.publish_all()
        assert name in str(error.value)
        assert error.value.hint
        assert self.page(self.good).is_file()
        listed = json.loads((self.site / "v1/index.json").read_text())
        assert [self.good.report.artifact.filename] == [each["filename"] for each in listed["latest"]]
        assert 0 == listed["counts"]["reproduced"]
        assert not any('"reproduced"' in each.read_text() for each in self.site.glob("**/report.json"))
        assert any(AlarmKind.STORE_CORRUPT is each.kind and each.filename == name for each in self.ledger.alarms())


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    """Two signed verdicts; nothing is published yet."""
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        yield Harness(tmp_path, ledger)


def stored(report: Report) -> bytes:
    """A report as the ledger keeps it."""
    import zlib

    from rebuilder.model.report import report_document

    return zlib.compress(report_document(report))


def test_what_agrees_is_published(harness: Harness) -> None:
    """All of it, and what is published as the report has the digest that was signed."""
    assert 2 == harness.press.publish_all()
    assert [] == harness.ledger.alarms()
    for signed in (harness.good, harness.bad):
        assert signed.report_bytes == harness.page(signed).with_name("report.json").read_bytes()


def test_a_forged_report_and_row(harness: Harness) -> None:
    """Every copy of the verdict is changed, the statement excepted."""
    report = harness.bad.report
    decision = report.decision.replace(verdict=Verdict.REPRODUCED)
    forged = report.replace(decision=decision)
    where = "where verification_id = (select id from verification where verdict = 'build-failed')"
    harness.write(f"update signed set report = :report {where}", report=stored(forged))  # noqa: S608
    harness.write("update verification set verdict = 'reproduced' where verdict = 'build-failed'")
    harness.refused("another verdict")
    assert not harness.page(harness.bad).exists()


def test_a_report_with_the_same_verdict_and_another_cause(harness: Harness) -> None:
    """The statement names the digest of the report: no word of it can be changed."""
    forged = harness.bad.report.replace(rebuilder_version="9")
    where = "where verification_id = (select id from verification where verdict = 'build-failed')"
    harness.write(f"update signed set report = :report {where}", report=stored(forged))  # noqa: S608
    with pytest.raises(CorruptStoreError, match="another report"):
        harness.press.publish_all()
    assert not harness.page(harness.bad).exists()
    assert harness.page(harness.good).exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("verification set verdict = 'reproduced'", "another verdict"),
        ("verification set sentence = 'Fine.'", "another reason"),
        ("verification set kind = 'stable'", "another kind"),
        ("verification set written = true", "another level"),
        ("artifact set purl = 'pkg:pypi/other@1'", "another release"),
        ("artifact set filename = 'gearbox-9.whl'", "another file"),
        ("artifact set sha256 = substr(sha256, 2) || 'f'", "other bytes"),
        ("artifact set name = 'other'", "another project"),
        ("verification set finished = datetime(finished, '+1 day')", "another time|never signed"),
    ],
)
def test_rows_alone(harness: Harness, change: str, words: str) -> None:
    """Lists, counts and histories are made from rows, which are compared as well."""
    table = change.split(maxsplit=1)[0]
    whose = "verdict = 'build-failed'"
    if table == "artifact":
        whose = f"id = (select artifact_id from verification where {whose})"  # noqa: S608
    harness.write(f"update {change} where {whose}")
    with pytest.raises(CorruptStoreError, match=words):
        harness.press.publish_all()
    listed = json.loads((harness.site / "v1/index.json").read_text())
    assert [harness.good.report.artifact.sha256] == [each["sha256"] for each in listed["latest"]]


def test_rows_after_they_were_published(harness: Harness) -> None:
    """What was compared once is not believed for ever."""
    harness.press.publish_all()
    harness.write("update verification set verdict = 'reproduced' where verdict = 'build-failed'")
    assert 1 == len(harness.press.write_index())
    assert 0 == json.loads((harness.site / "v1/index.json").read_text())["counts"]["reproduced"]


def test_rows_that_an_alarm_is_about(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the front page shows of them was signed, too, when it is brought up to date."""
    harness.press.publish_all()
    for each in (harness.good.report.artifact, harness.bad.report.artifact):
        harness.ledger.raise_alarm(
            Alarm(kind=AlarmKind.TAG_MOVED, purl=each.purl, filename=each.filename, sentence="Moved.", raised=NOW)
        )
    harness.write("update verification set verdict = 'reproduced' where verdict = 'build-failed'")
    shown: list[Summary] = []

    def update(_: Site, __: object, alarmed: Sequence[Summary], *___: object, **____: object) -> bool:
        shown.extend(alarmed)
        return True

    monkeypatch.setattr(Site, "update_index", update)
    harness.press.update_index()
    assert [harness.good.report.artifact.filename] == [each.filename for each in shown]


def test_a_verdict_that_was_never_signed(harness: Harness) -> None:
    """A row without a statement."""
    harness.write(
        "delete from signed where verification_id = (select id from verification where verdict = 'build-failed')"
    )
    with pytest.raises(CorruptStoreError, match="never signed"):
        harness.press.publish_all()


def test_signed_by_somebody_else(harness: Harness) -> None:
    """The ledger names keys too, but which are ours is not asked there."""
    other = MemorySigner(2)
    forger = Signer(
        harness.ledger,
        harness.press.blobs,
        other,
        Builder(id="x"),
        harness.press.site,
        FixedClock(),
        harness.press.agreement,
        harness.press.log,
        harness.press.directory,
    )
    signed = forger.sign(harness.bad.report.replace(rebuilder_version="9"))
    harness.write(
        "update signed set vsa = :vsa, key_id = :key, report = :report where verification_id ="
        " (select id from verification where verdict = 'build-failed')",
        vsa=signed.vsa,
        key=signed.key_id,
        report=stored(signed.report),
    )
    harness.refused("not ours")


@pytest.mark.parametrize("spoil", [lambda text: text.replace("payload", "payloads"), lambda _: "{}", lambda _: "x"])
def test_a_spoilt_statement(harness: Harness, spoil: Callable[[str], str]) -> None:
    """It is no statement of ours any more."""
    harness.write(
        "update signed set vsa = :vsa where verification_id ="
        " (select id from verification where verdict = 'build-failed')",
        vsa=spoil(harness.bad.vsa),
    )
    harness.refused("is not one of ours")


def test_one_bad_report_does_not_keep_others_waiting(harness: Harness) -> None:
    """The service goes on; what was left out is an alarm and is not tried again and again."""
    forged = harness.bad.report.replace(rebuilder_version="9")
    where = "where verification_id = (select id from verification where verdict = 'build-failed')"
    harness.write(f"update signed set report = :report {where}", report=stored(forged))  # noqa: S608
    assert 1 == harness.press.finish_all()
    assert [] == harness.ledger.unpublished(limit=9)
    assert [AlarmKind.STORE_CORRUPT] == [each.kind for each in harness.ledger.alarms()]


def test_what_somebody_else_has_signed_keeps_nothing_back(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was waiting when it was looked up, and is done when it is to be kept: the first signature counts."""
    [number] = [number for number, _ in harness.ledger.unpublished(limit=9)][:1]
    before = harness.ledger.signed_report(harness.bad.report.artifact.sha256)
    answers = iter([[(number, harness.bad.report)], []])
    monkeypatch.setattr(harness.press.ledger, "unsigned", lambda limit: next(answers))  # noqa: ARG005
    assert 2 == harness.press.finish_all()
    assert before == harness.ledger.signed_report(harness.bad.report.artifact.sha256)
