"""The written pages as a browser reads them: nothing hostile is markup, every link leads somewhere."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from rebuilder.resources import resource
from rebuilder.site.rendering import POLICY, TYPING_POLICY
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.sites import write_site

VOID = {"meta", "link", "img", "br", "hr", "input"}
# fmt: off
ALLOWED = {
    "html", "head", "meta", "title", "link", "body", "a", "header", "nav", "main", "footer", "section", "h1", "h2",
    "h3", "h4", "p", "b", "ul", "ol", "li", "dl", "div", "dt", "dd", "span", "code", "pre", "table", "caption", "thead",
    "tbody", "tfoot", "tr", "th", "td", "time", "details", "summary", "img", "svg", "rect",
    "g", "path", "text", "desc", "article", "defs", "pattern", "label", "input",
}
# fmt: on
SEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")


class Document(HTMLParser):
    """Elements, ids, links and text of one page; complains about tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert [] == self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep it."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep it; it closes itself."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        """It has to close what was opened last."""
        assert self._open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        """Keep it."""
        self.text += data

    @property
    def ids(self) -> list[str]:
        """All ids, in order."""
        return [attrs["id"] for _, attrs in self.elements if "id" in attrs]


@cache
def read(path: Path) -> Document:
    """A page, read once."""
    return Document(path.read_text("utf-8"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with every kind of page."""
    root = tmp_path_factory.mktemp("site")
    write_site(root, MemoryBlobs())
    return root


@pytest.fixture(scope="module")
def pages(root: Path) -> list[Path]:
    """Our own pages; what diffoscope wrote is not one."""
    return [path for path in sorted(root.rglob("*.html")) if path.name != "diffoscope.html"]


def test_every_kind_of_page_is_there(root: Path, pages: list[Path]) -> None:
    """Sixteen artifacts, each with the pages above it, lists of every kind, projects, and five pages at the top."""
    top = {"index.html", "alarms.html", "about.html", "compliance.html", "operate.html"}
    assert top == {path.name for path in root.glob("*.html")}
    assert 10 == len(list((root / "verdicts").glob("*.html")))
    depths = Counter(len(path.relative_to(root).parts) for path in pages if path.is_relative_to(root / "pypi"))
    assert {2: 1, 3: 16, 4: 16, 5: 16, 6: 16} == depths
    for kind in ("causes", "environments", "publishers", "projects"):
        assert len(list((root / kind).glob("*.html"))) > 1


def test_every_address_can_be_shortened(root: Path, pages: list[Path]) -> None:
    """The directory of each page, and each one above it, has a page of its own."""
    above = {parent for path in pages for parent in path.relative_to(root).parents}
    assert len(above) > 60
    assert [] == [each for each in above if not (root / each / "index.html").is_file()]


def forwards(page: Path) -> bool:
    """Whether it only leads to the page of the one file there is."""
    return "refresh" in [attrs.get("http-equiv") for _, attrs in read(page).elements]


def test_every_page_has_data(root: Path, pages: list[Path]) -> None:
    """A page of files or lists names its JSON, which is there; that of a release is its project's."""
    fixed = {"about.html", "alarms.html", "compliance.html", "operate.html"}
    asked = [path for path in pages if path.name not in fixed and not forwards(path)]
    assert len(asked) > 40
    for path in asked:
        json = [attrs["href"] for tag, attrs in read(path).elements if attrs.get("type") == "application/json"]
        assert 1 == len(json), path
        assert (path.parent / unquote(json[0])).is_file()


def test_every_page_says_what_it_is(pages: list[Path]) -> None:
    """In one sentence, for those who find it elsewhere; no two files have the same."""
    assert pages
    said = {}
    for path in pages:
        named = [attrs["content"] for _, attrs in read(path).elements if attrs.get("name") == "description"]
        assert 1 == len(named)
        assert 20 < len(named[0])
        said[path] = named[0]
    files = [text for path, text in said.items() if "pypi" in path.parts]
    assert len(set(files)) > 30


def test_policy_comes_before_anything_that_loads(pages: list[Path]) -> None:
    """Each page begins with its character set and the policy."""
    assert pages
    for path in pages:
        tags = read(path).elements
        typing = any(tag == "script" for tag, _ in tags)
        assert [("html", {"lang": "en"}), ("head", {}), ("meta", {"charset": "utf-8"})] == tags[:3]
        assert (
            "meta",
            {"http-equiv": "Content-Security-Policy", "content": TYPING_POLICY if typing else POLICY},
        ) == tags[3]


def test_no_element_or_attribute_runs_or_styles(root: Path, pages: list[Path]) -> None:
    """Only known elements and one script of ours; no handlers, no inline styles, only relative or web addresses."""
    assert pages
    for path in pages:
        assert read(path).elements
        for tag, attrs in read(path).elements:
            if tag == "script":
                assert {"src", "defer"} == attrs.keys()
                assert (root / "static/find.js").resolve() == (path.parent / attrs["src"]).resolve()
                continue
            assert tag in ALLOWED
            assert [] == [name for name in attrs if name.startswith("on") or name in {"style", "srcdoc", "action"}]
            schemes = {urlsplit(attrs[name]).scheme for name in {"href", "src"} & attrs.keys()}
            assert schemes <= {"", "http", "https"}


def test_hostile_text_is_text(root: Path) -> None:
    """The payload is there to be read: in words, with every hidden character spelled."""
    page = next(path for path in root.glob("pypi/*/*/*/*/index.html") if "script" in str(path))
    text = read(page).text
    assert (
        "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&⟨U+202E⟩txt.exe⟨U+001B⟩[31m⟨U+0000⟩⟨U+200B⟩" in text
    )
    assert "javascript:alert(3)" in text
    assert "(100,000 characters)" in text
    assert "The first 3 of 12,345 are listed." in text
    assert page.stat().st_size < 300_000


def test_hostile_certificates_and_trees_are_text(root: Path) -> None:
    """Traits of a publisher, claims, tags, notes and paths: readable, never links, and not without end."""
    page = next((root / "pypi" / "snare").glob("*/*/*/index.html"))
    document = read(page)
    assert 10 < document.text.count("<script>alert(1)</script>")
    assert "javascript:alert(5)" not in {attrs.get("href") for _, attrs in document.elements}
    assert [] == [attrs["href"] for _, attrs in document.elements if "plain.example.org" in attrs.get("href", "")]
    assert "(90,000 characters)" in document.text
    assert "300 of 9,999 are listed, unexplained ones first." in document.text
    assert page.stat().st_size < 300_000


def test_what_was_not_checked_is_said(root: Path) -> None:
    """A report from before has no trail, and says that nobody looked for attestations."""
    text = read(next((root / "pypi" / "spindle").glob("*/*/*/index.html"))).text
    assert "This was not checked by the version of the rebuilder that made this report." in text
    assert "Where it comes from" not in text


def test_the_banner_stands_before_everything_but_the_verdict(root: Path) -> None:
    """Nobody who reads “reproduced” misses it."""
    ids = read(next((root / "pypi" / "bobbin").glob("*/*/*/index.html"))).ids
    assert ["verdict", "banner"] == ids[ids.index("verdict") : ids.index("verdict") + 2]
    assert "banner" not in read(next((root / "pypi" / "loom").glob("*/*/*/index.html"))).ids


def test_no_hidden_character_reaches_a_page(pages: list[Path]) -> None:
    """Neither control characters nor ones that turn the direction of text."""
    assert pages
    for path in pages:
        assert None is SEEN.search(path.read_text("utf-8").replace("\n", ""))


def test_every_link_leads_somewhere(root: Path, pages: list[Path]) -> None:
    """Relative addresses only, decoded once as a server does, to a file and an id that exist."""
    assert pages
    for path in pages:
        assert read(path).elements
        for tag, attrs in read(path).elements:
            href = attrs.get("href", attrs.get("src"))
            if href is None:
                continue
            parts = urlsplit(href)
            if parts.scheme:
                assert ("a", "noopener noreferrer nofollow") == (tag, attrs["rel"])
                continue
            assert not parts.path.startswith("/")
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_file(), f"{path.relative_to(root)} links to {href}"
            assert target.is_relative_to(root.resolve())
            if parts.fragment:
                assert unquote(parts.fragment) in read(target).ids


def test_pages_can_be_found_their_way_around_in(pages: list[Path]) -> None:
    """Unique ids, one main heading, no level skipped, landmarks, captions, scopes, and words for pictures."""
    assert pages
    for path in pages:
        document = read(path)
        found = Counter(tag for tag, _ in document.elements)
        assert [] == [name for name, times in Counter(document.ids).items() if times > 1]
        levels = [int(tag[1]) for tag, _ in document.elements if re.fullmatch(r"h\d", tag)]
        assert 1 == levels[0]
        assert 1 == levels.count(1)
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
        assert (1, 1, 1) == (found["main"], found["title"] - found["desc"], found["caption"] - found["table"] + 1)
        assert document.elements
        for tag, attrs in document.elements:
            assert tag != "th" or "scope" in attrs
            assert tag != "img" or "alt" in attrs
            assert tag != "nav" or "aria-label" in attrs
            if "aria-labelledby" in attrs:
                assert set(attrs["aria-labelledby"].split()) <= set(document.ids)


def test_colour_is_never_the_only_signal(pages: list[Path]) -> None:
    """A tone always comes with a word, and its icon is not read aloud."""
    assert pages
    for path in pages:
        marks = re.findall(r'<span class="mark tone-[a-z]+">(.*?)</span>(.*?)<', path.read_text("utf-8"))
        assert [] == [mark for mark in marks if not re.search(r"[A-Za-z]{4}", "".join(mark))]


def test_templates_escape_everything() -> None:
    """No template opts out."""
    templates = [each.read_text() for each in (resource("reports") / "templates").iterdir()]
    assert templates
    ours = r"<script(?! src=\"[^\"]*static/find.js\" defer></)"
    opting_out = re.compile(rf"\bsafe\b|autoescape|Markup|{ours}|style=|\bon[a-z]+=")
    assert [] == [text for text in templates if opting_out.search(text)]
