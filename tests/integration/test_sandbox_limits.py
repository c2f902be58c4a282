"""Builds that want too much: each limit ends them, is named, and leaves nothing."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from rebuilder.environments.protocol import Environments
from rebuilder.errors import SandboxFaultError
from rebuilder.model.attempt import Limit, Outcome
from rebuilder.model.definition import Limits
from rebuilder.sandbox.bubblewrap.run_sandbox import Bubblewrap
from rebuilder.sandbox.bubblewrap.sandbox import BubblewrapSandbox
from rebuilder.sandbox.leftovers import MOST_FILES
from rebuilder.shortage import Shortage
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.sandbox import Room, launchers, left_over

MB = 1 << 20

FORK_BOMB = "import os\nwhile True:\n try: os.fork()\n except OSError: pass\n"
THREADS = "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(1000,)).start()\n"
SESSIONS = "import os\nwhile True:\n if os.fork() == 0:\n  os.setsid()\n  if os.fork(): os._exit(0)\n"
MEMORY = "kept = []\nwhile True: kept.append(b'x' * (1 << 20))\n"
SHARED_OUT = (
    "import os\nfor _ in range(4):\n if os.fork() == 0: break\nkept = []\n"
    "for _ in range(60): kept.append(b'x' * (1 << 20))\nimport time\ntime.sleep(1000)\n"
)
TINY_FILES = "count = 0\nwhile True:\n count += 1\n open(f'{place}/{{count}}', 'w').close()\n"
CATCHES = (
    "import os\ntry:\n with open('/build/big', 'wb') as file:\n  while True: file.write(b'x' * (1 << 20))\n"
    "except OSError: raise SystemExit(1)\n"
)

CASES = {
    "sleeps forever": ("/bin/sleep 1000", Limits(wall_seconds=0.3), Limit.WALL_TIME),
    "ignores signals": ("trap '' TERM INT HUP; while :; do sleep 100; done", Limits(wall_seconds=0.3), Limit.WALL_TIME),
    "stops itself": ("kill -STOP $$", Limits(wall_seconds=0.3), Limit.WALL_TIME),
    "busy": ("while :; do :; done", Limits(cpu_seconds=0.3), Limit.CPU_TIME),
    "busy together": (
        "for i in 1 2 3 4; do (while :; do :; done) & done; wait",
        Limits(cpu_seconds=0.4),
        Limit.CPU_TIME,
    ),
    "busy in turns": (
        "while :; do /bin/sh -c 'i=0; while [ $i -lt 9999 ]; do i=$((i+1)); done'; done",
        Limits(cpu_seconds=0.4),
        Limit.CPU_TIME,
    ),
    "fork bomb": (FORK_BOMB, Limits(processes=60), Limit.PROCESSES),
    "fork bomb of sessions": (SESSIONS, Limits(processes=60), Limit.PROCESSES),
    "threads": (THREADS, Limits(processes=60), Limit.PROCESSES),
    "memory": (MEMORY, Limits(memory_bytes=128 * MB), Limit.MEMORY),
    "memory at once": ("kept = b'x' * (4 << 30)", Limits(memory_bytes=128 * MB), Limit.MEMORY),
    "memory of many": (SHARED_OUT, Limits(memory_bytes=200 * MB), Limit.MEMORY),
    "fills /build": ("cat /dev/zero > /build/x", Limits(disk_bytes=32 * MB), Limit.DISK),
    "fills /tmp": ("cat /dev/zero > /tmp/x", Limits(disk_bytes=32 * MB), Limit.DISK),
    "fills /dev/shm": ("cat /dev/zero > /dev/shm/x", Limits(disk_bytes=32 * MB), Limit.DISK),
    "fills both": (
        "head -c 20000000 /dev/zero > /build/x; head -c 20000000 /dev/zero > /tmp/x; sleep 1000",
        Limits(disk_bytes=32 * MB),
        Limit.DISK,
    ),
    "fills a deleted file": (
        "exec 9> /build/x; rm /build/x; cat /dev/zero >&9; sleep 1000",  # what only a descriptor holds goes with it
        Limits(disk_bytes=32 * MB),
        Limit.DISK,
    ),
    "sees a full disk": (CATCHES, Limits(disk_bytes=32 * MB), Limit.DISK),
    "tiny files": (TINY_FILES.format(place="/build"), Limits(disk_bytes=16 * MB), Limit.DISK),
    "fills /out": ("cat /dev/zero > /out/x", Limits(output_bytes=32 * MB), Limit.OUTPUT),
    "tiny outputs": (TINY_FILES.format(place="/out"), Limits(output_bytes=16 * MB), Limit.OUTPUT),
    "outputs with holes": (
        "import os\nfor n in range(3): os.truncate(os.open(f'/out/{n}', os.O_CREAT | os.O_WRONLY), 15 << 20)",
        Limits(output_bytes=32 * MB),
        Limit.OUTPUT,
    ),
    "too many outputs": (
        f"for n in range({MOST_FILES + 1}): open(f'/out/{{n}}', 'w').close()",
        Limits(),
        Limit.OUTPUT,
    ),
    "writes a huge file": ("cat /dev/zero > /build/x", Limits(file_bytes=8 * MB), Limit.FILE_SIZE),
    "writes and deletes a huge file": (
        "cat /dev/zero > /build/x; e=$?; rm /build/x; exit $e",
        Limits(file_bytes=8 * MB),
        Limit.FILE_SIZE,
    ),
    "sees a file cut off": (CATCHES, Limits(file_bytes=8 * MB), Limit.FILE_SIZE),
    "prints forever": ("yes", Limits(log_bytes=MB), Limit.LOG),
    "prints to error forever": ("yes >&2", Limits(log_bytes=MB), Limit.LOG),
}

PYTHON = {
    *("fork bomb", "fork bomb of sessions", "threads", "memory", "memory at once", "memory of many"),
    *(
        "sees a full disk",
        "sees a file cut off",
        "tiny files",
        "tiny outputs",
        "outputs with holes",
        "too many outputs",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_limit_is_named(room: Room, case: str) -> None:
    """The run ends soon, says which limit it was, takes no outputs, and no process is left."""
    program, limits, expected = CASES[case]
    run = (room.python if case in PYTHON else room.shell)(program, limits=limits)
    assert (Outcome.TIMED_OUT, expected) == (run.outcome, run.limit), room.log(run)[-2000:]
    assert (None, ()) == (run.exit_code, run.outputs)
    assert run.wall_seconds < 300
    assert len(launchers(os.getpid())) >= 1
    assert [] == left_over()


class _Refusing(Shortage):
    """A machine that refuses a process while something runs: its kernel counts that."""

    def __init__(self, wants: Limits, place: Path) -> None:
        (place / "self").mkdir(exist_ok=True)
        (place / "self/cgroup").write_text("0::/\n")
        (place / "pids.events").write_text("max 6\n")
        super().__init__(wants, place, place)
        (place / "pids.events").write_text("max 7\n")


@pytest.mark.parametrize("text", ["exit 254", "true", "sleep 1000"])
def test_machine_without_processes(environments: Environments, tmp_path: Path, text: str) -> None:
    """What it refused is our trouble, however the build ended."""
    bubblewrap, blobs = Bubblewrap(partial(_Refusing, place=tmp_path)), MemoryBlobs()
    sandbox = BubblewrapSandbox(blobs, FixedClock(), scratch=tmp_path / "scratch", bubblewrap=bubblewrap)
    try:
        room = Room(sandbox, blobs, environments.get("trixie").root)
        with pytest.raises(SandboxFaultError, match="too few processes left"):
            room.shell(text, limits=Limits(wall_seconds=1))  # some programs wait for a process, and for ever
        assert Limit.LOG == room.shell("yes", limits=Limits(log_bytes=MB)).limit  # which takes no process
    finally:
        sandbox.close()


def test_build_that_says_so(room: Room) -> None:
    """Whatever it prints and ends with, its failure is its own: only the kernel's counters tell the other kind."""
    run = room.shell("echo 'sh: fork: Resource temporarily unavailable' >&2; echo 'Killed'; exit 254")
    assert (Outcome.BUILD_FAILED, 254) == (run.outcome, run.exit_code)


