"""The PEP 517 frontend for source archives; what it shares with wheels is tested there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rebuilder.programs.pypi.frontend import HOOK_FAILED, NO_OUTPUT
from rebuilder.sandbox.program_runner import program_archive

BACKEND = """
import os
def get_requires_for_build_sdist(config_settings=None):
    return ["dynamic>=1"]
def get_requires_for_build_wheel(config_settings=None):
    raise AssertionError("this is no wheel")
def build_sdist(sdist_directory, config_settings=None):
    open(os.path.join(sdist_directory, "x-1.tar.gz"), "w").close()
    return "x-1.tar.gz"
"""


def call(tmp_path: Path, backend: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run ``build_sdist`` on a source tree that holds its own backend."""
    (tmp_path / "pypi.pyz").write_bytes(program_archive("pypi"))
    (tmp_path / "src").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "src" / "backend.py").write_text(backend)
    arguments = ["build_sdist", "--backend", "backend", "--backend-path", ".", "--source", str(tmp_path / "src")]
    return subprocess.run(
        [sys.executable, "-E", "-S", tmp_path / "pypi.pyz", *arguments, *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=tmp_path,
    )


def test_builds_a_source_archive(tmp_path: Path) -> None:
    """The hooks for source archives are called, those for wheels are not."""
    done = call(tmp_path, BACKEND, "--out", str(tmp_path / "out"))
    assert (0, "") == (done.returncode, done.stderr)
    assert ["build_sdist: the backend requires dynamic>=1", "build_sdist: x-1.tar.gz"] == done.stdout.splitlines()
    assert ["x-1.tar.gz"] == [each.name for each in (tmp_path / "out").iterdir()]


def test_asks_for_requirements_only(tmp_path: Path) -> None:
    """With --requires-only nothing is built."""
    result = tmp_path / "requires.json"
    assert 0 == call(tmp_path, BACKEND, "--requires-only", "--result", str(result)).returncode
    assert {"requires": ["dynamic>=1"]} == json.loads(result.read_text())
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("backend", "code", "words"),
    [
        ("", HOOK_FAILED, "build_sdist failed"),
        ("def build_sdist(out, settings): raise SystemExit(0)", HOOK_FAILED, "build_sdist failed"),
        ("def build_sdist(out, settings): return 'gone.tar.gz'", NO_OUTPUT, "'gone.tar.gz', which is not there"),
    ],
)
def test_failures_are_told_apart(tmp_path: Path, backend: str, code: int, words: str) -> None:
    """Each has its exit code and a sentence."""
    done = call(tmp_path, backend, "--out", str(tmp_path / "out"))
    assert code == done.returncode
    assert words in done.stderr
