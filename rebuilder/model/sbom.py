"""What something was made with, as a CycloneDX 1.6 document; pure.

There are three kinds, and one way to write each part of them:

* of a build environment: the Debian packages that its tree was made of;
* of a rebuilt file: what its build could read, as ``formulation``, with a link to the one of its environment. It says
  nothing about what the file needs when it runs;
* of a project: its build dependencies alone, for the project to carry (PEP 770).

Equal arguments give equal bytes: there is no time in it, and the serial number follows from the rest. The library for
CycloneDX has no ``formulation``, so the documents are plain JSON, which tests hold against its schema.

Source: https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from packageurl import PackageURL

from rebuilder.model.definition import BuildDefinition, Input, Role
from rebuilder.model.environment import Package, Specification
from rebuilder.model.report import Report
from rebuilder.model.value import Sha256, indented_json, sha256_hex

MEDIA_TYPE = "application/vnd.cyclonedx+json; version=1.6"
Part = dict[str, Any]
"""A component, or another part of a document: plain JSON types."""
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]{1,20}://[A-Za-z0-9._~:/?#@!$&'()*+,;=-]{1,2000}", re.ASCII)
_TYPES = {Role.BUILD_DEPENDENCY: "library", Role.BUILD_TOOL: "application", Role.PROGRAM: "application"}


def release_key(purl: str) -> str:
    """A package URL without what tells the files of one release apart, in one spelling.

    Raises:
        ValueError: it is no package URL, or names no version.
    """
    read = PackageURL.from_string(purl)
    if not read.version:
        raise ValueError("it names no version")
    return PackageURL(read.type, read.namespace, read.name, read.version).to_string()


def build_dependencies(definition: BuildDefinition) -> dict[str, Input]:
    """The releases that a build was given to build with, by package URL; what stands before a slash is a namespace."""
    found = {}
    for each in definition.inputs:
        if each.role is Role.BUILD_DEPENDENCY and each.version:
            namespace, _, name = each.name.rpartition("/")
            found[PackageURL(definition.ecosystem, namespace or None, name, each.version).to_string()] = each
    return found


def packages_of(specification: Specification) -> dict[str, Package]:
    """The packages that an environment was made of, those below it too, by package URL."""
    names = {each.name for each in specification.packages}
    below = packages_of(specification.base).values() if specification.base is not None else ()
    packages = [*specification.packages, *(each for each in below if each.name not in names)]
    found = {}
    for each in sorted(packages, key=lambda package: (package.name, package.architecture)):
        qualifiers = {"arch": each.architecture, "distro": specification.suite}
        found[PackageURL("deb", "debian", each.name, each.version, qualifiers).to_string()] = each
    return found


def environment_sbom(tree: Sha256, name: str, specification: Specification) -> bytes:
    """Of a build environment.

    Args:
        tree: Digest of its tree.
        name: What it is called.
        specification: What it was made from.
    """
    components = [{"bom-ref": purl, **_library(purl, each)} for purl, each in packages_of(specification).items()]
    if (image := specification.image) is not None:
        components.append(
            {"type": "file", "bom-ref": "given", "name": "files that were given", **_hashes(image.sha256)}
        )
    known = "complete" if specification.image is None else "incomplete"
    return _document(
        _environment(tree, name),
        components=components,
        compositions=[{"aggregate": known, "assemblies": ["environment"]}],
    )


def artifact_sbom(report: Report, environments: Mapping[str, bytes]) -> bytes | None:
    """Of the rebuilt file that a verdict rests on; None where nothing was built.

    Args:
        report: What was found.
        environments: The documents of build environments, by the digests of their trees.
    """
    if (rebuild := report.rebuild) is None:
        return None
    definition, artifact = rebuild.definition, report.artifact
    environment = _environment(definition.toolchain.sha256, definition.toolchain.name)
    if (document := environments.get(definition.toolchain.sha256)) is not None:
        serial = json.loads(document)["serialNumber"].removeprefix("urn:uuid:")
        linked = {"type": "bom", "url": f"urn:cdx:{serial}/1", **_hashes(sha256_hex(document))}
        environment["externalReferences"] = [linked]
    purls = {each.path: purl for purl, each in build_dependencies(definition).items()}
    inputs = [_input(each, purls.get(each.path)) for each in sorted(definition.inputs, key=lambda each: each.path)]
    about = {
        "type": "file",
        "bom-ref": "rebuilt",
        "name": rebuild.rebuilt.filename,
        "version": artifact.version,
        "purl": artifact.purl,
        **_hashes(rebuild.rebuilt.sha256),
        "properties": _properties({"definition": definition.digest, "published": artifact.sha256}),
    }
    return _document(
        about,
        formulation=[{"bom-ref": "build", "components": [environment, *inputs]}],
        compositions=[{"aggregate": "unknown", "dependencies": ["rebuilt"]}],
    )


def project_sbom(definition: BuildDefinition) -> bytes:
    """The build dependencies of a project as what it is formed with, for the project to carry.

    It is committed before the release is built, and read by whoever rebuilds it: nothing else is in it.
    """
    components = [_library(purl, each) for purl, each in sorted(build_dependencies(definition).items())]
    formed = [{"bom-ref": "build", "components": components}]
    return indented_json(_head({"lifecycles": [{"phase": "build"}]}) | {"formulation": formed})


def _head(metadata: Part) -> Part:
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "metadata": metadata}


def _document(about: Part, **parts: list[Part]) -> bytes:
    """The whole of it; the serial number is of all the rest."""
    document = _head({"lifecycles": [{"phase": "build"}], "component": about}) | parts
    serial = uuid5(NAMESPACE_URL, f"tag:rebuilder,2026:sbom/{sha256_hex(indented_json(document))}")
    return indented_json({"serialNumber": f"urn:uuid:{serial}", **document})


def _environment(tree: str, name: str) -> Part:
    about = {"type": "operating-system", "bom-ref": "environment", "name": name}
    return {**about, "properties": _properties({"tree": tree})}


def _library(purl: str, each: Input | Package) -> Part:
    return {"type": "library", "name": each.name, "version": each.version, "purl": purl, **_hashes(each.sha256)}


def _input(each: Input, purl: str | None) -> Part:
    component: Part = {"type": _TYPES.get(each.role, "file"), "bom-ref": each.path, "name": each.name}
    if each.version is not None:
        component["version"] = each.version
    if purl is not None:
        component["purl"] = purl
    component |= _hashes(each.sha256)
    if each.uri is not None and _ADDRESS.fullmatch(each.uri):
        component["externalReferences"] = [{"type": "distribution", "url": each.uri}]
    return {**component, "properties": _properties({"role": each.role.value})}


def _hashes(sha256: str) -> Part:
    return {"hashes": [{"alg": "SHA-256", "content": sha256}]}


def _properties(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": f"rebuilder:{name}", "value": value} for name, value in values.items()]
