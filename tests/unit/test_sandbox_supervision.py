"""The loop that watches a run: the test plays bubblewrap, its shell and its first process."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import FileIO
from typing import Any, cast

import pytest

from rebuilder.model.attempt import Limit
from rebuilder.model.definition import Limits
from rebuilder.sandbox.meter import Meter
from rebuilder.sandbox.supervision import Supervision, memory_file

LIMITS = Limits(wall_seconds=60, log_bytes=1000)


class FakeMeter:
    """Says of each look in turn which limit is passed."""

    def __init__(self, *passed: str | None) -> None:
        self.passed = list(passed)
        self.closed = False

    def exceeded(self, limits: Limits) -> str | None:
        """The next in the list; nothing when it is at its end."""
        return self.passed.pop(0) if self.passed else None

    def close(self) -> None:
        """As the real one."""
        self.closed = True


class Watched(Supervision):
    """Counts how often a last command waited for its clock, and lets it go."""

    clocks = 0

    def before_last_command(self) -> None:
        """As a guest does, without a clock."""
        self.clocks += 1
        self.let_go()


class Play:
    """A run: what bubblewrap, its shell and the commands would do, done by the test."""

    def __init__(self, supervision: Watched, init: subprocess.Popen[bytes], monitor: FileIO, theirs: FileIO) -> None:
        self.supervision = supervision
        self.monitor = monitor
        self._init = init
        self._bubblewrap = theirs
        self._pipes = supervision.theirs()

    def writes(self, pipe: str, data: bytes) -> None:
        """Write to the log, the status or the ready pipe."""
        os.write(self._pipes[pipe], data)

    def sets_up(self) -> None:
        """Bubblewrap tells the first process in two pieces, its shell that it waits."""
        self.writes("status", b'{"child-')
        self.writes("status", b'pid": %d, "cgroup": 1}\n' % self._init.pid)
        self.writes("ready", b"r")

    def reads_go(self) -> bytes:
        """What the shell reads, and no more."""
        return os.read(self._pipes["go"], 1)

    def first_process_ends(self) -> None:
        """And with it the run."""
        assert self._init.stdin is not None
        self._init.stdin.close()
        self._init.wait()

    def bubblewrap_ends(self) -> None:
        """Its end of the monitor's pipe is closed."""
        self._bubblewrap.close()

    def log(self) -> bytes:
        """What was kept."""
        return os.pread(self.supervision._log_file.fileno(), 1 << 20, 0)


@contextmanager
def play(meter: FakeMeter | None = None, limits: Limits = LIMITS, look: float = 0.001) -> Iterator[Play]:
    """A run that was started and does nothing yet."""
    with ExitStack() as stack:
        init = stack.enter_context(subprocess.Popen(["cat"], stdin=subprocess.PIPE))
        reading, writing = os.pipe2(os.O_CLOEXEC)
        monitor, theirs = stack.enter_context(FileIO(reading)), stack.enter_context(FileIO(writing, "w"))
        meter = meter or FakeMeter()
        log_file = memory_file("log", b"")
        watched = Watched(limits, log_file, look, lambda pid: cast("Meter", meter if pid == init.pid else None))
        yield Play(stack.enter_context(watched), init, monitor, theirs)


def test_a_run_from_its_start_to_its_end() -> None:
    """It stands, is let go, writes, ends: exit code and log are there."""
    meter = FakeMeter()
    with play(meter) as run:
        run.sets_up()
        assert (True, True) == (run.supervision.stand(run.monitor), run.supervision.stood)
        run.supervision.let_go()
        assert run.reads_go() == b"\n"
        run.writes("log", b"+ make\n")
        run.writes("status", b'{"exit-code": 3}\n')
        run.first_process_ends()
        assert run.supervision.watch() is None
        run.writes("log", b"rest")
        run.supervision.started()
        run.supervision.drain()
        assert (3, b"+ make\nrest") == (run.supervision.exit_code, run.log())
    assert meter.closed


def test_a_sandbox_that_was_not_set_up() -> None:
    """Bubblewrap ends before its shell says anything: there is nothing to measure."""
    with play() as run:
        run.bubblewrap_ends()
        assert (False, False) == (run.supervision.stand(run.monitor), run.supervision.stood)


def test_a_shell_that_ends_before_it_stands() -> None:
    """The end of its pipe is no sign of standing."""
    with play() as run:
        run.writes("status", b'{"child-pid": 1}\n')
        run.writes("log", b"sh: not found")
        run.supervision.started()
        run.bubblewrap_ends()
        assert not run.supervision.stand(run.monitor)
        run.supervision.drain()
        assert b"sh: not found" == run.log()


@pytest.mark.parametrize("limit", ["processes", "memory", "disk"])
def test_a_limit_that_is_seen_passed(limit: str) -> None:
    """The look at which it is passed is the last."""
    meter = FakeMeter(None, None, limit, "CPU time")
    with play(meter) as run:
        run.sets_up()
        assert run.supervision.stand(run.monitor)
        assert limit == run.supervision.watch() == Limit(limit)
    assert ["CPU time"] == meter.passed


def test_no_time_is_left() -> None:
    """The wall clock ends a run that does nothing."""
    with play(limits=LIMITS.replace(wall_seconds=0.01)) as run:
        run.sets_up()
        assert run.supervision.stand(run.monitor)
        assert Limit.WALL_TIME == run.supervision.watch()


def test_a_log_of_the_allowed_size_and_one_byte_more() -> None:
    """Up to the limit all is kept; what is beyond is not, and ends the run."""
    with play() as run:
        run.sets_up()
        assert run.supervision.stand(run.monitor)
        run.writes("log", bytes(1000))
        run.first_process_ends()
        assert run.supervision.watch() is None
        run.writes("log", b"x")
        assert Limit.LOG == run.supervision.watch()
        run.writes("log", b"y" * 10)
        run.supervision.drain(1)
        assert bytes(1000) == run.log()


def test_a_log_that_goes_on_is_read_so_often_only() -> None:
    """Where processes still write, the rest is left."""
    with play(limits=LIMITS.replace(log_bytes=1 << 20)) as run:
        run.writes("log", b"a" * 60_000)
        run.supervision.drain(0)
        assert b"" == run.log()
        run.supervision.drain(1)
        assert 60_000 == len(run.log())
        run.supervision.drain(16)
        assert 60_000 == len(run.log())


def test_the_last_command_waits_for_its_clock() -> None:
    """Said by its shell, once; the end of that pipe is no sign."""
    with play() as run:
        run.sets_up()
        assert run.supervision.stand(run.monitor)
        run.writes("ready", b"c")
        run.supervision._theirs["ready"].close()
        run.first_process_ends()
        assert (None, 1) == (run.supervision.watch(), run.supervision.clocks)


def test_what_cannot_be_looked_into_is_told() -> None:
    """A first process that is gone, and an error of the meter, are errors of the system."""

    def gone(_: int) -> Any:
        raise PermissionError("closed")

    with play() as run:
        run.supervision._open_meter = gone
        run.sets_up()
        with pytest.raises(PermissionError):
            run.supervision.stand(run.monitor)
        assert not run.supervision.stood
