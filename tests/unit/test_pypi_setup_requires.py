"""What setup.py says it needs to be run."""

from __future__ import annotations

import pytest

from rebuilder.ecosystems.pypi.requirements import Requirements
from rebuilder.ecosystems.pypi.setup_requires import setup_requires, with_setup_requires


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
