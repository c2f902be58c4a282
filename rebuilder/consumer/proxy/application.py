"""The proxy as a WSGI application (PEP 3333): Python's index at ``/simple/``, npm's at ``/npm/``, a report at ``/``.

WSGI, because installers show a refusal by the reason phrase of the answer, which other interfaces have no place for.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from typing import Any

from rebuilder.consumer.enforcement import Enforcement, Reply, text
from rebuilder.consumer.gate import Gate
from rebuilder.consumer.proxy.npm_registry import NpmRegistry, Registries
from rebuilder.consumer.proxy.pages import Pages, phrase
from rebuilder.consumer.proxy.simple_index import SimpleIndex
from rebuilder.errors import RebuilderError, UnavailableError
from rebuilder.network.index_reader import IndexReader

StartResponse = Callable[[str, list[tuple[str, str]]], object]
_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}", re.ASCII)


class Application:
    """Answers installers.

    Args:
        index: Python's index; None: there is none.
        gate: Says what passes.
        npm: npm's registries, by scope; None: there are none.
        audit: Let everything through, and only report what would not pass.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        index: IndexReader | None,
        gate: Gate,
        *,
        npm: Registries | None = None,
        audit: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._enforcement = Enforcement(gate, audit=audit)
        pages = Pages(self._enforcement, clock=clock)
        self._python = SimpleIndex(index, pages) if index is not None else None
        self._npm = NpmRegistry(npm, pages) if npm is not None else None

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """See PEP 3333."""
        host = environ.get("HTTP_HOST", "")
        root = f"{environ['wsgi.url_scheme']}://{host if _HOST.fullmatch(host) else 'localhost'}"
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        return self.answer(method, path, environ.get("HTTP_ACCEPT", ""), root).send(environ, start_response)

    def answer(self, method: str, path: str, accept: str, root: str) -> Reply:
        """What a request is answered; ``root`` is the address by which the client reached the proxy."""
        if method not in {"GET", "HEAD"}:
            return text("405 Method Not Allowed", "An index is only read.")
        try:
            return self._found(path, accept, root)
        except RebuilderError as error:
            return text(phrase(502 if isinstance(error, UnavailableError) else 500, str(error)), str(error))

    def _found(self, path: str, accept: str, root: str) -> Reply:
        found = self._enforcement.page(path)
        if found is None and self._npm is not None and path.startswith("/npm/"):
            found = self._npm.answer(path, accept, root)
        elif found is None and self._python is not None:
            found = self._python.answer(path, accept)
        return found or text("404 Not Found", "There is nothing at this address; indexes are at /simple/ and /npm/.")
