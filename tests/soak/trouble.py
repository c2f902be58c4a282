"""The bad things: kills, a database that goes away, a disk that fills up."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.fakes.postgres import Postgres
from tests.soak.figures import Part
from tests.soak.processes import children
from tests.soak.rounds import Round, run

_DISK = "600m"
_ROOT = Path(__file__).parents[2]


def kills(events: int, seconds: float, seed: int) -> Part:
    """SIGKILL at random points, the ledger being a file."""
    part = Part("kill -9, SQLite")
    run(part, seconds, events, Round.kill_something, seed=seed, known=set(children(os.getpid())))
    return part


def database(events: int, seconds: float, seed: int) -> Part:
    """SIGKILL at random points, and restarts of the PostgreSQL that has the ledger."""
    part = Part("kill -9, PostgreSQL")
    with Postgres() as postgres:

        def disturb(one: Round) -> None:
            if one.chance.random() < 0.6:
                one.kill_something()
                return
            one.events["restarts of PostgreSQL"] += 1
            postgres.stop("immediate")
            time.sleep(one.chance.uniform(0, 3))
            postgres.start()

        known = set(children(os.getpid()))
        # The server and its helpers come to us when it is started anew.
        run(part, seconds, events, disturb, seed=seed, known=known, place=lambda _: postgres.url(postgres.create()))
    return part


def disk(events: int, seconds: float, seed: int) -> Part:
    """A store on a small disk that is full now and then; in a mount namespace, so that nothing stays mounted."""
    if os.getuid() != 0 or shutil.which("unshare") is None:
        return Part("full disk", violations=["This part mounts a small disk: run it as root, with util-linux there."])
    script = f'mount -t tmpfs -o size={_DISK} tmpfs "$1" && shift && exec "$@"'
    home = Path(os.environ.get("TMPDIR", "/var/tmp")) / f"rebuilder-soak-disk-{os.getpid()}"
    home.mkdir()
    inner = [sys.executable, "-m", "tests.soak", "--only", "inside-disk", "--home", str(home)]
    inner += ["--kills", str(events), "--seconds", str(seconds), "--seed", str(seed)]
    try:
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-euc", script, "sh", str(home), *inner],
            cwd=_ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            timeout=seconds + 900,
        )
    finally:
        home.rmdir()
    return Part("full disk", violations=[] if done.returncode == 0 else ["see above"], figures=_read(done.stdout))


def _read(printed: str) -> dict[str, str]:
    lines = [line.split("  ") for line in printed.splitlines() if line.startswith("full disk")]
    return {line[1].strip(): "  ".join(line[2:]).strip() for line in lines} | {
        f"violation {index}": line for index, line in enumerate(printed.splitlines()) if line.startswith("VIOLATION")
    }


def inside_disk(home: Path, events: int, seconds: float, seed: int) -> Part:
    """What :func:`disk` runs where ``home`` is a small disk."""
    part = Part("full disk")

    def disturb(one: Round) -> None:
        one.events["times the disk was full"] += 1
        ballast = home / "ballast"
        spare = one.chance.choice((0, 4096, 65536, 1 << 20))
        with ballast.open("wb") as file, contextlib.suppress(OSError):  # somebody else may fill it first
            os.posix_fallocate(file.fileno(), 0, max(4096, shutil.disk_usage(home).free - spare))
        time.sleep(one.chance.uniform(0.5, 4))
        ballast.unlink()

    run(part, seconds, events, disturb, seed=seed, known=set(children(os.getpid())), home=home)
    return part
