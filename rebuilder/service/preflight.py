"""What in the settings of the service can be told to be wrong before it runs."""

from __future__ import annotations

import os
from collections.abc import Iterator

from rebuilder.alarms.delivery import Window
from rebuilder.clock import Clock
from rebuilder.config import Config
from rebuilder.doctor.checks import DoctorCheck
from rebuilder.errors import UsageError
from rebuilder.model.settings import Suppression, Target
from rebuilder.service.schedules.folder import Folder


def preflight(config: Config, clock: Clock) -> Iterator[DoctorCheck]:
    """Look at schedules, alarm targets and windows; asks no network and changes nothing."""
    yield _schedules(config, clock)
    if config.alarms.targets or config.alarms.suppress:
        yield _alarms(config)


def _schedules(config: Config, clock: Clock) -> DoctorCheck:
    place = config.schedules_directory
    if not os.path.lexists(place):  # whoever does not run the service needs none
        return DoctorCheck(
            name="schedules", ok=True, message=f"There is no {place} yet, so `rebuilder serve` would watch nothing."
        )
    reading = Folder(place, clock).read()
    if reading.problems:
        more = len(reading.problems) - 1
        told = reading.problems[0].label + (f" ({more} more)" if more else "")
        return DoctorCheck(
            name="schedules",
            ok=False,
            message=told,
            fix="Mend the schedules; `rebuilder schedules` lists every mistake",
        )
    watches, rechecks = len(reading.schedule.watches), len(reading.schedule.rechecks)
    return DoctorCheck(
        name="schedules", ok=True, message=f"{place} can be read; watches: {watches}, rechecks: {rechecks}."
    )


def _alarms(config: Config) -> DoctorCheck:
    alarms = config.alarms
    wrong = [*_strange(alarms.targets), *_never(alarms.suppress)]
    if wrong:
        return DoctorCheck(
            name="alarms", ok=False, message=" ".join(wrong), fix="Mend [alarms] in the settings (docs/alarms.md)"
        )
    told = f"Can be told: {', '.join(sorted(alarms.targets)) or 'nobody'}; whether they answer was not tried."
    return DoctorCheck(name="alarms", ok=True, message=told)


def _strange(targets: dict[str, Target]) -> Iterator[str]:
    """Never with the address, which may hold a password."""
    from rebuilder.network.notifications import understood

    for name, target in sorted(targets.items()):
        if target.apprise is not None and not understood(target.apprise):
            yield f"Apprise does not understand the address of the target {name}."


def _never(windows: tuple[Suppression, ...]) -> Iterator[str]:
    for each in windows:
        try:
            Window.parse(each.window)
        except UsageError as error:
            yield str(error)
