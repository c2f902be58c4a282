"""What watches remember, on every database."""

from __future__ import annotations

from datetime import timedelta

from rebuilder.model.comparison import Level
from rebuilder.model.operations import WatchState
from rebuilder.store.ledger import Ledger, tables
from tests.fakes.orders import order, order_for
from tests.fakes.verifications import NOW, artifact, attempt, digest, report, signed


def state(name: str = "top", **changes: object) -> WatchState:
    """What a watch found."""
    fields = {"name": name, "checked": NOW, "projects": 3, "queued": 2, "failed": 0}
    return WatchState.model_validate(fields | changes)


def test_a_watch_that_never_looked_has_seen_nothing(ledger: Ledger) -> None:
    """No row is nothing seen, not an error."""
    assert {} == ledger.watches.seen("top")
    assert [] == ledger.watches.all()


def test_what_a_watch_saw_comes_back(ledger: Ledger) -> None:
    """The newest look counts; other watches have their own."""
    ledger.watches.looked(state(), {"idna": '"etag"', "Ünï": "3"})
    ledger.watches.looked(state("other", failed=1, trouble="The index does not answer."), {})
    newest = state(checked=NOW + timedelta(hours=1), queued=0)
    ledger.watches.looked(newest, {"idna": '"next"'})
    assert {"idna": '"next"'} == ledger.watches.seen("top")
    assert {} == ledger.watches.seen("other")
    assert [state("other", failed=1, trouble="The index does not answer."), newest] == ledger.watches.all()


def test_trouble_that_has_passed_is_forgotten(ledger: Ledger) -> None:
    """A look that went well leaves no old sentence behind."""
    ledger.watches.looked(state(failed=1, trouble="The index does not answer."), {})
    ledger.watches.looked(state(), {})
    assert [state()] == ledger.watches.all()


def test_what_cannot_be_read_is_forgotten(ledger: Ledger) -> None:
    """It only saves requests: a damaged row costs a full look, not the watch."""
    for damaged in (b"rubbish", b"", b"x\x9c\x03\x00\x00\x00\x00\x01"):
        ledger.watches.looked(state(), {"idna": "1"})
        with ledger._database.writing() as connection:
            connection.execute(tables.watch.update().values(seen=damaged))
        assert {} == ledger.watches.seen("top")


def test_a_thousand_projects_are_one_small_row(ledger: Ledger) -> None:
    """However many projects: one write."""
    seen = {f"project-{each}": f'"{digest(str(each))}"' for each in range(1000)}
    ledger.watches.looked(state(projects=1000), seen)
    assert seen == ledger.watches.seen("top")


def test_known_files_are_those_seen_and_those_queued(ledger: Ledger) -> None:
    """By file name, with every digest it had; a queued file whose digest is not listed has none."""
    ledger.pin(artifact(), NOW)
    ledger.pin(artifact(sha256=digest("changed")), NOW)
    ledger.pin(artifact("other"), NOW)
    ledger.queue.add([order(), order(version="3.21"), order(version="3.22", sha256=None)], NOW)
    expected = {
        "idna-3.20-py3-none-any.whl": {artifact().sha256, digest("changed")},
        "idna-3.21-py3-none-any.whl": {artifact().sha256},
        "idna-3.22-py3-none-any.whl": set(),
    }
    assert expected == ledger.watches.known("pypi", "idna")
    assert {} == ledger.watches.known("npm", "idna")


def test_what_was_only_begun_is_unfinished(ledger: Ledger) -> None:
    """Interrupted by hand, and not queued; a file with a result, in the queue, or given up is not."""
    versions = ("interrupted", "finished", "queued", "given", "gone", "late")
    files = {each: artifact(version=each, sha256=digest(each)) for each in versions}
    for pinned in files.values():
        ledger.pin(pinned, NOW)
    ledger.fail(ledger.begin(files["interrupted"], NOW), "The disk is full.", NOW)
    found = report(files["finished"], attempt(files["finished"], Level.IDENTICAL))
    ledger.finish(ledger.begin(files["finished"], NOW), signed(found))
    for each, ours in (("given", True), ("gone", False)):
        ledger.queue.add([order_for(files[each])], NOW)
        lease = ledger.queue.claim("a", NOW, 60)
        assert lease is not None
        number = ledger.begin(files[each], NOW) if ours else None
        ledger.queue.give_up(lease, number, "It is gone.", NOW, ours=ours)
    ledger.queue.add([order_for(files["queued"])], NOW)
    late = artifact(version="late", sha256=digest("other bytes, verified"))
    ledger.finish(ledger.begin(late, NOW), signed(report(late, attempt(late, Level.IDENTICAL))))
    assert {files["interrupted"].file.filename} == ledger.watches.unfinished("pypi", "idna")
    assert set() == ledger.watches.unfinished("npm", "idna")
