"""The token: made once, kept private, compared and never shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rebuilder.errors import UsageError
from rebuilder.service.api.context import Token

SECRET = "0123456789abcdefghij"


def test_a_token_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    """The first use writes the file with mode 0600; later ones read it."""
    path = tmp_path / "keys" / "api-token"
    first = Token.open(path)
    text = path.read_text()
    Token.open(path)
    assert 0o600 == path.stat().st_mode & 0o777
    assert text == path.read_text()
    assert first.matches(text.strip())
    assert ["api-token"] == [each.name for each in path.parent.iterdir()]


def test_only_the_very_word_matches() -> None:
    """Nothing that is nearly the token is one."""
    token = Token(SECRET)
    offers = [SECRET, SECRET[:-1], SECRET + " ", SECRET.upper(), "", "\ud800"]
    assert [True, False, False, False, False, False] == [token.matches(each) for each in offers]


def test_a_token_cannot_be_read_back() -> None:
    """Neither printing nor logging the object gives the word away."""
    assert SECRET not in f"{Token(SECRET)!r} {vars(Token(SECRET))}"


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (SECRET, 0o644, "(its mode is 0644)"),
        ("short\n", 0o600, "does not hold a token"),
        ("", 0o600, "does not hold a token"),
        (f"two {SECRET}\n", 0o600, "does not hold a token"),
        ("é" * 30, 0o600, "does not hold a token"),
    ],
)
def test_a_file_that_is_no_safe_token_is_refused(tmp_path: Path, content: str, mode: int, said: str) -> None:
    """The sentence says what is wrong with it, and never what it holds."""
    path = tmp_path / "api-token"
    path.write_text(content)
    path.chmod(mode)
    with pytest.raises(UsageError) as caught:
        Token.open(path)
    assert said in str(caught.value)
    assert SECRET not in f"{caught.value} {caught.value.hint}"


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A directory and a pipe are told apart from a file, without waiting on them."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "directory").mkdir(mode=0o700)
    for name in ("pipe", "directory"):
        with pytest.raises(UsageError, match="is not a regular file"):
            Token.open(tmp_path / name)
