"""A Python that reads headers as Python 2 does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rebuilder.programs.pypi.elsewhere import NO_ENVIRONMENT, as_python_2

READ = (
    "import email.parser, json, site, sys; site.addsitedir(sys.argv[1]); "
    "found = email.parser.Parser().parsestr(sys.argv[2]); print(json.dumps(found.items()))"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Name: x\nDescription: \n        One\n        \n        two\nKeywords: a\n",
            "        One\n        \n        two",
        ),
        ("Name: x\nDescription: One\n        two\nKeywords: a\n", "One\n        two"),
        ("Name: x\nDescription:\nKeywords: a\n", ""),
    ],
)
def test_first_line(tmp_path: Path, text: str, expected: str) -> None:
    """Blanks and the end of an empty first line go; all other lines and headers stay."""
    packages = tmp_path / "lib/python3.11/site-packages"
    packages.mkdir(parents=True)
    assert 0 == as_python_2(["--environment", str(tmp_path)])
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", READ, str(packages), text], check=True, capture_output=True, text=True
    )
    assert [["Name", "x"], ["Description", expected], ["Keywords", "a"]] == json.loads(ran.stdout)


def test_no_environment(tmp_path: Path) -> None:
    """There is nowhere to put it then."""
    assert NO_ENVIRONMENT == as_python_2(["--environment", str(tmp_path)])
