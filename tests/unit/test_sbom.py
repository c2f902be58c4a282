"""SBOMs: what a build environment and a rebuilt file were made with, in CycloneDX that strict readers take."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from rebuilder.model.definition import Input, Role
from rebuilder.model.environment import Image, Package, Release, Specification
from rebuilder.model.sbom import (
    artifact_sbom,
    build_dependencies,
    environment_sbom,
    packages_of,
    project_sbom,
    release_key,
)
from rebuilder.model.value import sha256_hex
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs

TREE = reports.sha("trixie")
VALIDATOR = JsonStrictValidator(SchemaVersion.V1_6)


def package(name: str, version: str = "1.0-1", architecture: str = "amd64") -> Package:
    """A Debian package."""
    return Package(name=name, version=version, architecture=architecture, sha256=reports.sha(f"{name} {version}"))


def specification(*packages: Package, **changes: Any) -> Specification:
    """What an environment was made from."""
    release = Release(suite="trixie", date="Sat, 15 Nov 2026 09:00:00 UTC", sha256=reports.sha("InRelease"))
    fields: dict[str, Any] = {"method": "extracted", "suite": "trixie", "releases": (release,), "recipe": 1}
    return Specification(packages=packages, **fields | changes)


def read(document: bytes) -> dict[str, Any]:
    """A document that the strict schema takes, with references that lead somewhere."""
    assert VALIDATOR.validate_str(document.decode()) is None
    found: dict[str, Any] = json.loads(document)
    return found


def test_of_an_environment() -> None:
    """Every package with its digest, in a document that the same packages give again, whatever promised them."""
    spec = specification(package("zlib1g", "1:1.3.1"), package("libstdc++6", "14.2.0-19"), package("libc6"))
    document = environment_sbom(TREE, "trixie", spec)
    found = read(document)
    purls = [each["purl"] for each in found["components"]]
    assert "pkg:deb/debian/libstdc%2B%2B6@14.2.0-19?arch=amd64&distro=trixie" in purls
    assert {"zlib1g", "libstdc++6", "libc6"} == {each["name"] for each in found["components"]}
    assert [{"alg": "SHA-256", "content": reports.sha("libc6 1.0-1")}] == found["components"][0]["hashes"]
    assert "complete" == found["compositions"][0]["aggregate"]
    other = spec.replace(packages=spec.packages[::-1], releases=())
    assert document == environment_sbom(TREE, "trixie", other)
    fewer = read(environment_sbom(TREE, "trixie", specification(package("libc6"))))
    assert fewer["serialNumber"] != found["serialNumber"]


def test_packages_over_others_take_their_place() -> None:
    """What a layer replaces is not there any more; what it leaves is."""
    base = specification(package("gcc", "14"), package("libc6", "2.41"), method="configured")
    over = specification(package("libc6", "2.42"), package("debhelper"), method="configured", base=base)
    assert {("debhelper", "1.0-1"), ("gcc", "14"), ("libc6", "2.42")} == {
        (each.name, each.version) for each in packages_of(over).values()
    }
    assert 3 == len(read(environment_sbom(TREE, "layer", over))["components"])


def test_given_files_are_said_to_be_unknown() -> None:
    """Nobody said what is in an image, so the document does not claim to be complete."""
    found = read(environment_sbom(TREE, "image", specification(method="image", image=Image(sha256=TREE))))
    assert [TREE] == [each["hashes"][0]["content"] for each in found["components"]]
    assert "incomplete" == found["compositions"][0]["aggregate"]


def test_of_a_rebuilt_file() -> None:
    """All that its build could read, by role, with a link to the document of its environment."""
    report = reports.reproduced(MemoryBlobs())
    environment = environment_sbom(TREE, "trixie", specification(package("libc6")))
    document = artifact_sbom(report, {TREE: environment})
    assert document is not None
    assert document == artifact_sbom(report, {TREE: environment})
    found = read(document)
    about = found["metadata"]["component"]
    assert (report.artifact.purl, report.artifact.filename) == (about["purl"], about["name"])
    assert [{"alg": "SHA-256", "content": report.artifact.sha256}] == about["hashes"]
    (formula,) = found["formulation"]
    linked, *inputs = formula["components"]
    (reference,) = linked["externalReferences"]
    assert f"urn:cdx:{json.loads(environment)['serialNumber'].removeprefix('urn:uuid:')}/1" == reference["url"]
    assert sha256_hex(environment) == reference["hashes"][0]["content"]
    definition = report.attempts[0].hypothesis.definition
    assert {each.sha256 for each in definition.inputs} == {each["hashes"][0]["content"] for each in inputs}
    assert ["pkg:pypi/flit-core@3.12.0", "pkg:pypi/packaging@25.0"] == [
        each["purl"] for each in inputs if "purl" in each
    ]
    assert "components" not in found, "what the file needs when it runs is not claimed"
    assert "unknown" == found["compositions"][0]["aggregate"]


def test_nothing_built_has_none() -> None:
    """A verdict without a rebuilt file has no document."""
    assert artifact_sbom(reports.unsupported(MemoryBlobs()), {}) is None


def test_hostile_names() -> None:
    """Whatever a publisher calls things, the document is one that strict readers take."""
    bad = Input(
        role=Role.BUILD_DEPENDENCY,
        name=f"@a/{reports.HOSTILE}",
        version="1 <b>?#",
        sha256=TREE,
        path="/inputs/x",
        uri="https://files.example.org/a b\u202e",
    )
    report = reports.reproduced(MemoryBlobs())
    attempt = report.attempts[0]
    hypothesis = attempt.hypothesis.replace(definition=attempt.hypothesis.definition.replace(inputs=(bad,)))
    document = artifact_sbom(report.replace(attempts=(attempt.replace(hypothesis=hypothesis),)), {})
    assert document is not None
    (_, component) = read(document)["formulation"][0]["components"]
    assert component["name"] == bad.name
    assert "externalReferences" not in component
    assert component["purl"].startswith("pkg:pypi/%40a/")


def test_of_a_project() -> None:
    """Its build dependencies and nothing else; a strict reader takes it."""
    definition = reports.definition(reports.artifact())
    found = read(project_sbom(definition))
    assert ["flit-core", "packaging"] == [each["name"] for each in found["formulation"][0]["components"]]
    assert 2 == len(build_dependencies(definition))


@pytest.mark.parametrize(
    ("purl", "key"),
    [
        ("pkg:pypi/Idna@3.10?file_name=x.whl", "pkg:pypi/idna@3.10"),
        ("pkg:deb/debian/g%2B%2B@4:14?arch=amd64", "pkg:deb/debian/g%2B%2B@4:14"),
        ("pkg:npm/%40scope/x@1.0.0", "pkg:npm/%40scope/x@1.0.0"),
    ],
)
def test_one_spelling_of_a_release(purl: str, key: str) -> None:
    """Whatever tells its files apart."""
    assert key == release_key(purl)


@pytest.mark.parametrize("purl", ["idna", "pkg:pypi/idna", "pkg:", "pkg:pypi/@1"])
def test_no_release(purl: str) -> None:
    """Nonsense is refused."""
    with pytest.raises(ValueError, match=r"."):
        release_key(purl)
