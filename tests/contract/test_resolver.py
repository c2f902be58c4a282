"""What every resolver does: uv against a registry on loopback, and the fake one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest
import uv

from rebuilder.errors import UnavailableError
from rebuilder.model.artifact import Resolution
from rebuilder.network.protocol import Resolver
from rebuilder.network.reach import Reach
from rebuilder.network.resolver import UvResolver, UvSettings
from tests.fakes.memo import MemoryMemo
from tests.fakes.projects import make_wheel
from tests.fakes.registry import Registry, server_error
from tests.fakes.resolver import FakeResolver

CUT_OFF = datetime(2024, 2, 1, 12, 0, 0, tzinfo=UTC)
BEFORE, MICROSECOND = datetime(2024, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


class Publish(Protocol):
    """Makes a wheel known to the resolver under test."""

    def __call__(self, name: str, version: str, uploaded: datetime, requires: Sequence[str] = ()) -> None:
        """Publish ``name`` at a time."""
        ...


@dataclass(frozen=True)
class World:
    """A resolver and the index behind it."""

    resolver: Resolver
    publish: Publish
    fail: Callable[[], None]
    """From now on the index does not answer."""

    def resolve(self, *requirements: str, python: str = "3.13") -> Resolution:
        """Ask as of the cut-off."""
        return self.resolver.resolve(requirements, python_version=python, not_after=CUT_OFF)

    def versions(self, *requirements: str, python: str = "3.13") -> list[str]:
        """Names and versions chosen; fails the test when there is a problem."""
        resolution = self.resolve(*requirements, python=python)
        assert resolution.problem is None
        return [f"{pin.name} {pin.version}" for pin in resolution.pins]


@pytest.fixture(params=["uv", "fake"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """Each resolver in turn, knowing a handful of releases."""
    if request.param == "fake":
        fake = FakeResolver()

        def publish(name: str, version: str, uploaded: datetime, requires: Sequence[str] = ()) -> None:
            fake.add(make_wheel(name, version, requires=requires), uploaded=uploaded, requires=requires)

        yield World(_filled(publish, fake), publish, lambda: setattr(fake, "down", True))
        return
    with Registry() as registry:

        def publish(name: str, version: str, uploaded: datetime, requires: Sequence[str] = ()) -> None:
            registry.add(make_wheel(name, version, requires=requires), uploaded=uploaded)

        settings = UvSettings(
            index_url=registry.url,
            binary=Path(uv.find_uv_bin()),
            cache_directory=tmp_path,
            environment={},
            reach=Reach([registry.base]),
            http_retries=0,
        )
        down = lambda: registry.fault("/", server_error(), times=1000)  # noqa: E731
        yield World(_filled(publish, UvResolver(settings, MemoryMemo())), publish, down)


def _filled(publish: Publish, resolver: Resolver) -> Resolver:
    publish("a", "1.0", BEFORE, ["b>=1"])
    publish("b", "1.0", BEFORE)
    publish("b", "1.5", CUT_OFF - timedelta(seconds=1))
    publish("b", "2.0", CUT_OFF)
    publish("b", "3.0", CUT_OFF + MICROSECOND)
    return resolver


def test_newest_before_the_moment_is_chosen(world: World) -> None:
    """A file uploaded at the very moment is too late."""
    assert ["b 1.5"] == world.versions("b")


def test_dependencies_are_followed(world: World) -> None:
    """Each project once, in order of name."""
    assert ["a 1.0", "b 1.5"] == world.versions("a", "b")


def test_markers_are_those_of_the_named_python(world: World) -> None:
    """Not of the Python that runs the rebuilder."""
    requirements = ["a; python_version < '3.12'", "b; python_version >= '3.12'"]
    assert ["b 1.5"] == world.versions(*requirements, python="3.13")
    assert ["a 1.0", "b 1.5"] == world.versions(*requirements, python="3.11")


def test_pins_say_where_and_what(world: World) -> None:
    """File name, address and digest of one wheel."""
    (pin,) = world.resolve("b==1.0").pins
    wheel = make_wheel("b", "1.0")
    assert (wheel.filename, wheel.sha256) == (pin.filename, pin.sha256)
    assert pin.url.endswith(f"/{wheel.filename}")


def test_nothing_asked_nothing_chosen(world: World) -> None:
    """No question, no index."""
    world.fail()
    assert Resolution() == world.resolve()


@pytest.mark.parametrize(
    "requirement", ["nope", "b>=2", "b @ file:///etc/passwd", "-r /etc/passwd", "--index-url=x", "b==1.0 --hash=x", ""]
)
def test_what_cannot_be_had_is_a_problem_in_words(world: World, requirement: str) -> None:
    """It says something about the release, so it is a value."""
    resolution = world.resolve("a", requirement)
    assert () == resolution.pins
    assert resolution.problem


def test_index_that_does_not_answer_is_an_error(world: World) -> None:
    """Our trouble is not the release's."""
    world.fail()
    with pytest.raises(UnavailableError):
        world.resolve("a")
