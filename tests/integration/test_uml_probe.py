"""Whether a guest runs here is found out by booting one, once for each state of the machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rebuilder.environments.protocol import BuildEnvironment
from rebuilder.environments.store import EnvironmentStore
from rebuilder.errors import BuildEnvironmentError, CorruptEnvironmentError
from rebuilder.sandbox.bubblewrap.run_sandbox import Bubblewrap
from rebuilder.sandbox.uml import probe as uml_probe
from rebuilder.sandbox.uml.probe import SWITCH, GuestProbe

AMX_PANIC = "echo 'Kernel panic - not syncing: Attempted to kill init! CPU: 0 Not tainted 6.12.113 #1'; exit 134"


@pytest.fixture(autouse=True)
def _tried_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels that are shell scripts run everywhere, also where the suite is told that no guest does."""
    monkeypatch.delenv(SWITCH, raising=False)


@pytest.fixture
def bubblewrap() -> Iterator[Bubblewrap]:
    """Starts sandboxes; ended at last."""
    started = Bubblewrap()
    yield started
    started.close()


@pytest.fixture
def broken(environments: EnvironmentStore, tmp_path: Path) -> Callable[[str], BuildEnvironment]:
    """Gives build environments whose kernel is a shell script; it counts its boots in nothing but what it says."""

    def made(script: str) -> BuildEnvironment:
        real = environments.get("uml")
        root = tmp_path / "toolchains/trees/x/root"
        root.mkdir(parents=True)
        uml_probe._small_root(real, root)
        (root / "usr/bin").mkdir(parents=True)
        (root / "usr/bin/dash").write_bytes((root / "bin/sh").read_bytes())
        kernel = root / "usr/bin/linux.uml"
        kernel.write_text(f"#!/bin/sh\n{script}\n")
        kernel.chmod(0o755)
        return real.replace(root=root)

    return made


@pytest.mark.needs_guest
def test_a_guest_that_runs(environments: EnvironmentStore, bubblewrap: Bubblewrap, tmp_path: Path) -> None:
    """It is booted once; the next process takes the answer from the file, until the machine is another."""
    memory, boots = tmp_path / "cache/guest.json", []

    class Counted(GuestProbe):
        def _look(self, kernel: BuildEnvironment) -> None:
            boots.append(kernel.sha256)
            super()._look(kernel)

    def kernel() -> BuildEnvironment:
        return environments.get("uml")

    assert Counted(kernel, bubblewrap, memory).problem() is None
    assert Counted(kernel, bubblewrap, memory).problem() is None
    assert 1 == len(boots)
    assert Counted(kernel, bubblewrap, memory).problem(anew=True) is None
    memory.write_text(memory.read_text().replace("facts_sha256", "facts"))
    assert Counted(kernel, bubblewrap, memory).problem() is None
    assert 3 == len(boots)


@pytest.mark.parametrize("fact", ["_processor", "platform"])
def test_another_machine_is_tried_again(
    environments: EnvironmentStore,
    bubblewrap: Bubblewrap,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fact: str,
) -> None:
    """What was found on one processor or kernel says nothing about another."""
    boots = []

    class Counted(GuestProbe):
        def _look(self, kernel: BuildEnvironment) -> None:
            boots.append(kernel.sha256)

    probe = Counted(lambda: environments.get("uml"), bubblewrap, tmp_path / "guest.json")
    for value in ("a", "b", "b", "a"):
        stands_for: object = _Machine(value) if fact == "platform" else (lambda value=value: {"flags": value})
        monkeypatch.setattr(uml_probe, fact, stands_for)
        assert probe.problem() is None
    assert 3 == len(boots)


class _Machine:
    """Stands for the module ``platform``."""

    def __init__(self, value: str) -> None:
        self._value = value

    def machine(self) -> str:
        return "x86_64"

    def release(self) -> str:
        return self._value

    version = release


def test_a_kernel_that_cannot_start_a_process_here(
    broken: Callable[[str], BuildEnvironment], bubblewrap: Bubblewrap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cause, and the command that makes the environment again; on other processors it is what the kernel said."""
    kernel = broken(AMX_PANIC)
    monkeypatch.setattr(uml_probe, "_processor", lambda: {"flags": "fpu amx_tile"})
    error = GuestProbe(lambda: kernel, bubblewrap).problem()
    assert "the guest's kernel 6.12 cannot start" in str(error)
    assert error is not None
    assert str(error.hint).endswith(f"--store {kernel.root.parents[3]} --again uml")
    monkeypatch.setattr(uml_probe, "_processor", lambda: {"flags": "fpu"})
    assert "Kernel panic - not syncing: Attempted to kill init!" in str(
        GuestProbe(lambda: kernel, bubblewrap).problem()
    )


def test_no_kernel_to_boot(bubblewrap: Bubblewrap) -> None:
    """A build environment that cannot be made is why no guest runs; one that was modified is an incident."""

    def gone() -> BuildEnvironment:
        raise BuildEnvironmentError(
            "The build environment uml cannot be made: the mirror lacks a package.", hint="Check it."
        )

    def modified() -> BuildEnvironment:
        raise CorruptEnvironmentError("The build environment uml was modified.")

    error = GuestProbe(gone, bubblewrap).problem()
    assert ("the mirror lacks a package." in str(error), "Check it.") == (True, error and error.hint)
    with pytest.raises(CorruptEnvironmentError):
        GuestProbe(modified, bubblewrap).problem()


def test_the_switch(
    environments: EnvironmentStore, bubblewrap: Bubblewrap, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the environment variable no guest runs, and nothing is remembered of that."""
    monkeypatch.setenv(SWITCH, "none")
    memory = tmp_path / "guest.json"
    error = GuestProbe(lambda: environments.get("uml"), bubblewrap, memory).problem()
    assert SWITCH in str(error)
    assert not memory.exists()
