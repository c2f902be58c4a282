"""Signs what was examined and publishes it: the only part that has a key."""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from itertools import islice
from typing import Any

from rebuilder.clock import Clock
from rebuilder.ecosystems.registry import conventions
from rebuilder.errors import CorruptError, CorruptStoreError
from rebuilder.interop.rebuilderd.writer import RebuilderdWriter
from rebuilder.model.alarm import Alarm, AlarmKind, RecordedAlarm
from rebuilder.model.environment import Specification
from rebuilder.model.regression import regression, severity
from rebuilder.model.report import (
    Report,
    Sbom,
    SignedReport,
    Summary,
    listed,
    page_path,
    report_document,
    summarise,
)
from rebuilder.model.sbom import artifact_sbom, build_dependencies, environment_sbom, packages_of, release_key
from rebuilder.model.value import Sha256
from rebuilder.signing.agreement import Agreement, Beyond
from rebuilder.signing.envelope import sign_statement
from rebuilder.signing.key_directory import KeyDirectory, KeyNotGoodError
from rebuilder.signing.key_list import KeyListError, Use
from rebuilder.signing.protocol import SigningKey
from rebuilder.signing.statements import Builder, provenance_statement, verdict_statement
from rebuilder.signing.vocabulary import INCIDENT_TYPE
from rebuilder.site.publisher import Site, incident_path
from rebuilder.site.rows import artifact_key
from rebuilder.site.writing import by_processes, digest, program
from rebuilder.store.blobs import sha512_of
from rebuilder.store.ledger import Ledger
from rebuilder.store.ledger.component_book import Component
from rebuilder.store.ledger.rows import EndedError
from rebuilder.store.protocol import Blobs
from rebuilder.verification.log_writer import LogWriter
from rebuilder.verification.published_keys import PublishedKeys

_FOREIGN = {AlarmKind.UNKNOWN_DIGEST}
_ROWS_AT_ONCE = 1000
"""Rows whose statements are held in memory together."""
_CLOSED_ALARMS = 1000
"""Alarms among which the page looks for those that were acknowledged or have cleared; open ones are all there."""


@dataclass
class _Done:
    """What came of writing some pages, in whichever process."""

    written: int = 0
    refused: list[CorruptError] = field(default_factory=list)
    agreed: dict[bytes, Beyond] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Around:
    """What a page shows besides its report."""

    history: Sequence[Summary]
    alarms: Sequence[RecordedAlarm]
    said: str
    """Names all of it."""


