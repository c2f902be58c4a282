"""Which repositories are asked, and where the user's mirrors send us instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebuilder.errors import UsageError
from rebuilder.network.git.address import Mirrors, RefusedAddress, public


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("-oProxyCommand=x", "https only"),
        ("--upload-pack=touch x", "https only"),
        ("file:///etc", "not with file"),
        ("ext::sh -c id", "https only"),
        ("ext::sh", "not with ext"),
        ("ssh://git@example.org/a/b", "not with ssh"),
        ("git://example.org/a", "not with git"),
        ("http://example.org/a", "not with http"),
        ("git@example.org:a/b.git", "https only"),
        ("/srv/git/a", "https only"),
        ("https://", "https only"),
        ("https://-x/a", "https only"),
        ("https://example.org", "names no repository"),
        ("https://example.org/.git/..", "no '..'"),
        ("https://example.org/a/%2e%2e/b", "no '..'"),
        ("https://example.org/a?x=1", "no query"),
        ("https://example.org/a#x", "no query"),
        ("https://example.org/a\nb", "https only"),
        ("https://example.org/a b", "https only"),
        ("https://example.org/" + "a" * 3000, "https only"),
        ("https://example.org:99999/a", "https only"),
        ("https://exa%6dple.org/a", "https only"),
        ("", "https only"),
    ],
)
def test_what_is_not_asked(url: str, words: str) -> None:
    """Everything but plain https addresses is refused in words."""
    with pytest.raises(RefusedAddress, match=words.replace(".", r"\.")) as caught:
        public(url)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://Example.org/A/b.git/", "https://example.org/A/b.git"),
        ("HTTPS://user:secret@example.org:8443/a", "https://example.org:8443/a"),
        ("https://[::1]/a", "https://[::1]/a"),
    ],
)
def test_the_public_form(url: str, expected: str) -> None:
    """No password, a host in lower case; paths are left as they are."""
    assert expected == public(url)


def test_longest_prefix_of_whole_names_wins(tmp_path: Path) -> None:
    """``/group`` does not stand for ``/group2``."""
    (tmp_path / "one").mkdir()
    mirrors = Mirrors(
        {
            "https://example.org/": "https://user:secret@mirror.example.org/all/",
            "https://example.org/group": str(tmp_path),
            "https://example.org/group/two.git": "http://127.0.0.1:1/two",
        }
    )
    assert str(tmp_path / "one") == mirrors.remote("https://example.org/group/one.git").url
    assert ("http://127.0.0.1:1/two", "http") == (
        (remote := mirrors.remote("https://example.org/group/two")).url,
        remote.protocol,
    )
    other = mirrors.remote("https://example.org/group2/x.git")
    assert "https://user:secret@mirror.example.org/all/group2/x.git" == other.url
    assert {"user", "secret"} == set(other.secrets)
    assert "https://example.org/group2/x.git" == other.shown
    elsewhere = mirrors.remote("https://example.com/x")
    assert ("https://example.com/x", "https", None) == (elsewhere.url, elsewhere.protocol, elsewhere.directory)


def test_bare_repositories_of_a_local_mirror(tmp_path: Path) -> None:
    """``name.git`` is found for ``name``."""
    (tmp_path / "one.git").mkdir()
    mirrors = Mirrors({"https://example.org": f"file://{tmp_path}"})
    assert tmp_path / "one.git" == mirrors.remote("https://example.org/one").directory


@pytest.mark.parametrize(
    ("prefix", "target", "words"),
    [
        ("example.org", "/srv", "prefix"),
        ("http://example.org", "/srv", "prefix"),
        ("https://example.org", "srv/git", "neither an absolute path"),
        ("https://example.org", "ssh://user:secret@example.org/x", "neither an absolute path"),
        ("https://example.org", "ext::sh", "neither an absolute path"),
        ("https://example.org", "-x", "neither an absolute path"),
    ],
)
def test_settings_that_cannot_be_used(prefix: str, target: str, words: str) -> None:
    """A sentence that names the section and no password."""
    with pytest.raises(UsageError, match=words) as caught:
        Mirrors({prefix: target})
    assert "secret" not in str(caught.value)
    assert "[sources.mirrors]" in str(caught.value)
