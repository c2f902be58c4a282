"""Names of npm releases, however they are written."""

from __future__ import annotations

import pytest
from packageurl import PackageURL

from rebuilder.ecosystems.npm.subject import escaped, parse_subject, release_purl, tarball_name
from rebuilder.errors import UsageError


@pytest.mark.parametrize(
    ("text", "name", "version"),
    [
        ("sigstore==2.1.0", "sigstore", "2.1.0"),
        ("sigstore@2.1.0", "sigstore", "2.1.0"),
        (" sigstore ", "sigstore", None),
        ("@scope/name@1.2.3", "@scope/name", "1.2.3"),
        ("@scope/name == 1.2.3", "@scope/name", "1.2.3"),
        ("@scope/name", "@scope/name", None),
        ("pkg:npm/%40scope/name@1.2.3", "@scope/name", "1.2.3"),
        ("pkg:npm/sigstore@2.1.0", "sigstore", "2.1.0"),
        ("JSONStream@1.3.5", "JSONStream", "1.3.5"),
        ("pkg:npm/npm@1.0.0", "npm", "1.0.0"),
        ("pkg:npm/NPM@1.0.0", "NPM", "1.0.0"),
        ("a==1.0.0-rc.1+build.5", "a", "1.0.0-rc.1+build.5"),
        ("lodash._baseiteratee@4.7.0", "lodash._baseiteratee", "4.7.0"),
    ],
)
def test_forms(text: str, name: str, version: str | None) -> None:
    """Name and version come out; a purl read again is the same."""
    subject = parse_subject(text)
    assert ("npm", name, version) == (subject.ecosystem, subject.name, subject.version)
    if version is not None:
        again = parse_subject(release_purl(name, version))
        assert (name, version) == (again.name, again.version)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "==1.0.0",
        "@1.0.0",
        "@scope",
        "@scope/",
        "@/name",
        "../etc/passwd",
        "..",
        ".hidden",
        "a/b",
        "a b",
        "a%2fb",
        "a@^1.2.0",
        "a@latest",
        "a==1.2",
        "a==01.2.3",
        "a==1.2.3-",
        "a==v1.2.3",
        "a==1.2.3/../4",
        "a==",
        "a\x1b[31m@1.0.0",
        "a@1.0.\N{ARABIC-INDIC DIGIT ONE}",
        "a" * 215,
        "a==1.0.0-" + "a" * 300,
        "pkg:pypi/idna@3.10",
        "pkg:npm/",
        "pkg:npm/a@1.0.0?file_name=x",
        "pkg:npm/scope/name@1.0.0#sub",
        "pkg:npm/scope/name@1.0.0",
    ],
)
def test_malformed(text: str) -> None:
    """A sentence with an example, printable whatever was typed."""
    with pytest.raises(UsageError) as caught:
        parse_subject(text)
    assert str(caught.value).isprintable()
    assert caught.value.hint


def test_names_in_addresses_and_files() -> None:
    """A scope's slash is escaped in addresses, and left out of file names."""
    assert "@scope%2Fname" == escaped("@scope/name")
    assert "name-1.2.3.tgz" == tarball_name("@scope/name", "1.2.3")
    for name, scope, version in (("name", "@scope", "1.2.3"), ("n.a-m_e~", None, "1.0.0-rc.1+b")):
        full = f"{scope}/{name}" if scope else name
        assert PackageURL("npm", scope, name, version).to_string() == release_purl(full, version)
    assert "pkg:npm/JSONStream@1.0.0" == release_purl("JSONStream", "1.0.0")
