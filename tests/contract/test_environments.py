"""What all build environments do: the real ones in a store, the same store over tiny trees, and the fake ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rebuilder.environments.protocol import Environments
from rebuilder.environments.store import EnvironmentStore
from rebuilder.errors import BuildEnvironmentError
from tests.fakes.clock import FixedClock
from tests.fakes.environments import FakeEnvironments, TinyMaker


@pytest.fixture(params=["fake", "store"])
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Environments:
    """Build environments that the test may damage."""
    if request.param == "fake":
        return FakeEnvironments(tmp_path)
    return EnvironmentStore(tmp_path, FixedClock(), maker=TinyMaker())


@pytest.fixture(params=["fake", "store", "debian"])
def any_environments(request: pytest.FixtureRequest, tmp_path: Path) -> Environments:
    """Build environments that the test must leave alone."""
    if request.param == "fake":
        return FakeEnvironments(tmp_path)
    if request.param == "store":
        return EnvironmentStore(tmp_path, FixedClock(), maker=TinyMaker())
    environments: Environments = request.getfixturevalue("environments")
    return environments


@pytest.mark.parametrize(("name", "python"), [("bookworm", "3.11"), ("trixie", "3.13")])
def test_get_gives_a_tree(any_environments: Environments, name: str, python: str) -> None:
    """The name stands for a tree with an interpreter; the summary says the same as the value itself."""
    environment = any_environments.get(name)
    assert (name, python) == (environment.name, environment.provides["python"])
    assert os.path.lexists(environment.root / "usr/bin/python3")
    assert (name, environment.sha256, python) == (
        environment.summary.name,
        environment.summary.sha256,
        environment.summary.provides["python"],
    )
    assert any(each.startswith("python3 3.") for each in environment.summary.packages)


def test_get_gives_the_same_again(any_environments: Environments) -> None:
    """Asking twice is the same build environment."""
    assert any_environments.get("trixie") == any_environments.get("trixie")


def test_unknown_name(any_environments: Environments) -> None:
    """A name that nobody knows is one sentence with the name in it."""
    with pytest.raises(BuildEnvironmentError, match="'potato'"):
        any_environments.get("potato")


@pytest.mark.parametrize("damage", ["content", "added", "removed", "mode", "link"])
def test_modified_tree_is_refused(own: Environments, damage: str) -> None:
    """Whatever was changed in the tree, it is never used again without a word."""
    root = own.get("trixie").root
    match damage:
        case "content":
            (root / "etc/passwd").write_text("root::0:0:root:/root:/bin/sh\n")
        case "added":
            (root / "etc/sitecustomize.py").touch()
        case "removed":
            (root / "etc/passwd").unlink()
        case "mode":
            (root / "etc/passwd").chmod(0o4755)
        case "link":
            (root / "usr/bin/python3").unlink()
            (root / "usr/bin/python3").symlink_to("/tmp/python")
    for _ in range(2):
        with pytest.raises(BuildEnvironmentError, match="The build environment trixie was modified since it was made"):
            own.get("trixie")


def test_by_digest_gives_what_a_name_stood_for(own: Environments) -> None:
    """The digest is enough, and the tree is checked as well."""
    environment = own.get("trixie")
    assert environment == own.by_digest(environment.sha256)
    (environment.root / "etc/passwd").unlink()
    with pytest.raises(BuildEnvironmentError, match="The build environment trixie was modified"):
        own.by_digest(environment.sha256)


def test_unknown_digest(own: Environments) -> None:
    """A tree that is not here is one sentence with the digest in it."""
    with pytest.raises(BuildEnvironmentError, match=f"no build environment with the digest {'0' * 64}"):
        own.by_digest("0" * 64)


def test_remade_environment_is_the_one_from_now_on(own: Environments) -> None:
    """The name stands for what was made last; the one before stays."""
    earlier = own.get("bookworm")
    made = own.remake("bookworm")
    assert made == own.get("bookworm")
    assert earlier == own.by_digest(earlier.sha256)
