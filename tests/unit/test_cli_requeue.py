"""``rebuilder requeue``: what it chooses, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from rebuilder.cli.requeue import requeue
from rebuilder.config import Config
from rebuilder.errors import UsageError
from rebuilder.model.verdict import Verdict
from rebuilder.model.work import Reason, Tier
from rebuilder.store.ledger import Ledger
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs

FAILED, CONFIRMED = "pkg:pypi/gearbox@0.9.2", "pkg:pypi/spindle@3.1.6"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A ledger with one release that was confirmed and one that could not be built."""
    config = Config(store=tmp_path / "store", keys=tmp_path / "keys")
    with Ledger.open(config.ledger_place) as ledger:
        for report in (reports.reproduced(MemoryBlobs()), reports.build_failed(MemoryBlobs())):
            number = ledger.begin(report.artifact, report.started)
            ledger.examined(number, report)
            ledger.finish(number, reports.signed(report))
    return config


def queued(config: Config) -> list[str]:
    """The releases in the queue."""
    with Ledger.open(config.ledger_place) as ledger:
        return sorted(each.purl for each in ledger.queue.state(reports.NOW + timedelta(days=999)).upcoming)


@pytest.mark.parametrize(
    ("which", "verdicts", "chosen"),
    [
        (["pypi:spindle"], None, [CONFIRMED]),
        (["pypi:Spindle==3.1.6"], None, [CONFIRMED]),
        (["pypi:spindle==9"], None, []),
        (["pypi:spin*", "pkg:pypi/gearbox@0.9.2"], None, [FAILED, CONFIRMED]),
        ([reports.artifact().file.sha256], None, [CONFIRMED]),
        (None, [Verdict.BUILD_FAILED], [FAILED]),
        (["pypi:spindle"], [Verdict.BUILD_FAILED], []),
        (["npm:spindle"], None, []),
    ],
)
def test_what_is_chosen(
    config: Config, which: Sequence[str] | None, verdicts: list[Verdict] | None, chosen: list[str]
) -> None:
    """All that is given has to fit; a name is read as its ecosystem spells it."""
    if not chosen:
        with pytest.raises(UsageError, match="Nothing that was verified"):
            requeue(config, list(which or ()), verdict=verdicts)
    else:
        requeue(config, list(which or ()), verdict=verdicts)
    assert chosen == queued(config)


def test_it_goes_first(config: Config) -> None:
    """As what somebody asked for, as soon and as thorough as was said."""
    requeue(config, ["pypi:spindle"], priority=-9, tier="quick")
    with Ledger.open(config.ledger_place) as ledger:
        lease = ledger.queue.claim("a/b/c", reports.NOW + timedelta(days=999), 60)
    assert lease is not None
    order = lease.task.order
    assert (Reason.ASKED, -9, Tier.QUICK) == (order.reason, order.priority, order.tier)


def test_a_dry_run_changes_nothing(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    """It lists what would be queued."""
    requeue(config, verdict=[Verdict.BUILD_FAILED], before=datetime(2030, 1, 1), dry_run=True)  # noqa: DTZ001
    said = capsys.readouterr().out
    assert FAILED in said
    assert "1 file would be queued." in said
    assert [] == queued(config)


@pytest.mark.parametrize("text", ["idna", "pypi:", "nowhere:idna", "pkg:", "pypi:a b", "\x1b[31m"])
def test_what_names_nothing(config: Config, text: str) -> None:
    """One sentence, and wrong use."""
    with pytest.raises(UsageError, match="names no file"):
        requeue(config, [text])


def test_nothing_is_said(config: Config) -> None:
    """Everything is not what is meant by nothing."""
    with pytest.raises(UsageError, match="not said"):
        requeue(config)
