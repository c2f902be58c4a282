"""A site of some months in Chromium: every kind of page under the rules of WCAG, on a phone, on a desk and on paper."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tests.browser.chromium import DESKTOP, PHONE, Browser
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.large_site import write_large_site
from tests.fakes.npm_publisher import locked_tarballs
from tests.fakes.processes import until

KINDS = {
    "front": "index.html",
    "project": "pypi/click-tools/index.html",
    "scoped project": "npm/@loom%2Fcore/index.html",
    "release": "npm/@loom%2Fcore/1.3.0/index.html",
    "ecosystem": "deb/index.html",
    "letters": "projects/index.html",
    "projects": "projects/b.html",
    "verdict": "verdicts/differs.html",
    "verdicts": "verdicts/index.html",
    "cause": "causes/extra-source-files.html",
    "causes": "causes/index.html",
    "environment": "environments/trixie*.html",
    "publisher": "publishers/*bobbin.html",
    "alarms": "alarms.html",
    "operate": "operate.html",
    "about": "about.html",
    "compliance": "compliance.html",
    "reproduced": "pypi/loom/*/*/*/index.html",
    "differs": "pypi/heddle/*/*/*/index.html",
    "trail": "pypi/bobbin/*/*/*/index.html",
    "accounted files": "verdicts/accounted.html",
    "unauthenticated files": "verdicts/unauthenticated.html",
    "unauthenticated project": "deb/libfiber-dev/index.html",
    "accounted": "npm/tiny-clock/1.37.0/*/*/index.html",
    "unauthenticated": "deb/gzipper/1.1.0/*/*/index.html",
    "incidents": "incidents/index.html",
    "incident": "incidents/*/index.html",
    "hostile": "pypi/%3Cscript*/*/*/*/index.html",
}
"""Every kind of page, by where one is."""

AXE = """
const done = arguments[arguments.length - 1];
const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const shown = each => each.id + ': ' + each.nodes.slice(0, 3).map(node => node.html.slice(0, 150)).join(' ');
axe.run(document, {runOnly: rules}).then(found => done(found.violations.map(shown)));
"""
TALLEST = """
const tables = [...document.querySelectorAll('table')].filter(each => each.checkVisibility());
return Math.max(0, ...tables.map(each => each.clientHeight));
"""
TOPS = """
const named = ['.figure', '#worse', '.alarms li'].map(each => document.querySelector(each));
return named.map(each => each.getBoundingClientRect().top);
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site."""
    root = tmp_path_factory.mktemp("large")
    assert 300 < len(write_large_site(root, MemoryBlobs()))
    return root


@pytest.fixture(scope="module")
def axe() -> str:
    """axe-core, whose rules are those of WCAG."""
    (package,) = locked_tarballs()["axe-core"].values()
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        script = archive.extractfile("package/axe.min.js")
        assert script is not None
        return script.read().decode()


def page_of(root: Path, kind: str) -> Path:
    """One page of a kind."""
    return next(iter(sorted(root.glob(KINDS[kind]))))


@pytest.mark.parametrize("kind", KINDS)
def test_it_keeps_to_wcag(browser: Browser, root: Path, axe: str, kind: str) -> None:
    """Axe finds nothing against WCAG 2.2 AA, with all that is folded open: on a phone and a desk, light and dark."""
    browser.open(page_of(root, kind))
    browser.script("for (const each of document.querySelectorAll('details')) each.open = true")
    browser.script(axe)
    for width in (PHONE, 1280):
        for scheme in ("light", "dark"):
            browser.emulate(width=width, scheme=scheme)
            assert [] == browser.driver.execute_async_script(AXE), (width, scheme)


@pytest.mark.parametrize("kind", KINDS)
def test_it_fits_a_phone_and_paper(browser: Browser, root: Path, kind: str) -> None:
    """Nothing scrolls sideways, no table goes on for more than eight screens unless asked to, and paper has no menu."""
    page = page_of(root, kind)
    browser.open(page, width=PHONE)
    assert PHONE >= browser.script("return document.documentElement.scrollWidth")
    tall = browser.script(TALLEST)
    assert tall < 6000
    browser.open(page, width=700, media="print")
    assert "none" == browser.script("return getComputedStyle(document.querySelector('header nav')).display")


@pytest.mark.parametrize("kind", KINDS)
def test_no_cell_reaches_into_the_next(browser: Browser, root: Path, kind: str) -> None:
    """On a desk, where what is too long for a cell would stand on top of its neighbour."""
    browser.open(page_of(root, kind), width=1280)
    assert [] == browser.script(
        "return [...document.querySelectorAll('td, th')].filter(each => !each.closest('.hidden') && "
        "each.clientWidth > 0 && each.scrollWidth > each.clientWidth + 1).map(each => each.outerHTML.slice(0, 200))"
    )


def test_the_front_page_answers_at_once(browser: Browser, root: Path) -> None:
    """On the first screen of a desk: how much is confirmed, what got worse, and what was exchanged first of all."""
    browser.open(root / "index.html", width=1280)
    shown = browser.script(TOPS)
    assert [True] * 3 == [0 < top < 800 for top in shown]
    assert "Published bytes changed" in browser.script("return document.querySelector('#alarms + ul').innerText")


def test_typing_finds_a_project(browser: Browser, root: Path) -> None:
    """From the front page to the page of its letter, narrowed to it; without a script, the letters lead there, too."""
    browser.open(root / "index.html", width=DESKTOP)
    browser.complaints()
    box = browser.driver.find_element("id", "find")
    box.send_keys("Basal\n")
    until(lambda: browser.driver.current_url.startswith((root / "projects/b.html").as_uri()))
    shown = "return [...document.querySelectorAll('[data-name]')].filter(each => each.checkVisibility()).map(each => "
    until(lambda: browser.script(shown + "each.dataset.name)") == ["basalt"])
    assert [] == browser.complaints()
    browser.driver.find_element("id", "find").send_keys("x<b>")
    assert [] == browser.script(shown + "each.dataset.name)")
    assert "0 of 4 here" == browser.script("return document.getElementById('found').textContent")


def test_what_is_typed_is_never_markup(browser: Browser, root: Path) -> None:
    """An address may be sent by anybody: what it says is put into the field and nowhere else."""
    page = root / "projects/b.html"
    browser.open(page)
    browser.driver.get(page.as_uri() + "#find=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E%zz")
    browser.driver.refresh()
    assert [] == [each for each in browser.complaints() if "Content Security" not in each]
    assert 0 == browser.script("return document.querySelectorAll('main img').length")


def test_an_address_above_the_only_file_leads_to_it(browser: Browser, root: Path) -> None:
    """Without a script."""
    browser.open(next(root.glob("pypi/loom/*/index.html")))
    assert 16 == len(Path(browser.script("return location.pathname")).parent.name)
