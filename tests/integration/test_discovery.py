"""Looking for new releases: a registry on loopback that knows ETags, the real ledger, requests and writes counted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event

from rebuilder.ecosystems.registry import parse_subject
from rebuilder.errors import UsageError
from rebuilder.model.alarm import AlarmKind
from rebuilder.model.value import sha256_hex
from rebuilder.model.work import Order, Reason, Tier
from rebuilder.network.http.fetcher import HttpCache, HttpFetcher
from rebuilder.service.discovery import Discovery
from rebuilder.service.schedules.watch import Timing, VersionRule, Versions, Watch
from rebuilder.store.ledger import Ledger, tables
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.discovery import Here, pypi_of
from tests.fakes.ledgers import open_ledger
from tests.fakes.registry import Registry, server_error
from tests.fakes.verifications import artifact

LATEST = Versions(rule=VersionRule.LATEST)


def watch(*packages: str, versions: Versions = LATEST, **fields: object) -> Watch:
    """A watch of the test's own."""
    values = {"name": "mine", "file": "a.toml", "packages": packages, "versions": versions, "timing": Timing(every=60)}
    return Watch.model_validate(values | fields)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    """A registry, a ledger, and the discovery between them."""
    blobs, clock = MemoryBlobs(), FixedClock()
    with (
        Registry(etags=True) as registry,
        open_ledger(tmp_path / "ledger.sqlite") as ledger,
        HttpFetcher(blobs, HttpCache(tmp_path / "cache"), wait=lambda _: None) as fetcher,
    ):
        fetcher.admit(registry.url)
        pypi = pypi_of(registry.url, fetcher, blobs)
        yield Here(registry, ledger, clock, Discovery({"pypi": pypi}, ledger, clock))


def publish(registry: Registry, name: str, *versions: str, day: int = 1) -> None:
    """Publish a pure wheel of each version."""
    for version in versions:
        wheel = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        registry.add_file(name, wheel, wheel.encode(), uploaded=datetime(2024, 3, day, tzinfo=UTC))


def queued(ledger: Ledger) -> list[Order]:
    """What waits, taken from the queue in order."""
    now = datetime(2030, 1, 1, tzinfo=UTC)
    orders: list[Order] = []
    while (lease := ledger.queue.claim(f"w{len(orders)}", now, 60)) is not None:
        orders.append(lease.task.order)
    return orders


def test_many_projects_with_nothing_new(here: Here) -> None:
    """One conditional request each, and a single write."""
    names = [f"p{number}" for number in range(200)]
    for name in names:
        publish(here.registry, name, "1.0")
    first = here.discovery.look(watch(*names))
    assert (200, 200, 0) == (first.projects, first.queued, first.failed)
    before, writes = here.registry.count(), []
    engine = here.ledger._database.engine
    event.listen(
        engine, "before_cursor_execute", lambda _c, _u, text, *_: writes.append(text) if _changes(text) else None
    )
    second = here.discovery.look(watch(*names))
    assert (200, 0, 0, None) == (second.projects, second.queued, second.failed, second.trouble)
    assert 200 == here.registry.count() - before
    assert 200 == here.registry.not_modified
    assert ["INSERT INTO watch"] == [each[:17] for each in writes]


def _changes(statement: str) -> bool:
    return statement.lstrip().split()[0] in {"INSERT", "UPDATE", "DELETE", "REPLACE"}


def test_new_release_is_queued_once(here: Here) -> None:
    """Only what came since is ordered, with what the watch says about it."""
    publish(here.registry, "one", "1.0")
    assert 1 == here.discovery.look(watch("one")).queued
    publish(here.registry, "one", "1.1")
    assert 1 == here.discovery.look(watch("one", tier=Tier.QUICK, priority=3)).queued
    assert 0 == here.discovery.look(watch("one", tier=Tier.QUICK, priority=3)).queued
    orders = sorted(queued(here.ledger), key=lambda each: each.version)
    assert ["1.0", "1.1"] == [each.version for each in orders]
    newest = orders[1]
    assert (Reason.RELEASE, Tier.QUICK, 3, "mine") == (newest.reason, newest.tier, newest.nudge, newest.watch)
    assert ("pkg:pypi/one@1.1", sha256_hex(b"one-1.1-py3-none-any.whl")) == (newest.purl, newest.sha256)


