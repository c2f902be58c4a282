"""Who publishes a project: in words, compared with what is expected, and with who published it before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from packageurl import PackageURL

from rebuilder.model.artifact import Artifact
from rebuilder.model.provenance import (
    Expectation,
    FindingKind,
    Forge,
    Provenance,
    ProvenanceFinding,
    ProvenanceStatus,
    Publisher,
    RememberedPublisher,
    account,
)
from rebuilder.provenance.claims import shown

_WITHOUT_PUBLISHER = {
    ProvenanceStatus.ABSENT: "has no attestation",
    ProvenanceStatus.INVALID: "has an attestation that does not hold",
    ProvenanceStatus.NOT_CHECKABLE: "has an attestation that cannot be checked",
    ProvenanceStatus.VERIFIED: "has an attestation that names no publisher",
}
"""What is said of a file without a verified publisher."""


def _described(publisher: Publisher | RememberedPublisher) -> str:
    """A publisher in a few words."""
    who = publisher.account if isinstance(publisher, RememberedPublisher) else account(publisher)
    parts = [text(each) for each in (publisher.repository, who) if each]
    return f"{' by '.join(parts) or 'an unnamed publisher'} ({publisher.forge.words})"


def text(foreign: str | None) -> str:
    """Foreign text, or that there is none."""
    return shown(foreign, 200) if foreign else "none"


_HOSTS = {"github.com": Forge.GITHUB, "gitlab.com": Forge.GITLAB}
"""Forges whose own workflows prove that a repository's owner published; their paths ignore case."""


def _is_same(left: str | None, right: str | None) -> bool:
    """Whether two addresses (or two missing ones) are of one repository."""
    return _repository_key(left) == _repository_key(right)


def _same_owner(left: str | None, right: str | None) -> bool:
    """Whether two repositories lie in the same account or group of the same forge."""
    owners = [_repository_key(each).rpartition("/")[0] for each in (left, right)]
    return owners[0] == owners[1] != ""


def _own_forge(repository: str | None) -> Forge | None:
    """The forge that hosts a repository, if it is one whose own workflows publish.

    Others may build the same public repository without being its owner.
    """
    return _HOSTS.get(_repository_key(repository).partition("/")[0])


def _repository_key(address: str | None) -> str:
    """What all addresses of one repository have in common; CircleCI writes them without a scheme."""
    if address is None:
        return ""
    try:
        parts = urlsplit(address if "://" in address else f"https://{address}")
    except ValueError:
        return address
    host, path = parts.netloc.lower(), parts.path.strip("/").removesuffix(".git")
    return f"{host}/{path.lower() if host in _HOSTS else path}"


_WORKFLOWS = ".github/workflows/"


def _unexpected(
    artifact: Artifact, provenance: Provenance, publishers: Sequence[Publisher], wanted: Expectation
) -> list[ProvenanceFinding]:
    """One finding for each verified publisher that is not the expected one, or for having none at all.

    An expected repository on GitHub or GitLab means that forge's own workflows, unless another forge is expected:
    anybody's pipeline elsewhere may build a public repository. An environment that no certificate names is compared
    with what the index claims.
    """
    found = []
    if wanted.attested and not publishers:
        found.append(
            f"The settings expect every file of {text(artifact.name)} to be attested, "
            f"but {text(artifact.filename)} {_WITHOUT_PUBLISHER[provenance.status]}."
        )
    for publisher in publishers:
        broken = [*_place(provenance, publisher, wanted), *_details(provenance, publisher, wanted)]
        if broken:
            found.append(
                f"{text(artifact.filename)} was published from {_described(publisher)}; "
                f"the settings expect {', and '.join(broken)}."
            )
    return [ProvenanceFinding(kind=FindingKind.EXPECTATION_BROKEN, sentence=sentence) for sentence in found]


def _place(provenance: Provenance, publisher: Publisher, wanted: Expectation) -> list[str]:
    broken = []
    forge = wanted.forge or _own_forge(wanted.repository)
    if forge is not None and publisher.forge is not forge:
        broken.append(f"the forge {forge.words}, not {publisher.forge.words}")
    sources: set[str | None] = {publisher.repository} if publisher.repository else _stated(provenance, publisher)
    if wanted.repository and not all(_is_same(wanted.repository, each) for each in sources):
        broken.append(f"the repository {text(wanted.repository)}, not {_all(sources)}")
    return broken


def _details(provenance: Provenance, publisher: Publisher, wanted: Expectation) -> list[str]:
    broken = []
    if wanted.account and wanted.account != account(publisher):
        broken.append(f"the account {text(wanted.account)}, not {text(account(publisher))}")
    workflow = publisher.workflow or ""
    if wanted.workflow and wanted.workflow not in {workflow, workflow.removeprefix(_WORKFLOWS)}:
        broken.append(f"the workflow {text(wanted.workflow)}, not {text(workflow)}")
    claimed = {each.fields.get("environment") for each in provenance.claimed}
    environments: set[str | None] = {publisher.environment} if publisher.environment else claimed
    if wanted.environment and environments != {wanted.environment}:
        broken.append(f"the environment {text(wanted.environment)}, not {_all(environments)}")
    return broken


def _stated(provenance: Provenance, publisher: Publisher) -> set[str | None]:
    """Where the publisher's own signed statements say the file was built from; Google's certificates name nothing."""
    stated = [each.stated_source for each in provenance.results if each.publisher == publisher]
    return {each.repository for each in stated if each is not None} or {None}


def _all(foreign: set[str | None]) -> str:
    return ", ".join(sorted(text(each) for each in foreign)) or text(None)


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
    found = _unexpected(artifact, provenance, publishers, wanted)
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
            f"same publisher, {_described(remembered)}; it counts as none all the same."
        )
        return [ProvenanceFinding(kind=FindingKind.ATTESTATION_NOT_CHECKABLE, sentence=sentence)]
    before = f"{text(remembered.filename)} had"
    if (artifact.filename, artifact.sha256) == (remembered.filename, remembered.sha256):
        before = "the same file had"
    without = _WITHOUT_PUBLISHER[provenance.status]
    sentence = (
        f"{text(artifact.filename)} {without}, while {before} one that was verified, from {_described(remembered)}."
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
    if not wanted.repository and not _is_same(publisher.repository, remembered.repository):
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
        found.append(f"another forge ({publisher.forge.words} instead of {remembered.forge.words})")
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
    if _is_same(now, then):
        if not known or number == number_then:
            return []
        numbers = f"number {text(number)} of the forge instead of {text(number_then)}"
        return [f"another repository of the same name ({numbers}; it was made anew)"]
    if known and number == number_then:
        if _same_owner(now, then):
            return []
        return [f"another owner of the repository ({text(now)} instead of {text(then)}; it was moved)"]
    return [f"another repository ({text(now)} instead of {text(then)})"]


def _smaller_differences(publisher: Publisher, remembered: RememberedPublisher, wanted: Expectation) -> list[str]:
    """Workflow and environment, as far as both are known and those of the same repository are compared."""
    by_number = bool(publisher.repository_id) and publisher.repository_id == remembered.repository_id
    same = _is_same(publisher.repository, remembered.repository) or by_number
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