def test_log_is_cut_at_its_limit(room: Room) -> None:
    """What fits is kept, exactly."""
    run = room.shell("yes", limits=Limits(log_bytes=100_000))
    assert len(room.log(run)) in {100_000, 100_001}  # the last line may have been cut off


def test_what_fits_is_fine(room: Room) -> None:
    """A build just below every limit is not bothered."""
    limits = Limits(
        cpu_seconds=20, processes=8, memory_bytes=128 * MB, file_bytes=8 * MB, disk_bytes=32 * MB,
        output_bytes=8 * MB, log_bytes=100_000,
    )  # fmt: skip
    run = room.shell(
        "head -c 8388608 /dev/zero > /build/x; head -c 8380000 /dev/zero > /out/y; head -c 15000000 /dev/zero > /tmp/z"
        "; head -c 8388608 /dev/zero > /tmp/z; head -c 90000 /dev/zero; for i in 1 2 3 4; do sleep 0.05 & done; wait",
        limits=limits,
    )
    assert Outcome.COMPLETED is run.outcome, (run, room.log(run)[-500:])


def test_shared_memory_counts_once(room: Room) -> None:
    """Pages that children share with their parent are not memory again."""
    program = (
        "import os, time\nkept = b'x' * (60 << 20)\n"
        "children = [os.fork() for _ in range(3)]\n"
        "time.sleep(0.2)\nif all(children): [os.waitpid(child, 0) for child in children]\n"
    )
    # After the second fork children fork too: eight processes with 60 MB each, nearly all of it shared.
    run = room.python(program, limits=Limits(memory_bytes=200 * MB))
    assert run.limit is None, run


def test_usage_is_measured(room: Room) -> None:
    """CPU time and memory are those of the build, also of a short one, and of children; a boot takes CPU time too."""
    boot = room.shell("true").cpu_seconds if room.sandbox.kind == "uml" else 0
    run = room.python("import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'b = b\"x\" * (50 << 20)'])")
    assert 50 * MB < run.peak_memory_bytes < 120 * MB
    spent = room.python("import time\nwhile time.process_time() < 0.3: pass")
    assert 0.3 <= spent.cpu_seconds < 5 + 3 * boot
    idle = room.shell("sleep 1")
    assert idle.cpu_seconds < 0.7 + 3 * boot
    assert idle.wall_seconds >= 1
