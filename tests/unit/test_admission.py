"""What an AdmissionReview asks, what a reference to an image and a bill of materials say, and the answer; pure."""

from __future__ import annotations

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from rebuilder.consumer.admission.application import Decision, NoReview, read_review, response
from rebuilder.consumer.admission.contents import PODS, Image, read_contents
from rebuilder.consumer.admission.sboms import Sboms
from rebuilder.consumer.policy import ImageSetting
from rebuilder.errors import UsageError
from rebuilder.model.value import Sha256
from tests.fakes.reviews import attestation, bill, pod, put, recorded, review, workload
from tests.fakes.signer import MemorySigner

DIGEST = "ab" * 32
BYTES = Sha256("cd" * 32)
GOOD = f"registry.example.org/team/web@sha256:{DIGEST}"
ECOSYSTEMS = ("deb", "npm", "pypi")
KINDS = sorted(kind for _, kind in PODS if kind not in {"PodTemplate", "ReplicationController"})


def references(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Where images are named, and what is written there."""
    return [(each.place, each.reference) for each in read_review(document).images]


def test_a_recorded_review() -> None:
    """What an API server sent: its uid, and the one image."""
    found = read_review(recorded("pod"))
    assert ("c3ce937b-1a18-4e45-a0e8-adf5c962f1e4", None) == (found.uid, found.problem)
    assert [("containers[0]", "nginx:1.14.2")] == references(recorded("pod"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_workload(kind: str) -> None:
    """All their containers count, those of image volumes too; the objects are such as the API takes."""
    spec = pod(
        "one",
        initContainers=[{"name": "i", "image": "two"}],
        volumes=[
            {"name": "v", "image": {"reference": "three", "pullPolicy": "IfNotPresent"}},
            {"name": "w", "emptyDir": {}},
        ],
        restartPolicy="Never",
    )
    document = workload(kind, spec)
    if kind == "StatefulSet":
        document["spec"]["serviceName"] = "web"
    kubernetes_validate.validate(document, "1.34", strict=True)
    expected = [("initContainers[0]", "two"), ("containers[0]", "one"), ("volumes[0]", "three")]
    assert expected == references(review(document))


def test_ephemeral_containers_are_asked_about_alone() -> None:
    """A container is added to a pod that runs: only its image is new."""
    before = workload("Pod", pod("old:1"))
    after = workload("Pod", pod("old:1", ephemeralContainers=[{"name": "debug", "image": "new:2"}]))
    assert [("ephemeralContainers[0]", "new:2")] == references(review(after, before=before, operation="UPDATE"))
    assert [] == references(review(before, before=before, operation="UPDATE"))
    assert 2 == len(references(review(after, before={"kind": "Pod"}, operation="UPDATE")))


def test_what_is_deleted_is_not_asked_about() -> None:
    """There is no object then."""
    found = read_review(review(None, before=workload("Pod", pod("old:1")), operation="DELETE"))
    assert ((), None) == (found.images, found.problem)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (recorded("scale"), "Scale (autoscaling)"),
        (review(workload("Pod", {})), "no containers"),
        (review(workload("Pod", {"containers": []})), "no containers"),
        (review(workload("Pod", {"containers": [{"name": "x"}]})), "no containers"),
        (review(workload("Pod", {"containers": "all"})), "no containers"),
        (review(workload("Pod", {"containers": [{"image": 7}]})), "no text"),
        (review(workload("Pod", pod("a", initContainers=[7]))), "no containers"),
        (review(workload("Pod", pod(*["a"] * 501))), "more than 500"),
        (review({"apiVersion": "example.org/v1", "kind": "Pod", "spec": pod("a")}), "Pod (example.org)"),
    ],
)
def test_what_is_not_understood_does_not_pass(document: dict[str, Any], said: str) -> None:
    """Kinds that are not known, and objects that are not what they must be, have a problem."""
    found = read_review(document)
    assert said in (found.problem or "")
    assert ((), document["request"]["uid"]) == (found.images, found.uid)


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        {"kind": "AdmissionReview"},
        recorded("pod") | {"apiVersion": "admission.k8s.io/v1beta1"},
        recorded("pod") | {"kind": "Review"},
        recorded("pod") | {"request": None},
        recorded("pod") | {"request": {"uid": 7}},
        recorded("pod") | {"request": {"uid": "u" * 300}},
        recorded("pod") | {"request": {"uid": "u", "operation": "CREATE"}},
        recorded("api-v1"),
    ],
)
def test_what_is_no_review(document: Any) -> None:
    """It has no answer of that kind: one sentence."""
    with pytest.raises(NoReview, match=r"\.$|\]\.$"):
        read_review(document)


@pytest.mark.parametrize(
    ("reference", "name", "digest", "said"),
    [
        (GOOD, "registry.example.org/team/web", DIGEST, None),
        (f"localhost:5000/web:1.0@sha256:{DIGEST}", "localhost:5000/web", DIGEST, None),
        (f"web@sha256:{DIGEST.upper()}", "web", DIGEST, None),
        (f"web@sha512:{DIGEST * 2}", "web", DIGEST * 2, None),
        ("localhost:5000/web", "localhost:5000/web", None, "by a tag"),
        ("web:latest", "web", None, "by a tag"),
        (f"web@sha256:{DIGEST}@sha256:{'0' * 64}", "web", None, "neither"),
        ("web@sha1:" + "a" * 40, "web", None, "neither"),
        ("web@", "web", None, "neither"),
        ("web\n@sha256:" + DIGEST, "web\n@sha256:" + DIGEST, None, "no reference"),
        (" web", " web", None, "no reference"),
        ("", "", None, "no reference"),
    ],
)
def test_references(reference: str, name: str, digest: str | None, said: str | None) -> None:
    """Only a digest says which bytes will run."""
    asked = Image("containers[0]", reference).asked
    assert (name, digest) == (asked.name, asked.files[0].digest if asked.files else None)
    assert (said is None, said or "") == (asked.problem is None, said or "")
    assert (said or "") in (asked.problem or "")


def test_answers_have_the_form_of_the_api() -> None:
    """Their fields are those of the API, of its types; the size is limited, and the first reasons are told."""
    known = recorded("api-v1")["response"]
    reasons = tuple(f"containers[{number}] {'x' * 500}: {'y' * 500}" for number in range(500))
    found = response("u", Decision(500, 9000, reasons, warnings=reasons))
    answer = found["response"]
    assert {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}.items() <= found.items()
    assert set(answer) <= set(known)
    assert set(answer["status"]) <= set(known["status"])
    assert {key: type(each) for key, each in answer.items()} == {key: type(known[key]) for key in answer}
    assert ("u", False, 403) == (answer["uid"], answer["allowed"], answer["status"]["code"])
    assert answer["status"]["message"].startswith("containers[0]")
    assert "… and 495 more" in answer["status"]["message"]
    assert max(map(len, answer["warnings"])) <= 256
    assert sum(map(len, answer["warnings"])) <= 4096
    assert {"decision", "images", "packages", "why"} == set(answer["auditAnnotations"])
    assert all(isinstance(each, str) for each in answer["auditAnnotations"].values())
    assert len(json.dumps(found)) < 20_000


def test_allowed_answers_and_those_for_mistakes() -> None:
    """What passes has no status; a mistake has its own code and reason."""
    allowed = response("u", Decision(1, 2))["response"]
    assert (True, False, "allowed") == (
        allowed["allowed"],
        "status" in allowed,
        allowed["auditAnnotations"]["decision"],
    )
    wrong = response("u", Decision(0, 0, ("No.",)), HTTPStatus.UNPROCESSABLE_ENTITY)["response"]["status"]
    assert (422, "Invalid", "Failure", "No.") == (wrong["code"], wrong["reason"], wrong["status"], wrong["message"])


def named(document: Any) -> list[tuple[str, str, str | None, str | None]]:
    """Ecosystem, name, version and digest of each package."""
    found = read_contents(document, ECOSYSTEMS).packages
    return sorted((each.ecosystem, each.name, each.version, each.files[0].digest) for each in found)


SPDX = {
    "spdxVersion": "SPDX-2.3",
    "packages": [
        {"name": "image"},
        {
            "name": "idna",
            "checksums": [{"algorithm": each, "checksumValue": BYTES} for each in ("SHA1", "SHA256")],
            "externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:pypi/idna@3.10"}],
        },
    ],
}
PROVENANCE = {
    "buildDefinition": {
        "resolvedDependencies": [
            {"uri": "git+https://example.org/team/web", "digest": {"gitCommit": "0" * 40}},
            {"uri": "pkg:docker/base@1", "digest": {"sha256": "0" * 64}},
            {"uri": "pkg:pypi/idna@3.10", "digest": {"sha256": BYTES}},
        ]
    }
}


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        (Decision(1, 2), "All of it passes (1 image, 2 packages)."),
        (Decision(0, 2, warnings=("idna does not pass.",)), "It is let through (2 packages, 1 warning)."),
        (Decision(0, 0), "All of it passes."),
    ],
)
def test_what_is_only_let_through_is_not_said_to_pass(decision: Decision, message: str) -> None:
    """An audit lets everything through; nothing that has a warning passes."""
    assert message == decision.message


@pytest.mark.parametrize("document", [bill(("pkg:pypi/idna@3.10", BYTES)), SPDX, PROVENANCE])
def test_three_kinds_of_documents(document: Any) -> None:
    """They say the same of one package."""
    assert [("pypi", "idna", "3.10", BYTES)] == named(document)


@pytest.mark.parametrize(
    ("purl", "expected"),
    [
        ("pkg:npm/%40scope/Name@1.0.0", ("npm", "@scope/Name", "1.0.0")),
        ("pkg:npm/JSONStream@1.3.5", ("npm", "JSONStream", "1.3.5")),
        ("pkg:pypi/Some_Name@1.0", ("pypi", "some-name", "1.0")),
        ("pkg:deb/debian/gzip@1.13-1%2Bdeb13u1?arch=amd64", ("deb", "gzip", "1.13-1+deb13u1")),
        ("pkg:deb/ubuntu/gzip@1.13", ("deb", "ubuntu/gzip", "1.13")),
        ("pkg:pypi/idna", ("pypi", "idna", None)),
    ],
)
def test_package_urls(purl: str, expected: tuple[str, str, str | None]) -> None:
    """Names and versions are those that statements have."""
    assert [(*expected, BYTES)] == named(bill((purl, BYTES)))


def test_digests_of_a_component() -> None:
    """They stand in several places; one without any is asked about and cannot be answered; others are counted."""
    document = bill(("pkg:pypi/a@1?checksum=sha256:" + BYTES, None), ("pkg:pypi/b@1", None), ("pkg:golang/c@1", BYTES))
    document["components"] += [
        {"type": "operating-system", "name": "debian"},
        {
            "type": "library",
            "purl": "pkg:npm/d@1.0.0",
            "externalReferences": [
                {"type": "distribution", "url": "x", "hashes": [{"alg": "SHA-512", "content": "a" * 128}]},
                {"type": "vcs", "url": "y"},
            ],
            "components": [{"type": "library", "purl": "pkg:pypi/e@1", "hashes": [{"alg": "MD5", "content": "0"}]}],
        },
    ]
    expected = [("npm", "d", "1.0.0", "a" * 128), ("pypi", "a", "1", BYTES)]
    assert [*expected, ("pypi", "b", "1", None), ("pypi", "e", "1", None)] == named(document)
    found = read_contents(document, ECOSYSTEMS)
    assert 2 == found.others
    assert [1] * 4 == [len(each.files) for each in found.packages]
    assert [("npm", "d")] == [(each.ecosystem, each.name) for each in read_contents(document, {"npm"}).packages]


@pytest.mark.parametrize(
    "document",
    [
        7,
        {},
        {"bomFormat": "CycloneDX", "components": 7},
        {"bomFormat": "CycloneDX", "components": [7]},
        {"bomFormat": "CycloneDX", "components": [{"purl": 7}]},
        {"bomFormat": "CycloneDX", "components": [{"purl": "nonsense"}]},
        {"bomFormat": "CycloneDX", "components": [{"purl": "pkg:pypi/a@1", "hashes": [{"alg": "SHA-256"}]}]},
        {"spdxVersion": "SPDX-2.3", "packages": [{"externalRefs": [{}]}]},
        {"buildDefinition": []},
        bill(*((f"pkg:pypi/p{number}@1", None) for number in range(20_001))),
    ],
)
def test_documents_that_are_none(document: Any) -> None:
    """A sentence, and nothing of them counts."""
    with pytest.raises(ValueError, match=r"\.$"):
        read_contents(document, ECOSYSTEMS)


@pytest.fixture
def signed(tmp_path: Path) -> Sboms:
    """A directory in which only what one key signed counts."""
    (tmp_path / "sboms").mkdir()
    (tmp_path / "key.pem").write_bytes(MemorySigner().public_pem)
    return Sboms(ImageSetting(sboms=Path("sboms"), keys=(Path("key.pem"),)), tmp_path)


def inside(sboms: Sboms) -> Any:
    """The names of what is inside, or why it is not known."""
    found = sboms.inside(Sha256(DIGEST))
    return found if isinstance(found, str) else [each.name for each in found.packages]


def test_signed_bills_count(signed: Sboms, tmp_path: Path) -> None:
    """What others signed, and about other things, is passed over; what is written later is read."""
    document = bill(("pkg:pypi/idna@3.10", BYTES))
    assert "no bill of materials" in inside(signed)
    mine, other = MemorySigner(), MemorySigner(seed=2)
    put(tmp_path / "sboms", DIGEST, [attestation(DIGEST, bill(), other)])
    assert "signature does not fit" in inside(signed)
    put(
        tmp_path / "sboms",
        DIGEST,
        [
            attestation(DIGEST, bill(("pkg:pypi/forged@1", BYTES)), other),
            attestation("00" * 32, bill(("pkg:pypi/elsewhere@1", BYTES)), mine),
            attestation(DIGEST, {"scanner": "clean"}, mine, "https://example.org/scan"),
            attestation(DIGEST, document, mine),
        ],
    )
    assert ["idna"] == inside(signed)
    bundle = json.dumps({"dsseEnvelope": json.loads(attestation(DIGEST, SPDX, mine, "https://spdx.dev/Document"))})
    put(tmp_path / "sboms", DIGEST, [bundle])
    assert ["idna"] == inside(signed)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([json.dumps(bill(("pkg:pypi/idna@3.10", BYTES)))], "not signed"),
        ([attestation("00" * 32, bill(("pkg:pypi/idna@3.10", BYTES)), MemorySigner())], "another digest"),
        ([attestation(DIGEST, bill(), MemorySigner())], "lists nothing"),
        ([attestation(DIGEST, {"bomFormat": 1, "components": 7}, MemorySigner())], "cannot be used"),
        (
            [
                attestation(
                    DIGEST,
                    {"buildDefinition": {"resolvedDependencies": [{"uri": "pkg:docker/base@1"}]}},
                    MemorySigner(),
                    "https://slsa.dev/provenance/v1",
                )
            ],
            "lists nothing",
        ),
        (["nonsense"], "is not JSON"),
        (["[" * 100_000], "not JSON"),
        ([""], "not JSON"),
        ([json.dumps({"payload": 7, "signatures": 7})], "envelope"),
    ],
)
def test_what_does_not_count(signed: Sboms, tmp_path: Path, lines: list[str], said: str) -> None:
    """Each is a sentence, and nothing is known of the image."""
    put(tmp_path / "sboms", DIGEST, lines, "json")
    assert said in inside(signed)


def test_plain_bills(tmp_path: Path) -> None:
    """Without keys the directory is trusted, but neither what is signed, nor what says that it is about another."""
    sboms = Sboms(ImageSetting(sboms=Path()), tmp_path)
    document = bill(("pkg:pypi/idna@3.10", BYTES))
    path = put(tmp_path, DIGEST, [json.dumps(document, indent=1)], "json")
    assert ["idna"] == inside(sboms)
    document["metadata"] = {"component": {"version": "sha256:" + "00" * 32}}
    path.write_text(json.dumps(document))
    assert "about another digest" in inside(sboms)
    path.write_text(attestation(DIGEST, document, MemorySigner()))
    assert "names no key" in inside(sboms)
    path.unlink()
    path.mkdir()
    assert "cannot be read" in inside(sboms)


def test_settings_that_name_nothing(tmp_path: Path) -> None:
    """It is said when the program starts; without a directory nothing is known."""
    with pytest.raises(UsageError, match=r"images\.sboms"):
        Sboms(ImageSetting(sboms=Path("nowhere")), tmp_path)
    with pytest.raises(UsageError, match=r"key\.pem"):
        Sboms(ImageSetting(keys=(Path("key.pem"),)), tmp_path)
    assert "No directory" in inside(Sboms(ImageSetting(), tmp_path))
