"""What a resolver chose for a build: exact versions, each with its digest."""

from __future__ import annotations

from rebuilder.model.value import Sha256, Value


class Pin(Value):
    """One distribution chosen by a resolver."""

    name: str
    version: str
    filename: str
    url: str
    sha256: Sha256


class Resolution(Value):
    """What a resolver gave: pins, or why there are none (a value, since it says something about the release)."""

    pins: tuple[Pin, ...] = ()
    problem: str | None = None
    """None, or the resolver's reason in plain words."""
