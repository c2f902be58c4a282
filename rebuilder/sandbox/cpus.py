"""Which CPUs a run gets: those that no other run on this machine has, as far as there are any."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from rebuilder.errors import SandboxUnavailableError

Claim = Callable[[int], socket.socket | None]
"""Takes a CPU until what it gives is closed; None when somebody has it."""


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


def claimed(cpu: int) -> socket.socket | None:
    """Take a CPU by a name that only one socket of the machine can have; the kernel frees it if its owner dies.

    The name is in no file system (unix(7), "abstract"), so there is nothing to tidy up. Whoever takes such names
    without need only makes builds share a CPU.
    """
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with suppress(OSError):
        name.bind(f"\0rebuilder/cpu/{cpu}")
        return name
    name.close()
    return None
