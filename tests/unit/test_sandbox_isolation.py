"""Refusals: where an isolation cannot be had, nothing weaker is used."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebuilder.errors import SandboxUnavailableError
from rebuilder.sandbox.bubblewrap import host_support, seccomp


def bwrap(directory: Path, says: str) -> str:
    """A program named bwrap that tells some version; gives the directory to search."""
    program = directory / "bwrap"
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    return str(directory)


def test_no_bubblewrap(tmp_path: Path) -> None:
    """The hint is the command that installs it."""
    with pytest.raises(SandboxUnavailableError, match="not installed") as caught:
        host_support.bubblewrap(str(tmp_path))
    assert caught.value.hint == "Install it: apt-get install bubblewrap"


@pytest.mark.parametrize("version", ["0.7.9", "0.4.1"])
def test_old_bubblewrap(tmp_path: Path, version: str) -> None:
    """Releases that cannot switch nested user namespaces off are refused."""
    with pytest.raises(SandboxUnavailableError, match=f"{version} is too old"):
        host_support.bubblewrap(bwrap(tmp_path, f"bubblewrap {version}"))


def test_strange_bubblewrap(tmp_path: Path) -> None:
    """So is a program that does not say what it is."""
    with pytest.raises(SandboxUnavailableError, match="does not tell its version"):
        host_support.bubblewrap(bwrap(tmp_path, "hello"))


@pytest.mark.parametrize("version", ["0.8.0", "0.11.0", "1.0"])
def test_new_bubblewrap(tmp_path: Path, version: str) -> None:
    """Newer ones are fine."""
    path, found = host_support.bubblewrap(bwrap(tmp_path, f"bubblewrap {version}"))
    assert (str(tmp_path / "bwrap"), version) == (path, found)


def test_unknown_processor() -> None:
    """Without a filter for the processor there is no sandbox."""
    with pytest.raises(SandboxUnavailableError, match="riscv64"):
        seccomp.program_for("riscv64")


@pytest.mark.parametrize("machine", seccomp.MACHINES)
def test_filter_can_be_built(machine: str) -> None:
    """For each architecture it is whole instructions, and what comes first answers calls nobody knows."""
    program = seccomp.program_for(machine)
    assert len(program) % 8 == 0
    assert len(program) // 8 > 100
    assert program == seccomp.program_for(machine)
    (_, low), (high, last) = seccomp.ASSIGNED_CALLS[machine]
    limits = [int.from_bytes(program[8 * index + 4 : 8 * index + 8], "little") for index in (2, 3, 4)]
    assert [last + 1, high, low + 1] == limits
