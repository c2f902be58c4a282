"""``rebuilder admit`` over TLS, asked as a cluster and as a deployer ask, with genuine signed statements."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from rebuilder.cli.admit import admit
from rebuilder.cli.check import gate_of
from rebuilder.consumer.admission.application import LARGEST, Application
from rebuilder.consumer.admission.sboms import Sboms
from rebuilder.consumer.answer import Level, Vote, Voter
from rebuilder.consumer.enforcement import Enforcement
from rebuilder.consumer.gate import KEPT_SECONDS, Gate
from rebuilder.consumer.lock_files import Dependency, locked_file
from rebuilder.consumer.policy import Policy
from rebuilder.consumer.rebuilder import Trusted
from rebuilder.consumer.server import Certificate
from rebuilder.errors import StoreError, UsageError
from rebuilder.model.value import Sha256, Sha512
from rebuilder.model.verdict import Verdict
from tests.fakes.certificates import self_signed
from tests.fakes.loopback_index import wheel
from tests.fakes.proxies import answering
from tests.fakes.published import PublishedRebuilder, differing, identical
from tests.fakes.reviews import attestation, bill, pod, put, recorded, review, workload
from tests.fakes.signer import MemorySigner

GOOD, PLANTED, UNKNOWN = (hashlib.sha256(wheel("alpha", each)).hexdigest() for each in ("1.0", "1.1", "1.2"))
MANIFEST = b'{"schemaVersion": 2, "layers": []}'
WHOLE = f"registry.example.org/team/whole@sha256:{hashlib.sha256(MANIFEST).hexdigest()}"
WEB, BAD, BARE, EMPTY = (f"registry.example.org/{each}@sha256:{each:0<64}" for each in "abcd")
RELEASES = (("1.0", GOOD), ("1.1", PLANTED))
SIGNER = MemorySigner()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rebuilder that confirms a wheel and an image as a whole, and says of another wheel that it differs."""
    rebuilder = PublishedRebuilder(tmp_path_factory.mktemp("one"))
    good, planted = wheel("alpha", "1.0"), wheel("alpha", "1.1")
    rebuilder.publish(
        identical("alpha", "1.0", good),
        identical("whole", "1.0", MANIFEST),
        differing("alpha", "1.1", planted, "alpha_init.pth"),
        contents=[good, planted, MANIFEST],
    )
    return rebuilder.site


@dataclass
class Webhook:
    """A webhook, and somebody who asks it."""

    address: str
    client: httpx.Client

    def ask(self, *images: str, **more: Any) -> dict[str, Any]:
        """The answer to a review of a pod with these images."""
        return self.review(review(workload("Pod", pod(*images, **more))))

    def review(self, document: dict[str, Any]) -> dict[str, Any]:
        """The answer to a review."""
        answer = self.post(document)
        assert (200, "application/json") == (answer.status_code, answer.headers["content-type"])
        found: dict[str, Any] = answer.json()["response"]
        assert document["request"]["uid"] == found["uid"]
        return found

    def post(self, document: Any) -> httpx.Response:
        """What is answered to an object."""
        return self.client.post(f"{self.address}/v1/admit", json=document)

    def metrics(self) -> dict[str, int]:
        """The metrics by name and labels."""
        text = self.client.get(f"{self.address}/metrics").text
        return {name: int(value) for name, value in re.findall(r"^(rebuilder_\S+) (\d+)$", text, re.MULTILINE)}


