"""The ledger, on every database: what goes in comes out, and nothing that was pinned ever changes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest

from rebuilder.errors import StoreError
from rebuilder.model.alarm import Alarm, AlarmKind
from rebuilder.model.artifact import PinResult
from rebuilder.model.comparison import Level
from rebuilder.model.decision import Decision
from rebuilder.model.evidence import Obstacle
from rebuilder.model.provenance import Forge, RememberedPublisher
from rebuilder.model.report import Report, SignedReport, report_document, summarise
from rebuilder.model.value import Sha256
from rebuilder.model.verdict import Kind, Verdict
from rebuilder.store.ledger import Ledger
from rebuilder.store.ledger.liveness import process_of
from tests.contract.conftest import OpenLedger
from tests.fakes.verifications import NOW, artifact, attempt, digest, report, signed

LATER = NOW + timedelta(hours=1)


def store(ledger: Ledger, done: Report) -> None:
    """Take a report through the ledger as the pipeline does."""
    number = ledger.begin(done.artifact, done.started)
    for ordinal, each in enumerate(done.attempts):
        ledger.add_attempt(number, ordinal, each)
    ledger.finish(number, signed(done))


def kept(done: Report) -> SignedReport:
    """What the ledger gives back of it: the report's bytes too, since the statement names their digest."""
    return signed(done).replace(stored=report_document(done))


def at(done: Report, when: datetime) -> Report:
    """The same report, finished at another time."""
    return done.replace(finished=when)


def test_first_sight_is_pinned_once(ledger: Ledger) -> None:
    """The same bytes again are known, and nothing to worry about."""
    assert PinResult(first_seen=True) == ledger.pin(artifact(), NOW)
    assert PinResult(first_seen=False) == ledger.pin(artifact(), LATER)


def test_other_bytes_under_a_known_name_keep_both(ledger: Ledger) -> None:
    """A changed digest is told with what was there before, on every later look too."""
    changed = artifact(sha256=digest("changed"))
    first = artifact()
    ledger.pin(first, NOW)
    earlier = (Sha256(first.sha256),)
    assert PinResult(first_seen=True, earlier=earlier) == ledger.pin(changed, LATER)
    assert PinResult(first_seen=False, earlier=earlier) == ledger.pin(changed, LATER)
    assert PinResult(first_seen=False) == ledger.pin(first, LATER)


def test_beginning_pins_too(ledger: Ledger) -> None:
    """No verification is of bytes that are not pinned."""
    ledger.begin(artifact(), NOW)
    assert PinResult(first_seen=False) == ledger.pin(artifact(), NOW)


def test_alarms_stay_and_do_not_repeat(ledger: Ledger) -> None:
    """One alarm raised every day is one alarm, with the time it was first raised."""
    alarm = Alarm(
        kind=AlarmKind.DIGEST_CHANGED,
        purl="pkg:pypi/idna@3.20",
        filename="idna.whl",
        sentence="Ü\u2603<b> changed.",
        raised=NOW,
    )
    other = alarm.replace(purl="pkg:pypi/other@1", raised=LATER)
    assert ledger.raise_alarm(alarm)
    assert not ledger.raise_alarm(alarm.replace(raised=LATER))
    assert ledger.raise_alarm(other)
    assert [other, alarm] == ledger.alarms()
    assert [alarm] == ledger.alarms("pkg:pypi/idna@3.20")


def test_a_text_with_nul_is_kept(ledger: Ledger) -> None:
    """A hostile name stops nothing; a database without NUL keeps a character that stands for it."""
    sentence = "before\0after"
    alarm = Alarm(kind=AlarmKind.DIGEST_CHANGED, purl="pkg:pypi/x@1", filename="\0.whl", sentence=sentence, raised=NOW)
    assert ledger.raise_alarm(alarm)
    assert not ledger.raise_alarm(alarm)
    kept = ledger.alarms()[0]
    assert kept.sentence in {sentence, sentence.replace("\0", "\ufffd")}


def test_a_finished_verification_comes_back_whole(ledger: Ledger) -> None:
    """Report, envelopes and summary are what was stored."""
    done = report(artifact(), attempt(artifact(), None), attempt(artifact(), Level.IDENTICAL, umask="0002"))
    store(ledger, done)
    assert [summarise(done)] == ledger.latest()
    assert kept(done) == ledger.signed_report(done.artifact.sha256)
    assert kept(done) == ledger.signed_report(done.artifact.sha256, done.artifact.filename)
    assert kept(done) == ledger.signed_report(summarise(done))
    assert ledger.signed_report(done.artifact.sha256, "other.whl") is None
    assert ledger.signed_report(digest("nothing")) is None


