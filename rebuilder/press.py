"""Signs what was examined and publishes it: the only part that has a key."""

from __future__ import annotations

from dataclasses import dataclass

from rebuilder.attest.envelope import sign_statement
from rebuilder.attest.statements import Builder, provenance_statement, verdict_statement
from rebuilder.model.alarm import AlarmKind
from rebuilder.model.regression import regression, severity
from rebuilder.model.report import Report, SignedReport, page_path
from rebuilder.ports import Blobs, Clock, Signer
from rebuilder.site.publisher import Site
from rebuilder.storage.ledger import Ledger

_FOREIGN = {AlarmKind.UNKNOWN_DIGEST}
_PUBLIC_KEY = "public-key"
"""Kind of the ledger's notes on keys that signed: a report outlives the use of its key."""
_CLOSED_ALARMS = 1000
"""Alarms among which the page looks for those that were acknowledged or have cleared; open ones are all there."""


@dataclass(frozen=True)
class Press:
    """Takes reports from the ledger's verifications, signs them, and writes their pages."""

    ledger: Ledger
    blobs: Blobs
    signer: Signer
    builder: Builder
    site: Site
    clock: Clock

    def finish(self, number: int, report: Report) -> SignedReport:
        """Sign the report of a verification and keep it; a regression is an alarm, and the report says so.

        Raises:
            SigningError: the key cannot be used, or the report contradicts itself.
            StoreError: the published or the rebuilt bytes are not what they were, or the ledger cannot be written.
            ValueError: the verdict is not one that is published.
        """
        alarm = regression(report, self.ledger.history(report.artifact.ecosystem, report.artifact.name))
        if alarm is not None:
            report = report.model_copy(update={"alarms": (*report.alarms, alarm)})
        signed = self.sign(report)
        if alarm is not None:
            self.ledger.alarm_book.raise_alarm(alarm, severity=severity(report.decision.verdict))
        self.ledger.finish(number, signed)
        return signed

    def sign(self, report: Report) -> SignedReport:
        """Make and sign the statements of a report.

        The digests a verdict rests on are checked once more against the stored bytes, just before.

        Raises:
            SigningError, StoreError, ValueError: see :meth:`finish`.
        """
        decision = report.decision
        attempt = report.attempts[decision.attempt] if decision.attempt is not None else None
        if attempt is not None and attempt.rebuilt is not None:
            self.blobs.path(report.artifact.sha256)
            self.blobs.path(attempt.rebuilt.sha256)
            if attempt.finishing is not None and attempt.finishing.finished is not None:
                self.blobs.path(attempt.finishing.record_sha256)
                self.blobs.path(attempt.finishing.finished.sha256)
        if self.ledger.cache_get(_PUBLIC_KEY, self.signer.key_id) is None:
            pem = self.signer.public_pem.decode("ascii")
            self.ledger.cache_put(_PUBLIC_KEY, self.signer.key_id, pem, report.finished)
        rebuild = provenance_statement(report, self.builder)
        provenance = sign_statement(rebuild, self.signer) if rebuild is not None else None
        verdict = verdict_statement(report, self.builder, provenance)
        return SignedReport(
            report=report,
            vsa=sign_statement(verdict, self.signer),
            provenance=provenance,
            key_id=self.signer.key_id,
        )

    def publish(self, number: int, signed: SignedReport) -> str:
        """Write the page of one signed report; give its path below the site's root. The index is written apart."""
        path = self.write_page(signed)
        if any(each.kind is AlarmKind.DIGEST_CHANGED for each in signed.report.alarms):
            self.write_pages_of(signed.report.artifact.purl)  # what was published before says that it was replaced
        self.ledger.published(number, self.clock.now())
        return path

    def write_pages_of(self, purl: str) -> None:
        """Write the pages of all files of a release again: what is known about them has changed.

        Raises:
            StoreError: the ledger or the site cannot be used.
        """
        for summary in self.ledger.latest(purl=purl):
            if (signed := self.ledger.signed_report(summary.sha256, summary.filename)) is not None:
                self.write_page(signed)

    def finish_all(self) -> int:
        """Sign and publish what was examined and left by processes that are no more; give how many there were."""
        finished = 0
        while waiting := self.ledger.unsigned(limit=20):
            for number, report in waiting:
                self.finish(number, report)
        while waiting_pages := self.ledger.unpublished(limit=20):
            for number, signed in waiting_pages:
                self.publish(number, signed)
                finished += 1
        return finished

    def publish_all(self) -> int:
        """Write the whole site from what is stored; give the number of artifact pages."""
        self.finish_all()
        summaries = self.ledger.latest()
        for summary in summaries:
            signed = self.ledger.signed_report(summary.sha256, summary.filename)
            if signed is not None:
                self.write_page(signed)
        self.write_index()
        return len(summaries)

    def write_index(self) -> None:
        """Write the index, the alarms and what every page refers to; as of the newest thing they tell."""
        summaries, book = self.ledger.latest(), self.ledger.alarm_book
        alarms = [*book.open(), *book.closed(_CLOSED_ALARMS)]
        now = self.clock.now()
        told = [each.finished for each in summaries] + [each.last_seen for each in alarms]
        untested = self.ledger.statistics.standing(now).untested
        self.site.write_index(summaries, alarms, max(told, default=now), untested=untested)

    def write_page(self, signed: SignedReport) -> str:
        """Write the page of one report; give its path below the site's root."""
        artifact = signed.report.artifact
        if signed.key_id != self.signer.key_id and (key := self.ledger.cache_get(_PUBLIC_KEY, signed.key_id)):
            self.site.write_key(signed.key_id, key.encode())
        history = self.ledger.history(artifact.ecosystem, artifact.name)
        # A foreign file of its name on some disk says nothing about a published file.
        about = [each for each in self.ledger.alarm_book.about(artifact.purl) if each.alarm.kind not in _FOREIGN]
        self.site.write_artifact(signed, history, about)
        return page_path(artifact.ecosystem, artifact.name, artifact.version, artifact.filename, artifact.sha256)
