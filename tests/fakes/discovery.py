"""What looking for releases needs of an ecosystem: an index and a network, and nothing that builds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from rebuilder.ecosystems.pypi.context import PlanningContext
from rebuilder.ecosystems.pypi.ecosystem import PyPI
from rebuilder.network.protocol import Fetcher
from rebuilder.service.discovery import Discovery
from rebuilder.store.ledger import Ledger
from rebuilder.store.protocol import Blobs
from tests.fakes.clock import FixedClock
from tests.fakes.memo import MemoryMemo
from tests.fakes.registry import Registry


@dataclass
class Here:
    """A registry, a ledger, and the discovery between them."""

    registry: Registry
    ledger: Ledger
    clock: FixedClock
    discovery: Discovery


def pypi_of(url: str, fetcher: Fetcher, blobs: Blobs) -> PyPI:
    """The ecosystem over one index; whoever asks it for a build has made a mistake."""
    nothing = cast("Any", None)
    context = PlanningContext(
        fetcher=fetcher,
        blobs=blobs,
        programs=nothing,
        run=nothing,
        resolver=nothing,
        environments=nothing,
        uv_input=nothing,
        memo=MemoryMemo(),
    )
    return PyPI(url, context)
