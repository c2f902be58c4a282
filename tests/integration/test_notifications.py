"""Messages about alarms over real connections: signed webhooks, and Apprise."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import socket
import threading
from datetime import UTC, datetime

import pytest

from rebuilder.errors import UnavailableError
from rebuilder.model.alarm import Message, Severity
from rebuilder.model.settings import Target
from rebuilder.model.value import canonical_json, sha256_hex
from rebuilder.network.notifications import Notifier, signature
from tests.fakes.webhook import Webhook

# Apprise loads every plug-in it has, and one of them a module that Python is going to drop.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

SECRET = "s3cret-ü"
LOGIN = "user:hunter2@"
MESSAGE = Message(
    id=sha256_hex(b"message"),
    sent=datetime(2026, 11, 1, 12, 0, 0, 500, tzinfo=UTC),
    severity=Severity.PAGE,
    over=False,
    title="rebuilder: 1 alarm (page)",
    text="[page] digest-changed idna.whl: <b>&amp; {{ app_id }} \\n :smile:\nAll alarms: https://example.org/alarms.html",
    content={"z": 1, "a": "ü"},
)


def webhook(address: str) -> Target:
    """A webhook as a target."""
    return Target(webhook=address, secret=SECRET)


def refusal(target: Target, read_seconds: float = 30) -> str:
    """What is said when a message is not taken."""
    with pytest.raises(UnavailableError) as error:
        Notifier(connect_seconds=30, read_seconds=read_seconds).send("team", target, MESSAGE)
    return str(error.value)


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", bytes.fromhex("31f290f6bf06298aab4f08d43c3f082cf648a362da2da4b0")),
        (SECRET, SECRET.encode()),
    ],
)
def test_a_webhook_can_tell_who_sent_it(secret: str, key: bytes) -> None:
    """The signature is over id, time stamp and body; whoever changes one of them does not know it."""
    with Webhook() as server:
        Notifier().send("team", Target(webhook=server.url("/hook?x=1"), secret=secret), MESSAGE)
    [received] = server.received
    assert "/hook?x=1" == received.path
    assert canonical_json(MESSAGE.content) == received.body
    assert "1793534400" == received.headers["webhook-timestamp"]
    assert MESSAGE.id == received.headers["webhook-id"]
    assert "application/json" == received.headers["content-type"]
    version, _, given = received.headers["webhook-signature"].partition(",")
    block = hashlib.sha256().block_size
    inner, outer = (bytes(byte ^ pad for byte in key.ljust(block, b"\0")) for pad in (0x36, 0x5C))
    signed = b".".join((MESSAGE.id.encode(), b"1793534400", received.body))
    expected = hashlib.sha256(outer + hashlib.sha256(inner + signed).digest()).digest()  # RFC 2104, step by step
    assert ("v1", expected) == (version, base64.b64decode(given, validate=True))


def test_the_signature_is_that_of_the_specification() -> None:
    """A vector that the tests of the reference libraries share."""
    made = signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "1614265330",
        b'{"test": 2432232314}',
    )
    assert "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" == made


def test_an_address_may_have_a_login() -> None:
    """User name and password go into a header, as they do with every other program."""
    with Webhook() as server:
        Notifier().send("team", webhook(server.url(login=LOGIN)), MESSAGE)
    assert f"Basic {base64.b64encode(b'user:hunter2').decode()}" == server.received[0].headers["authorization"]


def test_apprise_tells_it(caplog: pytest.LogCaptureFixture) -> None:
    """One message with its title, its text as it is, and how urgent it is."""
    with caplog.at_level(logging.DEBUG), Webhook() as server:
        Notifier().send("team", Target(apprise=server.url("/t0ken", scheme="json", login=LOGIN)), MESSAGE)
    [received] = server.received
    body = json.loads(received.body)
    assert (MESSAGE.title, MESSAGE.text, "failure") == (body["title"], body["message"], body["type"])
    assert "hunter2" not in caplog.text
    assert "t0ken" not in caplog.text


@pytest.mark.parametrize(
    ("severity", "over", "expected"),
    [(Severity.TICKET, False, "warning"), (Severity.PAGE, True, "success")],
)
def test_apprise_says_how_urgent_it_is(severity: Severity, over: bool, expected: str) -> None:
    """A ticket is a warning; what has passed is good news."""
    message = MESSAGE.replace(severity=severity, over=over)
    with Webhook() as server:
        Notifier().send("team", Target(apprise=server.url(scheme="json")), message)
    assert expected == json.loads(server.received[0].body)["type"]


@pytest.mark.parametrize("status", [300, 302, 307, 400, 404, 500, 503])
def test_other_answers_are_refusals(status: int) -> None:
    """Only 200 to 299 is taken; nobody is sent elsewhere with our signature."""
    with Webhook() as elsewhere, Webhook(status=status, location=elsewhere.url()) as server:
        address = server.url("/t0ken", login=LOGIN)
        said = refusal(webhook(address))
        assert ("team" in said, str(status) in said, "t0ken" in said) == (True, True, False)
        assert [] == elsewhere.received


def test_apprise_is_not_sent_elsewhere_either() -> None:
    """Redirections are off there too."""
    with Webhook() as elsewhere, Webhook(status=302, location=elsewhere.url()) as server:
        address = server.url("/t0ken", scheme="json", login=LOGIN)
        said = refusal(Target(apprise=address))
        assert ("team" in said, "t0ken" in said) == (True, False)
        assert [] == elsewhere.received


def test_a_server_that_hangs_is_given_up() -> None:
    """Nothing waits for ever."""
    with Webhook(hang=True) as server:
        assert "team" in refusal(webhook(server.url()), 0.2)
        assert "team" in refusal(Target(apprise=server.url(scheme="json")), 0.2)


@pytest.mark.parametrize(
    "target",
    [
        webhook("http://user:hunter2@127.0.0.1:1/t0ken"),
        webhook("http://user:hunter2@[::1/t0ken"),
        webhook("http://user:hunter2@127.0.0.1:99999999/t0ken"),
        webhook("http://user:hunter2@\x7f\x00bad/t0ken"),
        Target(apprise="json://user:hunter2@127.0.0.1:1/t0ken"),
        Target(apprise="nosuchthing://user:hunter2@127.0.0.1/t0ken"),
        Target(apprise="t0ken hunter2"),
    ],
)
def test_addresses_are_in_no_error_and_no_log(
    target: Target, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """They may hold passwords; the name of the target is enough to find them in the settings."""
    with caplog.at_level(logging.DEBUG):
        sentence = refusal(target)
    said = sentence + caplog.text + "".join(capfd.readouterr())
    assert "target team" in sentence
    assert not any(secret in said for secret in ("hunter2", "t0ken", SECRET))


def test_an_endless_answer_is_not_read() -> None:
    """The status is all that counts."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\nx")
                connection.settimeout(30)
                ended.append(connection.recv(65536))

        ended: list[bytes] = []
        thread = threading.Thread(target=serve)
        thread.start()
        Notifier().send("team", webhook(f"http://127.0.0.1:{listening.getsockname()[1]}/"), MESSAGE)
        thread.join(30)
    assert ended, "the connection was not closed"
