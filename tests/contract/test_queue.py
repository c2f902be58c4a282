"""What the queue does, on every database: order, turns, leases, and what becomes of a task."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from rebuilder.errors import StoreError
from rebuilder.model.comparison import Level
from rebuilder.model.definition import Limits
from rebuilder.model.report import Report
from rebuilder.model.verdict import Verdict
from rebuilder.model.work import Check, Lease, Reason, Tier
from rebuilder.store.ledger import Ledger, tables
from rebuilder.store.ledger.queue.queue import LeaseLostError, next_task
from tests.contract.conftest import OpenLedger
from tests.fakes.orders import order, ordered
from tests.fakes.verifications import NOW, attempt, digest, report

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
HITS = ("hit", "resolution")


def claimed(ledger: Ledger, owner: str = "a", now: datetime = NOW) -> Lease:
    """The next task, which is there."""
    lease = ledger.queue.claim(owner, now, 60)
    assert lease is not None
    return lease


def taken_over(ledger: Ledger, owner: str, now: datetime) -> Lease:
    """The task of somebody whose lease has run out, once its rest is over."""
    assert ledger.queue.claim(owner, now, 60) is None
    return claimed(ledger, owner, now + SECOND)


def names(ledger: Ledger, now: datetime = NOW) -> list[str]:
    """The projects of all tasks in the order they are handed out, all at one moment."""
    taken = []
    while (lease := ledger.queue.claim("a", now, 60)) is not None:
        taken.append(lease.task.order.name)
    return taken


def begun(ledger: Ledger, lease: Lease) -> tuple[int, Report]:
    """A verification that runs for a task, and the report it ends with."""
    of = ordered(lease.task.order)
    return ledger.begin(of, NOW, lease.task.order), report(of, attempt(of, Level.IDENTICAL))


def verification(ledger: Ledger, number: int) -> dict[str, Any]:
    """The row of a verification."""
    with ledger._database.reading() as connection:
        query = select(tables.verification).where(tables.verification.c.id == number)
        return dict(connection.execute(query).mappings().one())


def tally(ledger: Ledger) -> dict[tuple[str, str], int]:
    """All that was counted."""
    with ledger._database.reading() as connection:
        return {(name, label): value for name, label, value in connection.execute(select(tables.tally))}


def test_an_order_comes_back_whole(ledger: Ledger) -> None:
    """What a worker gets is what was asked."""
    asked = order(
        reason=Reason.RECHECK,
        tier=Tier.SOURCE,
        check=Check.ENVIRONMENT,
        watch="top",
        nudge=-3,
        limits=Limits(wall_seconds=7),
        sha256=None,
    )
    assert 1 == ledger.queue.add([asked], NOW)
    lease = claimed(ledger, "machine/1/2", NOW + MINUTE)
    assert asked == lease.task.order
    assert ("machine/1/2", NOW + 2 * MINUTE) == (lease.owner, lease.until)
    assert (NOW, NOW, 0) == (lease.task.created, lease.task.not_before, lease.task.tries)


def test_an_empty_queue_gives_nothing(ledger: Ledger) -> None:
    """No task is no lease; adding nothing is nothing."""
    assert 0 == ledger.queue.add([], NOW)
    assert ledger.queue.claim("a", NOW, 60) is None
    assert set() == ledger.queue.owners()


def test_nothing_is_queued_twice(ledger: Ledger) -> None:
    """Neither in one call nor in two; the number is that of new tasks."""
    assert 2 == ledger.queue.add([order(), order("other"), order()], NOW)
    assert 1 == ledger.queue.add([order(), order("third")], NOW)
    assert ["idna", "other", "third"] == names(ledger)


def test_more_urgent_goes_first(ledger: Ledger) -> None:
    """By reason, then by what the watch adds, then as they came."""
    reasons = list(reversed(Reason))
    ledger.queue.add([order(each.value, reason=each) for each in reasons], NOW)
    ledger.queue.add([order("sooner", nudge=-9), order("later", nudge=9), order("last")], NOW)
    expected = ["asked", "sooner", "release", "last", "later", "regression", "retry", "recheck"]
    assert expected == names(ledger)


def test_watches_take_turns(ledger: Ledger) -> None:
    """A watch that queues many does not keep another waiting that queues three."""
    ledger.queue.add([order(f"big{each}", watch="big") for each in range(20)], NOW)
    for _ in range(10):
        claimed(ledger)
    ledger.queue.add([order(f"small{each}", watch="small") for each in range(3)], NOW)
    assert ["big10", "big11", "small0", "big12", "small1", "big13", "small2", "big14"] == names(ledger)[:8]


def test_a_watch_does_not_save_up_turns(ledger: Ledger) -> None:
    """One that was idle, or always done at once, gets no more than its share afterwards."""
    ledger.queue.add([order(f"big{each}", watch="big") for each in range(6)], NOW)
    for each in range(3):
        ledger.queue.add([order(f"one{each}", watch="one")], NOW)
    assert ["big0", "big1", "one0", "big2", "one1", "big3", "one2", "big4", "big5"] == names(ledger)


def test_a_more_urgent_order_raises_a_task(ledger: Ledger) -> None:
    """It takes priority, watch and limits of the more urgent, and the thoroughness of either."""
    limits = Limits(wall_seconds=5)
    ledger.queue.add([order("first"), order(reason=Reason.RECHECK, watch="old", check=Check.ENVIRONMENT)], NOW)
    asked = order(reason=Reason.ASKED, tier=Tier.QUICK, limits=limits)
    assert 0 == ledger.queue.add([asked], NOW)
    assert asked.replace(tier=Tier.FULL, check=Check.ENVIRONMENT) == claimed(ledger).task.order


def test_a_less_urgent_order_changes_nothing_but_thoroughness(ledger: Ledger) -> None:
    """A quick look that is queued becomes a full one at its place."""
    ledger.queue.add([order(tier=Tier.QUICK, check=Check.INPUTS, watch="w"), order("other")], NOW)
    ledger.queue.add([order(reason=Reason.RECHECK, watch="late")], NOW + MINUTE)
    lease = claimed(ledger, now=NOW + MINUTE)
    assert order(watch="w") == lease.task.order
    assert NOW == lease.task.created


def test_second_runs_once_wanted_stay_wanted(ledger: Ledger) -> None:
    """Whoever else orders the file; and what was worked on without them is looked at once more."""
    ledger.queue.add([order()], NOW)
    lease = claimed(ledger)
    ledger.queue.add([order(double_runs=True)], NOW)
    ledger.queue.add([order(reason=Reason.ASKED)], NOW)
    ledger.queue.discard(lease, None, "Nothing.", NOW, {}, follow=None)
    again = claimed(ledger)
    assert (False, True) == (lease.task.order.double_runs, again.task.order.double_runs)
    ledger.queue.discard(again, None, "Nothing.", NOW, {}, follow=None)
    assert ledger.queue.claim("a", NOW, 60) is None


def test_one_release_is_worked_on_once_at_a_time(ledger: Ledger) -> None:
    """The second file of a release waits until the first is done; other releases do not."""
    ledger.queue.add([order(), order(filename="idna-3.20.tar.gz"), order(version="3.19")], NOW)
    first, other = claimed(ledger), claimed(ledger, "b")
    assert ["3.20", "3.19"] == [first.task.order.version, other.task.order.version]
    assert ledger.queue.claim("b", NOW, 60) is None
    number, done = begun(ledger, first)
    ledger.queue.complete(first, number, done, {})
    assert "idna-3.20.tar.gz" == claimed(ledger, "b").task.order.filename


def test_a_lease_runs_out_unless_it_is_renewed(ledger: Ledger) -> None:
    """After its time another gets the task; with signs of life nobody does."""
    ledger.queue.add([order()], NOW)
    first = claimed(ledger)
    ledger.queue.renew("a", NOW + MINUTE / 2, 60)
    assert ledger.queue.claim("b", NOW + MINUTE, 60) is None
    assert ledger.queue.holds(first)
    assert {"a"} == ledger.queue.owners()
    second = taken_over(ledger, "b", NOW + 2 * MINUTE)
    assert first.task.id == second.task.id
    assert [False, True] == [ledger.queue.holds(each) for each in (first, second)]
    ledger.queue.renew("a", NOW + 2 * MINUTE, 600)
    assert [False, True] == [ledger.queue.holds(each) for each in (first, second)]
    assert {"b"} == ledger.queue.owners()


def test_an_expired_lease_that_nobody_took_is_still_good(ledger: Ledger) -> None:
    """Work that is done is not thrown away because its sign of life came late."""
    ledger.queue.add([order()], NOW)
    lease = claimed(ledger)
    number, done = begun(ledger, lease)
    assert 1 == ledger.queue.state(NOW + 60 * MINUTE).waiting
    assert ledger.queue.holds(lease)
    ledger.queue.complete(lease, number, done, {})
    assert ledger.queue.claim("b", NOW + 60 * MINUTE, 60) is None


ENDINGS: dict[str, Callable[[Ledger, Lease, int, Report], None]] = {
    "complete": lambda ledger, lease, number, done: ledger.queue.complete(lease, number, done, {HITS: 1}),
    "retry": lambda ledger, lease, number, done: ledger.queue.complete(lease, number, done, {HITS: 1}, retry_at=NOW),
    "discard": lambda ledger, lease, number, _: ledger.queue.discard(
        lease, number, "Nothing.", NOW, {HITS: 1}, follow=order("next")
    ),
    "put back": lambda ledger, lease, number, _: ledger.queue.put_back(
        lease, number, "Disk.", NOW, not_before=None, counts=True
    ),
    "give up": lambda ledger, lease, number, _: ledger.queue.give_up(lease, number, "Disk.", NOW),
}


@pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS)
def test_a_lost_lease_writes_nothing(ledger: Ledger, end: Callable[[Ledger, Lease, int, Report], None]) -> None:
    """Who took too long cannot end what another has, nor what has ended; its verification has ended."""
    ledger.queue.add([order()], NOW)
    first = claimed(ledger)
    number, done = begun(ledger, first)
    second = taken_over(ledger, "b", NOW + 2 * MINUTE)
    with pytest.raises(LeaseLostError, match=r"idna-3\.20-py3-none-any\.whl"):
        end(ledger, first, number, done)
    assert ledger.queue.holds(second)
    row = verification(ledger, number)
    assert ("abandoned", None) == (row["state"], row["verdict"])
    assert ([], {}) == (ledger.unsigned(), tally(ledger))
    newer, done = begun(ledger, second)
    ledger.queue.complete(second, newer, done, {})
    with pytest.raises(LeaseLostError):
        end(ledger, second, number, done)
    assert ([(newer, done)], {}) == (ledger.unsigned(9), tally(ledger))
    assert 0 == ledger.queue.state(NOW).waiting


def test_completing_writes_everything(ledger: Ledger) -> None:
    """The task goes, the verification waits for its signature and tells what it was made for; counts add up."""
    for each, watch in (("idna", "top"), ("other", None)):
        ledger.queue.add([order(each, watch=watch, tier=Tier.SOURCE)], NOW)
        lease = claimed(ledger)
        number = ledger.begin(ordered(lease.task.order), NOW)
        done = report(ordered(lease.task.order), attempt(ordered(lease.task.order), Level.IDENTICAL))
        ledger.queue.complete(lease, number, done, {HITS: 2, ("miss", "x"): 0})
        row = verification(ledger, number)
        expected = ("examined", "release", "source", "verify", watch)
        assert expected == tuple(row[key] for key in ("state", "reason", "tier", "check", "watch"))
    assert {HITS: 4} == tally(ledger)
    assert 2 == len(ledger.unsigned(9))
    assert ledger.queue.claim("a", NOW, 60) is None


def test_a_verification_that_has_ended_is_not_completed(ledger: Ledger) -> None:
    """All or nothing: the task stays when its verification is not running any more."""
    ledger.queue.add([order()], NOW)
    lease = claimed(ledger)
    number, done = begun(ledger, lease)
    ledger.fail(number, "Disk.", NOW)
    with pytest.raises(StoreError, match=f"verification {number} is not running"):
        ledger.queue.complete(lease, number, done, {HITS: 1})
    assert ledger.queue.holds(lease)
    assert {} == tally(ledger)


def test_a_retry_waits_its_time_behind_what_is_new(ledger: Ledger) -> None:
    """It counts a try, becomes a retry, and is nobody's until its time has come."""
    ledger.queue.add([order(watch="w", nudge=2)], NOW)
    lease = claimed(ledger)
    number, done = begun(ledger, lease)
    ledger.queue.complete(lease, number, done, {}, retry_at=NOW + 5 * MINUTE)
    assert ledger.queue.claim("a", NOW + 4 * MINUTE, 60) is None
    ledger.queue.add([order("new")], NOW)
    assert "new" == claimed(ledger, now=NOW + 5 * MINUTE).task.order.name
    again = claimed(ledger, now=NOW + 5 * MINUTE)
    assert (order(watch="w", nudge=2, reason=Reason.RETRY), 1, NOW) == (
        again.task.order,
        again.task.tries,
        again.task.created,
    )


