"""Sends messages about alarms: webhooks signed as Standard Webhooks has it, and everything Apprise knows.

The specification of the headers: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
from urllib.parse import unquote, urlsplit

from rebuilder import __version__
from rebuilder.errors import UnavailableError
from rebuilder.model.alarm import Message, Severity
from rebuilder.model.settings import Target
from rebuilder.model.value import canonical_json

_HINT = "Look at the target in the settings (alarms.targets), and at the machine it names."


class Notifier:
    """Brings a message to a target; one attempt, no redirections, nothing of the address in any error.

    Args:
        connect_seconds: Longest wait for a connection.
        read_seconds: Longest silence of a target.
    """

    def __init__(self, *, connect_seconds: float = 5, read_seconds: float = 10) -> None:
        self._connect_seconds = connect_seconds
        self._read_seconds = read_seconds
        # These libraries write addresses into their logs, and addresses may hold passwords.
        for library in ("apprise", "httpx", "httpcore", "urllib3"):
            logging.getLogger(library).setLevel(logging.CRITICAL)

    def send(self, name: str, target: Target, message: Message) -> None:
        """Bring a message to a target.

        Raises:
            UnavailableError: the target does not have it, as far as we know.
        """
        if target.webhook is not None:
            self._post(name, target.webhook, target.secret or "", message)
        else:
            self._apprise(name, target.apprise or "", message)

    def _post(self, name: str, address: str, secret: str, message: Message) -> None:
        import httpx

        body = canonical_json(message.content)
        timestamp = str(int(message.sent.timestamp()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"rebuilder/{__version__}",
            "webhook-id": message.id,
            "webhook-timestamp": timestamp,
            "webhook-signature": signature(secret, message.id, timestamp, body),
        }
        timeout = httpx.Timeout(self._read_seconds, connect=self._connect_seconds)
        try:
            bare, login = _without_login(address)
            with (
                httpx.Client(follow_redirects=False, timeout=timeout) as client,
                # The status is all that counts; whatever body there is, is not read.
                client.stream("POST", bare, content=body, headers=headers, auth=login) as answer,
            ):
                status = answer.status_code
        except httpx.TimeoutException:
            raise UnavailableError(f"The webhook of the target {name} gave no answer in time.", hint=_HINT) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            sentence = f"The webhook of the target {name} cannot be reached ({type(error).__name__})."
            raise UnavailableError(sentence, hint=_HINT) from None
        if not 200 <= status < 300:
            raise UnavailableError(f"The webhook of the target {name} answered {status}.", hint=_HINT)

    def _apprise(self, name: str, address: str, message: Message) -> None:
        import apprise

        asset = apprise.AppriseAsset(
            app_id="rebuilder",
            app_desc="rebuilder",
            storage_mode="memory",  # nothing is kept on this machine
            async_mode=False,
            http_redirects=False,
            secure_logging=True,
            service_timeout=self._connect_seconds + self._read_seconds,
            allow_templates=False,
        )
        service = apprise.Apprise(asset=asset)
        kind = apprise.NotifyType.FAILURE if message.severity is Severity.PAGE else apprise.NotifyType.WARNING
        try:
            understood = service.add(address)
            taken = understood and service.notify(
                title=message.title,
                body=message.text,
                notify_type=apprise.NotifyType.SUCCESS if message.over else kind,
                body_format=apprise.NotifyFormat.TEXT,
                interpret_escapes=False,
            )
        except Exception as error:  # noqa: BLE001 - plug-ins raise what they like, and quote the address
            sentence = f"Apprise could not tell the target {name} ({type(error).__name__})."
            raise UnavailableError(sentence, hint=_HINT) from None
        if not understood:
            raise UnavailableError(f"Apprise does not understand the address of the target {name}.", hint=_HINT)
        if not taken:
            raise UnavailableError(f"Apprise could not tell the target {name}.", hint=_HINT)


def understood(address: str) -> bool:
    """Whether Apprise knows what kind of address this is; nothing is asked."""
    import apprise

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it would write the address
    try:
        return bool(apprise.Apprise().add(address))
    except Exception:  # noqa: BLE001 - plug-ins raise what they like
        return False


def signature(secret: str, identity: str, timestamp: str, body: bytes) -> str:
    """A symmetric signature of Standard Webhooks: ``v1,`` and the HMAC-SHA256 in base64.

    Args:
        secret: ``whsec_`` and the key in base64; any other text is the key itself, in UTF-8.
        identity: Of the message; it is signed, with the time stamp and the body.
        timestamp: Seconds since 1970, in decimal digits.
        body: As it is sent.
    """
    encoded = secret.removeprefix("whsec_")
    key = secret.encode() if encoded == secret else base64.b64decode(encoded)
    signed = f"{identity}.{timestamp}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"


def _without_login(address: str) -> tuple[str, tuple[str, str] | None]:
    """An address without user name and password, and these."""
    parts = urlsplit(address)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    if parts.username is None:
        return bare, None
    return bare, (unquote(parts.username), unquote(parts.password or ""))
