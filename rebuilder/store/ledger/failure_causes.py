"""What stood in the way of a verdict, without what belongs to the single case: failures alike are one group."""

from __future__ import annotations

import re
from functools import lru_cache

_GAP = "…"
_LONGEST = 300
_QUOTED = re.compile(r"“[^”]*”|\"[^\"]*\"|`[^`]*`|(?<!\w)'[^']*'(?!\w)")
_DETAIL = re.compile(r":\s.*", re.DOTALL)
"""What follows a colon tells of the single case: member names, what a program said."""
_SINGULAR = re.compile(r"\b1 (\w+?)( inside (?:it|the \w+))? (differs|was|is|has)\b")
_PLURALS = {"differs": "differ", "was": "were", "is": "are", "has": "have"}
_NAME = re.compile(r"(?<![^\s,;()])(?!SHA-256\b)[^\s,;()]*(?:\d|[/\\_@=]|\w\.\w)[^\s,;()]*")
"""A word with a digit, a slash, a dot within: a figure, a version, a path, a digest, an address."""
_SEVERAL = re.compile(rf"{_GAP}(?:(?:, | and |, and | )?{_GAP})+")


@lru_cache(maxsize=1 << 16)
def cause(sentence: str) -> str:
    """The sentence, with names and figures taken out; never empty, at most 300 characters."""
    kept = _QUOTED.sub(_GAP, sentence[: 4 * _LONGEST])
    kept = _SINGULAR.sub(lambda found: f"1 {found[1]}s{found[2] or ''} {_PLURALS[found[3]]}", kept)
    kept = _NAME.sub(_name, kept)
    kept = _DETAIL.sub(f": {_GAP}", kept, count=1)
    kept = " ".join(_SEVERAL.sub(_GAP, kept).split())
    return kept[:_LONGEST] or _GAP


def _name(found: re.Match[str]) -> str:
    word = found[0]
    end = word[-1] if word[-1] in ".:!?" else ""
    return _GAP + end
