"""What a user types to name a PyPI release."""

from __future__ import annotations

import pytest

from rebuilder.ecosystems.pypi.subject import file_version, parse_subject, release_purl
from rebuilder.errors import UsageError


@pytest.mark.parametrize(
    ("text", "name", "version", "filename"),
    [
        ("idna==3.10", "idna", "3.10", None),
        (" idna == 3.10 ", "idna", "3.10", None),
        ("idna@3.10", "idna", "3.10", None),
        ("Ruamel.YAML__clib", "ruamel-yaml-clib", None, None),
        ("pkg:pypi/idna@3.10", "idna", "3.10", None),
        ("pkg:pypi/idna", "idna", None, None),
        (
            "pkg:pypi/Idna@3.10?file_name=idna-3.10-py3-none-any.whl",
            "idna",
            "3.10",
            "idna-3.10-py3-none-any.whl",
        ),
        ("idna-3.10-py3-none-any.whl", "idna", "3.10", "idna-3.10-py3-none-any.whl"),
    ],
)
def test_reads_every_form(text: str, name: str, version: str | None, filename: str | None) -> None:
    """All the forms the manual names are understood, names normalised as PEP 503 asks."""
    subject = parse_subject(text)
    assert ("pypi", name, version, filename) == (subject.ecosystem, subject.name, subject.version, subject.filename)
    assert text.strip() == subject.asked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "==1",
        "-e",
        "idna==",
        "idna==one",
        "idna>=3",
        "../idna",
        "idna\x1b[2J",
        "a" * 400,
        "pkg:npm/idna@3.10",
        "pkg:pypi/",
        "pkg:pypi/idna@3.10?file_name=../../etc/passwd",
        "pkg:pypi/idna@3.10#sub/path",
        "idna-3.10.whl",
        "idna-3.10-1<b>-py3-none-any.whl",
        "idna-3.10-1/../x-py3-none-any.whl",
    ],
)
def test_malformed_is_one_sentence(text: str) -> None:
    """What names no release is wrong use, said in a sentence a terminal can show."""
    with pytest.raises(UsageError) as caught:
        parse_subject(text)
    assert str(caught.value).isprintable()
    assert str(caught.value).endswith(".")
    assert caught.value.hint


def test_file_names_give_versions() -> None:
    """Wheels and source archives are understood, anything else is not."""
    for filename in ("idna-3.10-py3-none-any.whl", "idna-3.10.tar.gz", "idna-3.10.zip"):
        parsed = file_version(filename)
        assert parsed is not None
        assert ("idna", "3.10") == (parsed[0], str(parsed[1]))
    for filename in ("idna-3.10.exe", "idna-3.10.tar.bz2", "idna.whl", "../idna-3.10.tar.gz", "idna-x.tar.gz"):
        assert file_version(filename) is None


def test_purl_is_normalised() -> None:
    """The package URL carries the normalised name."""
    assert release_purl("Ruamel.yaml", "1.0") == "pkg:pypi/ruamel-yaml@1.0"
