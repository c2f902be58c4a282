"""npm releases from the command line: a registry on loopback serves recorded genuine data, and altered data."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rebuilder.provenance.trust.files import update
from tests.fakes.command import Answer, Installation
from tests.fakes.npm import NpmInstallation
from tests.fakes.registry import Registry, redirect
from tests.fakes.sigstore_instance import TIME, SigstoreInstance, b64, github, sign
from tests.fakes.toy import WHEEL_WORDS

ASSETS = Path(__file__).parent.parent / "assets" / "attestations" / "npm"
TARBALL = ASSETS / "provenance-npm-test-cli-v1-prega.tgz"
SCOPED = ASSETS / "provenance-npm-test-cli-v02-prega.tgz"
COMMIT = "46e7056ff9912ebfee5298d94024895a9fea76c0"
SCOPED_COMMIT = "b38894f2dda4355ea5606fccb166e61565e12a14"
SCOPED_NAME = "@laurentsimon/provenance-npm-test"


WITHOUT_REPOSITORIES = '[sources.mirrors]\n"https://github.com" = "/nonexistent"\n'
"""Where commits that real attestations name would come from."""


@pytest.fixture
def registry() -> Iterator[Registry]:
    """An empty registry."""
    with Registry() as running:
        yield running


@pytest.fixture
def installation(tmp_path: Path, environments_root: Path, registry: Registry) -> NpmInstallation:
    """An installation that asks that registry, and no repository."""
    made = Installation.make(tmp_path, environments_root, registry.url)
    (tmp_path / "home").mkdir()
    settings = tmp_path / "rebuilder.toml"
    settings.write_text(WITHOUT_REPOSITORIES)
    return NpmInstallation(tmp_path, made.index_url, registry.npm_url, settings)


def publish(registry: Registry, **more: Any) -> None:
    """Publish the recorded release of sigstore."""
    options = {"attestations": Path(f"{TARBALL}.json").read_bytes()} | more
    registry.add_package("sigstore", "2.3.1", options.pop("tarball", TARBALL.read_bytes()), **options)


def pinned(answer: Answer, verdict: str = "inputs-missing") -> dict[str, Any]:
    """The line about a release whose repository cannot be had."""
    line = answer.line
    assert (3, verdict) == (answer.code, line["verdict"]), answer.words
    return line


def page(line: dict[str, Any]) -> str:
    """Text of the artifact's page."""
    return Path(line["report"]).read_text()


def altered(document: bytes) -> bytes:
    """An attestation document with one letter of a signature changed."""
    content = json.loads(document)
    for attestation in content["attestations"]:
        signature = attestation["bundle"]["dsseEnvelope"]["signatures"][0]
        raw = bytearray(base64.b64decode(signature["sig"]))
        raw[-1] ^= 1
        signature["sig"] = base64.b64encode(raw).decode()
    return json.dumps(content).encode()


def test_genuine_release_is_verified(registry: Registry, installation: NpmInstallation) -> None:
    """Publisher, commit and log time of a recorded release are on the line and on the page; the digest is pinned."""
    publish(registry, deprecated="use\x1b[31m another")
    line = pinned(installation.verify("npm:sigstore==2.3.1"))
    found = line["provenance"]
    assert ("verified", COMMIT) == (found["status"], found["commit"]), found
    assert "https://github.com/sigstore/sigstore-js" == found["repository"]
    assert found["log_time"].startswith("2024-"), found
    assert hashlib.sha256(TARBALL.read_bytes()).hexdigest() == line["subject"]["sha256"]
    assert ("pkg:npm/sigstore@2.3.1", "sigstore-2.3.1.tgz") == (line["subject"]["purl"], line["subject"]["filename"])
    assert [] == line["alarms"]
    text = page(line)
    assert COMMIT in text
    assert "deprecated" in text
    assert "\x1b" not in text
    files = [each for each in Path(line["report"]).parent.iterdir() if each.suffix in {".html", ".json", ".jsonl"}]
    assert {"index.html", "report.json"} < {each.name for each in files}
    texts = [each.read_text() for each in files]
    signed = [
        base64.b64decode(found[1]).decode() for each in texts for found in re.finditer(r'"payload": ?"(.+?)"', each)
    ]
    assert any("sigstore-2.3.1.tgz" in each for each in signed)
    assert [] == [each for each in texts + signed if WHEEL_WORDS.search(each)]


