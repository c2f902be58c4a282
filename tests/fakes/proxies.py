"""What answers installers or clusters, on a port of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

from rebuilder.consumer.server import Certificate, bind


@contextmanager
def answering(application: Callable[..., Any], certificate: Certificate | None = None) -> Iterator[str]:
    """The address of an application that answers requests."""
    server = bind(application, "127.0.0.1:0", certificate)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"{'http' if certificate is None else 'https'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
