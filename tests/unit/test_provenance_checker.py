"""Checking one release after the other: what is remembered, and what is not even loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from pypi_attestations import AttestationType

from rebuilder.ecosystems.registry import conventions
from rebuilder.errors import StoreError
from rebuilder.model.artifact import Artifact, PublishedFile
from rebuilder.model.provenance import (
    Expectation,
    FindingKind,
    Forge,
    Provenance,
    ProvenanceStatus,
    RememberedPublisher,
)
from rebuilder.model.value import sha256_hex
from rebuilder.provenance.checker import ProvenanceChecker, alarms
from rebuilder.provenance.trust.files import TrustRoot, shipped
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.sigstore_instance import TIME, Identity, SigstoreInstance, github, gitlab
from tests.fakes.verifications import NOW, artifact, digest

checker_of = partial(ProvenanceChecker, conventions=conventions)
ASSETS = Path(__file__).parent.parent / "assets" / "attestations" / "pypi"
CHANGED, VANISHED, BROKEN, WORKFLOW = (
    FindingKind.PUBLISHER_CHANGED,
    FindingKind.ATTESTATION_VANISHED,
    FindingKind.EXPECTATION_BROKEN,
    FindingKind.WORKFLOW_CHANGED,
)
REPOSITORY = "https://github.com/o/r"


class Memory:
    """Implements :class:`rebuilder.provenance.checker.PublisherMemory` with a dictionary."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], RememberedPublisher] = {}
        self.rival: RememberedPublisher | None = None

    def remembered_publisher(self, ecosystem: str, name: str) -> RememberedPublisher | None:
        """The publisher of a project."""
        return self.kept.get((ecosystem, name))

    def remember_publisher(self, publisher: RememberedPublisher) -> RememberedPublisher:
        """The first one wins; another process may have been it."""
        return self.kept.setdefault((publisher.ecosystem, publisher.name), self.rival or publisher)


class Project:
    """One project whose releases are checked one after the other, signed in a Sigstore of our own."""

    def __init__(self, **expectations: Expectation) -> None:
        self.sigstore = SigstoreInstance()
        self.blobs, self.memory = MemoryBlobs(), Memory()
        self.expectations = {key.replace("_", ":", 1): each for key, each in expectations.items()}
        self.day = 0

    def check(self, identity: Identity | None, *, signs: bytes = b"content", kind: str = "GitHub") -> Provenance:
        """A new release, signed by somebody (or nobody)."""
        self.day += 1
        content = b"content"
        self.artifact = Artifact(
            ecosystem="pypi",
            purl=f"pkg:pypi/my-pkg@{self.day}.0",
            name="My_Pkg",
            version=f"{self.day}.0",
            file=PublishedFile(
                filename=f"my_pkg-{self.day}.0-py3-none-any.whl",
                url="http://127.0.0.1/",
                sha256=sha256_hex(content),
                uploaded=TIME + timedelta(days=self.day),
            ),
        )
        document = None
        if identity is not None:
            publisher = {"kind": kind, "repository": identity.claims[12].partition(".com/")[2], "environment": None}
            field = "workflow" if kind == "GitHub" else "workflow_filepath"
            publisher[field] = identity.claims[18].partition("@")[0].rpartition("/")[2]
            made = self.sigstore.pypi(
                self.artifact.filename,
                signs,
                publisher,
                identity=identity,
                predicate_type=AttestationType.PYPI_PUBLISH_V1.value,
            )
            document = self.blobs.put(json.dumps(made).encode())
        clock = FixedClock(TIME + timedelta(days=1))
        checker = checker_of(
            self.blobs, self.sigstore.trust, self.memory, self.expectations, clock, conventions=conventions
        )
        return checker.check(self.artifact, document)


def found(provenance: Provenance) -> set[FindingKind]:
    """Kinds of findings that are about identity."""
    return {each.kind for each in provenance.findings} & {CHANGED, VANISHED, BROKEN, WORKFLOW}


def test_life_of_a_project() -> None:
    """First release remembered; then another repository, another forge, nothing, and the first publisher again."""
    project = Project()
    first = project.check(github())
    assert (ProvenanceStatus.VERIFIED, set()) == (first.status, found(first))
    kept = project.memory.kept["pypi", "my-pkg"]
    assert ("https://github.com/o/r", "my_pkg-1.0-py3-none-any.whl") == (kept.repository, kept.filename)
    assert {CHANGED} == found(project.check(github("evil/r")))
    assert {CHANGED} == found(project.check(gitlab(), kind="GitLab"))
    assert {VANISHED} == found(project.check(None))
    assert set() == found(project.check(github()))
    assert {WORKFLOW} == found(project.check(github(workflow="other.yml")))
    assert {("pypi", "my-pkg"): kept} == project.memory.kept


