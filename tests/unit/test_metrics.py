"""What Prometheus reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rebuilder.errors import StoreError
from rebuilder.model.comparison import Level
from rebuilder.model.definition import Input, Role
from rebuilder.model.figures import Figures, ProcessFigures
from rebuilder.model.operations import Spread, spread
from rebuilder.service.metrics import scrape
from rebuilder.service.worker import tallies
from rebuilder.store.ledger import Ledger
from tests.fakes.histories import populate, release, verified
from tests.fakes.ledgers import open_ledger
from tests.fakes.verifications import NOW, artifact, attempt, definition, digest, report

PLACE = ProcessFigures(
    workers=2, workers_wanted=3, store_free_bytes=5, store_size_bytes=9, key_due=NOW + timedelta(days=9)
)


def samples(text: bytes) -> dict[str, float]:
    """Each series as it is written, to its value."""
    return {
        each.name + "".join(f"[{value}]" for _, value in sorted(each.labels.items())): each.value
        for family in text_string_to_metric_families(text.decode())
        for each in family.samples
    }


def scraped(ledger: Ledger, place: ProcessFigures = PLACE) -> dict[str, float]:
    """A scrape of a ledger."""
    return samples(scrape(lambda: ledger.statistics.figures(NOW), lambda: place))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger with a history."""
    with open_ledger(tmp_path / "ledger.sqlite") as opened:
        populate(opened)
        yield opened


def test_rates_have_their_denominators(ledger: Ledger) -> None:
    """The share, what it is of, and every other verdict beside it."""
    found = scraped(ledger)
    assert 2 / 7 == found["rebuilder_reproducible_ratio[pypi][known]"]
    assert 2 / 5 == found["rebuilder_reproducible_ratio[pypi][tested]"]
    assert (7, 5) == (found["rebuilder_known_artifacts[pypi]"], found["rebuilder_tested_artifacts[pypi]"])
    assert (1, 2, 0) == tuple(
        found[f"rebuilder_artifacts[pypi][{verdict}]"] for verdict in ("reproduced", "untested", "timed-out")
    )
    assert 7 == sum(value for name, value in found.items() if name.startswith("rebuilder_artifacts["))


def test_the_standard_set_is_there(ledger: Ledger) -> None:
    """One value of each kind, in base units."""
    expected = {
        "rebuilder_ledger_up": 1,
        "rebuilder_provenance_artifacts[pypi][verified]": 1,
        "rebuilder_provenance_artifacts[pypi][unchecked]": 4,
        "rebuilder_policy_blocked_artifacts[attestation-vanished]": 1,
        "rebuilder_stage_seconds[0.95][attestations]": 0.25,
        "rebuilder_build_wall_seconds[0.5]": 1.25,
        "rebuilder_build_cpu_seconds[0.5]": 1,
        "rebuilder_build_peak_memory_bytes[0.95]": 40 << 20,
        "rebuilder_attempts_per_artifact[0.95]": 2,
        "rebuilder_lead_time_seconds[0.5]": 7200,
        "rebuilder_lead_time_artifacts": 1,
        "rebuilder_repeated_definitions": 2,
        "rebuilder_flaky_definitions": 1,
        "rebuilder_cache_requests_total[resolution][hit]": 18,
        "rebuilder_attempt_inputs_total[incomplete]": 7,
        "rebuilder_verifications_total[verdict]": 6,
        "rebuilder_verifications_total[infra-error]": 1,
        "rebuilder_queue_tasks[retry][waiting]": 1,
        "rebuilder_queue_tasks[asked][running]": 1,
        "rebuilder_queue_oldest_seconds[retry]": 7200,
        "rebuilder_queue_oldest_seconds[asked]": 0,
        "rebuilder_watch_projects[failed][top]": 1,
        "rebuilder_watch_checked_timestamp_seconds[top]": NOW.timestamp(),
        "rebuilder_alarms_total[disk]": 1,
        "rebuilder_alarms_open[disk][page]": 0,
        "rebuilder_alarms_open[regression][page]": 1,
        "rebuilder_oldest_result_timestamp_seconds": (NOW - timedelta(hours=40)).timestamp(),
        "rebuilder_workers[alive]": 2,
        "rebuilder_store_free_bytes": 5,
        "rebuilder_signing_key_due_timestamp_seconds": (NOW + timedelta(days=9)).timestamp(),
    }
    found = scraped(ledger)
    assert expected == {name: found.get(name) for name in expected}