def test_a_recheck_does_not_become_more_urgent_by_failing(ledger: Ledger) -> None:
    """It stays what it was; only its tries are counted."""
    ledger.queue.add([order(reason=Reason.RECHECK)], NOW)
    lease = claimed(ledger)
    ledger.queue.put_back(lease, None, "Disk.", NOW, not_before=None, counts=True)
    again = claimed(ledger).task
    assert (Reason.RECHECK, 1) == (again.order.reason, again.tries)


def test_what_follows_takes_the_place(ledger: Ledger) -> None:
    """A quick look that confirmed nothing says nothing; the full one waits since the quick one did."""
    ledger.queue.add([order(tier=Tier.QUICK)], NOW)
    lease = claimed(ledger)
    number, _ = begun(ledger, lease)
    follow = order(reason=Reason.REGRESSION)
    ledger.queue.discard(lease, number, "It confirmed nothing.", NOW + MINUTE, {HITS: 1}, follow=follow)
    row = verification(ledger, number)
    assert ("abandoned", None, "It confirmed nothing.") == (row["state"], row["verdict"], row["sentence"])
    assert {HITS: 1} == tally(ledger)
    following = claimed(ledger, now=NOW + MINUTE).task
    assert (follow, NOW, 0) == (following.order, following.created, following.tries)
    assert following.id != lease.task.id


