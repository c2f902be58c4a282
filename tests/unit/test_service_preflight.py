"""What is told about schedules and alarm settings before the service runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebuilder.clock import SystemClock
from rebuilder.config import Config, load_config
from rebuilder.model.settings import AlarmSettings, Suppression, Target
from rebuilder.service.preflight import preflight


@pytest.mark.parametrize(
    ("content", "ok", "words"),
    [('every = "6h"', True, "watches: 1, rechecks: 0"), ('evry = "6h"', False, "work.toml, line 3, watch.evry")],
)
def test_schedules(tmp_path: Path, content: str, words: str, *, ok: bool) -> None:
    """The first mistake is named."""
    (tmp_path / "work.toml").write_text(f'[[watch]]\npackages = ["idna"]\n{content}\n')
    [check] = preflight(Config(schedules=tmp_path), SystemClock())
    assert ok == check.ok
    assert words in check.message


def test_no_schedules(tmp_path: Path) -> None:
    """Whoever does not run the service lacks nothing, whichever settings are named."""
    file = tmp_path / "rebuilder.toml"
    file.write_text("")
    [check] = preflight(load_config(file, {}), SystemClock())
    assert check.ok
    assert str(tmp_path / "schedules") in check.message


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what plug-ins of Apprise import
@pytest.mark.parametrize(
    ("alarms", "ok", "words"),
    [
        (AlarmSettings(targets={"team": Target(apprise="json://me:word@example.org")}), True, "told: team;"),
        (AlarmSettings(targets={"team": Target(apprise="nonsense://me:word@x")}), False, "address of the target team"),
        (AlarmSettings(suppress=(Suppression(window="25:00-26:00"),)), False, "there is no time 25:00"),
    ],
)
def test_alarm_settings(alarms: AlarmSettings, words: str, *, ok: bool) -> None:
    """What cannot be meant is said before an alarm gets lost; addresses are not shown."""
    [_, check] = preflight(Config(alarms=alarms), SystemClock())
    assert ok == check.ok
    assert words in check.message
    assert "word@" not in check.message
