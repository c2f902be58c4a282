"""Reading YAML that others wrote, as lock files use it: mappings, lists and texts, each said once.

What lets one reader see something else than another is refused rather than interpreted: anchors and aliases (which
also make a document of a few lines as large as one likes), tags, merged mappings, a key that is there twice. Plain
texts stay texts: whether ``1.10``, ``no`` or ``2024-01-01`` is something else is not guessed.
"""

from __future__ import annotations

from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
)

_VALUES, _DEPTH, _TEXT = 3_000_000, 32, 1 << 20
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class UnreadableYaml(ValueError):  # noqa: N818 - reads as what happened
    """It is no YAML, or more of it than is read; the text ends a sentence: "… is not YAML"."""


def read_yaml(data: bytes) -> list[Any]:
    """Parse the documents of a text in UTF-8.

    Args:
        data: Its bytes; their number is the caller's to limit.

    Raises:
        UnreadableYaml: it is no YAML, or uses of it what is not read.
    """
    try:
        return _documents(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise UnreadableYaml("is not text in UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise UnreadableYaml(f"is not YAML in line {mark.line + 1}" if mark is not None else "is not YAML") from None


def _documents(text: str) -> list[Any]:
    reader, documents = _Reader(), list[Any]()
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, AliasEvent):
            raise UnreadableYaml(f"refers to another part of itself in line {event.start_mark.line + 1}")
        if isinstance(event, NodeEvent):
            reader.begin(event)
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            reader.end()
        elif isinstance(event, DocumentEndEvent):
            documents.append(reader.complete)
    return documents


class _Reader:
    """Puts mappings and lists together, the innermost last."""

    def __init__(self) -> None:
        self.complete: Any = None
        self._open: list[dict[str, Any] | list[Any]] = []
        self._keys: list[str | None] = []
        """Of each mapping, the key whose value comes next."""
        self._values = 0

    def begin(self, event: Any) -> None:
        """A text, or the beginning of something that holds others."""
        self._values += 1
        _check(event, self._values, len(self._open))
        around = self._open[-1] if self._open else None
        if isinstance(around, dict) and self._keys[-1] is None:
            self._keys[-1] = _key(event, around)
        elif isinstance(event, ScalarEvent):
            self._put(event.value)
        else:
            self._open.append({} if isinstance(event, MappingStartEvent) else [])
            self._keys.append(None)

    def end(self) -> None:
        """The end of the innermost of them."""
        self._keys.pop()
        self._put(self._open.pop())

    def _put(self, value: Any) -> None:
        self.complete = value
        around = self._open[-1] if self._open else None
        if isinstance(around, dict):
            around[str(self._keys[-1])] = value
            self._keys[-1] = None
        elif around is not None:
            around.append(value)


def _check(event: Any, values: int, depth: int) -> None:
    line = event.start_mark.line + 1
    if event.anchor is not None or (event.tag is not None and event.tag != "!"):
        raise UnreadableYaml(f"has an anchor or a tag in line {line}")
    if values > _VALUES:
        raise UnreadableYaml(f"has more than {_VALUES:,} values")
    if depth > _DEPTH:
        raise UnreadableYaml(f"is nested more than {_DEPTH} levels deep")
    if isinstance(event, ScalarEvent) and len(event.value) > _TEXT:
        raise UnreadableYaml(f"has a text of more than {_TEXT:,} characters")


def _key(event: Any, around: dict[str, Any]) -> str:
    line = event.start_mark.line + 1
    if not isinstance(event, ScalarEvent):
        raise UnreadableYaml(f"has a key that is no text in line {line}")
    key = str(event.value)
    if key in around:
        raise UnreadableYaml(f"has a key twice in line {line}")
    if key == "<<" and not event.style:
        raise UnreadableYaml(f"merges mappings in line {line}")
    return key
