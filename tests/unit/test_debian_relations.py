"""What a builder makes of the relationships of a source package."""

from __future__ import annotations

import pytest

from rebuilder.deb822 import MalformedStanzaError
from rebuilder.ecosystems.debian.relations import MOST, is_for, wanted


@pytest.mark.parametrize(
    ("field", "installed"),
    [
        ("debhelper-compat (= 13), libc-ares-dev (>=1.6)", ["debhelper-compat (= 13)", "libc-ares-dev (>= 1.6)"]),
        ("a1 | b1, c1|d1 (<< 2)", ["a1", "c1"]),
        ("a1 (>= 2) | b1 | a1 (<< 1)", ["a1 (>= 2) | a1 (<< 1)"]),
        ("a1 [arm64] | b1, c1 [linux-any], d1 [!amd64], e1 [!arm64 !i386]", ["b1", "c1", "e1"]),
        ("a1 [any-amd64], b1 [any-arm64 hurd-any], c1 [any], d1 [kfreebsd-amd64]", ["a1", "c1"]),
        ("a1 <!nocheck>, b1 <cross>, c1 <!cross !stage1>, d1 <stage1> <!nodoc>", ["a1", "c1", "d1"]),
        ("a1 [amd64] <nodoc> | b1", ["b1"]),
        ("python3:any (>= 3.1), gcc:native", ["python3:any (>= 3.1)", "gcc:native"]),
        ("a1,\n  b1 ,,\n\n", ["a1", "b1"]),
        ("", []),
    ],
)
def test_first_alternative_that_concerns_the_build(field: str, installed: list[str]) -> None:
    """Others than the first one stay out, whatever they are; so does what other architectures and profiles want."""
    assert installed == wanted(field, "amd64")


def test_profiles_of_a_build() -> None:
    """What a profile leaves out, and what it brings."""
    assert ["b1"] == wanted("a1 <!nocheck>, b1 <nocheck>", "amd64", frozenset({"nocheck"}))


def test_processors_that_share_a_name() -> None:
    """Both 32-bit ARM architectures are for any-arm."""
    assert ["a1"] == wanted("a1 [any-arm]", "armhf") == wanted("a1 [any-arm]", "armel")
    assert [] == wanted("a1 [any-arm]", "arm64")


def test_all_alternatives() -> None:
    """Asked for where the first one is not to be had."""
    assert ["a1 | b1 (= 1)"] == wanted("a1 | b1 (= 1) | c1 [arm64]", "amd64", all_alternatives=True)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("a1 (= 1", "among its relationships"),
        ("a1; rm -rf /", "among its relationships"),
        ("a1 (= $(id))", "among its relationships"),
        ("a1\x00", "among its relationships"),
        ("-o=x", "among its relationships"),
        ("a1 [amd64 !i386]", "in two ways"),
        ("a1, " * (MOST + 1), "more than 5,000 relationships"),
        ("a" * (2 << 20), "more than a megabyte"),
    ],
)
def test_what_is_none(field: str, words: str) -> None:
    """Refused as a whole, with what is wrong with it."""
    with pytest.raises(MalformedStanzaError, match=words.replace("(", r"\(")):
        wanted(field, "amd64")


@pytest.mark.parametrize(
    ("qualifiers", "made"),
    [
        *((each, True) for each in ("", "[any]", "[linux-any]", "[any-amd64]", "<!nodoc>", "<!nodoc> <stage1>")),
        *((each, False) for each in ("[arm64]", "[!amd64]", "[hurd-any]", "<stage1>")),
    ],
)
def test_what_a_build_without_profiles_makes(qualifiers: str, made: bool) -> None:
    """By the architectures and profiles of a package."""
    assert made == is_for(qualifiers, "amd64")


def test_qualifiers_that_are_none() -> None:
    """They are refused, whatever stands in them."""
    with pytest.raises(MalformedStanzaError, match="among its relationships"):
        is_for("[any", "amd64")
