"""The record of its build that a release carries: whoever publishes writes it, so little of it counts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rebuilder.ecosystems.pypi.requirements import recorded_tools
from rebuilder.model.definition import Input, Role
from rebuilder.model.evidence import Inspection, Member, MemberKind
from rebuilder.model.sbom import project_sbom
from tests.fakes import reports

NAME = "loom-1.0.dist-info/sboms/build.cdx.json"


def member(name: str, content: str) -> Member:
    """A file of an archive."""
    sha256 = reports.sha(content)
    return Member(name=name, kind=MemberKind.FILE, size=len(content), sha256=sha256, mtime="2024-01-01T00:00:00")


def said(text: str, *, in_source: bool = True) -> tuple[str, ...] | None:
    """What a record with this text holds a build to."""
    wheel = Inspection(format="zip", members=(member(NAME, text),), texts={NAME: text})
    source = Inspection(format="tar.gz", members=(member("loom-1.0/x.cdx.json", text if in_source else "other"),))
    found = recorded_tools(wheel, source)
    return None if found is None else found.requirements


def record(*purls: Any) -> str:
    """A record that names these packages."""
    return json.dumps({"formulation": [{"components": [{"purl": each} for each in purls]}]})


def test_what_preflight_writes_is_read() -> None:
    """The releases of the build dependencies, and nothing else of the definition."""
    wheels = [
        Input(
            role=Role.BUILD_DEPENDENCY, name=name, version=version, sha256=reports.sha(name), path=f"/inputs/{name}.whl"
        )
        for name, version in (("setuptools", "80.9.0"), ("wheel", "0.45.1"))
    ]
    definition = reports.definition(reports.artifact(), inputs=tuple(wheels))
    text = project_sbom(definition).decode()
    assert ("setuptools==80.9.0", "wheel==0.45.1") == said(text)
    assert text == project_sbom(definition.replace(inputs=tuple(wheels[::-1]), umask="0002")).decode()


def test_a_record_that_the_source_lacks_does_not_count() -> None:
    """What is in the published file alone steers no build."""
    text = record("pkg:pypi/setuptools@80.9.0")
    assert ("setuptools==80.9.0",) == said(text)
    assert said(text, in_source=False) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"formulation": 1}',
        '{"formulation": [{"components": [1]}]}',
        record(),
        record(7),
        record("pkg:npm/left-pad@1.0.0"),
        record("pkg:pypi/setuptools"),
        record("pkg:pypi/setuptools@80.9.0?download_url=https://files.example.org/x.whl"),
        record("pkg:pypi/setuptools@80.9.0#sub/path"),
        record("pkg:pypi/a/setuptools@80.9.0"),
        record("pkg:pypi/setuptools@https:%2F%2Ffiles.example.org%2Fx.whl"),
        record("pkg:pypi/setuptools@80.9.0%0A--index-url=x"),
        record("pkg:pypi/--index-url@1"),
        record("pkg:pypi/setuptools@80.9.0", "pkg:pypi/Setuptools@79.0"),
        record("pkg:pypi/setuptools@80.9.0", "pkg:pypi/wheel@latest"),
        record(*(f"pkg:pypi/p{number}@1" for number in range(101))),
        "[" * 100_000,
    ],
)
def test_a_record_that_is_wrong_anywhere_says_nothing(text: str) -> None:
    """No address, no option, no other registry, no two versions: then it is as if there were none."""
    assert said(text) is None
