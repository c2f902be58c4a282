"""The trail as a picture: boxes and arrows with coordinates, ready for an SVG without styles or scripts."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from rebuilder.site.display import visible
from rebuilder.site.marks import Mark

_PAD = 14.0
_LINE = 20.0
_MONO = 7.5
"""Width of a character of the monospaced type, in units of the picture (12.4 units high)."""
_WORD = 8.0
"""Generous width of a character of the bold type of labels (12.4 units high); icons are wider than letters."""
_PILL = 26.0


@dataclass(frozen=True, slots=True)
class PictureNode:
    """A node of the trail in words."""

    title: str
    name: str | None
    """A file name or an address; None when there is none."""
    lines: tuple[str, ...]
    says: str | None = None
    """Icon and word about who vouches for it."""
    tone: str = "mute"
    this: bool = False
    """Whether the page is about it."""
    sha256: str | None = None
    """In full, for the facts beside the picture."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text; ``y`` is its base line."""

    y: float
    text: str
    kind: str
    """Class: ``title``, ``code`` or ``plain``."""


@dataclass(frozen=True, slots=True)
class Pill:
    """A word on a ground of its own, around its centre."""

    x: float
    y: float
    left: float
    top: float
    width: float
    text: str
    tone: str


@dataclass(frozen=True, slots=True)
class Box:
    """A node with its place."""

    x: float
    y: float
    width: float
    height: float
    lines: tuple[Line, ...]
    pill: Pill | None
    known: bool
    this: bool


@dataclass(frozen=True, slots=True)
class Arrow:
    """A step with its place: the line, the head at its end, and the word on it."""

    path: str
    head: str
    pill: Pill
    tone: str
    tried: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """One drawing of the trail; a page holds a wide and a narrow one and shows the one that fits."""

    name: str
    width: float
    height: float
    title: str
    description: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]


def pictures(nodes: Sequence[PictureNode], marks: Sequence[Mark], description: str) -> tuple[Picture, Picture]:
    """The wide and the narrow drawing of two or three nodes.

    Args:
        nodes: In order, the artifact last.
        marks: Of the steps between neighbours; of three nodes, then that of the step that leaves out the middle one.
        description: In words, for who does not see it.
    """
    return _wide(nodes, marks, description), _narrow(nodes, marks, description)


def _wide(nodes: Sequence[PictureNode], marks: Sequence[Mark], description: str) -> Picture:
    """Side by side; the step that leaves out the source archive runs below."""
    width, gap = 222.0, 168.0
    height = max(_height(each, width) for each in nodes)
    boxes = [_box(node, index * (width + gap), 1.0, width, height) for index, node in enumerate(nodes)]
    middle = 1.0 + height / 2
    arrows = []
    for index, mark in enumerate(marks[: len(nodes) - 1]):
        left = boxes[index].x + width
        path, head = f"M{left} {middle}H{left + gap - 9}", _head(left + gap - 2, middle, right=True)
        arrows.append(_arrow(path, head, mark, left + gap / 2 - 4, middle))
    total = height + 2
    if len(nodes) == 3:
        start, end, low = boxes[0].x + width / 2, boxes[2].x + width / 2, height + 45
        path = f"M{start} {height + 1}V{low - 12}q0 12 12 12H{end - 12}q12 0 12 -12V{height + 11}"
        head = f"M{end - 6} {height + 13}l6 -11l6 11z"
        arrows.append(_arrow(path, head, marks[2], (start + end) / 2, low))
        total = low + _PILL / 2 + 2
    return Picture(
        "wide", boxes[-1].x + width + 1, total, "Where this file comes from", description, tuple(boxes), tuple(arrows)
    )


