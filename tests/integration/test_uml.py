"""What only a kernel of its own can do: a clock that is set; and what only it can suffer."""

from __future__ import annotations

import io
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rebuilder.environments.protocol import BuildEnvironment
from rebuilder.environments.store import EnvironmentStore
from rebuilder.errors import NoGuestError, SandboxFaultError
from rebuilder.model.attempt import Outcome, Run
from rebuilder.model.definition import Input, Limits, Role
from rebuilder.model.value import sha256_hex
from rebuilder.sandbox.uml.probe import SWITCH
from rebuilder.sandbox.uml.sandbox import UmlSandbox
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.processes import family, pidfds, until
from tests.fakes.projects import MINIBACKEND
from tests.fakes.rooms import real_room
from tests.fakes.sandbox import Room, launchers, left_over

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 60.0
THEN = datetime(2019, 2, 3, 4, 5, 6, 250_000, tzinfo=UTC)
TELL = ("/usr/bin/python3", "-I", "-c", "import time; print(time.time_ns())")
PROJECT = '[project]\nname = "late"\nversion = "1.0"\n[tool.minibackend]\nnow = true\n'


@pytest.fixture(autouse=True)
def _tried_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels that are shell scripts run everywhere, also where the suite is told that no guest does."""
    monkeypatch.delenv(SWITCH, raising=False)


@pytest.fixture(scope="module", params=[pytest.param("uml", marks=pytest.mark.needs_guest)])
def room(
    request: pytest.FixtureRequest, environments: EnvironmentStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Room]:
    """One sandbox for all tests here."""
    with real_room(request.param, environments, tmp_path_factory.mktemp("scratch")) as room:
        yield room


def times(room: Room, run: Run) -> list[datetime]:
    """What :data:`TELL` printed, each time."""
    lines = [line for line in room.log(run).splitlines() if line.isdigit()]
    return [datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(line) // 1000) for line in lines]


def test_clock_begins_with_the_last_command(room: Room) -> None:
    """Commands before it see the time of the machine; it sees the one it was given, to the fraction, and no less."""
    run = room.run(TELL, TELL, clock=THEN)
    before, last = times(room, run)
    assert before.year >= 2026
    assert THEN <= last < THEN + timedelta(minutes=2)


def test_files_carry_the_clock(room: Room) -> None:
    """What the last command writes has times from its clock on; what was written before has not."""
    program = (
        "open('/build/late', 'w').close(); print(*(os.stat(f'/build/{n}').st_mtime_ns for n in ('early', 'late')))"
    )
    run = room.run(
        ("/bin/sh", "-c", ": > /build/early"), ("/usr/bin/python3", "-c", f"import os; {program}"), clock=THEN
    )
    early, late = (int(word) // 1_000_000_000 for word in room.log(run).split()[-2:])
    assert early > THEN.timestamp() + 365 * 86_400
    assert int(THEN.timestamp()) <= late < THEN.timestamp() + 120


def test_without_a_clock_it_is_now(room: Room) -> None:
    """A definition that names no time runs at that of the machine."""
    before = datetime.now(UTC)
    (told,) = times(room, room.run(TELL))
    assert before - timedelta(minutes=2) < told < datetime.now(UTC) + timedelta(minutes=2)


def test_the_clock_of_the_machine_stays(room: Room) -> None:
    """Only the guest's clock is set."""
    room.run(TELL, clock=THEN)
    assert datetime.now(UTC).year >= 2026


