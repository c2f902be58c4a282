"""Runs the application in a thread: binds the address, says which one it got, stops without cutting answers short."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any, Self

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from rebuilder.errors import UsageError
from rebuilder.service.api.limits import network_of
from rebuilder.service.api.problems import problem

HEAD_SECONDS = 10.0
"""A request's line and headers have to be here after so long."""
DRAIN_SECONDS = 30.0
"""So long a client may take to read what is already on its way (some 64 KiB)."""
CONNECTIONS = 256
"""At once, of everybody."""
CLIENT_CONNECTIONS = 64
"""At once, of one client."""
_BUSY_SECONDS = "5"


class PatientProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn does it, with limits on waiting for a head, on waiting to be read, and on how many there are.

    Where there are too many, those that wait for a request are closed, the oldest first; when all are at work, the new
    one is told to come back. The connections of one client are counted before those of everybody, so that it ends its
    own ones first.
    """

    head_seconds = HEAD_SECONDS
    drain_seconds = DRAIN_SECONDS
    most = CONNECTIONS
    most_of_client = CLIENT_CONNECTIONS

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head: asyncio.TimerHandle | None = None
        self._drain: asyncio.TimerHandle | None = None
        self.since = self.loop.time()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The wait for the first request begins."""
        super().connection_made(transport)
        everybody = [each for each in self.connections if isinstance(each, type(self)) and each.is_open]
        own = [each for each in everybody if each.network == self.network]
        if self._made_room(own, self.most_of_client) and self._made_room(everybody, self.most):
            self._expect_head()
        else:
            self._refuse()

    @property
    def is_open(self) -> bool:
        """Whether it is not being closed."""
        return not self.transport.is_closing()

    @property
    def is_waiting(self) -> bool:
        """Whether no request is being answered: nothing came, or not all of a head, or the last answer is out."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def network(self) -> str:
        """What counts as one client."""
        return network_of(self.client[0] if self.client else "")

    def _made_room(self, among: list[Self], most: int) -> bool:
        """Whether this connection is not one too many, once the one that waited longest is closed."""
        if len(among) <= most:
            return True
        waiting = [each for each in among if each is not self and each.is_waiting]
        if waiting:
            min(waiting, key=lambda each: each.since).transport.abort()
        return bool(waiting)

    def _refuse(self) -> None:
        answer = problem(503, "There are too many connections.", hint=f"Come back in {_BUSY_SECONDS} seconds.")
        head = [
            b"HTTP/1.1 503 Service Unavailable",
            b"Retry-After: " + _BUSY_SECONDS.encode(),
            b"Connection: close",
            *(b"%b: %b" % header for header in answer.raw_headers),
        ]
        self.transport.write(b"\r\n".join((*head, b"", bytes(answer.body))))
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Some of a request came: all of its head has to follow soon."""
        if not self.is_open:
            return
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._expect_head()
        else:
            self._forget_head()

    def pause_writing(self) -> None:
        """The client does not read as fast as we write."""
        super().pause_writing()
        self._drain = self.loop.call_later(self.drain_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has read most of what waited: it may take its time again."""
        super().resume_writing()
        self._forget_drain()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: its timers end."""
        self._forget_head()
        self._forget_drain()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        if self._head is None and not self.transport.is_closing():
            self._head = self.loop.call_later(self.head_seconds, self.transport.abort)

    def _forget_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _forget_drain(self) -> None:
        if self._drain is not None:
            self._drain.cancel()
            self._drain = None


_LOG = logging.getLogger("rebuilder.service.api")
_HEAD_BYTES = 16 << 10
_KEEP_ALIVE_SECONDS = 5
_BIND = 'Name another one: listen = "ADDRESS:PORT" in [service].'


class HttpServer:
    """An HTTP server on one address.

    Args:
        app: The application; see :func:`rebuilder.service.api.app.make_app`.
        listen: ``ADDRESS:PORT``, an IPv6 address in brackets; port 0 takes a free one.
    """

    def __init__(self, app: ASGIApp, listen: str, *, protocol: type[PatientProtocol] = PatientProtocol) -> None:
        self._listen = listen
        host, _, port = listen.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._bound: str | None = None
        self._error: BaseException | None = None
        self._decided = threading.Event()
        config = uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="error",  # what hostile clients send is no news; requests are logged by the application
            access_log=False,
            server_header=False,
            proxy_headers=False,  # anybody can write such headers
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            h11_max_incomplete_event_size=_HEAD_BYTES,
        )
        self._server = _Announcing(config, self._decided)
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def start(self) -> str:
        """Begin to serve; give the address that is bound, such as ``127.0.0.1:8080``.

        Raises:
            UsageError: the address is in use, or is none of this machine.
        """
        self._thread.start()
        self._decided.wait()
        if not self._server.started or self._bound is None:
            self._thread.join()
            reason = getattr(self._error, "strerror", None) or self._error or "it did not start"
            raise UsageError(f"The HTTP server cannot listen on {self._listen}: {reason}.", hint=_BIND)
        _LOG.info("Listening on http://%s/", self._bound)
        return self._bound

    def stop(self, seconds: float) -> None:
        """Take no more connections, let answers that have begun end for at most ``seconds``, then cut them off."""
        if not self._thread.is_alive():
            return
        self._server.config.timeout_graceful_shutdown = max(0, seconds)  # type: ignore[assignment]
        self._server.should_exit = True
        self._thread.join(seconds + 2)

    @property
    def running(self) -> bool:
        """Whether it still serves."""
        return self._thread.is_alive() and self._server.started

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except (OSError, SystemExit) as error:
            self._error = error
        except Exception as error:  # noqa: BLE001 - told by start(), and logged
            self._error = error
            _LOG.exception("The HTTP server failed.")
        finally:
            self._decided.set()

    async def _serve(self) -> None:
        # Bound here, so that a port in use is an error we see; listened on by uvicorn.
        loop = asyncio.get_running_loop()
        binding = await loop.create_server(asyncio.Protocol, self._host, self._port, start_serving=False)
        sockets: list[Any] = [each.dup() for each in binding.sockets]
        binding.close()
        host, port = sockets[0].getsockname()[:2]
        self._bound = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        await self._server.serve(sockets=sockets)


class _Announcing(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, decided: threading.Event) -> None:
        super().__init__(config)
        self._decided = decided

    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets)
        self._decided.set()