@contextmanager
def webhook(site: Path, work: Path, rules: str = "", *, audit: bool = False) -> Iterator[Webhook]:
    """One behind TLS, with a policy, and bills of materials that a key signed."""
    known = {
        WEB: bill(("pkg:pypi/alpha@1.0", GOOD), ("pkg:golang/x@1", None)),
        BAD: bill(("pkg:pypi/alpha@1.0", GOOD), ("pkg:pypi/alpha@1.1", PLANTED)),
        EMPTY: bill(("pkg:golang/x@1", None)),
    }
    for image, document in known.items():
        digest = image.partition(":")[2]
        put(work / "sboms", digest, [attestation(digest, document, SIGNER)])
    (work / "signer.pem").write_bytes(SIGNER.public_pem)
    (work / "policy.toml").write_text(
        f'{rules}\n[[rebuilders]]\nplace = {json.dumps(str(site))}\nname = "one"\n'
        '[images]\nsboms = "sboms"\nkeys = ["signer.pem"]\n'
    )
    path = self_signed(work)
    with (
        gate_of(work / "policy.toml", work / "seen") as gate,
        answering(
            Application(Enforcement(gate, audit=audit), Sboms(gate.policy.images, work)),
            Certificate(path, path.with_name("key.pem")),
        ) as address,
        httpx.Client(verify=ssl.create_default_context(cafile=path), timeout=60) as client,
    ):
        yield Webhook(address, client)


@pytest.fixture
def asked(site: Path, tmp_path: Path) -> Iterator[Webhook]:
    """A webhook with the usual policy."""
    tmp_path = tmp_path / "admission"
    tmp_path.mkdir()
    with webhook(site, tmp_path) as found:
        yield found


def test_what_is_inside_decides(asked: Webhook) -> None:
    """An image whose packages are all confirmed is let through; one with another package is not, and it is said why."""
    found = asked.ask(WEB)
    assert (True, False, {"decision": "allowed", "images": "1", "packages": "1"}) == (
        found["allowed"],
        "status" in found or "warnings" in found,
        found["auditAnnotations"],
    )
    found = asked.ask(WEB, BAD)
    assert (False, 403) == (found["allowed"], found["status"]["code"])
    message = found["status"]["message"]
    assert message.startswith(
        "containers[1] registry.example.org/b@sha256:b00000000000…: rebuilder: alpha==1.1 does not "
    )
    assert "alpha_init.pth" in message
    assert "alpha==1.0" not in message
    counts = asked.metrics()
    assert 1 == counts['rebuilder_policy_files_total{outcome="blocked",standing="differs"}']
    assert 3 == counts['rebuilder_policy_files_total{outcome="allowed",standing="passed"}']
    assert 1 == counts['rebuilder_policy_requests_total{result="blocked"}']
    assert 1 == counts['rebuilder_policy_requests_total{result="allowed"}']


def test_an_image_that_a_rebuilder_confirms_as_a_whole(asked: Webhook) -> None:
    """It needs no bill of materials, wherever in the pod it is named."""
    volume = {"name": "v", "image": {"reference": WHOLE}}
    assert asked.ask(WHOLE, volumes=[volume], initContainers=[{"name": "i", "image": WHOLE}])["allowed"]


@pytest.mark.parametrize(
    ("image", "allowed", "said"),
    [
        (BARE, False, "no bill of materials"),
        ("registry.example.org/team/web:1.0", False, "by a tag"),
        ("nginx", False, "by a tag"),
        (EMPTY, True, ""),
    ],
)
def test_what_nobody_knows_does_not_pass(asked: Webhook, image: str, allowed: bool, said: str) -> None:
    """Tags, and images without a bill of materials; one without any package of ours passes."""
    found = asked.ask(image)
    assert allowed is found["allowed"]
    assert said in found.get("status", {}).get("message", "")


def test_a_kind_that_is_not_known(asked: Webhook) -> None:
    """The answer says which there are."""
    found = asked.review(recorded("scale"))
    assert (False, 422, "Invalid") == (found["allowed"], found["status"]["code"], found["status"]["reason"])
    assert "rules may name CronJob" in found["status"]["message"]
    assert asked.review(review(None, before=workload("Pod", pod("nginx")), operation="DELETE"))["allowed"]


