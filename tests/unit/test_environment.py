"""What a build environment is asked to be, and what it was made from."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from rebuilder.environments.catalog import bases, find, variant, why_not_made
from rebuilder.model.environment import Manifest, Package, Release, Specification
from rebuilder.model.report import EnvironmentSummary
from rebuilder.model.value import Sha256

PACKAGE = Package(name="dash", version="0.5.12-12", architecture="amd64", sha256=Sha256("ab" * 32))


def specification(package: Package = PACKAGE, index: str = "cd") -> Specification:
    """One package of one signed index."""
    release = Release(suite="trixie", date="Sat, 01 Nov 2026 00:00:00 UTC", sha256=Sha256(index * 32))
    return Specification(method="extracted", suite="trixie", releases=(release,), packages=(package,), recipe=2)


def test_a_specification_is_named_by_all_of_it() -> None:
    """Another index or another package is another specification; only another package is another content."""
    first, promised, other = specification(), specification(index="ef"), specification(package=_newer())
    assert 3 == len({each.digest for each in (first, promised, other)})
    assert specification().digest == first.digest
    assert first.same_content(promised)
    assert not first.same_content(other)


def test_releases_that_packages_came_from() -> None:
    """They are in the signed indexes; updates are their release's. What is no name is asked of no mirror."""
    indexes = ("bullseye", "bullseye-security", "trixie", "trixie-updates", "buster/updates")
    made = specification()
    releases = tuple(made.releases[0].replace(suite=each) for each in indexes)
    mixed = made.replace(releases=releases)
    assert ("bullseye", "buster") == mixed.also
    assert why_not_made(mixed) is None
    assert why_not_made(made.replace(releases=(releases[0].replace(suite="x main [trusted=yes]"),))) is not None
    assert mixed.same_content(made)


def _newer() -> Package:
    return Package(name="dash", version="0.5.12-13", architecture="amd64", sha256=Sha256("ba" * 32))


@pytest.mark.parametrize("base", bases())
def test_a_variant_is_the_base_and_more(base: str) -> None:
    """What is there without git is there with it; what git's package brings along is taken away again."""
    plain, more = find(base), find(f"{base}-git")
    assert variant(plain, "git") == more
    assert {*plain.packages, "git"} == set(more.packages)
    assert (plain.suite, plain.provides, plain.links) == (more.suite, more.provides, more.links)
    assert "usr/share/perl*" in more.prune


@pytest.mark.parametrize("name", ["", "../x", ".x", "x/y", "X", "x" * 65, "x@y"])
def test_a_name_is_that_of_a_file(name: str) -> None:
    """A name is part of paths below the store."""
    with pytest.raises(ValidationError, match="cannot name a build environment"):
        Manifest(name=name, suite="trixie", packages=())


def test_a_summary_from_before() -> None:
    """Reports of the version before have the Python in a field of its own."""
    document = {"name": "trixie", "sha256": "ab" * 32, "python": "3.13", "packages": []}
    assert {"python": "3.13"} == EnvironmentSummary.model_validate(document).provides
