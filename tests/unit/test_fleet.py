"""Runs on other machines: what counts, what is refused, and that nothing is lost or done twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rebuilder.compare.comparer import Comparer
from rebuilder.errors import BuildEnvironmentError, SandboxFaultError, StoreError, UnavailableError
from rebuilder.fleet import objects
from rebuilder.fleet.double_runs import DoubleRuns
from rebuilder.fleet.ordering import rank, wanted
from rebuilder.model.attempt import Outcome, Run
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.fleet import RunnerState
from rebuilder.model.value import sha256_hex
from rebuilder.sandbox.protocol import Runner
from rebuilder.store.object_storage import Listed, ObjectStorage
from rebuilder.store.protocol import Blobs
from rebuilder.store.remote_blobs import key_of, outputs_of
from tests.fakes.fleet import BUILD, OTHER, QUEUE, Liar, Machine, World, built, world
from tests.fakes.programs import InProcessPrograms
from tests.fakes.projects import make_wheel


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[World]:
    """A fleet without runners."""
    with world(tmp_path) as made:
        yield made


def test_a_run_travels(fleet: World) -> None:
    """Outputs and log are here afterwards; the time is the coordinator's; nothing stays in the store but blobs."""
    one = fleet.add(Machine, "one")
    fleet.clock.time = datetime(2026, 11, 3, tzinfo=UTC)
    run = fleet.fleet(BUILD)
    assert b"built" == fleet.blobs.read(run.outputs[0].sha256)
    assert b"a log\n" == fleet.blobs.read(run.log_sha256)
    assert fleet.clock.time == run.started
    assert 1 == len(one.ran)
    [accepted] = fleet.ledger.run_orders.accepted(one.key.key_id, fleet.clock.time - timedelta(days=1))
    assert (BUILD.digest, run.log_sha256) == (accepted.definition_sha256, accepted.log_sha256)
    assert {} == fleet.storage.below("orders", 10) | fleet.storage.below("answers", 10)
    assert [] == fleet.alarms()


def test_failures_travel(fleet: World) -> None:
    """A build that fails is a result like any other."""
    fleet.add(Machine, "one", build=lambda _, blobs: built(blobs, outcome=Outcome.BUILD_FAILED))
    assert Outcome.BUILD_FAILED is fleet.fleet(BUILD).outcome


def honest_but(**changes: object) -> object:
    """A lie about an order, signed by the runner that took it."""

    def lie(liar: Liar, nonce: str, definition: str) -> None:
        liar.put_answer(nonce, liar.honest(nonce, definition).replace(**changes))

    return lie


def of_run(**changes: object) -> object:
    """A lie about the run itself."""

    def lie(liar: Liar, nonce: str, definition: str) -> None:
        answer = liar.honest(nonce, definition)
        assert answer.run is not None
        liar.put_answer(nonce, answer.replace(run=answer.run.replace(**changes)))

    return lie


def of_output(**changes: object) -> object:
    """A lie about what was built."""

    def lie(liar: Liar, nonce: str, definition: str) -> None:
        answer = liar.honest(nonce, definition)
        assert answer.run is not None
        output = answer.run.outputs[0].replace(**changes)
        liar.put_answer(nonce, answer.replace(run=answer.run.replace(outputs=(output,))))

    return lie


def other_bytes(liar: Liar, nonce: str, definition: str) -> None:
    """What lies under the digest of the output is something else."""
    answer = liar.honest(nonce, definition)
    assert answer.run is not None
    liar.storage.put(key_of(outputs_of(liar.key.key_id), answer.run.outputs[0].sha256), b"EVIL!")
    liar.put_answer(nonce, answer)


def endless(liar: Liar, nonce: str, definition: str) -> None:
    """What lies under the digest of the output is much more than was said."""
    answer = liar.honest(nonce, definition)
    assert answer.run is not None
    liar.storage.put(key_of(outputs_of(liar.key.key_id), answer.run.outputs[0].sha256), bytes(5 << 20))
    liar.put_answer(nonce, answer)


def not_there(liar: Liar, nonce: str, definition: str) -> None:
    """An output that nobody has."""
    answer = liar.honest(nonce, definition)
    assert answer.run is not None
    liar.storage.delete(key_of(outputs_of(liar.key.key_id), answer.run.outputs[0].sha256))
    liar.put_answer(nonce, answer)


def flood(liar: Liar, nonce: str, definition: str) -> None:
    """Hundreds of answers in the names of others."""
    for number in range(300):
        liar.storage.put(f"{objects.answers(nonce)}/{number:064x}.json", b"x")
    liar.alive = False


