"""What setup.py says it needs to be run."""

from __future__ import annotations

import pytest

from rebuilder.ecosystems.pypi.requirements import Requirements
from rebuilder.ecosystems.pypi.tools_used import setup_requires, with_setup_requires


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import setuptools\nsetuptools.setup(setup_requires=['pbr>=1.8'], pbr=True)\n", ("pbr>=1.8",)),
        ("setup(setup_requires='pbr')", ("pbr",)),
        ("setup(setup_requires=('a', NEEDED, 'b @ https://example.org/b.zip', 'not one'))", ("a",)),
        ("setup(setup_requires=needed())", ()),
        ("setup(install_requires=['a'])", ()),
        ("print 'Python 2'", ()),
        ("(" * 9000, ()),
        ("\0", ()),
        (None, ()),
    ],
)
def test_setup_requires(text: str | None, expected: tuple[str, ...]) -> None:
    """Only what is written out, and only releases; nothing is run."""
    assert expected == setup_requires(text)


def test_added() -> None:
    """It is built with, and told."""
    found = with_setup_requires(Requirements(("setuptools",), None), "setup(setup_requires=['pbr'])")
    assert (("setuptools", "pbr"), ("setup.py asks for pbr to be run.",)) == (found.requirements, found.notes)
    assert Requirements(("setuptools",), None) == with_setup_requires(Requirements(("setuptools",), None), None)


def test_added_to_whatever_is_tried() -> None:
    """A tool that can be had is not said to be missing because something else that is asked for is."""
    older = Requirements(
        ("wheel<=0.32.2",), None, ("The wheel says so.",), alternatives=(Requirements(("wheel",), None),)
    )
    wanted = Requirements(("wheel==0.32.2",), "wheel==0.32.2", stand_in=older)
    found = with_setup_requires(wanted, "setup(setup_requires=['pbr'])").stand_in
    assert found is not None
    assert (("wheel<=0.32.2", "pbr"), "The wheel says so.") == (found.requirements, found.notes[0])
    assert [("wheel", "pbr")] == [each.requirements for each in found.alternatives]
