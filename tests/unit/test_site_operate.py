"""The page about the service and the page of alarms: every state, every denominator, nothing hostile as markup."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from rebuilder.model.alarm import AlarmKind, RecordedAlarm
from rebuilder.model.operations import Bucket, Operations, WatchState
from rebuilder.model.report import Summary, summarise
from rebuilder.model.verdict import Verdict
from rebuilder.model.work import Reason
from rebuilder.site.charts import HEIGHT, TEXTURES, WIDTH, Chart, chart, outcomes
from rebuilder.site.display import span
from rebuilder.site.documents import Index, Operate
from rebuilder.site.marks import mark
from rebuilder.site.pages.alarms import MOST_CAUSES, MOST_CLOSED, MOST_OF_A_CAUSE, alarms_page
from rebuilder.site.pages.operate import OperatePage, headline, operate_page
from rebuilder.site.publisher import Site
from rebuilder.site.rendering import Renderer
from tests.fakes import operations, reports
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.sites import KEY_ID, cells

NOW = reports.NOW
HOUR = timedelta(hours=1)
WAITING = "1 waits; 2 are to be tried again later; the oldest has waited for 12 minutes"


@pytest.fixture
def summaries() -> list[Summary]:
    """A result of each verdict that is published."""
    return [summarise(make(MemoryBlobs())) for make in reports.EVERY.values()]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """An empty site."""
    return Site(tmp_path, MemoryBlobs(), public_key=b"key\n", key_id=KEY_ID, verifier="rebuilder.example.org")


def page(value: Operations, alarms: list[RecordedAlarm] | None = None) -> OperatePage:
    """The page when every result has a page of its own."""
    return operate_page(value, alarms or [], lambda _: True)


def html(value: Operations) -> str:
    """The same as it is published."""
    return Renderer("A verifier").html("operate.html", page(value)).decode()


def drawn(*verdicts: dict[Verdict, int]) -> Chart:
    """A chart of hours that end now."""
    found = chart(
        "hours", "By hour", [Bucket(start=NOW + HOUR * at, verdicts=each) for at, each in enumerate(verdicts)]
    )
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "Nothing is being rebuilt, nothing waits; nothing has ended yet."),
        ({"current": {Verdict.REPRODUCED: 1}}, "Nothing is being rebuilt, nothing waits; nothing ended in 30 days."),
        (
            {"days": (Bucket(start=NOW, verdicts={Verdict.DIFFERS: 1}),)},
            "Nothing is being rebuilt, nothing waits; nothing ended since 13:00 UTC.",
        ),
        (
            {"hours": (Bucket(start=NOW - HOUR, verdicts={Verdict.REPRODUCED: 40}),)},
            "Nothing is being rebuilt, nothing waits; nothing failed in the last hour, 40 ended.",
        ),
        (
            {"hours": (Bucket(start=NOW - HOUR, verdicts={Verdict.REPRODUCED: 5, Verdict.DIFFERS: 1}),)},
            "Nothing is being rebuilt, nothing waits; nothing failed in the last hour, 6 ended, 1 differs.",
        ),
        (
            {
                "hours": (
                    Bucket(start=NOW - 2 * HOUR, verdicts={Verdict.TIMED_OUT: 900}),
                    Bucket(start=NOW - HOUR, verdicts={Verdict.INFRA_ERROR: 2, Verdict.BUILD_FAILED: 1}),
                )
            },
            "Nothing is being rebuilt, nothing waits; 3 of 3 failed in the last hour, 2 of them on our side.",
        ),
        (
            {
                "queue": operations.NO_QUEUE.replace(
                    running=(operations.entry(1, owner="a/1/2"),),
                    waiting=1,
                    delayed=2,
                    oldest=NOW - timedelta(minutes=12),
                )
            },
            f"1 artifact is being rebuilt, {WAITING}; nothing has ended yet.",
        ),
    ],
)
def test_one_sentence_says_how_things_are(fields: dict[str, object], sentence: str) -> None:
    """What runs, what waits and for how long, and what ended in the hours that make up the last one."""
    assert sentence == headline(operations.operations(**fields)).sentence


def test_the_first_line_says_what_to_do(summaries: list[Summary]) -> None:
    """The most urgent open alarm decides; what was dealt with does not count; failures alone are never green."""
    quiet = operations.operations()
    dealt = operations.recorded(1, acknowledged=NOW)
    ticket = operations.recorded(2, AlarmKind.GIVEN_UP)
    urgent = operations.recorded(3, AlarmKind.DISK)
    assert ("No open alarms", "good") == (page(quiet, [dealt]).state, page(quiet, [dealt]).tone)
    assert ("1 open alarm, not urgent", "warn") == (
        page(quiet, [dealt, ticket]).state,
        page(quiet, [dealt, ticket]).tone,
    )
    assert ("1 urgent alarm", "bad") == (page(quiet, [ticket, urgent]).state, page(quiet, [urgent]).tone)
    assert "warn" == page(operations.failing(summaries[0])).tone


def test_a_busy_queue_is_told_in_full(summaries: list[Summary]) -> None:
    """Ten of ten thousand are listed; the shares by reason and by watch are of all that wait."""
    shown = page(operations.busy(summaries))
    assert "10,000 wait; 37 are to be tried again later; the oldest has waited for 5 hours." == shown.queue
    assert (3, 10) == (len(shown.running), len(shown.upcoming))
    assert [("asked for by hand", "1"), ("new release", "380"), ("another try", "37"), ("periodic check", "9,619")] == [
        (each.label, each.shown) for each in shown.by_reason
    ]
    assert [("re-verify", "95.8 %"), ("top-projects", "4.2 %")] == [
        (each.label, each.percent) for each in shown.by_watch
    ]


def test_what_no_watch_asked_for_has_a_row() -> None:
    """Otherwise the shares by watch would be of something else than the queue."""
    changes = {"by_reason": {Reason.ASKED: 1, Reason.RELEASE: 3}, "by_watch": {"mine": 3}}
    queue = operations.NO_QUEUE.replace(**changes)
    shown = page(operations.operations(queue=queue)).by_watch
    assert [("no watch", "25.0 %"), ("mine", "75.0 %")] == [(each.label, each.percent) for each in shown]


def test_a_task_says_why_how_and_who() -> None:
    """In words; the worker without its domain; a retry says when it is due."""
    later = NOW + HOUR
    running = operations.entry(4, owner="build-7.example.org/4711/99", reason=Reason.RETRY, tries=2, watch="more")
    waiting = operations.entry(5, not_before=later, tries=0)
    queue = operations.NO_QUEUE.replace(running=(running,), upcoming=(waiting,))
    shown = html(operations.operations(queue=queue))
    _, now, next_ = shown.split('<table class="stack work">')
    (why, how, worker) = cells('<table class="stack work">' + now, "work")[0][1:4]
    assert ("Third try (watch “more”)", "build-7/4711") == (why, worker)
    assert "source archive only, again with the stored inputs" == how
    assert cells('<table class="stack work">' + next_, "work")[0][2].endswith(", not before 2026-11-20 15:03 UTC")


def test_every_known_file_is_in_the_denominator() -> None:
    """Files that only met faults of ours have no verdict: they are untested, not forgotten."""
    shown = page(operations.operations(current={Verdict.REPRODUCED: 6}, untested=4))
    assert ("10", "10 files") == (shown.known, shown.total)
    assert 10 == sum(each.number for each in shown.counts)
    assert {"reproduced": "60.0 %", "untested": "40.0 %", "differs": "0 %"}.items() <= {
        each.mark.name: each.percent for each in shown.counts
    }.items()


def test_watches_with_trouble_come_first(summaries: list[Summary]) -> None:
    """With what it was; projects and new files beside it."""
    shown = cells(html(operations.busy(summaries)), "watches")
    assert ["top-projects", "re-verify"] == [each[0] for each in shown]
    assert "1,000 projects, 37 new, 2 projects could not be looked at" == shown[0][1]
    assert [True, False] == [each[2].startswith("⚑ Error ") for each in shown]
    assert "checked 4 minutes before" in shown[0][3]


def test_lists_without_end_are_cut_and_say_so() -> None:
    """A thousand of each gives a page of bounded size."""
    watches = tuple(
        WatchState(name=f"w{at:04}", checked=NOW, projects=1, queued=0, failed=0, trouble=None) for at in range(1000)
    )
    alarms = [operations.recorded(at, AlarmKind.GIVEN_UP, cause=f"c{at}") for at in range(1000)]
    running = tuple(operations.entry(at, owner="a/1/2") for at in range(1000))
    queue = operations.NO_QUEUE.replace(running=running, by_watch={each.name: 1 for each in watches}, waiting=1000)
    shown = page(operations.operations(watches=watches, queue=queue), alarms)
    assert (100, "900 more watches") == (len(shown.watches), shown.more_watches)
    assert (10, "990 more causes") == (len(shown.alarms), shown.more_alarms)
    assert (50, "950 more") == (len(shown.running), shown.more_running)
    assert (20, "980 more watches") == (len(shown.by_watch), shown.more_watched)


def test_columns_are_as_high_as_what_ended() -> None:
    """From the bottom up in the order of the verdicts, one on the other, within the drawing."""
    found = drawn({Verdict.REPRODUCED: 30, Verdict.DIFFERS: 10}, {}, {Verdict.REPRODUCED: 20})
    assert ("40", "20", "0") == found.scale
    assert ["M16.0 45.0h128.0v135.0h-128.0zM336.0 90.0h128.0v90.0h-128.0z", "M16.0 0.0h128.0v45.0h-128.0z"] == [
        each.path for each in found.legend
    ]
    full, empty, half = found.columns
    assert [("reproduced", HEIGHT / 4, HEIGHT * 3 / 4), ("differs", 0, HEIGHT / 4)] == [
        (each.name, each.y, each.height) for each in full.segments
    ]
    assert () == empty.segments
    assert [HEIGHT / 2] == [each.height for each in half.segments]
    assert all(0 <= each.x and each.x + each.width <= WIDTH for each in found.columns)


@pytest.mark.parametrize(("highest", "top"), [(1, 2), (2, 2), (3, 4), (9, 12), (17, 20), (161, 200), (10_000, 12_000)])
def test_the_scale_ends_at_a_round_number(highest: int, top: int) -> None:
    """Even, so that its half is a number of files too."""
    assert (f"{top:,}", f"{top // 2:,}", "0") == drawn({Verdict.REPRODUCED: highest}).scale


def test_one_among_ten_thousand_is_still_seen() -> None:
    """And the column does not grow out of the drawing for it."""
    every = dict.fromkeys(Verdict, 1) | {Verdict.REPRODUCED: 12_000 - len(Verdict) + 1}
    segments = drawn(every).columns[0].segments
    assert len(Verdict) == len(segments)
    assert min(each.height for each in segments) > 1
    assert min(each.y for each in segments) >= 0
    assert HEIGHT == pytest.approx(sum(each.height for each in segments))


def test_a_chart_is_said_too() -> None:
    """Totals and the highest column in words, a row for each column that is not empty, shares that have a whole."""
    found = drawn({Verdict.REPRODUCED: 3}, {}, {Verdict.REPRODUCED: 4, Verdict.INFRA_ERROR: 1})
    assert (
        "By hour: 8 verifications; 7 reproduced, 1 infra error. "
        "The highest column has 5 verifications and begins at 2026-11-20 16:03 UTC." == found.spoken
    )
    assert [("5", "4 reproduced, 1 infra error"), ("3", "3 reproduced")] == [
        (str(sum(each.verdicts.values())), outcomes(each.verdicts)) for each in found.rows
    ]
    assert [("Reproduced", "7", "87.5 %"), ("Infra error", "1", "12.5 %")] == [
        (each.mark.word, each.shown, each.percent) for each in found.legend
    ]
    assert ("11-20 14:03 UTC", "11-20 16:03 UTC") == (found.first, found.last)


def test_nothing_is_drawn_of_nothing() -> None:
    """Neither of empty hours nor of none."""
    assert None is chart("hours", "By hour", operations.operations().hours)
    assert None is chart("hours", "By hour", [])


def test_verdicts_are_told_apart_without_colour() -> None:
    """No two verdicts of one tone share a texture."""
    looks = [(mark(each).tone, TEXTURES[each]) for each in Verdict]
    assert len(looks) == len(set(looks))


def test_alarms_are_grouped_by_cause(summaries: list[Summary]) -> None:
    """The urgent ones first; a group counts its alarms and how often they were raised."""
    shown = alarms_page(summaries, operations.alarms(summaries))
    assert "9 open alarms, 5 causes" == shown.total
    assert ["page", "page", "page", "ticket", "ticket"] == [each.mark.name for each in shown.groups]
    given_up = next(each for each in shown.groups if each.heading == "Tried again and again in vain")
    assert ("5 alarms", "raised 15 times") == (given_up.number, given_up.times)
    assert [2, 3, 4, 5, 6] == [each.number for each in given_up.rows]
    assert all((each.alarm.purl, each.alarm.filename) in shown.pages for each in given_up.rows)
    assert [13, 14] == [each.number for each in shown.acknowledged]
    assert ("ada", "The project moved; announced on its page.") == (
        shown.acknowledged[0].acknowledged_by,
        shown.acknowledged[0].note,
    )
    assert [15, 16] == [each.number for each in shown.cleared]


def test_one_that_wakes_somebody_makes_its_group_urgent() -> None:
    """Escalated alarms are not hidden behind others of their cause."""
    plain = operations.recorded(1, AlarmKind.FAILURE_RATE, cause="x")
    urgent = operations.recorded(2, AlarmKind.FAILURE_RATE, cause="x", severity=AlarmKind.DISK.severity)
    assert ["page"] == [each.mark.name for each in alarms_page([], [plain, urgent]).groups]


def test_thousands_of_alarms_give_a_page_that_can_be_read() -> None:
    """Bounded in every direction, and it says what is left out."""
    many = [operations.recorded(at, cause=f"c{at}") for at in range(1000)]
    many += [operations.recorded(2000 + at, cause="c0") for at in range(1000)]
    many += [operations.recorded(4000 + at, cleared=NOW - at * HOUR) for at in range(1000)]
    shown = alarms_page([], many)
    assert (MOST_CAUSES, "800 more causes") == (len(shown.groups), shown.hidden)
    assert (MOST_OF_A_CAUSE, "981 more alarms") == (len(shown.groups[0].rows), shown.groups[0].hidden)
    assert (MOST_CLOSED, "900 older ones", 4000) == (len(shown.cleared), shown.more_cleared, shown.cleared[0].number)


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (timedelta(seconds=-5), "less than a minute"),
        (timedelta(seconds=59), "less than a minute"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(minutes=119), "119 minutes"),
        (timedelta(hours=47, minutes=59), "47 hours"),
        (timedelta(days=3000), "3,000 days"),
    ],
)
def test_lengths_of_time_are_said_as_people_do(length: timedelta, said: str) -> None:
    """One unit, rounded down; a clock that went backwards gives no negative time."""
    assert said == span(length)


def test_data_and_page_tell_the_same(site: Site, tmp_path: Path, summaries: list[Summary]) -> None:
    """``operate.json`` reads back with its schema; it has the open alarms only, as ``index.json`` has."""
    alarms = operations.alarms(summaries)
    value = operations.busy(summaries)
    site.write_operations(value, alarms)
    site.write_index(summaries, alarms, NOW)
    found = Operate.model_validate_json((tmp_path / "v1/operate.json").read_bytes())
    assert value == Operations.model_validate(found.model_dump(exclude={"verifier", "alarms"}))
    assert [each for each in alarms if each.open] == list(found.alarms)
    index = Index.model_validate_json((tmp_path / "v1/index.json").read_bytes())
    assert [each.alarm for each in alarms if each.open] == list(index.alarms)


def test_only_a_site_with_the_page_links_to_it(site: Site, tmp_path: Path, summaries: list[Summary]) -> None:
    """What ``rebuilder verify`` publishes alone has no service to tell of; lists are made again once there is one."""
    pages = ("index.html", "alarms.html", "about.html", "verdicts/differs.html", "projects/a.html")
    site.write_index(summaries, [], NOW)
    assert {False} == {"operate.html" in (tmp_path / each).read_text() for each in pages}
    site.write_operations(operations.operations(), [])
    assert ">Operate</a>" in (tmp_path / "operate.html").read_text()
    site.write_index(summaries, [], NOW)
    assert {True} == {"operate.html" in (tmp_path / each).read_text() for each in pages}


def test_the_front_page_names_our_own_operation_last(site: Site, tmp_path: Path) -> None:
    """Its readers ask about files first; what the alarm says is on the page of alarms and in the data."""
    ours = operations.recorded(1, AlarmKind.QUEUE_AGE, sentence="Work waits for 7 hours.")
    site.write_index([], [ours, operations.recorded(2, AlarmKind.DIGEST_CHANGED)], NOW)
    front = (tmp_path / "index.html").read_text()
    assert 0 < front.index("Published bytes changed") < front.index("Work waits too long")
    assert "Work waits for 7 hours." not in front
    assert "Work waits for 7 hours." in (tmp_path / "alarms.html").read_text()
    assert "queue-age" in (tmp_path / "v1/index.json").read_text()


def test_only_pages_that_are_there_are_linked(site: Site, tmp_path: Path) -> None:
    """A result that is not published yet is named without an address."""
    report = reports.differs(MemoryBlobs())
    value = operations.failing(summarise(report))
    link = re.compile(r'<a class="part file" href="([^"]+)">')
    assert [] == link.findall(site.write_operations(value, []).read_text())
    site.write_artifact(reports.signed(report), [], [])
    (found,) = link.findall(site.write_operations(value, []).read_text())
    assert (tmp_path / found).is_file()


def test_hostile_strings_are_text(site: Site, tmp_path: Path, summaries: list[Summary]) -> None:
    """Spelled, cut and escaped, on both pages, wherever they come from."""
    alarms = operations.alarms(summaries)
    site.write_operations(operations.hostile(summaries[0]), alarms)
    site.write_index([], alarms, NOW)
    for name in ("operate.html", "alarms.html"):
        html = (tmp_path / name).read_text()
        assert "<script" not in html
        assert "<img src=x" not in html
        assert "⟨U+202E⟩" in html
        assert "x" * 700 not in html
        assert (tmp_path / name).stat().st_size < 60_000
        assert None is re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e]", html.replace("\n", ""))


def test_the_page_says_of_when_it_is(site: Site) -> None:
    """It may be read long after: no word of it depends on the reader's clock."""
    html = site.write_operations(operations.operations(), []).read_text()
    assert 'As of <time datetime="2026-11-20T14:03:12Z">2026-11-20 14:03 UTC</time>' in html
    assert " ago" not in html.replace("long ago", "")


