"""What the PyPI ecosystem works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from rebuilder.ecosystems.pypi.toolchain_choice import INTERPRETERS, Interpreter
from rebuilder.environments.protocol import Toolchains
from rebuilder.model.definition import Input, Limits
from rebuilder.network.protocol import Fetcher, Resolver
from rebuilder.sandbox.protocol import Programs, RunDefinition
from rebuilder.store.protocol import Blobs, Memo

MAX_FILE_BYTES = 256 << 20


@dataclass(frozen=True)
class Context:
    """The parts a rebuild of a wheel is prepared with; see :class:`rebuilder.ecosystems.pypi.ecosystem.PyPI`."""

    fetcher: Fetcher
    blobs: Blobs
    guest: Programs
    run: RunDefinition
    resolver: Resolver
    toolchains: Toolchains
    uv_input: Callable[[], Input]
    facts: Memo
    max_file_bytes: int
    limits: Callable[[], Limits]
    """What one build may use, as it is now."""
    sandboxes: frozenset[str] = frozenset({"bubblewrap"})
    """Kinds of sandboxes that definitions can be run in."""
    interpreters: tuple[Interpreter, ...] = INTERPRETERS
    """Pythons there are toolchains with, newest first."""
    sandbox: str = "bubblewrap"
    """The kind that is used unless the clock matters."""
    clock: Literal["archive", "kernel"] = "archive"
    """Whether a clock is set where only times in the archive are left; see :class:`rebuilder.config.Config`."""
