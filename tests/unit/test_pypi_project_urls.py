"""The repository that a release's own metadata names."""

from __future__ import annotations

import pytest

from rebuilder.ecosystems.origins import repository_url
from rebuilder.ecosystems.pypi.origin import ClaimedRepository, claimed_repository

FORGE = "https://forge.example.org"


@pytest.mark.parametrize(
    "url",
    [
        f"{FORGE}/ada/engine",
        f"{FORGE}/ada/engine/",
        f"{FORGE}/ada/engine.git",
        f"git+{FORGE}/ada/engine.git",
        f"{FORGE}/ada/engine/tree/main/docs",
        f"{FORGE}/ada/engine/issues",
        f"{FORGE}/ada/engine/-/merge_requests",
        f"{FORGE}/ada/engine?tab=readme#install",
        "https://ada:word@FORGE.example.org/ada/engine",
    ],
)
def test_a_page_leads_to_its_repository(url: str) -> None:
    """Without user names, queries and what follows owner and repository."""
    assert f"{FORGE}/ada/engine" == repository_url(url)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "engine",
            FORGE,
            f"{FORGE}/ada",
            "http://forge.example.org:8080/ada/engine",
            "ssh://forge.example.org/ada/engine",
        ),
        *("https://localhost/ada/engine", "https://[::1/ada/engine", f"{FORGE}/a/b/c/d/e/f/g", f"{FORGE}/ada/-engine"),
        *(f"{FORGE}/ada/engine\u200b", f"{FORGE}/ada/en\ngine", f"{FORGE}/ada/{'x' * 500}"),
    ],
)
def test_what_is_no_repository(url: str) -> None:
    """Only https, a host with a dot, and a path like that of one."""
    assert repository_url(url) is None


def test_home_pages_are_judged_more_strictly() -> None:
    """Most are no repositories: two parts, and the first is somebody's name."""
    assert f"{FORGE}/ada/engine" == repository_url(f"{FORGE}/ada/engine", home=True)
    assert [None, None] == [
        repository_url(f"{FORGE}/{path}", home=True) for path in ("group/ada/engine", "docs/engine")
    ]
    assert f"{FORGE}/group/ada/engine" == repository_url(f"{FORGE}/group/ada/engine")
    assert repository_url(f"{FORGE}/engine/latest", home=True) is None
    assert repository_url("https://docs.example.org/ada/engine/", home=True) is None


def test_the_clearest_label_wins() -> None:
    """Whatever the order, and however it is written."""
    metadata = (
        "Metadata-Version: 2.1\nName: engine\n"
        f"Home-page: {FORGE}/home/page\n"
        f"Project-URL: Homepage, {FORGE}/ada/website\n"
        f"Project-URL: Documentation, {FORGE}/ada/docs\n"
        f"Project-URL: Source Code, {FORGE}/ada/engine\n"
        "Project-URL: Repository without a comma\n\n"
        f"Project-URL: Source, {FORGE}/free/text\n"
    )
    assert ClaimedRepository(f"{FORGE}/ada/engine", "Source Code") == claimed_repository(metadata)


def test_pages_about_a_repository_come_last() -> None:
    """Where nothing is called a repository, its issues or an archive of it name it; addresses of other pages do not."""
    issues = f"Home-page: https://engine.example.org/\nProject-URL: Bug Tracker, {FORGE}/ada/engine/issues\n"
    download = f"Download-URL: {FORGE}/ada/engine/archive/v1.0.tar.gz\n"
    for metadata, label in ((issues + download, "Bug Tracker"), (download, "Download-URL")):
        assert ClaimedRepository(f"{FORGE}/ada/engine", label) == claimed_repository(metadata)
    assert claimed_repository(f"Project-URL: Docs, {FORGE}/ada/docs\nDownload-URL: {FORGE}/ada/engine\n") is None
    named = claimed_repository(f"Home-page: {FORGE}/ada/other\n{issues}")
    assert ClaimedRepository(f"{FORGE}/ada/other", "Home-page") == named


@pytest.mark.parametrize("page", ["tree", "commit", "archive"])
def test_an_address_may_name_the_commit(page: str) -> None:
    """That of a page about one commit; shorter or longer names are none."""
    address = f"{FORGE}/ada/engine/{page}/{'a1' * 20}"
    for end, expected in (("", "a1" * 20), (".tar.gz", "a1" * 20), ("b", None), ("#top", "a1" * 20)):
        found = claimed_repository(f"Project-URL: Source, {address}{end}\n")
        assert ClaimedRepository(f"{FORGE}/ada/engine", "Source", expected) == found


def test_a_home_page_will_do() -> None:
    """When nothing else names a repository; without any there is no claim."""
    assert ClaimedRepository(f"{FORGE}/ada/engine", "Home-page") == claimed_repository(
        f"Home-page: {FORGE}/ada/engine\n\n"
    )
    assert claimed_repository("Name: engine\nHome-page: https://engine.example.org/\n\n") is None
    assert claimed_repository("") is None