def test_exceptions_and_leniency(site: Path, tmp_path: Path) -> None:
    """A waiver by image or package URL lets through until its day, with a warning; what differs needs one."""
    waivers = (
        '[[exceptions]]\npackage = "pkg:oci/registry.example.org/c*"\nuntil = 2999-01-01\nreason = "looked at"\n'
        '[[exceptions]]\npackage = "pkg:pypi/alpha@1.1*"\nuntil = 2999-01-01\nreason = "known"\n'
        '[[exceptions]]\npackage = "pkg:oci/nginx"\nuntil = 2001-01-01\nreason = "over"\n'
    )
    with webhook(site, tmp_path, waivers) as asked:
        found = asked.ask(BARE, BAD)
        assert found["allowed"]
        assert 2 == len(found["warnings"])
        assert "is let through (excepted): An exception until 2999-01-01: looked at" in found["warnings"][0]
        assert "alpha==1.1 is let through" in found["warnings"][1]
        assert "warned" == found["auditAnnotations"]["decision"]
        assert "known" in found["auditAnnotations"]["why"]
        refused = asked.ask("nginx")
        assert "ended on 2001-01-01 (over)" in refused["status"]["message"]
        assert 1 == asked.metrics()['rebuilder_policy_requests_total{result="warned"}']
    lenient = tmp_path / "lenient"
    lenient.mkdir()
    with webhook(site, lenient, 'undecided = "warn"') as asked:
        found = asked.ask("nginx", BARE)
        assert (True, 2) == (found["allowed"], len(found["warnings"]))
        assert "let through (tolerated)" in found["warnings"][0]
        assert not asked.ask(BAD)["allowed"]


@pytest.mark.parametrize("package", ["web", "*", "pkg:pypi/*", "pkg:oci/web@1*", "pkg:oci/we"])
def test_an_exception_for_packages_is_none_for_images(package: str, site: Path, tmp_path: Path) -> None:
    """Whoever deploys chooses the name of an image."""
    waiver = f'[[exceptions]]\npackage = "{package}"\nuntil = 2999-01-01\nreason = "packages of ours"\n'
    with webhook(site, tmp_path, waiver) as asked:
        assert [False] * 3 == [asked.ask(each)["allowed"] for each in ("web", "web:1.0", f"web@sha256:{'0' * 64}")]


def test_audit_blocks_nothing(site: Path, tmp_path: Path) -> None:
    """What would be blocked is a warning and stands in the report."""
    with webhook(site, tmp_path, audit=True) as asked:
        found = asked.ask(BAD)
        assert (True, True) == (found["allowed"], "alpha_init.pth" in found["warnings"][0])
        assert asked.review(recorded("scale"))["allowed"]
        report = asked.client.get(f"{asked.address}/").json()
    assert ("audit", 2, 1) == (report["mode"], report["total"], report["passed"])


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (b"nonsense", 400, "is not JSON"),
        (b"[1]", 400, "no object"),
        (b"{}", 400, "no AdmissionReview"),
        (b"\xff", 400, "UTF-8"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, 400, "levels deep"),
        (json.dumps(recorded("pod") | {"apiVersion": "admission.k8s.io/v1beta1"}).encode(), 400, "admissionReviewVer"),
        (json.dumps(recorded("api-v1")).encode(), 400, "no operation"),
        (b'{"packages": [], "more": 1}', 400, "more"),
        (b'{"packages": 7}', 400, "lists"),
        (b'{"packages": [{"purl": "idna"}]}', 400, "no package URL"),
        (b'{"packages": [{"purl": 7}]}', 400, "each a text"),
        (b'{"packages": [{"name": "idna"}]}', 400, "purl"),
        (b'{"images": [7]}', 400, "references"),
        (b'{"sbom": {}}', 400, "CycloneDX"),
        (b" " * (LARGEST + 2_000_000), 413, "8 MiB"),
    ],
)
def test_bodies_that_cannot_be_answered(asked: Webhook, content: bytes, status: int, said: str) -> None:
    """One sentence, whatever it is."""
    head = {"Content-Type": "application/json"}
    answer = asked.client.post(f"{asked.address}/v1/admit", content=content, headers=head)
    assert status == answer.status_code
    assert said in answer.json()["error"]
    assert 1 == asked.metrics()['rebuilder_policy_requests_total{result="malformed"}']