def test_equal_operations_give_an_equal_page(site: Site, summaries: list[Summary]) -> None:
    """Nothing of it comes from a clock or from chance."""
    value, alarms = operations.busy(summaries), operations.alarms(summaries)
    first = site.write_operations(value, alarms).read_bytes()
    assert first == site.write_operations(value, list(reversed(alarms))).read_bytes()


def test_reports_that_are_run_again_by_age(site: Site, tmp_path: Path, summaries: list[Summary]) -> None:
    """How many still give the same bytes, of how many of each age; nothing where none was run again."""
    shown = page(operations.busy(summaries))
    assert "57 of 60 reports gave the same bytes when last run again." == shown.replayed
    rows = [(each.label, each.shown, round(each.width)) for each in shown.replays]
    assert [("up to 30 days old, of 40", "40", 100), ("older, of 20", "17", 85)] == rows
    site.write_operations(operations.busy(summaries), [])
    assert "Same bytes as then, by age of the report" in (tmp_path / "operate.html").read_text()
    site.write_operations(operations.operations(), [])
    assert "Reports run again" not in (tmp_path / "operate.html").read_text()


def test_what_a_file_costs_is_told_by_tier(summaries: list[Summary]) -> None:
    """Median and 95th percentile; what was never measured is said as such."""
    assert [
        ["quick", "412 files", "not measured", "1.0 MiB, up to 3.0 MiB", "68.4 KiB, up to 68.4 KiB"],
        ["full", "88 files", "8.2 s, up to 61.5 s", "5.0 MiB, up to 5.0 MiB", "900 B, up to 900 B"],
    ] == cells(html(operations.busy(summaries)), "costs")


def test_the_next_look_of_a_watch_is_told(summaries: list[Summary]) -> None:
    """A watch that is in no schedule has none."""
    found = {each.name: each.planned for each in page(operations.busy(summaries)).watches}
    assert found["top-projects"] is None
    assert NOW + 21 * HOUR == found["re-verify"]
    shown = {each[0]: each[4] for each in cells(html(operations.busy(summaries)), "watches")}
    assert "none: in no schedule" == shown["top-projects"]
    assert (NOW + 21 * HOUR).strftime("%Y-%m-%d %H:%M UTC") == shown["re-verify"]


@pytest.mark.parametrize(
    ("priority", "said"),
    [(-9, "Asked for by hand, sooner by 9"), (0, "Asked for by hand"), (4, "Asked for by hand, later by 4")],
)
def test_what_was_moved_in_the_queue_says_so(priority: int, said: str) -> None:
    """Within its reason; the reason itself is told anyway."""
    moved = operations.entry(40, reason=Reason.ASKED, priority=priority, watch=None, tries=0)
    queue = operations.NO_QUEUE.replace(waiting=1, upcoming=(moved,))
    assert [said] == [each[1] for each in cells(html(operations.operations(queue=queue)), "work")]
