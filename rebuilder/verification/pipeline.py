"""Verify one artifact, start to end: examine it, sign what was found, publish it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from rebuilder.errors import RebuilderError
from rebuilder.model.alarm import Alarm
from rebuilder.model.artifact import Artifact, Subject
from rebuilder.model.report import SignedReport, Stage
from rebuilder.model.verdict import Verdict
from rebuilder.model.work import Tier
from rebuilder.verification.examination import Examined, Parts, examine
from rebuilder.verification.signer import Signer


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


def verify(parts: Parts, press: Signer, subject: Subject, *, tier: Tier = Tier.FULL) -> Iterator[Verified]:
    """Verify every artifact of a subject, one after the other; each is stored and published as it is done.

    Args:
        parts: What to examine with.
        press: What to sign and publish with.
        subject: What to verify.
        tier: How thoroughly.

    Raises:
        UsageError: the subject does not exist.
        RebuilderError: the registry or the store failed before any artifact was known.
    """
    for examined in examine(parts, subject, tier=tier):
        yield _published(parts, press, examined)


def _published(parts: Parts, press: Signer, examined: Examined) -> Verified:
    watch = parts.stopwatch
    watch.resume(examined.seconds)
    signed = page = None
    fault = examined.fault
    try:
        if examined.report is not None and examined.number is not None:
            watch.stage(Stage.SIGN)
            signed = press.finish(examined.number, examined.report)
            watch.stage(Stage.PUBLISH)
            page = press.publish(examined.number, signed)
            press.write_index()
        elif examined.foreign_file is not None:
            watch.stage(Stage.PUBLISH)
            press.write_index()
    except RebuilderError as error:
        signed, fault = None, error
        if examined.number is not None:
            parts.ledger.fail(examined.number, str(error), parts.clock.now())
    return Verified(
        examined.artifact,
        signed=signed,
        page=page,
        fault=fault,
        foreign_file=examined.foreign_file,
        seconds=watch.end(),
    )
