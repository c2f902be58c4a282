"""What a wheel shows of having been built on Windows (pure)."""

from __future__ import annotations

from dataclasses import dataclass

from rebuilder.ecosystems.pypi.wheel_traces import WheelTraces
from rebuilder.model.evidence import Inspection

WRITTEN_TEXTS = ("METADATA", "WHEEL", "entry_points.txt", "top_level.txt")
"""Texts that setuptools and wheel write; which of them as text files, with the line ends of the system, varies."""


@dataclass(frozen=True)
class OnWindows:
    """The wheel was packed on Windows."""

    crlf: tuple[str, ...]
    """Names in ``.dist-info`` whose lines all end with CR LF."""

    @property
    def sentence(self) -> str:
        """The evidence."""
        lines = f", and {' and '.join(self.crlf)} written with CR LF" if self.crlf else ""
        return f"Every member was packed on Windows (ZIP host system 0){lines}: what Windows does differently is done."


def on_windows(wheel: Inspection, traces: WheelTraces) -> OnWindows | None:
    """What Windows left; None when the wheel does not say it was packed there."""
    if traces.create_system != 0:
        return None
    texts = {name: wheel.texts.get(f"{traces.dist_info}/{name}", "") for name in WRITTEN_TEXTS}
    return OnWindows(
        tuple(name for name, text in texts.items() if "\r\n" in text and text.count("\r\n") == text.count("\n"))
    )
