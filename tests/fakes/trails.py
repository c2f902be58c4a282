"""Finished reports with attestations and trails: what upstream signed, and how the files follow from each other."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from rebuilder.ecosystems.pypi.subject import PyPIStep
from rebuilder.model.alarm import AlarmKind
from rebuilder.model.attempt import Attempt
from rebuilder.model.comparison import Comparison, Difference, Level, MemberChange
from rebuilder.model.decision import decide, towards
from rebuilder.model.evidence import Source, SourceKind
from rebuilder.model.graph import FileChange, NodeKind, Origin, SourceTrail, Step, TreeChange, commit_node, file_node
from rebuilder.model.provenance import (
    AttestationResult,
    ClaimedPublisher,
    FindingKind,
    Forge,
    Form,
    Provenance,
    ProvenanceFinding,
    ProvenanceStatus,
    Publisher,
    StatedSource,
)
from rebuilder.model.report import Report
from rebuilder.store.protocol import Blobs
from tests.fakes.reports import HOSTILE, UPLOADED, alarm, artifact, attempt, compared, definition, report, run, sha

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PUBLISH = "https://docs.example.org/attestations/publish/v1"
SLSA = "https://slsa.example.org/provenance/v1"


def publisher(name: str, version: str, **changes: Any) -> Publisher:
    """A workflow in a repository of that name, run for a tag."""
    repository = f"https://forge.example.org/weavers/{name}"
    fields: dict[str, Any] = {
        "forge": Forge.GITHUB,
        "issuer": "https://token.forge.example.org",
        "identity": f"{repository}/.forge/workflows/release.yml@refs/tags/v{version}",
        "repository": repository,
        "workflow": ".forge/workflows/release.yml",
        "ref": f"refs/tags/v{version}",
        "commit": COMMIT,
        "run_url": f"{repository}/actions/runs/1/attempts/1",
    }
    return Publisher.model_validate(fields | changes)


def result(by: Publisher | None, predicate: str | None = PUBLISH, **changes: Any) -> AttestationResult:
    """One attestation that holds, unless ``changes`` say otherwise."""
    fields: dict[str, Any] = {
        "form": Form.PYPI_ATTESTATION,
        "status": ProvenanceStatus.VERIFIED,
        "sentence": "Signature, certificate, log entry and subject hold.",
        "sha256": sha(f"{predicate}"),
        "predicate_type": predicate,
        "publisher": by,
        "log_time": UPLOADED - timedelta(minutes=1),
        "log_index": 138_211_907,
        "not_before": UPLOADED - timedelta(minutes=1),
        "not_after": UPLOADED + timedelta(minutes=9),
    }
    return AttestationResult.model_validate(fields | changes)


def verified(name: str, version: str, **changes: Any) -> Provenance:
    """Two attestations by one publisher; the index says the same, and an environment nobody signed."""
    by = publisher(name, version)
    fields: dict[str, Any] = {
        "status": ProvenanceStatus.VERIFIED,
        "sentence": "Signature, certificate, log entry and subject hold.",
        "document_sha256": sha("provenance"),
        "trust_sha256": sha("trust"),
        "results": (result(by), result(by, SLSA)),
        "claimed": (
            ClaimedPublisher(
                kind="GitHub",
                fields={"repository": f"weavers/{name}", "workflow": "release.yml", "environment": "release"},
            ),
        ),
        "findings": (
            ProvenanceFinding(
                kind=FindingKind.ENVIRONMENT_UNCONFIRMED,
                sentence="The index names the environment “release”; the certificate does not say.",
            ),
        ),
    }
    return Provenance.model_validate(fields | changes)


def step(value: Report, ran: Any, name: PyPIStep, comparison: Comparison | None = None) -> Attempt:
    """An attempt at one step of the trail of ``value``; bit for bit unless a comparison says otherwise."""
    subject = value.artifact
    tried = attempt(subject, ran, comparison=comparison or compared(subject, Level.IDENTICAL))
    changes: dict[str, Any] = {}
    if name != PyPIStep.SDIST_TO_WHEEL:
        uri = f"https://forge.example.org/weavers/{subject.name}"
        changes["source"] = Source(kind=SourceKind.GIT, uri=uri, digest={"gitCommit": COMMIT})
    if name == PyPIStep.COMMIT_TO_SDIST:
        changes["filename"] = f"{subject.name}-{subject.version}.tar.gz"
    built = definition(subject, **changes)
    sentence = "The source archive is one file; it was made again from the commit."
    hypothesis = tried.hypothesis.replace(definition=built)
    if name == PyPIStep.COMMIT_TO_SDIST:
        hypothesis = hypothesis.replace(sentence=sentence)
    return tried.replace(hypothesis=hypothesis)


def trail(value: Report, **changes: Any) -> SourceTrail:
    """A trail whose edges rest on the attempts of the report."""
    subject = value.artifact
    archive = f"{subject.name}-{subject.version}.tar.gz"
    origin = Origin(
        repository=f"https://forge.example.org/weavers/{subject.name}",
        commit=COMMIT,
        tag=f"v{subject.version}",
        attested=True,
        sentence="A verified attestation names this commit.",
    )
    origin = changes.get("origin", origin)
    published = subject.file.replace(filename=archive, sha256=sha(archive))
    nodes = (
        commit_node(origin),
        file_node(NodeKind.SOURCE_ARCHIVE, published),
        file_node(NodeKind.ARTIFACT, subject.file),
    )
    commit, between, artifact = nodes
    steps = []
    for name, start, end, kind in (
        (PyPIStep.COMMIT_TO_SDIST, commit, between, SourceKind.GIT),
        (PyPIStep.SDIST_TO_WHEEL, between, artifact, SourceKind.SDIST),
        (PyPIStep.COMMIT_TO_WHEEL, commit, artifact, SourceKind.GIT),
    ):
        among = [
            index
            for index in towards(value.attempts, end.name or "")
            if (source := value.attempts[index].hypothesis.definition.source) is not None and source.kind is kind
        ]
        decision = decide(value.attempts, None, among) if among else None
        steps.append(Step(name=name, start=start.id, end=end.id, decision=decision, attempts=tuple(among)))
    return SourceTrail.model_validate({"nodes": nodes, "steps": tuple(steps), **changes, "origin": origin})


GENERATED = (
    FileChange(
        path="PKG-INFO",
        change=TreeChange.ADDED,
        rule="generated-metadata",
        sentence="Build backends write PKG-INFO into every source archive.",
    ),
    FileChange(
        path="src/loom/_version.py",
        change=TreeChange.CHANGED,
        rule="version-file",
        sentence="The version is written into this file by the build.",
    ),
)


def _steps(blobs: Blobs, name: str, version: str, *steps: tuple[PyPIStep, Level]) -> Report:
    subject = artifact(name, version)
    base = report(subject)
    archive = f"{name}-{version}.tar.gz"
    attempts = []
    for edge, level in steps:
        made = compared(subject, level)
        if edge == PyPIStep.COMMIT_TO_SDIST:
            rebuilt = sha(archive) if level is Level.IDENTICAL else sha(f"other {archive}")
            made = made.replace(published_sha256=sha(archive), rebuilt_sha256=rebuilt)
        if level is Level.DIFFERENT:
            found = (Difference(member="setup.py", change=MemberChange.CONTENT, detail="904 against 861 bytes"),)
            made = made.replace(differences=found, differences_total=1)
        attempts.append(step(base, run(blobs), edge, made))
    every = tuple(attempts)
    decision = decide(every, None, towards(every, subject.filename))
    return report(subject, attempts, decision=decision)


def attested(blobs: Blobs) -> Report:
    """Everything holds: an attested commit gives the source archive and the wheel, bit for bit."""
    same = Level.IDENTICAL
    value = _steps(blobs, "loom", "2.2.0", *((each, same) for each in PyPIStep))
    found = trail(value, changes=GENERATED, changes_total=2)
    return value.replace(provenance=verified("loom", "2.2.0"), trail=found)


def smuggled(blobs: Blobs) -> Report:
    """What people have to see: the wheel follows from the source archive, which does not follow from the commit."""
    value = _steps(
        blobs,
        "bobbin",
        "5.6.1",
        (PyPIStep.SDIST_TO_WHEEL, Level.IDENTICAL),
        (PyPIStep.COMMIT_TO_SDIST, Level.DIFFERENT),
        (PyPIStep.COMMIT_TO_WHEEL, Level.DIFFERENT),
    )
    changes = (
        FileChange(path="m4/build-to-host.m4", change=TreeChange.ADDED),
        FileChange(path="src/bobbin/_loader.py", change=TreeChange.CHANGED),
        FileChange(path="tests/files/good-large_compressed.lzma", change=TreeChange.ADDED),
        FileChange(path="tests/test_loader.py", change=TreeChange.MISSING),
        *GENERATED,
    )
    found = trail(value, changes=changes, changes_total=6, notes=("The tag v5.6.1 names another commit now.",))
    alarms = (alarm(value.artifact, AlarmKind.TAG_MOVED, "The tag v5.6.1 names another commit than on 2026-03-09."),)
    return value.replace(provenance=verified("bobbin", "5.6.1"), trail=found, alarms=alarms)


def claimed(blobs: Blobs) -> Report:
    """No attestation, now or before: the repository is only what the project's metadata says."""
    value = _steps(
        blobs,
        "distaff",
        "0.9",
        (PyPIStep.SDIST_TO_WHEEL, Level.EQUIVALENT),
        (PyPIStep.COMMIT_TO_SDIST, Level.EQUIVALENT),
    )
    origin = Origin(
        repository="https://forge.example.org/weavers/distaff-with-a-name-that-is-longer-than-a-box",
        commit=COMMIT,
        tag="v0.9",
        attested=False,
        sentence="Claimed, not attested: the project's metadata names it, and the tag v0.9 fits.",
    )
    absent = Provenance(status=ProvenanceStatus.ABSENT, sentence="The registry names no attestation.")
    return value.replace(provenance=absent, trail=trail(value, origin=origin))


