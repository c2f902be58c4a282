"""What a wheel shows of having been built on Windows, or on a disk of it that Linux has mounted (pure)."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import Literal

from rebuilder.ecosystems.pypi.wheel_traces import WheelTraces
from rebuilder.model.evidence import Inspection


@dataclass(frozen=True)
class OnWindows:
    """The wheel was packed on Windows."""

    mounted: Literal["all", "but-record"] | None = None
    """Linux packed it, on a disk where every file may be executed by everybody; RECORD was written to it or not."""

    @property
    def sentence(self) -> str:
        """The evidence."""
        if self.mounted:
            return (
                "Everybody may execute every file (mode 0777), metadata too, as on a disk of Windows that Linux has "
                "mounted: the members are given that mode."
            )
        return "Every member was packed on Windows (ZIP host system 0): what Windows does differently is done."


def on_windows(wheel: Inspection, traces: WheelTraces) -> OnWindows | None:
    """What Windows left; None when the wheel does not say it was packed there."""
    if traces.create_system != 0:
        return _mounted(wheel, traces)
    return OnWindows()


def _mounted(wheel: Inspection, traces: WheelTraces) -> OnWindows | None:
    others = {each.mode for each in wheel.members if each.name != f"{traces.dist_info}/RECORD"}
    if traces.create_system != 3 or others != {stat.S_IFREG | 0o777}:
        return None
    record = {each.mode for each in wheel.members} == others
    return OnWindows(mounted="all" if record else "but-record")
