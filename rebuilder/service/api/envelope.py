"""What every answer has, whatever made it: an id, safe headers, a line in the log, and never a traceback."""

from __future__ import annotations

import logging
import secrets
import time

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rebuilder.service.api.problems import REQUEST_ID, our_fault
from rebuilder.site.rendering import POLICY

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
        """See the module."""
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
