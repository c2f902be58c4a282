"""Rooms with a real sandbox of either kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from rebuilder.environments.protocol import Environments
from rebuilder.sandbox.bubblewrap.sandbox import BubblewrapSandbox
from rebuilder.sandbox.uml.sandbox import UmlSandbox
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.sandbox import Room

KINDS = ("bubblewrap", "uml")

EACH_KIND = ("bubblewrap", pytest.param("uml", marks=pytest.mark.needs_guest))
"""The same as parameters of tests: those with a guest run where one runs."""


@contextmanager
def real_room(kind: str, environments: Environments, scratch: Path) -> Iterator[Room]:
    """A room with the build environment ``trixie``; its sandbox is closed at the end."""
    blobs = MemoryBlobs()
    sandbox: BubblewrapSandbox | UmlSandbox
    if kind == "uml":
        sandbox = UmlSandbox(blobs, FixedClock(), scratch=scratch, kernel=partial(environments.get, "uml"))
    else:
        sandbox = BubblewrapSandbox(blobs, FixedClock(), scratch=scratch)
    try:
        yield Room(sandbox, blobs, environments.get("trixie").root)
    finally:
        sandbox.close()
