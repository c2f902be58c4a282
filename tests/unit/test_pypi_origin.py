"""Which commit a release is said to come from: attested, or claimed by its metadata and a tag."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rebuilder.ecosystems.origins import repository_url
from rebuilder.ecosystems.protocol import Signed
from rebuilder.ecosystems.pypi.origin import claimed_repository, find_origin, find_tag
from rebuilder.model.artifact import Artifact, PublishedFile
from rebuilder.model.evidence import Evidence, Inspection
from rebuilder.model.graph import Origin
from rebuilder.model.provenance import AttestationResult, Forge, Form, Provenance, ProvenanceStatus, Publisher
from rebuilder.model.value import Sha256
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.sources import FakeSources

REPOSITORY = "https://forge.example.org/owner/repo"
SHA = "0f40f4f357b9141ec3472771d4cb904e229b0de2"
OTHER = "08802efe1f8e5fec4ad842d6b8ce97656092ee72"
SOME = Sha256("ab" * 32)


def evidence(metadata: str = "", version: str = "1.2.3") -> Evidence:
    """A wheel with these lines in its metadata."""
    file = PublishedFile(filename=f"x-{version}-py3-none-any.whl", url="https://example.org/x", sha256=SOME)
    artifact = Artifact(ecosystem="pypi", purl=f"pkg:pypi/x@{version}", name="x", version=version, file=file)
    texts = {f"x-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\n{metadata}"}
    return Evidence(artifact=artifact, index_sha256=SOME, artifact_inspection=Inspection(format="zip", texts=texts))


UNSIGNED = Provenance(status=ProvenanceStatus.ABSENT, sentence="Nothing is signed.")


def attested(
    commit: str | None = SHA,
    *,
    repository: str | None = REPOSITORY,
    status: ProvenanceStatus = ProvenanceStatus.VERIFIED,
    ref: str | None = "refs/tags/v1.2.3",
) -> Provenance:
    """What checking an attestation may say."""
    publisher = Publisher(
        forge=Forge.GITHUB, issuer="urn:issuer", identity="urn:me", repository=repository, commit=commit, ref=ref
    )
    result = AttestationResult(
        form=Form.PYPI_ATTESTATION, status=status, sentence="Checked.", sha256=SOME, publisher=publisher
    )
    return Provenance(status=status, sentence="Checked.", results=(result,))


def sources(*tags: str) -> tuple[FakeSources, str]:
    """The repository with one commit and these tags on it; with the commit."""
    found = FakeSources(MemoryBlobs())
    sha = found.add(REPOSITORY, {"pyproject.toml": b""}, moment=int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()))
    for each in tags:
        found.tag(REPOSITORY, each, sha)
    return found, sha


class Unasked(FakeSources):
    """Must not be asked."""

    def tags(self, repository_url: str) -> dict[str, str]:
        """Fail the test."""
        pytest.fail(f"asked for the tags of {repository_url}")


def test_attested_commit_needs_no_look_at_the_repository() -> None:
    """Repository, commit and tag come from the verified attestation alone."""
    found = find_origin(evidence(), Signed(attested()), Unasked(MemoryBlobs()))
    expected = Origin(
        repository=REPOSITORY,
        commit=SHA,
        tag="v1.2.3",
        attested=True,
        sentence="A verified attestation names this commit.",
    )
    assert expected == found


def test_attestation_of_the_source_archive_counts_after_the_artifacts_own() -> None:
    """With two, the artifact's own is taken and the other, if it disagrees, is told."""
    only = find_origin(evidence(), Signed(UNSIGNED, attested()), Unasked(MemoryBlobs()))
    assert only is not None
    assert (True, SHA) == (only.attested, only.commit)
    assert "of the source archive" in only.sentence
    agreeing = find_origin(
        evidence(), Signed(attested(), attested(repository=REPOSITORY + ".git")), Unasked(MemoryBlobs())
    )
    assert agreeing is not None
    assert agreeing.sentence == "A verified attestation names this commit."
    both = find_origin(evidence(), Signed(attested(), attested(OTHER)), Unasked(MemoryBlobs()))
    assert both is not None
    assert both.commit == SHA
    assert f"names another one: {OTHER}" in both.sentence