def test_nothing_unverified_is_remembered() -> None:
    """An attestation of other bytes, or none, teaches nothing."""
    project = Project()
    assert ProvenanceStatus.INVALID is project.check(github("evil/r"), signs=b"other").status
    assert ProvenanceStatus.ABSENT is project.check(None).status
    assert {} == project.memory.kept


def test_unexpected_publisher_is_not_remembered() -> None:
    """Who breaks an expectation does not become what later releases are compared with."""
    project = Project(**{"pypi_my-pkg": Expectation(repository=REPOSITORY)})
    assert {BROKEN} == found(project.check(github("evil/r")))
    assert {} == project.memory.kept
    assert set() == found(project.check(github()))
    assert [("pypi", "my-pkg")] == list(project.memory.kept)


def test_another_process_was_first() -> None:
    """When two processes see a project for the first time, the second is compared with the first."""
    project = Project()
    other = Project()
    other.check(github("rival/r"))
    project.memory.rival = other.memory.kept["pypi", "my-pkg"]
    assert {CHANGED} == found(project.check(github()))


def test_genuine_releases_of_one_project() -> None:
    """A recorded attestation is remembered with what its certificate says."""
    blobs, kept = MemoryBlobs(), Memory()
    name = "abi3info-2024.10.3-py3-none-any.whl"
    content = (ASSETS / name).read_bytes()
    of = artifact("abi3info", "2024.10.3", sha256=sha256_hex(content))
    document = blobs.put((ASSETS / f"{name}.provenance").read_bytes())
    provenance = checker_of(blobs, shipped, kept, {}, FixedClock(NOW)).check(of, document)
    assert ProvenanceStatus.VERIFIED is provenance.status
    publisher = kept.kept["pypi", "abi3info"]
    assert (Forge.GITHUB, "https://github.com/woodruffw/abi3info", ".github/workflows/release.yml") == (
        publisher.forge,
        publisher.repository,
        publisher.workflow,
    )
    assert () == alarms(of, provenance, NOW)


def test_npm_and_unknown_ecosystems() -> None:
    """Documents of npm go to its check, with the tarball; of the rest it is said that they cannot be checked."""
    assets = ASSETS.parent / "npm"
    blobs, kept = MemoryBlobs(), Memory()
    tarball = blobs.put((assets / "provenance-npm-test-cli-v1-prega.tgz").read_bytes())
    of = artifact("sigstore", "2.3.1", sha256=tarball).replace(ecosystem="npm")
    document = blobs.put((assets / "provenance-npm-test-cli-v1-prega.tgz.json").read_bytes())
    provenance = checker_of(blobs, shipped, kept, {}, FixedClock(NOW)).check(of, document)
    assert ProvenanceStatus.VERIFIED is provenance.status, provenance.sentence
    assert "https://github.com/sigstore/sigstore-js" == kept.kept["npm", "sigstore"].repository
    checker = checker_of(blobs, no_trust, Memory(), {}, FixedClock())
    other = artifact().replace(ecosystem="deb")
    assert ProvenanceStatus.NOT_CHECKABLE is checker.check(other, blobs.put(b"{}")).status


def no_trust() -> TrustRoot:
    """Nobody may ask."""
    raise AssertionError("the trust root was loaded")


def test_nothing_to_check_costs_nothing() -> None:
    """Without a document the trust root is not loaded."""
    provenance = checker_of(MemoryBlobs(), no_trust, Memory(), {}, FixedClock()).check(artifact(), None)
    assert (ProvenanceStatus.ABSENT, None) == (provenance.status, provenance.document_sha256)


def test_sigstore_is_not_imported_for_nothing() -> None:
    """Making a checker and checking a file without attestation imports nothing of sigstore."""
    program = (
        "import sys\n"
        "from tests.fakes.blobs import MemoryBlobs\n"
        "from tests.fakes.clock import FixedClock\n"
        "from tests.fakes.verifications import artifact\n"
        "from rebuilder.provenance.checker import ProvenanceChecker\n"
        "from rebuilder.ecosystems.registry import conventions\n"
        "class Memory:\n"
        "    def remembered_publisher(self, ecosystem, name): return None\n"
        "checker = ProvenanceChecker(MemoryBlobs(), None, Memory(), {}, FixedClock(), conventions=conventions)\n"
        "print(checker.check(artifact(), None).status)\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('sigstore', 'pypi_attestations')))\n"
    )
    root = Path(__file__).parent.parent.parent
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert "absent\n[]\n" == done.stdout


def test_a_lost_document_is_our_fault() -> None:
    """A document that was fetched and is gone is an error, not an absent attestation."""
    with pytest.raises(StoreError):
        checker_of(MemoryBlobs(), shipped, Memory(), {}, FixedClock()).check(artifact(), digest("gone"))
