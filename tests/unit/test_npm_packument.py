"""A package's document in a registry: what is read of it, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from rebuilder.ecosystems.npm.ecosystem import Npm
from rebuilder.ecosystems.npm.integrity import Digest
from rebuilder.ecosystems.npm.packument import NpmRelease, Packument
from rebuilder.ecosystems.npm.registry import Access, NpmRegistry
from rebuilder.ecosystems.npm.settings import NpmProcess, NpmSettings
from rebuilder.errors import UnavailableError, UsageError
from rebuilder.model.artifact import Document
from rebuilder.model.evidence import Evidence
from rebuilder.model.provenance import RegistrySignature
from rebuilder.model.value import sha256_hex
from rebuilder.model.verdict import Verdict
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.fetcher import FakeFetcher
from tests.fakes.memo import MemoryMemo
from tests.fakes.npm import npm_context

SHA512 = hashlib.sha512(b"tarball").digest()
SRI = "sha512-" + base64.b64encode(SHA512).decode()


def version(number: str = "1.2.3", **dist: Any) -> dict[str, Any]:
    """One entry of ``versions``."""
    tarball = f"https://example.org/npm/own/-/own-{number}.tgz"
    return {"name": "own", "version": number, "dist": {"tarball": tarball, "integrity": SRI} | dist}


def document(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A packument; the last version is the latest."""
    return {
        "name": "own",
        "dist-tags": {"latest": entries[-1]["version"]} if entries else {},
        "versions": {each["version"]: each for each in entries},
        "time": {each["version"]: "2024-03-02T01:02:03.456Z" for each in entries},
    } | more


def packument(content: Any) -> Packument:
    """Read one that came from a mirror's address."""
    data = json.dumps(content).encode()
    url = "https://mirror.example/npm/own"
    return Packument(Document(url=url, sha256=sha256_hex(data), content=data, media_type="application/json"), "own")


def release(content: Any) -> NpmRelease:
    """Its version 1.2.3."""
    found = packument(content).release("1.2.3")
    assert found is not None
    return found


def test_all_fields() -> None:
    """Everything a verification needs."""
    entry = version(
        tarball="../own/-/own-1.2.3.tgz#x",
        signatures=[{"keyid": "SHA256:k", "sig": "AA==", "new": 1}],
        attestations={"url": "https://user:secret@example.org/-/npm/v1/attestations/own@1.2.3", "provenance": {}},
        shasum="00",
    ) | {"deprecated": "old\x1b[31m", "scripts": {"postinstall": "no"}}
    assert NpmRelease(
        name="own",
        version="1.2.3",
        tarball="https://mirror.example/own/-/own-1.2.3.tgz",
        integrity=Digest("sha512", SHA512.hex()),
        published=datetime(2024, 3, 2, 1, 2, 3, 456000, tzinfo=UTC),
        signatures=(RegistrySignature(key_id="SHA256:k", signature="AA=="),),
        attestations="https://example.org/-/npm/v1/attestations/own@1.2.3",
        deprecated="old⟨U+001B⟩[31m",
    ) == release(document(entry))


def test_little_is_needed() -> None:
    """Times, tags, signatures and attestations may be missing or nonsense."""
    for more in ({}, {"time": {"1.2.3": 5}, "dist-tags": []}, {"time": {"1.2.3": "soon"}, "dist-tags": {"latest": {}}}):
        content = {"name": "own", "versions": {"1.2.3": version()}} | more
        found = release(content)
        assert (None, (), None, None) == (found.published, found.signatures, found.attestations, found.deprecated)
        assert packument(content).latest is None


@pytest.mark.parametrize(
    ("integrity", "algorithm", "size"),
    [
        (f"sha1-AAAA {SRI}", "sha512", 64),
        (f"sha256-{'A' * 43}= {SRI}?option", "sha512", 64),
        (f"sha256-{'A' * 43}=", "sha256", 32),
        (f"sha384-{'A' * 64} sha512-short", "sha384", 48),
    ],
)
def test_strongest_digest_counts(integrity: str, algorithm: str, size: int) -> None:
    """A weaker one, or one that is none, binds nothing beside a stronger one."""
    bound = release(document(version(integrity=integrity))).integrity
    assert (algorithm, 2 * size) == (bound.algorithm, len(bound.value))


@pytest.mark.parametrize(
    "entry",
    [
        version(integrity=None),
        version(integrity="sha1-AAAA"),
        version(integrity="sha512-AA=="),
        version(integrity=5),
        version(tarball="file:///etc/passwd"),
        version(tarball="https://[broken"),
        version(tarball="https://example.org/\x1b"),
        version(tarball=None),
        version(signatures="no"),
        version(signatures=[{"keyid": 5, "sig": "a"}]),
        version(signatures=[{"keyid": "a", "sig": "a"}] * 17),
        version(attestations={"url": "javascript:alert(1)"}),
        version(attestations=[]),
        version() | {"version": "1.2.4"},
        version() | {"name": "another"},
        version() | {"dist": []},
        [],
        None,
    ],
)
def test_hostile_entries_are_refused(entry: Any) -> None:
    """What is malformed is not half believed."""
    with pytest.raises(UnavailableError, match="own") as caught:
        release({"name": "own", "versions": {"1.2.3": entry}})
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("content", [[], 5, {}, {"name": "another", "versions": {}}, {"name": "own", "versions": 5}])
def test_other_documents_are_refused(content: Any) -> None:
    """The document must be about the package that was asked for."""
    with pytest.raises(UnavailableError, match="cannot be used"):
        packument(content)


