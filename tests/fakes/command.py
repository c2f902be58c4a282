"""The ``rebuilder`` command as a user runs it, with a store, keys and site of its own.

Each run is a process of its own with nothing but the environment it is given, forked from one that has loaded the
program: that spares a second of imports. ``Installation.command`` is for tests that are about the process itself.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rebuilder.cli.entry import SWITCH as RESIDENT
from rebuilder.sandbox.uml.probe import SWITCH

_ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).parent / "rebuilder"
_LONGEST_SECONDS = 900
"""What a machine that is busy with other things may need for a run."""


LOADED = ("rebuilder.cli.main", "rebuilder.cli.verify", "rebuilder.ecosystems.pypi.ecosystem", "alembic.config")
"""What a run loads in any case, or late."""
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([*LOADED])


def _run(command: list[str], environment: dict[str, str], out: str, err: str) -> None:
    """Become the command; it ends the process."""
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = command
    for descriptor, path in ((1, out), (2, err)):
        file = os.open(path, os.O_WRONLY)
        os.dup2(file, descriptor)
        os.close(file)
    sys.stdout, sys.stderr = (
        open(descriptor, "w", encoding="utf-8", errors=errors, closefd=False)  # noqa: SIM115
        for descriptor, errors in ((1, "strict"), (2, "backslashreplace"))
    )
    from rebuilder.cli.main import main

    main()


@dataclass(frozen=True)
class Answer:
    """What one run of the command gave."""

    code: int
    lines: list[dict[str, Any]]
    """Objects from standard output."""
    words: str
    """Standard error."""

    @property
    def line(self) -> dict[str, Any]:
        """The only object; when there is not exactly one, what the command said instead."""
        assert len(self.lines) == 1, f"exit code {self.code}: {self.words}"
        return self.lines[0]


@dataclass(frozen=True)
class Installation:
    """A store with build environments, a key and a site below one directory."""

    root: Path
    index_url: str

    @classmethod
    def make(cls, root: Path, environments: Path, index_url: str) -> Installation:
        """An empty installation that uses build environments made before."""
        store = root / "store"
        store.mkdir(parents=True)
        (store / "toolchains").symlink_to(environments.absolute())
        return cls(root, index_url)

    @property
    def store(self) -> Path:
        """The store."""
        return self.root / "store"

    @property
    def site(self) -> Path:
        """The site."""
        return self.root / "site"

    @property
    def environment(self) -> dict[str, str]:
        """Everything the command sees of the environment."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root / "home"),
            "LANG": "C.UTF-8",
            "REBUILDER_STORE": str(self.store),
            "REBUILDER_KEYS": str(self.root / "keys"),
            "REBUILDER_SITE": str(self.site),
            "UV_DEFAULT_INDEX": self.index_url,
            RESIDENT: "no",
            **{name: value for name, value in os.environ.items() if name == SWITCH},
        }

    def command(self, *arguments: str | Path) -> list[str]:
        """The whole command line."""
        return [str(PROGRAM), *map(str, arguments)]

    def typed(
        self, line: str, directory: Path, replaced: Mapping[str, str], variables: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        """Run a command as it stands on a page, in a directory; exit code and all that was said.

        Args:
            line: The command.
            directory: Where it is typed.
            replaced: What stands on the page in the place of something else.
            variables: Of the environment, besides.
        """
        for written, meant in replaced.items():
            line = line.replace(written, meant)
        done = subprocess.run(
            self.command(*shlex.split(line)[1:]),
            cwd=directory,
            env=self.environment | {"PYTHONPATH": str(_ROOT)} | dict(variables or {}),
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def verify(self, *subjects: str | Path) -> Answer:
        """``rebuilder verify --json``."""
        return self.run("verify", "--json", *subjects)

    def killed_at(self, subject: str, stage: str) -> None:
        """``rebuilder verify``, ended by SIGKILL when it tells that it begins a stage."""
        command = self.command("verify", subject)
        process = subprocess.Popen(command, env=self.environment, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        with process.stderr:
            told = any(line.startswith(f"{subject}: {stage}") for line in process.stderr)
            process.send_signal(signal.SIGKILL)
        assert (True, -signal.SIGKILL) == (told, process.wait(timeout=300))

    def offline(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run the command on a machine without any network, not even a loopback interface that is up."""
        user = [] if os.geteuid() == 0 else ["--map-current-user"]
        command = ["unshare", "--net", *user, *self.command(*arguments)]
        environment = self.environment | {"PYTHONPATH": str(_ROOT)}
        return subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=300)

    def run(self, *arguments: str | Path) -> Answer:
        """Run the command to its end."""
        with tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as err:
            process = _processes.Process(
                target=_run, args=(self.command(*arguments), self.environment, out.name, err.name)
            )
            process.start()
            process.join(_LONGEST_SECONDS)
            if process.exitcode is None:
                process.kill()
                pytest.fail(f"{arguments} did not end within {_LONGEST_SECONDS} seconds", pytrace=False)
            said = out.read().decode()
            lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
            return Answer(process.exitcode, lines, err.read().decode())