def huge(liar: Liar, nonce: str, definition: str) -> None:
    """An answer that fills the memory of whoever reads it."""
    liar.storage.put(f"{objects.answers(nonce)}/{liar.key.key_id}.json", bytes(3 << 20))


def rubbish(liar: Liar, nonce: str, definition: str) -> None:
    """An answer that is none."""
    liar.storage.put(f"{objects.answers(nonce)}/{liar.key.key_id}.json", b'{"payload": []}')


PROVEN = {
    "another definition": honest_but(definition=OTHER),
    "another runner": honest_but(runner=OTHER),
    "a log over its limit": honest_but(log_bytes=1 << 40),
    "an output over its limit": of_output(size=1 << 40),
    "an output of another size": of_output(size=17),
    "a name with a slash": of_output(filename="../../etc/passwd"),
    "a name that is none": of_output(filename=".."),
    "completed with an error": of_run(exit_code=1),
    "failed without an error": of_run(outcome=Outcome.BUILD_FAILED),
    "timed out without a limit": of_run(outcome=Outcome.TIMED_OUT),
    "too long": of_run(wall_seconds=1e9),
    "a negative time": of_run(cpu_seconds=-1.0),
    "markup in a version": of_run(sandbox_version="bubblewrap\n\x1b[31m"),
}
OTHERWISE = {
    "another order": honest_but(nonce="ab" * 16),
    "other bytes": other_bytes,
    "endless bytes": endless,
    "no bytes": not_there,
    "a flood": flood,
    "a huge answer": huge,
    "rubbish": rubbish,
}


@pytest.mark.parametrize("name", [*PROVEN, *OTHERWISE])
def test_lies_are_refused(fleet: World, name: str) -> None:
    """None counts, an alarm is raised, and an honest runner's answer is what the verification goes on with.

    Who signed, over the nonce of the order, what contradicts it is quarantined; nobody is for what others can forge.
    """
    liar = fleet.add(Liar, "liar", lie=(PROVEN | OTHERWISE)[name])
    fleet.later(lambda: fleet.add(Machine, "honest"))
    run = fleet.fleet(BUILD)
    assert b"built" == fleet.blobs.read(run.outputs[0].sha256)
    assert [] == fleet.ledger.run_orders.accepted(liar.key.key_id, datetime(2000, 1, 1, tzinfo=UTC))
    assert 1 == len(fleet.ledger.run_orders.accepted(fleet.machines[1].key.key_id, datetime(2000, 1, 1, tzinfo=UTC)))
    assert "runner-refused" in fleet.alarms()
    assert (RunnerState.QUARANTINED if name in PROVEN else RunnerState.ACTIVE) is fleet.state(liar)
    assert not fleet.blobs.has(sha256_hex(b"EVIL!")) or name == "other bytes"


def test_replayed_answers_are_refused(fleet: World) -> None:
    """What an honest runner signed for an earlier order, shown again by another one, accuses nobody."""
    honest = fleet.add(Machine, "honest")
    fleet.fleet(BUILD)
    [before] = fleet.ledger.run_orders.accepted(honest.key.key_id, datetime(2000, 1, 1, tzinfo=UTC))
    said = before.envelope.encode()
    honest.alive = False
    thief = fleet.add(
        Liar,
        "thief",
        lie=lambda liar, nonce, _: liar.storage.put(f"{objects.answers(nonce)}/{honest.key.key_id}.json", said),
    )
    with pytest.raises(SandboxFaultError):
        fleet.fleet(BUILD)
    assert (RunnerState.ACTIVE, RunnerState.ACTIVE) == (fleet.state(honest), fleet.state(thief))
    assert {"runner-refused"} == set(fleet.alarms())
    assert 1 == len(fleet.ledger.run_orders.accepted(honest.key.key_id, datetime(2000, 1, 1, tzinfo=UTC)))


def test_strangers_and_the_revoked_do_not_count(fleet: World) -> None:
    """A key that nobody enrolled, and one whose runner was revoked while it was at it."""
    fleet.add(Machine, "stranger", enrolled=False)
    revoked = fleet.add(Machine, "revoked")
    fleet.ledger.runners.change(revoked.key.key_id, RunnerState.REVOKED, fleet.clock.now(), reason="stolen")
    with pytest.raises(UnavailableError):
        fleet.fleet(BUILD)
    assert {"runner-refused"} == set(fleet.alarms())
    assert not fleet.ledger.runners.change(revoked.key.key_id, RunnerState.ACTIVE, fleet.clock.now(), reason=None)


