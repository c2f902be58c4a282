"""Makes HTML that came out of untrusted files safe to open beside our own pages.

diffoscope writes its report inside the sandbox, about hostile archives: its bytes are as hostile as they are.
Two layers. A policy of ours comes before the first foreign byte, so that no script, no request and no form works
(https://www.w3.org/TR/CSP3/: a policy in a ``meta`` element governs what follows it). And the elements a policy
does not reach (a refresh that leads away, a prefetch) cannot occur: whatever would start one is spelled as text.
"""

from __future__ import annotations

import re

from rebuilder.model.text import visible_document

FOREIGN_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""Inline styles and images inside the document itself, nothing else."""

_OPENING = (
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    f'<meta http-equiv="Content-Security-Policy" content="{FOREIGN_POLICY}">\n'
    '<meta name="referrer" content="no-referrer">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
).encode()

_NAMES = (
    rb"meta|link|base|script|noscript|iframe|frame|frameset|object|embed|applet|form|input|button|textarea|select|"
    rb"portal|fencedframe|audio|video|source|track|template|svg|math|plaintext|xmp|dialog"
)
# No pattern may look past the next "<": that keeps the work linear in the size of the document, whatever is in it.
_WHOLE_TAG = re.compile(rb"<(?:meta|link|base)\b[^<>]*>", re.IGNORECASE)
_ANY_START = re.compile(rb"<(?=/?(?:" + _NAMES + rb")(?![a-z0-9]))", re.IGNORECASE)
_REFERENCE = re.compile(r"&#(?:[xX]([0-9a-fA-F]{1,8})|([0-9]{1,9}));?")
_DECLARATION = re.compile(rb"\A\s*(?:<!DOCTYPE[^<>]*>\s*)?(?:<html[^<>]*>\s*)?(?:<head[^<>]*>\s*)?", re.IGNORECASE)


def defuse(html: bytes) -> bytes:
    """The document under our policy and without any element that could act or lead a reader away by itself."""
    # Also as references to characters, which a browser would make of them again.
    text = _REFERENCE.sub(_referred, html.replace(b"\0", b"").decode("utf-8", "replace"))
    body = _DECLARATION.sub(b"", visible_document(text).encode(), count=1)
    # Removing a tag may join two halves of another, so the tags that diffoscope itself writes go first, and what
    # is left of any is text from here on.
    return _OPENING + _ANY_START.sub(b"&lt;", _WHOLE_TAG.sub(b"", body))


def _referred(reference: re.Match[str]) -> str:
    """The reference, or what it refers to when that is better seen than obeyed."""
    number = int(reference[1], 16) if reference[1] else int(reference[2])
    char = chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else ""
    return reference[0] if visible_document(char) == char else visible_document(char)
