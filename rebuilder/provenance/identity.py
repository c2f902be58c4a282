"""Whether a project is published by the one who published it before."""

from __future__ import annotations

from collections.abc import Callable

from packageurl import PackageURL

from rebuilder.model.artifact import Artifact
from rebuilder.model.provenance import (
    Expectation,
    FindingKind,
    Provenance,
    ProvenanceFinding,
    ProvenanceStatus,
    Publisher,
    RememberedPublisher,
    account,
)
from rebuilder.provenance import repository
from rebuilder.provenance.expectation import unexpected
from rebuilder.provenance.naming import FORGES, WITHOUT_PUBLISHER, described, text

Older = Callable[[str, str], bool | None]
"""Whether the first version comes before the second; None where one of them is no version."""


def judge(
    artifact: Artifact,
    provenance: Provenance,
    *,
    remembered: RememberedPublisher | None = None,
    expectation: Expectation | None = None,
    older: Older,
) -> tuple[ProvenanceFinding, ...]:
    """Compare the verified publishers of a file with the remembered one and with what is expected.

    Every publisher that signed counts, not the best one: whoever serves the file may add bundles of others. What an
    expectation covers is judged by it alone; the memory is silent there. Releases older than the remembered one owe
    no attestation, but must not come from somebody else.

    Args:
        artifact: The file.
        provenance: What checking its attestations said.
        remembered: The first verified publisher of the project.
        expectation: What the settings say about the project.
        older: Whether one version of its ecosystem comes before another.
    """
    wanted = expectation or Expectation()
    publishers = verified_publishers(provenance)
    found = unexpected(artifact, provenance, publishers, wanted)
    if remembered is not None:
        if not publishers and wanted.attested is None:
            found += _vanished(artifact, provenance, remembered, older)
        for publisher in publishers:
            found += _changed(artifact, publisher, remembered, wanted, older)
    return tuple(dict.fromkeys(found))


def verified_publishers(provenance: Provenance) -> tuple[Publisher, ...]:
    """Everybody whose signature of the file was verified; nobody when anything about the file is invalid."""
    if provenance.status is ProvenanceStatus.INVALID:
        return ()
    verified = [each for each in provenance.results if each.status is ProvenanceStatus.VERIFIED]
    return tuple(dict.fromkeys(each.publisher for each in verified if each.publisher is not None))


def _vanished(
    artifact: Artifact, provenance: Provenance, remembered: RememberedPublisher, older: Older
) -> list[ProvenanceFinding]:
    if provenance.status is ProvenanceStatus.INVALID or _older(artifact, remembered, older):
        return []
    if _signed_by_the_same(provenance, remembered):
        sentence = (
            f"{text(artifact.filename)} has an attestation that cannot be checked to its end, while "
            f"{text(remembered.filename)} had one that was verified. What can be checked of it holds, and it names the "
            f"same publisher, {described(remembered)}; it counts as none all the same."
        )
        return [ProvenanceFinding(kind=FindingKind.ATTESTATION_NOT_CHECKABLE, sentence=sentence)]
    before = f"{text(remembered.filename)} had"
    if (artifact.filename, artifact.sha256) == (remembered.filename, remembered.sha256):
        before = "the same file had"
    without = WITHOUT_PUBLISHER[provenance.status]
    sentence = (
        f"{text(artifact.filename)} {without}, while {before} one that was verified, from {described(remembered)}."
    )
    return [ProvenanceFinding(kind=FindingKind.ATTESTATION_VANISHED, sentence=sentence)]


def _signed_by_the_same(provenance: Provenance, remembered: RememberedPublisher) -> bool:
    """Whether all that could be proven of attestations that cannot be checked is that the remembered one signed."""
    signed = [each.publisher for each in provenance.results if each.publisher is not None and each.subject_holds]
    return bool(signed) and not any(_differences(each, remembered, Expectation()) for each in signed)


