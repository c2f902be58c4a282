"""Which setuptools writes metadata of a certain shape."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rebuilder.ecosystems.pypi.tool_versions import (
    RECORD_RULES,
    REQUIREMENT_RULES,
    RULES,
    Bracket,
    Shape,
    are_sorted,
    bracket,
    by_headers,
    read_by_python_2,
    reordered,
    shadowing_wheel,
)

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
    """The wheel package left headers out itself then; what is there has an upper bound all the same."""
    assert "<60.6,<62.2" == bracket(replace(SHAPE, metadata=OLD.replace("2.1", "2.0"))).specifier
    assert () == bracket(replace(SHAPE, metadata=NEW.replace("2.1", "2.0"))).rules


@pytest.mark.parametrize(
    ("published", "rebuilt", "expected"),
    [
        ("Platform: any", "Platform: any\nLicense-File: LICENSE", "<57"),
        ("Platform: any", "Maintainer: A\nProject-URL: Home, https://example.org/\nPlatform: any", "<38.3,<38.7"),
        ("License-File: LICENSE", "Platform: any", ""),
        ("Provides-Extra: a", "Provides-Extra: a\nProvides-Extra: a", "<38.6"),
        ("Requires-Python: >=3", "Requires-Python: >=3.0", ""),
    ],
)
def test_headers_of_the_rebuild_alone(published: str, rebuilt: str, expected: str) -> None:
    """A setuptools that does not know a header leaves it out."""
    one, other = (replace(SHAPE, metadata=f"Metadata-Version: 2.1\n{lines}\n") for lines in (published, rebuilt))
    assert expected == by_headers(one, other).specifier


@pytest.mark.parametrize(
    "lines", ["Description-Content-Type: UNKNOWN", "Description-Content-Type: text/plain\nPlatform: any"]
)
@pytest.mark.parametrize("version", ["1.2", "2.0", "2.1"])
def test_content_type_of_half_a_year(version: str, lines: str) -> None:
    """It was written so in a few releases of setuptools only, whatever the wheel package was."""
    text = (
        f"Metadata-Version: {version}\nHome-page: https://example.org/\n{lines}\nRequires-Python: >=3\nPlatform: any\n"
    )
    assert "<38.6,>=36.4" == bracket(replace(SHAPE, metadata=text, licences=False)).specifier


@pytest.mark.parametrize(("lines", "expected"), [("", "<56"), ("Requires-Python: >=3\n", "<38.7,<56")])
@pytest.mark.parametrize("name", ["Author", "Author-email"])
def test_unknown_author(name: str, lines: str, expected: str) -> None:
    """Metadata before version 1.2 had an author always."""
    text = PLAIN.partition("\nText.")[0] + f"{name}: UNKNOWN\n{lines}"
    assert expected == bracket(replace(SHAPE, metadata=text, licences=False)).specifier


@pytest.mark.parametrize(
    ("published", "rebuilt", "expected"),
    [
        (["A", "b (>=1)"], ["b (>=1)", "A"], True),
        (["A", "b"], ["A", "b"], False),
        (["b", "A"], ["A", "b"], False),
        (["A", "c"], ["b", "A"], False),
        (["b", "a ; extra == 'x'", "c ; extra == 'x'"], ["b", "c ; extra == 'x'", "a ; extra == 'x'"], True),
        (["a ; extra == 'x'", "b"], ["b", "a ; extra == 'x'"], False),
        (["y-z (==1)", "y (==1)"], ["y (==1)", "y-z (==1)"], True),
    ],
)
def test_sorted_requirements(published: list[str], rebuilt: list[str], expected: bool) -> None:
    """As lines of requires.txt, in the section of each extra; the same order says nothing."""
    one, other = (
        replace(SHAPE, metadata="".join(f"Requires-Dist: {each}\n" for each in lines)) for lines in (published, rebuilt)
    )
    assert expected == are_sorted(one, other)


def test_sentence() -> None:
    """The evidence is told with the versions."""
    assert "METADATA has License-File (setuptools >=57)" in bracket(SHAPE).sentence


def test_every_rule_has_a_source() -> None:
    """A rule says where it is from."""
    rules = (*RULES, *RECORD_RULES, *REQUIREMENT_RULES)
    assert [] == [rule.evidence for rule in rules if not rule.source.startswith(("setuptools ", "wheel "))]


PLAIN = """\
Metadata-Version: 2.1
Name: x
Version: 1
Home-page: https://example.org/x
Platform: any