def test_attempts_are_kept_as_they_end(ledger: Ledger) -> None:
    """What was tried is there before the verification ends, and whole."""
    number = ledger.begin(artifact(), NOW)
    tried = [attempt(artifact(), None), attempt(artifact(), Level.EQUIVALENT, umask="0077")]
    for ordinal, each in enumerate(tried):
        ledger.add_attempt(number, ordinal, each)
    assert tried == list(ledger.recorded(number).attempts)
    assert [] == ledger.latest()


def test_latest_is_one_row_per_artifact_newest_first(ledger: Ledger) -> None:
    """Verifying again replaces the row in the index, not the history."""
    idna, other = artifact(), artifact("other", "1.0")
    failed, passed = report(idna, attempt(idna, None)), report(idna, attempt(idna, Level.IDENTICAL))
    differs = report(other, attempt(other, Level.DIFFERENT), attempt(other, Level.DIFFERENT, repeat=True))
    for done in (failed, at(differs, LATER), at(passed, LATER + timedelta(hours=1))):
        store(ledger, done)
    verdicts = [Verdict.REPRODUCED, Verdict.DIFFERS]
    assert verdicts == [each.verdict for each in ledger.latest()]
    assert Kind.STABLE == ledger.latest()[1].kind
    first = summarise(failed)
    assert [Verdict.REPRODUCED, Verdict.BUILD_FAILED] == [each.verdict for each in ledger.history("pypi", "idna")]
    assert kept(failed) == ledger.signed_report(first)


def test_history_covers_all_releases_of_a_project(ledger: Ledger) -> None:
    """The releases before are the signal that a difference is news."""
    for hour, version in enumerate(("3.18", "3.19", "3.20")):
        of = artifact(version=version, sha256=digest(version))
        store(ledger, at(report(of, attempt(of, Level.IDENTICAL)), NOW + timedelta(hours=hour)))
    assert ["3.20", "3.19", "3.18"] == [each.version for each in ledger.history("pypi", "idna")]
    assert [] == ledger.history("npm", "idna")


def test_counts_show_every_verdict(ledger: Ledger) -> None:
    """No hidden rows: what never happened is counted as zero; our own faults are no verdict."""
    obstacle = Obstacle(verdict=Verdict.UNSUPPORTED, sentence="A platform wheel.")
    idna, numpy = artifact(), artifact("numpy", "2.0")
    for done in (report(idna, attempt(idna, None)), report(idna, attempt(idna, Level.IDENTICAL))):
        store(ledger, done)
    store(ledger, report(numpy, obstacle=obstacle))
    ledger.fail(ledger.begin(artifact("broken", "1"), NOW), "The disk is full.", NOW)
    expected = {verdict: 0 for verdict in Verdict if verdict is not Verdict.INFRA_ERROR}
    expected |= {Verdict.REPRODUCED: 1, Verdict.UNSUPPORTED: 1}
    assert expected == ledger.statistics.operations(NOW).current
    assert (2, 1) == (ledger.statistics.standing(NOW).tested, ledger.statistics.standing(NOW).untested)


def test_our_own_fault_is_never_a_verdict(ledger: Ledger) -> None:
    """``infra-error`` is refused, and nothing of it is stored."""
    done = report(artifact())
    fault = done.replace(decision=Decision(verdict=Verdict.INFRA_ERROR, sentence="Disk."))
    number = ledger.begin(artifact(), NOW)
    with pytest.raises(ValueError, match="infra-error"):
        ledger.finish(number, signed(fault))
    assert [] == ledger.latest()


def test_a_failed_verification_counts_nowhere(ledger: Ledger) -> None:
    """What failed on our side leaves its attempts, and neither row nor report."""
    number = ledger.begin(artifact(), NOW)
    ledger.add_attempt(number, 0, attempt(artifact(), None))
    ledger.fail(number, "The disk is full.", NOW)
    assert 1 == len(list(ledger.recorded(number).attempts))
    assert [] == ledger.latest() + ledger.history("pypi", "idna")


def test_finishing_what_was_never_begun(ledger: Ledger) -> None:
    """A number that is unknown is a sentence, and stores nothing."""
    with pytest.raises(StoreError, match="no verification 7"):
        ledger.finish(7, signed(report(artifact())))
    assert [] == ledger.latest()


def test_times_need_a_zone(ledger: Ledger) -> None:
    """A local time would be a guess."""
    with pytest.raises(Exception, match="no time zone"):
        ledger.pin(artifact(), NOW.replace(tzinfo=None))


def test_times_in_another_zone_are_the_same_moment(ledger: Ledger) -> None:
    """Whatever zone a time comes in, it is stored and given back in UTC."""
    done = report(
        artifact(), attempt(artifact(), Level.IDENTICAL), finished=NOW.astimezone(timezone(timedelta(hours=9)))
    )
    store(ledger, done)
    assert NOW == ledger.latest()[0].finished
    assert timedelta(0) == ledger.latest()[0].finished.utcoffset()


