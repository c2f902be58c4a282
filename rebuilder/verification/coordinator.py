"""One verification, start to end: the one flow of the command line and of the service.

Each stage stands once, in this order; docs/design.md ("One way through") has the picture, and docs/adr/0021 says why.

1. *Pin* (:meth:`Coordinator.begin`): the digest of the published file is remembered for ever; other bytes under a known
   name are an alarm. The verification is begun in the journal, or one whose process went away is taken up again.
2. *Evidence* comes from the ecosystem (:meth:`rebuilder.ecosystems.protocol.Ecosystem.evidence`).
3. *Attestations* are checked, offline (docs/adr/0009-upstream-attestations.md).
4. *Steps* from something published, then from the commit (docs/adr/0011-trail.md). For each, until nothing is next:
   *hypothesis* (:meth:`rebuilder.ecosystems.protocol.Ecosystem.next`, from recorded attempts alone) → *definition* →
   *run* (:class:`rebuilder.sandbox.protocol.Runner`: all that travels) → *comparison*
   (:class:`rebuilder.verification.attempts.AttemptRunner`). Each attempt is recorded as soon as it is made.
5. *Accounting* for each member of what is not rebuilt as a whole
   (:meth:`rebuilder.ecosystems.protocol.Ecosystem.account`; docs/accounting.md).
6. *Verdict* (:func:`rebuilder.model.decision.decide`), causes and alarms: the unsigned :class:`Report`.
7. *Signature* and *publication* by whoever has the key (:class:`rebuilder.verification.signer.Signer`;
   docs/adr/0014-examining-without-keys.md): at once on the command line, in a process of its own in the service.

A worker process of the service does 1 to 6 for an order from the queue and holds no key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from rebuilder import __version__
from rebuilder.diagnose.case import DiagnosisInput
from rebuilder.errors import BuildEnvironmentError, RebuilderError
from rebuilder.model.alarm import Alarm
from rebuilder.model.artifact import Artifact, Subject
from rebuilder.model.attempt import Attempt, History, NotTried, Run
from rebuilder.model.decision import WITHOUT_REBUILD, decide, towards
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.evidence import Evidence
from rebuilder.model.graph import with_steps
from rebuilder.model.report import Report, SignedReport, Stage
from rebuilder.model.verdict import Kind, Verdict
from rebuilder.model.work import Check, Order, Reason, Tier
from rebuilder.store.blobs import sha512_of
from rebuilder.verification.attempts import AttemptRunner
from rebuilder.verification.findings import (
    accounted,
    alarms_about,
    carried_along,
    changed_bytes,
    diagnosed,
    environments_of,
    foreign_bytes,
    nor_from_commit,
    raise_alarms,
    vary,
    with_accounting,
    with_causes,
    with_settled,
    withheld,
)
from rebuilder.verification.parts import Journal, Parts
from rebuilder.verification.recheck import can_be_repeated, reexamine, with_fresh_environments
from rebuilder.verification.signer import Signer

_LATELY = timedelta(days=1)
"""How old a run may be that stands for one of the same definition, or that an unfinished verification goes on from."""
_SHARED = {Reason.RELEASE, Reason.REGRESSION, Reason.RETRY}
"""Reasons that do not ask for a build of their own when the same definition was built lately."""


@dataclass(frozen=True)
class Verification:
    """One that was begun."""

    evidence: Evidence
    number: int
    """In the journal."""
    started: datetime
    alarms: tuple[Alarm, ...]
    """Those that are known about the artifact already."""
    history: History
    """What a process before this one had tried in it."""
    order: Order | None
    """Of the queue; None: it was asked for directly."""
    tier: Tier
    asked: datetime
    """When it was asked for."""

    def share_since(self, definition: BuildDefinition) -> datetime | None:
        """A definition that was run to its end after this moment is not run again; None: it is.

        One with several targets is run once for all that were asked for together.
        """
        order = self.order
        if order is not None and order.check is not Check.VERIFY:
            return None
        if order is not None and order.reason in _SHARED:
            return self.started - _LATELY
        return self.asked if len(definition.targets) > 1 else None


@dataclass(frozen=True)
class Verified:
    """What one artifact came to: a signed report, or the reason on our side why there is none."""

    artifact: Artifact
    signed: SignedReport | None = None
    page: str | None = None
    """Path of the page below the site's root."""
    fault: RebuilderError | None = None
    foreign_file: Alarm | None = None
    """Set when a file on disk was asked about and its bytes were never published: nothing was rebuilt then."""
    seconds: Mapping[Stage, float] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict | None:
        """The verdict; None for a foreign file, about which there is nothing to say."""
        if self.foreign_file is not None:
            return None
        return self.signed.report.decision.verdict if self.signed else Verdict.INFRA_ERROR


