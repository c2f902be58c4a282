"""How measured values are spread, and what one published file costs."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rebuilder.model.value import Value


class Spread(Value):
    """How values are spread, by nearest rank: each figure is a value that occurred."""

    count: int
    """Values it was made from; never 0."""
    median: float
    p95: float
    """95 of 100 values are no larger."""


def spread(values: Iterable[float]) -> Spread | None:
    """Median and 95th percentile; None when there are no values."""
    ranked = sorted(values)
    if not ranked:
        return None
    median, p95 = (ranked[math.ceil(share * len(ranked)) - 1] for share in (0.5, 0.95))
    return Spread(count=len(ranked), median=median, p95=p95)


class Cost(Value):
    """What verifications of one kind cost, one published file at a time; None: it was measured for none of them."""

    files: int
    cpu: Spread | None = None
    """Processor seconds of all builds of a file, where there were any."""
    fetched: Spread | None = None
    """Bytes that came over the network: from indexes, registries and repositories."""
    written: Spread | None = None
    """Bytes of what is new in the store."""
