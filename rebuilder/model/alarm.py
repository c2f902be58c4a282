"""Alarms: what happened, how urgent it is, what is told about it, and to whom."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from rebuilder.model.value import Sha256, Sha256Field, Value, canonical_json, sha256_hex


class Severity(StrEnum):
    """How soon somebody has to look."""

    PAGE = "page"
    """Now: somebody is woken for it."""
    TICKET = "ticket"
    """During working hours."""


class AlarmKind(StrEnum):
    """What happened."""

    heading: str
    severity: Severity
    """What an alarm of this kind starts as."""
    about_us: bool
    """True when it tells of our own operation: it clears by itself once the condition has passed."""
    for_operators: bool
    """True when it tells of this machine and its surroundings; on a public site strangers do not see what."""

    def __new__(
        cls, value: str, heading: str = "", severity: Severity = Severity.TICKET, concerns: str = "published"
    ) -> Self:
        """``concerns``: who has to do something; ``published`` files are everybody's, else ``us`` or ``operators``."""
        member = str.__new__(cls, value)
        member._value_, member.heading, member.severity = value, heading, severity
        member.about_us, member.for_operators = concerns == "us", concerns != "published"
        return member

    DIGEST_CHANGED = "digest-changed", "Published bytes changed", Severity.PAGE
    """A file name we know now carries other bytes in the registry."""
    UNKNOWN_DIGEST = "unknown-digest", "A local file is not the published one"
    """A file on disk has a published name and bytes that were never published."""
    REGRESSION = "regression", "Confirmed before, and not any more", Severity.PAGE
    """Releases before were confirmed, this one is not; or this very file was confirmed before."""
    STORE_CORRUPT = "store-corrupt", "Our own store was damaged", Severity.PAGE, "operators"
    """A blob or a build environment of ours is not what it was."""
    ATTESTATION_INVALID = "attestation-invalid", "An attestation does not hold", Severity.PAGE
    """Upstream published an attestation that does not hold."""
    ATTESTATION_VANISHED = "attestation-vanished", "Earlier releases were attested, this one is not"
    """Earlier releases of the project were attested, this one is not."""
    PUBLISHER_CHANGED = "publisher-changed", "Another publisher or repository than before", Severity.PAGE
    """Another publisher or repository than the one remembered."""
    EXPECTATION_BROKEN = "expectation-broken", "Not what the settings expect of the publisher", Severity.PAGE
    """The publisher is not the one the settings expect, or there is no attestation though one is expected."""
    TAG_MOVED = "tag-moved", "A tag leads elsewhere"
    """A tag that named the attested commit names another one now, or none; or the tag of a release leads to a commit
    that has less of it than another."""
    CONTRADICTORY = "contradictory", "Readers disagree about what this file holds", Severity.PAGE
    """Readers make different things of a published file: what one sees is not what another installs."""
    UNACCOUNTED = "unaccounted", "Something in this file is executed and not in its source", Severity.PAGE
    """A file that is not rebuilt as a whole holds something executed that nothing in its source accounts for."""
    STEPS_DISAGREE = "steps-disagree", "One step of the trail passes, and another differs"
    """One step of the trail confirms what was published, and another does not come out."""
    COPY_IN_SOURCE = "copy-in-source", "The source holds the file that is built from it"
    """The source, or another input of the build, holds the published file itself: a build can copy it."""
    RUNNER_REFUSED = "runner-refused", "The answer of a runner does not count", Severity.PAGE, "operators"
    """What a runner of the fleet answered is not what it was asked for, or not signed by it."""
    RUNNERS_DISAGREE = "runners-disagree", "Two runners built different files", Severity.PAGE, "operators"
    """Two runners gave different results for one build definition."""
    REPLAY_LOST = "replay-lost", "A report gives the same bytes no more", Severity.TICKET, "operators"
    """A published report that gave the same bytes when it was run again does so no more."""
    GIVEN_UP = "given-up", "Tried again and again in vain", Severity.TICKET, "operators"
    """We could not try an artifact, again and again, for reasons on our side."""
    FAILURE_RATE = "failure-rate", "Too many of our attempts fail", Severity.TICKET, "us"
    """More of our own attempts fail than the error budget allows."""
    QUEUE_AGE = "queue-age", "Work waits too long", Severity.TICKET, "us"
    """Work waits longer than it should."""
    DISK = "disk", "The store is nearly full", Severity.PAGE, "us"
    """The disk of the store is nearly full; no new work is begun."""
    KEY_EXPIRY = "key-expiry", "The signing key is due to be replaced", Severity.TICKET, "us"
    """The signing key is due to be replaced."""
    INDEX_UNREACHABLE = "index-unreachable", "A registry does not answer", Severity.TICKET, "us"
    """A registry has not answered for a while."""
    SCHEDULE_BROKEN = "schedule-broken", "A schedule file cannot be used", Severity.TICKET, "us"
    """A schedule file cannot be used; the last good one still is."""
    WATCH_OVERDUE = "watch-overdue", "A watch was not checked when it should have been", Severity.TICKET, "us"
    """A watch or a recheck should have looked by now, and nothing has."""
    PROJECT_MISSING = "project-missing", "A watched project does not exist", Severity.TICKET, "us"
    """A watched project is not in its registry: it was misspelt, renamed or removed."""


