"""The pages about the service in Chromium, in every state an operator may find them in."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebuilder.model.report import summarise
from rebuilder.site.publisher import Site
from tests.browser.chromium import CONTRASTS, DESKTOP, PHONE, Browser
from tests.fakes import operations, reports
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.sites import KEY_ID

STATES = ("nothing", "idle", "busy", "failing", "hostile")
OPEN = "for (const each of document.querySelectorAll('details')) each.open = true"
ZOOM = "document.documentElement.style.fontSize = '200%'"

DRAWN = """
const channel = c => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
const luminance = text => {
  const [r, g, b] = text.match(/[\\d.]+/g).map(Number);
  return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
};
const paper = luminance(getComputedStyle(document.body).backgroundColor);
const found = [];
for (const path of document.querySelectorAll('.columns .segments')) {
  const pattern = document.getElementById(path.getAttribute('fill').slice(5, -1));
  const ground = luminance(getComputedStyle(pattern.querySelector('.ground')).fill);
  const ratio = (Math.max(ground, paper) + 0.05) / (Math.min(ground, paper) + 0.05);
  const at = path.getBoundingClientRect(), within = path.closest('svg').getBoundingClientRect();
  const inside = at.left >= within.left - 1 && at.right <= within.right + 1 && at.top >= within.top - 1
    && at.bottom <= within.bottom + 1;
  found.push([inside && at.width > 3 && at.height > 0.5, ratio]);
}
return found;
"""


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a site in each state."""
    root = tmp_path_factory.mktemp("sites")
    summaries = [summarise(make(MemoryBlobs())) for make in reports.EVERY.values()]
    states = {
        "nothing": (operations.operations(), []),
        "idle": (operations.idle(summaries[0]), []),
        "busy": (operations.busy(summaries), operations.alarms(summaries)),
        "failing": (operations.failing(summaries[0]), []),
        "hostile": (operations.hostile(summaries[0]), operations.alarms(summaries)),
    }
    for name, (value, alarms) in states.items():
        site = Site(root / name, MemoryBlobs(), public_key=b"key\n", key_id=KEY_ID, verifier="rebuilder.example.org")
        site.write_operations(value, alarms)
        site.write_index([], alarms, reports.NOW)
    return root


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("page", ["operate.html", "alarms.html"])
def test_it_fits_a_phone_with_large_letters(browser: Browser, sites: Path, state: str, page: str) -> None:
    """At 360 pixels, and with letters of twice the size, nothing scrolls sideways and nothing is cut off."""
    browser.open(sites / state / page, width=PHONE)
    browser.script(OPEN)
    assert PHONE >= browser.script("return document.documentElement.scrollWidth")
    browser.script(ZOOM)
    assert PHONE >= browser.script("return document.documentElement.scrollWidth")
    assert [] == browser.script(
        "return [...document.querySelectorAll('main *')].filter(each => !each.closest('.hidden, thead, svg') && "
        "each.getBoundingClientRect().right > innerWidth + 1).map(each => each.outerHTML.slice(0, 200))"
    )


def test_no_cell_reaches_beyond_its_table(browser: Browser, sites: Path) -> None:
    """On a desk, too: a time that does not break would stand beside the page."""
    browser.open(sites / "busy" / "operate.html", width=DESKTOP)
    assert [] == browser.script(
        "return [...document.querySelectorAll('td, th, td *, th *')].filter(each => !each.closest('.hidden') && "
        "each.clientWidth > 0 && each.scrollWidth > each.clientWidth + 1).map(each => each.outerHTML.slice(0, 200))"
    )


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read(browser: Browser, sites: Path, state: str, scheme: str) -> None:
    """Contrast of all text is at least 4.5 (WCAG 2.2, 1.4.3) and nothing is complained about."""
    browser.complaints()
    for page in ("operate.html", "alarms.html"):
        browser.open(sites / state / page, scheme=scheme)
        browser.script(OPEN)
        found = browser.script(CONTRASTS)
        assert len(found) > 10
        assert [] == [each for each in found if each[0] < 4.5]
        assert [] == browser.complaints()


@pytest.mark.parametrize(("scheme", "media"), [("light", "screen"), ("dark", "screen"), ("light", "print")])
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_columns_stand_out(browser: Browser, sites: Path, width: int, scheme: str, media: str) -> None:
    """Each verdict has a fill that exists, contrast of 3 to the paper (WCAG 2.2, 1.4.11), and lies in the drawing."""
    for state in ("busy", "failing"):
        browser.open(sites / state / "operate.html", width=width, scheme=scheme, media=media)
        found = browser.script(DRAWN)
        assert len(found) >= 4
        assert [] == [each for each in found if not each[0] or each[1] < 3]


def test_a_listener_hears_what_is_drawn(browser: Browser, sites: Path) -> None:
    """Each chart is one picture with a name that tells totals and the highest column; its scale is not read out."""
    browser.open(sites / "busy" / "operate.html")
    nodes = browser.accessible()
    images = [each["name"]["value"] for each in nodes if each["role"]["value"] in {"image", "img"}]
    charts = [each for each in images if each.startswith("Verifications by")]
    assert 2 == len(charts)
    assert "1,392 reproduced" in charts[0]
    assert "The highest column has 74 verifications" in charts[0]
    headings = [each["name"]["value"] for each in nodes if each["role"]["value"] == "heading"]
    assert "Operate" == headings[0].strip()
    assert headings[1].strip().endswith(("urgent alarm", "urgent alarms"))


def test_the_table_is_there_for_paper(browser: Browser, sites: Path) -> None:
    """Print cannot be clicked: the numbers behind the columns are printed with them."""
    browser.open(sites / "busy" / "operate.html", media="print")
    shown = "return [...document.querySelectorAll('.series tbody tr')].map(each => each.getClientRects().length)"
    found = browser.script(shown)
    assert len(found) > 60
    assert 0 not in found


def test_the_answer_needs_no_scrolling(browser: Browser, sites: Path) -> None:
    """How things are, and as of when, on the first screen of a phone."""
    for state in STATES:
        browser.open(sites / state / "operate.html", width=PHONE)
        assert 800 > browser.script("return document.querySelector('.verdict time').getBoundingClientRect().bottom")
