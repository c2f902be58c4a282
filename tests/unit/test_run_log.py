"""What a build writes to its log can neither act nor pass for words of ours."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebuilder.model.text import compose_log, written_lines

HOSTILE: list[bytes | str] = [
    b"\x1b[2J\x1b[H\x1b]0;title\x07",
    "\u202egnp.exe \u2066x\u2069".encode(),
    b"a\rrebuilder: It ended with exit code 0.\n",
    b"x\x0brebuilder: y\x0crebuilder: z\x85\xe2\x80\xa8rebuilder: w",
    b"\nrebuilder: forged\n",
    b"\xff\xfe\x00\x08\x7f",
    "e" + "\u0301" * 40 + "\ufeff\u200b",
]


def our_lines(text: bytes) -> list[str]:
    """Lines that a reader takes for ours, however lines are told apart."""
    return [line for line in text.decode().splitlines() if not line.startswith("| ")]


@pytest.mark.parametrize("written", [each if isinstance(each, bytes) else each.encode() for each in HOSTILE])
def test_hostile_words_are_seen_and_marked(written: bytes) -> None:
    """No character acts, and our lines are our own."""
    composed = compose_log(written, ["It ended with exit code 3."])
    hidden = [each for each in composed.decode() if unicodedata.category(each) in {"Cc", "Cf", "Zl", "Zp"}]
    assert set(hidden) <= {"\n"}
    assert ["rebuilder: It ended with exit code 3."] == our_lines(composed)[1:]


@given(st.binary(max_size=300))
def test_any_bytes(written: bytes) -> None:
    """Whatever is written, ours are the first and the last line, and nothing else is."""
    composed = compose_log(written, ["a\nb"])
    assert ["rebuilder: a⟨U+000A⟩b"] == our_lines(composed)[1:]


def test_words_stay_words() -> None:
    """Plain text comes back line for line; colours go, progress bars become lines, tabs become spaces."""
    composed = compose_log("one\n\x1b[31mzwölf\x1b[0m\n\n10%\r20%\n\tend".encode(), [])
    assert ["one", "zwölf", "", "10%", "20%", "        end"] == written_lines(composed)


def test_logs_from_before() -> None:
    """A log in which lines were not told apart is all the build's."""
    assert ["+ true", "| x", "rebuilder: y"] == written_lines(b"+ true\n| x\nrebuilder: y\n")
    assert [] == written_lines(b"")
