"""A Python that presents itself as an older one."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from rebuilder.programs.pypi.elsewhere import NO_ENVIRONMENT, as_python

MINOR = sys.version_info.minor
QUESTIONS = f"""
import base64, fractions, html.parser, importlib._bootstrap, inspect, platform, sys, sysconfig, time
assert sys.version_info < (3, 5) <= (3, 5, 1)
assert sys.version_info[:2] == (3, 4) == (sys.version_info.major, sys.version_info.minor)
assert sys.hexversion >> 16 == 0x304
assert platform.python_version() == "3.4.%d" % sys.version_info.micro
assert html.parser.HTMLParser().unescape("&lt;") == "<"
assert inspect.getargspec(lambda a, b=1: 0)[0] == ["a", "b"]
assert fractions.gcd(4, 6) == 2
assert base64.encodestring(b"a") == base64.encodebytes(b"a")
assert importlib._bootstrap.SourceFileLoader and time.clock() >= 0
assert "3.{MINOR}" in sysconfig.get_paths()["purelib"] and "3.{MINOR}" in sys.prefix + sys.path[-1]
print("asked")
"""


def ran(environment: Path, text: str) -> str:
    """What the Python of an environment prints."""
    command = [str(environment / "bin" / "python"), "-c", text]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment whose Python presents itself as 3.4."""
    path = tmp_path_factory.mktemp("as python") / "[env]"
    venv.create(path, symlinks=True)
    assert 0 == as_python([f"--environment={path}", "--version=3.4"])
    return path


def test_what_an_older_python_has(environment: Path) -> None:
    """Its version everywhere, and what was removed since; it finds its own files all the same."""
    assert "asked" == ran(environment, QUESTIONS)


def test_nothing_else_is_changed(environment: Path) -> None:
    """A module that a build never imports costs nothing, and what the real Python has is not taken away."""
    assert "False True" == ran(
        environment, "import sys; print('html.parser' in sys.modules, hasattr(str, 'removeprefix'))"
    )


def test_what_the_presented_python_had_removed_stays_away(tmp_path: Path) -> None:
    """Only what was removed after the version is given back."""
    venv.create(tmp_path / "env", symlinks=True)
    as_python([f"--environment={tmp_path / 'env'}", "--version=3.10"])
    text = "import html.parser, inspect; print(hasattr(html.parser.HTMLParser, 'unescape'), inspect.getargspec)"
    assert ran(tmp_path / "env", text).startswith("False <function")


def test_no_environment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said which."""
    assert NO_ENVIRONMENT == as_python([f"--environment={tmp_path}", "--version=3.7"])
    assert str(tmp_path) in capsys.readouterr().err