class Alarm(Value):
    """One alarm; it stays visible until somebody acknowledges it or its cause has passed."""

    kind: AlarmKind
    purl: str = ""
    """The release it is about; empty when it is about our own operation."""
    filename: str = ""
    """The file it is about; empty when it is about more than one, or about our own operation."""
    sentence: str
    raised: datetime
    cause: str = ""
    """What alarms that belong together have in common, such as ``index-unreachable:pypi``; empty: kind and purl."""
    known_sha256: Sha256Field | None = None
    """Of the bytes that are known under this name, where the alarm is about other ones."""
    found_sha256: Sha256Field | None = None
    """Of those other ones."""

    @property
    def key(self) -> Sha256:
        """The same for the same alarm raised again; its time does not count, nor a sentence about our operation.

        Figures in such a sentence change from minute to minute; the condition is still the same one.
        """
        sentence = "" if self.kind.about_us else self.sentence
        parts = [self.kind.value, self.purl, self.filename, sentence]
        return sha256_hex(canonical_json([*parts, self.cause] if self.cause else parts))

    @property
    def group(self) -> str:
        """What this alarm is grouped by."""
        return self.cause or ":".join(filter(None, (self.kind.value, self.purl)))


class RecordedAlarm(Value):
    """An alarm as the ledger keeps it."""

    number: int
    alarm: Alarm
    severity: Severity
    """As it is now: a burning error budget escalates."""
    count: int = 1
    """How often it was raised."""
    last_seen: datetime
    acknowledged: datetime | None = None
    acknowledged_by: str | None = None
    note: str | None = None
    """What the one who acknowledged it wrote."""
    cleared: datetime | None = None
    """When its condition had passed."""

    @property
    def open(self) -> bool:
        """Whether somebody still has to look."""
        return self.acknowledged is None and self.cleared is None

    @property
    def urgent(self) -> bool:
        """Whether somebody is woken for it."""
        return self.severity is Severity.PAGE


class Event(StrEnum):
    """What happened to an alarm."""

    RAISED = "raised"
    ESCALATED = "escalated"
    CLEARED = "cleared"


class Notice(Value):
    """One thing that one target is to be told about one alarm."""

    id: int
    target: str
    """Its name in the settings."""
    event: Event
    tries: int
    """How often it was tried, this time included."""
    recorded: RecordedAlarm


class Undelivered(Value):
    """What a target was not told about alarms that are still open."""

    target: str
    alarms: int
    given_up: bool
    """False while it is still tried."""
    trouble: str


class Message(Value):
    """What one target is told at once."""

    id: Sha256
    """The same when the same is sent again, so that a receiver can drop what it has."""
    sent: datetime
    severity: Severity
    """Of the most urgent of it."""
    over: bool
    """True when all of it has passed."""
    title: str
    text: str
    """Plain, a few lines."""
    content: dict[str, Any]
    """The same as plain JSON types."""