def test_our_failure_and_a_stop_are_told_apart(ledger: Ledger) -> None:
    """Only our failure is a try and counts as one; a stopped task keeps its place."""
    ledger.queue.add([order(), order("other")], NOW)
    for counts, verdict in ((False, None), (True, Verdict.INFRA_ERROR.value)):
        lease = claimed(ledger)
        assert "idna" == lease.task.order.name
        number, _ = begun(ledger, lease)
        ledger.queue.put_back(lease, number, None, NOW, not_before=None, counts=counts)
        assert ("abandoned", verdict) == tuple(verification(ledger, number)[key] for key in ("state", "verdict"))
    assert ["other", "idna"] == names(ledger)


def test_giving_up_ends_a_task(ledger: Ledger) -> None:
    """It is gone, the reason is kept, and it can be asked for again."""
    ledger.queue.add([order()], NOW)
    lease = claimed(ledger)
    number, _ = begun(ledger, lease)
    ledger.queue.give_up(lease, number, "The disk is full.", NOW)
    row = verification(ledger, number)
    assert ("abandoned", "infra-error", "The disk is full.") == (row["state"], row["verdict"], row["sentence"])
    assert ledger.queue.claim("a", NOW, 60) is None
    assert 1 == ledger.queue.add([order()], NOW)


@pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS)
@pytest.mark.parametrize("more", [{"tier": Tier.FULL}, {"check": Check.ENVIRONMENT}, {"sha256": digest("other bytes")}])
def test_what_is_asked_while_somebody_is_at_it_is_not_lost(
    ledger: Ledger, more: dict[str, Any], end: Callable[[Ledger, Lease, int, Report], None]
) -> None:
    """A more thorough look, or one at other bytes, waits until the running one has ended; however it ends."""
    ledger.queue.add([order(tier=Tier.QUICK)], NOW)
    lease = claimed(ledger)
    assert 0 == ledger.queue.add([order(**({"tier": Tier.QUICK} | more))], NOW)
    assert ledger.queue.claim("b", NOW, 60) is None
    end(ledger, lease, *begun(ledger, lease))
    again = claimed(ledger).task
    assert (order(**({"tier": Tier.QUICK} | more)), 0) == (again.order, again.tries)


def test_what_the_running_one_answers_is_not_done_twice(ledger: Ledger) -> None:
    """The same order, or a more urgent one, for a file that somebody is at is answered by that."""
    ledger.queue.add([order()], NOW)
    lease = claimed(ledger)
    ledger.queue.add([order(reason=Reason.ASKED, tier=Tier.QUICK)], NOW)
    ledger.queue.complete(lease, *begun(ledger, lease), {})
    assert ledger.queue.claim("a", NOW, 60) is None


def test_asking_by_hand_ends_a_wait(ledger: Ledger) -> None:
    """Somebody who asks does not wait for a retry; a watch that lists the file again does."""
    ledger.queue.add([order()], NOW)
    ledger.queue.put_back(claimed(ledger), None, "Disk.", NOW, not_before=NOW + 60 * MINUTE, counts=True)
    ledger.queue.add([order()], NOW)
    assert ledger.queue.claim("a", NOW, 60) is None
    ledger.queue.add([order(reason=Reason.ASKED)], NOW)
    task = claimed(ledger).task
    assert (Reason.ASKED, 0) == (task.order.reason, task.tries)