def test_other_requests(asked: Webhook) -> None:
    """Methods, media types and addresses that there are not."""
    url = f"{asked.address}/v1/admit"
    assert 405 == asked.client.get(url).status_code
    assert 415 == asked.client.post(url, content=b"{}", headers={"Content-Type": "text/plain"}).status_code
    assert 411 == asked.client.post(url, content=iter([b"{}"])).status_code
    assert 404 == asked.client.post(f"{asked.address}/admit", json={}).status_code
    assert 200 == asked.client.get(f"{asked.address}/healthz").status_code


def test_plain_questions(asked: Webhook) -> None:
    """A deployer names packages, images, or sends the bill of materials; the status says what came of it."""
    good, planted = (
        {"purl": f"pkg:pypi/alpha@{each}", "sha256": sha256} for each, sha256 in (("1.0", GOOD), ("1.1", PLANTED))
    )
    answer = asked.post({"packages": [good], "images": [WEB]})
    assert (200, True, 1, 2) == (answer.status_code, *(answer.json()[key] for key in ("allowed", "images", "packages")))
    answer = asked.post({"packages": [good, planted]})
    assert (403, False) == (answer.status_code, answer.json()["allowed"])
    assert "alpha==1.1 does not pass (differs)" in answer.json()["reasons"][0]
    answer = asked.post({"sbom": bill(("pkg:pypi/alpha@1.0", GOOD), ("pkg:pypi/beta@1", None))})
    assert "Nothing says its SHA-256" in answer.json()["message"]


@pytest.mark.parametrize("first", [0, 1])
def test_no_question_changes_the_answer_to_another(asked: Webhook, first: int) -> None:
    """A digest that is confirmed for one release passes for no other, whichever is asked first."""
    questions = [
        ({"purl": "pkg:pypi/alpha@1.0", "sha256": GOOD}, 200),
        ({"purl": "pkg:pypi/alpha@9.0", "sha256": GOOD}, 403),
        ({"purl": "pkg:pypi/alpha", "sha256": GOOD}, 200),
        ({"purl": "pkg:pypi/beta@1.0", "sha256": GOOD}, 403),
        ({"purl": "pkg:pypi/alpha@1.0", "sha256": UNKNOWN}, 403),
    ]
    expected = [each for _, each in (questions[::-1] if first else questions)] + [each for _, each in questions]
    posed = [each for each, _ in (questions[::-1] if first else questions)] + [each for each, _ in questions]
    assert expected == [asked.post({"packages": [each]}).status_code for each in posed]


def test_a_rebuilder_that_is_not_what_it_must_be(site: Path, tmp_path: Path) -> None:
    """Nothing passes, not even an image without packages."""
    copy = shutil.copytree(site, tmp_path / "copy")
    (copy / "log" / "checkpoint").write_text("nonsense")
    with webhook(copy, tmp_path) as asked:
        found = asked.ask(EMPTY)
        assert (False, 403) == (found["allowed"], found["status"]["code"])
        assert found["status"]["message"].startswith("rebuilder: one: ")
        assert asked.post({"packages": []}).status_code == 403
        assert 1 == asked.metrics()["rebuilder_policy_rebuilders_refused"]


