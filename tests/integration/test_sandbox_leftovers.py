"""However a run ends, nothing of it is left: no process, no mount, no file."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rebuilder.errors import RebuilderError, SandboxFaultError, SandboxUnavailableError, UsageError
from rebuilder.model.attempt import Limit, Outcome, Run
from rebuilder.model.definition import Limits
from rebuilder.sandbox.bubblewrap.sandbox import BubblewrapSandbox
from rebuilder.sandbox.local_runner import check_isolation
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.processes import family, pidfds, until
from tests.fakes.sandbox import Room, children, command, launchers, left_over

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 90.0

OWNER = """
import sys, threading
from pathlib import Path
from rebuilder.sandbox.bubblewrap.sandbox import BubblewrapSandbox
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.sandbox import Room
blobs = MemoryBlobs()
room = Room(BubblewrapSandbox(blobs, FixedClock(), scratch=Path(sys.argv[2])), blobs, Path(sys.argv[1]))
def build():
    room.shell("(sleep 1000 &) ; echo x > /build/x; exec python3 -c 'while True: pass'")
threading.Thread(target=build).start()
build()
"""

DAEMON = """python3 -c '
import os, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
os.closerange(0, 100)
time.sleep(1000)
'; echo done"""


@pytest.fixture
def room(environment_root: Path, tmp_path: Path) -> Iterator[Room]:
    """A sandbox with a launcher of its own."""
    blobs = MemoryBlobs()
    sandbox = BubblewrapSandbox(blobs, FixedClock(), scratch=tmp_path / "scratch")
    yield Room(sandbox, blobs, environment_root)
    sandbox.close()


def mounts() -> str:
    """Everything that is mounted here."""
    return Path("/proc/self/mountinfo").read_text()


def newest_launcher() -> int:
    """The launcher of the room under test; other suites may keep theirs."""
    return launchers(os.getpid())[-1]


def open_files(pid: int) -> set[str]:
    """Descriptors a process has open."""
    return {each.name for each in Path(f"/proc/{pid}/fd").iterdir()}


def gone(watched: list[int]) -> bool:
    """Wait for processes to end."""
    for pidfd in watched:
        if not select.select([pidfd], [], [], PATIENCE)[0]:
            return False
        os.close(pidfd)
    return True


@pytest.mark.parametrize(
    "program",
    [
        "sleep 1000 & exit 0",
        "(sleep 1000 &) & (trap '' HUP TERM INT; sleep 1000) & exit 0",
        DAEMON,
        "exec >&- 2>&- <&-; sleep 1000 & exit 0",
        "(while :; do :; done) & (while :; do :; done) & exit 0",
    ],
    ids=["background", "deaf", "daemon", "closed output", "busy"],
)
def test_daemons_end_with_the_commands(room: Room, program: str) -> None:
    """What a build leaves running is killed when its last command ends, at once."""
    run = room.shell(program)
    assert Outcome.COMPLETED is run.outcome, room.log(run)
    assert run.wall_seconds < 300
    assert left_over() == []


@pytest.mark.parametrize(
    ("program", "exit_code"),
    [
        ("kill -9 1; kill -TERM 1; exit 0", 0),
        ("kill -9 $PPID; sleep 1000", 137),
        ("kill -9 -1; exit 0", 137),
        ("kill -9 0; exit 0", 137),
    ],
    ids=["first process", "parent", "everybody", "group"],
)
def test_killing_around(room: Room, program: str, exit_code: int) -> None:
    """A build that kills its parent, the first process or everything it sees only ends itself."""
    run = room.shell(program)
    assert run.exit_code == exit_code
    assert left_over() == []


def test_nothing_stays_on_the_host(room: Room, tmp_path: Path) -> None:
    """Mounts and files are what they were, after success, failure and a limit."""
    room.shell("true")
    before = mounts()
    descriptors = open_files(os.getpid())
    room.shell("echo x | tee /build/x /tmp/x /out/x /dev/shm/x")
    room.shell("echo x > /build/x; exit 1")
    room.shell("echo x > /build/x; sleep 1000", limits=Limits(wall_seconds=0.2))
    assert before == mounts()
    assert [] == list(tmp_path.rglob("*"))
    assert descriptors == open_files(os.getpid())
    launcher = newest_launcher()
    assert before.count("\n") == Path(f"/proc/{launcher}/mountinfo").read_text().count("\n")
    assert len(open_files(launcher)) < 10


def test_owner_killed(environment_root: Path, tmp_path: Path) -> None:
    """SIGKILL to the process that asked for runs ends the runs, the launcher, and leaves no file."""
    before = mounts()
    scratch, temporary = tmp_path / "scratch", tmp_path / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "TMPDIR": str(temporary)}
    owner = subprocess.Popen([sys.executable, "-c", OWNER, environment_root, scratch], env=environment)

    def two_builds_run() -> bool:
        """Launcher, and per run bubblewrap, its first process, shell, build and sleeper."""
        everyone = family(owner.pid)
        builds = [pid for pid in everyone if command(pid).startswith(b"python3")]
        return len(builds) == 2 and len(everyone) == 1 + 1 + 2 * 5

    try:
        until(two_builds_run)
        everyone = family(owner.pid)[1:]
        watched = pidfds(everyone)
    finally:
        owner.kill()
        owner.wait()
    assert gone(watched)
    assert before == mounts()
    assert [] == list(temporary.iterdir())
    assert not scratch.exists()


