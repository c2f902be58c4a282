"""What a wheel, its source and its upload time say together about the tools."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rebuilder.ecosystems.pypi.requirements import read_build_system
from rebuilder.ecosystems.pypi.tools_used import Tools, tools_used
from rebuilder.ecosystems.pypi.wheel_traces import read_traces
from rebuilder.model.artifact import Artifact, PublishedFile
from rebuilder.model.evidence import Inspection, Member, MemberKind
from rebuilder.model.value import Sha256

METADATA = (
    "Metadata-Version: 2.1\nName: x\nVersion: 1\nHome-page: https://example.org/\nPlatform: {}\n"
    "Requires-Dist: {}\n\nText\n\n"
)


def tools(
    uploaded: datetime,
    *,
    generator: str = "bdist_wheel (0.33.6)",
    platform: str = "any",
    requires: str = "six",
    files: tuple[str, ...] = (),
) -> Tools:
    """Of a wheel for Python 2 and 3 without a word about that in setup.cfg."""
    texts = {
        "x-1.dist-info/WHEEL": f"Wheel-Version: 1.0\nGenerator: {generator}\nTag: py2-none-any\nTag: py3-none-any\n",
        "x-1.dist-info/METADATA": METADATA.format(platform, requires),
    }
    members = tuple(
        Member(name=name, kind=MemberKind.FILE, size=1, mtime="2020-01-01T00:00:00", create_system=0)
        for name in (*texts, *files)
    )
    listing = Inspection(format="zip", members=members, texts=texts)
    file = PublishedFile(
        filename="x-1-py2.py3-none-any.whl", url="https://example.org/x.whl", sha256=Sha256("ab" * 32), size=1
    )
    artifact = Artifact(ecosystem="pypi", purl="pkg:pypi/x@1", name="x", version="1", file=file)
    return tools_used(
        listing,
        read_traces(listing),
        artifact,
        read_build_system(None),
        uploaded=uploaded,
        setup_py="setup()",
        setup_cfg=None,
    )


def test_everything_is_told() -> None:
    """Versions, command line and system, each with its sentence."""
    found = tools(datetime(2021, 1, 1, tzinfo=UTC), platform="UNKNOWN")
    assert "setuptools<62.2,>=57" in found.requirements.requirements
    assert found.setup is not None
    assert ("--universal",) == found.setup.options
    assert found.windows is not None
    assert [found.setup.sentence, found.windows.sentence] == found.sentences


@pytest.mark.parametrize(
    ("files", "expected"),
    [((), False), (("x-1-py3.9-nspkg.pth",), False), (("x-1-nspkg.pth",), True), (("x-python-1-nspkg.pth",), True)],
)
def test_namespace_files_of_debian(files: tuple[str, ...], expected: bool) -> None:
    """One without a version of Python in its name, and that is told."""
    found = tools(datetime(2021, 1, 1, tzinfo=UTC), files=files)
    assert expected is found.unnamed_namespaces
    assert expected is any("Debian" in each for each in found.sentences)


@pytest.mark.parametrize(
    ("year", "platform", "expected"),
    [
        (2014, "any", "16.0"),
        (2017, "any", "38.7"),
        (2019, "any", "41.0"),
        (2022, "any", "66.0"),
        (2023, "UNKNOWN", "62.1"),
        (2024, "any", None),
    ],
)
def test_setuptools_that_decides_about_the_python(year: int, platform: str, expected: str | None) -> None:
    """The newest there can have been: by the upload, or by the shape of the metadata."""
    found = tools(datetime(year, 6, 1, tzinfo=UTC), platform=platform)
    assert expected == found.versions.get("setuptools")
    assert "0.33.6" == found.versions["wheel"]


def test_wheel_beside_setuptools() -> None:
    """Parentheses in Requires-Dist are not of the setuptools that Generator names: another wheel was beside it."""
    found = tools(datetime(2024, 10, 1, tzinfo=UTC), generator="setuptools (75.1.0)", requires="idna (<4,>=3)")
    assert "setuptools==75.1.0" in found.requirements.requirements
    assert "wheel<0.41.1,>=0.34" in found.requirements.requirements
    assert {"setuptools": "75.1.0", "wheel": "<0.41.1,>=0.34"} == found.versions
    assert "Requires-Dist has versions in parentheses" in " ".join(found.requirements.notes)
    plain = tools(datetime(2024, 10, 1, tzinfo=UTC), generator="setuptools (75.1.0)", requires="idna <4,>=3")
    assert not any(each.startswith("wheel") for each in plain.requirements.requirements)


def test_other_tools() -> None:
    """Shapes of setuptools say nothing about a wheel that something else packed."""
    found = tools(datetime(2019, 1, 1, tzinfo=UTC), generator="flit 3.9.0")
    assert {"flit": "3.9.0"} == found.versions
    assert (None, datetime(2019, 1, 1, tzinfo=UTC)) == (found.setup, found.not_after)


def test_backend_that_the_source_does_not_name() -> None:
    """What packed the wheel is called, and that is told."""
    found = tools(datetime(2018, 1, 1, tzinfo=UTC), generator="flit 1.3")
    assert ("flit.buildapi", "flit==1.3") == (found.system.backend, found.requirements.pinned)
    assert found.setup is None
    assert any("flit.buildapi is called" in note for note in found.requirements.notes)