def wheel(room: Room, clock: datetime) -> bytes:
    """Build a wheel whose metadata carries the time at which it was written."""
    tool = Input(
        role=Role.BUILD_TOOL, name="x", sha256=sha256_hex(MINIBACKEND.read_bytes()), path="/tools/minibackend.py"
    )
    source = "mkdir late; echo x=1 > late/__init__.py; touch -d @1500000000 late/*"
    lay_out = f"{source}; printf '%s' '{PROJECT}' > pyproject.toml"
    build = "import sys; sys.path.append('/tools'); import minibackend; minibackend.build_wheel('/out')"
    run = room.run(
        ("/bin/sh", "-c", lay_out),
        ("/usr/bin/python3", "-I", "-c", build),
        inputs=(tool,),
        files={tool.path: MINIBACKEND},
        clock=clock,
        environment={"PATH": "/usr/bin", "TZ": "UTC"},
    )
    assert Outcome.COMPLETED is run.outcome, room.log(run)
    return room.blobs.read(run.outputs[0].sha256)


def test_a_wheel_with_wall_clock_times_comes_out_the_same(room: Room) -> None:
    """Generated members carry the clock's time, sources their own; twice the same definition, twice the same bytes."""
    clock = datetime(2019, 2, 3, 4, 6, tzinfo=UTC)
    first = wheel(room, clock)
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        moments = {info.filename: info.date_time for info in archive.infolist()}
    assert moments["late/__init__.py"] == (2017, 7, 14, 2, 40, 0)
    assert {(2019, 2, 3, 4, 6)} == {moment[:5] for name, moment in moments.items() if "dist-info" in name}
    built = Counter([first, *(wheel(room, clock) for _ in range(3))])
    assert built.most_common(1)[0][1] >= 2  # on a busy machine one may have taken longer than ZIP's two seconds
    assert wheel(room, clock + timedelta(minutes=1)) not in built


def test_the_kernel_is_named(room: Room, environments: EnvironmentStore) -> None:
    """Which kernel it was, and from which build environment, is in the report."""
    run = room.shell("uname -r")
    release = room.log(run).split()[-1]
    digest = environments.get("uml").sha256
    assert run.sandbox_version.startswith(f"uml {release} ({digest}) in bubblewrap ")


def test_the_build_does_not_see_the_kernel_messages(room: Room) -> None:
    """The log is what the commands wrote, and nothing of the kernel."""
    assert room.log(room.shell("printf 'a\\r\\n\\0b'; printf c >&2")).endswith("\na\n⟨U+0000⟩bc\n")


def test_a_environment_has_no_setuid_programs(environments: EnvironmentStore) -> None:
    """A setuid program of a user who does not exist in the guest would drop what it has; an environment has none."""
    for name in ("uml", "trixie", "bookworm"):
        modes = [path.lstat().st_mode for path in environments.get(name).root.rglob("*") if not path.is_symlink()]
        assert [] == [mode for mode in modes if mode & 0o6000]


def with_kernel(real: BuildEnvironment, root: Path, kernel: str) -> BuildEnvironment:
    """The build environment ``uml`` with another kernel in it."""
    for name in ("build", "dev", "etc", "inputs", "out", "proc", "sys", "tmp", "tools", "usr/bin"):
        (root / name).mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    shutil.copytree(
        real.root / "lib64", root / "lib64", ignore=lambda _, names: {n for n in names if not n.startswith("ld-")}
    )
    (root / "lib").mkdir()
    for library in (real.root / "usr/lib").glob("*/libc.so.6"):
        shutil.copy(library, root / "lib")
    for name in ("sh", "dash"):
        shutil.copy(real.root / "usr/bin/dash", root / "usr/bin" / name)
    program = root / "usr/bin/linux.uml"
    program.write_text(f"#!/bin/sh\n{kernel}\n")
    program.chmod(0o755)
    return real.replace(root=root)


BEGINS = 'echo \'{"kernel": "0.1"}\' > /build/begun.json'


