"""One flipped bit anywhere in a genuine attestation or its file: it never verifies with another meaning.

A flip may leave "verified" only where it does not change what was checked, precisely: the JSON still parses to the
same document; or the document differs in the version number of the bundle's format alone, and meets all that the
other version asks for. The unsigned publisher object of the index is compared with the certificate: flips in it do
not verify, or are noted as a finding.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebuilder.model.provenance import Provenance, ProvenanceStatus
from rebuilder.provenance.npm.npm import verify_npm
from rebuilder.provenance.pypi.pypi import verify_pypi
from rebuilder.provenance.trust.files import shipped

ASSETS = Path(__file__).parent.parent / "assets" / "attestations"
PYPI = [
    "abi3info-2024.10.3-py3-none-any.whl",
    "sampleproject-4.0.0.tar.gz",
    "pypi_attestations-0.0.19.tar.gz",
    "gcb_attestation_test-0.0.0.tar.gz",
]
NPM = {
    "provenance-npm-test-cli-v02-prega.tgz.json": (
        "@laurentsimon/provenance-npm-test",
        "1.0.3",
        "provenance-npm-test-cli-v02-prega.tgz",
    ),
    "provenance-npm-test-cli-v1-prega.tgz.json": ("sigstore", "2.3.1", "provenance-npm-test-cli-v1-prega.tgz"),
    "sigstore-js-2.1.0-bundle.json": ("sigstore", "2.1.0", "sigstore-js-2.1.0.tgz"),
}
SWEEP = 120
"""Positions tried in each document."""


def _pypi(name: str) -> tuple[bytes, bytes, Callable[[bytes, bytes], Provenance]]:
    folder = ASSETS / "pypi"

    def verify(document: bytes, file: bytes) -> Provenance:
        return verify_pypi(document, name, hashlib.sha256(file).hexdigest(), shipped())

    return (folder / f"{name}.provenance").read_bytes(), (folder / name).read_bytes(), verify


def _npm(name: str) -> tuple[bytes, bytes, Callable[[bytes, bytes], Provenance]]:
    package, version, tarball = NPM[name]
    document = (ASSETS / "npm" / name).read_bytes()
    if name.endswith("bundle.json"):
        entry = {"predicateType": "https://slsa.dev/provenance/v1", "bundle": json.loads(document)}
        document = json.dumps({"attestations": [entry]}).encode()

    def verify(document: bytes, file: bytes) -> Provenance:
        return verify_npm(document, package, version, hashlib.sha512(file).hexdigest(), shipped())

    return document, (ASSETS / "npm" / tarball).read_bytes(), verify


CASES = {name: _pypi(name) for name in PYPI} | {name: _npm(name) for name in NPM}


def flipped(data: bytes, position: int, mask: int) -> bytes:
    """``data`` with one byte changed."""
    return data[:position] + bytes([data[position] ^ mask]) + data[position + 1 :]


def meaning(document: bytes) -> Any:
    """The parsed document without the numbers of bundle format versions."""
    parsed = json.loads(document)
    for entry in parsed.get("attestations", []):
        kind = entry["bundle"]["mediaType"]
        entry["bundle"]["mediaType"] = kind.replace("0.1", "0.N").replace("0.2", "0.N").replace("0.3", "0.N")
    return parsed


def require_harmless(name: str, changed: bytes) -> None:
    """The changed document does not verify, or means the same."""
    document, file, verify = CASES[name]
    provenance = verify(changed, file)
    if provenance.status is ProvenanceStatus.VERIFIED and not provenance.findings:
        assert meaning(document) == meaning(changed)
        expected = verify(document, file)
        assert expected.results
        for one, other in zip(expected.results, provenance.results, strict=True):
            assert one.replace(sha256=other.sha256) == other


@pytest.mark.parametrize("name", CASES)
def test_sweep(name: str) -> None:
    """Some hundred positions, the same each time, each with two flips."""
    document = CASES[name][0]
    choose = random.Random(name)  # noqa: S311 - the same positions each time
    for position in choose.sample(range(len(document)), SWEEP):
        for mask in (1, 1 << choose.randrange(1, 8)):
            require_harmless(name, flipped(document, position, mask))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_anywhere(data: st.DataObject) -> None:
    """Any byte, any change."""
    name = data.draw(st.sampled_from(sorted(CASES)))
    document = CASES[name][0]
    position = data.draw(st.integers(0, len(document) - 1))
    require_harmless(name, flipped(document, position, data.draw(st.integers(1, 255))))


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_file(data: st.DataObject) -> None:
    """Any byte of the file: the attestation is about other bytes."""
    name = data.draw(st.sampled_from(sorted(CASES)))
    document, file, verify = CASES[name]
    position = data.draw(st.integers(0, len(file) - 1))
    provenance = verify(document, flipped(file, position, data.draw(st.integers(1, 255))))
    assert ProvenanceStatus.INVALID == provenance.status
    assert "about other bytes" in provenance.sentence


@pytest.mark.parametrize("name", CASES)
def test_unflipped(name: str) -> None:
    """The sweeps start from something that verifies."""
    document, file, verify = CASES[name]
    assert ProvenanceStatus.VERIFIED == verify(document, file).status
