"""Which setuptools writes metadata of a certain shape."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rebuilder.ecosystems.pypi.tool_versions import RULES, Bracket, Shape, bracket

OLD = """\
Metadata-Version: 2.1
Name: x
Version: 1
Summary: A library
Home-page: https://example.org/x
Author: A. Author
License: MIT
Download-URL: https://example.org/x
Platform: UNKNOWN
Requires-Python: >=2.7, !=3.0.*
License-File: LICENSE

Text.


"""
NEW = """\
Metadata-Version: 2.1
Name: x
Version: 1
Summary: A library
Download-URL: https://example.org/x
Author: A. Author
License: MIT
License-File: LICENSE

Text.
"""
SHAPE = Shape(metadata=OLD, entry_points=None, licences=True, nspkg=None, setup_cfg=None)


def test_between() -> None:
    """License-File came with 57, Download-URL moved with 60.6, and UNKNOWN went away with 62.2."""
    assert "<60.6,<62.2,>=57" == bracket(SHAPE).specifier
    assert bracket(SHAPE).contains("59.8.0")
    assert not bracket(SHAPE).contains("56.2.0")


def test_newer() -> None:
    """Nothing is UNKNOWN any more."""
    assert ">=57,>=60.6,>=62.2" == bracket(replace(SHAPE, metadata=NEW)).specifier


def test_licences_without_a_header() -> None:
    """Licence files that METADATA does not name are from before 57."""
    text = OLD.replace("License-File: LICENSE\n", "")
    assert "<57" in bracket(replace(SHAPE, metadata=text)).specifier.split(",")
    assert not any("57" in each for each in bracket(replace(SHAPE, metadata=text, licences=False)).specifier.split(","))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[console_scripts]\nx = x:main\n\n", "<60.9"),
        ("[console_scripts]\nx = x:main\n", ">=60.9"),
        ("[console_scripts]\r\nx = x:main\r\n\r\n", "<60.9"),
    ],
)
def test_entry_points(text: str, expected: str) -> None:
    """Groups of entry points ended with an empty line until 60.9."""
    metadata = NEW.replace("Download-URL: https://example.org/x\n", "Home-page: https://example.org/\nPlatform: any\n")
    shape = replace(SHAPE, metadata=metadata.replace("Text.\n", "Text.\n\n"), entry_points=text)
    assert f"{expected},>=57" == bracket(shape).specifier or f">=57,{expected}" == bracket(shape).specifier


@pytest.mark.parametrize(("said", "expected"), [(">=2.7, !=3.0.*", "<41.4"), ("!=3.0.*,>=2.7", ">=41.4")])
def test_requires_python(said: str, expected: str) -> None:
    """The specifier of setup.cfg was sorted from 41.4 on."""
    shape = replace(
        SHAPE,
        metadata=OLD.replace(">=2.7, !=3.0.*", said).replace("License-File: LICENSE\n", ""),
        setup_cfg="[options]\npython_requires = >=2.7, !=3.0.*\n",
    )
    assert expected in bracket(shape).specifier.split(",")


def test_nspkg() -> None:
    """The same namespace twice in a -nspkg.pth file is from before 68.2."""
    assert "<68.2" in bracket(replace(SHAPE, nspkg="import a\nimport a\n")).specifier.split(",")
    assert "<68.2" not in bracket(replace(SHAPE, nspkg="import a\nimport b\n")).specifier.split(",")


def test_contradiction() -> None:
    """A shape no release writes says nothing: somebody changed setuptools."""
    shape = replace(SHAPE, metadata=NEW.replace("License: MIT", "License: UNKNOWN"))
    assert () == bracket(shape).rules
    assert "" == bracket(shape).sentence


def test_before_metadata_2_1() -> None:
    """The wheel package wrote METADATA itself then."""
    assert () == bracket(replace(SHAPE, metadata=OLD.replace("2.1", "2.0"))).rules


def test_sentence() -> None:
    """The evidence is told with the versions."""
    assert "METADATA has License-File (setuptools >=57)" in bracket(SHAPE).sentence


def test_every_rule_has_a_source() -> None:
    """A rule says where it is from."""
    assert [] == [rule.evidence for rule in RULES if not rule.source.startswith("setuptools ")]


@pytest.mark.parametrize(("rules", "expected"), [((0, 3), "41.3"), ((3,), "56.0"), ((2,), None), ((), None)])
def test_newest(rules: tuple[int, ...], expected: str | None) -> None:
    """A version below the lowest bound; none without a bound."""
    assert expected == Bracket(tuple(RULES[number] for number in rules)).newest
