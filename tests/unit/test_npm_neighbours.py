"""Packages of a repository that are built before another one."""

from __future__ import annotations

from typing import Any

import pytest

from rebuilder.ecosystems.npm.scripts import MOST, UnreadableScript, built_before


def package(name: str, *needed: str, kind: str = "dependencies", **scripts: str) -> dict[str, Any]:
    """A package.json."""
    return {"name": name, kind: dict.fromkeys(needed, "*"), "scripts": scripts or {"build": "tsc"}}


def places(packages: dict[str, dict[str, Any]], directory: str) -> list[str]:
    """Directories of what is built before one, in order."""
    return [each.directory for each in built_before(packages, directory)]


def test_each_finds_its_own() -> None:
    """What a neighbour needs is built before it, once; what nobody needs is not built."""
    packages = {
        "packages/a": package("@own/a", "@own/b", "@own/c", "left-pad"),
        "packages/b": package("@own/b", "@own/d", kind="devDependencies"),
        "packages/c": package("@own/c", "@own/d", "@own/b", prepublishOnly="tsc -p . && git push"),
        "packages/d": package("@own/d", kind="peerDependencies"),
        "packages/e": package("@own/e"),
    }
    assert ["packages/d", "packages/b", "packages/c"] == places(packages, "packages/a")
    assert [] == places(packages, "packages/e")
    assert "tsc -p ." == built_before(packages, "packages/a")[-1].command


def test_rings_and_long_rows_come_to_an_end() -> None:
    """Packages may need each other, or be very many."""
    ring = {"a": package("a", "b"), "b": package("b", "a")}
    assert ["b"] == places(ring, "a")
    row = {str(each): package(str(each), str(each + 1)) for each in range(5 * MOST)}
    assert MOST == len(places(row, "0"))


@pytest.mark.parametrize(
    "hostile",
    [{"name": ["a"]}, {"name": "b", "scripts": []}, {"name": "b", "scripts": {"build": 7}}, {"name": "b"}, {}],
)
def test_what_is_no_package(hostile: dict[str, Any]) -> None:
    """Has nothing to run."""
    assert [] == places({"a": package("a", "b"), "b": hostile}, "a")


def test_a_script_of_megabytes() -> None:
    """Is not followed in a neighbour either."""
    with pytest.raises(UnreadableScript):
        built_before({"a": package("a", "b"), "b": package("b", build="x" * 9000)}, "a")
