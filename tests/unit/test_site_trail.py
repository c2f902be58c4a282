"""The trail on a page: what is drawn, what is listed, and the case nobody may miss."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest

from rebuilder.ecosystems.pypi.subject import PyPIStep
from rebuilder.model.decision import Decision
from rebuilder.model.graph import FileChange, NodeKind, TreeChange
from rebuilder.model.report import Report
from rebuilder.model.verdict import Verdict
from rebuilder.site.marks import step_words
from rebuilder.site.pages.artifact import PageContext, artifact_page
from rebuilder.site.rendering import Renderer
from rebuilder.site.sections.trail import MOST_CHANGES, TrailSection, trail_section
from rebuilder.site.sections.trail_picture import Picture, wrapped
from tests.fakes import reports, trails
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.sites import cells


def section(value: Report, **changes: Any) -> TrailSection:
    """The section, after changes of the trail."""
    assert value.trail is not None
    changed = value.replace(trail=value.trail.replace(**changes))
    found = trail_section(changed)
    assert found is not None
    return found


def html(found: TrailSection) -> str:
    """The section as it is published."""
    return Renderer("A verifier").html("trail.html", SimpleNamespace(trail=found)).decode()


def decided(value: Report, **verdicts: Verdict) -> TrailSection:
    """The section with exactly these verdicts of steps (names with underscores); the others were not tried."""
    known = {name.replace("_", "-"): Decision(verdict=each, sentence="So it is.") for name, each in verdicts.items()}
    assert known.keys() <= set(PyPIStep)
    assert value.trail is not None
    return section(
        value, steps=tuple(each.replace(decision=known.get(each.name), attempts=()) for each in value.trail.steps)
    )


def test_without_a_trail_nothing_is_said() -> None:
    """Reports from before have none."""
    assert None is trail_section(reports.reproduced(MemoryBlobs()))


def test_every_step_has_a_row_and_an_arrow_also_when_nobody_tried_it() -> None:
    """Three steps in each drawing; dashed where there is no edge; rows link to their attempts."""
    found = section(trails.claimed(MemoryBlobs()))
    assert ["Commit → source archive", "Source archive → wheel", "Commit → wheel"] == [row.step for row in found.steps]
    assert ["equivalent", "equivalent", "not-tried"] == [row.mark.name for row in found.steps]
    assert [(2,), (1,), ()] == [row.attempts for row in found.steps]
    assert found.pictures
    for picture in found.pictures:
        assert ["≈ Equivalent", "≈ Equivalent", "– Not tried"] == [arrow.pill.text for arrow in picture.arrows]
        assert [True, True, False] == [arrow.tried for arrow in picture.arrows]
        assert "Commit → wheel: not tried." in picture.description


def test_a_step_that_was_not_tried_says_why() -> None:
    """Without a commit, where the reason stands, once; without a repository, that nobody names one."""
    value = trails.claimed(MemoryBlobs())
    origin = trails.trail(value).origin
    assert origin is not None
    lost = origin.replace(commit=None, sentence="No tag of the repository fits\u202e this version.")
    bare = [each.replace(decision=None, attempts=()) for each in trails.trail(value).steps]
    shown = {
        name: {row.step: row.sentence for row in section(value, steps=bare, origin=each).steps}
        for name, each in {"known": origin, "lost": lost, "none": None}.items()
    }
    plain = "This step was not tried."
    assert {plain} == set(shown["known"].values())
    for step in ("Commit → source archive", "Commit → wheel"):
        assert f"{plain} No commit is known: “Who says so” has the reason." == shown["lost"][step]
        assert f"{plain} Nobody names a repository that this file comes from." == shown["none"][step]
    facts = {each.label: each.value for each in section(value, steps=bare, origin=lost).facts}
    assert "No tag of the repository fits⟨U+202E⟩ this version." == facts["Who says so"]
    assert [plain, plain] == [shown[name]["Source archive → wheel"] for name in ("lost", "none")]


def test_what_git_said_is_told_once() -> None:
    """Neither step from the commit could be tried for it, and the verdict need not be the place where it stands."""
    value = trails.claimed(MemoryBlobs())
    gone = Decision(verdict=Verdict.INPUTS_MISSING, sentence="forge.example.org has no such repository.")
    steps = trails.trail(value).steps
    lost = [each.replace(decision=gone, attempts=()) if "commit" in each.name else each for each in steps]
    assert 2 == sum(each.decision is gone for each in lost)
    shown = [row.sentence for row in section(value, steps=lost).steps]
    assert (1, 1) == (shown.count(gone.sentence), shown.count("For the same reason."))


def test_attempts_that_do_not_exist_are_not_linked() -> None:
    """An index beyond the report, or a negative one, leads nowhere."""
    assert (1,) == trail_section_of_snare().steps[0].attempts


def trail_section_of_snare() -> TrailSection:
    """The hostile one."""
    found = trail_section(trails.hostile(MemoryBlobs()))
    assert found is not None
    return found


def test_who_vouches_for_the_commit_is_in_the_picture() -> None:
    """Attested and claimed look different, in words."""
    said = {
        name: [box.pill.text for box in section(make(MemoryBlobs())).pictures[1].boxes if box.pill]
        for name, make in trails.EVERY.items()
    }
    assert ["✓ attested"] == said["attested"]
    assert ["? claimed, not attested"] == said["claimed"]
    assert [] == said["invalid"]
    assert not section(trails.invalid(MemoryBlobs())).pictures[0].boxes[0].known


def test_the_case_people_must_see() -> None:
    """The wheel follows from the source archive, which does not follow from the commit: with the number of files."""
    banner = section(trails.smuggled(MemoryBlobs())).banner
    assert banner is not None
    assert "bad" == banner.tone
    assert (
        "The wheel follows from the source archive, but the source archive does not follow from the commit"
        == banner.heading
    )
    assert banner.sentence.startswith("3 files in it are added or changed against the attested commit")


@pytest.mark.parametrize(("first", "second"), list(product(Verdict, Verdict)))
def test_the_banner_is_up_exactly_when_it_is_true(first: Verdict, second: Verdict) -> None:
    """Every pair of verdicts: up if the wheel is confirmed and the archive is not, or if a step differs beside one."""
    found = decided(trails.smuggled(MemoryBlobs()), commit_to_sdist=first, sdist_to_wheel=second)
    reversed_ = first.confirms and second is Verdict.DIFFERS
    assert ((second.confirms and not first.confirms) or reversed_) == (found.banner is not None)


def test_without_unexplained_files_only_a_difference_counts() -> None:
    """A build that failed says nothing about the source archive; a difference that rules explain is less loud."""
    value = trails.attested(MemoryBlobs())
    failed = decided(value, commit_to_sdist=Verdict.BUILD_FAILED, sdist_to_wheel=Verdict.REPRODUCED)
    assert None is failed.banner
    differs = decided(value, commit_to_sdist=Verdict.DIFFERS, sdist_to_wheel=Verdict.REPRODUCED)
    assert differs.banner is not None
    assert "warn" == differs.banner.tone
    assert "explained by a rule" in differs.banner.sentence


def test_a_wheel_that_follows_from_the_commit_as_well_is_said_to() -> None:
    """Then nothing of the surplus reached it."""
    good = Verdict.REPRODUCED
    found = decided(
        trails.smuggled(MemoryBlobs()), commit_to_sdist=Verdict.DIFFERS, sdist_to_wheel=good, commit_to_wheel=good
    )
    assert found.banner is not None
    assert "warn" == found.banner.tone
    assert "also follows from the commit directly" in found.banner.sentence


def test_a_cut_list_is_a_lower_bound() -> None:
    """When only unexplained files were kept, there may be more of them."""
    changes = tuple(FileChange(path=f"f{each}", change=TreeChange.ADDED) for each in range(MOST_CHANGES + 1))
    found = section(trails.smuggled(MemoryBlobs()), changes=changes, changes_total=5000)
    assert found.banner is not None
    assert found.banner.sentence.startswith("At least 301 files in it are")
    assert found.changes is not None
    assert MOST_CHANGES == len(found.changes.surplus)
    assert "at least 301 files" == found.changes.surplus_total
    assert "300 of 5,000 are listed, unexplained ones first." == found.changes.hidden


def test_unexplained_files_come_first_and_rules_are_shown() -> None:
    """Added and changed without a rule are loud, left-out ones are apart, explained ones stand under their rule."""
    changes = section(trails.smuggled(MemoryBlobs())).changes
    assert changes is not None
    assert not changes.made_by_build
    assert ["m4/build-to-host.m4", "src/bobbin/_loader.py", "tests/files/good-large_compressed.lzma"] == [
        row.path for row in changes.surplus
    ]
    assert ["tests/test_loader.py"] == [row.path for row in changes.absent]
    assert ["generated-metadata", "version-file"] == [group.rule for group in changes.explained]
    assert changes.explained[0].sentence.startswith("Build backends write PKG-INFO")
    assert None is changes.hidden


def test_changes_that_the_build_makes_are_no_alarm() -> None:
    """A source archive that comes out of the commit bit for bit holds nothing but the commit and its build."""
    surplus = (FileChange(path="generated.py", change=TreeChange.ADDED),)
    found = section(trails.attested(MemoryBlobs()), changes=surplus, changes_total=1)
    assert found.changes is not None
    assert found.changes.made_by_build
    assert None is found.banner


def test_a_source_archive_has_no_wheel_behind_it() -> None:
    """Its own trail is one step."""
    value = trails.attested(MemoryBlobs())
    assert value.trail is not None
    commit, archive, _wheel = value.trail.nodes
    nodes = (commit, archive.replace(kind=NodeKind.ARTIFACT))
    subject = value.artifact.replace(file=value.artifact.file.replace(filename="loom-2.2.0.tar.gz"))
    found = section(value.replace(artifact=subject), nodes=nodes, steps=value.trail.steps[:1])
    assert ["Commit → source archive"] == [row.step for row in found.steps]
    assert [2, 2] == [len(picture.boxes) for picture in found.pictures]


@pytest.mark.parametrize("name", trails.EVERY)
def test_nothing_in_a_picture_leaves_its_place(name: str) -> None:
    """Texts fit their boxes, words stand between boxes, boxes are inside the drawing: hostile names included."""
    pictures = section(trails.EVERY[name](MemoryBlobs())).pictures
    assert pictures
    for picture in pictures:
        assert picture.boxes
        for box in picture.boxes:
            assert 0 <= box.x < box.x + box.width <= picture.width
            assert 0 <= box.y < box.y + box.height <= picture.height
            assert max(len(line.text) for line in box.lines if line.kind != "title") * 7.5 <= box.width - 28
            assert box.lines[-1].y <= box.y + box.height - (box.pill.y - box.pill.top if box.pill else 5)
        assert picture.arrows
        for arrow in picture.arrows:
            assert not any(overlaps(picture, arrow.pill, index) for index in range(len(picture.boxes)))


def overlaps(picture: Picture, pill: Any, index: int) -> bool:
    """Whether a word lies over a box."""
    box = picture.boxes[index]
    return bool(
        pill.left < box.x + box.width
        and pill.left + pill.width > box.x
        and pill.top < box.y + box.height
        and pill.top + 26 > box.y
    )


@pytest.mark.parametrize("verdict", [each for each in Verdict if each.publishable])
def test_the_word_of_every_verdict_fits(verdict: Verdict) -> None:
    """Also the longest one, in the narrow drawing."""
    found = decided(trails.smuggled(MemoryBlobs()), commit_to_wheel=verdict, commit_to_sdist=verdict)
    assert found.pictures
    for picture in found.pictures:
        assert picture.arrows
        for arrow in picture.arrows:
            assert 0 <= arrow.pill.left < arrow.pill.left + arrow.pill.width <= picture.width
            assert not any(overlaps(picture, arrow.pill, index) for index in range(3))


def test_names_are_broken_where_they_can_be_and_lose_their_middle() -> None:
    """Two lines, a sign at the end of the first; what is too long keeps both ends; wide letters count twice."""
    assert ["loom-2.2.0-py3-none-", "any.whl"] == wrapped("loom-2.2.0-py3-none-any.whl", 22, 2)
    cut = wrapped("a" * 50 + "b" * 50, 20, 2)
    assert 2 == len(cut)
    assert max(map(len, cut)) <= 20
    assert ("a", "b") == (cut[0][0], cut[1][-1])
    assert [10, 10] == [len(line) for line in wrapped("織" * 20, 20, 2)]
    assert [""] == wrapped("", 20, 2)


def page(value: Report) -> Any:
    """The page of a report."""
    around = PageContext(history=[], alarms=[], key_id="ab" * 32, project_href="projects/s.html#x", files={})
    return artifact_page(value, around)


def test_attempts_name_their_step() -> None:
    """And are compared with the first attempt at the same step, not with another build altogether."""
    rows = page(trails.smuggled(MemoryBlobs())).attempts
    assert ["Source archive → wheel", "Commit → source archive", "Commit → wheel"] == [
        step_words(row.attempt.hypothesis) for row in rows
    ]
    assert [1, 2, 3] == [row.base for row in rows]
    assert "bobbin-5.6.1.tar.gz" == rows[1].attempt.hypothesis.target
    assert [True, False, False] == [row.decisive for row in rows]


def test_the_source_of_the_winning_attempt_is_shown() -> None:
    """A wheel that came out of the commit is not said to come from the source archive."""
    value = trails.attested(MemoryBlobs())
    from_archive = page(value.replace(decision=value.decision.replace(attempt=1)))
    assert "Source archive published with the release" == from_archive.source[0].value
    from_commit = page(value.replace(decision=value.decision.replace(attempt=2)))
    assert "Commit in a Git repository" == from_commit.source[0].value
    facts = {fact.label: fact.value for fact in from_commit.source}
    assert (trails.COMMIT, "A verified attestation names this commit.") == (facts["Git commit"], facts["Who names it"])
    assert "Size" not in facts


def test_another_step_never_stands_for_the_artifact() -> None:
    """Where nothing was built for the wheel, the rebuilt source archive is not shown as its rebuild."""
    value = trails.smuggled(MemoryBlobs())
    only = (value.attempts[1],)
    decision = Decision(verdict=Verdict.INPUTS_MISSING, sentence="A dependency is gone.")
    shown = page(value.replace(attempts=only, decision=decision))
    assert None is shown.proof.rebuilt
    assert None is shown.build
    assert [False] == [row.decisive for row in shown.attempts]


def test_what_is_known_of_a_file_that_no_rule_explains_is_told() -> None:
    """Beside how it differs, escaped; a rule says it once for all of its files."""
    known = "Run when the package is installed\u202e."
    changes = (
        FileChange(path="evil.js", change=TreeChange.ADDED, sentence=known),
        FileChange(path="a", change=TreeChange.CHANGED, rule="line-ends", sentence="Only line ends."),
    )
    text = html(section(trails.claimed(MemoryBlobs()), changes=changes, changes_total=2))
    by_rule = text.index("Only line ends.")
    assert [["evil.js", "only in the source archive Run when the package is installed⟨U+202E⟩."]] == cells(text, "tree")
    assert [["a", "content differs from the commit"]] == cells(text[by_rule:], "tree")
    assert 1 == text.count("Only line ends.")


def test_what_was_compared_with_the_commit_is_called_by_its_word() -> None:
    """Without a source archive the artifact itself is held against the commit, in the words of its ecosystem."""
    value = trails.claimed(MemoryBlobs())
    trail = trails.trail(value)
    ends = [each for each in trail.nodes if each.kind is not NodeKind.SOURCE_ARCHIVE]
    names = {each.id for each in ends}
    steps = tuple(each for each in trail.steps if {each.start, each.end} <= names)
    changes = (FileChange(path="x", change=TreeChange.ADDED),)
    text = html(section(value, nodes=tuple(ends), steps=steps, changes=changes, changes_total=1))
    assert "<h3>The wheel against the commit</h3>" in text
    assert [["x", "only in the wheel"]] == cells(text, "tree")
