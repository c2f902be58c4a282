"""The guide on alarms is true: every kind is in it, its settings are settings, its receiver believes only us."""

from __future__ import annotations

import base64
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path

from rebuilder.alarms.delivery import Suppressions
from rebuilder.model.alarm import AlarmKind, Message, Severity
from rebuilder.model.settings import AlarmSettings, Target
from rebuilder.model.value import sha256_hex
from rebuilder.network.notifications import Notifier
from tests.fakes.webhook import Webhook

GUIDE = (Path(__file__).parents[2] / "docs" / "alarms.md").read_text()
RIGHT = "whsec_" + base64.b64encode(b"r" * 32).decode()
WRONG = "whsec_" + base64.b64encode(b"w" * 32).decode()


def block(language: str) -> str:
    """The one block of code in a language."""
    [found] = re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)
    return str(found)


def test_every_kind_is_explained() -> None:
    """One row each, with the severity it starts as."""
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| ([^|]+) \|", GUIDE, re.MULTILINE))
    for kind in AlarmKind:
        assert kind.severity.value in rows[kind.value], kind


def test_the_settings_are_settings() -> None:
    """What is copied from the guide is understood."""
    settings = AlarmSettings.model_validate(tomllib.loads(block("toml"))["alarms"], strict=False)
    assert {"team", "duty"} == set(settings.targets)
    Suppressions(settings.suppress)


def test_the_receiver_in_the_guide_believes_us_and_nobody_else() -> None:
    """A changed body, another secret, another time and an old message are refused."""
    sent = datetime(2026, 11, 1, 12, tzinfo=UTC)
    message = Message(
        id=sha256_hex(b"1"), sent=sent, severity=Severity.PAGE, over=False, title="t", text="t", content={"a": 1}
    )
    with Webhook() as server:
        Notifier().send("duty", Target(webhook=server.url(), secret=RIGHT), message)
    [received] = server.received
    headers = received.headers
    scope: dict[str, object] = {}
    exec(block("python"), scope)  # noqa: S102 - our own guide
    genuine, now = scope["genuine"], sent.timestamp()
    assert callable(genuine)
    assert genuine(RIGHT, headers, received.body, now)
    assert genuine(RIGHT, headers, received.body, now + 300)
    assert not genuine(RIGHT, headers, received.body, now + 301)
    assert not genuine(WRONG, headers, received.body, now)
    assert not genuine(RIGHT, headers, received.body + b" ", now)
    assert not genuine(RIGHT, headers | {"webhook-timestamp": str(int(now) + 1)}, received.body, now)
    assert not genuine(RIGHT, headers | {"webhook-id": "another"}, received.body, now)
    old_and_new = headers | {"webhook-signature": f"v1,AAAA {headers['webhook-signature']}"}
    assert genuine(RIGHT, old_and_new, received.body, now)
