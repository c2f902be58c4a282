"""Releases with wheels of 10 MB: one is verified from a registry of our own, one accounted for."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from rebuilder.sandbox.program_runner import program_archive
from tests.fakes.projects import build, make_sdist, make_wheel, minibackend_wheel
from tests.fakes.registry import Registry

MEMBERS = 100
MEMBER_BYTES = 100_000


def verify_large_wheel(work: Path, store: Path) -> tuple[int, float]:
    """Verify it once, everything cold but the build environment.

    Returns:
        Peak resident memory in bytes of the largest process outside the sandbox, and wall time in seconds.
    """
    noise = random.Random(1)  # noqa: S311 - incompressible, not secret
    files = {f"large/data_{i}.bin": noise.randbytes(MEMBER_BYTES) for i in range(MEMBERS)}
    sdist = make_sdist("large", "1.0", {"large/__init__.py": "", **files})
    uploaded = datetime(2024, 6, 1, tzinfo=UTC)
    with Registry() as registry:
        registry.add(minibackend_wheel(), uploaded=datetime(2020, 1, 1, tzinfo=UTC))
        registry.add(sdist, uploaded=uploaded)
        wheel = build(sdist, epoch=int(uploaded.timestamp()))
        assert len(wheel.data) > MEMBERS * MEMBER_BYTES
        registry.add(wheel, uploaded=uploaded)
        command = [str(Path(sys.executable).parent / "rebuilder"), "verify", "--tier", "source", "--store", str(store)]
        command += ["--keys", str(work / "keys"), "--index-url", registry.url, "pypi:large==1.0"]
        start = time.perf_counter()
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0, status
        return usage.ru_maxrss * 1024, time.perf_counter() - start


def account_for_large_wheel(work: Path, runs: int) -> tuple[float, float]:
    """Account for a 10 MB wheel for one platform: 400 Python files, 40 modules, and a source archive of the same size.

    Returns:
        Median wall time in seconds, and peak resident memory in bytes.
    """
    noise = random.Random(1)  # noqa: S311 - incompressible, not secret
    python = {f"large/module_{i}.py": f"DATA = {noise.randbytes(4000)!r}\n" for i in range(400)}
    modules = {f"large/_c{i}.cpython-313-x86_64-linux-gnu.so": b"\x7fELF" + noise.randbytes(150_000) for i in range(40)}
    code = {f"large/_c{i}.c": noise.randbytes(100_000) for i in range(40)}
    wheel = make_wheel("large", "1.0", {**python, **modules}, tag="cp313-cp313-manylinux_2_17_x86_64")
    program, files = work / "account.pyz", (work / wheel.filename, work / "source.tar.gz")
    program.write_bytes(program_archive("account"))
    files[0].write_bytes(wheel.data)
    files[1].write_bytes(make_sdist("large", "1.0", {**python, **code}).data)
    assert len(wheel.data) > 10_000_000
    command = [sys.executable, "-I", "-S", str(program), "account_for_wheel", *map(str, files)]
    command += ["--filename", wheel.filename, "--result", str(work / "accounts.json")]
    spent, peak = [], 0
    for _ in range(runs + 1):
        start = time.perf_counter()
        process = subprocess.Popen(command)
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0, status
        spent.append(time.perf_counter() - start)
        peak = max(peak, usage.ru_maxrss * 1024)
    return statistics.median(spent[1:]), peak
