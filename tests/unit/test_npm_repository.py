"""Which repository a package.json names."""

from __future__ import annotations

from typing import Any

import pytest

from rebuilder.ecosystems.npm.origin import ClaimedRepository, claimed_repository, plain_directory

HERE = "https://example.org/owner/project"


@pytest.mark.parametrize(
    "value",
    [
        *(HERE, f"{HERE}.git", f"git+{HERE}.git", f"{HERE}#main", f"{HERE}/", f"{HERE}/issues"),
        *(
            "git://example.org/owner/project.git",
            "git+ssh://git@example.org/owner/project.git",
            "http://example.org/owner/project",
        ),
        *(
            "ssh://git@example.org:22/owner/project",
            "git@example.org:owner/project.git",
            "https://user:secret@example.org/owner/project",
        ),
    ],
)
def test_forms_of_an_address(value: str) -> None:
    """All lead to one address, over https and without a login."""
    expected = ClaimedRepository(HERE, None)
    assert expected == claimed_repository(value) == claimed_repository({"type": "git", "url": value})


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("owner/project", "https://github.com/owner/project"),
        ("github:owner/project", "https://github.com/owner/project"),
        ("gitlab:group/below/project", "https://gitlab.com/group/below/project"),
        ("bitbucket:owner/project", "https://bitbucket.org/owner/project"),
    ],
)
def test_short_forms(value: str, address: str) -> None:
    """Those of npm's documentation."""
    found = claimed_repository(value)
    assert found is not None
    assert address == found.repository


@pytest.mark.parametrize(
    "value",
    [
        *(None, 5, [], {}, {"url": None}, {"url": ["x"]}, "", "project", "npm:owner/project", "a/b/c", "gist:0123"),
        *("file:///etc", "../other/project", "./a/b", "ext::sh -c id", "--upload-pack=x/y", "https://localhost/a/b"),
        *(
            "https://example.org/a/../b",
            "https://example.org/a%0ab/c",
            "owner/pro\nject",
            "x" * 501,
            "https://example.org",
        ),
        *("svn://example.org/a/b", "https://example.org:x/a/b", "ówner/project"),
    ],
)
def test_what_is_no_repository(value: Any) -> None:
    """Nothing that leads to another protocol, to a file, or nowhere."""
    assert claimed_repository(value) is None


@pytest.mark.parametrize(
    ("value", "directory"),
    [
        ("packages/core", "packages/core"),
        *(("./packages//core/", "packages/core"), ("/packages/core", "packages/core"), (".", ""), ("a/../b", "b")),
        *(("../out", None), ("a/../../out", None), ("a\\b", None), ("a\nb", None), (5, None), ("..", None)),
    ],
)
def test_directories(value: Any, directory: str | None) -> None:
    """Relative and within the repository."""
    assert directory == plain_directory(value)
    found = claimed_repository({"url": HERE, "directory": value})
    assert found is not None
    assert directory == found.directory


def test_a_directory_in_the_address() -> None:
    """As a page about it has it; the field of its own comes first."""
    page = f"{HERE}/tree/main/packages/core"
    assert ClaimedRepository(HERE, "packages/core") == claimed_repository(page)
    assert ClaimedRepository(HERE, "other") == claimed_repository({"url": page, "directory": "other"})
