"""A running service: started, asked, killed; and whatever it left, which comes to us because we adopt orphans."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.fakes.command import Installation
from tests.soak.world import environment

_PR_SET_CHILD_SUBREAPER = 36
_ADDRESS = re.compile(r"Listening on (http://\S+)/")


def adopt_orphans() -> None:
    """From now on processes whose parent went away become our children, in whatever session they are."""
    if ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError("this kernel does not let a process adopt orphans")


def children(process: int) -> list[int]:
    """Its child processes."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{process}/task").iterdir():
            with contextlib.suppress(OSError):
                found += [int(each) for each in (thread / "children").read_text().split()]
    return found


def descendants(process: int) -> Iterator[int]:
    """Everything below a process."""
    for child in children(process):
        yield child
        yield from descendants(child)


def command_of(process: int) -> str:
    """Its command line; empty when it is gone or a zombie."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def orphans(known: set[int], *, within: float) -> list[str]:
    """Command lines of children we did not start and that do not end by themselves within so many seconds.

    A database server is none: it comes to us because its own starter lets go of it.
    """
    deadline = time.monotonic() + within
    while True:
        left = [each for each in children(os.getpid()) if each not in known]
        for each in left:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(each, os.WNOHANG)
        living = [said for each in left if (said := command_of(each)) and "/bin/postgres " not in said]
        if not living or time.monotonic() > deadline:
            return living
        time.sleep(0.1)


def kill(process: int) -> None:
    """SIGKILL, if it is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


class Service:
    """``rebuilder serve`` of one installation."""

    def __init__(self, installation: Installation, *, prefix: tuple[str, ...] = ()) -> None:
        self.installation = installation
        self.log = installation.root / "service.log"
        self._from = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                (*prefix, *installation.command("serve", "--listen", "127.0.0.1:0")),
                env=environment(installation),
                stdin=subprocess.DEVNULL,
                stderr=log,
            )

    def said(self) -> str:
        """What it logged since it was started."""
        with self.log.open("rb") as log:
            log.seek(self._from)
            return log.read().decode(errors="replace")

    def address(self, *, within: float = 120) -> str:
        """Where it answers."""
        deadline = time.monotonic() + within
        while not (found := _ADDRESS.search(self.said())):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"The service did not start: {self.said()[-2000:]}")
            time.sleep(0.05)
        return found[1]

    def workers(self) -> list[int]:
        """Its worker processes."""
        return [
            each
            for each in descendants(self.process.pid)
            if "-m rebuilder.service.worker_process" in command_of(each) and not command_of(each).startswith("bwrap")
        ]

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """An answer of the API; with a body, a request that carries the token."""
        address = self.address()
        headers = {}
        if body is not None:
            token = (self.installation.root / "keys" / "api-token").read_text().strip()
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(address + path, data, headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read())

    def kill(self) -> None:
        """End it the hard way."""
        self.process.kill()
        self.process.wait()

    def stop(self, *, within: float = 60) -> int:
        """End it as an operator does; give its exit code."""
        self.process.terminate()
        return self.process.wait(timeout=within)