def test_near_versions() -> None:
    """Same beginning first, newest published first, at most three."""
    entries = [version(each) for each in ("1.2.0", "1.3.0", "1.2.1", "2.0.0", "1.2.2", "1.2.3")]
    found = packument(document(*entries, versions={each["version"]: each for each in entries} | {"1.2.\x1b": {}}))
    assert ["1.2.3", "1.2.2", "1.2.1"] == found.near("1.2.9")
    assert ["1.2.3", "1.2.2", "1.2.1"] == found.near("1.9.0")
    assert ["2.0.0"] == found.near("2.1.0")
    assert [] == found.near("9.0.0")


class World:
    """An npm ecosystem on a network of canned answers."""

    def __init__(self) -> None:
        self.blobs = MemoryBlobs()
        self.fetcher = FakeFetcher(self.blobs)
        self.admitted: list[str] = []
        self.opened = 0
        environment = {"NPM_CONFIG_REGISTRY": "https://mirror.example/npm/"}
        self._settings = NpmProcess(environment, directory=self.blobs.path(self.blobs.put(b"")).parent)
        registry = NpmRegistry(self._access, blobs=self.blobs, memo=MemoryMemo())
        self.npm = Npm(npm_context(registry, self.blobs))

    def _access(self) -> Access:
        self.opened += 1
        return Access(NpmSettings(self._settings), self.fetcher, lambda registry: self.admitted.append(registry.url))

    def serve(self, content: Any, name: str = "own") -> None:
        """Have a packument."""
        self.fetcher.serve(f"https://mirror.example/npm/{name}", json.dumps(content).encode(), "application/json")

    def evidence(self, text: str = "own") -> Evidence:
        """The evidence about a subject."""
        [found] = self.npm.evidence(self.npm.parse(text))
        return found


def test_evidence() -> None:
    """One artifact, bound by the SHA-256 of bytes that have the promised SHA-512, and one step that may lead to it."""
    world = World()
    assert 0 == world.opened
    url = "https://example.org/-/npm/v1/attestations/own@1.2.3"
    world.serve(document(version(attestations={"url": url}, signatures=[{"keyid": "k", "sig": "s"}])))
    world.fetcher.serve("https://example.org/npm/own/-/own-1.2.3.tgz", b"tarball")
    world.fetcher.serve("https://mirror.example/npm/-/npm/v1/attestations/own@1.2.3", b"{}")
    first, second = world.evidence(), world.evidence("own@1.2.3")
    assert first == second
    assert 1 == world.opened
    assert {"https://mirror.example/npm"} == set(world.admitted)
    assert (sha256_hex(b"tarball"), 7, "own-1.2.3.tgz") == (
        first.artifact.sha256,
        first.artifact.file.size,
        first.artifact.filename,
    )
    assert sha256_hex(b"{}") == first.provenance_sha256
    assert (RegistrySignature(key_id="k", signature="s"),) == first.registry_signatures
    assert first.obstacle is not None
    assert Verdict.UNSUPPORTED == first.obstacle.verdict
    assert 1 == world.fetcher.asked.count("https://example.org/npm/own/-/own-1.2.3.tgz")
    assert not [each for each in world.fetcher.asked if each.startswith("https://example.org/-/")]
    assert ["commit-to-tarball"] == [each.name for each in world.npm.steps(first).steps]


def test_attestations_that_are_named_and_not_there() -> None:
    """A note says so; nothing else would tell it from a release that never had any."""
    world = World()
    world.serve(document(version(attestations={"url": "https://mirror.example/npm/-/a"})))
    world.fetcher.serve("https://example.org/npm/own/-/own-1.2.3.tgz", b"tarball")
    found = world.evidence()
    assert found.provenance_sha256 is None
    assert any("names attestations" in note for note in found.notes)


def test_attestations_that_cannot_be_asked_for_stop_everything() -> None:
    """A server in trouble must not look like an attestation that vanished."""
    world = World()
    url = "https://mirror.example/npm/-/a"
    world.serve(document(version(attestations={"url": url})))
    world.fetcher.serve("https://example.org/npm/own/-/own-1.2.3.tgz", b"tarball")
    world.fetcher.break_down(url, UnavailableError("Trouble."))
    with pytest.raises(UnavailableError, match="Trouble"):
        world.evidence()


@pytest.mark.parametrize(
    ("content", "asked", "sentence"),
    [
        (lambda: None, "own", "not on the npm registry"),
        (document, "own", "no version of own as the latest"),
        (lambda: document(version()), "own@9.0.0", "has no version 9.0.0"),
        (lambda: {"name": "own", "time": {"unpublished": {}}}, "own@1.0.0", "taken back"),
    ],
)
def test_what_is_not_there_is_wrong_use(content: Callable[[], Any], asked: str, sentence: str) -> None:
    """Each in its own words."""
    world = World()
    if (found := content()) is not None:
        world.serve(found)
    with pytest.raises(UsageError, match=sentence):
        world.evidence(asked)
