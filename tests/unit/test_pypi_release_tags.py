"""Which tag of a repository is that of a version."""

from __future__ import annotations

import pytest

from rebuilder.ecosystems.pypi.origin import TagFound, find_tag


@pytest.mark.parametrize(
    "tag",
    [
        *("1.2.3", "v1.2.3", "V1.2.3", "release-1.2.3", "rel_1.2.3", "version 1.2.3", "r1.2.3", "1_2_3", "v1-2-3"),
        *("my-project-1.2.3", "my_project-v1.2.3", "MyProject/1.2.3", "my.project@1.2.3", "my-project==1.2.3"),
        *("1.2.3.0", "1.2.3-final", "1.2.3.final"),
    ],
)
def test_spellings(tag: str) -> None:
    """With words for "version" or the project's name in front, and with other separators."""
    assert TagFound(tag, "a" * 40) == find_tag(
        {tag: "a" * 40, "v1.2.2": "b" * 40, "main": "c" * 40}, "my-project", "1.2.3"
    )


@pytest.mark.parametrize(
    "tag", ["v1.2.3rc1", "other-1.2.3", "1.2.3.post1", "1.2.30", "x" * 200 + "1.2.3", "1.2.3+local"]
)
def test_what_is_of_another_version_or_project(tag: str) -> None:
    """Nothing is taken that only begins or ends alike."""
    found = find_tag({tag: "a" * 40}, "my-project", "1.2.3")
    assert (None, None) == (found.name, found.commit)
    assert found.problem


def test_the_exact_spelling_comes_first() -> None:
    """A tag that only means the same is not asked when one is spelt like the version."""
    assert TagFound("v1.0", "a" * 40) == find_tag({"v1.0.0": "b" * 40, "v1.0": "a" * 40}, "x", "1.0")


def test_several_for_one_commit_are_as_good_as_one() -> None:
    """The shortest is named; for different commits there is none, and the tags are listed."""
    same = {"v1.0": "a" * 40, "1.0": "a" * 40, "x-1.0": "a" * 40}
    assert TagFound("1.0", "a" * 40) == find_tag(same, "x", "1.0")
    found = find_tag({**same, "v1.0": "b" * 40, "x-1.0.0": "c" * 40}, "other", "1.0")
    assert (None, None) == (found.name, found.commit)
    assert [True] * 2 == [each in str(found.problem) for each in ("v1.0", "1.0")]


@pytest.mark.parametrize("tag", ["x-1.0", "python-v1.0", "py/1.0", "pypi@1.0"])
def test_tags_that_name_the_project_come_first(tag: str) -> None:
    """One repository may hold a project of another language, or several with numbers of their own."""
    tags = {"v1.0": "a" * 40, "js-v1.0": "b" * 40, tag: "c" * 40, "1.0.0": "d" * 40}
    assert TagFound(tag, "c" * 40) == find_tag(tags, "x", "1.0")
