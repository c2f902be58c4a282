"""Alarms: what happened, how urgent it is, what is told about it, and to whom."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from rebuilder.model.value import Sha256, Sha256Field, Value, canonical_json, sha256_hex


class Severity(StrEnum):
    """How soon somebody has to look."""

    PAGE = "page"
    """Now: somebody is woken for it."""
    TICKET = "ticket"
    """During working hours."""


class AlarmKind(StrEnum):
    """What happened."""

    DIGEST_CHANGED = "digest-changed"
    """A file name we know now carries other bytes in the registry."""
    UNKNOWN_DIGEST = "unknown-digest"
    """A file on disk has a published name and bytes that were never published."""
    REGRESSION = "regression"
    """Releases before were confirmed, this one is not; or this very file was confirmed before."""
    STORE_CORRUPT = "store-corrupt"
    """A blob or a build environment of ours is not what it was."""
    ATTESTATION_INVALID = "attestation-invalid"
    """Upstream published an attestation that does not hold."""
    ATTESTATION_VANISHED = "attestation-vanished"
    """Earlier releases of the project were attested, this one is not."""
    PUBLISHER_CHANGED = "publisher-changed"
    """Another publisher or repository than the one remembered."""
    EXPECTATION_BROKEN = "expectation-broken"
    """The publisher is not the one the settings expect, or there is no attestation though one is expected."""
    TAG_MOVED = "tag-moved"
    """A tag that named the attested commit names another one now, or none; or the tag of a release leads to a commit
    that has less of it than another."""
    CONTRADICTORY = "contradictory"
    """Readers make different things of a published file: what one sees is not what another installs."""
    UNACCOUNTED = "unaccounted"
    """A file that is not rebuilt as a whole holds something executed that nothing in its source accounts for."""
    STEPS_DISAGREE = "steps-disagree"
    """One step of the trail confirms what was published, and another does not come out."""
    COPY_IN_SOURCE = "copy-in-source"
    """The source, or another input of the build, holds the published file itself: a build can copy it."""
    RUNNER_REFUSED = "runner-refused"
    """What a runner of the fleet answered is not what it was asked for, or not signed by it."""
    RUNNERS_DISAGREE = "runners-disagree"
    """Two runners gave different results for one build definition."""
    REPLAY_LOST = "replay-lost"
    """A published report that gave the same bytes when it was run again does so no more."""
    GIVEN_UP = "given-up"
    """We could not try an artifact, again and again, for reasons on our side."""
    FAILURE_RATE = "failure-rate"
    """More of our own attempts fail than the error budget allows."""
    QUEUE_AGE = "queue-age"
    """Work waits longer than it should."""
    DISK = "disk"
    """The disk of the store is nearly full; no new work is begun."""
    KEY_EXPIRY = "key-expiry"
    """The signing key is due to be replaced."""
    INDEX_UNREACHABLE = "index-unreachable"
    """A registry has not answered for a while."""
    SCHEDULE_BROKEN = "schedule-broken"
    """A schedule file cannot be used; the last good one still is."""
    WATCH_OVERDUE = "watch-overdue"
    """A watch or a recheck should have looked by now, and nothing has."""
    PROJECT_MISSING = "project-missing"
    """A watched project is not in its registry: it was misspelt, renamed or removed."""

    @property
    def severity(self) -> Severity:
        """What an alarm of this kind starts as."""
        return Severity.PAGE if self in _PAGES else Severity.TICKET

    @property
    def about_us(self) -> bool:
        """True when it tells of our own operation: it clears by itself once the condition has passed."""
        return self in _OURS

    @property
    def for_operators(self) -> bool:
        """True when it tells of this machine and its surroundings; on a public site strangers do not see what."""
        return self in _OURS or self in _OPERATORS


_PAGES = {
    AlarmKind.DIGEST_CHANGED,
    AlarmKind.REGRESSION,
    AlarmKind.STORE_CORRUPT,
    AlarmKind.ATTESTATION_INVALID,
    AlarmKind.PUBLISHER_CHANGED,
    AlarmKind.EXPECTATION_BROKEN,
    AlarmKind.CONTRADICTORY,
    AlarmKind.UNACCOUNTED,
    AlarmKind.RUNNER_REFUSED,
    AlarmKind.RUNNERS_DISAGREE,
    AlarmKind.DISK,
}
_OPERATORS = {
    AlarmKind.GIVEN_UP,
    AlarmKind.REPLAY_LOST,
    AlarmKind.STORE_CORRUPT,
    AlarmKind.RUNNER_REFUSED,
    AlarmKind.RUNNERS_DISAGREE,
}
_OURS = {
    AlarmKind.FAILURE_RATE,
    AlarmKind.QUEUE_AGE,
    AlarmKind.DISK,
    AlarmKind.KEY_EXPIRY,
    AlarmKind.INDEX_UNREACHABLE,
    AlarmKind.SCHEDULE_BROKEN,
    AlarmKind.WATCH_OVERDUE,
    AlarmKind.PROJECT_MISSING,
}


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