def test_what_was_interrupted_is_queued(here: Here) -> None:
    """A file that somebody began to verify by hand and left is still to be verified; one that was given up is not."""
    publish(here.registry, "one", "1.0")
    here.discovery.look(watch("one", name="first"))
    [asked] = queued(here.ledger)
    here.ledger.pin(artifact("one", "1.0", sha256_hex(asked.filename.encode())), here.clock.now())
    with here.ledger._database.writing() as connection:
        connection.execute(tables.task.delete())
    assert 1 == here.discovery.look(watch("one", name="second")).queued
    lease = here.ledger.queue.claim("w0", here.clock.now(), 60)
    assert lease is not None
    here.ledger.queue.give_up(lease, None, "It cannot be had.", here.clock.now())
    assert 0 == here.discovery.look(watch("one", name="third")).queued


@pytest.mark.parametrize(
    ("versions", "fields", "expected"),
    [
        (LATEST, {}, ["2.0"]),
        (LATEST, {"prereleases": True}, ["3.0rc1"]),
        (Versions(rule=VersionRule.ALL), {}, ["1.0", "1.1", "2.0"]),
        (Versions(rule=VersionRule.NEWEST, newest=2), {}, ["1.1", "2.0"]),
        (Versions(rule=VersionRule.SINCE, since=date(2024, 3, 5)), {}, ["1.1", "2.0"]),
        (Versions(rule=VersionRule.LISTED), {"pins": {"one": ("1.00", "9")}}, ["1.0"]),
        (Versions(rule=VersionRule.LISTED), {}, ["2.0"]),
    ],
    ids=["latest", "prereleases", "all", "newest", "since", "listed", "listed nowhere"],
)
def test_rules(here: Here, versions: Versions, fields: dict[str, object], expected: list[str]) -> None:
    """Each rule chooses the versions it says."""
    for day, version in ((1, "1.0"), (5, "1.1"), (9, "2.0"), (10, "3.0rc1")):
        publish(here.registry, "one", version, day=day)
    here.discovery.look(watch("one", versions=versions, **fields))
    assert expected == sorted(each.version for each in queued(here.ledger))


def test_edited_rule_counts_at_once(here: Here) -> None:
    """A page that has not changed is read again when other files of it may be wanted."""
    publish(here.registry, "one", "1.0", "1.1")
    assert 1 == here.discovery.look(watch("one")).queued
    assert 1 == here.discovery.look(watch("one", versions=Versions(rule=VersionRule.ALL))).queued


def test_other_bytes_under_a_known_name_go_first(here: Here) -> None:
    """Even a file that the rule does not mean is looked at when its digest has changed, before everything else."""
    publish(here.registry, "one", "1.0")
    here.discovery.look(watch("one"))
    assert ["1.0"] == [each.version for each in queued(here.ledger)]
    here.registry.add_file("one", "one-1.0-py3-none-any.whl", b"other")
    publish(here.registry, "one", "1.1")
    here.discovery.look(watch("one"))
    tasks = {each.version: each for each in queued_all(here.ledger)}
    assert (-9, sha256_hex(b"other")) == (tasks["1.0"].nudge, tasks["1.0"].sha256)
    assert 0 == tasks["1.1"].nudge


def queued_all(ledger: Ledger) -> list[Order]:
    """What is queued, leased or not."""
    ledger.queue.release("w0", datetime(2029, 1, 1, tzinfo=UTC))
    return queued(ledger)


def test_failing_project_does_not_stop_the_others(here: Here) -> None:
    """It is counted, the first sentence is kept, and it is looked at the next time."""
    publish(here.registry, "one", "1.0")
    publish(here.registry, "two", "1.0")
    here.registry.fault("/simple/one/", server_error(), times=4)
    state = here.discovery.look(watch("nobody-has-it", "one", "two"))
    assert (3, 1, 2) == (state.projects, state.queued, state.failed)
    assert "nobody-has-it" in str(state.trouble)
    assert 1 == here.discovery.look(watch("one", "two")).queued


def missing(ledger: Ledger) -> list[str]:
    """Open alarms about projects that do not exist, by what they are about."""
    return sorted(each.purl for each in ledger.alarms() if each.kind is AlarmKind.PROJECT_MISSING)


def test_a_project_that_does_not_exist_is_an_alarm(here: Here) -> None:
    """One for each that a watch names, however often it looks; cleared once there is such a project."""
    publish(here.registry, "one", "1.0")
    for _ in range(2):
        here.discovery.look(watch("one", "tow", "three"))
    assert ["pkg:pypi/three", "pkg:pypi/tow"] == missing(here.ledger)
    [alarm] = here.ledger.alarms("pkg:pypi/tow")
    assert "tow" in alarm.sentence
    publish(here.registry, "tow", "1.0")
    here.discovery.look(watch("one", "tow", "three"))
    assert ["pkg:pypi/three"] == missing(here.ledger)