def test_what_a_runner_signed_in_the_name_of_another_accuses_nobody(fleet: World) -> None:
    """The signature is not the other's, so the other is innocent."""
    framed = fleet.add(Machine, "framed")
    framed.alive = False
    fleet.add(
        Liar,
        "liar",
        lie=lambda liar, nonce, sha256: liar.put_answer(nonce, liar.honest(nonce, sha256), name=framed.key.key_id),
    )
    with pytest.raises(SandboxFaultError):
        fleet.fleet(BUILD)
    assert RunnerState.ACTIVE is fleet.state(framed)


def test_a_broker_that_forgets_loses_nothing(fleet: World) -> None:
    """What nobody took and what waits nowhere is sent again; an order that was answered is done once."""
    fleet.later(fleet.broker.queues.clear, moments=0)
    fleet.later(lambda: fleet.add(Machine, "late"), moments=3)
    assert Outcome.COMPLETED is fleet.fleet(BUILD).outcome
    assert 2 == fleet.broker.sent
    assert 1 == len(fleet.machines[0].ran)


def test_whoever_serves_a_queue_is_asked_by_name(fleet: World) -> None:
    """Others may never look into it; where nobody is known to, anybody is asked."""
    fleet.add(Machine, "north")
    fleet.add(Machine, "south")
    served = fleet.fleet.answered(BUILD).runner_id
    both = {each.enrolment.id for each in fleet.machines}
    assert {served} == {fleet.fleet.another(QUEUE, ()) for _ in range(40)}
    assert both == {fleet.fleet.another("linux-arm64", ()) for _ in range(40)}
    assert both - {served} == {fleet.fleet.another(QUEUE, {served})}
    assert fleet.fleet.another(QUEUE, both) is None


@pytest.mark.parametrize("overtaken", [True, False])
def test_an_order_that_is_lost_while_others_wait(
    fleet: World, monkeypatch: pytest.MonkeyPatch, overtaken: bool
) -> None:
    """It is sent again once one that was asked for later was answered; until then it may just have to wait."""
    north = fleet.add(Machine, "north")
    monkeypatch.setattr(fleet.broker, "waiting", lambda _queue: 1)

    def another() -> None:
        later = fleet.clock.now() + timedelta(seconds=1)
        order, _ = fleet.ledger.run_orders.add("ab" * 32, QUEUE, asked_of=None, owner="fleet/second", now=later)
        assert fleet.ledger.run_orders.accept(order.nonce, north.enrolment.id, "{}", "cd" * 32, later)

    fleet.later(fleet.broker.queues.clear, moments=0)
    if overtaken:
        fleet.later(another, moments=3)
        assert Outcome.COMPLETED is fleet.fleet(BUILD).outcome
        assert (2, 1) == (fleet.broker.sent, len(north.ran))
        assert fleet.time < 1.5 * fleet.fleet.settings.lease_seconds
    else:
        with pytest.raises(UnavailableError):
            fleet.fleet(BUILD)
        assert 1 == fleet.broker.sent


@pytest.mark.parametrize(("looks", "counts"), [(5, True), (60, False)], ids=["a while", "too long"])
def test_an_s3_store_that_is_away(fleet: World, looks: int, counts: bool) -> None:
    """For less than five minutes it is waited for; after that it is our trouble, and the order is closed."""

    class Away(ObjectStorage):
        def below(self, prefix: str, most: int) -> dict[str, Listed]:
            nonlocal looks
            looks -= 1
            if looks > 0:
                raise StoreError("away")
            return super().below(prefix, most)

    one = fleet.add(Machine, "one")
    fleet.fleet.storage = Away(fleet.storage._store, "away")
    if counts:
        assert Outcome.COMPLETED is fleet.fleet(BUILD).outcome
        assert (1, 1) == (len(one.ran), fleet.broker.sent)
        return
    with pytest.raises(StoreError):
        fleet.fleet(BUILD)
    assert [] == fleet.ledger.run_orders.accepted(one.key.key_id, datetime(2000, 1, 1, tzinfo=UTC))
    assert not one.run(*one.ran[0])


def test_a_message_that_comes_twice_is_done_once(fleet: World) -> None:
    """The second one finds that nobody waits any more."""
    one = fleet.add(Machine, "one")
    fleet.fleet(BUILD)
    assert not one.run(*one.ran[0])
    assert 1 == len(fleet.ledger.run_orders.accepted(one.key.key_id, datetime(2000, 1, 1, tzinfo=UTC)))