def test_provenance_alone_is_verified_with_a_finding(registry: Registry, installation: NpmInstallation) -> None:
    """The recorded bundle of sigstore 2.1.0, whose publish attestation was not recorded with it."""
    bundle = json.loads((ASSETS / "sigstore-js-2.1.0-bundle.json").read_bytes())
    document = {"attestations": [{"predicateType": "https://slsa.dev/provenance/v1", "bundle": bundle}]}
    tarball = (ASSETS / "sigstore-js-2.1.0.tgz").read_bytes()
    registry.add_package("sigstore", "2.1.0", tarball, attestations=json.dumps(document).encode())
    found = pinned(installation.verify("npm:sigstore==2.1.0"))["provenance"]
    assert ("verified", "26d16513386ffaa790b1c32f927544f1322e4194") == (found["status"], found["commit"])
    assert ["no-publish-attestation"] == [each["kind"] for each in found["findings"]]


@pytest.mark.parametrize(
    "subject",
    [
        f"npm:{SCOPED_NAME}@1.0.3",
        f"npm:{SCOPED_NAME}==1.0.3",
        f"npm:{SCOPED_NAME}",
        "pkg:npm/%40laurentsimon/provenance-npm-test@1.0.3",
    ],
)
def test_scoped_names(registry: Registry, installation: NpmInstallation, subject: str) -> None:
    """A scope is found however it is written, and is one path segment at the registry."""
    registry.add_package(SCOPED_NAME, "1.0.3", SCOPED.read_bytes(), attestations=Path(f"{SCOPED}.json").read_bytes())
    line = pinned(installation.verify(subject))
    assert ("verified", SCOPED_COMMIT) == (line["provenance"]["status"], line["provenance"]["commit"])
    assert "pkg:npm/%40laurentsimon/provenance-npm-test@1.0.3" == line["subject"]["purl"]
    assert 1 == registry.count("/npm/@laurentsimon%2Fprovenance-npm-test")


def test_second_time_costs_no_download(registry: Registry, installation: NpmInstallation) -> None:
    """A tarball known by its SHA-512 is not fetched again."""
    publish(registry)
    first, second = (pinned(installation.verify("npm:sigstore")) for _ in range(2))
    assert first["subject"] == second["subject"]
    assert 1 == registry.count("/npm/sigstore/-/sigstore-2.3.1.tgz")


def test_altered_attestation_is_invalid_and_an_alarm(registry: Registry, installation: NpmInstallation) -> None:
    """It does not stop anything, and it is loud."""
    publish(registry, attestations=altered(Path(f"{TARBALL}.json").read_bytes()))
    line = pinned(installation.verify("npm:sigstore==2.3.1"))
    assert "invalid" == line["provenance"]["status"]
    assert "commit" not in line["provenance"]
    assert ["attestation-invalid"] == [each["kind"] for each in line["alarms"]]


def test_attestation_of_another_tarball_is_invalid(registry: Registry, installation: NpmInstallation) -> None:
    """A genuine attestation beside bytes it is not about, which the packument vouches for."""
    publish(registry, tarball=SCOPED.read_bytes())
    line = pinned(installation.verify("npm:sigstore==2.3.1"))
    assert "invalid" == line["provenance"]["status"]


def test_tarball_with_other_bytes_is_refused(registry: Registry, installation: NpmInstallation) -> None:
    """The packument's SHA-512 binds the bytes: nothing is stored or said about others."""
    good = base64.b64encode(hashlib.sha512(TARBALL.read_bytes()).digest()).decode()
    publish(registry, tarball=SCOPED.read_bytes(), integrity=f"sha512-{good}")
    answer = installation.verify("npm:sigstore==2.3.1")
    assert (4, "infra-error") == (answer.code, answer.line["verdict"])
    assert "sha512" in answer.line["problem"]
    other = hashlib.sha256(SCOPED.read_bytes()).hexdigest()
    assert not list((installation.store / "blobs").rglob(f"{other}*"))


def test_a_lock_file_with_another_sha512(registry: Registry, installation: NpmInstallation, tmp_path: Path) -> None:
    """It wants other bytes than those that are published: an alarm, and nothing is built; theirs are looked at."""
    publish(registry)
    for content, expected in ((SCOPED.read_bytes(), (1, None)), (TARBALL.read_bytes(), (3, "inputs-missing"))):
        digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
        lock = tmp_path / "pnpm-lock.yaml"
        row = f"  sigstore@2.3.1: {{resolution: {{integrity: sha512-{digest}}}}}\n"
        lock.write_text(f"lockfileVersion: '9.0'\npackages:\n{row}")
        answer = installation.verify("-r", lock)
        assert (answer.code, answer.line["verdict"]) == expected, answer.words
        kinds = [each["kind"] for each in answer.line["alarms"]]
        assert kinds == (["unknown-digest"] if answer.code == 1 else [])


def test_changed_bytes_under_a_known_name_are_an_alarm(registry: Registry, installation: NpmInstallation) -> None:
    """The digest is pinned when it is first seen; a packument that promises another one later is told."""
    publish(registry)
    pinned(installation.verify("npm:sigstore==2.3.1"))
    publish(registry, tarball=SCOPED.read_bytes())
    line = pinned(installation.verify("npm:sigstore==2.3.1"))
    assert {"digest-changed", "attestation-invalid"} == {each["kind"] for each in line["alarms"]}


def test_attestations_that_are_named_and_not_there(registry: Registry, installation: NpmInstallation) -> None:
    """Said to be missing, on the line and on the page; a finding at first sight, and nothing was "checked"."""
    publish(registry)
    registry.remove("/npm/-/npm/v1/attestations/sigstore@2.3.1")
    line = pinned(installation.verify("npm:sigstore==2.3.1"))
    assert ("absent", ["attestation-missing"]) == (
        line["provenance"]["status"],
        [each["kind"] for each in line["provenance"]["findings"]],
    )
    assert [] == line["alarms"]
    text = page(line)
    assert "but has none at the address" in text
    assert "names no" not in text
    assert "were checked" not in text


def test_attestation_that_vanishes_is_an_alarm(registry: Registry, installation: NpmInstallation) -> None:
    """A later release without attestation is told, since an earlier one had a verified publisher."""
    publish(registry)
    pinned(installation.verify("npm:sigstore==2.3.1"))
    registry.add_package("sigstore", "2.3.2", b"later", published=datetime(2024, 8, 1, tzinfo=UTC))
    line = pinned(installation.verify("npm:sigstore"), "unsupported")  # its bytes are no archive
    assert ("absent", ["attestation-vanished"]) == (
        line["provenance"]["status"],
        [each["kind"] for each in line["alarms"]],
    )


@dataclass
class Own:
    """A registry and a Sigstore whose keys the tests hold, believed by an installation."""

    installation: NpmInstallation
    sigstore: SigstoreInstance

    def signature(self, text: str) -> dict[str, str]:
        """The registry's signature over a text."""
        return {"keyid": "SHA256:example", "sig": b64(sign(self.sigstore.registry, text.encode()))}

    def attestations(self, name: str, version: str, tarball: bytes) -> bytes:
        """A genuine document with publish attestation and provenance."""
        purl = f"pkg:npm/{name}@{version}"
        sha512 = hashlib.sha512(tarball).hexdigest()
        published = self.sigstore.npm(purl, sha512, None, {"name": name, "version": version, "registry": "urn:r"})
        source = {"uri": "git+https://github.com/o/r@refs/tags/v1", "digest": {"gitCommit": "c" * 40}}
        predicate = {"buildDefinition": {"resolvedDependencies": [source]}}
        built = self.sigstore.npm(purl, sha512, github("o/r", commit="c" * 40), predicate)
        entries = [published, built]
        return json.dumps({"attestations": entries}).encode()


@pytest.fixture
def own(installation: NpmInstallation) -> Own:
    """Let the program believe our own keys."""
    made = Own(installation, SigstoreInstance())
    trust = made.sigstore.trust()
    for name, data in (("root.json", trust.trusted_root), ("keys.json", trust.npm_keys)):
        (installation.root / name).write_bytes(data)
        update(installation.root / name, installation.root / "trust")
    installation.settings.write_text(f'trust = "{installation.root}/trust"\n{WITHOUT_REPOSITORIES}')
    return made


@pytest.mark.parametrize(
    ("signed", "status"),
    [("own@1.0.0", "verified"), ("own@1.0.1", "invalid"), ("other@1.0.0", "invalid")],
)
def test_registry_signatures_count(registry: Registry, own: Own, signed: str, status: str) -> None:
    """The registry's signature over name, version and digest must fit, or the whole is invalid."""
    tarball = b"tarball"
    digest = base64.b64encode(hashlib.sha512(tarball).digest()).decode()
    registry.add_package(
        "own",
        "1.0.0",
        tarball,
        attestations=own.attestations("own", "1.0.0", tarball),
        signatures=[own.signature(f"{signed}:sha512-{digest}")],
        published=TIME,
    )
    line = pinned(own.installation.verify("npm:own==1.0.0"), "unsupported")
    assert status == line["provenance"]["status"], line["provenance"]
    assert "Signature of the registry" in page(line)


