"""What a project was built with, to be kept in the project: a CycloneDX SBOM of the build environment (PEP 770)."""

from __future__ import annotations

from typing import Any

from packageurl import PackageURL

from rebuilder.model.definition import BuildDefinition, Role
from rebuilder.model.value import indented_json


def build_sbom(definition: BuildDefinition) -> bytes:
    """CycloneDX 1.6: the build dependencies as what the project is formed with; the same for the same ones.

    Nothing is said of times and places, since it is committed before the release is built.
    """
    components: list[dict[str, Any]] = [
        {
            "type": "library",
            "name": each.name,
            "version": each.version,
            "purl": PackageURL(definition.ecosystem, None, each.name, each.version).to_string(),
            "hashes": [{"alg": "SHA-256", "content": each.sha256}],
        }
        for each in definition.inputs
        if each.role is Role.BUILD_DEPENDENCY and each.version is not None
    ]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"lifecycles": [{"phase": "build"}]},
        "formulation": [{"bom-ref": "build", "components": sorted(components, key=lambda each: str(each["name"]))}],
    }
    return indented_json(document)