def _narrow(nodes: Sequence[PictureNode], marks: Sequence[Mark], description: str) -> Picture:
    """One below the other; the step that leaves out the source archive runs beside it."""
    full, gap = 326.0, 62.0
    side = 176.0 if len(nodes) == 3 else full
    boxes: list[Box] = []
    top = 1.0
    for index, node in enumerate(nodes):
        width = side if index == 1 else full
        boxes.append(_box(node, 1.0, top, width, _height(node, width)))
        top += boxes[-1].height + gap
    arrows = []
    centre = 1.0 + side / 2
    for index, mark in enumerate(marks[: len(nodes) - 1]):
        start, end = boxes[index].y + boxes[index].height, boxes[index + 1].y
        path, head = f"M{centre} {start}V{end - 9}", _head(centre, end - 2, right=False)
        arrows.append(_arrow(path, head, mark, centre, (start + end) / 2 - 3))
    if len(nodes) == 3:
        start, end = boxes[0].y + boxes[0].height, boxes[2].y
        beside = (side + full) / 2 + 2
        path, head = f"M{beside} {start}V{end - 9}", _head(beside, end - 2, right=False)
        arrows.append(_arrow(path, head, marks[2], beside, (start + end) / 2))
    return Picture(
        "narrow", full + 2, top - gap + 1, "Where this file comes from", description, tuple(boxes), tuple(arrows)
    )


def _head(x: float, y: float, *, right: bool) -> str:
    return f"M{x - 11} {y - 6}l11 6l-11 6z" if right else f"M{x - 6} {y - 11}l6 11l6 -11z"


def _arrow(path: str, head: str, mark: Mark, x: float, y: float) -> Arrow:
    # The kind of a difference stands in the table: here it would not fit.
    word = mark.word.partition(" (")[0]
    return Arrow(path, head, _pill(f"{mark.icon} {word}", mark.tone, x, y), mark.tone, mark.name != "not-tried")


def _pill(text: str, tone: str, x: float, y: float) -> Pill:
    width = _pill_width(text)
    return Pill(x, y + 4.5, x - width / 2, y - _PILL / 2, width, text, tone)


def _pill_width(text: str) -> float:
    return len(text) * _WORD + 14


def _height(node: PictureNode, width: float) -> float:
    lines = 1 + len(node.lines) + (len(_name_lines(node, width)) if node.name else 0)
    return _PAD * 2 + _LINE * lines - 4 + (_PILL + 8 if node.says else 0)


def _box(node: PictureNode, x: float, y: float, width: float, height: float) -> Box:
    texts = [(node.title, "title"), *((each, "code") for each in _name_lines(node, width))]
    texts += [(wrapped(each, _fit(width), 1)[0], "code" if node.name else "plain") for each in node.lines]
    lines = tuple(Line(y + _PAD + 12 + _LINE * index, text, kind) for index, (text, kind) in enumerate(texts))
    pill = None
    if node.says:
        half = _pill_width(node.says) / 2
        pill = _pill(node.says, node.tone, x + _PAD + half, y + height - _PAD - _PILL / 2)
    return Box(x, y, width, height, lines, pill, node.name is not None, node.this)


def _name_lines(node: PictureNode, width: float) -> list[str]:
    if node.name is None:
        return []
    return wrapped(visible(node.name.removeprefix("https://"), 200), _fit(width), 2)


def _fit(width: float) -> int:
    return int((width - 2 * _PAD) / _MONO)


def wrapped(text: str, columns: int, lines: int) -> list[str]:
    """Text in at most so many lines of so many columns; what is too long loses its middle.

    East Asian letters take two columns each, as in a terminal.
    """
    room = columns * lines
    if _columns(text) > room:
        head, tail = _head_of(text, (room - 1) * 2 // 3), _head_of(text[::-1], (room - 2) // 3)[::-1]
        text = f"{head}…{tail}"
    found: list[str] = []
    while text and len(found) < lines:
        line = _head_of(text, columns)
        rest = text[len(line) :]
        if rest and len(found) < lines - 1:
            # Break behind a sign where there is one: file names and addresses have no spaces.
            best = max(line.rfind(sign) for sign in "/-_") + 1
            if best > columns // 2 and _columns(text[best:]) <= columns * (lines - len(found) - 1):
                line = line[:best]
        found.append(line)
        text = text[len(line) :]
    return found or [""]


def _head_of(text: str, columns: int) -> str:
    used = 0
    for index, char in enumerate(text):
        used += 2 if unicodedata.east_asian_width(char) in "WF" else 1
        if used > columns:
            return text[:index]
    return text


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)