def test_a_runner_that_dies_is_replaced(fleet: World) -> None:
    """It began and gave no sign of life for a lease: the run is ordered again, and nobody is accused."""

    def die(liar: Liar, nonce: str, _: str) -> None:
        liar.storage.put(f"{objects.answers(nonce)}/{liar.key.key_id}.begun", b"0")
        liar.alive = False

    dying = fleet.add(Liar, "dying", lie=die)
    other = fleet.add(Machine, "other")
    assert Outcome.COMPLETED is fleet.fleet(BUILD).outcome
    assert 1 == len(other.ran)
    assert (RunnerState.ACTIVE, []) == (fleet.state(dying), fleet.alarms())
    assert 60 < fleet.time < 60 * 2.5


def test_trouble_of_a_runner_is_its_own(fleet: World) -> None:
    """Another one is asked; where there is no other, the trouble is told as ours."""

    def broken(_: BuildDefinition, _blobs: Blobs) -> Run:
        raise BuildEnvironmentError("The disk is full.")

    machine = fleet.add(Machine, "broken", build=broken)
    with pytest.raises(BuildEnvironmentError, match="broken"):
        fleet.fleet(BUILD)
    fleet.add(Machine, "sound")
    assert Outcome.COMPLETED is fleet.fleet(BUILD).outcome
    assert "The disk is full." in (fleet.ledger.runners.named("broken").reason or "")
    machine.build = lambda _, blobs: built(blobs)
    fleet.machines.pop()
    assert Outcome.COMPLETED is fleet.fleet(BUILD).outcome
    assert fleet.ledger.runners.named("broken").reason is None


def test_another_process_goes_on_with_the_order(fleet: World) -> None:
    """One that waited and is no more: its order is not sent again, and the answer to it counts."""
    order, new = fleet.ledger.run_orders.add(
        BUILD.digest, QUEUE, asked_of=None, owner="fleet/gone", now=fleet.clock.now()
    )
    assert new
    fleet.ledger._database.liveness.release("fleet/gone")
    fleet.broker.send(QUEUE, order.nonce, BUILD.digest, 0)
    one = fleet.add(Machine, "one")
    fleet.coordinator("fleet/second")(BUILD)
    assert [(order.nonce, BUILD.digest)] == one.ran
    assert 1 == fleet.broker.sent


def checked(fleet: World, here: list[bytes]) -> DoubleRuns:
    """Every run is made twice; this machine would build what is listed, one after the other."""
    return double(fleet, lambda _: built(fleet.blobs, here.pop(0)))


def double(fleet: World, here: Runner) -> DoubleRuns:
    """Every run is made twice."""
    comparer = Comparer(fleet.blobs, InProcessPrograms(fleet.blobs))
    return DoubleRuns(fleet.fleet, here, 1.0, comparer, chance=lambda: 0.0)


def test_two_runners_that_agree(fleet: World) -> None:
    """Both are asked, whoever was first; nothing is raised."""
    one, two = fleet.add(Machine, "one"), fleet.add(Machine, "two")
    assert Outcome.COMPLETED is checked(fleet, [])(BUILD).outcome
    assert (1, 1, []) == (len(one.ran), len(two.ran), fleet.alarms())


def test_what_a_watch_wants_twice_is_made_twice(fleet: World) -> None:
    """Whatever the share; a runner with trouble of its own is replaced, and a build that fails confirms nothing."""
    one, two = fleet.add(Machine, "one"), fleet.add(Machine, "two")
    comparer = Comparer(fleet.blobs, InProcessPrograms(fleet.blobs))
    run = DoubleRuns(fleet.fleet, lambda _: built(fleet.blobs), 0.0, comparer)
    run(BUILD)
    assert 1 == len(one.ran) + len(two.ran)
    with wanted(0, twice=True):
        assert Outcome.COMPLETED is run(BUILD).outcome
        assert {1, 2} == {len(one.ran), len(two.ran)}
        two.alive = False
        with pytest.raises(UnavailableError, match="second runner"):
            run(BUILD)
        three = fleet.add(Machine, "three")
        assert Outcome.COMPLETED is run(BUILD).outcome
        before = len(one.ran) + len(three.ran)
        one.build = three.build = lambda _, blobs: built(blobs, outcome=Outcome.BUILD_FAILED)
        assert Outcome.BUILD_FAILED is run(BUILD).outcome
        assert before + 1 == len(one.ran) + len(three.ran)
    assert [] == fleet.alarms()