def in_background(room: Room) -> tuple[threading.Thread, list[Run | RebuilderError], int]:
    """Start a run that would last; give the thread, what it will give or raise, and the launcher when it runs."""
    raised: list[Run | RebuilderError] = []

    def build() -> None:
        try:
            raised.append(room.run(("/usr/bin/sleep", "1000")))
        except RebuilderError as error:
            raised.append(error)

    thread = threading.Thread(target=build)
    thread.start()

    def sleeps() -> bool:
        return any(b"sleep\x001000" in command(pid) for launcher in launchers(os.getpid()) for pid in family(launcher))

    until(sleeps)
    return thread, raised, newest_launcher()


def test_launcher_killed(room: Room) -> None:
    """Without its launcher a run ends too, as our fault; the next run gets a new launcher."""
    thread, raised, launcher = in_background(room)
    watched = pidfds(family(launcher))
    os.kill(launcher, signal.SIGKILL)
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert [SandboxFaultError] == [type(error) for error in raised]
    assert gone(watched)
    assert room.shell("true").outcome is Outcome.COMPLETED


def test_bubblewrap_killed_from_outside(room: Room) -> None:
    """No build reaches the bubblewrap around its sandbox: that it was killed is our trouble."""
    thread, raised, launcher = in_background(room)
    os.kill(children(launcher)[0], signal.SIGKILL)
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert [SandboxFaultError] == [type(error) for error in raised]
    assert "from outside" in str(raised[0])
    assert left_over() == []


def test_first_process_ended(room: Room) -> None:
    """An end of the sandbox's first process after the build began is the build's result, however it came about."""
    thread, given, launcher = in_background(room)
    [init] = children(children(launcher)[0])
    os.kill(init, signal.SIGKILL)
    thread.join(PATIENCE)
    assert not thread.is_alive()
    [run] = given
    assert isinstance(run, Run)
    assert (Outcome.BUILD_FAILED, None, None, ()) == (run.outcome, run.exit_code, run.limit, run.outputs)
    assert left_over() == []


def test_closing_ends_runs(room: Room) -> None:
    """A sandbox that is closed ends what runs in it."""
    thread, raised, launcher = in_background(room)
    watched = pidfds(family(launcher))
    assert isinstance(room.sandbox, BubblewrapSandbox)
    room.sandbox.close()
    thread.join(PATIENCE)
    assert [SandboxFaultError] == [type(error) for error in raised]
    assert gone(watched)


def test_interrupted(room: Room) -> None:
    """Ctrl-C while a build runs ends the build."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    def interrupt_when_it_sleeps() -> None:
        until(lambda: any(b"sleep\x001000" in command(pid) for pid in family(newest_launcher())))
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    room.shell("true")
    before = signal.signal(signal.SIGUSR1, interrupt)
    thread = threading.Thread(target=interrupt_when_it_sleeps)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            room.run(("/usr/bin/sleep", "1000"))
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)
    until(lambda: left_over() == [])
    assert room.shell("true").outcome is Outcome.COMPLETED


def test_many_at_once(room: Room) -> None:
    """Runs at the same time do not mix: each has its own log, outputs and limits."""

    def one(number: int) -> tuple[object, ...]:
        if number % 3 == 0:
            run = room.shell("sleep 1000", limits=Limits(wall_seconds=0.3))
            return run.limit, number
        run = room.shell(f"echo {number} > /out/{number}; echo log-{number}; ls /tmp /build; exit {number % 2}")
        assert f"log-{number}\n" in room.log(run)
        return run.exit_code, *(int(room.blobs.read(each.sha256)) for each in run.outputs)

    room.shell("true")
    launcher = newest_launcher()
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(one, range(24)))
    assert [(Limit.WALL_TIME, n) if n % 3 == 0 else (n % 2, n) for n in range(24)] == results
    assert left_over() == []
    assert newest_launcher() == launcher


def test_a_environment_that_is_none(room: Room, tmp_path: Path) -> None:
    """A sandbox that cannot be set up is our fault, with bubblewrap's own words."""
    room.root = tmp_path / "missing"
    with pytest.raises(SandboxFaultError, match="No such file"):
        room.shell("true")
    empty = tmp_path / "empty"
    empty.mkdir()
    room.root = empty
    with pytest.raises(SandboxFaultError, match="could not be set up"):
        room.shell("true")
    for name in ("proc", "dev", "build", "tmp", "out"):
        (empty / name).mkdir()
    with pytest.raises(SandboxFaultError, match="/bin/sh"):
        room.shell("true")
    assert left_over() == []


def test_more_than_the_machine_has(room: Room) -> None:
    """A definition for more CPUs than there are is refused."""
    with pytest.raises(SandboxUnavailableError, match="5000 CPUs"):
        room.shell("true", cpu_count=5000)
    with pytest.raises(UsageError, match="host name"):
        room.shell("true", hostname="a b")


def test_this_machine_can(room: Room) -> None:
    """The trial that `rebuilder doctor` makes finds nothing wrong here, and leaves nothing."""
    before = mounts()
    assert check_isolation() == []
    assert before == mounts()
