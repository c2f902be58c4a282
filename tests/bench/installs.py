"""``python -m tests.bench installs``: what installing through the proxy costs, with the real pip and the real uv.

A lock file of 200 pinned wheels is installed from an index on this machine, directly and through ``rebuilder proxy`` in
a process of its own, in turn; nothing is kept by the installers, and the proxy knows the pages. No network is needed.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.loopback_index import LoopbackIndex, serving, wheel
from tests.fakes.published import PublishedRebuilder, identical, requirement

FILES = 200
_BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Cost:
    """What it takes to install all of it; the fastest of runs in turn, since other work only makes one slower."""

    direct: float
    """Seconds."""
    proxied: float
    requests: int
    """That one installation makes."""
    cpu: float
    """Of the proxy, seconds in one installation; median."""


def costs(work: Path, runs: int) -> Iterator[tuple[str, Cost]]:
    """Measure ``pip install`` and ``uv sync``; by the words of the command."""
    contents = {f"package{number}-1.0-py3-none-any.whl": wheel(f"package{number}", "1.0") for number in range(FILES)}
    found = [identical(name.split("-")[0], content=content) for name, content in contents.items()]
    rebuilder = PublishedRebuilder(work / "rebuilder")
    rebuilder.publish(*found, contents=contents.values())
    (work / "policy.toml").write_text(f'[[rebuilders]]\nplace = "{rebuilder.site}"\n')
    (work / "requirements.txt").write_text(requirement(found))
    names = ", ".join(f'"{each.artifact.name}==1.0"' for each in found)
    project = f'[project]\nname = "project"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = [{names}]\n'
    with serving(LoopbackIndex(contents)) as index, _proxy(work, index.url) as proxy:
        for make in (_pip, _uv):
            label, direct = make(work, "direct", index.url, project)
            _, proxied = make(work, "proxied", proxy.url, project)
            yield label, _cost(direct, proxied, index, proxy, runs)


def _cost(
    direct: Callable[[], float], proxied: Callable[[], float], index: LoopbackIndex, proxy: Proxy, runs: int
) -> Cost:
    direct(), proxied()
    alone, behind, cpu = [], [], []
    for _ in range(runs):
        index.asked.clear()
        alone.append(direct())
        requests = len(index.asked)
        before = proxy.cpu
        behind.append(proxied())
        cpu.append(proxy.cpu - before)
    return Cost(min(alone), min(behind), requests, statistics.median(cpu))


def _pip(work: Path, name: str, url: str, _: str) -> tuple[str, Callable[[], float]]:
    target = work / f"pip-{name}"
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-cache-dir",
        "--disable-pip-version-check",
    ]
    options: list[str | Path] = [
        "--index-url",
        url,
        "--require-hashes",
        "--requirement",
        work / "requirements.txt",
        "--target",
        target,
    ]

    def install() -> float:
        shutil.rmtree(target, ignore_errors=True)
        return _seconds([*command, *options], target.parent, {"PIP_CONFIG_FILE": os.devnull})

    return "pip install --require-hashes", install


def _uv(work: Path, name: str, url: str, project: str) -> tuple[str, Callable[[], float]]:
    where = work / f"uv-{name}"
    where.mkdir()
    (where / "pyproject.toml").write_text(project)
    words = ["sync", "--quiet", "--no-cache", "--reinstall", "--python", sys.executable]

    def sync() -> float:
        return _seconds([sys.executable, "-m", "uv", *words], where, {"UV_INDEX_URL": url})

    return "uv sync --reinstall", sync


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy in a process of its own."""

    url: str
    """Of its index."""
    number: int
    """Of the process."""

    @property
    def cpu(self) -> float:
        """Seconds that it has used."""
        fields = Path(f"/proc/{self.number}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _proxy(work: Path, index: str) -> Iterator[Proxy]:
    words: list[str | Path] = [
        "proxy",
        "--policy",
        work / "policy.toml",
        "--listen",
        "127.0.0.1:0",
        "--index-url",
        index,
    ]
    command = [_BIN / "rebuilder", *words, "--seen", work / "seen"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            found = re.search(r"http://\S+/simple/", line)
            if found is None:
                sys.exit(f"rebuilder proxy did not start: {line}{process.stderr.read()}")
            yield Proxy(found[0], process.pid)
        finally:
            process.terminate()


def _seconds(command: Sequence[str | Path], where: Path, more: dict[str, str]) -> float:
    environment = {"PATH": os.environ["PATH"], "HOME": str(where.parent), **more}
    start = time.perf_counter()
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)
    spent = time.perf_counter() - start
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stderr}")
    return spent


def main(runs: int = 3) -> int:
    """Print a table."""
    heads = [
        f"{FILES} wheels",
        "directly, s",
        "through the proxy, s",
        "ratio",
        "requests",
        "more each, ms",
        "CPU each, ms",
    ]
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|", flush=True)
    with tempfile.TemporaryDirectory(prefix="rebuilder-bench-") as name:
        for label, each in costs(Path(name), runs):
            times = f"{each.direct:.2f} | {each.proxied:.2f} | {each.proxied / each.direct:.2f} | {each.requests}"
            more, cpu = each.proxied - each.direct, each.cpu
            shown = " | ".join(f"{seconds / each.requests * 1000:.1f}" for seconds in (more, cpu))
            print(f"| `{label}` | {times} | {shown} |", flush=True)
    return 0