@pytest.mark.parametrize("first", ["liar", "honest"])
def test_a_liar_is_found(fleet: World, first: str) -> None:
    """Whoever lied, first or second: it stays out with an alarm, the other comes back, and what counts is true."""
    made = {}
    for name in sorted(("liar", "honest"), key=lambda each: each != first):
        content = b"EVIL!" if name == "liar" else b"built"
        made[name] = fleet.add(Machine, name, build=lambda _, blobs, content=content: built(blobs, content))
    referee = fleet.add(Machine, "referee")
    fleet.ledger.runners.change(referee.key.key_id, RunnerState.QUARANTINED, fleet.clock.now(), reason="for later")
    run = checked(fleet, [b"built", b"built"])(BUILD)
    assert sha256_hex(b"built") == run.outputs[0].sha256
    assert (RunnerState.QUARANTINED, RunnerState.ACTIVE) == (fleet.state(made["liar"]), fleet.state(made["honest"]))
    assert ["runners-disagree"] == fleet.alarms()


def test_a_third_runner_is_asked_before_this_machine(fleet: World) -> None:
    """It runs the definition twice."""
    fleet.add(Machine, "liar", build=lambda _, blobs: built(blobs, b"EVIL!"))
    fleet.add(Machine, "two")
    three = fleet.add(Machine, "three")
    run = checked(fleet, [])(BUILD)
    assert sha256_hex(b"built") == run.outputs[0].sha256
    assert [RunnerState.QUARANTINED, RunnerState.ACTIVE, RunnerState.ACTIVE] == [
        fleet.state(each) for each in fleet.machines
    ]
    assert 2 <= len(three.ran) + len(fleet.machines[1].ran)


@pytest.mark.parametrize("later", [[b"3", b"4"], [b"3", b"3"]], ids=["never the same", "the same for a while"])
def test_a_build_that_is_never_the_same_accuses_nobody(fleet: World, later: list[bytes]) -> None:
    """A publisher could empty a fleet otherwise; where no two agree, nobody is alone."""
    one = fleet.add(Machine, "one", build=lambda _, blobs: built(blobs, b"1"))
    two = fleet.add(Machine, "two", build=lambda _, blobs: built(blobs, b"2"))
    checked(fleet, later)(BUILD)
    assert (RunnerState.ACTIVE, RunnerState.ACTIVE, []) == (fleet.state(one), fleet.state(two), fleet.alarms())


def test_the_time_of_day_in_an_archive_is_no_disagreement(fleet: World) -> None:
    """Two wheels that differ in the times of their members are the same result, and nobody is asked a third time."""
    for name, day in (("one", 1), ("two", 2)):
        wheel = make_wheel("example", "1.0", time=datetime(2024, 5, day, tzinfo=UTC)).data
        fleet.add(Machine, name, build=lambda _, blobs, wheel=wheel: built(blobs, wheel, name="example.whl"))
    assert Outcome.COMPLETED is checked(fleet, [])(BUILD).outcome
    assert [RunnerState.ACTIVE] * 2 == [fleet.state(each) for each in fleet.machines]
    assert [1, 1] == [len(each.ran) for each in fleet.machines]


def test_answers_in_quarantine_are_no_alarm(fleet: World) -> None:
    """It does not know and goes on; another one is asked at once."""
    one = fleet.add(Machine, "one")
    fleet.ledger.runners.change(one.key.key_id, RunnerState.QUARANTINED, fleet.clock.now(), reason="x")
    two = fleet.add(Machine, "two")
    two.alive = False
    fleet.later(lambda: setattr(two, "alive", True))
    assert Outcome.COMPLETED is fleet.fleet(BUILD).outcome
    assert (1, 1, []) == (len(one.ran), len(two.ran), fleet.alarms())


def test_both_stay_out_while_nobody_knows(fleet: World) -> None:
    """The third run fails: nothing is decided, and nothing either says counts."""
    fleet.add(Machine, "one", build=lambda _, blobs: built(blobs, b"1"))
    fleet.add(Machine, "two", build=lambda _, blobs: built(blobs, b"2"))

    def here(_: BuildDefinition) -> Run:
        raise SandboxFaultError("No memory.")

    with pytest.raises(SandboxFaultError):
        double(fleet, here)(BUILD)
    assert [RunnerState.QUARANTINED] * 2 == [fleet.state(each) for each in fleet.machines]
    assert ["runners-disagree"] == fleet.alarms()


def test_urgent_runs_go_first() -> None:
    """What the queue of verifications knows, the broker is told: 0 to 9."""
    assert 1 == rank()
    with wanted(-9):
        assert 0 == rank()
    with wanted(80):
        assert 9 == rank()
    assert 1 == rank()
