"""What a rebuild that differs shows about the build of the published wheel."""

from __future__ import annotations

import pytest

from rebuilder.ecosystems.pypi.command_line import option_choices, retag_options, version_choices
from rebuilder.ecosystems.pypi.tool_versions import by_line_ends


@pytest.mark.parametrize(
    ("published", "rebuilt", "used", "expected"),
    [
        (3, 1, "65.5.0", "<62.2"),
        (2, 1, "65.5.0", "<62.2,>=57"),
        (4, 2, "65.5.0", "<62.2"),
        (3, 2, "59.6.0", "<57"),
        (1, 3, "59.6.0", ">=62.2"),
        (2, 4, "56.2.0", ">=62.2"),
        (2, 3, "56.2.0", "<62.2,>=57"),
        (3, 3, "59.6.0", ""),
        (7, 1, "65.5.0", ""),
        (1, 1, "65.5.0", ""),
    ],
)
def test_line_ends_after_one_description(published: int, rebuilt: int, used: str, expected: str) -> None:
    """What a known version made of the text tells how the text ends, and that which version made the other."""
    assert expected == by_line_ends(published, rebuilt, used).specifier


@pytest.mark.parametrize(
    ("made", "published", "expected"),
    [
        ("x-1-py3-none-any.whl", "x-1-2-py3-none-any.whl", ("--build=2",)),
        ("x-1-py3-none-any.whl", "x-1-py2.py3-none-any.whl", ("--python-tag=py2.py3",)),
        (
            "x-1-py3-none-any.whl",
            "x-1-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            ("--platform-tag=manylinux_2_17_x86_64.manylinux2014_x86_64",),
        ),
        (
            "x-1-py3-none-any.whl",
            "x-1-cp39-abi3-win32.whl",
            ("--python-tag=cp39", "--abi-tag=abi3", "--platform-tag=win32"),
        ),
        ("x-1-py3-none-any.whl", "x-1-py3-none-any.whl", ()),
        ("x-1-py3-none-any.whl", "x-1-py3-none-payload.whl", ()),
        ("x-1-cp313-cp313-linux_x86_64.whl", "x-1-py3-none-any.whl", ()),
        ("x-0-py3-none-any.whl", "x-1-2-py3-none-any.whl", ()),
    ],
)
def test_retagged(made: str, published: str, expected: tuple[str, ...]) -> None:
    """Only a pure wheel of the same version is retagged, and only to tags that are in use."""
    assert expected == retag_options(made, published)


def test_choices() -> None:
    """What a build is told is counted."""
    assert 11**3 == version_choices("1.0")
    assert 40**5 == version_choices("1.0a1")
    assert 66**7 == version_choices("1.0+aBc")
    assert option_choices(("--platform-tag=win32",)) < option_choices(("--platform-tag=win32.win_amd64",))
    assert 10 == option_choices(("--build=2",))
