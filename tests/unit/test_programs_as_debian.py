"""A setuptools that sorts requirements."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebuilder.programs.pypi.as_debian import NO_SETUPTOOLS, main

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
    assert 0 == main([f"--environment={tmp_path / 'env'}"])
    assert WRITER.replace("append_cr, lines", "append_cr, sorted(lines)") == path.read_text()
    assert WRITER == other.read_text()


@pytest.mark.parametrize("text", ["", WRITER * 2, None])
def test_not_to_be_changed(tmp_path: Path, text: str | None) -> None:
    """Another setuptools, or none, ends the build: what it would make is not what was asked for."""
    path = environment(tmp_path, text) if text is not None else None
    assert NO_SETUPTOOLS == main([f"--environment={tmp_path}"])
    assert path is None or text == path.read_text()