def _changed(
    artifact: Artifact, publisher: Publisher, remembered: RememberedPublisher, wanted: Expectation, older: Older
) -> list[ProvenanceFinding]:
    """The weightiest finding only: what is below another publisher follows from it."""
    first = f"{text(remembered.filename)}, {_first(artifact, remembered, older)}"
    differences = _differences(publisher, remembered, wanted)
    if differences:
        sentence = f"The publisher changed: {text(artifact.filename)} has {_and(differences)} than {first}."
        return [ProvenanceFinding(kind=FindingKind.PUBLISHER_CHANGED, sentence=sentence)]
    found = []
    if not wanted.repository and not repository.is_same(publisher.repository, remembered.repository):
        # Nothing but a new name is left: anything else is a difference.
        sentence = (
            f"The repository was renamed: {text(artifact.filename)} was published from {text(publisher.repository)}, "
            f"{text(remembered.filename)} from {text(remembered.repository)}; by the forge's own number it is the same."
        )
        found.append(ProvenanceFinding(kind=FindingKind.REPOSITORY_RENAMED, sentence=sentence))
    smaller = _smaller_differences(publisher, remembered, wanted)
    if smaller:
        sentence = (
            f"{text(artifact.filename)} was published from the same repository as {first}, but by {_and(smaller)}. "
            "That weighs less than another publisher: it happens when such a file is renamed."
        )
        found.append(ProvenanceFinding(kind=FindingKind.WORKFLOW_CHANGED, sentence=sentence))
    return found


def _differences(publisher: Publisher, remembered: RememberedPublisher, wanted: Expectation) -> list[str]:
    """What makes it another publisher."""
    same_forge = publisher.forge is remembered.forge
    found = []
    if not same_forge and not (wanted.forge or wanted.repository):
        found.append(f"another forge ({FORGES[publisher.forge]} instead of {FORGES[remembered.forge]})")
    if not wanted.repository:
        found += _other_repository(publisher, remembered, same_forge=same_forge)
    if same_forge and not wanted.account:
        if account(publisher) != remembered.account:
            found.append(f"another account ({text(account(publisher))} instead of {text(remembered.account)})")
        if remembered.account is not None and publisher.issuer != remembered.issuer:
            found.append(f"another issuer ({text(publisher.issuer)} instead of {text(remembered.issuer)})")
    return found


def _other_repository(publisher: Publisher, remembered: RememberedPublisher, *, same_forge: bool) -> list[str]:
    """Another repository by name, or by the forge's number of it where both numbers are known.

    The same number under another name of the same owner is a renamed repository, and no other.
    """
    now, then = publisher.repository, remembered.repository
    number, number_then = publisher.repository_id, remembered.repository_id
    known = bool(number and number_then and same_forge)
    if repository.is_same(now, then):
        if not known or number == number_then:
            return []
        numbers = f"number {text(number)} of the forge instead of {text(number_then)}"
        return [f"another repository of the same name ({numbers}; it was made anew)"]
    if known and number == number_then:
        if repository.same_owner(now, then):
            return []
        return [f"another owner of the repository ({text(now)} instead of {text(then)}; it was moved)"]
    return [f"another repository ({text(now)} instead of {text(then)})"]


def _smaller_differences(publisher: Publisher, remembered: RememberedPublisher, wanted: Expectation) -> list[str]:
    """Workflow and environment, as far as both are known and those of the same repository are compared."""
    by_number = bool(publisher.repository_id) and publisher.repository_id == remembered.repository_id
    same = repository.is_same(publisher.repository, remembered.repository) or by_number
    if publisher.forge is not remembered.forge or not same:
        return []
    compared = (
        ("workflow", wanted.workflow, publisher.workflow, remembered.workflow),
        ("environment", wanted.environment, publisher.environment, remembered.environment),
    )
    return [
        f"another {what} ({text(now)} instead of {text(then)})"
        for what, expected, now, then in compared
        if not expected and now and then and now != then
    ]


def _first(artifact: Artifact, remembered: RememberedPublisher, versions: Older) -> str:
    first = f"the first file of {text(remembered.name)} whose publisher was verified here"
    older = _older(artifact, remembered, versions)
    if older is None:
        return f"{first} (which of the two was published first is not known)"
    return f"{first} (and the newer of the two)" if older else first


def _older(artifact: Artifact, remembered: RememberedPublisher, versions: Older) -> bool | None:
    """Whether a file was published before the remembered one: by upload time, else by version; None: not known."""
    if artifact.purl == remembered.purl:
        return False  # files of one release belong together, whichever was uploaded first
    if artifact.file.uploaded is not None and remembered.uploaded is not None:
        return artifact.file.uploaded < remembered.uploaded
    try:
        return versions(artifact.version, PackageURL.from_string(remembered.purl).version or "")
    except ValueError:
        return None


def _and(parts: list[str]) -> str:
    return " and ".join(parts)
