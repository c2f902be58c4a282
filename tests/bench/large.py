"""A release with a 10 MB wheel, verified from a registry of our own."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.fakes.projects import build, make_sdist, minibackend_wheel
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
