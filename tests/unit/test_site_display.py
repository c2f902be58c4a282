"""Strings that pages show: nothing hidden in a text stays hidden, and no link leads where it should not."""

from __future__ import annotations

import time
import unicodedata
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from urllib.parse import unquote, urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebuilder.model.report import page_path, summarise
from rebuilder.site import display
from rebuilder.site.rendering import Renderer
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("idna-3.10.tar.gz", "idna-3.10.tar.gz"),
        ("a\u202eb", "a⟨U+202E⟩b"),
        ("a\x1b[31mb", "a⟨U+001B⟩[31mb"),
        ("zero\u200bwidth", "zero⟨U+200B⟩width"),
        ("nul\0", "nul⟨U+0000⟩"),
        ("lone \ud800", "lone ⟨U+D800⟩"),
        ("tag \U000e0041", "tag ⟨U+E0041⟩"),
        ("filler \u3164", "filler ⟨U+3164⟩"),
        ("größer 大きい é", "größer 大きい é"),
        ("<b>", "<b>"),
    ],
)
def test_hidden_characters_are_spelled(text: str, expected: str) -> None:
    """Markup is left to the template; what would be invisible or reorder the line is named."""
    assert expected == display.visible(text)


def test_no_template_can_forget_it() -> None:
    """What a page shows is spelled and escaped on its way out, also where the template asks for nothing."""
    page = SimpleNamespace(root="", title="a\u202e<b>", href="x/")
    shown = Renderer("A verifier").html("forward.html", page).decode()
    assert "a⟨U+202E⟩&lt;b&gt;" in shown
    assert "\u202e" not in shown


@given(st.text())
def test_no_control_character_survives(text: str) -> None:
    """Whatever the text: no control, format or unassigned character is left."""
    shown = display.visible(text, 50)
    assert [] == [char for char in shown if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}]


def test_stacked_marks_end() -> None:
    """A letter cannot climb over the lines above it."""
    assert 3 == display.visible("e" + "\u0301" * 50).count("\u0301")


def test_long_text_loses_its_middle() -> None:
    """Start and end stay, and the length is told."""
    shown = display.visible("a" * 500 + "b" * 500, 30)
    assert "aaaaaaaaaaaaaaaaaaaa … bbbbbbbbbb (1,000 characters)" == shown


def test_log_tail_keeps_the_end_without_colours() -> None:
    """Colours go; other escapes are spelled; the last lines stay."""
    log = b"".join(b"line %d\n" % number for number in range(100)) + b"\x1b[1;31merror\x1b[0m \x1b]0;title\x07\xff\n\n"
    assert ["line 98", "line 99", "error ⟨U+001B⟩]0;title⟨U+0007⟩\\xff"] == display.log_tail(log, 3).split("\n")


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JAVASCRIPT:alert(1)",
        " https://example.org/",
        "https://example.org/\n",
        "data:text/html,x",
        "//example.org/",
        "file:///etc/passwd",
        "https://user@example.org/",
        "https://example.org\u202e/",
        "https://xn—.example.org/",
        "https:///nothing",
        "https://[broken/",
        "https://example.org/" + "x" * 3000,
        "",
    ],
)
def test_only_plain_web_addresses_become_links(url: str) -> None:
    """Other schemes, user names that pose as hosts, and odd characters stay text."""
    assert display.link(url) is None


def test_web_addresses_become_links() -> None:
    """The address is kept as it is."""
    assert "https://files.example.org:8443/a%20b?c=d#e" == display.link("https://files.example.org:8443/a%20b?c=d#e")
    assert "http://127.0.0.1/" == display.link("http://127.0.0.1/")


def test_sizes_and_times() -> None:
    """Numbers are exact and readable."""
    assert "1 byte" == display.size(1)
    assert "134,899 bytes (132 KiB)" == display.size(134_899)
    assert "not stated" == display.size(None)
    assert "58.6 MiB" == display.memory(61_430_000)
    assert ["84 ms", "3.2 s", "4 min 05 s"] == [display.duration(each) for each in (0.084, 3.2, 245.4)]


def test_times_are_utc() -> None:
    """Zones are converted; a time without one is UTC."""
    east = datetime(2026, 1, 2, 1, 0, tzinfo=timezone(timedelta(hours=2)))
    assert display.Moment("2026-01-01 23:00 UTC", "2026-01-01T23:00:00Z") == display.moment(east)
    assert display.moment(east) == display.moment(east.astimezone(UTC).replace(tzinfo=None))


def test_address_of_a_hostile_name_leads_to_its_directory() -> None:
    """A server or browser decodes an address once; what is left is the name on disk, and stays below the root."""
    summary = summarise(reports.hostile(MemoryBlobs()))
    href = display.page_href("../", summary)
    resolved = urljoin("http://example.org/projects/0.html", href)
    on_disk = unquote(resolved.removeprefix("http://example.org/"))
    directory = page_path(summary.ecosystem, summary.name, summary.version, summary.filename, summary.sha256)
    assert f"{directory}/index.html" == on_disk
    assert on_disk.startswith("pypi/%3Cscript%3E")
    assert 6 == len(on_disk.split("/"))


def test_a_huge_text_is_quick() -> None:
    """Only what is shown is looked at."""
    start = time.process_time()
    display.visible("\u202e" * 10_000_000)
    assert time.process_time() - start < 60
