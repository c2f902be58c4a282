"""Owners of leases: told apart by machine, process and start; gone only when that is certain."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from rebuilder.service.process_identity import gone, this_process

UNUSED = (1 << 22) + 1
"""Above the highest process id Linux gives (proc(5), pid_max)."""


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc with this process in it, as the kernel writes it."""
    root = tmp_path / "proc"
    (root / "self/ns").mkdir(parents=True)
    (root / "self/ns/pid").symlink_to("pid:[4026531836]")
    (root / "self/ns/time").symlink_to("time:[4026531834]")
    (root / "sys/kernel/random").mkdir(parents=True)
    (root / "sys/kernel/random/boot_id").write_text("5d2f0a3e-0000-4000-8000-000000000001\n")
    write(root, os.getpid())
    return root


def write(proc: Path, process: int, *, state: str = "S", start: int = 12345) -> None:
    """The stat file of a process whose program has a name made to confuse."""
    fields = " ".join(["0"] * 18)
    (proc / str(process)).mkdir(exist_ok=True)
    (proc / str(process) / "stat").write_text(f"{process} (a) R ) b) {state} {fields} {start} 0 0\n")


def test_this_process_is_there(proc: Path) -> None:
    """The name has three parts, and this process does not take itself for gone."""
    owner = this_process(proc=proc)
    assert [str(os.getpid()), "12345"] == owner.split("/")[1:]
    assert not gone(owner, proc=proc)
    assert this_process() == this_process()
    assert not gone(this_process())


@pytest.mark.parametrize(("state", "start"), [("S", 99999), ("Z", 12345), ("X", 12345)])
def test_a_process_that_ended_is_gone(proc: Path, state: str, start: int) -> None:
    """Its id was given to another, or nobody has waited for it yet."""
    owner = this_process(proc=proc)
    write(proc, os.getpid(), state=state, start=start)
    assert gone(owner, proc=proc)


def test_a_process_that_is_nowhere_is_gone(proc: Path) -> None:
    """Neither /proc nor the kernel knows it."""
    machine = this_process(proc=proc).split("/")[0]
    assert gone(f"{machine}/{UNUSED}/1", proc=proc)


def test_a_process_that_is_hidden_is_not_gone(proc: Path) -> None:
    """Where /proc does not show it (hidepid) the kernel does: its lease runs out by itself if it hangs."""
    owner = this_process(proc=proc)
    shutil.rmtree(proc / str(os.getpid()))
    assert not gone(owner, proc=proc)


def test_a_stat_that_cannot_be_read_tells_nothing(proc: Path) -> None:
    """Half a line is no reason to take a task from somebody."""
    owner = this_process(proc=proc)
    (proc / str(os.getpid()) / "stat").write_text("1 (a")
    assert not gone(owner, proc=proc)


@pytest.mark.parametrize("change", ["boot", "process ids", "times"])
def test_other_machines_are_left_alone(proc: Path, change: str) -> None:
    """After another boot, and in another container, ids mean other processes."""
    machine = this_process(proc=proc).split("/")[0]
    owner = f"{machine}/{UNUSED}/1"
    if change == "boot":
        (proc / "sys/kernel/random/boot_id").write_text("5d2f0a3e-0000-4000-8000-000000000002\n")
    else:
        link = proc / "self/ns" / {"process ids": "pid", "times": "time"}[change]
        link.unlink()
        link.symlink_to("pid:[7]")
    assert not gone(owner, proc=proc)


@pytest.mark.parametrize("end", ["", "/", "/1", "/0/1", "/-1/1", "/1e3/1", "/99999999999/1", "/٣/1", "/1/1/1", "/1/x"])
def test_what_is_no_owner_is_not_gone(proc: Path, end: str) -> None:
    """A name that cannot be read is nobody's to release."""
    machine = this_process(proc=proc).split("/")[0]
    assert not gone(machine + end, proc=proc)
