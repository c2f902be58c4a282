"""Seconds by stage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rebuilder.environments.protocol import Toolchain, Wanted
from rebuilder.model.report import Stage, ToolchainSummary
from rebuilder.model.value import Sha256
from rebuilder.stopwatch import Stopwatch, WatchedToolchains


class Recorder:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def subject(self, name: str) -> None:
        """Remember a subject."""
        self.told.append(name)

    def stage(self, stage: Stage, detail: str = "") -> None:
        """Remember a stage."""
        self.told.append(f"{stage.value} {detail}".rstrip())


class OneToolchain:
    """Toolchains that are always there."""

    def get(self, wanted: Wanted) -> Toolchain:
        """Give a toolchain without a root."""
        assert isinstance(wanted, str)
        name = wanted
        return self._toolchain(name, Sha256("0" * 64))

    def by_digest(self, sha256: str) -> Toolchain:
        """Give the one that was there before."""
        return self._toolchain("trixie", Sha256(sha256))

    def remake(self, name: str) -> Toolchain:
        """Give another."""
        return self._toolchain(name, Sha256("1" * 64))

    def _toolchain(self, name: str, digest: Sha256) -> Toolchain:
        summary = ToolchainSummary(name=name, sha256=digest, packages=())
        return Toolchain(name=name, sha256=digest, root=Path("/"), summary=summary)


def ticks() -> Iterator[float]:
    """A clock that moves one second at each look."""
    second = 0.0
    while True:
        yield second
        second += 1.0


def test_adds_up_by_stage() -> None:
    """A stage that comes back goes on counting; each artifact starts at zero."""
    recorder = Recorder()
    watch = Stopwatch(recorder, seconds=ticks().__next__)
    watch.begin("x")
    watch.stage(Stage.BUILD, "first")
    watch.stage(Stage.COMPARE)
    watch.stage(Stage.BUILD, "second")
    assert {Stage.BUILD: 2.0, Stage.COMPARE: 1.0} == watch.end()
    watch.begin("y")
    assert {} == watch.end()
    assert recorder.told == ["x", "build first", "compare", "build second", "y"]


def test_toolchain_is_a_stage_of_its_own() -> None:
    """Time spent on a toolchain is not counted as build time, whoever asked for it."""
    recorder = Recorder()
    watch = Stopwatch(recorder, seconds=ticks().__next__)
    watch.begin("x")
    watch.stage(Stage.BUILD)
    WatchedToolchains(OneToolchain(), watch).get("trixie")
    assert {Stage.BUILD: 2.0, Stage.TOOLCHAIN: 1.0} == watch.end()
    assert recorder.told == ["x", "build"]


def test_toolchains_are_remembered_by_digest() -> None:
    """Two that had the same name one after the other are two."""
    toolchains = WatchedToolchains(OneToolchain(), Stopwatch(Recorder()))
    asked = [toolchains.get("trixie"), toolchains.remake("trixie"), toolchains.by_digest("2" * 64)]
    assert {each.sha256: each for each in asked} == toolchains.seen


def test_long_work_is_shown() -> None:
    """What makes a toolchain can say so, under the name of its stage."""
    recorder = Recorder()
    watch = Stopwatch(recorder, seconds=ticks().__next__)
    watch.show("nobody is asking")
    watch.stage(Stage.BUILD)
    with watch.within(Stage.TOOLCHAIN):
        watch.show("making trixie")
    assert recorder.told == ["build", "toolchain making trixie"]


class CountedToolchains(OneToolchain):
    """Knows how often it was asked to look."""

    def __init__(self) -> None:
        self.looks: list[str] = []

    def _toolchain(self, name: str, digest: Sha256) -> Toolchain:
        self.looks.append(name)
        return super()._toolchain(name, digest)


def test_what_was_checked_just_now_is_not_checked_again() -> None:
    """Thousands of files are looked at once for the many runs of one artifact, and again after a while."""
    counted = CountedToolchains()
    moments = iter((0.0, 9.0, 10.0, 21.0, 21.0))
    toolchains = WatchedToolchains(counted, Stopwatch(Recorder()), recent=10, seconds=moments.__next__)
    for _ in range(4):
        assert "0" * 64 == toolchains.get("trixie").sha256
    assert ["trixie"] * 2 == counted.looks


def test_a_toolchain_made_anew_is_the_one_that_is_given() -> None:
    """What was checked just before it was made anew does not stand in for it."""
    toolchains = WatchedToolchains(CountedToolchains(), Stopwatch(Recorder()))
    toolchains.get("trixie")
    toolchains.remake("trixie")
    assert "1" * 64 == toolchains.get("trixie").sha256
