"""Runners as if each had a machine of its own: another user, sometimes a small disk or a wrong clock.

Users are numbers that nobody has, mounts are in a namespace of the runner: nothing of it outlives the process. Without
root all runners are of one user, and there are no small disks.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.fakes.fleet_servers import RunnerProcess, Servers

ROOT = os.getuid() == 0
_FIRST_USER = 64_001
_CHECKOUT = Path(__file__).parents[2]
_FAKE_TIME = "*/faketime/libfaketimeMT.so.1"

# Arguments: a directory for mounts, pairs of a directory that others cannot enter and one below that they need, "--",
# the size of the disk or nothing, the store, the user, the command.
_SCRIPT = """
stage=$1; shift
closed= opened=
while [ "$1" != -- ]; do
  mkdir -p "$stage$2"; mount --rbind "$2" "$stage$2"
  closed="$closed $1"; opened="$opened $2"; shift 2
done
for each in $closed; do mountpoint -q "$each" || mount -t tmpfs -o mode=755 tmpfs "$each"; done
for each in $opened; do mkdir -p "$each"; mount --rbind "$stage$each" "$each"; done
disk=$2 store=$3 user=$4; shift 4
[ -z "$disk" ] || mount -t tmpfs -o "size=$disk,uid=$user,gid=$user,mode=700" tmpfs "$store"
exec setpriv --reuid="$user" --regid="$user" --clear-groups "$@"
"""

# libfaketime takes an end of a sleep that has just passed for a mistake.
_SLEEP = """
import time
real = time.sleep
def sleep(seconds):
    try:
        real(seconds)
    except OSError:
        pass
time.sleep = sleep
"""


def machine(running: Servers, name: str, *, disk: str = "", days_off: int = 0) -> RunnerProcess:
    """One more runner, not started yet.

    Args:
        running: The servers.
        name: Of the runner.
        disk: Size of the disk of its store, as tmpfs has it; nothing: as large as any.
        days_off: So far its clock is ahead.
    """
    made = running.runner(name)
    clock: tuple[str, ...] = ()
    if days_off:
        made.environment["PYTHONPATH"] = str(made.directory / "python")
        (made.directory / "python").mkdir()
        (made.directory / "python" / "sitecustomize.py").write_text(_SLEEP)
        clock = ("env", f"LD_PRELOAD={_fake_time()}", f"FAKETIME={days_off:+d}d", "FAKETIME_DONT_FAKE_MONOTONIC=1")
    made.through = clock
    if ROOT:
        user, stage = _FIRST_USER + len(running.runners), made.directory / "mounts"
        made.store.mkdir()
        stage.mkdir()
        for place in (made.directory, *made.directory.rglob("*")):
            os.chown(place, user, user)
        made.directory.chmod(0o700)
        made.log.touch()
        words = ("unshare", "--mount", "sh", "-euc", _SCRIPT, "sh", stage, *_hidden(), "--", disk, made.store, user)
        made.through = (*map(str, words), *clock)
    return made


def _hidden() -> Iterable[Path]:
    """Directories that others cannot enter, each before one below it that a runner needs."""
    needed = {Path(sys.base_prefix), _CHECKOUT, *(Path(each) for each in sys.path if each.endswith("site-packages"))}
    for each in sorted({place.resolve() for place in needed}):
        closed = next((up for up in reversed(each.parents) if not up.stat().st_mode & 1), None)
        if closed is not None:
            yield from (closed, each)


def _fake_time() -> Path:
    found = next(Path("/usr/lib").glob(_FAKE_TIME), None)
    assert found is not None, "libfaketime is not installed; run `apt-get install libfaketime`."
    return found


class FullDisk:
    """What fills the small disk of a runner to its last byte."""

    def __init__(self, runner: RunnerProcess) -> None:
        assert runner.process is not None
        self._ballast = Path(f"/proc/{runner.process.pid}/root{runner.store}/ballast")

    def fill(self) -> None:
        """Leave nothing."""
        with self._ballast.open("wb") as file, contextlib.suppress(OSError):  # somebody else may fill it first
            while free := shutil.disk_usage(self._ballast.parent).free:
                file.truncate(file.tell())
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, free)

    def free(self) -> None:
        """As it was."""
        self._ballast.unlink()


def builders_of(runner: RunnerProcess) -> list[int]:
    """Ids of those of its processes that run builds; none while it is still being started."""
    assert runner.process is not None
    if not _is_python(runner.process.pid):
        return []  # what starts it: to kill a part of that is to kill the runner
    said = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(runner.process.pid)], capture_output=True, text=True, check=False
    ).stdout
    return [each for each in map(int, said.split()) if _is_python(each)]


def _is_python(process: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/exe").readlink() == Path(sys.executable).resolve()
    return False