@dataclass(frozen=True)
class Signer:
    """Takes reports from the ledger's verifications, signs them, and writes their pages."""

    ledger: Ledger
    blobs: Blobs
    signer: SigningKey
    builder: Builder
    site: Site
    clock: Clock
    agreement: Agreement
    """Says whether the ledger still says what was signed."""
    log: LogWriter
    directory: KeyDirectory
    """Where the list of keys is, if there is one."""
    rebuilderd: RebuilderdWriter | None = None
    """Writes what rebuilderd's clients read; None: nothing is written for them."""
    specification: Callable[[Sha256], Specification | None] = lambda _: None
    """What a build environment was made from, by the digest of its tree; None: that is not known here."""
    _agreed: dict[bytes, Beyond] = field(default_factory=dict, init=False)
    """By the digests of rows that were compared with their statements and are the same: what these say beyond."""
    _noted: set[str] = field(default_factory=set, init=False)
    """Environments and build dependencies that the ledger has by name, as far as this process knows."""
    _fresh: list[Summary] = field(default_factory=list, init=False)
    """What was published since the index was written; each is what was signed."""

    @cached_property
    def keys(self) -> PublishedKeys:
        """The list of keys, as it is published."""
        return PublishedKeys(self.directory, self.ledger.log_book, self.site)

    def key_condition(self, now: datetime) -> tuple[str | None, datetime | None]:
        """Why a key of ours may not sign at this time, and when the list of keys expires; None: no reason, no list.

        Raises:
            SigningError: the list cannot be read.
        """
        if (listed := self.directory.newest()) is None:
            return None, None
        try:
            for key, use in ((self.signer, Use.STATEMENTS), (self.log.key, Use.CHECKPOINTS)):
                listed.judge(key.key_id, now, use)
        except KeyListError as error:
            return str(error), listed.expires
        return None, listed.expires

    def finish(self, number: int, report: Report) -> SignedReport:
        """Sign the report of a verification and keep it; a regression is an alarm, and the report says so.

        Raises:
            SigningError: the key cannot be used, or the report contradicts itself.
            StoreError: the published or the rebuilt bytes are not what they were, or the ledger cannot be written.
            ValueError: the verdict is not one that is published.
        """
        artifact = report.artifact
        history = self.ledger.history(artifact.ecosystem, artifact.name)
        alarm = regression(report, history, conventions(artifact.ecosystem))
        if alarm is not None:
            report = report.replace(alarms=(*report.alarms, alarm))
        signed = self.sign(report)
        if alarm is not None:
            self.ledger.alarm_book.raise_alarm(alarm, severity=severity(report.decision.verdict))
        self.ledger.finish(number, signed)
        return signed

    def sign(self, report: Report) -> SignedReport:
        """Make and sign the statements of a report.

        The digests a verdict rests on are checked once more against the stored bytes, just before; the SHA-512 of the
        published file is worked out from them.

        Raises:
            SigningError, StoreError, ValueError: see :meth:`finish`.
        """
        decision = report.decision
        attempt = report.attempts[decision.attempt] if decision.attempt is not None else None
        if report.compiled is not None and report.compiled.rebuilt is not None:
            self.blobs.path(report.artifact.sha256)
            self.blobs.path(report.compiled.rebuilt.sha256)
        if attempt is not None and attempt.rebuilt is not None:
            self.blobs.path(report.artifact.sha256)
            self.blobs.path(attempt.rebuilt.sha256)
            if attempt.finishing is not None and attempt.finishing.finished is not None:
                self.blobs.path(attempt.finishing.record_sha256)
                self.blobs.path(attempt.finishing.finished.sha256)
        report = report.replace(sboms=self._sboms(report))
        rebuild = provenance_statement(report, self.builder)
        provenance = sign_statement(rebuild, self.signer) if rebuild is not None else None
        stored = report_document(report)
        sha512 = sha512_of(self.blobs, report.artifact.sha256)
        verdict = verdict_statement(report, self.builder, provenance, stored, sha512=sha512)
        return SignedReport(
            report=report,
            vsa=sign_statement(verdict, self.signer),
            provenance=provenance,
            key_id=self.signer.key_id,
            stored=stored,
        )

    def _sboms(self, report: Report) -> tuple[Sbom, ...]:
        """Store what the rebuilt file, and the environments of the report, were made with; equal ones are one blob."""
        documents: dict[str, bytes] = {}
        found: list[Sbom] = []
        for each in report.toolchains:
            tree = Sha256(each.sha256)
            if (specification := self.specification(tree)) is not None:
                documents[tree] = document = environment_sbom(tree, each.name, specification)
                found.append(Sbom(about=tree, sha256=self.blobs.put(document), environment=each.name))
        own = artifact_sbom(report, documents)
        if report.rebuild is not None and own is not None:
            found.insert(0, Sbom(about=report.rebuild.rebuilt.sha256, sha256=self.blobs.put(own)))
        return tuple(found)

    def _note_components(self, report: Report) -> None:
        """Let the ledger find by name what the builds of a report were made with; once for each thing."""
        found: set[Component] = set()
        for definition in (each.hypothesis.definition for each in report.attempts):
            for purl, each in build_dependencies(definition).items():
                found.add(Component(purl, each.sha256, each.sha256))
        for summary in report.toolchains:
            tree = Sha256(summary.sha256)
            if tree not in self._noted and (specification := self.specification(tree)) is not None:
                packages = packages_of(specification)
                found |= {Component(release_key(purl), each.sha256, tree) for purl, each in packages.items()}
                self._noted.add(tree)
        fresh = [each for each in found if f"{each.purl} {each.sha256} {each.reached}" not in self._noted]
        if fresh:
            self.ledger.component_book.note(sorted(fresh))
            self._noted.update(f"{each.purl} {each.sha256} {each.reached}" for each in fresh)

    def publish(self, number: int, signed: SignedReport) -> str:
        """Write the page of one signed report; give its path below the site's root. The index is written apart.

        Raises:
            CorruptError: the report is not the one that was signed. It is an alarm, and will not be tried again.
        """
        try:
            path = self.write_page(signed)
        except CorruptError as error:
            self._alarm(signed.report.artifact.purl, signed.report.artifact.filename, error)
            self.ledger.published(number, self.clock.now())
            raise
        if any(each.kind is AlarmKind.DIGEST_CHANGED for each in signed.report.alarms):
            self.write_pages_of(signed.report.artifact.purl)  # what was published before says that it was replaced
        self.ledger.published(number, self.clock.now())
        self._fresh.append(listed(signed.report))
        return path

    def write_pages_of(self, purl: str) -> None:
        """Write the pages of all files of a release again: what is known about them has changed.

        Raises:
            StoreError: the ledger or the site cannot be used.
        """
        self._write_pages(self.ledger.latest(purl=purl))

    def _write_pages(self, summaries: Iterable[Summary]) -> tuple[int, list[CorruptError]]:
        """Write the pages of reports that are what was signed; give their number, and what is wrong with the others."""
        done = _Done()
        for found in by_processes(self._write_some, sorted(summaries, key=_project)):
            self._agreed.update(found.agreed)
            self.site.written.keep(found.notes)
            done.written += found.written
            done.refused += found.refused
        return done.written, done.refused

    def _write_some(self, some: Sequence[Summary]) -> _Done:
        """Write some hundred pages, as far as they are not what they are to be."""
        done, before = _Done(), len(self._agreed)
        around = self._around({_project(each) for each in some}, {each.purl for each in some})
        reports, doubted = self.ledger.signed_reports(some), self.keys.doubted()
        for row in some:
            try:
                if (kept := reports.get(row.identity)) is not None:
                    made_of = self._made_of(kept.parts, around(row), doubted.get(row.identity))
                    if not self.site.has(row, made_of):
                        self._write_page(kept.read(), around(row), made_of)
                    done.written += 1
            except CorruptError as error:
                self._alarm(row.purl, row.filename, error)
                done.refused.append(error)
        done.agreed = dict(islice(self._agreed.items(), before, None))
        done.notes = self.site.written.give()
        return done

    def _made_of(self, signed: Sequence[str | bytes | None], around: _Around, doubt: str | None) -> str:
        """Names all that a page is made of: all that is kept of its report, and what it shows besides."""
        return digest(repr(sorted(self.agreement.keys.items())), *signed, around.said, doubt)

    def _around(self, projects: Collection[tuple[str, str]], purls: Collection[str]) -> Callable[[Summary], _Around]:
        """What pages of these projects and releases show besides reports, by file."""
        histories, alarms = (
            defaultdict[tuple[str, str], list[Summary]](list),
            defaultdict[str, list[RecordedAlarm]](list),
        )
        for row in self.told(self.ledger.histories(projects)):
            histories[_project(row)].append(row)
        for each in self.ledger.alarm_book.about(*purls):
            # A foreign file of its name on some disk says nothing about a published file.
            if each.alarm.kind not in _FOREIGN:
                alarms[each.alarm.purl].append(each)
        said = {project: digest(*(each.model_dump_json() for each in rows)) for project, rows in histories.items()}

        def around(row: Summary) -> _Around:
            about = alarms[row.purl]
            told = digest(said.get(_project(row)), *(each.model_dump_json() for each in about))
            return _Around(histories[_project(row)], about, told)

        return around

    def finish_all(self) -> int:
        """Sign and publish what was examined and left by processes that are no more; give how many there were."""
        finished = 0
        while waiting := self.ledger.unsigned(limit=20):
            for number, report in waiting:
                with contextlib.suppress(EndedError):  # somebody else has signed it meanwhile
                    self.finish(number, report)
        while waiting_pages := self.ledger.unpublished(limit=20):
            for number, signed in waiting_pages:
                with contextlib.suppress(CorruptError):  # an alarm by now
                    self.publish(number, signed)
                    finished += 1
        return finished

    def issue(self, statement: dict[str, Any]) -> str:
        """Sign and log a statement that is of no verification; give its envelope.

        Raises:
            SigningError, StoreError: it cannot be signed or kept.
        """
        envelope = sign_statement(statement, self.signer)
        self.log.book.issue(self.signer.key_id, envelope)
        self.update_index()
        return envelope

    def publish_all(self, *, anew: bool = False) -> int:
        """Write the whole site from what is stored; give the number of artifact pages.

        What was written of the same, and nobody touched since, is left as it is; with ``anew`` everything is made and
        checked again.

        Raises:
            CorruptError: some of it is not what was signed. All the rest is written, and each such file is an alarm.
        """
        with contextlib.suppress(KeyNotGoodError):  # what waits for the next key keeps nothing else back
            self.finish_all()
        if not anew:
            self.site.written.recall()
        incidents = self._write_incidents()  # first: pages lead to them
        written, refused = self._write_pages(self.ledger.latest())
        refused += incidents
        refused += self.write_index(whole=True)
        if refused:
            said = list(dict.fromkeys(map(str, refused)))
            others = f" (and {len(said) - 1} more)" if len(said) > 1 else ""
            raise CorruptStoreError(f"{said[0]}{others}", hint=refused[0].hint)
        return written

    def _write_incidents(self) -> list[CorruptError]:
        """Write the pages of incidents again; give what is wrong with statements that are not what was logged."""
        refused, good = list[CorruptError](), list[str]()
        for key_id, envelope, entry in self.ledger.log_book.issued():
            try:
                if INCIDENT_TYPE.encode() in entry and self.agreement.counts(envelope, key_id, entry):
                    good.append(envelope)
            except CorruptError as error:
                self._alarm("", "", error)
                refused.append(error)
        self.site.write_incidents(good)
        return refused

    def publish_incident(self, statement: dict[str, Any], concerned: Iterable[str]) -> str:
        """Sign, log and publish what is known of an incident, on pages of ``concerned`` releases, too; give its path.

        Raises:
            CorruptError: statements of before are not what was logged; all the rest is published.
            SigningError, StoreError: it cannot be signed, kept or written.
        """
        envelope = self.issue(statement)
        refused = self._write_incidents()
        for purl in concerned:
            self.write_pages_of(purl)
        refused += self.write_index()
        if refused:
            raise refused[0]
        return f"{incident_path(envelope)}/index.html"

    def _alarm(self, purl: str, filename: str, error: CorruptError) -> None:
        kind, now = AlarmKind.STORE_CORRUPT, self.clock.now()
        self.ledger.raise_alarm(Alarm(kind=kind, purl=purl, filename=filename, sentence=str(error), raised=now))

    def agreeing(self, rows: Iterable[Summary]) -> list[Summary]:
        """Those rows of the ledger that say what was signed; each of the others is an alarm."""
        return self._signed_rows(rows)[0]

    def told(self, rows: Iterable[Summary]) -> list[Summary]:
        """The same as they are told to others: one that nobody should believe says why."""
        return self.keys.marked(self.agreeing(rows))

    def _signed_rows(self, rows: Iterable[Summary]) -> tuple[list[Summary], list[CorruptError]]:
        """Those rows that say what was signed, and what is wrong with the others; each of these is an alarm."""
        kept, refused, all_rows = list[Summary](), list[CorruptError](), list(rows)
        for start in range(0, len(all_rows), _ROWS_AT_ONCE):
            some = all_rows[start : start + _ROWS_AT_ONCE]
            names = [(row, sha256(row.model_dump_json().encode()).digest()) for row in some]
            envelopes = self.ledger.envelopes(row for row, name in names if name not in self._agreed)
            for row, name in names:
                try:
                    if name not in self._agreed:
                        self._agreed[name] = self._compared(name, row, envelopes.get(row.identity))
                    kept.append(row.replace(**self._agreed[name]._asdict()))
                except CorruptError as error:
                    self._alarm(row.purl, row.filename, error)
                    refused.append(error)
        return kept, refused

    def _compared(self, name: bytes, row: Summary, envelope: tuple[str, str] | None) -> Beyond:
        if envelope is None:
            raise CorruptStoreError(f"The ledger has a verdict on {row.filename} that was never signed.")
        key = self.agreement.keys.get(envelope[1])
        if (said := self.site.written.noted(which := digest(program(), name, *envelope, key))) is not None:
            return Beyond(*json.loads(said))
        beyond = self.agreement.check_summary(row, *envelope)
        self.site.written.note(which, json.dumps(beyond))
        return beyond

    def _log(self, *, whole: bool) -> list[CorruptError]:
        try:
            refused = self.log.write(whole=whole)
        except CorruptError as error:
            refused = [error]
        except KeyNotGoodError as error:  # pages and the list of keys are published all the same
            refused = [CorruptStoreError(str(error), hint=error.hint)]
        for each in refused:
            self._alarm("", "", each)
        return refused

    def _links(self, rows: Sequence[Summary], *, whole: bool = False, changed: bool = False) -> list[CorruptError]:
        try:
            return self.rebuilderd.write(rows, whole=whole, changed=changed) if self.rebuilderd is not None else []
        except KeyNotGoodError as error:
            return [CorruptStoreError(str(error), hint=error.hint)]

    def write_index(self, *, whole: bool = False) -> list[CorruptError]:
        """Log what was signed; write the index, the alarms and what every page refers to, as of the newest thing told.

        Args:
            whole: Write the files of the log again that are published already.

        Returns:
            What is wrong with rows that do not say what was signed; they are left out. Also what is wrong with the log:
            then nothing is added to it.
        """
        with self.site.listed():  # what another process lists after the rows are read would be taken out again
            return self._write_index(whole=whole)

    def _write_index(self, *, whole: bool) -> list[CorruptError]:
        trust = self.keys.trust  # of a key that is revoked from now on, the next update finds that it is not in it
        self.keys.publish()
        summaries, refused = self._signed_rows(self.ledger.latest())
        refused += self._log(whole=whole)
        summaries = self.keys.marked(summaries)
        refused += self._links(summaries, whole=whole)
        alarms = self._alarms()
        now = self.clock.now()
        told = [each.finished for each in summaries] + [each.last_seen for each in alarms]
        untested = self.ledger.statistics.untested()
        days = self.ledger.statistics.by_day()
        when = max(told, default=now)
        self.site.write_index(summaries, alarms, when, untested=untested, trust=trust, days=days)
        self._fresh.clear()
        return refused

    def update_index(self) -> None:
        """As :meth:`write_index`, for what was published since the index was written: only what changed is looked at.

        What is listed already stays as it was signed, whatever the ledger says by now; :meth:`write_index` compares
        all of it again.

        Raises:
            StoreError: the ledger or the site cannot be used; what was published is listed the next time.
        """
        with self.site.listed():
            self._update_index()

    def _update_index(self) -> None:
        self.keys.publish()
        self._log(whole=False)
        fresh = list({artifact_key(each): each for each in self.keys.marked(self._fresh)}.values())
        standing = {each.identity for each in self.ledger.standing(purls=sorted({each.purl for each in fresh}))}
        if any(each.identity not in standing for each in fresh):  # two processes verified the same file at once
            self.write_index()
            return
        self._links(fresh, changed=True)  # first: only the pages say that they are not finished
        alarms = self._alarms()
        updated = self.site.update_index(
            fresh,
            self.agreeing(self.ledger.standing(purls=sorted({each.alarm.purl for each in alarms} - {""}))),
            alarms,
            max((each.last_seen for each in alarms), default=datetime.min.replace(tzinfo=UTC)),
            untested=self.ledger.statistics.untested(),
            trust=self.keys.trust,
        )
        if not updated:
            self.write_index()
        self._fresh.clear()

    def _alarms(self) -> list[RecordedAlarm]:
        book = self.ledger.alarm_book
        return [*book.open(), *book.closed(_CLOSED_ALARMS)]

    def write_page(self, signed: SignedReport) -> str:
        """Write the page of one report; give its path below the site's root.

        Raises:
            CorruptError: the report is not the one that was signed.
        """
        this = summarise(signed.report)
        around = self._around({_project(this)}, {this.purl})(this)
        parts = (signed.report_bytes, signed.vsa, signed.provenance, signed.key_id)
        path = self._write_page(signed, around, self._made_of(parts, around, self.keys.doubted().get(this.identity)))
        self.site.written.keep()
        return path

    def _write_page(self, signed: SignedReport, around: _Around, made_of: str) -> str:
        self.agreement.check_report(signed)
        self._note_components(signed.report)
        artifact = signed.report.artifact
        if signed.key_id != self.signer.key_id:
            self.site.write_key(signed.key_id, self.agreement.keys[signed.key_id])
        doubt = self.keys.doubted().get(summarise(signed.report).identity)
        self.site.write_artifact(signed, around.history, around.alarms, doubt=doubt, made_of=made_of)
        return page_path(artifact.ecosystem, artifact.name, artifact.version, artifact.filename, artifact.sha256)


def _project(summary: Summary) -> tuple[str, str]:
    return summary.ecosystem, summary.name
