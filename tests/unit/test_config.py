"""Settings: every mistake names the file and the field."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebuilder.config import load_config
from rebuilder.errors import UsageError


def test_defaults_need_no_file(tmp_path: Path) -> None:
    """A fresh machine works without any settings."""
    config = load_config(None, {"store": tmp_path / "store"})
    assert tmp_path / "store" == config.store
    assert tmp_path / "store" / "site" == config.site_directory


def test_command_line_is_above_the_file(tmp_path: Path) -> None:
    """What was just said counts more than what was written down."""
    file = tmp_path / "rebuilder.toml"
    file.write_text('store = "/srv/a"\nsite = "/srv/site"\n[limits]\nwall_seconds = 5\n')
    config = load_config(file, {"store": Path("/srv/b"), "site": None})
    assert Path("/srv/b") == config.store
    assert Path("/srv/site") == config.site_directory
    assert config.limits.wall_seconds == 5


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("stoer = 1", "stoer"),
        ("store = [", "TOML"),
        ("[limits]\nwall_seconds = 'long'", "limits.wall_seconds"),
        ("download_bytes = 0", "download_bytes"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, word: str) -> None:
    """A wrong file is one sentence with its path and what is wrong."""
    file = tmp_path / "rebuilder.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_config(file, {})
    assert word in str(caught.value)
    assert str(file) in str(caught.value)


def test_named_file_must_exist(tmp_path: Path) -> None:
    """A missing default is fine, a missing file that was asked for is not."""
    with pytest.raises(UsageError, match="does not exist"):
        load_config(tmp_path / "none.toml", {})
