"""What the service needs is an extra: verifying works without it, and whoever asks for more is told what to install."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rebuilder.errors import EXTRAS, missing_extra

WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
"""
"""Hides modules, as if they were not installed."""


def run(script: str, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A Python of its own, in which no module of an extra can be imported."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT.format(hidden=set(EXTRAS)) + script, *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "REBUILDER_STORE": str(home / "store")},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def test_verifying_needs_no_extra(tmp_path: Path) -> None:
    """What a verification is made of can be imported where nothing of the service is installed."""
    modules = (
        "wiring",
        "verification.coordinator",
        "cli.verify",
        "cli.explain",
        "cli.alarms",
        "cli.db",
        "doctor.checks",
    )
    done = run("; ".join(f"import rebuilder.{module}" for module in modules), tmp_path)
    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize("arguments", [["serve"], ["schedules"]])
def test_the_service_says_what_to_install(arguments: list[str], tmp_path: Path) -> None:
    """One sentence that names the extra, the exit code of wrong use, and no traceback."""
    done = run("from rebuilder.cli.main import main; main()", tmp_path, *arguments)
    assert 2 == done.returncode
    assert "extra 'service'" in done.stderr
    assert "rebuilder[service]" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_runner_says_what_to_install(tmp_path: Path) -> None:
    """Being one, and having some."""
    script = "from rebuilder.cli.main import main; main()"
    fleet = ("--broker", "redis://127.0.0.1:9/0", "--blobs", "s3://fleet/x")
    (tmp_path / "fleet.toml").write_text('[fleet]\nbroker = "redis://127.0.0.1:9/0"\nblobs = "s3://fleet/x"\n')
    settings = ("--config", str(tmp_path / "fleet.toml"), "--index-url", "http://127.0.0.1:9/simple")
    for arguments in (("worker", *fleet), ("verify", "pypi:idna==3.10", *settings)):
        done = run(script, tmp_path, *arguments, "--store", str(tmp_path / "s"))
        assert 2 == done.returncode, done.stderr
        assert "rebuilder[fleet]" in done.stderr


def test_a_ledger_on_a_server_says_what_to_install(tmp_path: Path) -> None:
    """The driver of PostgreSQL is an extra of its own."""
    script = "from rebuilder.cli.main import main; main()"
    done = run(script, tmp_path, "db", "copy", "postgresql://127.0.0.1:9/x", str(tmp_path / "ledger.sqlite"))
    assert 2 == done.returncode
    assert "rebuilder[postgresql]" in done.stderr


def test_other_modules_are_bugs() -> None:
    """A module that no extra has is not explained away."""
    assert missing_extra(ModuleNotFoundError("No module named 'jinja2'", name="jinja2")) is None
    assert missing_extra(ModuleNotFoundError("something")) is None


def test_every_extra_is_declared() -> None:
    """The sentence names extras that pyproject.toml has, for packages that it lists there."""
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    for module, extra in EXTRAS.items():
        listed = [each.partition(">")[0].partition("[")[0] for each in optional[extra]]
        named = "fastapi" if module == "starlette" else module.replace("_", "-")
        assert named in listed
        assert not any(each.startswith(named) for each in project["dependencies"])
