"""The program that has a tool call itself by another version."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rebuilder.programs.pypi.elsewhere import NOTHING_TO_CHANGE, as_version


def installed(root: Path, name: str = "some.tool") -> Path:
    """An environment with a tool in its version 1.2.1, the files linked to a cache as uv does."""
    packages, cache = root / "env/lib/python3.11/site-packages", root / "cache"
    files = {
        "some/__init__.py": "__version__ = '1.2.1'\r\nOTHER = '1.2.1'\n",
        "some/about.py": 'VERSION: str = "1.2.1"\nNEXT_VERSION = "1.2.10"\n',
        "other/__init__.py": "__version__ = '1.2.1'\n",
        f"{name}-1.2.1.dist-info/METADATA": "Metadata-Version: 2.1\nVersion: 1.2.1\n\nVersion: 1.2.1\n",
        f"{name}-1.2.1.dist-info/RECORD": "some/__init__.py,,\r\nsome/about.py,,\r\n../../../x.py,,\r\n",
    }
    for path, text in files.items():
        for place in (cache / path, packages / path):
            place.parent.mkdir(parents=True, exist_ok=True)
        (cache / path).write_bytes(text.encode())
        os.link(cache / path, packages / path)
    return packages


@pytest.mark.parametrize("name", ["some.tool", "Some_Tool"])
def test_version_is_replaced_where_the_tool_has_it(tmp_path: Path, name: str) -> None:
    """In its metadata and its own modules, and nowhere else; the cache stays as it was."""
    packages = installed(tmp_path, name)
    assert 0 == as_version([f"--environment={tmp_path / 'env'}", "--tool=some-tool", "--version=1.2.3"])
    assert b"__version__ = '1.2.3'\r\nOTHER = '1.2.1'\n" == (packages / "some/__init__.py").read_bytes()
    assert 'VERSION: str = "1.2.3"\nNEXT_VERSION = "1.2.10"\n' == (packages / "some/about.py").read_text()
    assert "__version__ = '1.2.1'\n" == (packages / "other/__init__.py").read_text()
    assert "Version: 1.2.3\n\nVersion: 1.2.1\n" in (packages / f"{name}-1.2.1.dist-info/METADATA").read_text()
    assert b"__version__ = '1.2.1'" in (tmp_path / "cache/some/__init__.py").read_bytes()


def test_tool_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said, and the build stops: nothing would be what was asked for."""
    installed(tmp_path)
    assert NOTHING_TO_CHANGE == as_version([f"--environment={tmp_path / 'env'}", "--tool=some", "--version=1.2.3"])
    assert "0 tools called some" in capsys.readouterr().err
