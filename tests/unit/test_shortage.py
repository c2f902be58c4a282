"""Whose trouble it was that something failed: read from what the kernel counts, never from what failed says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rebuilder.model.definition import Limits
from rebuilder.shortage import Shortage

LIMITS = Limits(processes=100, memory_bytes=1 << 30)


class Kernel:
    """What a kernel tells, as files that a test writes."""

    def __init__(self, root: Path) -> None:
        self.proc, self.cgroups = root / "proc", root / "cgroup"
        self.tell("proc/vmstat", "pgfault 7\noom_kill 3\noom_kill_other 9\n")
        self.tell("proc/self/cgroup", "0::/a/b\n")
        self.tell("proc/sys/kernel/threads-max", "1000\n")
        self.tell("proc/sys/kernel/pid_max", "4194304\n")
        self.tell("proc/loadavg", "0.1 0.2 0.3 2/600 4711\n")

    def tell(self, path: str, text: str) -> None:
        """Have it say something."""
        file = self.proc.parent / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def watched(self) -> Shortage:
        """What is begun now."""
        return Shortage(LIMITS, self.proc, self.cgroups)


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    """A machine that has enough of everything."""
    return Kernel(tmp_path)


def test_enough(kernel: Kernel) -> None:
    """What was counted before does not count, and a machine may tell nothing at all."""
    shortage = kernel.watched()
    assert (False, False, False) == (shortage.killed, shortage.refused, shortage.tight)
    kernel.tell("proc/vmstat", "pgfault 8\noom_kill 4\n")
    assert shortage.killed
    nothing = Shortage(LIMITS, kernel.proc / "none", kernel.cgroups)
    assert (False, False, False) == (nothing.killed, nothing.refused, nothing.tight)


REFUSALS = {
    "our own group": ("0::/a/b", "a/b/pids.events.local", True),
    "our own group, before Linux 6.12": ("0::/a/b", "a/b/pids.events", True),
    "a group around it": ("0::/a/b", "a/pids.events.local", True),
    "a neighbour, as groups around us tell": ("0::/a/b", "a/pids.events", False),
    "a neighbour": ("0::/a/b", "a/c/pids.events.local", False),
    "version 1": ("8:pids:/a/b\n0::/", "pids/a/b/pids.events", True),
    "another controller": ("8:memory:/a/b\n0::/", "memory/a/b/pids.events", False),
    "a container": ("0::/", "pids.events.local", True),
    "a container that sees where it is outside": ("8:pids:/docker/ab\n0::/docker/ab", "pids/pids.events", True),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refused_process(kernel: Kernel, case: str) -> None:
    """Of our control group, or for the limit of one around it; each kernel tells it in its own file."""
    groups, file, expected = REFUSALS[case]
    kernel.tell("proc/self/cgroup", f"{groups}\n")
    kernel.tell(f"cgroup/{file}", "max 5\n")
    (kernel.cgroups / "a/b").mkdir(parents=True, exist_ok=True)
    shortage = kernel.watched()
    assert not shortage.refused
    kernel.tell(f"cgroup/{file}", "max 6\n")
    assert expected is shortage.refused


def test_few_processes_left(kernel: Kernel) -> None:
    """On the whole machine, or for us as a user: fewer than a build may have, whatever it had."""
    shortage = kernel.watched()
    kernel.tell("proc/loadavg", "0.1 0.2 0.3 2/901 4711\n")
    assert shortage.tight
    kernel.tell("proc/loadavg", "0.1 0.2 0.3 2/900 4711\n")
    for number in (1, 2):
        (kernel.proc / f"{number}/task/{number}").mkdir(parents=True)
        (kernel.proc / f"{number}/task/{number}1").mkdir()
        if not os.geteuid():
            os.chown(kernel.proc / f"{number}/task", 7, 7)
    shortage = Shortage(LIMITS, kernel.proc, kernel.cgroups, user=os.geteuid() or 7)
    for most, expected in (("103", True), ("104", False), ("unlimited", False)):
        kernel.tell("proc/self/limits", f"Limit  Soft Limit  Hard Limit\nMax processes  {most}  900  processes\n")
        assert expected is shortage.tight
    kernel.tell("proc/self/limits", "Limit  Soft Limit  Hard Limit\nMax processes  1  1  processes\n")
    assert not Shortage(LIMITS, kernel.proc, kernel.cgroups, user=0).tight


@pytest.mark.parametrize(("mode", "left", "expected"), [("2", 1023, True), ("2", 1024, False), ("0", 0, False)])
def test_memory_that_is_not_promised(kernel: Kernel, mode: str, left: int, expected: bool) -> None:
    """A kernel that promises no more than it has refuses memory without ending anything."""
    kernel.tell("proc/sys/vm/overcommit_memory", f"{mode}\n")
    kernel.tell("proc/meminfo", f"MemFree: 1 kB\nCommitLimit: {2048 << 10} kB\nCommitted_AS: {2048 - left << 10} kB\n")
    assert expected is kernel.watched().tight