@pytest.mark.parametrize("status", [ProvenanceStatus.INVALID, ProvenanceStatus.ABSENT, ProvenanceStatus.NOT_CHECKABLE])
def test_only_what_is_verified_is_attested(status: ProvenanceStatus) -> None:
    """An attestation that does not hold names nothing."""
    assert (
        find_origin(evidence(), Signed(attested(status=status), attested(status=status)), Unasked(MemoryBlobs()))
        is None
    )


def test_branch_is_no_tag() -> None:
    """A release made from a branch has no tag."""
    found = find_origin(evidence(), Signed(attested(ref="refs/heads/main")), Unasked(MemoryBlobs()))
    assert found is not None
    assert found.tag is None


def test_claim_is_called_a_claim() -> None:
    """Repository from the metadata, commit from the tag, and a sentence that nobody can take for an attestation."""
    repository, sha = sources("v1.2.3", "v1.2.2")
    found = find_origin(evidence(f"Project-URL: Source Code, {REPOSITORY}/tree/main\n"), Signed(UNSIGNED), repository)
    assert found is not None
    assert (REPOSITORY, sha, "v1.2.3", False) == (found.repository, found.commit, found.tag, found.attested)
    assert found.sentence.startswith("Claimed, not attested: ")


def test_attested_repository_without_commit_is_searched_for_the_tag() -> None:
    """Some forges vouch for a repository only: the commit is then as good as its tag, and no better."""
    repository, sha = sources("1.2.3")
    found = find_origin(evidence(), Signed(attested(None)), repository)
    assert found is not None
    assert (sha, False) == (found.commit, found.attested)
    assert "names the repository, but no commit" in found.sentence


def test_metadata_that_names_a_commit() -> None:
    """It is a claim like a tag, and no repository is asked for tags."""
    metadata = f"Project-URL: Source, {REPOSITORY}/tree/{'1' * 40}\n"
    found = find_origin(evidence(metadata), Signed(UNSIGNED), Unasked(MemoryBlobs()))
    assert found is not None
    assert (REPOSITORY, "1" * 40, None, False) == (found.repository, found.commit, found.tag, found.attested)
    assert found.sentence.startswith("Claimed, not attested: ")


def test_settings_name_the_repository() -> None:
    """What a user expects counts before what the metadata says, and is no attestation either."""
    repository, sha = sources("1.2.3")
    for metadata in ("", f"Project-URL: Repository, {OTHER}\n"):
        found = find_origin(evidence(metadata), Signed(UNSIGNED, expected=REPOSITORY), repository)
        assert found is not None
        assert (REPOSITORY, sha, False) == (found.repository, found.commit, found.attested)
        assert "settings expect" in found.sentence


def test_repository_that_cannot_be_asked_or_has_no_such_tag() -> None:
    """The claim stays, without a commit, and says why."""
    repository, _ = sources("v9")
    metadata = f"Project-URL: Repository, {REPOSITORY}\n"
    found = find_origin(evidence(metadata), Signed(UNSIGNED), repository)
    assert found is not None
    assert found.commit is None
    assert "none of the 1 tags" in found.sentence
    repository.down = True
    found = find_origin(evidence(metadata), Signed(UNSIGNED), repository)
    assert found is not None
    assert found.commit is None
    assert found.sentence.endswith("The repository could not be reached: Nobody answers.")


def test_nothing_is_taken_from_free_text() -> None:
    """Addresses in the description, or under other labels, are no claim."""
    metadata = f"Project-URL: Funding, {REPOSITORY}\nSummary: {REPOSITORY}\n\nSource: {REPOSITORY}\n"
    assert find_origin(evidence(metadata), Signed(UNSIGNED), Unasked(MemoryBlobs())) is None


