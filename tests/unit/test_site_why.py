"""The box “Why” on a page: what it says, where it stands, and that nothing in it can act."""

from __future__ import annotations

import pytest

from rebuilder.model.comparison import Effect, Factor, Level, Variation, VariationRow
from rebuilder.model.diagnosis import Cause, Certainty, Diagnosis, EvidenceLine, Finding
from rebuilder.model.report import Report
from rebuilder.site.pages.artifact import PageContext, artifact_page
from rebuilder.site.rendering import Renderer
from rebuilder.site.sections.why import why_section
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.sites import cells


def finding(text: str = "The build wrote the time.") -> Finding:
    """A cause with both sides."""
    line = EvidenceLine(member=f"pkg/{text}", published=f"made {text}", rebuilt="made now", note="see there")
    return Finding(
        cause=Cause.EMBEDDED_TIME,
        sentence=text,
        certainty=Certainty.LIKELY,
        evidence=(line,),
        advice=f"Leave out {text}",
    )


def table(*rows: VariationRow, steady: bool = False) -> Variation:
    """What was varied."""
    return Variation(definition="ab" * 32, rebuilt_sha256="cd" * 32, steady=steady, rows=rows, seconds=9.5)


def page(value: Report) -> str:
    """The page as it is published."""
    around = PageContext(history=[], alarms=(), key_id="ab" * 32, project_href="projects/s.html", files={})
    return Renderer("A verifier").html("artifact.html", artifact_page(value, around)).decode()


def explained(**changes: object) -> Report:
    """A report that differs, with one cause."""
    fields = {"diagnosis": Diagnosis(findings=(finding(),))} | changes
    return reports.differs(MemoryBlobs()).replace(**fields)


def test_what_was_reproduced_has_no_box() -> None:
    """There is nothing to explain."""
    value = reports.reproduced(MemoryBlobs())
    assert None is why_section(value)
    assert 'id="why"' not in page(value)


@pytest.mark.parametrize("diagnosis", [None, Diagnosis()])
def test_a_box_without_content_is_left_out(diagnosis: Diagnosis | None) -> None:
    """Reports from before say nothing about causes, and others found nothing to say."""
    assert 'id="why"' not in page(explained(diagnosis=diagnosis))


def test_the_box_stands_right_under_the_verdict() -> None:
    """With the cause, how sure it is, what it rests on, and what to change."""
    text = page(explained())
    assert text.index('id="verdict"') < text.index('id="why"') < text.index('class="parts"')
    box = text[text.index('<section class="why"') : text.index("</section>", text.index('<section class="why"'))]
    for words in ("The build wrote the time.", "embedded-time", "likely", "What to change:", "made now", "see there"):
        assert words in box


def test_what_is_unexplained_is_listed() -> None:
    """By name, and with the number of all."""
    text = page(explained(diagnosis=Diagnosis(unexplained=("a/b.py",), unexplained_total=3)))
    assert "<p>No known cause explains 3 files:</p>" in text
    assert "<li><code>a/b.py</code></li>" in text
    assert '<div class="reason">' not in text


@pytest.mark.parametrize(
    ("effect", "level", "words"),
    [
        (Effect.FLIPS, Level.DIFFERENT, "changes the result, in its content"),
        (Effect.FLIPS, Level.EQUIVALENT, "changes the result, in archive metadata only"),
        (Effect.STEADIES, Level.DIFFERENT, "makes two builds the same"),
        (Effect.NONE, Level.IDENTICAL, "changes nothing"),
        (Effect.UNCLEAR, Level.DIFFERENT, "cannot be told: the build varies by itself"),
        (Effect.NOT_TRIED, None, "not tried"),
    ],
)
def test_the_table_says_what_each_factor_does(effect: Effect, level: Level | None, words: str) -> None:
    """Members are named where there is an effect, and only there."""
    row = VariationRow(factor=Factor.LOCALE, change="C.UTF-8 → C", effect=effect, level=level, members=("a/b.py",))
    text = page(explained(variation=table(row)))
    telling = effect in {Effect.FLIPS, Effect.STEADIES}
    assert [["locale", "C.UTF-8 → C", f"{words}: a/b.py" if telling else words]] == cells(text, "factors")
    assert telling is (f"<b>{words}</b>" in text)


@pytest.mark.parametrize(("steady", "words"), [(True, "the result is the same. "), (False, "is not the same. ")])
def test_the_table_says_whether_the_build_is_steady(steady: bool, words: str) -> None:
    """What two builds with nothing changed gave."""
    row = VariationRow(factor=Factor.LOCALE, change="C.UTF-8 → C", effect=Effect.NONE)
    assert words in page(explained(variation=table(row, steady=steady)))


def test_nothing_in_the_box_is_markup() -> None:
    """Names and lines come from archives."""
    text = page(reports.hostile(MemoryBlobs()))
    assert 'id="why"' in text
    assert "<script" not in text
