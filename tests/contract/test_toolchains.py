"""What all toolchains do: the real ones in a store, the same store over tiny trees, and the fake ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rebuilder.environments.protocol import Toolchains
from rebuilder.environments.store import DebianToolchains
from rebuilder.errors import ToolchainError
from tests.fakes.clock import FixedClock
from tests.fakes.toolchains import FakeToolchains, TinyMaker


@pytest.fixture(params=["fake", "store"])
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Toolchains:
    """Toolchains that the test may damage."""
    if request.param == "fake":
        return FakeToolchains(tmp_path)
    return DebianToolchains(tmp_path, FixedClock(), maker=TinyMaker())


@pytest.fixture(params=["fake", "store", "debian"])
def any_toolchains(request: pytest.FixtureRequest, tmp_path: Path) -> Toolchains:
    """Toolchains that the test must leave alone."""
    if request.param == "fake":
        return FakeToolchains(tmp_path)
    if request.param == "store":
        return DebianToolchains(tmp_path, FixedClock(), maker=TinyMaker())
    toolchains: Toolchains = request.getfixturevalue("toolchains")
    return toolchains


@pytest.mark.parametrize(("name", "python"), [("bookworm", "3.11"), ("trixie", "3.13")])
def test_get_gives_a_tree(any_toolchains: Toolchains, name: str, python: str) -> None:
    """The name stands for a tree with an interpreter; the summary says the same as the value itself."""
    toolchain = any_toolchains.get(name)
    assert (name, python) == (toolchain.name, toolchain.provides["python"])
    assert os.path.lexists(toolchain.root / "usr/bin/python3")
    assert (name, toolchain.sha256, python) == (
        toolchain.summary.name,
        toolchain.summary.sha256,
        toolchain.summary.provides["python"],
    )
    assert any(each.startswith("python3 3.") for each in toolchain.summary.packages)


def test_get_gives_the_same_again(any_toolchains: Toolchains) -> None:
    """Asking twice is the same toolchain."""
    assert any_toolchains.get("trixie") == any_toolchains.get("trixie")


def test_unknown_name(any_toolchains: Toolchains) -> None:
    """A name that nobody knows is one sentence with the name in it."""
    with pytest.raises(ToolchainError, match="'potato'"):
        any_toolchains.get("potato")


@pytest.mark.parametrize("damage", ["content", "added", "removed", "mode", "link"])
def test_modified_tree_is_refused(own: Toolchains, damage: str) -> None:
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
        with pytest.raises(ToolchainError, match="The toolchain trixie was modified since it was made"):
            own.get("trixie")


def test_by_digest_gives_what_a_name_stood_for(own: Toolchains) -> None:
    """The digest is enough, and the tree is checked as well."""
    toolchain = own.get("trixie")
    assert toolchain == own.by_digest(toolchain.sha256)
    (toolchain.root / "etc/passwd").unlink()
    with pytest.raises(ToolchainError, match="The toolchain trixie was modified"):
        own.by_digest(toolchain.sha256)


def test_unknown_digest(own: Toolchains) -> None:
    """A tree that is not here is one sentence with the digest in it."""
    with pytest.raises(ToolchainError, match=f"no toolchain with the digest {'0' * 64}"):
        own.by_digest("0" * 64)


def test_remade_toolchain_is_the_one_from_now_on(own: Toolchains) -> None:
    """The name stands for what was made last; the one before stays."""
    earlier = own.get("bookworm")
    made = own.remake("bookworm")
    assert made == own.get("bookworm")
    assert earlier == own.by_digest(earlier.sha256)
