"""Which tags may be that of a version of an npm package."""

from __future__ import annotations

import pytest

from rebuilder.ecosystems.npm.origin import release_tags

VERSIONS = ["1.2.1", "1.2.2", "1.2.3", "1.2.3-rc.1"]


def names(*tags: str, package: str = "@scope/core", version: str = "1.2.3") -> list[str]:
    """Those found, in order."""
    return [each.name for each in release_tags(dict.fromkeys(tags, "a" * 40), package, version, VERSIONS)]


@pytest.mark.parametrize(
    "tag",
    [
        *("v1.2.3", "1.2.3", "V1.2.3", "release-1.2.3", "release/v1.2.3", "r1.2.3", "version-1.2.3"),
        *("@scope/core@1.2.3", "core@1.2.3", "core-v1.2.3", "core/1.2.3", "scope-core-1.2.3", "packages/core/v1.2.3"),
    ],
)
def test_spellings(tag: str) -> None:
    """Those in use, whatever other tags there are."""
    assert [tag] == names(tag, "main", "v1.2.2")


@pytest.mark.parametrize(
    "tag",
    [
        *("v1.2.30", "v11.2.3", "v0.1.2.3", "v1.2.3-rc.1", "other-v1.2.3", "score@1.2.3", "@other/cores@1.2.3"),
        *("1.2.3+1.2.3", "x" * 250 + "1.2.3"),
    ],
)
def test_what_is_of_another_version_or_package(tag: str) -> None:
    """Nothing is taken that only ends alike."""
    assert [] == names(tag)


def test_tags_that_name_the_package_come_first() -> None:
    """Then those of the version alone."""
    found = release_tags(
        {"v1.2.3": "a" * 40, "other@1.2.3": "b" * 40, "core@1.2.3": "c" * 40}, "@scope/core", "1.2.3", VERSIONS
    )
    assert [("core@1.2.3", True), ("v1.2.3", False)] == [(each.name, each.own) for each in found]


def test_a_habit_of_the_repository_counts() -> None:
    """A beginning that two other versions of the package have; one is not enough."""
    assert ["engine1.2.3"] == names("engine1.2.3", "engine1.2.2", "engine1.2.1")
    assert [] == names("engine1.2.3", "engine1.2.2", "engine9.9.9")


def test_a_prerelease_is_a_version_of_its_own() -> None:
    """The whole version is compared."""
    assert ["v1.2.3-rc.1"] == names("v1.2.3-rc.1", "v1.2.3", version="1.2.3-rc.1")
