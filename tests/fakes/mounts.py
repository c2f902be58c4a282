"""Runs a piece of Python where a directory is a file system of its own: tiny, or read-only."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run_on_own_disk(disk: Path, program: str, *, size: str | None = None) -> str:
    """Run ``program`` with ``disk`` as its first argument; give what it printed.

    Args:
        disk: Directory to mount over, in a mount namespace that ends with the program.
        program: Python source.
        size: Mount an empty tmpfs of this size, such as ``256k``; None makes what is there read-only.
    """
    if shutil.which("unshare") is None:
        pytest.fail("unshare is missing: apt-get install util-linux", pytrace=False)
    if size is not None:
        mount = f'mount -t tmpfs -o size={size} tmpfs "$1"'
    else:
        mount = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"'
    shell = f'{mount} && exec "$2" -c "$3" "$1"'
    finished = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-ec", shell, "sh", str(disk), sys.executable, program],
        cwd=ROOT,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout
