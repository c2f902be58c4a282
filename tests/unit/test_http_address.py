"""Addresses: what is shown of them, where a redirection may lead, and who gets which credentials."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebuilder.errors import UnavailableError, UsageError
from rebuilder.network.http.address import Credentials, bare, netrc_path, redirected, shown


def test_shown_has_neither_credentials_nor_query() -> None:
    """Messages end up on pages and in logs."""
    assert "example.org:8443/simple/a/" == shown("https://user:secret@example.org:8443/simple/a/?token=secret#secret")


@pytest.mark.parametrize("url", ["http://[", "http://example.org:port/", "http://a]b/"])
def test_shown_says_so_when_there_is_nothing_to_show(url: str) -> None:
    """Rubbish is not repeated."""
    assert "an address that cannot be read" == shown(url)


def test_shown_is_short_and_printable() -> None:
    """An index may list anything."""
    assert "example.org/a⟨U+001B⟩[31mb" == shown("https://example.org/a\x1b[31mb")
    assert 200 == len(shown("https://example.org/" + "a" * 1000))


def test_bare_keeps_all_but_credentials_and_fragment() -> None:
    """What is sent and written down."""
    assert "https://example.org:1/a?b=c" == bare("https://u:p@example.org:1/a?b=c#sha256=0")
    assert "http://[::1]:1/a" == bare("http://u:p%40@[::1]:1/a")


def test_redirection_from_https_to_http_is_refused() -> None:
    """Nobody on the way may take the protection off."""
    with pytest.raises(UnavailableError, match="from https to unprotected http"):
        redirected("https://example.org/a", "http://example.org/a")
    assert "https://example.org/b" == redirected("http://example.org/a", "https://u:p@example.org/b#c")
    assert "https://example.org/b" == redirected("https://example.org/a", "/b")


def test_credentials_belong_to_scheme_host_and_port() -> None:
    """The default port is the same origin; everything else is another one."""
    credentials = Credentials({})
    credentials.learn("https://us%40er:p%2Fw@example.org/simple")
    assert "Basic dXNAZXI6cC93" == credentials.header("https://example.org:443/files/a.whl", named=True)
    for other in ("http://example.org/", "https://example.org:444/", "https://files.example.org/"):
        assert credentials.header(other, named=True) is None


def test_netrc_is_found_as_pip_finds_it(tmp_path: Path) -> None:
    """``NETRC`` before ``~/.netrc``; none is fine."""
    home = tmp_path / ".netrc"
    assert netrc_path({}) is None
    assert netrc_path({"HOME": str(tmp_path)}) is None
    home.touch()
    assert home == netrc_path({"HOME": str(tmp_path)})
    assert netrc_path({"HOME": str(tmp_path), "NETRC": str(tmp_path / "other")}) is None


def test_netrc_is_for_origins_that_were_named(tmp_path: Path) -> None:
    """It knows no schemes and no ports, so that an index could have its passwords sent to any server of that name."""
    (tmp_path / ".netrc").write_text("machine example.org login user password secret\n")
    credentials = Credentials({"HOME": str(tmp_path)})
    assert ("user", "secret") == credentials.login("https://example.org/", named=True)
    assert credentials.login("https://example.org/", named=False) is None
    assert credentials.header("http://example.org:81/", named=False) is None


def test_what_the_user_said_counts_more() -> None:
    """An index may write credentials into the addresses of its files; they replace none."""
    credentials = Credentials({})
    credentials.learn("https://index:said@example.org/a")
    credentials.learn("https://index:later@example.org/a")
    assert ("index", "said") == credentials.login("https://example.org/b", named=False)
    credentials.learn("https://user:said@example.org/a", named=True)
    credentials.learn("https://index:last@example.org/a")
    assert ("user", "said") == credentials.login("https://example.org/b", named=False)


@pytest.mark.parametrize("url", ["https://a\\@b/", "https://a\\b/", "https://a@b\\@c/"])
def test_a_backslash_in_a_host_is_no_address(url: str) -> None:
    """Two programs would read two hosts."""
    with pytest.raises(UnavailableError, match="not an http or https address"):
        bare(url)


def test_netrc_that_is_no_text_is_a_sentence(tmp_path: Path) -> None:
    """Binary rubbish in the credentials file."""
    (tmp_path / ".netrc").write_bytes(b"\xff\xfe\x00machine")
    with pytest.raises(UsageError, match=r"\.netrc cannot be"):
        Credentials({"HOME": str(tmp_path)}).header("https://example.org/", named=True)


def test_granted_credentials_stay_below_their_prefix() -> None:
    """A token for one registry goes to its origin and its path, and to nothing that only looks like it."""
    credentials = Credentials({})
    credentials.grant("https://example.org/npm/", "Bearer own")
    credentials.grant("https://example.org/npm/deep", "Bearer deep")
    fitting = ["https://example.org/npm", "https://example.org:443/npm/a?b", "https://example.org/npm/deeper/a"]
    assert ["Bearer own"] * 3 == [credentials.header(url, named=True) for url in fitting]
    assert "Bearer deep" == credentials.header("https://example.org/npm/deep/a", named=True)
    for url in (
        "http://example.org/npm/a",
        "https://example.org:8443/npm/a",
        "https://www.example.org/npm/a",
        "https://example.org/npmx/a",
        "https://example.org/npm/../a",
        "https://example.org/npm/%2e%2e/a",
    ):
        assert credentials.header(url, named=True) is None, url