@pytest.mark.parametrize(
    ("kernel", "sentence"),
    [
        ("echo Kernel panic; exit 134", "did not get to the build: Kernel panic"),
        ("exit 3", "did not get to the build: exit code 3"),
        ("kill -9 $$", "did not get to the build: exit code 137"),
        ("echo '{\"exit_code\": 0}' > /build/result.json", "did not get to the build"),
    ],
)
def test_a_kernel_that_does_not_start(
    tmp_path: Path, environments: EnvironmentStore, kernel: str, sentence: str
) -> None:
    """A guest that does not boot, panics before a build begins or dies is no guest, and says nothing about a build."""
    with fake_kernel(tmp_path, environments, kernel) as room, pytest.raises(NoGuestError, match=sentence):
        room.shell("true")
    assert [] == left_over()


@pytest.mark.parametrize(
    ("kernel", "sentence", "exit_code"),
    [
        ("echo Kernel panic; exit 134", "broke down: Kernel panic", 134),
        ("while :; do echo Oops Oops Oops Oops; done", "broke down: log size", 137),
        ('echo \'{"problem": "no memory"}\' > /build/result.json', "broke down: no memory", 137),
        ("echo '{}' > /build/result.json", "did not say how it ended", 137),
        ("echo x > /out/x; kill -9 $$", "broke down", 137),
    ],
)
def test_a_kernel_that_fails_a_build(
    tmp_path: Path, environments: EnvironmentStore, kernel: str, sentence: str, exit_code: int
) -> None:
    """What a build may have brought about is how the build ended, never our fault; its log says what happened."""
    with fake_kernel(tmp_path, environments, f"{BEGINS}; {kernel}") as room:
        run = room.shell("true")
        assert sentence in " ".join(room.remarks(run))
    assert (Outcome.BUILD_FAILED, exit_code, ()) == (run.outcome, run.exit_code, run.outputs)
    assert [] == left_over()


@contextmanager
def fake_kernel(place: Path, environments: EnvironmentStore, kernel: str) -> Iterator[Room]:
    """A room whose guests have a shell script for a kernel."""
    blobs = MemoryBlobs()
    made = with_kernel(environments.get("uml"), place / "root", kernel)
    sandbox = UmlSandbox(blobs, FixedClock(), scratch=place / "scratch", kernel=lambda: made)
    try:
        yield Room(sandbox, blobs, environments.get("trixie").root)
    finally:
        sandbox.close()


def test_a_hostile_kernel(tmp_path: Path, environments: EnvironmentStore) -> None:
    """A guest that took over its kernel can claim what it built, as any build can, and reach nothing else."""
    lies = (
        f"{BEGINS}; echo '{{\"exit_code\": 0}}' > /build/result.json; echo hello > /out/x; "
        "for place in /new /inputs/root/new /inputs/guest/new; do : > $place && echo $place >> /out/wrote; done"
    )
    with fake_kernel(tmp_path, environments, lies) as room:
        run = room.shell("true")
    assert [("x", 6)] == [(each.filename, each.size) for each in run.outputs]


@pytest.mark.parametrize(
    ("program", "exit_code"),
    [
        ("kill -9 1; kill -TERM 1; exit 0", 0),
        ("kill -9 $PPID; sleep 1000", 137),
        ("kill -9 -1; exit 0", 137),
        ("sleep 1000 & (trap '' HUP TERM; sleep 1000) & exit 0", 0),
        ("(while :; do :; done) & (while :; do :; done) & exit 5", 5),
    ],
    ids=["first process", "parent", "everybody", "background", "busy"],
)
def test_killing_around(room: Room, program: str, exit_code: int) -> None:
    """A build that kills all it sees only ends itself; what it leaves running ends with its last command."""
    assert exit_code == room.shell(program).exit_code
    assert [] == left_over()


def kernel_of(owner: int) -> list[int]:
    """Processes of guests in which a build runs now, kernel first."""
    found = []
    for launcher in launchers(owner):
        for pid in family(launcher):
            with suppress(OSError):
                runs = b"linux.uml" in Path(f"/proc/{pid}/cmdline").read_bytes()
                if runs and Path(f"/proc/{pid}/root/build/begun.json").exists():
                    found.append(pid)
    return found


