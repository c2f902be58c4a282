"""Members and formats that nobody here knows: named, not called a forgery, and no way to hide one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pypi_attestations import AttestationType

from rebuilder.ecosystems.registry import conventions
from rebuilder.model.alarm import AlarmKind
from rebuilder.model.artifact import Artifact, PublishedFile
from rebuilder.model.provenance import FindingKind, Provenance, ProvenanceStatus
from rebuilder.model.value import sha256_hex
from rebuilder.provenance.checker import ProvenanceChecker, alarms
from rebuilder.provenance.format.strict_json import ATTESTATION, BUNDLE, known
from rebuilder.provenance.npm.npm import verify_npm
from rebuilder.provenance.pypi.pypi import verify_pypi
from rebuilder.provenance.trust.files import shipped
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.sigstore_instance import TIME, Identity, SigstoreInstance, github
from tests.unit.test_provenance_checker import Memory

checker_of = partial(ProvenanceChecker, conventions=conventions)
ASSETS = Path(__file__).parent.parent / "assets" / "attestations"
WHEEL = "abi3info-2024.10.3-py3-none-any.whl"
TARBALL = "provenance-npm-test-cli-v1-prega.tgz"
VERIFIED, INVALID, NOT_CHECKABLE = (
    ProvenanceStatus.VERIFIED,
    ProvenanceStatus.INVALID,
    ProvenanceStatus.NOT_CHECKABLE,
)
Document = dict[str, Any]
Change = Callable[[Document], None]


def _entry(document: Document) -> Document:
    found: Document = _material(document)["transparency_entries"][0]
    return found


def _attestation(document: Document) -> Document:
    found: Document = document["attestation_bundles"][0]["attestations"][0]
    return found


def _material(document: Document) -> Document:
    found: Document = _attestation(document)["verification_material"]
    return found


PLACES: dict[str, Callable[[Document], Document]] = {
    "": lambda document: document,
    "attestation_bundles": lambda document: document["attestation_bundles"][0],
    "verification_material": _material,
    "envelope": lambda document: _attestation(document)["envelope"],
    "verification_material.transparency_entries": _entry,
    "verification_material.transparency_entries.inclusionProof": lambda document: _entry(document)["inclusionProof"],
    "verification_material.transparency_entries.inclusionProof.checkpoint": lambda document: _entry(document)[
        "inclusionProof"
    ]["checkpoint"],
    "verification_material.transparency_entries.logId": lambda document: _entry(document)["logId"],
}


def recorded() -> Document:
    """A genuine provenance object to alter."""
    document: Document = json.loads((ASSETS / "pypi" / f"{WHEEL}.provenance").read_text())
    return document


def check(document: Document, content: bytes | None = None) -> Provenance:
    """Verify it for its file, or for other bytes of that name."""
    data = (ASSETS / "pypi" / WHEEL).read_bytes() if content is None else content
    return verify_pypi(json.dumps(document).encode(), WHEEL, hashlib.sha256(data).hexdigest(), shipped())


def forge_signature(document: Document) -> None:
    """Another signature than the certificate's."""
    envelope = _attestation(document)["envelope"]
    other = json.loads((ASSETS / "pypi" / "sampleproject-4.0.0.tar.gz.provenance").read_text())
    envelope["signature"] = _attestation(other)["envelope"]["signature"]


def forge_time(document: Document) -> None:
    """Another time than the log signed."""
    _entry(document)["integratedTime"] = str(int(_entry(document)["integratedTime"]) + 1)