def test_clearest_label_wins() -> None:
    """A source address comes before a home page, whatever their order."""
    metadata = (
        "Home-page: https://h.example.org/a/home\nProject-URL: Homepage, https://h.example.org/a/page\n"
        "Project-URL: source_code, https://h.example.org/a/code\n"
    )
    found = claimed_repository(metadata)
    assert found is not None
    assert found.repository == "https://h.example.org/a/code"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://h.example.org/a/b", "https://h.example.org/a/b"),
        ("git+https://me:secret@H.example.org/a/b.git?x=1#egg", "https://h.example.org/a/b"),
        ("https://h.example.org/a/b/tree/main/sub", "https://h.example.org/a/b"),
        ("https://h.example.org/group/sub/b/-/issues", "https://h.example.org/group/sub/b"),
        ("https://h.example.org:8443/a/b/", "https://h.example.org:8443/a/b"),
        ("http://h.example.org/a/b", "https://h.example.org/a/b"),
        ("http://h.example.org:8080/a/b", None),
        ("ssh://h.example.org/a/b", None),
        ("https://h.example.org/a", None),
        ("https://localhost/a/b", None),
        ("https://h.example.org/a/../b", None),
        ("https://h.example.org/-upload/b", None),
        ("https://h.example.org/a/b\n/c", None),
        ("https://[::1/a/b", None),
        ("https://h.example.org/" + "a/" * 400, None),
        ("https://hé.example.org/a/b", None),
    ],
)
def test_repository_addresses(url: str, expected: str | None) -> None:
    """Any host; only https, and a path like that of a repository."""
    assert expected == repository_url(url)


def test_home_pages_are_read_strictly() -> None:
    """The page of a project on an index is not its repository."""
    assert repository_url("https://index.example.org/project/x", home=True) is None
    assert repository_url("https://h.example.org/a/b/c", home=True) is None
    assert repository_url("https://h.example.org/a/b", home=True) == "https://h.example.org/a/b"


@pytest.mark.parametrize(
    "tag",
    [
        *("1.2.3", "v1.2.3", "V1.2.3", "my-pkg-1.2.3", "my_pkg-v1.2.3", "my.pkg/v1.2.3", "my-pkg@1.2.3"),
        *("my-pkg==1.2.3", "mypkg1.2.3", "release-1.2.3", "r1.2.3", "version/1.2.3", "REL_1_2_3", "1.2.3.final"),
        *("v.1.2.3", "1-2-3", "1.2.3.0"),
    ],
)
def test_tags_that_mean_the_version(tag: str) -> None:
    """The spellings that projects use."""
    assert (tag, "c") == (find_tag({tag: "c"}, "my-pkg", "1.2.3").name, find_tag({tag: "c"}, "my-pkg", "1.2.3").commit)


@pytest.mark.parametrize(
    "tag", ["1.2.30", "v1.2.3-rc1", "1.2.3.post1", "other-1.2.3", "11.2.3", "1.2.3+local", "x" * 300 + "1.2.3", "", "v"]
)
def test_tags_that_mean_something_else(tag: str) -> None:
    """Pre-releases, other projects of the same repository, and noise."""
    found = find_tag({tag: "c"}, "my-pkg", "1.2.3")
    assert found.commit is None
    assert found.problem


def test_exact_tag_wins_and_ambiguity_is_nothing() -> None:
    """A tag spelt like the version comes first; two such tags for two commits are not guessed between."""
    assert find_tag({"v1.2": "a", "v1.2.0": "b"}, "x", "1.2.0").commit == "b"
    assert find_tag({"1.2": "a", "v1.2": "a"}, "x", "1.2").name == "1.2"
    found = find_tag({"1.2": "a", "v1.2": "b"}, "x", "1.2")
    assert found.commit is None
    assert "1.2, v1.2" in (found.problem or "")
    assert find_tag({"v1.2-rc.1": "c", "v1.2": "f"}, "x", "1.2rc1").commit == "c"