def test_counters_only_grow(ledger: Ledger) -> None:
    """Verifying the same file again adds; nothing is taken away."""
    before = scraped(ledger)
    of = release("idna", "3.18")
    verified(ledger, report(of, attempt(of, Level.IDENTICAL)), {"resolution": (0, 1)})
    after = scraped(ledger)
    counters = {name for name in before if "_total" in name}
    assert all(after[name] >= before[name] for name in counters)
    grown = {name for name in counters if after[name] > before[name]}
    assert {
        "rebuilder_verifications_total[verdict]",
        "rebuilder_cache_requests_total[resolution][miss]",
        "rebuilder_attempt_inputs_total[incomplete]",
    } == grown


def test_a_ledger_that_is_away_is_a_metric() -> None:
    """An alert can be made of it; what the process sees itself is told all the same."""

    def away() -> Figures:
        raise StoreError("The ledger is locked.")

    found = samples(scrape(away, lambda: PLACE))
    assert (0, 3) == (found["rebuilder_ledger_up"], found["rebuilder_workers[wanted]"])
    assert not any(name.startswith("rebuilder_artifacts") for name in found)


def test_what_is_not_known_is_left_out(tmp_path: Path) -> None:
    """An empty ledger on an unknown machine gives no made-up zeroes."""
    with Ledger.open(tmp_path / "empty.sqlite") as empty:
        found = scraped(empty, ProcessFigures())
    for name in (
        "rebuilder_workers",
        "rebuilder_store",
        "rebuilder_signing",
        "rebuilder_newest",
        "rebuilder_build_wall",
    ):
        assert not any(each.startswith(name) for each in found), name
    assert 0 == found["rebuilder_verifications_total[verdict]"]


def test_every_metric_has_a_sentence_and_a_unit(ledger: Ledger) -> None:
    """Help texts are sentences; names follow Prometheus' conventions."""
    text = scrape(lambda: ledger.statistics.figures(NOW), lambda: PLACE)
    families = [*text_string_to_metric_families(text.decode())]
    assert families
    for family in families:
        assert re.fullmatch(r"[A-Z0-9].*\.", family.documentation), family.name
        assert re.fullmatch(r"rebuilder_[a-z_]+", family.name)
        assert not re.search(r"_(ms|millis|minutes|hours|kb|mb|percent)\b", family.name)


def test_hostile_names_stay_in_their_labels(ledger: Ledger) -> None:
    """A label from a settings file cannot add a line."""
    verified(
        ledger,
        report(release("idna", "9"), attempt(release("idna", "9"), None)),
        {'x"}\nrebuilder_ledger_up 0\n#' * 9: (1, 0)},
    )
    assert 1 == scraped(ledger)["rebuilder_ledger_up"]


def test_tallies_of_a_report() -> None:
    """Cache hits by kind, and attempts by what their bill of materials lacks; zeroes are left out."""
    of = artifact()
    lacking = attempt(of, Level.IDENTICAL)
    tool = Input(
        role=Role.BUILD_TOOL,
        name="uv",
        sha256=digest("uv"),
        path="/tools/uv",
        version="0.9.9",
        uri="pkg:pypi/uv@0.9.9",
    )
    source = Input(role=Role.SOURCE, name="x.tar.gz", sha256=digest("x"), path="/inputs/x.tar.gz")
    made = Input(role=Role.PARAMETERS, name="times.json", sha256=digest("t"), path="/inputs/times.json")
    hypothesis = lacking.hypothesis.replace(definition=definition(of, inputs=(source, tool, made)))
    whole = lacking.replace(hypothesis=hypothesis)
    counted = tallies(report(of, lacking, whole, whole), {"http": (2, 0), "git": (0, 0), "k" * 99: (0, 1)})
    assert {
        ("cache", "http:hit"): 2,
        ("cache", "k" * 50 + ":miss"): 1,
        ("inputs", "incomplete"): 1,
        ("inputs", "complete"): 2,
    } == counted
    nowhere = hypothesis.replace(definition=definition(of, inputs=(source,), source=None))
    assert {("inputs", "incomplete"): 1} == tallies(report(of, whole.replace(hypothesis=nowhere)), {})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        ([3.0], Spread(count=1, median=3, p95=3)),
        ([2.0, 1.0], Spread(count=2, median=1, p95=2)),
        (list(range(1, 101)), Spread(count=100, median=50, p95=95)),
    ],
)
def test_spread_is_by_nearest_rank(values: list[float], expected: Spread | None) -> None:
    """Each figure is a value that occurred."""
    assert expected == spread(values)
