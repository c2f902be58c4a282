"""Runs the application in a thread: binds the address, says which one it got, stops without cutting answers short."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from rebuilder.errors import UsageError
from rebuilder.service.api.connections import PatientProtocol

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