def test_the_cache_keeps_by_inputs(ledger: Ledger) -> None:
    """The order of keys does not matter; other inputs and other kinds are other entries."""
    inputs = {"requires": ["setuptools>=61"], "python": "3.13"}
    assert ledger.cache_get("resolution", inputs) is None
    ledger.cache_put("resolution", inputs, {"pins": [1, None]}, NOW)
    value = {"pins": [1, None]}
    assert value == ledger.cache_get("resolution", dict(reversed(inputs.items())))
    assert ledger.cache_get("resolution", inputs | {"python": "3.11"}) is None
    assert ledger.cache_get("requires", inputs) is None
    ledger.cache_put("resolution", inputs, [], LATER)
    assert [] == ledger.cache_get("resolution", inputs)


def test_a_running_verification_of_this_process_is_left_alone(open_ledger: OpenLedger) -> None:
    """Two at once on one artifact are fine: neither is taken for dead, even through another opened ledger."""
    one, two = open_ledger(), open_ledger()
    numbers = [one.begin(artifact(), NOW), two.begin(artifact(), NOW), one.begin(artifact(), NOW)]
    assert 3 == len(set(numbers))
    assert [True] * 3 == [two._database.liveness.alive(process_of(each)) for each in numbers]
    done = report(artifact(), attempt(artifact(), Level.IDENTICAL))
    for ledger, number in zip((one, two, one), numbers, strict=True):
        ledger.finish(number, signed(done))
    assert 3 == len(one.history("pypi", "idna"))
    assert [False] * 3 == [two._database.liveness.alive(process_of(each)) for each in numbers]


def test_a_closed_ledger_has_given_up_its_claims(open_ledger: OpenLedger) -> None:
    """What was running when a ledger went away is abandoned by whoever begins next; the late one is told."""
    gone, here = open_ledger(), open_ledger()
    first = gone.begin(artifact(), NOW)
    gone.add_attempt(first, 0, attempt(artifact(), None))
    gone.close()
    assert not here._database.liveness.alive(process_of(first))
    here.begin(artifact(), LATER)
    with pytest.raises(StoreError, match=f"no verification {first} that is still going on"):
        here.finish(first, signed(report(artifact(), attempt(artifact(), None))))
    assert [attempt(artifact(), None)] == list(here.recorded(first).attempts)


def test_one_publisher_wins(open_ledger: OpenLedger) -> None:
    """Many at once, each with a ledger of its own: all are told the same publisher, and it is kept."""
    ledgers = [open_ledger() for _ in range(8)]

    def remember(number: int) -> RememberedPublisher:
        other = publisher().replace(repository=f"https://example.org/o/{number}")
        return ledgers[number].remember_publisher(other)

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(remember, range(8)))
    assert [ledgers[0].remembered_publisher("pypi", "idna")] * 8 == told


def test_writers_wait_for_each_other(open_ledger: OpenLedger) -> None:
    """Of different bytes pinned at the same moment, all but the first are told of those before."""
    ledgers = [open_ledger() for _ in range(8)]

    def pin(number: int) -> PinResult:
        return ledgers[number].pin(artifact(sha256=digest(str(number))), NOW)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(pin, range(8)))
    assert list(range(8)) == sorted(len(each.earlier) for each in results)
    assert all(each.first_seen for each in results)


def publisher() -> RememberedPublisher:
    """A publisher with every column that matters here."""
    return RememberedPublisher(
        ecosystem="pypi",
        name="idna",
        forge=Forge.GITHUB,
        issuer="https://example.org",
        account=None,
        repository="https://example.org/o/r",
        repository_id="7",
        workflow="release.yml",
        environment=None,
        purl="pkg:pypi/idna@3.20",
        filename="idna-3.20-py3-none-any.whl",
        sha256=digest("idna"),
        uploaded=None,
        remembered=NOW,
    )


def test_a_call_whose_answer_was_lost_can_be_repeated(ledger: Ledger) -> None:
    """Nothing is there twice; the same call with other content is refused."""
    done = report(artifact(), attempt(artifact(), None))
    other = report(artifact(), attempt(artifact(), Level.IDENTICAL))
    number = ledger.begin(artifact(), NOW)
    for _ in range(2):
        ledger.add_attempt(number, 0, done.attempts[0])
    for _ in range(2):
        ledger.examined(number, done)
    with pytest.raises(StoreError):
        ledger.examined(number, other)
    for _ in range(2):
        ledger.finish(number, signed(done))
    with pytest.raises(StoreError):
        ledger.finish(number, signed(other))
    assert [summarise(done)] == ledger.history("pypi", "idna")
    assert list(done.attempts) == list(ledger.recorded(number).attempts)