def test_the_work_of_an_owner_who_is_gone_is_released(ledger: Ledger, open_ledger: OpenLedger) -> None:
    """At once, all of it, and nobody else's; what it was verifying is abandoned."""
    ledger.queue.add([order("one"), order("two"), order("three")], NOW)
    gone = open_ledger()
    held = [claimed(gone), claimed(gone), claimed(ledger, "b")]
    numbers = [begun(gone, held[0])[0], begun(ledger, held[2])[0]]
    gone.close()
    assert {"a", "b"} == ledger.queue.owners()
    assert 2 == ledger.queue.release("a", NOW)
    assert 0 == ledger.queue.release("a", NOW)
    assert [False, False, True] == [ledger.queue.holds(each) for each in held]
    assert ["abandoned", "running"] == [verification(ledger, each)["state"] for each in numbers]
    assert verification(ledger, numbers[0])["verdict"] is None
    assert [] == names(ledger)
    assert ["one", "two"] == names(ledger, NOW + SECOND)


def test_the_state_shows_every_task_once(ledger: Ledger) -> None:
    """Running, waiting and delayed tasks, with how long the oldest has been waiting for somebody."""
    later = NOW + 10 * MINUTE
    ledger.queue.add([order("runs", watch="a"), order("fails", watch="a")], NOW)
    runs, fails = claimed(ledger), claimed(ledger)
    ledger.queue.put_back(fails, None, None, NOW, not_before=later, counts=True)
    ledger.queue.add([order("hand", reason=Reason.ASKED), order("new", watch="b")], NOW + MINUTE / 2)
    state = ledger.queue.state(NOW + MINUTE / 2, upcoming=1)
    assert (2, 1) == (state.waiting, state.delayed)
    assert [(runs.task.id, "a", runs.until)] == [(each.task, each.owner, each.until) for each in state.running]
    assert ["pkg:pypi/hand@3.20"] == [each.purl for each in state.upcoming]
    assert NOW + MINUTE / 2 == state.oldest
    assert {Reason.ASKED: 1, Reason.RELEASE: 1, Reason.RETRY: 1} == state.by_reason
    assert {"a": 1, "b": 1} == state.by_watch
    state = ledger.queue.state(later)
    assert (4, 0, ()) == (state.waiting, state.delayed, state.running)
    assert NOW == state.oldest


def test_an_empty_queue_has_a_state(ledger: Ledger) -> None:
    """Nothing is nothing, not an error."""
    state = ledger.queue.state(NOW)
    assert (0, 0, (), (), None, {}, {}) == tuple(dict(state).values())


def test_many_orders_are_added_at_once(ledger: Ledger) -> None:
    """A project with 5,000 files, and again with half of them known, is one call each."""
    files = [order(filename=f"idna-3.20-{each}.whl") for each in range(5000)]
    assert 2500 == ledger.queue.add(files[::2], NOW)
    assert 2500 == ledger.queue.add(files, NOW)
    assert 5000 == ledger.queue.state(NOW).waiting
    claimed(ledger)
    assert ledger.queue.claim("b", NOW, 60) is None


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_claiming_reads_no_more_than_it_needs(ledger: Ledger) -> None:
    """The next task is the first that fits along an index: the table is neither read whole nor sorted."""
    statement = str(next_task(NOW).compile(ledger._database.engine, compile_kwargs={"literal_binds": True}))
    with ledger._database.reading() as connection:
        plan = [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")]
    assert "SCAN task USING INDEX task_next" in plan
    assert "SEARCH held USING INDEX task_lease (lease_until>?)" in " ".join(plan)
    assert not [each for each in plan if "TEMP B-TREE" in each or each.startswith("SCAN held")]


def test_a_task_that_cannot_be_read_is_a_sentence(ledger: Ledger) -> None:
    """A damaged row is named; nobody gets half an order."""
    ledger.queue.add([order()], NOW)
    with ledger._database.writing() as connection:
        connection.execute(tables.task.update().values(tier="deep"))
    with pytest.raises(StoreError, match=r"The task \d+ in the ledger cannot be read"):
        ledger.queue.claim("a", NOW, 60)
    assert set() == ledger.queue.owners()