@dataclass(frozen=True)
class Coordinator:
    """Plans, asks for runs, compares, decides; see the module for the stages."""

    parts: Parts

    def verify(
        self, subject: Subject, signer: Signer, *, tier: Tier = Tier.FULL, asked: datetime | None = None
    ) -> Iterator[Verified]:
        """Verify every artifact of a subject, one after the other; each is stored and published as it is done.

        Args:
            subject: What to verify.
            signer: What to sign and publish with.
            tier: How thoroughly.
            asked: When this and others were asked for together; None: now.

        Raises:
            UsageError: the subject does not exist.
            RebuilderError: the registry or the store failed before any artifact was known.
        """
        watch, asked = self.parts.stopwatch, asked or self.parts.clock.now()
        for evidence in self.evidence(subject):
            if (alarm := self._another(subject, evidence.artifact)) is not None:
                yield self._foreign(evidence.artifact, alarm, signer)
            else:
                verification = self.begin(evidence, tier=tier, asked=asked)
                asked = min(asked, verification.started)  # of one that is gone on with, as are those of its files
                yield self._verified(verification, signer)
            watch.begin(subject.asked)

    def evidence(self, subject: Subject) -> list[Evidence]:
        """Collect what is published.

        Raises:
            UsageError: the subject does not exist.
            UnavailableError: the registry does not answer.
        """
        watch = self.parts.stopwatch
        watch.begin(subject.asked)
        watch.stage(Stage.FETCH, subject.asked)
        return self.parts.ecosystems[subject.ecosystem].evidence(subject)

    def begin(
        self,
        evidence: Evidence,
        *,
        order: Order | None = None,
        tier: Tier = Tier.FULL,
        asked: datetime | None = None,
    ) -> Verification:
        """Pin the artifact and begin its verification, or go on with one whose process went away.

        Args:
            evidence: Of one artifact.
            order: The order of the queue that asks for it, if one does.
            tier: How thoroughly; an order says so itself.
            asked: When it was asked for; None: now.

        Raises:
            StoreError: the journal cannot be written.
        """
        now, journal = self.parts.clock.now(), self.parts.journal
        alarms = self._pinned(evidence.artifact, now)
        number, started, history = self._resumed(evidence, now, order) or (
            journal.begin(evidence.artifact, now, order),
            now,
            History(),
        )
        tier = tier if order is None else order.tier
        return Verification(evidence, number, started, alarms, history, order, tier, asked or now)

    def examine(self, verification: Verification, before: SignedReport | None = None) -> Report:
        """Try what the evidence suggests, or what confirmed the artifact before, and decide; nothing is signed.

        Args:
            verification: What was begun.
            before: The newest report on the artifact, for orders that ask to check it.

        Raises:
            RebuilderError: something on our side failed; it says nothing about the artifact.
        """
        check = verification.order.check if verification.order is not None else Check.VERIFY
        if before is not None and check is Check.INPUTS and can_be_repeated(before.report, self.parts.environments):
            tried = self._attempts(verification, before.report.evidence)
            return reexamine(self.parts, before, tried, verification.started)
        if before is not None and check is Check.ENVIRONMENT:
            with_fresh_environments(self.parts, before.report)
        return self._examined(verification)

    def _verified(self, verification: Verification, signer: Signer) -> Verified:
        parts, artifact, tier = self.parts, verification.evidence.artifact, verification.tier
        number = verification.number
        try:
            report = self.examine(verification)
            if proves_nothing(tier, report):  # goes on from what was tried
                tried = parts.journal.recorded(number)
                report = self.examine(replace(verification, tier=Tier.FULL, history=tried))
            parts.journal.examined(number, report)
            parts.stopwatch.stage(Stage.SIGN)
            signed = signer.finish(number, report)
            parts.stopwatch.stage(Stage.PUBLISH)
            page = signer.publish(number, signed)
            signer.update_index()
        except RebuilderError as fault:
            parts.journal.fail(number, str(fault), parts.clock.now())
            return Verified(artifact, fault=fault, seconds=parts.stopwatch.end())
        return Verified(artifact, signed=signed, page=page, seconds=parts.stopwatch.end())

    def _another(self, subject: Subject, artifact: Artifact) -> Alarm | None:
        """The alarm where the file that is asked about is another than the one that is published under its name."""
        if subject.local_sha256 is None and subject.local_sha512 is None:
            return None
        published = sha512_of(self.parts.blobs, artifact.sha256) if subject.local_sha512 is not None else None
        return foreign_bytes(artifact, subject, published, self.parts.clock.now())

    def _foreign(self, artifact: Artifact, alarm: Alarm, signer: Signer) -> Verified:
        self._pinned(artifact, alarm.raised)
        self.parts.journal.raise_alarm(alarm)
        self.parts.stopwatch.stage(Stage.PUBLISH)
        signer.update_index()
        return Verified(artifact, foreign_file=alarm, seconds=self.parts.stopwatch.end())

    def _pinned(self, artifact: Artifact, now: datetime) -> tuple[Alarm, ...]:
        """Remember the digest a file has; other bytes under a known name are an alarm that stays."""
        journal = self.parts.journal
        for digest in journal.pin(artifact, now).earlier:
            journal.raise_alarm(changed_bytes(artifact, digest, now))
        return tuple(each for each in alarms_about(journal, artifact) if each.filename == artifact.filename)

    def _resumed(self, evidence: Evidence, now: datetime, order: Order | None) -> tuple[int, datetime, History] | None:
        """A verification that another process left unfinished, if all that its attempts rest on is as it was."""
        journal = self.parts.journal
        found = journal.resume(evidence.artifact, now - _LATELY, order)
        if found is None:
            return None
        number, started = found
        history, published = journal.recorded(number), evidence.targets
        for attempt in history.attempts:
            comparison = attempt.comparison
            expected = published.get(attempt.hypothesis.target)
            if expected is None or (comparison is not None and comparison.published_sha256 != expected):
                break
            if not self._kept(attempt.run) or not self._can_be_run(attempt.hypothesis.definition):
                break
        else:
            return number, started, history
        journal.fail(number, "What it had tried is not there any more; it is begun anew.", now)
        return None

    def _kept(self, run: Run) -> bool:
        """Whether all that a run left is still here."""
        return all(self.parts.blobs.has(each) for each in (run.log_sha256, *(made.sha256 for made in run.outputs)))

    def _can_be_run(self, definition: BuildDefinition) -> bool:
        """Whether all that it names is still here: environments are described, and a build that differs is repeated."""
        try:
            self.parts.environments.by_digest(definition.toolchain.sha256)
        except BuildEnvironmentError:
            return False
        return all(self.parts.blobs.has(each.sha256) for each in definition.inputs)

    def _attempts(self, verification: Verification, evidence: Evidence) -> AttemptRunner:
        parts = self.parts
        return AttemptRunner(
            evidence.targets,
            run=parts.run,
            comparer=parts.comparer,
            diffoscope=parts.diffoscope,
            stopwatch=parts.stopwatch,
            record=partial(_record, parts.journal, verification.number),
            history=verification.history,
            earlier=partial(self._earlier, verification),
            finish=parts.finisher.finished,
        )

    def _earlier(self, verification: Verification, definition: BuildDefinition) -> Run | None:
        """A run of the same definition that stands for one of its own, if all that it left is still here."""
        if verification.order is not None and verification.order.double_runs:
            return None  # whether a second runner made that one is not known
        since = verification.share_since(definition)
        run = self.parts.journal.earlier_run(definition.digest, since) if since is not None else None
        return run if run is not None and self._kept(run) else None

    def _examined(self, verification: Verification) -> Report:
        """Try the steps from what is published, then those from the commit; look closer at what differs."""
        parts, evidence, tier = self.parts, verification.evidence, verification.tier
        ecosystem, filename = parts.ecosystems[evidence.artifact.ecosystem], evidence.artifact.filename
        limits = verification.order.limits if verification.order is not None else None
        limits = limits or parts.limits
        signed = parts.steps.signed(evidence)
        tried = self._attempts(verification, evidence)
        obstacle = evidence.obstacle
        if obstacle is None:
            most = 1 if tier is Tier.QUICK else None
            obstacle = parts.steps.from_published(ecosystem, evidence, tried, limits, most=most)
        trail = away = None
        # A file with nothing published to rebuild it from was read all the same if a commit may give it.
        if tier is Tier.FULL and (evidence.obstacle is None or evidence.artifact_inspection is not None):
            trail, away = parts.steps.from_commit(ecosystem, evidence, signed, tried, limits)
            obstacle = nor_from_commit(obstacle, trail, alone=ecosystem.from_commit_alone, away=away)
        decision = decide(tried.attempts, obstacle, towards(tried.attempts, filename))
        if (waiting := withheld(decision, obstacle, away, tried.attempts)) is not None:
            obstacle = parts.unavailable_inputs.settled(evidence.artifact, waiting)
            evidence = with_settled(evidence, obstacle)
            decision = decide(tried.attempts, obstacle, towards(tried.attempts, filename))
        elif tier is Tier.FULL:
            parts.unavailable_inputs.forget(evidence.artifact)
            evidence = with_settled(evidence, None)
        accounting = None
        if decision.verdict in WITHOUT_REBUILD:
            accounting = accounted(parts, evidence, tried.attempts)
            decision = decide(tried.attempts, obstacle, towards(tried.attempts, filename), accounting)
            trail = trail and with_accounting(trail, decision, accounting)
        if tried.attempts:
            ecosystem.learn(evidence, tried.attempts)
        if tier is not Tier.QUICK and decision.verdict is Verdict.DIFFERS and decision.attempt is not None:
            tried.look_closer(decision.attempt)
            decision = decide(tried.attempts, obstacle, towards(tried.attempts, filename), accounting)
        variation = diagnosis = None
        if tier is Tier.FULL and decision.kind is Kind.UNSTABLE and decision.attempt is not None:
            with tried.experiments.trying("Builds with one thing changed at a time could not be made"):
                variation = vary(parts, tried.attempts[decision.attempt], evidence)
        decision = with_steps(decision, trail)
        with tried.experiments.trying("The causes could not be looked for"):
            if accounting is None or not accounting.compared:
                diagnosis = diagnosed(
                    parts, DiagnosisInput(evidence, tried.attempts, decision, trail, variation=variation)
                )
            trail = trail and with_causes(parts, evidence, tried.attempts, trail, decision)
        carried = carried_along(parts, evidence.artifact, tried.attempts, decision)
        alarms = raise_alarms(
            parts.journal,
            evidence,
            signed.artifact,
            trail,
            carried,
            accounting=accounting,
            now=verification.started,
        )
        if not carried.whole:
            note = "The inputs of the build were not looked through to their end for the published file itself."
            evidence = evidence.replace(notes=(*evidence.notes, note))
        if carried.note is not None:
            evidence = evidence.replace(notes=(*evidence.notes, carried.note))
        return Report(
            artifact=evidence.artifact,
            evidence=evidence,
            attempts=tried.attempts,
            decision=decision,
            provenance=signed.artifact,
            trail=trail,
            accounting=accounting,
            diagnosis=diagnosis,
            variation=variation,
            remarks=tried.experiments.remarks,
            toolchains=environments_of(parts, tried.attempts, accounting),
            alarms=verification.alarms + alarms,
            seconds=parts.stopwatch.seconds,
            transferred=parts.stopwatch.transferred,
            started=verification.started,
            finished=parts.clock.now(),
            rebuilder_version=__version__,
        )


def proves_nothing(tier: Tier, report: Report) -> bool:
    """Whether a full look is due before anything is said: a quick one tried something, and did not confirm it."""
    return tier is Tier.QUICK and bool(report.attempts) and not report.decision.verdict.confirms


def _record(journal: Journal, number: int, ordinal: int, tried: Attempt | NotTried) -> None:
    """Keep what was tried as soon as it is over."""
    if isinstance(tried, Attempt):
        journal.add_attempt(number, ordinal, tried)
    else:
        journal.add_not_tried(number, ordinal, tried)
