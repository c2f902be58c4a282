"""``rebuilder verify`` by the resident process: the same words, streams and exit codes, for its user alone."""

from __future__ import annotations

import fcntl
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rebuilder.cli import entry

COMMAND = [sys.executable, "-P", "-c", "from rebuilder.cli.entry import main; main()", "verify"]
HEEDING = ["env", "--default-signal=INT", *COMMAND]
"""The same where a shell that runs the tests in the background has switched the signal off for all below it."""
SECONDS = 60.0


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A runtime directory; the address of a socket is short."""
    with tempfile.TemporaryDirectory(prefix="run-") as name:
        yield Path(name)


@pytest.fixture
def environment(runtime: Path, tmp_path: Path) -> dict[str, str]:
    """A runtime directory, a store and a secret."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "XDG_RUNTIME_DIR": str(runtime),
        "REBUILDER_STORE": str(tmp_path / "store"),
        "REBUILDER_KEYS": str(tmp_path / "keys"),
        "REBUILDER_SITE": str(tmp_path / "site"),
        "PIP_INDEX_URL": "http://user:word@127.0.0.1:9/simple",
    }


def run(environment: dict[str, str], directory: Path, *words: str, **changes: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of one command."""
    done = subprocess.run(
        [*COMMAND, *words],
        env=environment | changes,
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def resident(environment: dict[str, str], runtime: Path, tmp_path: Path) -> Iterator[int]:
    """The process that the first command leaves behind; its id."""
    assert 2 == run(environment, tmp_path, "no subject")[0]
    [place] = waited(runtime / "rebuilder")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(place))
        process: int = struct.unpack(
            "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        )[0]
    yield process
    os.kill(process, signal.SIGTERM)


def waited(directory: Path) -> list[Path]:
    """The sockets in the directory, as soon as somebody listens at one."""
    end = time.monotonic() + SECONDS
    while not (found := [each for each in directory.glob("*") if each.is_socket() and not each.suffix]):
        assert time.monotonic() < end
        select.select([], [], [], 0.05)
    return found


@pytest.mark.usefixtures("resident")
def test_it_answers_as_the_command_does(environment: dict[str, str], tmp_path: Path) -> None:
    """Directory, environment, streams and exit code are those of whoever asks."""
    (tmp_path / "x-1.0-py3-none-any.whl").write_bytes(b"no archive")
    for words in (["x-1.0-py3-none-any.whl"], ["pypi:x==1.0"], ["--tier", "none", "x"]):
        alone = run(environment, tmp_path, *words, REBUILDER_RESIDENT="no")
        assert alone == run(environment, tmp_path, *words)
        assert "Traceback" not in alone[2]
    environment["REBUILDER_STORE"] = environment["REBUILDER_KEYS"]
    said = run(environment, tmp_path, "pypi:x==1.0")
    assert said == run(environment, tmp_path, "pypi:x==1.0", REBUILDER_RESIDENT="no")
    assert "keys" in said[2]


def test_it_does_the_work(environment: dict[str, str], resident: int, tmp_path: Path) -> None:
    """The command that was started loads nothing of the program."""
    script = (
        "import sys; sys.argv[0] = 'rebuilder'\n"
        "from rebuilder.cli.entry import answered, resident_socket\n"
        "code = answered(resident_socket(), sys.argv)\n"
        "print(code, 'rebuilder.cli.main' in sys.modules, 'pydantic' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, "verify", "no subject"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )
    assert "2 False False" == done.stdout.strip()
    assert "no subject" in done.stderr
    assert b"word" not in Path(f"/proc/{resident}/environ").read_bytes()


@pytest.mark.usefixtures("resident")
def test_it_stops_with_whoever_asked(environment: dict[str, str], tmp_path: Path) -> None:
    """A signal is passed on and gives its exit code; where nobody waits any more, nobody works either."""
    with socket.create_server(("127.0.0.1", 0)) as index:
        index.settimeout(SECONDS)
        environment["PIP_INDEX_URL"] = f"http://127.0.0.1:{index.getsockname()[1]}/simple"
        for number, codes in ((signal.SIGINT, {130}), (signal.SIGTERM, {-15}), (signal.SIGKILL, {-9})):
            process = subprocess.Popen([*HEEDING, "pypi:x==1.0"], env=environment, stderr=subprocess.PIPE, cwd=tmp_path)
            asked, _ = index.accept()
            with asked:
                asked.settimeout(SECONDS)
                assert asked.recv(65536).startswith(b"GET /simple/x/")
                process.send_signal(number)
                process.communicate(timeout=SECONDS)
                assert process.returncode in codes
                assert b"" == asked.recv(1)


def test_it_serves_its_user_alone(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that others can enter, or that is no directory, is not used."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    place = entry.resident_socket()
    assert place is not None
    assert 0o700 == place.parent.stat().st_mode & 0o777
    place.parent.chmod(0o750)
    assert entry.resident_socket() is None
    place.parent.rmdir()
    (runtime / "elsewhere").mkdir(mode=0o700)
    (runtime / "rebuilder").symlink_to(runtime / "elsewhere")
    assert entry.resident_socket() is None


def test_other_circumstances_are_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits and variables that are read while loading are in the name of the socket."""
    before = entry.circumstances()
    assert before == entry.circumstances()
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0 if soft else hard, hard))
    try:
        assert before != entry.circumstances() or soft == hard == 0
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    assert before != entry.circumstances()


def test_whoever_is_somebody_else_is_told_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket of another user in our directory gets no request."""
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        assert entry.answered(tmp_path / "socket", ["rebuilder", "verify", "x"]) is None
        connection, _ = listener.accept()
        with connection:
            assert b"" == connection.recv(1)


def test_what_could_not_serve_is_not_started_again_at_once(runtime: Path, environment: dict[str, str]) -> None:
    """A process that finds itself in other circumstances ends, and its lock says for a while that it was tried."""
    place = runtime / "nothing-of-ours"
    script = (
        f"from pathlib import Path; from rebuilder.cli.entry import leave_behind; leave_behind(Path({str(place)!r}))"
    )
    start = [sys.executable, "-P", "-c", script]
    subprocess.run(start, env=environment, check=True, timeout=SECONDS)
    lock = entry.lock_file(place)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and not lock.exists():
        select.select([], [], [], 0.05)
    before = lock.stat()
    with lock.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # it has ended
        subprocess.run(start, env=environment, check=True, timeout=SECONDS)
    assert (before.st_ino, before.st_mtime_ns) == (lock.stat().st_ino, lock.stat().st_mtime_ns)
    assert not place.exists()


def test_descriptors_that_are_not_sent_are_not_named(tmp_path: Path) -> None:
    """``<(…)`` names a file of the process that was started."""
    assert entry.answered(tmp_path / "none", ["rebuilder", "verify", "--config", "/dev/fd/63"]) is None
