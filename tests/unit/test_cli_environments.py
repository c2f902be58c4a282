"""``rebuilder environments make``: a mistake on the command line is one sentence, and nothing is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebuilder.cli.environments import make
from rebuilder.config import Config
from rebuilder.errors import BuildEnvironmentError, UsageError
from rebuilder.model.settings import EnvironmentSettings


@pytest.mark.parametrize(
    ("names", "every", "accept_expired", "words"),
    [
        (["forky"], False, ["Forky!"], "'Forky!' is not the name of"),
        ([], False, None, "What is to be made is not said"),
        (["forky"], True, None, "What is to be made is not said"),
    ],
)
def test_wrong_use(tmp_path: Path, names: list[str], every: bool, accept_expired: list[str] | None, words: str) -> None:
    """The mistake is named."""
    with pytest.raises(UsageError, match=words):
        make(Config(store=tmp_path / "store"), names, every=every, again=False, accept_expired=accept_expired)
    assert not (tmp_path / "store").exists()


def test_unknown_environment(tmp_path: Path) -> None:
    """A name that nobody describes is answered with those that there are."""
    described = EnvironmentSettings.model_validate({"own": {"packages": ["make"]}})
    config = Config(store=tmp_path, environments=described)
    with pytest.raises(BuildEnvironmentError, match="There is no build environment named 'buster'") as caught:
        make(config, ["buster"], every=False, again=False, accept_expired=["forky"])
    assert "bullseye" in (caught.value.hint or "")
