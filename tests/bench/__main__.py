"""``make bench``: what verifying costs, as ratios against what a user would run instead.

Every figure is the median of alternating runs in one go on one machine. The real index is used, through the settings of
pip and uv; both sides of a ratio find their caches warm. ``python -m tests.bench list`` works through whole lists.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench import backlog, causes, debian_cost, debian_list, installs, list_command, preflight, site
from tests.bench.admission import A_SECOND, admission_waits
from tests.bench.attestations import attestation_seconds
from tests.bench.consumer import FILES, consumer
from tests.bench.large import account_for_large_wheel, verify_large_wheel
from tests.bench.log import ENTRIES, log_figures
from tests.bench.npm import npm_figures
from tests.bench.queue import dispatch
from tests.bench.sandbox import sandbox_overhead
from tests.bench.sources import fetch_sdist

BIN = Path(sys.executable).parent
RELEASES = ("jinja2==3.1.6", "pluggy==1.7.0", "idna==3.20")


def main() -> int:
    """Run all measurements and print one table; ``list`` and others are commands of their own."""
    if sys.argv[1:2] == ["list"]:
        return list_command.main(sys.argv[2:])
    if sys.argv[1:2] == ["backlog"]:
        return backlog.main(sys.argv[2:])
    if sys.argv[1:2] == ["site"]:
        return site.main(sys.argv[2:])
    if sys.argv[1:2] == ["installs"]:
        return installs.main()
    others = {
        "causes": causes.main,
        "debian": debian_list.main,
        "debian-cost": debian_cost.main,
        "preflight": preflight.main,
    }
    if (other := others.get("".join(sys.argv[1:2]))) is not None:
        return other(sys.argv[2:])
    arguments = argparse.ArgumentParser(prog="make bench", description=__doc__)
    arguments.add_argument("--runs", type=int, default=9, help="counted runs of each command")
    arguments.add_argument("--environments", type=Path, default=Path(".build/toolchains"))
    options = arguments.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory(prefix="rebuilder-bench-") as name:
        work = Path(name)
        work.chmod(0o755)
        store = work / "store"
        store.mkdir(mode=0o755)
        (store / "toolchains").symlink_to(options.environments.absolute())
        known = consumer(work / "consumer")
        checked = measure([BIN / "rebuilder", *known.check], options.runs)
        row(f"rebuilder check of {FILES} locked files in a mirror", checked, "s", "goal < 0.5")
        proxied = known.proxy_milliseconds(options.runs * 5)
        row("rebuilder proxy: a page of 100 files, warm", proxied, "ms", "goal < 10")
        waits = admission_waits(known, work / "admission")
        row(f"rebuilder admit: {A_SECOND} reviews a second over TLS for a minute, median", waits.median, "ms", "")
        row("rebuilder admit: the same, 99th percentile", waits.p99, "ms", "goal < 50")
        row("rebuilder admit: the first review of an image with 100 packages", waits.first, "ms", "")
        row("rebuilder --help", measure([BIN / "rebuilder", "--help"], options.runs), "s", "goal < 0.3")
        for release in RELEASES:
            compare_with_uv(release, work, store, options.runs)
        overhead = sandbox_overhead(work, options.environments, runs=options.runs * 5)
        row("sandbox start and teardown, over a bare process", overhead.sandbox * 1000, "ms", "goal <= 15")
        row("bare bwrap --unshare-all, over a bare process", overhead.bwrap * 1000, "ms", "")
        row("checking one attestation", attestation_seconds(runs=options.runs) * 1000, "ms", "goal <= 15")
        for figure in npm_figures(work / "npm", options.environments, options.runs):
            row(*figure)
        peak, total = verify_large_wheel(work, store)
        row("verify a 10 MB wheel: peak memory of the rebuilder", peak / 2**20, "MiB", "goal < 200")
        row("verify a 10 MB wheel: time", total, "s", "")
        logged = log_figures(work / "log.sqlite")
        row(f"log of {ENTRIES:,} entries: appended", logged.appended, "/s", "goal >= 10,000")
        row(f"log of {ENTRIES:,} entries: appended, the last tenth", logged.last, "/s", "goal >= 10,000")
        row(f"log of {ENTRIES:,} entries: a proof, CPU", logged.milliseconds, "ms", "goal < 5")
        row(f"log of {ENTRIES:,} entries: of consistency, CPU", logged.consistency, "ms", "goal < 5")
        row(f"log of {ENTRIES:,} entries: growth of memory", logged.growth / 2**20, "MiB", "goal < 20")
        seconds, most = account_for_large_wheel(work, options.runs)
        row("account for a 10 MB wheel: time", seconds, "s", "goal <= 2")
        row("account for a 10 MB wheel: peak memory", most / 2**20, "MiB", "goal <= 200")
        dispatched = dispatch(work / "queue.sqlite")
        row("10,000 queued, 2 workers: dispatch of an artifact", dispatched.milliseconds, "ms", "goal < 20")
        row("10,000 queued, 2 workers: growth of a worker", dispatched.growth / 2**20, "MiB", "goal < 5")
        row("10,000 queued: state of the queue", dispatched.state_milliseconds, "ms", "")
    return 0


def compare_with_uv(release: str, work: Path, store: Path, runs: int) -> None:
    """``rebuilder verify`` of a release against ``uv build --wheel`` of its source archive, in turn.

    ``--tier source``, since the other side does not build from the commit either.
    """
    sdist = fetch_sdist(release, work)
    verify: list[str | Path] = [
        BIN / "rebuilder",
        "verify",
        "--tier",
        "source",
        "--store",
        store,
        "--keys",
        work / "keys",
        f"pypi:{release}",
    ]
    build: list[str | Path] = [BIN / "uv", "build", "--quiet", "--wheel", "--out-dir", work / "out", sdist]
    pairs = in_turn(lambda: run(verify), lambda: run(build), runs)
    row(f"rebuilder verify --tier source pypi:{release}", statistics.median(a for a, _ in pairs), "s", "")
    row(f"uv build --wheel {sdist.name}", statistics.median(b for _, b in pairs), "s", "")
    row("  ratio, median of pairs", statistics.median(a / b for a, b in pairs), "x", "goal <= 1.5")


def in_turn(a: Callable[[], float], b: Callable[[], float], runs: int) -> list[tuple[float, float]]:
    """Run A B A B …, the first pair uncounted, so that drift of the machine hits both alike."""
    return [(a(), b()) for _ in range(runs + 1)][1:]


def measure(command: Sequence[str | Path], runs: int) -> float:
    """Median wall time in seconds, one warm-up uncounted."""
    return statistics.median([run(command) for _ in range(runs + 1)][1:])


def run(command: Sequence[str | Path]) -> float:
    """Wall time of one run in seconds; a run that fails ends the benchmark with its output."""
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, check=False)
    spent = time.perf_counter() - start
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stderr.decode()}")
    return spent


def print_machine() -> None:
    """The facts a reader needs to place the figures."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    bwrap = shutil.which("bwrap") or "no bwrap"
    version = subprocess.run([bwrap, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, {memory:.0f} GiB, Linux {platform.release()}")
    print(f"Python {platform.python_version()}, {version}, load {os.getloadavg()[0]:.1f}\n")


def row(name: str, value: float, unit: str, goal: str) -> None:
    """Print one figure."""
    print(f"{name:<56} {value:>9.3f} {unit:<4} {goal}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
