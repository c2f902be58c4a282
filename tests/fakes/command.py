"""The ``rebuilder`` command as a user runs it, with a store, keys and site of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rebuilder.sandbox.uml.probe import SWITCH

PROGRAM = Path(sys.executable).parent / "rebuilder"


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
            **{name: value for name, value in os.environ.items() if name == SWITCH},
        }

    def command(self, *arguments: str | Path) -> list[str]:
        """The whole command line."""
        return [str(PROGRAM), *map(str, arguments)]

    def verify(self, *subjects: str | Path) -> Answer:
        """``rebuilder verify --json``."""
        return self.run("verify", "--json", *subjects)

    def run(self, *arguments: str | Path) -> Answer:
        """Run the command to its end."""
        done = subprocess.run(
            self.command(*arguments), env=self.environment, capture_output=True, text=True, check=False, timeout=300
        )
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        return Answer(done.returncode, lines, done.stderr)