def test_registry_signature_alone_is_no_attestation(registry: Registry, own: Own) -> None:
    """It is checked and shown, and the unsigned time its key was judged by is told."""
    digest = base64.b64encode(hashlib.sha512(b"tarball").digest()).decode()
    signature = own.signature(f"own@1.0.0:sha512-{digest}")
    registry.add_package("own", "1.0.0", b"tarball", signatures=[signature], published=TIME)
    line = pinned(own.installation.verify("npm:own==1.0.0"), "unsupported")
    assert ("absent", ["unsigned-time"]) == (
        line["provenance"]["status"],
        [each["kind"] for each in line["provenance"]["findings"]],
    )
    assert "Signature of the registry" in page(line)


def test_token_goes_to_its_registry_only(registry: Registry, installation: NpmInstallation) -> None:
    """A token from .npmrc is sent to the registry, not to where a tarball is redirected, and is never shown."""
    host = registry.npm_url.removeprefix("http:")
    secret = "npm_0123456789secret"
    (installation.root / "home" / ".npmrc").write_text(
        f"registry={registry.npm_url}/\n{host}/:_authToken=${{TOKEN_THAT_IS_NOT_SET?}}{secret}\n"
    )
    asking = replace(installation, registry="")
    publish(registry)
    with Registry() as elsewhere:
        url = elsewhere.serve("/npm/sigstore.tgz", TARBALL.read_bytes())
        installation.settings.write_text(f'[network]\nreachable = ["{elsewhere.base}"]\n{WITHOUT_REPOSITORIES}')
        registry.fault("/npm/sigstore/-/", redirect(url))
        registry.token = secret
        answer = asking.verify("npm:sigstore==2.3.1")
        assert "verified" == pinned(answer)["provenance"]["status"]
        assert [None] == [each.headers.get("authorization") for each in elsewhere.requests]
    assert secret not in answer.words
    written = [file for file in installation.root.rglob("*") if file.is_file() and file.name != ".npmrc"]
    assert written
    assert [] == [file for file in written if secret.encode() in file.read_bytes()]


def test_broken_npm_settings_concern_npm_only(registry: Registry, installation: NpmInstallation) -> None:
    """They are a sentence for an npm package, and nothing to a Python project."""
    (installation.root / "home" / ".npmrc").write_bytes(b"\xff\xfe")
    publish(registry)
    answer = installation.verify("npm:sigstore", "pypi:nothing")
    assert 2 == answer.code
    npm, pypi = (line["problem"] for line in answer.lines)
    assert ".npmrc cannot be read as text" in npm
    assert "nothing" in pypi
    assert "npm" not in pypi


@pytest.mark.parametrize(
    ("subject", "problem", "hint"),
    [
        ("npm:nothing", "The package nothing is not on the npm registry.", "spelling"),
        ("npm:sigstore==2.3.9", "sigstore has no version 2.3.9 on the npm registry.", "Versions near it: 2.3.1"),
    ],
)
def test_unknown_names_are_wrong_use(
    registry: Registry, installation: NpmInstallation, subject: str, problem: str, hint: str
) -> None:
    """A sentence, and what is near."""
    publish(registry)
    answer = installation.verify(subject)
    assert (2, problem) == (answer.code, answer.line["problem"])
    assert hint in answer.words


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("deep", b"[" * 100_000),
        ("text", b"<html>"),
        ("list", b'{"name": "list", "versions": []}'),
        ("other", b'{"name": "another", "versions": {}}'),
        ("types", b'{"name": "types", "versions": {"1.0.0": {"name": 1}}}'),
        (
            "file",
            (
                b'{"name": "file", "versions": {"1.0.0": {"name": "file", "version": "1.0.0", '
                b'"dist": {"tarball": "file:///etc/passwd", "integrity": "sha512-AA=="}}}}'
            ),
        ),
        (
            "weak",
            (
                b'{"name": "weak", "versions": {"1.0.0": {"name": "weak", "version": "1.0.0", '
                b'"dist": {"tarball": "weak.tgz", "shasum": "00"}}}}'
            ),
        ),
    ],
)
def test_hostile_documents_are_sentences(
    registry: Registry, installation: NpmInstallation, name: str, document: bytes
) -> None:
    """What a registry sends never becomes a traceback or a file from this machine."""
    registry.serve(f"/npm/{name}", document, "application/json")
    answer = installation.verify(f"npm:{name}==1.0.0")
    assert (4, "infra-error") == (answer.code, answer.line["verdict"]), answer.words
    assert name in answer.line["problem"]
    assert "Traceback" not in answer.words
