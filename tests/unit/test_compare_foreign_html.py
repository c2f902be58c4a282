"""HTML out of untrusted files: under our policy, and without elements that act."""

from __future__ import annotations

import time
from html.parser import HTMLParser

import pytest

from rebuilder.compare.diffoscope import FOREIGN_POLICY, defuse
from tests.fakes.reports import DIFFOSCOPE_HTML


class Tags(HTMLParser):
    """Collects start tags."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep it."""
        self.found.append((tag, dict(attrs)))


def test_our_policy_comes_first() -> None:
    """Nothing foreign is read before the policy; the foreign head merges into ours."""
    html = defuse(DIFFOSCOPE_HTML)
    tags = Tags(html).found
    assert ["html", "head", "meta", "meta"] == [tag for tag, _ in tags[:4]]
    assert FOREIGN_POLICY == tags[3][1]["content"]
    assert 1 == html.count(b"<head>") == html.lower().count(b"<!doctype")


def test_what_diffoscope_says_stays() -> None:
    """Tables, classes and inline styles are what the report consists of."""
    html = defuse(DIFFOSCOPE_HTML)
    assert b'<body class="diffoscope"><div class="difference"><table class="diff">' in html
    assert b"body.diffoscope { background: white" in html


@pytest.mark.parametrize(
    "payload",
    [
        b"<meta http-equiv=refresh content='0;url=https://example.org/'>",
        b"<META http-equiv=refresh",
        b"<me<meta x>ta http-equiv=refresh content=1>",
        b"<me<meta x>ta/http-equiv=refresh content=1>",
        b"<m\0eta http-equiv=refresh content=1>",
        b"<meta\x0chttp-equiv=refresh content=1>",
        b"<base href=//example.org/>",
        b"<link rel=prefetch href=//example.org/>",
        b"<script>alert(1)</script>",
        b"<SCRIPT/src=x>",
        b"<iframe srcdoc=x></iframe>",
        b"<svg onload=alert(1)>",
        b"<form action=//example.org/><input></form>",
        b"</head><plaintext>",
        b"\xfe\xff<\0m\0e\0t\0a\0>",
    ],
)
def test_elements_that_act_become_text(payload: bytes) -> None:
    """Whichever way they are written."""
    allowed = {"html", "head", "body", "title", "p", "m"}
    for html in (payload, b"<html><head>" + payload, b"<p>" + payload + b"</p>"):
        foreign = Tags(defuse(html).decode("utf-8", "replace").encode()).found[6:]
        assert set() == {tag for tag, _ in foreign} - allowed


def test_work_is_linear() -> None:
    """Unclosed tags without end: sixteen times as many cost about sixteen times the processor time, not 256 times."""
    for filler in (b"<meta ", b"<script", b"<", b"<!DOCTYPE ", b"<html "):
        seconds = []
        for size in (250_000, 4_000_000):
            start = time.process_time()
            defuse(filler * (size // len(filler)))
            seconds.append(time.process_time() - start)
        assert seconds[1] < 60 * seconds[0] + 1, (filler, seconds)


def test_hidden_characters_are_seen() -> None:
    """Raw or as references: escape sequences, bidirectional controls and what nobody would see."""
    shown = defuse("<p>a\x1b[2J\u202eb\u2066&#x202E;&#8238&#27;c &#60; é\u200b\t\n</p>".encode()).decode()
    assert "<p>a⟨U+001B⟩[2J⟨U+202E⟩b⟨U+2066⟩⟨U+202E⟩⟨U+202E⟩⟨U+001B⟩c &#60; é\u200b\t\n</p>" in shown
