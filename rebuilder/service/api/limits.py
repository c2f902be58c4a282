"""The layers around the application: what one client may ask for, and what every answer has."""

from __future__ import annotations

import ipaddress
import logging
import math
import secrets
import time

import anyio
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rebuilder.service.api.problems import REQUEST_ID, our_fault, problem
from rebuilder.site.rendering import POLICY

BODY_BYTES = 16 << 10
BODY_SECONDS = 10.0
"""A body has to be here after so long."""
_PROBES = frozenset({"/metrics", "/healthz", "/readyz"})
_READING = frozenset({"GET", "HEAD"})
_CLOSE = {"Connection": "close"}


class Gate:
    """Passes on requests that are small, quick and not too many; all others are answered here.

    Probes have an allowance of their own, so that a busy page behind one proxy does not look like a dead service;
    what changes something has a tenth, so that a token cannot be tried out.
    """

    def __init__(self, app: ASGIApp, *, requests_per_minute: int) -> None:
        self._app = app
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._often = RateLimitItemPerMinute(requests_per_minute)
        self._seldom = RateLimitItemPerMinute(max(1, requests_per_minute // 10))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what is refused, and pass the rest on."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if wait := self._wait(scope):
            message = "There were too many requests from your address in the last minute."
            headers = {"Retry-After": str(wait), **_CLOSE}
            response = problem(429, message, hint=f"Wait {wait} seconds.", headers=headers)
            return await response(scope, receive, send)
        headers_in = Headers(scope=scope)
        if scope["method"] in _READING:
            if headers_in.get("content-length", "0") != "0" or "transfer-encoding" in headers_in:
                refusal = problem(400, "A request that only reads has no body.", headers=_CLOSE)
                return await refusal(scope, receive, send)
            return await self._app(scope, receive, send)
        return await self._with_body(scope, receive, send, headers_in)

    async def _with_body(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["method"] == "POST" and kind != "application/json":
            # What a form on somebody else's page can send is never JSON.
            refusal = problem(
                415,
                "The body has to be JSON.",
                hint="Send it with the header “Content-Type: application/json”.",
                headers=_CLOSE,
            )
            return await refusal(scope, receive, send)
        length = headers.get("content-length", "0")
        too_large = problem(413, f"The body is larger than {BODY_BYTES >> 10} KiB.", headers=_CLOSE)
        if not length.isdigit() or len(length) > 9 or int(length) > BODY_BYTES:
            return await too_large(scope, receive, send)
        try:
            with anyio.fail_after(BODY_SECONDS):
                body = await _body(receive)
        except TimeoutError:
            return await problem(408, "The body took too long to arrive.", headers=_CLOSE)(scope, receive, send)
        if body is None:
            return None  # the client has gone
        if len(body) > BODY_BYTES:
            return await too_large(scope, receive, send)
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return waiting.pop() if waiting else await receive()

        return await self._app(scope, replay, send)

    def _wait(self, scope: Scope) -> int:
        """Seconds this client has to wait; 0 when it need not."""
        if scope["method"] not in _READING:
            item, group = self._seldom, "change"
        else:
            item, group = self._often, "probe" if scope["path"] in _PROBES else "read"
        client = scope.get("client")
        key = (group, network_of(client[0] if client else ""))
        if self._limiter.hit(item, *key):
            return 0
        return max(1, math.ceil(self._limiter.get_window_stats(item, *key).reset_time - time.time()))


def network_of(address: str) -> str:
    """What counts as one client: an IPv4 address; of an IPv6 address the first 64 bits, which one customer has."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False).network_address)


async def _body(receive: Receive) -> bytes | None:
    """The whole body, or a little more than is allowed of it; None when the client went away."""
    body = bytearray()
    while len(body) <= BODY_BYTES:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    return bytes(body)


_LOG = logging.getLogger("rebuilder.service.api")
_HEADERS = {
    "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""For answers that do not say otherwise."""


class ResponseLayer:
    """The outermost layer around the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; give its answer an id and headers, and a line in the log."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        number, begun = secrets.token_hex(8), time.monotonic()
        status, complete = 0, False
        scope[REQUEST_ID] = number

        async def sealed(message: Message) -> None:
            nonlocal status, complete
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers["X-Request-ID"] = number
            await send(message)
            complete = message["type"] == "http.response.body" and not message.get("more_body", False)

        # The path as it came: percent-encoded, so that it cannot write lines of its own into a log.
        path = scope.get("raw_path", b"").decode("ascii", "backslashreplace")[:500]
        client = scope["client"][0] if scope.get("client") else ""
        about = {"request": number, "client": client, "method": scope["method"], "path": path}
        try:
            await self._app(scope, receive, sealed)
        except Exception:  # whatever it is, the client gets a sentence and the operator the rest
            _LOG.exception("The request %s failed: %s %s", number, scope["method"], path, extra=about)
            if not status:
                await our_fault(number)(scope, receive, sealed)
            elif not complete:
                raise  # half an answer is out: the connection has to be cut
        finally:
            about |= {"status": status, "seconds": round(time.monotonic() - begun, 4)}
            _LOG.debug("%s %s: %d", scope["method"], path, status, extra=about)
        return None