def test_an_index_that_fails_says_nothing_about_projects(here: Here) -> None:
    """Trouble of the index is no word on whether a project exists, neither for nor against."""
    here.discovery.look(watch("gone"))
    publish(here.registry, "gone", "1.0")
    publish(here.registry, "there", "1.0")
    for name in ("gone", "there"):
        here.registry.fault(f"/simple/{name}/", server_error(), times=4)
    here.discovery.look(watch("gone", "there"))
    assert ["pkg:pypi/gone"] == missing(here.ledger)


def test_silent_index_ends_the_look_and_is_told_after_a_while(here: Here) -> None:
    """Errors for an hour do not become thousands of requests; whoever runs it is told, and told that it is over."""
    names = [f"p{number}" for number in range(300)]
    for name in names:
        publish(here.registry, name, "1.0")
    here.discovery.look(watch(*names))
    seen = here.ledger.watches.seen("mine")
    for minutes, alarms in ((0, 0), (10, 0), (10, 1)):
        here.clock.time += timedelta(minutes=minutes)
        here.registry.fault("/simple/", server_error(), times=400)
        before = here.registry.count()
        state = here.discovery.look(watch(*names))
        assert (300, 10) == (state.projects, state.failed)
        assert here.registry.count() - before <= (10 + 4) * 4
        found = [each for each in here.ledger.alarm_book.open() if each.alarm.kind is AlarmKind.INDEX_UNREACHABLE]
        assert alarms == len(found)
        assert seen == here.ledger.watches.seen("mine")
    assert ["index-unreachable:pypi"] == [each.alarm.cause for each in found]
    here.registry._faults.clear()
    assert 0 == here.discovery.look(watch(*names)).failed
    assert [] == here.ledger.alarm_book.open()


def test_patterns_are_matched_against_the_index(here: Here) -> None:
    """The list of projects is asked for only then; when it cannot be had, the pattern means what it meant."""
    for name in ("django-a", "django-b", "flask"):
        publish(here.registry, name, "1.0")
    projects = (
        b'{"meta": {"api-version": "1.1"}, "projects": [{"name": "Django_A"}, {"name":"django-b"}, {"name": "flask"}]}'
    )
    here.registry.serve("/simple/", projects, "application/vnd.pypi.simple.v1+json")
    state = here.discovery.look(watch(patterns=("django-*",)))
    assert (2, 2, 0) == (state.projects, state.queued, state.failed)
    here.registry.remove("/simple/")
    again = here.discovery.look(watch(patterns=("django-*",)))
    assert (2, 0, 1) == (again.projects, again.queued, again.failed)
    assert again.trouble


def test_five_thousand_files(here: Here) -> None:
    """A project with thousands of releases is read in one go, and queued in one."""
    entries = [f"many-{number}.0-py3-none-any.whl" for number in range(5000)]
    for each in entries:
        here.registry.add_file("many", each, b"")
    state = here.discovery.look(watch("many", versions=Versions(rule=VersionRule.ALL)))
    assert 5000 == state.queued
    assert 0 == here.discovery.look(watch("many", versions=Versions(rule=VersionRule.ALL))).queued


def test_ask_by_hand(here: Here) -> None:
    """The files of one release, the newest unless one is named; what is not there is a sentence."""
    publish(here.registry, "one", "1.0", "1.1")
    ecosystems = here.discovery._ecosystems

    def asked(text: str) -> list[str]:
        return [each.filename for each in here.discovery.ask(parse_subject(text, ecosystems))]

    assert ["one-1.1-py3-none-any.whl"] == asked("pypi:one")
    assert ["one-1.0-py3-none-any.whl"] == asked("pypi:one==1.00")
    [order] = here.discovery.ask(parse_subject("pypi:one", ecosystems), tier=Tier.QUICK)
    assert (Reason.ASKED, Tier.QUICK, None) == (order.reason, order.tier, order.watch)
    with pytest.raises(UsageError, match="one has no version 7 with a file that could be verified"):
        asked("pypi:one==7")
    with pytest.raises(UsageError, match="not on the index"):
        asked("pypi:nobody-has-it")
    with pytest.raises(UsageError, match=r"one 1\.0 has no file one-1\.0-py2-none-any\.whl that is verified"):
        asked("pypi:one-1.0-py2-none-any.whl".replace("pypi:", "pkg:pypi/one@1.0?file_name="))
