"""Looking again at what was verified before, in the real sandbox and against a registry that may have changed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from rebuilder.config import Config
from rebuilder.ecosystems.pypi.subject import PyPIStep
from rebuilder.errors import NoGuestError, StoreError
from rebuilder.model.alarm import AlarmKind
from rebuilder.model.attempt import Run
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.report import Report, SignedReport
from rebuilder.model.verdict import Kind, Verdict
from rebuilder.model.work import Check, Reason
from rebuilder.stopwatch import WatchedEnvironments
from rebuilder.verification.coordinator import Coordinator
from rebuilder.verification.recheck import reexamine, with_fresh_environments
from rebuilder.wiring import Wired, wire, wire_signer
from tests.fakes.command import Installation
from tests.fakes.environments import FakeEnvironments
from tests.fakes.orders import order_for
from tests.fakes.progress import NoDisplay
from tests.fakes.projects import EPOCH, Distribution, build, make_sdist, make_wheel
from tests.fakes.registry import Registry


def verified(registry: Registry, config: Config, *files: Distribution) -> SignedReport:
    """Publish a release of the project ``one`` and verify it with the command."""
    registry.publish(*files)
    assert registry.url == config.index_url
    answer = Installation(config.store.parent, registry.url).verify("pypi:one==1.0")
    assert len(answer.lines) == 1, answer.words
    with wire(config, NoDisplay()) as wired:
        [summary] = wired.ledger.latest()
        signed = wired.ledger.signed_report(summary)
    assert signed is not None
    return signed


def looked_at_again(parts: Wired, before: SignedReport) -> Report:
    """The new report, as a worker would get it."""
    order = order_for(before.report.artifact, check=Check.INPUTS, reason=Reason.RECHECK)
    coordinator = Coordinator(parts)
    verification = coordinator.begin(before.report.evidence, order=order)
    parts.stopwatch.begin("again")
    tried = coordinator._attempts(verification, before.report.evidence)
    report = reexamine(parts, before, tried, verification.started)
    assert len(report.attempts) == len(parts.journal.recorded(verification.number).attempts)
    return report


def test_confirmed_again_from_stored_inputs(registry: Registry, config: Config, parts: Wired) -> None:
    """One attempt of the definition that confirmed it, on its environment; nothing is asked but the published bytes."""
    sdist = make_sdist("one", "1.0")
    wheel = build(sdist, epoch=EPOCH)
    before = verified(registry, config, sdist, wheel)
    assert Verdict.REPRODUCED is before.report.decision.verdict
    asked = len(registry.requests)
    report = looked_at_again(parts, before)
    assert [f"/files/one/{each.filename}" for each in (wheel, sdist)] == [
        each.path for each in registry.requests[asked:]
    ]
    assert (Verdict.REPRODUCED, 0) == (report.decision.verdict, report.decision.attempt)
    [attempt] = report.attempts
    assert before.report.decision.attempt is not None
    confirmed = before.report.attempts[before.report.decision.attempt]
    assert confirmed.hypothesis.definition == attempt.hypothesis.definition
    day = before.report.finished.strftime("%Y-%m-%d")
    sentence = f"The definition of the verification of {day}, run again from the stored inputs."
    assert sentence == attempt.hypothesis.sentence
    assert (before.report.evidence, before.report.provenance) == (report.evidence, report.provenance)
    assert before.report.toolchains[:1] == report.toolchains
    assert () == report.alarms
    assert report.started > before.report.finished
    signed = wire_signer(config, parts).sign(report)
    assert report == signed.report


def test_changed_bytes_are_an_alarm(registry: Registry, config: Config, parts: Wired) -> None:
    """The index says what it said, but the address gives other bytes: the alarm names both digests."""
    sdist = make_sdist("one", "1.0")
    wheel = build(sdist, epoch=EPOCH)
    before = verified(registry, config, sdist, wheel)
    other = build(sdist, epoch=EPOCH + 60)
    registry.serve(f"/files/one/{wheel.filename}", other.data)
    report = looked_at_again(parts, before)
    [alarm] = report.alarms
    assert (AlarmKind.DIGEST_CHANGED, wheel.filename) == (alarm.kind, alarm.filename)
    assert wheel.sha256 in alarm.sentence
    assert other.sha256 in alarm.sentence
    assert [alarm] == parts.ledger.alarms(report.artifact.purl)
    assert Verdict.REPRODUCED is report.decision.verdict


def test_gone_bytes_are_a_note(registry: Registry, config: Config, parts: Wired) -> None:
    """A file that was taken back is confirmed from what is stored; the note is there once, and goes when it is back."""
    sdist = make_sdist("one", "1.0")
    wheel = build(sdist, epoch=EPOCH)
    before = verified(registry, config, sdist, wheel)
    registry.remove(f"/files/one/{wheel.filename}")
    report = looked_at_again(parts, before)
    [note] = report.evidence.notes
    assert note.startswith(f"{wheel.filename} is no longer at its address")
    assert Verdict.REPRODUCED is report.decision.verdict
    once_more = looked_at_again(parts, before.replace(report=report))
    assert (note,) == once_more.evidence.notes
    registry.serve(f"/files/one/{wheel.filename}", wheel.data)
    back = looked_at_again(parts, before.replace(report=once_more))
    assert () == back.evidence.notes


def test_lost_input_is_our_trouble(registry: Registry, config: Config, parts: Wired) -> None:
    """What our own store lost says nothing about the artifact."""
    sdist = make_sdist("one", "1.0")
    before = verified(registry, config, sdist, build(sdist, epoch=EPOCH))
    parts.blobs.path(sdist.sha256).unlink()
    with pytest.raises(StoreError):
        looked_at_again(parts, before)


def test_what_differed_is_repeated(registry: Registry, config: Config, parts: Wired) -> None:
    """A difference that is still there is built once more, so that the page keeps saying whether it is stable."""
    sdist = make_sdist("one", "1.0")
    planted = make_wheel("one", "1.0", {"one/__init__.py": "import evil\n"})
    before = verified(registry, config, sdist, planted)
    assert Verdict.DIFFERS is before.report.decision.verdict
    report = looked_at_again(parts, before)
    assert (Verdict.DIFFERS, Kind.STABLE) == (report.decision.verdict, report.decision.kind)
    assert [False, True] == [each.repeat for each in report.attempts]
    assert report.attempts[0].comparison is not None
    assert report.attempts[0].comparison.diffoscope is not None


def test_steps_that_were_not_tried_again_keep_their_verdict(registry: Registry, config: Config, parts: Wired) -> None:
    """The trail points at the new attempt only; where the other attempts are is said once."""
    sdist = make_sdist("one", "1.0")
    wheel = build(sdist, epoch=EPOCH)
    before = verified(registry, config, sdist, wheel)
    decision = before.report.decision
    trail = parts.ecosystems["pypi"].steps(before.report.evidence)
    attempts = {PyPIStep.SDIST_TO_WHEEL: (decision.attempt or 0,), PyPIStep.COMMIT_TO_WHEEL: (5,)}
    steps = tuple(
        each.replace(decision=decision, attempts=attempts[PyPIStep(each.name)])
        for each in trail.steps
        if each.name in attempts
    )
    report = before.report.replace(trail=trail.replace(steps=steps))
    for _ in range(2):
        report = looked_at_again(parts, before.replace(report=report))
        assert report.trail is not None
        assert [(0,), ()] == [each.attempts for each in report.trail.steps]
        assert [0, None] == [each.decision and each.decision.attempt for each in report.trail.steps]
        assert [Verdict.REPRODUCED] * 2 == [each.verdict for each in report.trail.steps]
        assert 1 == len(report.trail.notes)


def test_a_clock_that_this_machine_has_not(registry: Registry, config: Config, parts: Wired) -> None:
    """A verdict that rests on a guest stands where none runs, and the report says that its build was not repeated."""
    sdist = make_sdist("one", "1.0")
    before = verified(registry, config, sdist, build(sdist, epoch=EPOCH)).report

    def no_guest(_: BuildDefinition) -> Run:
        raise NoGuestError("its kernel is too old")

    without = Coordinator(dataclasses.replace(parts, run=no_guest))
    verification = without.begin(before.evidence, order=order_for(before.artifact, check=Check.INPUTS))
    after = without.examine(verification, SignedReport(report=before, vsa="", key_id=""))
    assert (Verdict.REPRODUCED, before.attempts) == (after.decision.verdict, after.attempts)
    assert after.clock_not_tried
    assert any(f"{before.finished:%Y-%m-%d}" in each for each in after.remarks)


def test_nothing_built_before_nothing_built_now(registry: Registry, config: Config, parts: Wired) -> None:
    """A file that cannot be rebuilt is only fetched again; its verdict stays."""
    wheel = make_wheel("one", "1.0", tag="cp311-cp311-linux_x86_64")
    before = verified(registry, config, wheel)
    registry.serve(f"/files/one/{wheel.filename}", b"other")
    report = looked_at_again(parts, before)
    assert ((), before.report.decision) == (report.attempts, report.decision)
    assert [AlarmKind.DIGEST_CHANGED] == [each.kind for each in report.alarms]


def test_fresh_environments(registry: Registry, config: Config, parts: Wired, tmp_path: Path) -> None:
    """Those the report names are made anew, and no others."""
    sdist = make_sdist("one", "1.0")
    before = verified(registry, config, sdist, build(sdist, epoch=EPOCH))
    fake = FakeEnvironments(tmp_path / "fake")
    [name] = {each.name for each in before.report.toolchains}
    fake.pythons = {name: "3.13"}
    earlier = fake.get(name)
    with_fresh_environments(
        dataclasses.replace(parts, environments=WatchedEnvironments(fake, parts.stopwatch)), before.report
    )
    assert earlier.sha256 != fake.get(name).sha256
