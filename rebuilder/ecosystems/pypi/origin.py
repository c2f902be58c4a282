"""Which commit a release comes from, and who says so."""

from __future__ import annotations

from rebuilder.ecosystems.pypi.project_urls import ClaimedRepository, claimed_repository
from rebuilder.ecosystems.pypi.release_tags import find_tag
from rebuilder.model.evidence import Evidence
from rebuilder.model.git import SourceProblem, Trouble
from rebuilder.model.provenance import Provenance
from rebuilder.model.text import visible
from rebuilder.model.trail import Origin
from rebuilder.network.protocol import Sources

_TAGS = "refs/tags/"


def find_origin(
    evidence: Evidence, provenance: Provenance | None, source_provenance: Provenance | None, sources: Sources
) -> Origin | None:
    """Find the commit; see :meth:`rebuilder.ecosystems.protocol.Ecosystem.origin`.

    A verified attestation of the artifact counts before one of its source archive, and either before what the
    metadata claims. An attestation that names only a repository makes the repository known, not the commit.
    """
    named = [each for each in (provenance, source_provenance) if each is not None and each.repository]
    attested = next((each for each in named if each.commit), None)
    if attested is not None:
        return _attested(attested, whose=None if attested is provenance else "the source archive", others=named)
    if named and named[0].repository:
        who = "a verified attestation names the repository, but no commit"
        return _claimed(evidence, named[0].repository, who, sources)
    claim = _claim(evidence)
    if claim is None:
        return None
    who = f"the metadata of the release names this repository ({visible(claim.label)})"
    return _claimed(evidence, claim.repository, who, sources)


def _attested(attested: Provenance, *, whose: str | None, others: list[Provenance]) -> Origin | None:
    publisher = attested.publisher
    if publisher is None or attested.repository is None:
        return None
    sentence = "A verified attestation names this commit."
    if whose is not None:
        sentence = f"A verified attestation of {whose} names this commit; the artifact has none that does."
    for other in others:
        if other.commit is not None and (_plain(other.repository), other.commit) != (
            _plain(attested.repository),
            attested.commit,
        ):
            sentence += (
                f" The attestation of the source archive names another one: {other.commit} in {other.repository}."
            )
    ref = publisher.ref or ""
    return Origin(
        repository=attested.repository,
        commit=attested.commit,
        tag=ref.removeprefix(_TAGS) if ref.startswith(_TAGS) else None,
        attested=True,
        sentence=sentence,
    )


def _claimed(evidence: Evidence, repository: str, who: str, sources: Sources) -> Origin:
    artifact = evidence.artifact
    tags = sources.tags(repository)
    if isinstance(tags, SourceProblem):
        away = tags.trouble in {Trouble.UNREACHABLE, Trouble.TIMED_OUT}
        what = "The repository could not be reached" if away else "Its tags could not be read"
        sentence = f"Claimed, not attested: {who}. {what}: {tags.sentence}"
        return Origin(repository=repository, attested=False, sentence=sentence)
    found = find_tag(tags, artifact.name, artifact.version)
    if found.commit is None:
        sentence = f"Claimed, not attested: {who}, and {visible(found.problem or '')}"
        return Origin(repository=repository, attested=False, sentence=sentence)
    return Origin(
        repository=repository,
        commit=found.commit,
        tag=found.name,
        attested=False,
        sentence=f"Claimed, not attested: {who}, and its tag {visible(found.name or '')} points at this commit.",
    )


def _claim(evidence: Evidence) -> ClaimedRepository | None:
    """What the wheel's metadata says, else that of the source archive."""
    wheel, source = evidence.artifact_inspection, evidence.source_inspection
    for listing, ending in ((wheel, ".dist-info/METADATA"), (wheel, "PKG-INFO"), (source, "PKG-INFO")):
        for name, text in sorted((listing.texts if listing else {}).items()):
            if name.endswith(ending) and (claim := claimed_repository(text)) is not None:
                return claim
    return None


def _plain(repository: str | None) -> str:
    return (repository or "").rstrip("/").removesuffix(".git").lower()
