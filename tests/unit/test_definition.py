"""The build definition: canonical, content-addressed, and readable back."""

from __future__ import annotations

from rebuilder.model.definition import BuildDefinition, EnvironmentRef, Input, Role
from rebuilder.model.evidence import Source, SourceKind
from rebuilder.model.value import Sha256

DIGEST = Sha256("ab" * 32)


def definition(**changes: object) -> BuildDefinition:
    """A small definition with every field that has a shape of its own."""
    fields: dict[str, object] = {
        "build_type": "urn:example:build",
        "purl": "pkg:pypi/idna@3.10",
        "filename": "idna-3.10-py3-none-any.whl",
        "source": Source(kind=SourceKind.SDIST, uri="urn:example:sdist", digest={"sha256": DIGEST}),
        "inputs": (
            Input(role=Role.SOURCE, name="idna-3.10.tar.gz", sha256=DIGEST, path="/inputs/idna-3.10.tar.gz"),
            Input(role=Role.BUILD_TOOL, name="uv", sha256=DIGEST, path="/tools/uv", version="1", executable=True),
        ),
        "toolchain": EnvironmentRef(name="trixie", sha256=DIGEST),
        "commands": (("true", "ü"),),
        "environment": {"TZ": "UTC", "LANG": "C.UTF-8"},
    }
    return BuildDefinition.model_validate(fields | changes)


def test_reads_back_what_it_wrote() -> None:
    """Published definitions can be run again from the document alone."""
    original = definition()
    assert BuildDefinition.from_slsa(original.slsa) == original
    assert BuildDefinition.from_slsa(original.slsa).digest == original.digest


def test_order_of_environment_does_not_matter() -> None:
    """Canonical JSON sorts keys, so equal definitions have equal digests."""
    assert definition(environment={"LANG": "C.UTF-8", "TZ": "UTC"}).digest == definition().digest


def test_every_input_matters() -> None:
    """A change anywhere is another build."""
    base = definition().digest
    assert definition(umask="0002").digest != base
    assert definition(environment={"TZ": "UTC"}).digest != base
    assert definition(inputs=()).digest != base
    assert definition(cpu_count=2).digest != base
