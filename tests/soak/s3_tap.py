"""Stands between a runner and the S3 store, and kills that in the middle of an upload."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from typing import Self
from urllib.parse import urlsplit

from tests.fakes.s3_server import Seaweed

_UPLOAD = re.compile(rb"PUT /\S*/outputs/")


class Tap:
    """Passes on what comes, until it is told to interrupt the next output."""

    def __init__(self, store: Seaweed) -> None:
        self._store = store
        self._to = urlsplit(store.endpoint)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._armed, self._interrupted = threading.Event(), threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="tap", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def interrupt(self, *, within: float) -> bool:
        """Kill the store when half of the next output was passed on; whether there was one within so many seconds."""
        self._interrupted.clear()
        self._armed.set()
        if not self._interrupted.wait(within):
            self._armed.clear()
            self._store.stop()
            return False
        return True

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                threading.Thread(target=self._pass, args=(here,), daemon=True).start()

    def _pass(self, here: socket.socket) -> None:
        with here, contextlib.suppress(OSError):
            there = socket.create_connection((self._to.hostname or "", self._to.port or 80))
            with there:
                threading.Thread(target=self._copy, args=(there, here), daemon=True).start()
                while data := here.recv(1 << 16):
                    if self._armed.is_set() and _UPLOAD.search(data):
                        self._armed.clear()
                        there.sendall(data[: len(data) // 2])
                        self._store.stop()
                        self._interrupted.set()
                        return
                    there.sendall(data)

    @staticmethod
    def _copy(source: socket.socket, to: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)
