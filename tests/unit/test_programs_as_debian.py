"""A setuptools as Debian has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebuilder.programs.pypi.elsewhere import NOTHING_TO_CHANGE, as_debian

WRITER = "def write(stream, lines):\n    lines = map(append_cr, lines)\n    stream.writelines(lines)\n"


def environment(place: Path, text: str) -> Path:
    """With a setuptools; the file of it."""
    path = place / "lib/python3.11/site-packages/setuptools/command/egg_info.py"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def test_changed(tmp_path: Path) -> None:
    """One line is another one; a file that is linked to the same bytes stays as it was."""
    path = environment(tmp_path / "env", WRITER)
    other = tmp_path / "cached"
    other.hardlink_to(path)
    assert 0 == as_debian([f"--environment={tmp_path / 'env'}", "requirements"])
    assert WRITER.replace("append_cr, lines", "append_cr, sorted(lines)") == path.read_text()
    assert WRITER == other.read_text()


@pytest.mark.parametrize("text", ["", WRITER * 2, None])
def test_not_to_be_changed(tmp_path: Path, text: str | None) -> None:
    """Another setuptools, or none, ends the build: what it would make is not what was asked for."""
    path = environment(tmp_path, text) if text is not None else None
    assert NOTHING_TO_CHANGE == as_debian([f"--environment={tmp_path}", "requirements"])
    assert path is None or text == path.read_text()


def test_where_newer_ones_write_requirements(tmp_path: Path) -> None:
    """They have a module for it; the one of older ones imports it."""
    path = environment(tmp_path, "from . import _requirestxt\n").with_name("_requirestxt.py")
    path.write_text(WRITER)
    assert 0 == as_debian([f"--environment={tmp_path}", "requirements"])
    assert "sorted(lines)" in path.read_text()


def test_namespaces(tmp_path: Path) -> None:
    """The directory that the name of a namespace file is made of has no version of Python in its name."""
    path = environment(tmp_path, WRITER).with_name("install_egg_info.py")
    path.write_text("target = os.path.join(self.install_dir, basename)\n")
    assert 0 == as_debian([f"--environment={tmp_path}", "namespaces", "requirements"])
    assert "basename.rpartition('-py')[0] + '.egg-info'" in path.read_text()
    assert "x-py-1.2" == "x-py-1.2-py3.11.egg-info".rpartition("-py")[0]
    assert "sorted(lines)" in path.with_name("egg_info.py").read_text()
