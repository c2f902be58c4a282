"""A few releases of the bench of causes: what was planted is what is named first, and nothing else is shown."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from rebuilder.model.diagnosis import Cause, Certainty, Finding
from rebuilder.model.verdict import Verdict
from tests.bench.causes import Result, laid_out, matrix, wheel
from tests.bench.planted.catalogue import RELEASES
from tests.bench.planted.release import FAMILIES
from tests.fakes.publisher import release_of

WHEELHOUSE = Path(__file__).parents[2] / ".build" / "wheelhouse"
SOME = ("nothing-1", "archive-order-1", "extra-source-files-1", "embedded-path-3", "several-1")
"""Of the small backend, and one of hatchling."""


def test_planted_causes_are_named_first(environments_root: Path) -> None:
    """Each was built by its backend on another machine, and is verified like any published release."""
    if not (WHEELHOUSE / ".complete").is_file():
        pytest.fail("The locked files have not been kept yet; run `make .build/wheelhouse/.complete`.", pytrace=False)
    kept = [wheel(each) for each in WHEELHOUSE.glob("*.whl") if each.stat().st_size < 1 << 20]
    tools = [each for each in kept if release_of(each) in FAMILIES["hatchling"].tools]
    with laid_out(environments_root, tools) as bench:
        results = list(bench.run({name: RELEASES[name] for name in SOME}, seconds=300))
    assert list(SOME) == [each.name for each in results]
    assert [] == [each for each in results if not each.right or each.false_shown]


def test_every_cause_is_planted_three_times() -> None:
    """By itself; and releases with several causes, and with none, are there too. Planted are wheels."""
    alone = Counter(each.causes[0] for each in RELEASES.values() if len(each.causes) == 1)
    assert [] == [each for each in Cause if alone[each] < 3 and each is not Cause.MISSING_TOOL]
    assert sum(len(each.causes) > 1 for each in RELEASES.values()) >= 5


def said(name: str, *findings: Finding, verdict: str = Verdict.DIFFERS.value) -> Result:
    """What might be said of a planted release."""
    return Result(name, RELEASES[name], verdict, findings, 0, 1)


def test_what_counts_as_right() -> None:
    """The planted cause first, all of several, nothing where nothing was; a bench that failed is never right."""
    causes = RELEASES["several-1"].causes
    first, second = (Finding(cause=each, sentence="", certainty=Certainty.SHOWN, advice="") for each in causes)
    assert said("several-1", second, first).right
    assert not said("several-1", first).right
    other = said("embedded-path-1", first.replace(cause=RELEASES["embedded-time-1"].causes[0]))
    assert (False, ["embedded-time"]) == (other.right, [each.value for each in other.false_shown])
    assert said("nothing-1", verdict="reproduced").right
    failed = said("nothing-1", verdict="PublisherError: nothing came out")
    assert not failed.right
    rows = list(matrix([failed, other]))
    assert ["embedded-path", "1", "·"] == rows[1].split()[:3]
    assert ["—", "·", "1"] == rows[2].split()[:3]
