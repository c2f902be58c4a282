"""A proxy of an index on a port of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from rebuilder.consumer.proxy.application import Application
from rebuilder.consumer.proxy.server import bind


@contextmanager
def answering(application: Application) -> Iterator[str]:
    """The address of an application that answers requests."""
    server = bind(application, "127.0.0.1:0")
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
