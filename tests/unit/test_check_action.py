"""The composite action and the pre-commit hook say what the command line has."""

from __future__ import annotations

import importlib
import re
import subprocess
from pathlib import Path
from typing import Any

import typer

from rebuilder.cli.main import app

ROOT = Path(__file__).parent.parent.parent
yaml: Any = importlib.import_module("yaml")
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
SCRIPTS = [each["run"] for each in ACTION["runs"]["steps"]]


def options() -> set[str]:
    """Of ``rebuilder check``."""
    command: Any = typer.main.get_command(app)
    return {option for parameter in command.commands["check"].params for option in parameter.opts}


def test_the_action_uses_options_that_are_there() -> None:
    """Every option that is given is one of the command; every input is used; nothing is pasted into a script."""
    assert ACTION["runs"]["using"] == "composite"
    used = set(re.findall(r"--[a-z-]+(?= \"\$)", SCRIPTS[1]))
    assert used
    assert used <= options()
    given = " ".join(str(step.get("env")) for step in ACTION["runs"]["steps"])
    assert set(ACTION["inputs"]) == set(re.findall(r"inputs\.([a-z]+)", given))
    assert "${{" not in "".join(SCRIPTS)


def test_the_scripts_of_the_action_can_be_read() -> None:
    """By bash."""
    assert len(SCRIPTS) == 2
    for each in SCRIPTS:
        assert subprocess.run(["bash", "-n"], input=each, text=True, check=False).returncode == 0


def test_the_check_of_the_action(tmp_path: Path) -> None:
    """Its second script calls the command with the files, one word each, and its exit code is the command's."""
    told = tmp_path / "told"
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {told}\nexit 3\n')
    python.chmod(0o755)
    environment = {
        "PATH": "/usr/bin:/bin",
        "REBUILDER_PYTHON": str(python),
        "FILES": "uv.lock\na file.txt\n",
        "POLICY": "policy.toml",
        "REBUILDERS": "https://one.example.org\n",
        "FORMAT": "sarif",
        "OUTPUT": str(tmp_path / "out.sarif"),
        "SEEN": ".seen",
    }
    done = subprocess.run(["bash", "-e", "-c", SCRIPTS[1]], env=environment, check=False, capture_output=True)
    assert done.returncode == 3
    words = told.read_text().splitlines()[2:]
    assert words == [
        *("check", "--format", "sarif", "--seen", ".seen", "--policy", "policy.toml"),
        *("--rebuilder", "https://one.example.org", "--", "uv.lock", "a file.txt"),
    ]


def test_the_hook() -> None:
    """It runs the command on the lock files that are read."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert hook["entry"] == "rebuilder check"
    names = ["requirements.txt", "requirements-dev.txt", "a/pylock.toml", "pylock.dev.toml", "uv.lock", "poetry.lock"]
    matched = [name for name in [*names, "package-lock.json", "setup.py"] if re.search(hook["files"], name)]
    assert matched == [*names, "package-lock.json"]