Text."""


@pytest.mark.parametrize(
    ("ends", "expected"), [(1, {">=57", ">=62.2"}), (2, {">=57"}), (3, {"<62.2"}), (4, {"<62.2"}), (5, {"<62.2"})]
)
def test_line_ends_after_the_description(ends: int, expected: set[str]) -> None:
    """Up to 56 there are at least three, up to 62.1 two more than in the text, and then as many as in the text."""
    shape = Shape(metadata=PLAIN + "\n" * ends, entry_points=None, licences=False, nspkg=None, setup_cfg=None)
    assert expected == set(filter(None, bracket(shape).specifier.split(",")))


def test_line_ends_say_nothing_against_a_missing_platform() -> None:
    """Who leaves out Platform writes the text as it is, with all its empty lines."""
    text = PLAIN.replace("Platform: any\n", "") + "\n\n\n"
    shape = Shape(metadata=text, entry_points=None, licences=False, nspkg=None, setup_cfg=None)
    assert ">=62.2" == bracket(shape).specifier


def requires(*lines: str, typed: bool = True) -> Shape:
    """A shape with these values of Requires-Dist."""
    head = "Metadata-Version: 2.1\nName: x\nVersion: 1\n"
    text = head + "".join(f"Requires-Dist: {line}\n" for line in lines)
    return Shape(metadata=text, entry_points=None, licences=False, nspkg=None, setup_cfg=None, record_is_typed=typed)


OLDER = requires("idna (<4,>=3)", "six", "attrs (>=20) ; extra == 'more'")
BUNDLED = requires("idna <4,>=3", "six", 'attrs ; python_version > "3"')
NEWER = requires("idna<4,>=3", "six", 'attrs[a,b]>=20; extra == "more"')


@pytest.mark.parametrize(
    ("shape", "setuptools", "required", "fits", "fits_not"),
    [
        (OLDER, "75.1.0", False, ["0.40.0", "0.41.0"], ["0.33.6", "0.38.4", "0.41.1", "0.43.0"]),
        (replace(OLDER, record_is_typed=False), "75.1.0", False, ["0.34.2", "0.38.4"], ["0.40.0"]),
        (BUNDLED, "75.1.0", True, ["0.41.1", "0.43.0"], ["0.41.0", "0.44.0"]),
        (NEWER, "71.0.0", False, ["0.44.0", "0.45.1"], ["0.43.0"]),
        (replace(NEWER, record_is_typed=False), "80.9.0", False, ["0.38.4"], ["0.40.0"]),
    ],
)
def test_wheel_beside_setuptools(
    shape: Shape, setuptools: str, required: bool, fits: list[str], fits_not: list[str]
) -> None:
    """How requirements are written, and the mode of RECORD, say whose modules setuptools used."""
    found = shadowing_wheel(shape, setuptools, required=required)
    assert "wheel" == found.tool
    assert ([], []) == (
        [each for each in fits if not found.contains(each)],
        [each for each in fits_not if found.contains(each)],
    )


@pytest.mark.parametrize(
    ("shape", "setuptools", "required"),
    [
        (BUNDLED, "75.1.0", False),  # its own copy writes the same
        (OLDER, "70.1.0", True),  # it does not look for another
        (NEWER, "80.9.0", False),  # it writes requirements itself
        (requires("six"), "75.1.0", False),
        (OLDER, "no version", True),
        (requires("idna (<4)", typed=False), "70.3.0", True),
    ],
)
def test_no_wheel_beside_setuptools(shape: Shape, setuptools: str, required: bool) -> None:
    """What its own copy explains asks for nothing more."""
    assert () == shadowing_wheel(shape, setuptools, required=required).rules


@pytest.mark.parametrize(("rules", "expected"), [((0, 3), "41.3"), ((3,), "56.0"), ((2,), None), ((), None)])
def test_newest(rules: tuple[int, ...], expected: str | None) -> None:
    """A version below the lowest bound; none without a bound."""
    assert expected == Bracket(tuple(RULES[number] for number in rules)).newest


@pytest.mark.parametrize(
    ("published", "rebuilt", "expected"),
    [
        (["Provides-Extra: b", "Provides-Extra: a"], ["Provides-Extra: a", "Provides-Extra: b"], [["b", "a"]]),
        (
            ["Requires-Dist: x (>=1)", 'Requires-Dist: b; extra == "t"', 'Requires-Dist: a; extra == "t"'],
            ["Requires-Dist: x (>=1)", 'Requires-Dist: a; extra == "t"', 'Requires-Dist: b; extra == "t"'],
            [["b", "a"]],
        ),
        (
            ["Requires-Dist: y (>=1)", "Requires-Dist: x"],
            ["Requires-Dist: x", "Requires-Dist: y (>=1)"],
            [["y>=1", "x"]],
        ),
        (["Provides-Extra: b", "Provides-Extra: a", "Provides-Extra: a", "Provides-Extra: b"],) * 2 + ([],),
        (["Requires-Dist: x"], ["Requires-Dist: x"], []),
        (["Requires-Dist: y", "Requires-Dist: x"], ["Requires-Dist: x", "Requires-Dist: z"], []),
    ],
)
def test_reordered(published: list[str], rebuilt: list[str], expected: list[list[str]]) -> None:
    """Orders of the same extras, and of the same requirements of one extra; none when anything else differs."""
    one, other = (
        replace(SHAPE, metadata="\n".join(["Metadata-Version: 2.1", *lines, ""])) for lines in (published, rebuilt)
    )
    assert expected == [order for order, _ in reordered(one, other)]
    assert all(sorted(order) == sorted(before) for order, before in reordered(one, other))


@pytest.mark.parametrize(
    ("published", "rebuilt", "expected"),
    [("\nText\n", "\n\nText\n", True), ("Text\n", "\nText\n", True), ("Text", "Text", False), ("a", "\nb", False)],
)
def test_read_by_python_2(published: str, rebuilt: str, expected: bool) -> None:
    """One empty line less before the same text; fewer in the rebuild say nothing."""
    one, other = (replace(SHAPE, metadata=f"Name: x\n\n{text}") for text in (published, rebuilt))
    assert expected == read_by_python_2(one, other)
    assert not read_by_python_2(other, one)