class Confirming:
    """Confirms every file, on a page of its own; or cannot remember what it saw."""

    name = "other"

    def __init__(self) -> None:
        self.verdict, self.level, self.asked, self.broken = Verdict.REPRODUCED, Level.BUILD_ALONE, 0, False

    def vote(self, digest: Sha256 | Sha512) -> Vote:
        """See :class:`rebuilder.consumer.check.Speaker`."""
        self.asked += 1
        if self.broken:
            raise StoreError("The disk is full.")
        return Vote(
            sha256=Sha256(digest),
            filename="alpha-1.0-py3-none-any.whl",
            package="alpha",
            version="1.0",
            verdict=self.verdict,
            level=self.level if self.verdict is not Verdict.DIFFERS else None,
            voter=Voter(operator="other", name="other", key_id="key"),
            statement=Sha256("0" * 64),
            report="https://rebuilds.example.org/pypi/alpha/index.html",
        )


ALPHA = Dependency("pypi", "alpha", "1.0", "", (locked_file(None, {"sha256": GOOD}),))


def test_a_refusal_has_the_address_of_the_report(tmp_path: Path) -> None:
    """Where a rebuilder has one; what fails on our side says no, too, in a review that is answered in kind."""
    speaker = Confirming()
    speaker.verdict = Verdict.DIFFERS
    question = {"packages": [{"purl": "pkg:pypi/alpha@1.0", "sha256": GOOD}]}
    with (
        Gate([], Policy(), tmp_path, others=[speaker]) as gate,
        httpx.Client(timeout=60) as client,
        answering(Application(Enforcement(gate), Sboms(gate.policy.images, tmp_path))) as address,
    ):
        asked = Webhook(address, client)
        report = "Report: https://rebuilds.example.org/pypi/alpha/index.html"
        assert asked.post(question).json()["message"].endswith(report)
        speaker.broken = True
        found = asked.ask(WHOLE)
        status = found["status"]
        assert (False, 500, "InternalError") == (found["allowed"], status["code"], status["reason"])
        assert "The disk is full." in found["status"]["message"]
        assert 503 == asked.post({"images": [WHOLE]}).status_code


def test_builds_with_packages_that_nobody_signed_pass_only_where_the_policy_says_so(tmp_path: Path) -> None:
    """The weakest level is no confirmation by itself."""
    speaker = Confirming()
    speaker.verdict, speaker.level = Verdict.UNAUTHENTICATED, Level.UNAUTHENTICATED
    found = []
    for policy in (Policy(), Policy(level=Level.UNAUTHENTICATED)):
        with Gate([], policy, tmp_path, others=[speaker]) as gate:
            found += gate.answers([ALPHA])
    assert ["undecided", "passed"] == [each.standing.value for each in found]
    assert "unauthenticated is less than equivalent" in found[0].sentence


def test_answers_are_kept_and_renewed(tmp_path: Path) -> None:
    """One is asked for once; after a while again behind the scenes, after twice that before it is given."""
    now, speaker = [0.0], Confirming()
    with Gate([], Policy(), tmp_path, others=[speaker], clock=lambda: now[0]) as gate:

        def passes() -> bool:
            (answer,) = gate.answers([ALPHA])
            return answer.standing.passes

        assert passes()
        assert passes()
        assert 1 == speaker.asked
        speaker.verdict, now[0] = Verdict.DIFFERS, KEPT_SECONDS
        passes()  # as it was or as it is: it is asked for anew meanwhile
        with gate._renewing:
            assert 2 == speaker.asked
        assert not passes()
        assert 2 == speaker.asked
        speaker.verdict, now[0] = Verdict.REPRODUCED, 3 * KEPT_SECONDS
        assert passes()
        assert 3 == speaker.asked


def test_what_cannot_be_renewed_is_not_kept_for_ever(tmp_path: Path) -> None:
    """While nobody can be asked, answers count until they are too old."""
    now, speaker = [0.0], Confirming()
    with Gate([], Policy(), tmp_path, others=[speaker], clock=lambda: now[0]) as gate:
        gate.answers([ALPHA])
        speaker.broken = True
        for now[0] in (KEPT_SECONDS, KEPT_SECONDS + 1, 2 * KEPT_SECONDS - 1):
            assert [True] == [each.standing.passes for each in gate.answers([ALPHA])]
            with gate._renewing:
                assert 2 <= speaker.asked <= 3
        now[0] = 2 * KEPT_SECONDS
        with pytest.raises(StoreError):
            gate.answers([ALPHA])


