"""Seconds by stage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rebuilder.byte_counter import ByteCounter
from rebuilder.environments.protocol import BuildEnvironment, Environments, Wanted
from rebuilder.model.report import EnvironmentSummary, Stage, Transferred
from rebuilder.model.value import Sha256
from rebuilder.stopwatch import Stopwatch, WatchedEnvironments


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


class OneEnvironment(Environments):
    """Build environments that are always there."""

    def get(self, wanted: Wanted) -> BuildEnvironment:
        """Give a build environment without a root."""
        assert isinstance(wanted, str)
        name = wanted
        return self._environment(name, Sha256("0" * 64))

    def by_digest(self, sha256: str) -> BuildEnvironment:
        """Give the one that was there before."""
        return self._environment("trixie", Sha256(sha256))

    def remake(self, name: str) -> BuildEnvironment:
        """Give another."""
        return self._environment(name, Sha256("1" * 64))

    def _environment(self, name: str, digest: Sha256) -> BuildEnvironment:
        summary = EnvironmentSummary(name=name, sha256=digest, packages=())
        return BuildEnvironment(name=name, sha256=digest, root=Path("/"), summary=summary)


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


def test_environment_is_a_stage_of_its_own() -> None:
    """Time spent on a build environment is not counted as build time, whoever asked for it."""
    recorder = Recorder()
    watch = Stopwatch(recorder, seconds=ticks().__next__)
    watch.begin("x")
    watch.stage(Stage.BUILD)
    WatchedEnvironments(OneEnvironment(), watch).get("trixie")
    assert {Stage.BUILD: 2.0, Stage.ENVIRONMENT: 1.0} == watch.end()
    assert recorder.told == ["x", "build"]


def test_environments_are_remembered_by_digest() -> None:
    """Two that had the same name one after the other are two."""
    environments = WatchedEnvironments(OneEnvironment(), Stopwatch(Recorder()))
    asked = [environments.get("trixie"), environments.remake("trixie"), environments.by_digest("2" * 64)]
    assert {each.sha256: each for each in asked} == environments.seen


def test_long_work_is_shown() -> None:
    """What makes a build environment can say so, under the name of its stage."""
    recorder = Recorder()
    watch = Stopwatch(recorder, seconds=ticks().__next__)
    watch.show("nobody is asking")
    watch.stage(Stage.BUILD)
    with watch.within(Stage.ENVIRONMENT):
        watch.show("making trixie")
    assert recorder.told == ["build", "toolchain making trixie"]


class CountedEnvironments(OneEnvironment):
    """Knows how often it was asked to look."""

    def __init__(self) -> None:
        self.looks: list[str] = []

    def _environment(self, name: str, digest: Sha256) -> BuildEnvironment:
        self.looks.append(name)
        return super()._environment(name, digest)


def test_what_was_checked_just_now_is_not_checked_again() -> None:
    """Thousands of files are looked at once for the many runs of one artifact, and again after a while."""
    counted = CountedEnvironments()
    moments = iter((0.0, 9.0, 10.0, 21.0, 21.0))
    environments = WatchedEnvironments(counted, Stopwatch(Recorder()), recent=10, seconds=moments.__next__)
    for _ in range(4):
        assert "0" * 64 == environments.get("trixie").sha256
    assert ["trixie"] * 2 == counted.looks


def test_what_was_checked_by_its_name_is_known_by_its_digest() -> None:
    """What is planned with an environment names it; what is run has the digest."""
    counted = CountedEnvironments()
    environments = WatchedEnvironments(counted, Stopwatch(Recorder()), seconds=lambda: 1.0)
    assert environments.get("trixie") == environments.by_digest("0" * 64)
    assert ["trixie"] == counted.looks


def test_a_environment_made_anew_is_the_one_that_is_given() -> None:
    """What was checked just before it was made anew does not stand in for it."""
    environments = WatchedEnvironments(CountedEnvironments(), Stopwatch(Recorder()))
    environments.get("trixie")
    environments.remake("trixie")
    assert "1" * 64 == environments.get("trixie").sha256


def test_bytes_are_counted_for_the_artifact_at_hand() -> None:
    """What was moved before it was begun is another one's."""
    counter = ByteCounter()
    counter.add(fetched=5, written=7)
    watch = Stopwatch(Recorder(), bytes_moved=counter)
    watch.begin("idna")
    counter.add(fetched=100)
    counter.add(fetched=20, written=3)
    assert Transferred(fetched=120, written=3) == watch.transferred
    watch.begin("idna")
    assert Transferred(fetched=0, written=0) == watch.transferred
