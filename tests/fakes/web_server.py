"""Web servers on a free port of this machine, as long as a test needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self


class Quiet:
    """Handler of which nothing is told."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
        """Say nothing."""


class _Files(Quiet, SimpleHTTPRequestHandler):
    pass


class WebServer:
    """Listens from the beginning, and answers as long as it is open.

    Args:
        handler: Answers a request.
        kind: Of server.
    """

    def __init__(
        self, handler: Callable[..., BaseHTTPRequestHandler], kind: type[ThreadingHTTPServer] = ThreadingHTTPServer
    ) -> None:
        self.ended = Event()
        """Set when the server is closed, for answers that wait."""
        self.server: Any = kind(("127.0.0.1", 0), handler)
        self.port: int = self.server.server_address[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self._thread = Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        """Serve."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, let go of what waits, and wait for it."""
        self.ended.set()
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """Serve files, such as a published site; gives the address, without a slash at the end."""
    with WebServer(partial(_Files, directory=str(directory))) as server:
        yield server.address