def forge_certificate(document: Document) -> None:
    """A certificate of somebody else."""
    other = json.loads((ASSETS / "pypi" / "sampleproject-4.0.0.tar.gz.provenance").read_text())
    _material(document)["certificate"] = _material(other)["certificate"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", [None, [], {}, "", False])
def test_an_empty_member_changes_nothing(place: str, value: object) -> None:
    """It is named in a finding, and everything is checked as before."""
    document = recorded()
    PLACES[place](document)["timestamps"] = value
    provenance = check(document)
    assert VERIFIED is provenance.status, provenance.sentence
    (finding,) = provenance.findings
    assert FindingKind.UNKNOWN_FIELD is finding.kind
    assert f"“{place}.timestamps”".replace("“.", "“") in finding.sentence


@pytest.mark.parametrize("place", PLACES)
def test_a_member_that_says_something_is_not_checkable(place: str) -> None:
    """It is named, and is no forgery."""
    document = recorded()
    PLACES[place](document)["timestamps"] = [{"rfc3161": "AAAA"}]
    provenance = check(document)
    assert NOT_CHECKABLE is provenance.status, provenance.sentence
    assert f"“{place}.timestamps”".replace("“.", "“") in provenance.sentence


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", [[], [{"rfc3161": "AAAA"}]])
@pytest.mark.parametrize("forge", [forge_signature, forge_time, forge_certificate])
def test_a_forgery_is_not_hidden_by_one(place: str, value: object, forge: Change) -> None:
    """What is known is checked, whatever stands beside it."""
    document = recorded()
    forge(document)
    PLACES[place](document)["timestamps"] = value
    assert INVALID is check(document).status


@pytest.mark.parametrize("value", [[], [{"rfc3161": "AAAA"}]])
def test_other_bytes_are_not_hidden_by_one(value: object) -> None:
    """The signed digest is another one."""
    document = recorded()
    _material(document)["timestamps"] = value
    provenance = check(document, b"other")
    assert INVALID is provenance.status
    assert "about other bytes" in provenance.sentence


def _as_the_next_log_has_it(document: Document) -> None:
    """No time and no promise of the log; a timestamp, and an entry of another kind in a log that is not known."""
    _material(document)["timestamps"] = [{"rfc3161": "AAAA"}]
    entry = _entry(document)
    del entry["integratedTime"], entry["inclusionPromise"]
    entry["logId"]["keyId"] = "AAAA"


def _without_time(document: Document) -> None:
    _material(document)["timestamps"] = [{"rfc3161": "AAAA"}]
    del _entry(document)["integratedTime"]


def _without_entries(document: Document) -> None:
    _material(document)["log_entries"] = [{"rfc3161": "AAAA"}]
    del _material(document)["transparency_entries"]


def _other_log(document: Document) -> None:
    _entry(document)["logId"]["keyId"] = "AAAA"


def _other_log_and_body(document: Document) -> None:
    """The body says nothing of a kind that could be compared."""
    entry = _entry(document)
    entry["kindVersion"] = {"kind": "praise", "version": "9"}
    entry["canonicalizedBody"] = "e30="


CHANGES = [_as_the_next_log_has_it, _without_time, _without_entries, _other_log, _other_log_and_body]


@pytest.mark.parametrize("change", CHANGES)
def test_what_replaces_something_is_not_checkable(change: Change) -> None:
    """A log, an entry, or a member in the place of one that is missing, which nobody here knows."""
    document = recorded()
    change(document)
    provenance = check(document)
    assert NOT_CHECKABLE is provenance.status, provenance.sentence


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("forge", [forge_signature, forge_certificate])
def test_what_replaces_something_hides_no_forgery(change: Change, forge: Change) -> None:
    """Signature, certificate and subject are checked without a signed time."""
    document = recorded()
    change(document)
    forge(document)
    assert INVALID is check(document).status
    document = recorded()
    change(document)
    assert INVALID is check(document, b"other").status


def test_a_kind_that_the_signed_body_denies_is_a_forgery() -> None:
    """Only the label around the entry was changed."""
    document = recorded()
    _entry(document)["kindVersion"]["kind"] = "praise"
    provenance = check(document)
    assert INVALID is provenance.status
    assert "another kind than the entry says" in provenance.sentence


def test_something_missing_without_anything_in_its_place_is_invalid() -> None:
    """An empty member replaces nothing."""
    document = recorded()
    del _entry(document)["integratedTime"]
    assert INVALID is check(document).status
    _material(document)["timestamps"] = []
    assert INVALID is check(document).status


def test_an_unknown_predicate_of_another_file_is_a_forgery() -> None:
    """The subject is compared before anything is said of what the statement means."""
    sigstore = SigstoreInstance()
    document = sigstore.pypi(WHEEL, b"x", {"kind": "GitHub"}, identity=github(), predicate_type="urn:praise")
    for content, status in ((b"x", NOT_CHECKABLE), (b"y", INVALID)):
        found = verify_pypi(
            json.dumps(document).encode(),
            WHEEL,
            hashlib.sha256(content).hexdigest(),
            sigstore.trust(),
            now=TIME + timedelta(days=1),
        )
        assert status is found.status, found.sentence


# npm


def npm_recorded() -> Document:
    """A genuine npm document: the registry's attestation and the publisher's."""
    document: Document = json.loads((ASSETS / "npm" / f"{TARBALL}.json").read_text())
    return document


def npm_check(document: Document, content: bytes | None = None) -> Provenance:
    """Verify it for its tarball, or for other bytes."""
    data = (ASSETS / "npm" / TARBALL).read_bytes() if content is None else content
    return verify_npm(json.dumps(document).encode(), "sigstore", "2.3.1", hashlib.sha512(data).hexdigest(), shipped())


NPM_PLACES: list[Callable[[Document], Document]] = [
    lambda document: document,
    lambda document: document["attestations"][1],
    lambda document: document["attestations"][1]["bundle"],
    lambda document: document["attestations"][1]["bundle"]["verificationMaterial"],
    lambda document: document["attestations"][0]["bundle"]["verificationMaterial"]["tlogEntries"][0],
    lambda document: document["attestations"][1]["bundle"]["dsseEnvelope"],
]


@pytest.mark.parametrize("place", NPM_PLACES)
def test_npm_has_unknown_members_too(place: Callable[[Document], Document]) -> None:
    """Empty: as before; otherwise not checkable; with other bytes invalid all the same."""
    for value, content, status in (
        ([], None, VERIFIED),
        (["x"], None, NOT_CHECKABLE),
        ([], b"other", INVALID),
        (["x"], b"other", INVALID),
    ):
        document = npm_recorded()
        place(document)["novelty"] = value
        provenance = npm_check(document, content)
        assert status is provenance.status, provenance.sentence
        assert status is not NOT_CHECKABLE or "novelty”" in provenance.sentence


@pytest.mark.parametrize("number", [0, 1])
def test_npm_unknown_kinds(number: int) -> None:
    """A predicate, a version of the bundle, a kind of log entry; forged ones are invalid where anything is known."""

    def bundle(document: Document) -> Document:
        found: Document = document["attestations"][number]["bundle"]
        return found

    def kind(document: Document) -> None:
        entry = bundle(document)["verificationMaterial"]["tlogEntries"][0]
        entry["kindVersion"] = {"kind": "praise", "version": "9"}
        entry["canonicalizedBody"] = "e30="

    def version(document: Document) -> None:
        bundle(document)["mediaType"] = "application/vnd.dev.sigstore.bundle.v9+json"

    for change, forged in ((kind, INVALID), (version, NOT_CHECKABLE)):
        document = npm_recorded()
        change(document)
        if not (number == 0 and change is kind):  # a key's signature is judged by the log's time
            assert NOT_CHECKABLE is npm_check(document).status
        other = npm_recorded()
        other["attestations"] = [other["attestations"][number]]
        document["attestations"] = [document["attestations"][number]]
        assert forged is npm_check(document, b"other").status


# What it means for a project that had a verified publisher before


@pytest.fixture(scope="module")
def sigstore() -> SigstoreInstance:
    """A Sigstore of our own."""
    return SigstoreInstance()


class Project:
    """Releases of one project."""

    def __init__(self, sigstore: SigstoreInstance) -> None:
        self.sigstore, self.blobs, self.memory, self.day = sigstore, MemoryBlobs(), Memory(), 0

    def check(
        self, identity: Identity | None, change: Change = lambda _: None, *, named: bool = True
    ) -> tuple[Provenance, list[AlarmKind]]:
        """The next release; identity None: the index has no attestation, and ``named`` says whether it names one."""
        self.day += 1
        name = f"pkg-{self.day}.0-py3-none-any.whl"
        file = PublishedFile(
            filename=name,
            url="http://127.0.0.1/",
            sha256=sha256_hex(b"content"),
            uploaded=TIME + timedelta(days=self.day),
            provenance_url="http://127.0.0.1/provenance" if named else None,
        )
        artifact = Artifact(
            ecosystem="pypi", purl=f"pkg:pypi/pkg@{self.day}.0", name="pkg", version=f"{self.day}.0", file=file
        )
        sha256 = None
        if identity is not None:
            made = self.sigstore.pypi(
                name,
                b"content",
                {
                    "kind": "GitHub",
                    "repository": identity.claims[12].partition(".com/")[2],
                    "workflow": "release.yml",
                    "environment": None,
                },
                identity=identity,
                predicate_type=AttestationType.PYPI_PUBLISH_V1.value,
            )
            change(made)
            sha256 = self.blobs.put(json.dumps(made).encode())
        now = TIME + timedelta(days=1)
        checker = checker_of(self.blobs, self.sigstore.trust, self.memory, {}, FixedClock(now), conventions=conventions)
        provenance = checker.check(artifact, sha256)
        return provenance, [each.kind for each in alarms(artifact, provenance, now)]


def _novelty(document: Document) -> None:
    _material(document)["timestamps"] = [1]


def _version(document: Document) -> None:
    _attestation(document)["version"] = 2


def test_what_is_not_checkable_teaches_nothing(sigstore: SigstoreInstance) -> None:
    """It is no first publisher to compare later ones with."""
    project = Project(sigstore)
    assert (NOT_CHECKABLE, []) == (project.check(github(), _novelty)[0].status, project.check(github(), _novelty)[1])
    assert {} == project.memory.kept


@pytest.mark.parametrize(
    ("identity", "change", "finding", "alarm"),
    [
        (github(), _novelty, FindingKind.ATTESTATION_NOT_CHECKABLE, []),
        (github(), _without_time, FindingKind.ATTESTATION_NOT_CHECKABLE, []),
        (github("evil/r"), _novelty, FindingKind.ATTESTATION_VANISHED, [AlarmKind.ATTESTATION_VANISHED]),
        (github("evil/r"), _without_time, FindingKind.ATTESTATION_VANISHED, [AlarmKind.ATTESTATION_VANISHED]),
        (github(), _version, FindingKind.ATTESTATION_VANISHED, [AlarmKind.ATTESTATION_VANISHED]),
    ],
)
def test_after_a_verified_one_it_is_a_finding(
    sigstore: SigstoreInstance, identity: Identity, change: Change, finding: FindingKind, alarm: list[AlarmKind]
) -> None:
    """And an alarm, unless the same publisher is proven to have signed."""
    project = Project(sigstore)
    project.check(github())
    provenance, raised = project.check(identity, change)
    assert NOT_CHECKABLE is provenance.status
    assert (finding, alarm) == (provenance.findings[-1].kind, raised)


def test_an_index_that_names_what_it_has_not_got(sigstore: SigstoreInstance) -> None:
    """A finding at first sight; once the project had one, an alarm too."""
    project = Project(sigstore)
    provenance, raised = project.check(None)
    assert (ProvenanceStatus.ABSENT, []) == (provenance.status, raised)
    assert [FindingKind.ATTESTATION_MISSING] == [each.kind for each in provenance.findings]
    assert "names an attestation" in provenance.sentence
    provenance, _ = project.check(None, named=False)
    assert () == provenance.findings
    assert "names no attestation" in provenance.sentence
    project.check(github())
    assert [AlarmKind.ATTESTATION_VANISHED] == project.check(None)[1]


def test_what_is_known_is_left_as_it_is() -> None:
    """Genuine documents have no unknown members; values of another kind than expected stay for the reader."""
    attestation = _attestation(recorded())
    assert (attestation, ()) == known(attestation, ATTESTATION)
    bundles = [each["bundle"] for each in npm_recorded()["attestations"]]
    assert bundles
    assert [(each, ()) for each in bundles] == [known(each, BUNDLE) for each in bundles]
    assert ({"envelope": 5}, ()) == known({"envelope": 5}, ATTESTATION)
