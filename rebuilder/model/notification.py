"""What is told about alarms, to whom: plain values between the ledger, the one who composes and the one who sends."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from rebuilder.model.alarm import RecordedAlarm, Severity
from rebuilder.model.value import Sha256, Value


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
