"""What pages show, computed without a template: every verdict, every attempt, every denominator."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

from rebuilder.model.alarm import Alarm, AlarmKind, RecordedAlarm, Severity
from rebuilder.model.diagnosis import Cause
from rebuilder.model.operations import Bucket, standing_by_day
from rebuilder.model.report import Report, Summary, page_path, summarise
from rebuilder.model.verdict import Kind, Verdict
from rebuilder.site.counts import FileCounts, bar
from rebuilder.site.kinds import CAUSES, ECOSYSTEMS, ENVIRONMENTS, PUBLISHERS, VERDICTS, lists_of
from rebuilder.site.listing import badge, badge_document
from rebuilder.site.marks import SENTENCES, mark
from rebuilder.site.pages.artifact import ArtifactPage, PageContext, artifact_page
from rebuilder.site.pages.index import FrontFacts, IndexPage, about_page, index_page
from rebuilder.site.pages.lists import (
    file_page,
    forward_page,
    kind_page,
    overview_page,
    project_page,
    project_path,
    projects_page,
    release_page,
    worst,
)
from rebuilder.site.rendering import Renderer
from rebuilder.site.rows import by_version, current, history_section, prefix_of, row
from rebuilder.site.sections.attempt import detail_parts
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs


def page(report: Report, history: list[Summary] | None = None) -> ArtifactPage:
    """The page of a report as the site would compute it."""
    around = PageContext(
        history=history or [], alarms=[], key_id="ab" * 32, project_href="projects/s.html#x", files={"report.json": ""}
    )
    return artifact_page(report, around)


def html(shown: ArtifactPage) -> str:
    """The page as it is published."""
    return Renderer("A verifier").html("artifact.html", shown).decode()


def summary(**changes: object) -> Summary:
    """A row of an index."""
    return summarise(reports.reproduced(MemoryBlobs())).replace(**changes)


def front(files: list[Summary], alarms: list[Alarm], *, untested: int = 0) -> IndexPage:
    """The front page of a site that knows these files."""
    ended = [(each.identity, each.finished, each.verdict) for each in files]
    facts = FrontFacts(
        counts=FileCounts.of(files, untested),
        ecosystems={"pypi": FileCounts.of(files, 0), "npm": FileCounts({}, 0, untested)},
        days=standing_by_day(sorted(ended, key=lambda each: each[1])),
        causes={"locale": FileCounts.of(files[:1], 0)},
        initials=(),
        now=reports.NOW,
        made_from="x",
    )
    recorded = [
        RecordedAlarm(number=number, alarm=each, severity=each.kind.severity, last_seen=each.raised)
        for number, each in enumerate(alarms)
    ]
    return index_page(files[:3], recorded, files, facts)


@pytest.mark.parametrize("verdict", reports.EVERY)
def test_the_verdict_is_said_in_words(verdict: Verdict) -> None:
    """Each builder gives its verdict; icon, word and sentence stand together."""
    shown = page(reports.EVERY[verdict](MemoryBlobs()))
    assert verdict.value == shown.mark.name
    assert verdict.icon == shown.mark.icon
    assert shown.mark.spoken.startswith(verdict.spoken)
    assert shown.report.decision.sentence.endswith(".")


def test_digests_stand_one_above_the_other() -> None:
    """The whole question in two lines."""
    good = page(reports.reproduced(MemoryBlobs()))
    bad = page(reports.differs(MemoryBlobs()))
    none = page(reports.build_failed(MemoryBlobs()))
    assert good.proof.same
    assert good.proof.rebuilt == good.proof.published
    assert not bad.proof.same
    assert bad.proof.rebuilt not in {None, bad.proof.published}
    assert none.proof.rebuilt is None


def test_no_attempt_is_left_out() -> None:
    """Also those the verdict does not rest on, with how they differ from the first."""
    report = reports.differs(MemoryBlobs())
    rows = page(report).attempts
    assert len(report.attempts) == len(rows)
    assert [1] == [row.number for row in rows if row.decisive]
    assert ("SOURCE_DATE_EPOCH: not set",) == rows[1].changes
    assert () == rows[2].changes
    text = html(page(report))
    assert "<p>The same build once more" in text[text.index('id="attempt-3"') :]


def test_the_build_behind_the_verdict_is_shown() -> None:
    """Inputs by purpose, with digests; the clock in words; commands as one would type them."""
    build = page(reports.reproduced(MemoryBlobs())).build
    assert build is not None
    assert ["Build tools", "Build dependencies", "Derived documents", "Our own program"] == [
        group.title for group in build.groups
    ]
    assert [("flit-core", "3.12.0"), ("packaging", "25.0")] == [(row.name, row.version) for row in build.groups[1].rows]
    assert build.clock.endswith("2026-03-09 08:41:54 UTC.")
    assert build.commands[0][:3] == ("python3", "/tools/pypi.pyz", "unpack")
    assert "libc6 2.41-12" in build.packages


def test_without_a_fixed_time_the_real_one_is_named() -> None:
    """A build that saw the real clock says which time that was."""
    report = reports.equivalent(MemoryBlobs())
    report = report.replace(decision=report.decision.replace(attempt=1))
    build = page(report).build
    assert build is not None
    assert "not set" in build.clock
    assert "2026-11-20 14:03 UTC" in build.clock


def test_a_file_without_source_says_so() -> None:
    """Nothing was built: no section pretends otherwise."""
    shown = page(reports.inputs_missing(MemoryBlobs()))
    assert (shown.build, shown.comparison, shown.attempts, shown.source) == (None, None, (), ())
    assert "</b> The release has no source archive to build from.</p>" in html(shown)
    assert "Withdrawn" in [fact.label for fact in shown.published]


def test_what_could_not_be_tried_stands_with_the_verdict() -> None:
    """A remark is about our attempt, so it is not among what was published."""
    remark = "The recorded clock was not tried on this machine: no guest\u202e runs."
    shown = html(page(reports.reproduced(MemoryBlobs()).replace(remarks=(remark,))))
    told = '<p class="remark">The recorded clock was not tried on this machine: no guest⟨U+202E⟩ runs.</p>'
    assert (1, 1) == (shown.count(told), shown.count("recorded clock"))


def test_about_tells_the_two_ways_of_being_reproduced_apart() -> None:
    """A stranger reads there what the words on each page mean."""
    meaning = next(each.meaning for each in about_page("ab" * 32, ()).verdicts if each.mark.name == "reproduced")
    assert "“By the build alone”" in meaning
    assert "“With recorded values written into the archive”" in meaning


def test_every_normalisation_has_a_sentence() -> None:
    """A name alone tells a stranger nothing; docs/normalisations.md lists all names."""
    page = Path(__file__).parents[2] / "docs" / "normalisations.md"
    known = re.findall(r"^\| `([a-z0-9-]+)` \|", page.read_text(), re.MULTILINE)
    assert len(known) > 20
    assert sorted(known) == sorted(SENTENCES)


def test_alarms_take_a_line_each_on_the_front_page() -> None:
    """Five and how many more; only a file with a page has an address."""
    this = summary()
    known = reports.alarm(reports.reproduced(MemoryBlobs()).artifact)
    lost = known.replace(filename="gone.whl")
    shown = front([this], [known, *[lost] * 6])
    assert (5, "2 more") == (len(shown.alarms), shown.more_alarms)
    assert [True, False, False, False, False] == [note.href is not None for note in shown.alarms]
    assert None is front([this], [known, *[lost] * 4]).more_alarms


def test_quoted_lines_stand_one_above_the_other() -> None:
    """Two lines of a RECORD can be compared by eye; other details stay as they are."""
    report = reports.differs(MemoryBlobs())
    first = report.attempts[0]
    assert first.comparison is not None
    detail = "904 bytes. First difference in line 3: published “a,sha256=x,1”, rebuilt “a,sha256=y,1”."
    difference = first.comparison.differences[2].replace(detail=detail)
    comparison = first.comparison.replace(differences=(difference, first.comparison.differences[0]))
    changed = first.replace(comparison=comparison)
    found = page(report.replace(attempts=(changed, *report.attempts[1:]))).comparison
    assert found is not None
    assert [
        ["904 bytes. First difference in line 3:", "published “a,sha256=x,1”,", "rebuilt “a,sha256=y,1”."],
        ["both 18 bytes, other content"],
    ] == [detail_parts(row.detail) for row in found.differences]


def test_repeats_that_say_the_same_are_one_row() -> None:
    """Folded between changes only, under the newest date; a change stays where it was."""
    this = summary()
    verdicts = [Verdict.REPRODUCED] * 5 + [Verdict.DIFFERS] + [Verdict.REPRODUCED] * 2
    past = [
        summary(verdict=verdict, finished=this.finished - timedelta(days=days))
        for days, verdict in enumerate(verdicts, 1)
    ]
    rows = history_section(this, past, "").earlier
    assert [("reproduced", "5 times, last"), ("differs", None), ("reproduced", "2 times, last")] == [
        (row.mark.name, row.times) for row in rows
    ]
    assert this.finished - timedelta(days=1) == rows[0].summary.finished


def test_a_digest_that_nobody_gets_again_is_said_to_be_one() -> None:
    """Equivalent but for times, and built at the real time: the rebuilt digest is not for comparing."""
    report = reports.equivalent(MemoryBlobs())
    moving = report.replace(decision=report.decision.replace(attempt=1))
    assert None is page(report).proof.warning
    assert (
        "Each rebuild carries the time it was made; the digest of our rebuild is not the one you will get."
        == page(moving).proof.warning
    )
    attempt = moving.attempts[1]
    assert attempt.comparison is not None
    other = attempt.comparison.replace(normalisations=("zip-order",))
    attempts = (moving.attempts[0], attempt.replace(comparison=other))
    assert None is page(moving.replace(attempts=attempts)).proof.warning


def test_another_file_name_has_a_line_of_its_own() -> None:
    """It stands above the table of members, not in it."""
    report = reports.differs(MemoryBlobs())
    first = report.attempts[0]
    assert first.rebuilt is not None
    renamed = first.replace(rebuilt=first.rebuilt.replace(filename="other.whl"))
    found = page(report.replace(attempts=(renamed, *report.attempts[1:]))).comparison
    assert found is not None
    assert "Published as almanac-2.0-py3-none-any.whl, rebuilt as other.whl." == found.renamed
    before = page(report).comparison
    assert before is not None
    assert (None, before.differences) == (before.renamed, found.differences)
    assert before.summary == found.summary


def test_a_file_that_only_has_another_name_is_not_said_to_hold_something_else() -> None:
    """Its members are the same; the name alone keeps it from being equivalent."""
    report = reports.differs(MemoryBlobs())
    first = report.attempts[0]
    assert first.rebuilt is not None
    assert first.comparison is not None
    renamed = first.replace(
        rebuilt=first.rebuilt.replace(filename="other.whl"),
        comparison=first.comparison.replace(differences=(), differences_total=0),
    )
    found = page(report.replace(attempts=(renamed, *report.attempts[1:]))).comparison
    assert found is not None
    assert "The rebuilt file has another name; nothing but archive metadata differs inside." == found.summary


def test_worse_than_before_is_said() -> None:
    """A regression is what a reader has to see first."""
    differs = reports.differs(MemoryBlobs())
    worse = page(differs, reports.history(differs)).history
    assert worse.worse is not None
    assert "2026-10-21 (reproduced)" in worse.worse
    assert "Of 9 other files of this project that we verified, 9 came out reproduced or equivalent." == worse.record
    never = page(differs, reports.history(differs, verdict=Verdict.DIFFERS)).history
    assert never.worse is None


def test_history_keeps_projects_and_our_own_faults_apart() -> None:
    """Other projects do not belong here; an infrastructure fault is no verdict."""
    this = summary()
    fault = summary(verdict=Verdict.INFRA_ERROR, finished=this.finished - timedelta(days=1))
    other = summary(name="other", finished=this.finished - timedelta(days=1))
    section = history_section(this, [this, fault, other], "")
    assert ((), (), None) == (section.earlier, section.others, section.record)


def test_other_bytes_under_the_same_name_are_another_file() -> None:
    """A file name that came back with other bytes is listed with a page of its own."""
    this = summary()
    before = summary(sha256="cd" * 32, finished=this.finished - timedelta(days=1))
    section = history_section(this, [this, before], "")
    assert () == section.earlier
    assert [True] == ["cdcdcdcdcdcdcdcd" in (row.href or "") for row in section.others]


def test_versions_are_ordered_as_versions() -> None:
    """1.10 is newer than 1.9; what is no version comes last."""
    files = [summary(version=version) for version in ("1.9", "weird", "1.10", "1.10rc1")]
    assert ["1.10", "1.10rc1", "1.9", "weird"] == [each.version for each in by_version(files)]


def test_the_newest_verification_of_each_file_counts() -> None:
    """Older ones, and our own faults, are not counted again."""
    old = summary(verdict=Verdict.DIFFERS, kind=Kind.STABLE, finished=reports.NOW - timedelta(days=2))
    fault = summary(verdict=Verdict.INFRA_ERROR, finished=reports.NOW + timedelta(days=2))
    assert [summary()] == current([old, summary(), fault])


def test_counts_add_up_to_the_denominator() -> None:
    """Every file is in one part of the bar, those that were not tested, too."""
    files = [summary(version=str(number)) for number in range(6)] + [summary(version="x", verdict=Verdict.UNSUPPORTED)]
    shown = front(files, [], untested=3)
    percents = {each.label: each.percent for each in shown.bar.parts}
    assert (10, 6, 10) == (shown.bar.total, shown.bar.confirmed, sum(each.number for each in shown.bar.parts))
    expected = "6 of 10 known files (60.0 %) were confirmed by a rebuild; 1 cannot be rebuilt yet, 3 not yet tested."
    assert expected == shown.headline
    alone = {"reproduced by the build alone": "60.0 %", "cannot be rebuilt yet": "10.0 %", "not yet tested": "30.0 %"}
    assert alone == percents
    assert "60.0 %" == shown.confirmed
    assert ["100 % confirmed", "0 % confirmed"] != [each.note for each in shown.ecosystems]
    assert [("PyPI", "7 files"), ("npm", "3 files")] == [(each.label, each.number) for each in shown.ecosystems]


def test_hardly_any_is_not_none_and_almost_all_is_not_all() -> None:
    """Rounding never turns one file into nothing."""
    files = [summary(version=str(number)) for number in range(9999)] + [summary(version="x", verdict=Verdict.DIFFERS)]
    assert ["99.9 %", "0.1 %"] == [each.percent for each in front(files, []).bar.parts]


def test_nothing_yet_is_no_division_by_zero() -> None:
    """A fresh store has a front page too."""
    shown = front([], [])
    assert "Nothing has been verified yet." == shown.headline


def test_long_lists_say_what_they_leave_out() -> None:
    """The newest are listed; a sentence says how many there are."""
    files = [summary(version=str(number)) for number in range(5)]
    shown = kind_page(VERDICTS, "reproduced", files, FileCounts({"reproduced": 501}, 0, 0))
    assert (5, "501 files") == (len(shown.rows), shown.note)
    assert "The newest 5 are listed here; the pages of the projects have all." == shown.hidden
    assert kind_page(VERDICTS, "reproduced", files, FileCounts.of(files, 0)).hidden is None


def test_what_nobody_should_believe_is_no_verdict() -> None:
    """It has a row of its own, counts in the denominator, and confirms nothing."""
    said = "Its key was revoked."
    files = [summary(), summary(version="2", doubt=said), summary(version="3", written=True, doubt=said)]
    shown = front(files, [])
    numbers = {each.label: each.number for each in shown.bar.parts}
    assert {"reproduced by the build alone": 1, "signed by a key that was revoked": 2} == numbers
    assert [[VERDICTS, ECOSYSTEMS]] == [[kind for kind, _ in lists_of(files[1].replace(cause="locale"))]]
    expected = "1 of 3 known files (33.3 %) was confirmed by a rebuild; 2 signed by a key that was revoked."
    assert expected == shown.headline
    assert "100 %" in str(shown.reproduced)
    assert [("reproduced", True), ("revoked", False)] == [
        (each.mark.name, "published SHA-256" in each.sentence) for each in shown.latest[:2]
    ]


def test_projects_are_found_by_initial() -> None:
    """Letters; everything else, and the end of a name, under one sign."""
    found = {name: prefix_of(name, 3) for name in ("Zope", "a", "2to3", "größe", "ärger", "@types/node")}
    assert {"Zope": "zop", "a": "a00", "2to3": "0to", "größe": "gr0", "ärger": "0rg", "@types/node": "0ty"} == found
    assert "npm/@types%2Fnode/index.html" == project_path("npm", "@types/node")
    assert "pypi/%2E%2E/index.html" == project_path("pypi", "..")


def test_a_cause_stands_where_a_verdict_only_counts() -> None:
    """Lists say why, and lead to what has the same cause; what is reproduced, or not believed, has none."""
    differs = summary(verdict=Verdict.DIFFERS, cause="locale", sentence="2 files inside it differ.")
    shown = row(differs, "../", listed=True)
    assert (Cause.LOCALE.spoken, "../causes/locale.html") == (shown.sentence, shown.cause_href)
    assert None is row(differs, "../").cause_href
    assert [None, None, None] == [
        CAUSES.key(each)
        for each in (summary(cause="locale"), differs.replace(doubt="No."), differs.replace(cause="of-tomorrow"))
    ]
    page = kind_page(CAUSES, "locale", [differs], FileCounts.of([differs], 0))
    assert (Cause.LOCALE.spoken, Cause.LOCALE.advice) == (page.title, page.advice)


def test_environments_and_publishers_are_lists_with_names_that_lead_nowhere_else() -> None:
    """A tree by its digest; a repository as an address only where it is one over https."""
    tree = f"trixie@{'ab' * 32}"
    assert "trixie, tree abababababababab…" == ENVIRONMENTS.label(tree)
    for name in ("https://forge.example.org/a/b", "javascript:alert(1)", "../../x", "a" * 400):
        path = PUBLISHERS.path(name)
        assert ("publishers", 1) == (path.partition("/")[0], path.count("/"))
        found = kind_page(PUBLISHERS, name, [summary(publisher=name)], FileCounts({}, 0, 0))
        assert name.startswith("https") is (found.link is not None)


def test_a_project_shows_its_versions_in_their_order() -> None:
    """The strip from old to new, each as bad as its worst file; a version leads to its page."""
    files = [summary(version="1.9"), summary(version="1.10"), summary(version="1.2", verdict=Verdict.DIFFERS)]
    bad = summary(version="1.10", filename="other.whl", verdict=Verdict.BUILD_FAILED)
    shown = project_page([*files, bad])
    assert [("1.2", "differs"), ("1.9", "reproduced"), ("1.10", "build-failed")] == [
        (each.label, each.mark.name) for each in shown.strip
    ]
    assert "1.10/index.html" == shown.strip[2].href
    assert "Confirmed in all their files: 1 of 3 versions. The newest that we looked at is 1.10." == shown.lead
    doubted = summary(doubt="No.")
    assert "revoked" == worst([doubted, files[0]]).name


def test_a_project_shows_what_stood_on_which_days_and_its_alarms() -> None:
    """A chart from the second day on; open alarms lead to the page of their file, the newest first."""
    files = [summary(version="1.9"), summary(version="1.10")]
    days = tuple(
        Bucket(start=reports.NOW + timedelta(each), verdicts={Verdict.REPRODUCED: each + 1}) for each in (0, 3)
    )
    assert None is project_page(files, days[:1]).chart
    shown = project_page(files, days).chart
    assert shown is not None
    assert [4, 1] == [sum(each.verdicts.values()) for each in shown.rows]
    about = {"kind": AlarmKind.REGRESSION, "purl": files[0].purl, "sentence": "Worse.", "raised": reports.NOW}
    recorded = {"severity": Severity.PAGE, "last_seen": reports.NOW}
    names = (files[0].filename, "gone.whl")
    alarms = [
        RecordedAlarm(number=at, alarm=Alarm(filename=each, **about), **recorded) for at, each in enumerate(names)
    ]
    found = project_page(files, days, alarms).alarms
    assert ["gone.whl", files[0].filename] == [each.alarm.filename for each in found]
    assert None is found[0].href
    assert (found[1].href or "").startswith("1.")


def test_bytes_that_were_exchanged_are_said_above_all_else() -> None:
    """On the page of the project, of the release and of the file name; not where names differ."""
    files = [summary(), summary(sha256="cd" * 32), summary(filename="other.whl")]
    pages = [make(files[:2]) for make in (project_page, release_page, file_page)]
    assert 3 == len({each.title for each in pages})
    for each in pages:
        assert "Published bytes changed: spindle-3.1.6-py3-none-any.whl" in (each.warning or "")
    assert None is release_page(files[1:]).warning
    assert "9a" not in forward_page("pypi/spindle/3.1.6/index.html", files[1]).href.partition("/")[0]
    assert forward_page("pypi/spindle/3.1.6/index.html", files[1]).href.endswith("cdcdcdcdcdcdcdcd/index.html")


def test_lists_are_led_to_with_what_is_in_them() -> None:
    """Causes with most files first; verdicts in the order of pages; projects by name with their versions."""
    lists = {"locale": FileCounts({"differs": 1}, 0, 0), "file-order": FileCounts({"differs": 3}, 0, 0)}
    assert [Cause.FILE_ORDER.spoken, Cause.LOCALE.spoken] == [
        each.label for each in overview_page(CAUSES, lists).entries
    ]
    verdicts = {"differs": FileCounts({"differs": 9}, 0, 0), "reproduced": FileCounts({"reproduced": 1}, 0, 0)}
    assert ["Reproduced", "Differs"] == [each.label for each in overview_page(VERDICTS, verdicts).entries]
    shown = projects_page("s", [summary(), summary(version="2"), summary(version="2", filename="x.whl")], ())
    assert [("spindle", "2 versions", 3)] == [(each.label, each.number, each.bar.total) for each in shown.entries]


def test_a_bar_tells_the_ways_of_being_confirmed_apart() -> None:
    """By the build alone, with values written, equivalent; what is accounted for is no part of them."""
    found = bar(FileCounts({"reproduced": 5, "equivalent": 2, "accounted": 3}, 2, 1), "")
    assert [("good", 3), ("also", 2), ("near", 2), ("apart", 3), ("none", 1)] == [
        (each.tone, each.number) for each in found.parts
    ]
    assert (11, 7) == (found.total, found.confirmed)
    assert 100 == pytest.approx(found.parts[-1].x + found.parts[-1].width, abs=0.05)


@pytest.mark.parametrize("verdict", [each for each in Verdict if each.publishable])
def test_a_verdict_looks_the_same_in_a_bar_a_badge_and_the_style(verdict: Verdict) -> None:
    """One tone, which the style has colours for; a badge's white text stands out from its own by 4.5."""
    shown, (part,) = mark(verdict), bar(FileCounts({verdict.value: 1}, 0, 0)).parts
    assert shown.tone == part.tone
    assert f"\n.tone-{shown.tone} {{ --tone: " in Path("reports/static/style.css").read_text()
    colour = json.loads(badge_document("1.0", shown))["color"]
    assert f'fill="{colour}"'.encode() in badge("1.0", shown)
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    assert 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2 < 1.05 / 4.5 - 0.05


