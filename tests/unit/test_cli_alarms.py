"""``rebuilder alarms``: what is shown, and that acknowledging is all or nothing."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from rebuilder.cli.alarms import acknowledge, show
from rebuilder.config import Config
from rebuilder.errors import ExitCode, UsageError
from rebuilder.model.alarm import Alarm, AlarmKind, Severity
from rebuilder.store.ledger import Ledger
from tests.fakes.verifications import NOW


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Settings with a ledger of their own."""
    return Config(store=tmp_path / "store", keys=tmp_path / "keys")


def fill(config: Config, gone: int = 2) -> None:
    """A page that was seen twice, and tickets with one cause."""
    page = Alarm(
        kind=AlarmKind.DIGEST_CHANGED, purl="pkg:pypi/a@1", filename="a.whl", sentence="\x1b[31m changed.", raised=NOW
    )
    with Ledger.open(config.ledger_place) as ledger:
        ledger.raise_alarm(page)
        ledger.raise_alarm(page.replace(raised=NOW + timedelta(hours=1)))
        for number in range(gone):
            ledger.raise_alarm(
                Alarm(
                    kind=AlarmKind.GIVEN_UP,
                    filename=f"{number}.whl",
                    sentence=f"{number} could not be tried.",
                    raised=NOW,
                    cause="given-up:store",
                )
            )


def numbers(config: Config) -> dict[str, int]:
    """Number of each open alarm, by its file."""
    with Ledger.open(config.ledger_place) as ledger:
        return {each.alarm.filename: each.number for each in ledger.alarm_book.open()}


def test_nothing_is_said_to_be_nothing(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty answer would leave one wondering."""
    Ledger.open(config.ledger_place).close()
    show(config, every=True)
    assert "No open alarms.\n" == capsys.readouterr().out


def test_open_alarms_by_cause(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    """What is urgent first; numbers to acknowledge by; nothing that moves a terminal."""
    fill(config)
    known = numbers(config)
    show(config)
    expected = f"""\
3 open alarms, 1 urgent.

digest-changed:pkg:pypi/a@1
  {known["a.whl"]}  urgent  since 2026-11-01 12:00 UTC, seen 2 times, last 2026-11-01 13:00 UTC
     ⟨U+001B⟩[31m changed.

given-up:store: 2 alarms
  {known["1.whl"]}  ticket  since 2026-11-01 12:00 UTC
     1 could not be tried.
  {known["0.whl"]}  ticket  since 2026-11-01 12:00 UTC
     0 could not be tried.

To close an alarm: rebuilder alarms acknowledge NUMBER --note TEXT
"""
    assert expected == capsys.readouterr().out


def test_many_alarms_are_counted(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    """A storm fits on a screen; JSON has all of it."""
    fill(config, gone=30)
    show(config)
    assert "  and 10 more; --json lists all of them\n" in capsys.readouterr().out
    show(config, as_json=True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert 31 == len(lines)
    assert {"given-up:store", "digest-changed:pkg:pypi/a@1"} == {each["group"] for each in lines}


def test_acknowledging_takes_them_off_the_list(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    """It is not open any more; it stays listed with who, when and the note."""
    fill(config)
    acknowledge(config, [numbers(config)["a.whl"]] * 2, note="Asked\nupstream.", by="ada")
    assert 1 == capsys.readouterr().out.count("Acknowledged")
    show(config)
    still_open, _, acknowledged = capsys.readouterr().out.partition("Acknowledged:\n")
    assert "2 open alarms, 0 urgent." in still_open
    assert "changed." not in still_open
    assert "by ada: Asked⟨U+000A⟩upstream.\n" in acknowledged
    show(config, as_json=True)
    assert 2 == len(capsys.readouterr().out.splitlines())
    show(config, every=True, as_json=True)
    closed = [json.loads(line) for line in capsys.readouterr().out.splitlines()][-1]
    assert (False, "ada") == (closed["open"], closed["acknowledged_by"])


def test_one_unknown_number_changes_nothing(config: Config) -> None:
    """One sentence, exit code 2, and no alarm is acknowledged."""
    fill(config)
    known = numbers(config)
    with pytest.raises(UsageError, match="There is no alarm 999") as error:
        acknowledge(config, [known["a.whl"], 999], note=None, by="ada")
    assert ExitCode.USAGE == error.value.exit_code
    assert known == numbers(config)


@pytest.mark.parametrize(("dead", "expected"), [(True, "it is not tried any more"), (False, "it is tried again")])
def test_targets_that_were_not_told_are_named(
    config: Config, capsys: pytest.CaptureFixture[str], dead: bool, expected: str
) -> None:
    """Whoever looks learns that nobody else was told."""
    fill(config, gone=0)
    with Ledger.open(config.ledger_place) as ledger:
        ledger.alarm_book.fill({"team": tuple(Severity)}, lambda _: False, NOW)
        [notice] = ledger.alarm_book.due(NOW, 10, targets=["team"])
        ledger.alarm_book.failed([notice.id], "It answered 500.", None if dead else NOW)
    show(config)
    assert f"! team was not told about 1 alarm; {expected}: It answered 500.\n" in capsys.readouterr().out


def test_a_ledger_that_is_not_there_has_no_alarms_to_tell_of(config: Config) -> None:
    """A misspelt store is no good news, and nothing is made in its place."""
    for call in (
        partial(show, config),
        partial(acknowledge, config, [1], note=None, by="ada"),
    ):
        with pytest.raises(UsageError, match=r"There is no ledger .*ledger\.sqlite"):
            call()
    assert not config.store.exists()
