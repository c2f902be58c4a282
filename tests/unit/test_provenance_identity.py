"""Publishers over time: who published before, who is expected, and what of it is an alarm."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rebuilder.ecosystems.registry import conventions
from rebuilder.model.alarm import AlarmKind
from rebuilder.model.artifact import Artifact
from rebuilder.model.provenance import (
    AttestationResult,
    ClaimedPublisher,
    Expectation,
    FindingKind,
    Forge,
    Form,
    Provenance,
    ProvenanceStatus,
    Publisher,
    RememberedPublisher,
    StatedSource,
    account,
)
from rebuilder.provenance import identity
from rebuilder.provenance.checker import alarms
from tests.fakes.sigstore_instance import TIME
from tests.fakes.verifications import NOW, artifact, digest

judge = partial(identity.judge, older=conventions("pypi").older)
ASSETS = Path(__file__).parent.parent / "assets" / "attestations" / "pypi"
CHANGED, VANISHED, BROKEN = (
    FindingKind.PUBLISHER_CHANGED,
    FindingKind.ATTESTATION_VANISHED,
    FindingKind.EXPECTATION_BROKEN,
)
RENAMED, WORKFLOW = FindingKind.REPOSITORY_RENAMED, FindingKind.WORKFLOW_CHANGED
REPOSITORY = "https://github.com/o/r"
GITHUB = Publisher(
    forge=Forge.GITHUB,
    issuer="https://token.actions.githubusercontent.com",
    identity=f"{REPOSITORY}/.github/workflows/release.yml@refs/tags/v1",
    repository=REPOSITORY,
    workflow=".github/workflows/release.yml",
)
GOOGLE = Publisher(forge=Forge.GOOGLE, issuer="https://accounts.google.com", identity="robot@example.org")
CIRCLE = Publisher(
    forge=Forge.CIRCLECI,
    issuer="https://oidc.circleci.com/org/1",
    identity="https://circleci.com/api/v2/projects/p/pipeline-definitions/d",
    repository="github.com/o/r",
)
OTHER_FORGE = Publisher(
    forge=Forge.OTHER,
    issuer="https://forge.example.org",
    identity="https://forge.example.org/o/r//.ci.yml@refs/tags/v1",
    repository="https://forge.example.org/o/r",
)


def with_(publisher: Publisher, **changes: Any) -> Publisher:
    """The publisher with other fields."""
    return publisher.replace(**changes)


def file(version: str = "2.0", *, days: float | None = 0, name: str = "idna") -> Artifact:
    """A wheel, uploaded some days after the remembered one; None: nobody says when."""
    of = artifact(name, version, sha256=digest(version))
    uploaded = None if days is None else NOW + timedelta(days=days)
    return of.replace(file=of.file.replace(uploaded=uploaded))


def memory(publisher: Publisher = GITHUB, *, version: str = "1.0", timed: bool = True) -> RememberedPublisher:
    """What is remembered of a publisher seen with release 1.0."""
    of = artifact("idna", version, sha256=digest(version))
    return RememberedPublisher(
        ecosystem="pypi",
        name="idna",
        account=account(publisher),
        purl=of.purl,
        filename=of.filename,
        sha256=of.sha256,
        uploaded=NOW if timed else None,
        remembered=NOW,
        **{
            each: getattr(publisher, each)
            for each in ("forge", "issuer", "repository", "repository_id", "workflow", "environment")
        },
    )


def result(publisher: Publisher | None, status: ProvenanceStatus, source: str | None = None) -> AttestationResult:
    """One attestation."""
    return AttestationResult(
        form=Form.PYPI_ATTESTATION,
        status=status,
        sentence="It was checked.",
        sha256=digest("attestation"),
        publisher=publisher,
        stated_source=StatedSource(repository=source) if source else None,
    )


def signed(*publishers: Publisher | None, claimed: str | None = None, source: str | None = None) -> Provenance:
    """Verified, by these."""
    fields = {"environment": claimed} if claimed else {}
    return Provenance(
        status=ProvenanceStatus.VERIFIED,
        sentence="All holds.",
        results=tuple(result(each, ProvenanceStatus.VERIFIED, source) for each in publishers),
        claimed=tuple(ClaimedPublisher(kind="GitHub", fields=fields) for _ in publishers),
    )


def unsigned(status: ProvenanceStatus = ProvenanceStatus.ABSENT) -> Provenance:
    """Nothing verified."""
    return Provenance(status=status, sentence="It has the wrong digest.")


def kinds(of: Artifact, provenance: Provenance, **more: Any) -> list[FindingKind]:
    """The kinds of what is found."""
    return [each.kind for each in judge(of, provenance, **more)]


SAME = [
    (GITHUB, GITHUB),
    (GITHUB, with_(GITHUB, repository="https://github.com/O/R.git/")),
    (GITHUB, with_(GITHUB, identity="…@refs/tags/v2", ref="refs/tags/v2", commit="a" * 40, run_url="https://x/1")),
    (GITHUB, with_(GITHUB, issuer=f"{GITHUB.issuer}/enterprise")),
    (GITHUB, with_(GITHUB, repository_id="7")),
    (GITHUB, with_(GITHUB, workflow=None)),
    (GITHUB, with_(GITHUB, environment="pypi")),
    (GOOGLE, GOOGLE),
    (CIRCLE, with_(CIRCLE, commit="a" * 40, repository="https://github.com/O/r")),
    (OTHER_FORGE, with_(OTHER_FORGE, identity="https://forge.example.org/o/r//.ci.yml@refs/tags/v2")),
]


@pytest.mark.parametrize(("before", "now"), SAME)
def test_same_publisher(before: Publisher, now: Publisher) -> None:
    """What differs from release to release, or in spelling only, is nothing."""
    assert () == judge(file(), signed(now), remembered=memory(before))


DIFFERENT = [
    (GITHUB, with_(GITHUB, repository="https://github.com/evil/r"), CHANGED, "another repository (https://github"),
    (GITHUB, with_(GITHUB, repository="https://github.com/o/r2"), CHANGED, "github.com/o/r2 instead of https://git"),
    (GITHUB, with_(GITHUB, repository=None), CHANGED, "none instead of https://github.com/o/r"),
    (GITHUB, with_(GITHUB, forge=Forge.GITLAB), CHANGED, "another forge (GitLab instead of GitHub)"),
    (GITHUB, CIRCLE, CHANGED, "another forge (CircleCI instead of GitHub)"),
    (GITHUB, GOOGLE, CHANGED, "another forge (Google instead of GitHub)"),
    (GOOGLE, with_(GOOGLE, identity="evil@example.org"), CHANGED, "another account (evil@example.org instead of rob"),
    (CIRCLE, with_(CIRCLE, identity="https://circleci.com/api/v2/projects/evil"), CHANGED, "another account"),
    (CIRCLE, with_(CIRCLE, issuer="https://oidc.circleci.com/org/2"), CHANGED, "another issuer"),
    (OTHER_FORGE, with_(OTHER_FORGE, repository="https://forge.example.org/O/r"), CHANGED, "another repository"),
    (OTHER_FORGE, with_(OTHER_FORGE, repository="https://[bad"), CHANGED, "another repository (https://[bad"),
    (GITHUB, with_(GITHUB, workflow=".github/workflows/x.yml"), WORKFLOW, "another workflow (.github/workflows/x.yml"),
    (with_(GITHUB, environment="a"), with_(GITHUB, environment="b"), WORKFLOW, "another environment (b instead of a)"),
    (
        with_(GITHUB, repository_id="7"),
        with_(GITHUB, repository_id="8"),
        CHANGED,
        "another repository of the same name (number 8 of the forge instead of 7; it was made anew)",
    ),
    (
        with_(GITHUB, repository_id="7"),
        with_(GITHUB, repository_id="7", repository="https://github.com/o/new"),
        RENAMED,
        "was published from https://github.com/o/new",
    ),
    (
        with_(GITHUB, repository_id="7"),
        with_(GITHUB, repository_id="7", repository="https://github.com/evil/r"),
        CHANGED,
        "another owner of the repository",
    ),
]


@pytest.mark.parametrize(("before", "now", "kind", "words"), DIFFERENT)
def test_different_publisher(before: Publisher, now: Publisher, kind: FindingKind, words: str) -> None:
    """Every difference that matters is one finding that names both sides, and the file seen first."""
    (finding,) = judge(file(), signed(now), remembered=memory(before))
    assert kind is finding.kind
    assert words in finding.sentence
    assert finding.sentence.endswith(".")
    assert "idna-1.0-py3-none-any.whl" in finding.sentence
    assert "idna-2.0-py3-none-any.whl" in finding.sentence


def test_a_second_signer_does_not_hide() -> None:
    """A bundle by the known publisher does not excuse one by somebody else, in any order."""
    evil = with_(GITHUB, repository="https://github.com/evil/r", commit="e" * 40)
    for publishers in ((GITHUB, evil), (evil, GITHUB), (GITHUB, None, evil)):
        assert [CHANGED] == kinds(file(), signed(*publishers), remembered=memory())


def test_unverified_signers_do_not_count() -> None:
    """Who signed something that does not hold, or cannot be judged, published nothing."""
    evil = with_(GITHUB, repository="https://github.com/evil/r")
    partly = Provenance(
        status=ProvenanceStatus.NOT_CHECKABLE,
        sentence="One is unknown.",
        results=(result(GITHUB, ProvenanceStatus.VERIFIED), result(evil, ProvenanceStatus.NOT_CHECKABLE)),
    )
    assert [] == kinds(file(), partly, remembered=memory())
    invalid = signed(evil).replace(status=ProvenanceStatus.INVALID)
    assert [] == kinds(file(), invalid, remembered=memory())


@pytest.mark.parametrize(
    ("of", "remembered", "vanished"),
    [
        (file("2.0", days=1), memory(), True),
        (file("0.9", days=-1), memory(), False),
        (file("0.9.1", days=1), memory(), True),
        (file("2.0", days=-1), memory(), False),
        (file("1.0", days=-1), memory(), True),
        (file("2.0", days=None), memory(), True),
        (file("0.9", days=None), memory(), False),
        (file("0.9", days=1), memory(timed=False), False),
        (file("1.10", days=None), memory(version="1.9"), True),
        (file("latest", days=None), memory(), True),
    ],
)
@pytest.mark.parametrize("status", [ProvenanceStatus.ABSENT, ProvenanceStatus.NOT_CHECKABLE])
def test_vanished(status: ProvenanceStatus, of: Artifact, remembered: RememberedPublisher, vanished: bool) -> None:
    """Only what was published after the first attested file owes an attestation; times count before versions."""
    assert [VANISHED] * vanished == kinds(of, unsigned(status), remembered=remembered)


def test_vanished_sentences() -> None:
    """The sentence says what is there, who signed before, and where that was seen."""
    (finding,) = judge(file(), unsigned(), remembered=memory(CIRCLE))
    assert (
        "idna-2.0-py3-none-any.whl has no attestation, while idna-1.0-py3-none-any.whl had one that was verified, "
        "from github.com/o/r by https://circleci.com/api/v2/projects/p/pipeline-definitions/d (CircleCI)."
    ) == finding.sentence
    (finding,) = judge(file(), signed(None), remembered=memory())
    assert "names no publisher" in finding.sentence
    (finding,) = judge(file("1.0"), unsigned(ProvenanceStatus.NOT_CHECKABLE), remembered=memory())
    assert "cannot be checked, while the same file" in finding.sentence


def test_invalid_is_not_vanished() -> None:
    """An attestation that does not hold is there; it has its own alarm."""
    assert [] == kinds(file(), unsigned(ProvenanceStatus.INVALID), remembered=memory())


def test_older_release_of_another_publisher() -> None:
    """Whoever looks at the newest release first must still see that the ones before came from somebody else."""
    evil = memory(with_(GITHUB, repository="https://github.com/evil/r"))
    (finding,) = judge(file("0.9", days=-1), signed(GITHUB), remembered=evil)
    assert CHANGED is finding.kind
    assert "(and the newer of the two)" in finding.sentence
    (finding,) = judge(file("x", days=None), signed(GITHUB), remembered=evil)
    assert "published first is not known" in finding.sentence


def test_nothing_remembered() -> None:
    """Without memory and expectation nothing is found."""
    for provenance in (signed(GITHUB), unsigned(), unsigned(ProvenanceStatus.INVALID)):
        assert () == judge(file(), provenance)


MET = [
    (Expectation(), unsigned()),
    (Expectation(repository="https://github.com/O/r/"), signed(GITHUB)),
    (Expectation(repository=REPOSITORY), unsigned()),
    (Expectation(repository=REPOSITORY, forge=Forge.CIRCLECI), signed(CIRCLE)),
    (Expectation(repository="https://x.example.org/r"), signed(GOOGLE, source="https://x.example.org/r.git")),
    (Expectation(forge=Forge.GITHUB, workflow="release.yml"), signed(GITHUB)),
    (Expectation(workflow=".github/workflows/release.yml", attested=True), signed(GITHUB)),
    (Expectation(environment="pypi"), signed(with_(GITHUB, environment="pypi"), claimed="other")),
    (Expectation(environment="pypi"), signed(GITHUB, claimed="pypi")),
    (Expectation(account="robot@example.org"), signed(GOOGLE)),
    (Expectation(attested=False), unsigned()),
]


@pytest.mark.parametrize(("wanted", "provenance"), MET)
def test_expectation_met(wanted: Expectation, provenance: Provenance) -> None:
    """What is as expected is nothing."""
    assert () == judge(file(), provenance, expectation=wanted)


NOT_MET = [
    (Expectation(repository="https://github.com/o/r2"), signed(GITHUB), "the repository https://github.com/o/r2, not"),
    (Expectation(repository=REPOSITORY), signed(CIRCLE), "the forge GitHub, not CircleCI"),
    (Expectation(repository=REPOSITORY), signed(GOOGLE, source=REPOSITORY), "the forge GitHub, not Google"),
    (Expectation(repository="https://x.example.org/r"), signed(GOOGLE), "the repository https://x.example.org/r, not"),
    (Expectation(repository="https://x.example.org/r"), signed(GOOGLE, source="https://y.example.org/r"), "not https"),
    (Expectation(forge=Forge.GITLAB), signed(GITHUB), "the forge GitLab, not GitHub"),
    (Expectation(workflow="publish.yml"), signed(GITHUB), "the workflow publish.yml, not .github/workflows/release"),
    (Expectation(workflow="release.yml"), signed(with_(GITHUB, workflow=None)), "the workflow release.yml, not none"),
    (Expectation(workflow="release.yml"), signed(with_(GITHUB, workflow="x/release.yml")), "not x/release.yml"),
    (Expectation(environment="pypi"), signed(GITHUB), "the environment pypi, not none"),
    (Expectation(environment="pypi"), signed(GITHUB, claimed="x"), "the environment pypi, not x"),
    (Expectation(environment="a"), signed(with_(GITHUB, environment="b"), claimed="a"), "the environment a, not b"),
    (Expectation(account="a@example.org"), signed(GOOGLE), "the account a@example.org, not robot@example.org"),
    (Expectation(attested=True), unsigned(), "has no attestation"),
    (Expectation(attested=True), unsigned(ProvenanceStatus.INVALID), "that does not hold"),
    (Expectation(attested=True), unsigned(ProvenanceStatus.NOT_CHECKABLE), "cannot be checked"),
]


@pytest.mark.parametrize(("wanted", "provenance", "words"), NOT_MET)
def test_expectation_broken(wanted: Expectation, provenance: Provenance, words: str) -> None:
    """What is not as expected is one finding that says both."""
    (finding,) = judge(file(), provenance, expectation=wanted)
    assert BROKEN is finding.kind
    assert words in finding.sentence


def test_expectation_beats_memory() -> None:
    """The memory is silent about what an expectation covers, and speaks about the rest."""
    moved = with_(GITHUB, repository="https://gitlab.com/new/r", forge=Forge.GITLAB, workflow="ci.yml")
    wanted = Expectation(repository="https://gitlab.com/new/r")
    assert [] == kinds(file(), signed(moved), remembered=memory(), expectation=wanted)
    assert [VANISHED] == kinds(file(), unsigned(), remembered=memory(), expectation=wanted)
    assert [] == kinds(file(), unsigned(), remembered=memory(), expectation=Expectation(attested=False))
    assert [BROKEN] == kinds(file(), unsigned(), remembered=memory(), expectation=Expectation(attested=True))
    assert [BROKEN] == kinds(file(), signed(GITHUB), remembered=memory(), expectation=wanted)
    assert [CHANGED] == kinds(file(), signed(moved), remembered=memory(), expectation=Expectation(workflow="ci.yml"))
    renamed = with_(GITHUB, workflow=".github/workflows/x.yml")
    assert [] == kinds(file(), signed(renamed), remembered=memory(), expectation=Expectation(workflow="x.yml"))
    assert [WORKFLOW] == kinds(
        file(), signed(renamed), remembered=memory(), expectation=Expectation(repository=REPOSITORY)
    )
    other = with_(GOOGLE, identity="new@example.org")
    assert [CHANGED] == kinds(
        file(), signed(other), remembered=memory(GOOGLE), expectation=Expectation(forge=Forge.GOOGLE)
    )
    assert [] == kinds(
        file(), signed(other), remembered=memory(GOOGLE), expectation=Expectation(account="new@example.org")
    )


def test_foreign_text_is_made_safe() -> None:
    """Names from certificates and registries cannot break lines or fill the page."""
    evil = with_(GITHUB, repository="https://github.com/\x1b[2J\n" + "x" * 5000, workflow="\u202e" + "y" * 5000)
    wanted = Expectation(repository=REPOSITORY, workflow="release.yml")
    for publisher, more in (
        (evil, {"remembered": memory()}),
        (evil, {"expectation": wanted}),
        (GITHUB, {"remembered": memory(evil)}),
    ):
        findings = judge(file(), signed(publisher), **more)
        assert findings
        for finding in findings:
            assert finding.sentence.isprintable()
            assert len(finding.sentence) < 2000


def test_alarms() -> None:
    """What weighs enough is an alarm, with the same words every time; the rest stays on the page."""
    of = file()
    changed = judge(of, signed(with_(GITHUB, repository="https://github.com/evil/r")), remembered=memory())
    vanished = judge(of, unsigned(), remembered=memory())
    broken = judge(of, unsigned(), expectation=Expectation(attested=True))
    smaller = judge(of, signed(with_(GITHUB, workflow="x.yml")), remembered=memory())
    provenance = unsigned(ProvenanceStatus.INVALID).replace(findings=(*changed, *vanished, *broken, *smaller))
    raised = alarms(of, provenance, NOW)
    assert [
        AlarmKind.ATTESTATION_INVALID,
        AlarmKind.PUBLISHER_CHANGED,
        AlarmKind.ATTESTATION_VANISHED,
        AlarmKind.EXPECTATION_BROKEN,
    ] == [each.kind for each in raised]
    assert "The attestation of idna-2.0-py3-none-any.whl does not hold: It has the wrong digest." == raised[0].sentence
    assert {(of.purl, of.filename, NOW)} == {(each.purl, each.filename, each.raised) for each in raised}
    assert () == alarms(of, signed(GITHUB), NOW)
    assert [each.sentence for each in raised] == [each.sentence for each in alarms(of, provenance, TIME)]
