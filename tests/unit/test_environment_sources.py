"""Which mirrors are used: read from apt's settings, Debian's own archive only."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebuilder.environments.sources import network_options, sources

KEYS = Path("/keys.gpg")


def read(tmp_path: Path, text: str, name: str = "sources.list") -> list[str]:
    """Sources of trixie on a machine with this one file, without the part that is always the same."""
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    lines = sources("trixie", etc_apt=tmp_path, keyring=KEYS)
    assert all(line.startswith(f"deb [signed-by={KEYS}] ") and line.endswith(" main") for line in lines)
    return [line.split("] ")[1].removesuffix(" main") for line in lines]


def test_one_line_style(tmp_path: Path) -> None:
    """The same mirrors, the wanted suite, updates and security only as configured; doubles once."""
    text = """
    # deb http://commented.example.org/debian bookworm main
    deb http://one.example.org/debian bookworm main contrib # a remark
    deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] https://two.example.org/x bookworm main
    deb-src http://one.example.org/debian bookworm main
    deb http://one.example.org/debian-security bookworm-security main
    deb http://one.example.org/debian/ bookworm-backports main
    deb http://one.example.org/debian bookworm main
    """
    assert [
        "http://one.example.org/debian trixie",
        "https://two.example.org/x trixie",
        "http://one.example.org/debian-security trixie-security",
    ] == read(tmp_path, text)


def test_deb822_style(tmp_path: Path) -> None:
    """Stanzas with several URIs and suites, comments inside, folded lines, and a disabled one."""
    text = """Types: deb deb-src
# a comment
URIs: http://one.example.org/debian
 http://two.example.org/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
Enabled: no
URIs: http://off.example.org/debian
Suites: bookworm
Components: main
"""
    assert [
        "http://one.example.org/debian trixie",
        "http://one.example.org/debian trixie-updates",
        "http://two.example.org/debian trixie",
        "http://two.example.org/debian trixie-updates",
    ] == read(tmp_path, text, "sources.list.d/debian.sources")


@pytest.mark.parametrize(
    "line",
    [
        "deb http://example.org/ubuntu noble main",
        "deb http://example.org/linux/ bookworm main",
        "deb [signed-by=/etc/apt/keyrings/other.gpg] http://example.org/debian bookworm main",
        "deb http://example.org/debian bookworm contrib",
        "deb http://example.org/debian bookworm/",
        "deb file:/srv/debian bookworm main",
        "deb cdrom:[Debian]/ bookworm main",
        "deb mirror+file:/etc/apt/mirrors/debian bookworm main",
        "deb http://example.org/debian",
        "deb [trusted=yes http://example.org/debian bookworm main",
        "nonsense",
    ],
)
def test_other_archives_are_left_alone(tmp_path: Path, line: str) -> None:
    """Archives of others, other kinds of access and broken lines give nothing."""
    assert read(tmp_path, line) == []


def test_trusted_is_never_taken_over(tmp_path: Path) -> None:
    """An administrator's `trusted=yes` does not weaken what we accept: the line is written anew."""
    assert ["http://example.org/debian trixie"] == read(
        tmp_path, "deb [trusted=yes allow-insecure=yes] http://example.org/debian bookworm main"
    )


def test_no_settings(tmp_path: Path) -> None:
    """A machine without any apt settings has no sources; unreadable names do not matter."""
    assert read(tmp_path, "deb http://example.org/debian bookworm main", "sources.list.d/x.list.save") == []
    assert sources("trixie", etc_apt=tmp_path / "none", keyring=KEYS) == []


def test_options_that_reach_the_mirror() -> None:
    """Proxies and certificates are passed on; nothing that concerns signatures is."""
    settings = {
        "Acquire::http::Proxy": "http://127.0.0.1:3128",
        "Acquire::https::CaInfo": "/etc/ca.pem",
        "Acquire::Retries": "3",
        "Acquire::http::Empty": "",
        "Acquire::http::Odd": 'a"; APT::Get::AllowUnauthenticated "true',
        "Acquire::AllowInsecureRepositories": "true",
        "APT::Get::AllowUnauthenticated": "true",
        "Dir": "/",
    }
    assert [
        'Acquire::http::Proxy "http://127.0.0.1:3128";',
        'Acquire::https::CaInfo "/etc/ca.pem";',
        'Acquire::Retries "3";',
    ] == network_options(settings)