def invalid(blobs: Blobs) -> Report:
    """An attestation that does not hold, by somebody else; the rebuild went on without it."""
    value = _steps(blobs, "treadle", "1.1", (PyPIStep.SDIST_TO_WHEEL, Level.IDENTICAL))
    by = publisher("treadle-fork", "1.1", repository="https://forge.example.org/strangers/treadle")
    bad = result(by, status=ProvenanceStatus.INVALID, sentence="It is about another file: its subject is x-9.whl.")
    findings = (
        ProvenanceFinding(
            kind=FindingKind.PUBLISHER_CHANGED,
            sentence="The first release was published from weavers/treadle, this one from strangers/treadle.",
        ),
    )
    provenance = verified(
        "treadle", "1.1", status=ProvenanceStatus.INVALID, sentence=bad.sentence, results=(bad,), findings=findings
    )
    alarms = (
        alarm(value.artifact, AlarmKind.ATTESTATION_INVALID, bad.sentence),
        alarm(value.artifact, AlarmKind.PUBLISHER_CHANGED, findings[0].sentence),
    )
    return value.replace(provenance=provenance, trail=trail(value, origin=None), alarms=alarms)


def vanished(blobs: Blobs) -> Report:
    """Releases before were attested, this one is not."""
    value = _steps(blobs, "heddle", "3.0", (PyPIStep.SDIST_TO_WHEEL, Level.DIFFERENT))
    finding = ProvenanceFinding(
        kind=FindingKind.ATTESTATION_VANISHED, sentence="heddle 2.9 had a verified publisher, this file has none."
    )
    provenance = Provenance(
        status=ProvenanceStatus.ABSENT, sentence="The registry names no attestation.", findings=(finding,)
    )
    return value.replace(provenance=provenance, trail=trail(value, origin=None))


