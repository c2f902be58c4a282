"""What a project can show elsewhere: a picture with the verdict of its newest version, and the same for shields.io."""

from __future__ import annotations

import json
from xml.sax.saxutils import escape

from rebuilder.site.display import visible
from rebuilder.site.marks import Mark

LABEL = "rebuilt"
_COLOURS = {
    "good": "#12643a",
    "near": "#0b5a6e",
    "bad": "#9c1f1b",
    "warn": "#704700",
    "mute": "#4a525a",
    "doubt": "#5c5400",
    "apart": "#4a3f8c",
}
"""Of the text on a light page: white stands out from them by more than 7."""
_LONGEST = 24
"""Characters of a version."""


def _message(version: str, mark: Mark) -> str:
    return f"{visible(version, _LONGEST)} {mark.word.lower()}"


def _width(text: str) -> int:
    """About how wide a text is at 11 pixels: letters are set a little closer or wider to fill exactly that."""
    return round(sum(3.8 if each in "ijlrtf.,:;|! " else 10.5 if each in "mwMW@%" else 7 for each in text))


def badge_document(version: str, mark: Mark) -> bytes:
    """What shields.io makes a badge of (https://shields.io/badges/endpoint-badge)."""
    fields = {"label": LABEL, "message": _message(version, mark), "color": _COLOURS[mark.tone]}
    return json.dumps({"schemaVersion": 1, **fields, "cacheSeconds": 3600}, ensure_ascii=False).encode() + b"\n"


def badge(version: str, mark: Mark) -> bytes:
    """The picture; it loads nothing, and its text is text."""
    said = _message(version, mark)
    left, right = (_width(text) + 12 for text in (LABEL, said))
    name, message = escape(f"{LABEL}: {said}"), escape(said)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img">
<title>{name}</title>
<rect width="{left + right}" height="20" rx="4" fill="#33393f"/>
<path d="M{left} 0h{right - 4}a4 4 0 0 1 4 4v12a4 4 0 0 1 -4 4h-{right - 4}z" fill="{_COLOURS[mark.tone]}"/>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">
<text x="{left / 2}" y="14" textLength="{left - 12}">{LABEL}</text>
<text x="{left + right / 2}" y="14" textLength="{right - 12}">{message}</text>
</g>
</svg>
""".encode("utf-8", "backslashreplace")
