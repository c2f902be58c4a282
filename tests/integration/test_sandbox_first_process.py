"""What a build does to the sandbox it runs in is the build's own result, never our trouble."""

from __future__ import annotations

import platform
from collections.abc import Iterator

import pytest

from rebuilder.environments.store import EnvironmentStore
from rebuilder.model.attempt import Limit, Outcome
from rebuilder.model.definition import Limits
from tests.fakes.rooms import real_room
from tests.fakes.sandbox import Room, left_over

LIBC = "import ctypes, os, resource, signal, socket, time\nlibc = ctypes.CDLL(None, use_errno=True)\n"
ORPHANS = "for _ in range(20):\n if os.fork() == 0:\n  if os.fork() == 0: os._exit(0)\n  os._exit(0)\n os.wait()\n"


@pytest.fixture(scope="module")
def room(environments: EnvironmentStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """The sandbox on the host's kernel; in the other kind the first process is in there, too."""
    with real_room("bubblewrap", environments, tmp_path_factory.mktemp("scratch")) as room:
        yield room
        assert left_over() == []


@pytest.mark.parametrize(
    "name", ["mem", "maps", "fd", "root", "cwd", "task/1/mem", "oom_score_adj", "attr/exec", "exe"]
)
def test_first_process_is_not_to_be_seen(room: Room, name: str) -> None:
    """Nothing of it is in /proc, by whatever way one walks there."""
    assert room.ask(f"answer = [os.path.lexists(p + {name!r}) for p in ('/proc/1/', '/proc/self/../1/')]") == [
        False,
        False,
    ]


@pytest.mark.parametrize(
    "attack",
    [
        "answer = [os.kill(1, number) for number in (9, 15, 19, 17, 11)] == [None] * 5",
        "try: resource.prlimit(1, resource.RLIMIT_CPU, (0, 0)); answer = False\nexcept PermissionError: answer = True",
        "answer = libc.ptrace(16, 1, 0, 0) == -1",
        "answer = libc.process_vm_writev(1, 0, 0, 0, 0, 0) == -1",
        "fd = os.pidfd_open(1)\nsignal.pidfd_send_signal(fd, 9)\nanswer = libc.syscall(438, fd, 0, 0) == -1",
        "os.setpriority(os.PRIO_PROCESS, 1, 19)\nanswer = True",
    ],
    ids=["signals", "limits", "ptrace", "memory", "pidfd", "priority"],
)
def test_first_process_cannot_be_hurt(room: Room, attack: str) -> None:
    """The sandbox goes on, and gives what the build made."""
    assert room.ask(LIBC + attack + "\n" + ORPHANS + "time.sleep(0.1)") is True


ENDS = {
    "kills everything": ("kill -9 -1; sleep 5", {137}),
    "kills its shell": ("kill -9 2; sleep 5", {137}),
    "kills its group": ("kill -9 0", {137}),
    "stops its shell": ("(until grep -q '^State:.T' /proc/2/status; do :; done; kill -9 2) & kill -STOP 2", {137}),
    "closes what it inherited": ("for n in 0 1 2 3 4 5 6 7 8 9; do eval \"exec $n>&-\"; done; exit 5", {5}),
    "a fork bomb as it ends": ("(sleep 0.02; for i in 1 2 3 4 5 6 7 8; do (sleep 9 &) ; done) & exit 4", {4}),
    "writes to its log from below": ("echo x > /proc/self/fd/1; echo '{\"exit-code\": 0}' > /proc/2/fd/1; exit 6", {6}),
    "nothing left to read": ("chmod 000 /out /build /tmp /dev/shm; exit 7", {7}),
}  # fmt: skip


@pytest.mark.parametrize("way", ENDS)
def test_ends_of_its_own_making(room: Room, way: str) -> None:
    """However it makes itself end, that is a failed build."""
    program, codes = ENDS[way]
    run = room.shell(program)
    assert (Outcome.BUILD_FAILED, None) == (run.outcome, run.limit), room.log(run)
    assert run.exit_code in codes


PYTHON_ENDS = {
    "outputs nobody may list": "open('/out/a', 'w').write('x')\nos.chmod('/out', 0)",
    "outputs of every kind": "os.mkfifo('/out/p')\nos.symlink('p', '/out/s')\nos.mkdir('/out/' + 'd' * 255)\n"
    "open(b'/out/\\xff\\n\\x1b[2J', 'w').close()\nsocket.socket(socket.AF_UNIX).bind('/out/socket')",
    "deep trees": "for top in ('/out', '/build'):\n os.chdir(top)\n for _ in range(3000):\n  os.mkdir('d' * 200)\n"
    "  os.chdir('d' * 200)",
    "a log that is not to be read": "import fcntl\nfcntl.fcntl(1, fcntl.F_SETFL, os.O_NONBLOCK)\n"
    "fcntl.fcntl(1, 1031, 4096)\nprint('\\x1b]0;x\\x07\\u202e')",
    "left running": "if os.fork() == 0:\n os.setsid()\n signal.signal(15, signal.SIG_IGN)\n time.sleep(600)",
}


@pytest.mark.parametrize("way", PYTHON_ENDS)
@pytest.mark.parametrize("code", [0, 3])
def test_what_it_leaves_is_no_trouble(room: Room, way: str, code: int) -> None:
    """The run has an outcome of its own, whatever lies in its file systems."""
    run = room.python(f"{LIBC}{PYTHON_ENDS[way]}\nos._exit({code})")
    assert run.outcome in {Outcome.COMPLETED if code == 0 else Outcome.BUILD_FAILED, Outcome.TIMED_OUT}, room.log(run)


def test_the_last_process_there_may_be(room: Room) -> None:
    """With no process left to start, it is the limit that is said."""
    run = room.python(
        f"{LIBC}while True:\n try: os.fork()\n except OSError: time.sleep(600)", limits=Limits(processes=40)
    )
    assert (Outcome.TIMED_OUT, Limit.PROCESSES) == (run.outcome, run.limit)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the system call numbers that it uses are those of x86_64")
@pytest.mark.parametrize("number", [337, 400, 423, 451, 462, 466, 470, 1000, 0x3FFFFFFF])
def test_newer_calls_do_not_exist(room: Room, number: int) -> None:
    """Numbers that were given to nothing when the filter was made are answered as an older kernel would."""
    answer = room.ask(f"{LIBC}answer = [libc.syscall({number}, 0, 0, 0), ctypes.get_errno()]")
    assert [-1, 38] == answer