def test_many_at_once(site: Path, tmp_path: Path) -> None:
    """Threads that ask while everything is asked for anew get the same answers."""
    now = [0.0]
    with Gate([Trusted(str(site))], Policy(), tmp_path, clock=lambda: now[0]) as gate:
        found: list[bool] = []

        def ask() -> None:
            for _ in range(50):
                now[0] += KEPT_SECONDS / 20
                found.extend(each.standing.passes for each in gate.answers([ALPHA]))

        threads = [Thread(target=ask) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    assert [True] * 200 == found


def test_certificates(site: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A renewed one is shown; while the files are none, the one of before; clients may need one, too."""
    with webhook(site, tmp_path) as asked:
        renewed = self_signed(tmp_path)
        trusting = ssl.create_default_context(cafile=renewed)
        assert 200 == httpx.get(f"{asked.address}/healthz", verify=trusting, timeout=60).status_code
        assert "was renewed" in capfd.readouterr().err
        renewed.write_text("nonsense")
        assert 200 == httpx.get(f"{asked.address}/healthz", verify=trusting, timeout=60).status_code
        assert "the one of before is shown" in capfd.readouterr().err
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{asked.address.replace('https', 'http')}/healthz", timeout=60)
    path = self_signed(tmp_path)
    certificate = Certificate(path, tmp_path / "key.pem", path)
    trusting = ssl.create_default_context(cafile=path)
    with (
        Gate([Trusted(str(site))], Policy(), tmp_path) as gate,
        answering(Application(Enforcement(gate), Sboms(gate.policy.images, tmp_path)), certificate) as address,
    ):
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{address}/healthz", verify=trusting, timeout=60)
        trusting.load_cert_chain(path, tmp_path / "key.pem")
        assert 200 == httpx.get(f"{address}/healthz", verify=trusting, timeout=60).status_code


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tls_cert": "a.pem"}, "--tls-key"),
        ({"client_ca": "a.pem"}, "--tls-cert"),
        ({"listen": "0.0.0.0:8443"}, "Without a certificate"),
        ({"tls_cert": "no.pem", "tls_key": "no.pem"}, "no such file"),
        ({"tls_cert": "policy.toml", "tls_key": "policy.toml"}, "cannot be used for TLS"),
        ({"policy": "no.toml"}, "does not exist"),
    ],
)
def test_wrong_use(options: dict[str, str], said: str, site: Path, tmp_path: Path) -> None:
    """A sentence before anything is answered."""
    (tmp_path / "policy.toml").write_text(f"[[rebuilders]]\nplace = {json.dumps(str(site))}\n")
    named = {"policy": "policy.toml"} | options
    given: dict[str, Any] = {key: each if key == "listen" else tmp_path / each for key, each in named.items()}
    with pytest.raises(UsageError, match=re.escape(said)):
        admit(**{"listen": "127.0.0.1:0", "seen": tmp_path / "seen", **given})


def test_the_command(site: Path, tmp_path: Path) -> None:
    """It says where it answers, and answers there, until it is ended."""
    (tmp_path / "policy.toml").write_text(f"[[rebuilders]]\nplace = {json.dumps(str(site))}\n")
    start = "from rebuilder.cli.main import main; main()"
    options = ["--policy", "policy.toml", "--listen", "127.0.0.1:0", "--seen", "seen"]
    command = [sys.executable, "-c", start, "admit", *options]
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "HOME": str(tmp_path)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        address = re.search(r"http://\S+", running.stderr.readline())
        assert address is not None
        answer = httpx.post(address[0], json={"packages": [{"purl": "pkg:pypi/alpha@1.0", "sha256": GOOD}]}, timeout=60)
        running.terminate()
    assert (200, True) == (answer.status_code, answer.json()["allowed"])
