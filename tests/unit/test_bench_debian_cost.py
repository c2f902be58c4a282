"""What is measured of a Debian rebuild's cost: whole process trees, and nothing of one that fails."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from rebuilder.model.definition import BuildDefinition, EnvironmentRef
from rebuilder.model.value import Sha256
from tests.bench import debian_cost

BUSY = "import time\nwhile time.process_time() < {}: pass"


def test_processes_that_a_command_started_count(tmp_path: Path) -> None:
    """What a shell waited for is part of what it used."""
    inner = f"{shlex.quote(sys.executable)} -c {shlex.quote(BUSY.format(0.3))}"
    said, seconds = debian_cost._spent(["sh", "-c", f"{inner}; echo done"], tmp_path)
    assert ("done\n", True) == (said, 0.3 <= seconds < 10)


def test_a_command_that_fails_ends_the_benchmark(tmp_path: Path) -> None:
    """Its exit code and what it said are told."""
    with pytest.raises(SystemExit, match=r"(?s)exit 3 ended with 3:.*broken"):
        debian_cost._spent(["sh", "-c", "echo broken; exit 3"], tmp_path)


def test_sbuild_is_left_out_where_it_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence says so, with what to install; nothing is made for it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    definition = BuildDefinition(
        build_type="tag:rebuilder,2026:test",
        purl="pkg:deb/debian/tiny@1.0",
        targets=("tiny_1.0_all.deb",),
        toolchain=EnvironmentRef(name="trixie-build", sha256=Sha256("0" * 64)),
        commands=(("/usr/bin/true",),),
        environment={},
    )
    bare = debian_cost._Bare(definition, tmp_path, tmp_path, ())
    assert debian_cost._Sbuild.of(bare, tmp_path / "sbuild") is None
    assert "apt-get install sbuild uidmap" in capsys.readouterr().out
    assert not (tmp_path / "sbuild").exists()
