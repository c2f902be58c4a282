"""What the PyPI ecosystem works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from rebuilder.ecosystems.notebook import Notebook
from rebuilder.ecosystems.pypi.interpreter_choice import INTERPRETERS, Interpreter
from rebuilder.environments.protocol import BuildEnvironment, Environments
from rebuilder.model.definition import Input, Limits
from rebuilder.model.environment import Manifest
from rebuilder.model.value import is_sha256
from rebuilder.network.protocol import Fetcher, Resolver
from rebuilder.sandbox.protocol import Programs, Runner
from rebuilder.store.protocol import Blobs, Memo

MAX_FILE_BYTES = 256 << 20


@dataclass(frozen=True)
class PlanningContext:
    """The parts a rebuild of a wheel is prepared with; see :class:`rebuilder.ecosystems.pypi.ecosystem.PyPI`."""

    fetcher: Fetcher
    blobs: Blobs
    programs: Programs
    run: Runner
    resolver: Resolver
    """Chooses versions of build dependencies on the index."""
    environments: Environments
    """Has those of ``interpreters``, and the same with git, named ``…-git``."""
    uv_input: Callable[[], Input]
    """Gives the uv executable; called when the first build is prepared."""
    memo: Memo
    """Where what was worked out is kept between runs."""
    max_file_bytes: int = MAX_FILE_BYTES
    """Largest wheel, source archive or build dependency that is downloaded."""
    limits: Limits = field(default_factory=Limits)
    """What one build may use; those of the verification at hand replace them."""
    sandboxes: frozenset[str] = frozenset({"bubblewrap"})
    """Kinds of sandboxes that definitions can be run in; with ``uml`` the clock is tried, too."""
    interpreters: tuple[Interpreter, ...] = INTERPRETERS
    """Pythons there are build environments with, newest first."""
    compilers: tuple[Manifest, ...] = ()
    """Build environments with a compiler; made when one is used."""
    images: Mapping[str, str] = field(default_factory=dict)
    """Pattern of platform tags to the build environment, by name or digest, that wheels of them are compiled in."""
    sandbox: str = "bubblewrap"
    """The kind that is used unless the clock matters."""
    clock: Literal["archive", "kernel"] = "archive"
    """Whether a clock is set where only times in the archive are left; see :class:`rebuilder.config.Config`."""
    notebook: Notebook = field(default_factory=Notebook)

    def environment(self, named: str) -> BuildEnvironment:
        """A build environment by its name or its digest, checked.

        Raises:
            BuildEnvironmentError: it is not here and cannot be made, or was modified.
        """
        return self.environments.by_digest(named) if is_sha256(named) else self.environments.get(named)