def gone(watched: list[int]) -> bool:
    """Wait for processes to end."""
    ended = [bool(select.select([pidfd], [], [], PATIENCE)[0]) for pidfd in watched]
    for pidfd in watched:
        os.close(pidfd)
    return all(ended)


@pytest.mark.needs_guest
@pytest.mark.parametrize("victim", ["kernel", "launcher"])
def test_killed_from_outside(environments: EnvironmentStore, tmp_path: Path, victim: str) -> None:
    """Whoever kills the guest's kernel fails the build; the end of the launcher is our fault."""
    ended: list[Run | SandboxFaultError] = []
    with real_room("uml", environments, tmp_path) as room:

        def build() -> None:
            try:
                ended.append(room.shell("sleep 1000"))
            except SandboxFaultError as error:
                ended.append(error)

        thread = threading.Thread(target=build)
        thread.start()
        until(lambda: kernel_of(os.getpid()))
        kernel = kernel_of(os.getpid())[0]
        launcher = next(each for each in launchers(os.getpid()) if kernel in family(each))
        watched = pidfds(family(launcher)[1:])
        os.kill(kernel if victim == "kernel" else launcher, signal.SIGKILL)
        thread.join(PATIENCE)
        assert gone(watched)
        [end] = ended
        if isinstance(end, SandboxFaultError):
            assert "unexpectedly" in str(end)
        else:
            assert (Outcome.BUILD_FAILED, 137) == (end.outcome, end.exit_code)
            assert "broke down" in " ".join(room.remarks(end))
    assert (victim == "launcher") == isinstance(end, SandboxFaultError)


OWNER = """
import sys
from pathlib import Path
from rebuilder.clock import SystemClock
from rebuilder.environments.store import EnvironmentStore
from tests.fakes.rooms import real_room
with real_room("uml", EnvironmentStore(Path(sys.argv[1]), SystemClock()), Path(sys.argv[2])) as room:
    room.shell("(sleep 1000 &) ; exec python3 -c 'while True: pass'")
"""


@pytest.mark.needs_guest
def test_owner_killed(environments_root: Path, tmp_path: Path) -> None:
    """SIGKILL to the process that asked for a run ends the run, the launcher, and leaves no file."""
    scratch, temporary = tmp_path / "scratch", tmp_path / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "TMPDIR": str(temporary)}
    mounts = Path("/proc/self/mountinfo").read_text()
    owner = subprocess.Popen([sys.executable, "-c", OWNER, environments_root, scratch], env=environment)
    try:
        until(lambda: kernel_of(owner.pid))
        watched = pidfds(family(owner.pid)[1:])
    finally:
        owner.kill()
        owner.wait()
    assert gone(watched)
    assert mounts == Path("/proc/self/mountinfo").read_text()
    assert [] == list(temporary.iterdir())
    assert not scratch.exists()


def test_runs_at_the_same_time_do_not_mix(room: Room) -> None:
    """Each has its own clock, log and files."""
    clocks = [THEN + timedelta(days=400 * number) for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda clock: room.run(("/usr/bin/date", "-u", "+%F"), clock=clock), clocks))
    assert [clock.date().isoformat() for clock in clocks] == [room.log(run).split()[-1] for run in runs]


def test_what_fits_is_fine(room: Room) -> None:
    """All the memory, disk and output a definition allows is there at once."""
    limits = Limits(memory_bytes=96 << 20, disk_bytes=48 << 20, output_bytes=8 << 20)
    run = room.python(
        "kept = b'x' * (64 << 20)\n"
        "for name, size in (('/build/x', 20), ('/tmp/y', 20), ('/out/z', 7)):\n"
        "    with open(name, 'wb') as file:\n        for _ in range(size): file.write(kept[:1 << 20])",
        limits=limits,
    )
    assert (Outcome.COMPLETED, [7 << 20]) == (run.outcome, [each.size for each in run.outputs]), room.log(run)
