"""JSON that others wrote: read when it is honest, refused before it costs anything when it is not."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebuilder import foreign_json
from rebuilder.foreign_json import JsonLimits, UnreadableJson, read_json

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


def count(value: Any) -> tuple[int, int]:
    """Commas and opening brackets, and the depth, of a value as JSON."""
    if not isinstance(value, list | dict):
        return 0, 0
    inner = [count(each) for each in (value.values() if isinstance(value, dict) else value)]
    separators = max(0, len(inner) - 1)
    return 1 + separators + sum(each for each, _ in inner), 1 + max((each for _, each in inner), default=0)


@given(value=_VALUES, ascii_only=st.booleans(), window=st.integers(1, 40))
def test_it_counts_what_is_there(value: Any, window: int, *, ascii_only: bool) -> None:
    """Exactly at its limits a document is read as json reads it; one less, and it is refused."""
    data = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    try:
        data.decode()
    except UnicodeDecodeError:
        return
    values, depth = count(value)
    before = foreign_json._WINDOW
    foreign_json._WINDOW = window
    try:
        assert value == read_json(data, JsonLimits(values=values, depth=depth))
        if values:
            with pytest.raises(UnreadableJson, match="values"):
                read_json(data, JsonLimits(values=values - 1, depth=depth))
            with pytest.raises(UnreadableJson, match="nested"):
                read_json(data, JsonLimits(values=values, depth=depth - 1))
    finally:
        foreign_json._WINDOW = before


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"[" + b"{}," * 300_000 + b"{}]", "values"),
        (b"[" + b'"",' * 300_000 + b'""]', "values"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "nested"),
        (b'["]",' * 100 + b"1" + b"]" * 100, "nested"),
        (b'["\\\\]\\"]",' * 100 + b"1" + b"]" * 100, "nested"),
        (b"[" * 2_000_000, "values"),
        (b"9" * 401, "number"),
        (b"[0." + b"1" * 5000 + b"]", "number"),
        (b'"' + b"x" * (5 << 20) + b'"', "text"),
        (b"NaN", "NaN"),
        (b"[Infinity]", "Infinity"),
        (b'"\xff"', "UTF-8"),
        ("[]".encode("utf-16"), "UTF-8"),
        (b"", "not JSON"),
        (b'{"a":1} x', "not JSON"),
    ],
    ids=range(15),
)
def test_what_is_refused(data: bytes, words: str) -> None:
    """Each in a sentence's end, and at once."""
    began = time.process_time()
    with pytest.raises(UnreadableJson, match=words):
        read_json(data)
    assert time.process_time() - began < 60


def test_texts_may_hold_anything() -> None:
    """What counts is outside of them: a readme has commas, brackets, rulers and quotation marks."""
    text = 'a, [b] {c} \\ " ' * 50_000 + "-" * 5000
    assert {"readme": text} == read_json(json.dumps({"readme": text}).encode(), JsonLimits(values=1, depth=1))


def test_a_text_over_two_windows_is_one() -> None:
    """Its length is counted on."""
    data = b'["' + b"x" * (3 << 20) + b'"]'
    assert [len("x") * (3 << 20)] == [len(each) for each in read_json(data)]
    with pytest.raises(UnreadableJson, match="text"):
        read_json(data, JsonLimits(text_bytes=(3 << 20) - 1))


def test_half_characters_are_replaced() -> None:
    """What JSON can write and nothing else can hold costs no document; whole characters stay."""
    assert {"?": "a?b", "c": ["\U0001f600", "\\ud800"]} == read_json(
        rb'{"\udfff": "a\ud800b", "c": ["\ud83d\ude00", "\\ud800"]}'
    )


def test_half_characters_stay_where_documents_are_judged_strictly() -> None:
    """What is signed is not changed before it is looked at."""
    assert {"a": "\ud800"} == read_json(rb'{"a": "\ud800"}', pairs=dict)