def hostile(blobs: Blobs) -> Report:
    """Certificates, claims, tags and file names are an attack."""
    value = _steps(
        blobs,
        "snare",
        "1.0",
        (PyPIStep.SDIST_TO_WHEEL, Level.IDENTICAL),
        (PyPIStep.COMMIT_TO_SDIST, Level.DIFFERENT),
    )
    traits = ("issuer", "identity", "repository", "workflow", "environment", "ref", "commit", "build_config", "run_url")
    by = publisher("snare", "1.0", **dict.fromkeys(traits, HOSTILE))
    linked = publisher("snare", "1.0", repository="javascript:alert(5)", run_url="http://plain.example.org/run")
    results = (
        result(by, HOSTILE, sentence=HOSTILE, stated_source=StatedSource(repository=HOSTILE, commit=HOSTILE)),
        result(linked, "p" * 50_000, sentence=HOSTILE),
        *(result(None, None, sha256=sha(str(each)), key_id=HOSTILE, log_time=None) for each in range(80)),
    )
    claims = ClaimedPublisher(
        kind=HOSTILE, fields={"repository": HOSTILE, HOSTILE: HOSTILE, "email": "x" * 90_000, "claims": "織" * 500}
    )
    provenance = Provenance(
        status=ProvenanceStatus.VERIFIED,
        sentence=HOSTILE,
        results=results,
        claimed=(claims,) * 100,
        findings=tuple(ProvenanceFinding(kind=each, sentence=HOSTILE) for each in FindingKind),
    )
    origin = Origin(repository=HOSTILE, commit=HOSTILE, tag="織" * 400, attested=False, sentence=HOSTILE)
    changes = (
        FileChange(path=HOSTILE, change=TreeChange.ADDED),
        FileChange(path="deep/" * 3000, change=TreeChange.MISSING),
        *(FileChange(path=f"{HOSTILE}{each}", change=TreeChange.CHANGED) for each in range(400)),
        FileChange(path=HOSTILE, change=TreeChange.CHANGED, rule=HOSTILE, sentence=HOSTILE),
    )
    found = trail(value, origin=origin, changes=changes, changes_total=9_999, notes=(HOSTILE,))
    steps = tuple(
        each.replace(attempts=(0, 77, -1)) if each.name == PyPIStep.COMMIT_TO_SDIST else each for each in found.steps
    )
    nodes = tuple(each.replace(name="W" * 9000) if each.name == "snare-1.0.tar.gz" else each for each in found.nodes)
    return value.replace(provenance=provenance, trail=found.replace(nodes=nodes, steps=steps))


EVERY = {
    "attested": attested,
    "smuggled": smuggled,
    "claimed": claimed,
    "invalid": invalid,
    "vanished": vanished,
    "snare": hostile,
}
"""A report for each kind of trail."""
