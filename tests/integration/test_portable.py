"""What a consumer runs needs Python and nothing of Linux: no sandbox, no database, no system calls that others lack."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.key_drills import DAY, Operator
from tests.fakes.published import PublishedRebuilder, identical, requirement

ELSEWHERE = """
import builtins, os, signal, socket, sys

FORBIDDEN = {"fcntl", "resource", "pwd", "grp", "termios", "pty", "pyseccomp", "sqlalchemy", "alembic", "jinja2"}
OURS = ("rebuilder.sandbox", "rebuilder.store", "rebuilder.environments", "rebuilder.service", "rebuilder.wiring")
plain = builtins.__import__

def guarded(name, globals=None, locals=None, fromlist=(), level=0):
    who = (globals or {}).get("__name__", "")
    # The standard library of this system has modules of its own; those of others do not ask for them.
    if name.partition(".")[0] in FORBIDDEN and who.partition(".")[0] not in sys.stdlib_module_names:
        raise AssertionError(f"{who} imports {name}")
    if name.startswith(OURS):
        raise AssertionError(f"{who} imports {name}")
    return plain(name, globals, locals, fromlist, level)

import asyncio, subprocess, tempfile  # loaded with what this system has
sys.modules["trio"] = None  # only tests have it, and its names are those of this system
builtins.__import__ = guarded
for module, names in (
    (os, ("geteuid", "getuid", "fork", "O_NONBLOCK", "O_CLOEXEC", "O_DIRECTORY", "O_PATH", "memfd_create")),
    (signal, ("SIGHUP", "SIGQUIT", "SIGKILL")),
    (socket, ("AF_UNIX", "SO_PEERCRED", "send_fds", "recv_fds")),
):
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
from rebuilder.cli.entry import main
main()
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site, and a lock file about it."""
    root = tmp_path_factory.mktemp("portable")
    found = identical("alpha")
    PublishedRebuilder(root / "one").publish(found)
    (root / "two").mkdir()
    operator = Operator(root / "two")
    operator.publish(reports.build_failed(MemoryBlobs()), DAY)
    operator.keys("init", roots=(0, 1))
    (root / "requirements.txt").write_text(requirement([found]))
    (root / "several.txt").write_text(f"{requirement([found]).strip()} --hash=sha256:{'ab' * 32}\n")
    (root / "policy.toml").write_text('need = 1\n[[rebuilders]]\nplace = "one/site"\n')
    return root


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["check", "requirements.txt", "--policy", "policy.toml", "--seen", "seen"], "1 of 1 is confirmed"),
        (["check", "several.txt", "--rebuilder", "one/site", "--seen", "seen"], "cannot be asked"),
        (["log", "verify", "one/site", "--statements", "--seen", "seen"], "is whole"),
        (["log", "verify", "two/site", "--statements", "--seen", "seen"], "is whole"),
        (["export", "one/site", "--for", "requirements.txt", "--output", "a.zip"], "1 of 1 files have an answer"),
        (["proxy", "--help"], "--policy"),
    ],
)
def test_commands_of_a_consumer(place: Path, words: list[str], shown: str) -> None:
    """They do their work where neither modules nor calls of Linux are there."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(place), "PIP_INDEX_URL": "http://127.0.0.1:9/simple"}
    command = [sys.executable, "-c", ELSEWHERE, *words]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (3 if "several.txt" in words else 0, "")
    assert shown in done.stdout
