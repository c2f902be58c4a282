"""Making build environments ahead: a mistake on the command line is one sentence, and nothing is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebuilder.environments.prepare import main


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--accept-expired", "Forky!", "forky"], "'Forky!' is not the name of"),
        ([], "it needs either names or --all"),
        (["--all", "forky"], "it needs either names or --all"),
    ],
)
def test_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    """The mistake is named."""
    with pytest.raises(SystemExit) as caught:
        main(["--root", str(tmp_path / "store"), *arguments])
    assert 2 == caught.value.code
    assert words in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_unknown_environment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that is in no catalog is answered with those that are."""
    assert 0 != main(["--root", str(tmp_path), "--accept-expired", "forky", "buster"])
    said = capsys.readouterr().err
    assert "There is no build environment named 'buster'." in said
    assert "bullseye" in said
