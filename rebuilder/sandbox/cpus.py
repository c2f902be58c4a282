"""Which CPUs a run gets: those that no other run on this machine has, as far as there are any."""

from __future__ import annotations

import fcntl
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from rebuilder.errors import SandboxUnavailableError

_LISTING = Path("/sys/devices/system/cpu")

Claim = Callable[[int], AbstractContextManager[object] | None]
"""Takes a CPU until what it gives is left; None when somebody has it."""


class Cpus:
    """Hands out CPUs to runs; safe to use from several threads and by several processes at once.

    A run is bound to its CPUs, so two on the same one would halve each other's speed while another CPU idles.
    """

    def __init__(self, claim: Claim | None = None) -> None:
        """Nothing is taken yet.

        Args:
            claim: How a CPU is taken; machine-wide by default.
        """
        self._claim = claim or claimed
        self._turn = itertools.count()

    @contextmanager
    def taken(self, count: int) -> Iterator[list[int]]:
        """So many CPUs for the length of a run; when too few are free, they are shared in turns.

        Raises:
            SandboxUnavailableError: this process may not use so many.
        """
        available = sorted(os.sched_getaffinity(0))
        if count > len(available):
            raise SandboxUnavailableError(
                f"The build definition asks for {count} CPUs; {len(available)} may be used here.",
                hint="Run it on a machine with more CPUs.",
            )
        first = next(self._turn) * count % len(available)
        order = [*available[first:], *available[:first]]
        with ExitStack() as stack:
            own: list[int] = []
            for cpu in order:
                if len(own) < count and (claim := self._claim(cpu)) is not None:
                    stack.enter_context(claim)
                    own.append(cpu)
            own += [cpu for cpu in order if cpu not in own][: count - len(own)]
            yield own


def claimed(cpu: int, listing: Path = _LISTING) -> BinaryIO | None:
    """Take a CPU by locking what the kernel shows of it; the kernel frees it if its owner dies.

    So nothing is written and nothing is left behind. Whoever locks it without need, or a machine that does not show
    its CPUs, only makes builds share one.
    """
    try:
        shown = os.fdopen(os.open(listing / f"cpu{cpu}" / "uevent", os.O_RDONLY | os.O_CLOEXEC), "rb", buffering=0)
    except OSError:
        return None
    try:
        fcntl.flock(shown, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        shown.close()
        return None
    return shown
