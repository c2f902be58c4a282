"""Reading JSON that others wrote: what it would cost is measured before any parser sees it.

A parser makes an object of some hundred bytes from two characters. Counting characters costs a small part of parsing,
so a document is measured first, on its bytes: how many values, how deep, how long its texts and numbers are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_NOT_BRACKETS = bytes(each for each in range(256) if each not in b"[]{}")
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_WINDOW = 1 << 20


@dataclass(frozen=True)
class JsonLimits:
    """What one document may hold."""

    values: int = 200_000
    """Members, elements, objects and arrays together."""
    depth: int = 64
    """Objects and arrays inside each other."""
    text_bytes: int = 4 << 20
    """The longest text, as it is written."""
    number_bytes: int = 400
    """The longest number; what is read by a person or fits into 64 bits has 20 digits."""


class UnreadableJson(ValueError):  # noqa: N818 - reads as what happened
    """It is no JSON (RFC 8259), or more of it than is read; the text ends a sentence: "… is not JSON"."""


def read_json(
    data: bytes, limits: JsonLimits | None = None, *, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None
) -> Any:
    """Parse a document in UTF-8.

    Args:
        data: The document; its size is the caller's to limit.
        limits: What it may hold.
        pairs: Makes an object from its members; the last of two members of one name counts otherwise.

    Raises:
        UnreadableJson: it is no JSON, or holds more than is allowed.
    """
    _measure(data, limits or JsonLimits())
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=pairs, parse_constant=_refuse_constant)
        return _with_whole_characters(value) if pairs is None and _HALF.search(data) else value
    except UnicodeDecodeError:
        raise UnreadableJson("is not text in UTF-8") from None
    except UnreadableJson:
        raise
    except (ValueError, RecursionError):
        raise UnreadableJson("is not JSON") from None


def _with_whole_characters(value: Any) -> Any:
    """The same with “?” for halves of surrogate pairs, which JSON can write and no other document can hold."""
    return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def _measure(data: bytes, limits: JsonLimits) -> None:
    """Raise unless the document keeps to the limits.

    The parser reads from left to right and ends where the document is malformed; up to there the texts found here are
    those that it finds, so nothing can be hidden from this count by what comes later.
    """
    if b"\\" in data:  # no quotation mark is left that does not begin or end a text
        data = data.replace(b"\\\\", b"__").replace(b'\\"', b"__")
    outside, inside, length, values = [], False, 0, 0
    for start in range(0, len(data), _WINDOW):  # a piece takes more memory than the two characters around it
        pieces = data[start : start + _WINDOW].split(b'"')
        plain = b"".join(pieces[inside::2])
        texts = list(map(len, pieces[not inside :: 2]))
        if inside:
            texts[0] += length
        if any(each > limits.text_bytes for each in texts):
            raise UnreadableJson(f"has a text of more than {limits.text_bytes:,} bytes")
        values += sum(map(plain.count, (b",", b"[", b"{")))
        if values > limits.values:
            raise UnreadableJson(f"has more than {limits.values:,} values")
        outside.append(plain)
        inside = inside == (len(pieces) % 2 == 1)
        length = texts[-1] if inside else 0
    _measure_outside(b"".join(outside), limits)


def _measure_outside(plain: bytes, limits: JsonLimits) -> None:
    """Look at numbers and brackets, in a document without its texts."""
    if re.search(rb"[0-9.eE+-]{%d}" % (limits.number_bytes + 1), plain):
        raise UnreadableJson(f"has a number of more than {limits.number_bytes} digits")
    brackets = plain.translate(None, _NOT_BRACKETS)
    for _ in range(limits.depth):
        brackets = brackets.replace(b"[]", b".").replace(b"{}", b".").replace(b".", b"")
    if brackets:
        raise UnreadableJson(f"is not JSON, or nested more than {limits.depth} levels deep")


def _refuse_constant(text: str) -> Any:
    raise UnreadableJson(f"has {text}, which is not a JSON number")
