"""Whether a file was published the way the settings expect of its project."""

from __future__ import annotations

from collections.abc import Sequence

from rebuilder.model.artifact import Artifact
from rebuilder.model.provenance import (
    Expectation,
    FindingKind,
    Provenance,
    ProvenanceFinding,
    Publisher,
    account,
)
from rebuilder.provenance import repository
from rebuilder.provenance.naming import FORGES, WITHOUT_PUBLISHER, described, text

_WORKFLOWS = ".github/workflows/"


def unexpected(
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
            f"but {text(artifact.filename)} {WITHOUT_PUBLISHER[provenance.status]}."
        )
    for publisher in publishers:
        broken = [*_place(provenance, publisher, wanted), *_details(provenance, publisher, wanted)]
        if broken:
            found.append(
                f"{text(artifact.filename)} was published from {described(publisher)}; "
                f"the settings expect {', and '.join(broken)}."
            )
    return [ProvenanceFinding(kind=FindingKind.EXPECTATION_BROKEN, sentence=sentence) for sentence in found]


def _place(provenance: Provenance, publisher: Publisher, wanted: Expectation) -> list[str]:
    broken = []
    forge = wanted.forge or repository.own_forge(wanted.repository)
    if forge is not None and publisher.forge is not forge:
        broken.append(f"the forge {FORGES[forge]}, not {FORGES[publisher.forge]}")
    sources: set[str | None] = {publisher.repository} if publisher.repository else _stated(provenance, publisher)
    if wanted.repository and not all(repository.is_same(wanted.repository, each) for each in sources):
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