def test_one_file_differs() -> None:
    """And two differ."""
    assert ["1 differs", "2 differ"] == [
        f"{each.shown} {each.label}" for number in (1, 2) for each in bar(FileCounts({"differs": number}, 0, 0)).parts
    ]


def test_replaced_bytes_come_before_what_got_worse_and_what_fails_here() -> None:
    """What was published stands first, however old it is; regressions have a place of their own."""
    subject = reports.artifact()
    kinds = (AlarmKind.INDEX_UNREACHABLE, AlarmKind.TAG_MOVED, AlarmKind.DIGEST_CHANGED, AlarmKind.REGRESSION)
    shown = front([summary()], [reports.alarm(subject, kind) for kind in kinds])
    assert ["Published bytes changed", "A tag leads elsewhere", "A registry does not answer"] == [
        each.alarm.kind.heading for each in shown.alarms
    ]
    assert ["Confirmed before, and not any more"] == [each.alarm.kind.heading for each in shown.worse]


def test_a_chart_begins_with_its_first_day() -> None:
    """One column on the first day, as wide as later ones; a day on which nothing changed stands as the one before."""
    first = front([summary()], []).chart
    assert first is not None
    assert (1, "1 file") == (len(first.columns), first.whole)
    assert 100 > first.columns[0].width
    later = summary(version="2", finished=reports.NOW + timedelta(days=3))
    found = front([summary(), later], []).chart
    assert found is not None
    assert ("stood", [2, 1, 1, 1]) == (found.unit, [sum(each.verdicts.values()) for each in found.rows])
    assert None is front([], []).chart


def test_every_kind_has_words() -> None:
    """Sub-kinds are part of the word and the sentence."""
    for kind in Kind:
        assert kind.word == mark(Verdict.DIFFERS, kind).word
        assert kind.spoken in mark(Verdict.DIFFERS, kind).spoken
        assert mark(Verdict.DIFFERS, kind, "Two were the same.").spoken.endswith("published file. Two were the same.")


def test_every_alarm_has_a_heading() -> None:
    """Written for a reader, not made from its machine name."""
    for kind in AlarmKind:
        assert kind.value.replace("-", " ") not in kind.heading.lower()


def test_names_too_long_for_a_file_system_are_cut() -> None:
    """Each part stays below 255 bytes, and names that begin alike stay apart."""
    paths = {page_path("pypi", "n", "1", "ü" * 400 + end, "a" * 64) for end in "xy"}
    assert 2 == len(paths)
    assert 200 >= max(len(part) for path in paths for part in path.split("/"))
