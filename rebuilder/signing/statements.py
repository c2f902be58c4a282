"""In-toto statements made from a finished report; pure.

Sources: in-toto Statement v1 (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md),
SLSA Provenance v1 (https://slsa.dev/spec/v1.1/provenance),
SLSA Verification Summary v1 (https://slsa.dev/spec/v1.1/verification_summary).
What we add is described in ``docs/predicates/``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from rebuilder.model.accounting import Accounting
from rebuilder.model.attempt import Attempt, Output, Run
from rebuilder.model.comparison import Comparison
from rebuilder.model.definition import BuildDefinition, Role
from rebuilder.model.graph import SourceTrail, Step
from rebuilder.model.provenance import Provenance
from rebuilder.model.report import Report, Sbom, report_document
from rebuilder.model.sbom import MEDIA_TYPE as SBOM_TYPE
from rebuilder.model.value import Sha256, Sha512, Value, sha256_hex
from rebuilder.model.verdict import Verdict
from rebuilder.signing.consistency import check_report
from rebuilder.signing.vocabulary import (
    ACCOUNTED,
    ACCOUNTING_POLICY_SHA256,
    ACCOUNTING_POLICY_URI,
    LEVELS,
    METADATA_WRITTEN,
    POLICY_SHA256,
    POLICY_URI,
    PROVENANCE_TYPE,
    STATEMENT_TYPE,
    UNAUTHENTICATED,
    VERDICT_TYPE,
    VSA_TYPE,
)

Document = dict[str, Any]
"""Plain JSON types."""


_LISTED = 100
"""Most members that a statement names; the report has all."""


class Builder(Value):
    """Who rebuilds and verifies."""

    id: str
    """URI that names this rebuilder; whoever trusts it trusts this URI together with the signing key."""


def provenance_statement(report: Report, builder: Builder) -> Document | None:
    """SLSA Provenance v1 of the rebuilt file the verdict rests on; None when nothing was built.

    Where it rests on an accounting, it is about the file whose compiled code was compared.

    Raises:
        ValueError: the verdict is one that is never published.
        SigningError: the report contradicts itself.
    """
    check_report(report)
    if (rebuild := report.rebuild) is None:
        return None
    rebuilt, run, definition = rebuild
    index = report.decision.attempt
    attempt = report.attempts[index] if index is not None else None
    number = "compiled" if index is None else index
    return statement_about(
        rebuilt.filename,
        rebuilt.sha256,
        PROVENANCE_TYPE,
        {
            "buildDefinition": definition.slsa,
            "runDetails": {
                "builder": {"id": builder.id, "version": _versions(report, definition, run)},
                "metadata": {
                    "invocationId": sha256_hex(f"{definition.digest} {rfc3339(run.started)} {number}".encode()),
                    "startedOn": rfc3339(run.started),
                    "finishedOn": rfc3339(run.started + timedelta(seconds=run.wall_seconds)),
                },
                "byproducts": _byproducts(run, attempt.comparison if attempt is not None else None),
            },
        },
    )


def verdict_statement(
    report: Report,
    builder: Builder,
    provenance: str | None,
    published: bytes | None = None,
    *,
    sha512: Sha512 | None = None,
) -> Document:
    """The verdict on the published file.

    ``reproduced``, ``equivalent`` and ``differs`` become a verification summary (PASSED, PASSED, FAILED). The others
    say nothing about the file that could pass or fail, and become a statement with a predicate of our own.

    Args:
        report: What was found.
        builder: Who found it.
        provenance: Envelope of :func:`provenance_statement` as it is published, whose digest goes in; None when
            there is none.
        published: The report as it is published, where it is at hand; its digest goes in.
        sha512: Of the published file, by whoever has its bytes: the second digest of the subject. Never what an index
            says it is.

    Raises:
        ValueError: the verdict is one that is never published.
        SigningError: the report contradicts itself.
    """
    check_report(report)
    artifact, level = report.artifact, LEVELS.get(report.decision.verdict)
    findings = _findings(report, sha256_hex(report_document(report) if published is None else published))
    predicate: Document = {
        "verifier": {"id": builder.id, "version": {"rebuilder": report.rebuilder_version}},
        "timeVerified": rfc3339(report.finished),
        "resourceUri": artifact.purl,
        "policy": _policy(report),
    }
    attestations = _upstream_attestations(report)
    if provenance is not None:
        envelope = {"uri": "provenance.dsse.json", "digest": {"sha256": sha256_hex(provenance.encode())}}
        attestations.insert(0, envelope)
    if attestations:
        predicate["inputAttestations"] = attestations
    if level is None:
        return statement_about(artifact.filename, artifact.sha256, VERDICT_TYPE, predicate | findings, sha512=sha512)
    if report.decision.attempt is not None and report.attempts[report.decision.attempt].finished_identical:
        level = METADATA_WRITTEN
    passed = "PASSED" if report.decision.verdict.confirms else "FAILED"
    predicate |= {"verificationResult": passed, "verifiedLevels": [level], VERDICT_TYPE: findings}
    return statement_about(artifact.filename, artifact.sha256, VSA_TYPE, predicate, sha512=sha512)


def _policy(report: Report) -> Document:
    uri, sha256 = POLICY_URI, POLICY_SHA256
    if report.accounting is not None and report.accounting.compared and report.decision.attempt is None:
        uri, sha256 = ACCOUNTING_POLICY_URI, ACCOUNTING_POLICY_SHA256
    return {"uri": uri, "digest": {"sha256": sha256}}


def statement_about(
    name: str, sha256: str, predicate_type: str, predicate: Document, *, sha512: str | None = None
) -> Document:
    """An in-toto Statement v1 about one file."""
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": sha256, **({"sha512": sha512} if sha512 else {})}}],
        "predicateType": predicate_type,
        "predicate": predicate,
    }


def _findings(report: Report, report_sha256: Sha256) -> Document:
    """What we say beyond PASSED and FAILED (docs/predicates/verdict-v2.md)."""
    decision, evidence = report.decision, report.evidence
    comparison = report.attempts[decision.attempt].comparison if decision.attempt is not None else None
    findings: Document = {
        "verdict": decision.verdict.value,
        "sentence": decision.sentence,
        "normalisations": list(comparison.normalisations) if comparison else [],
        "replayed": replayed_document(report),
        "index": {"digest": {"sha256": evidence.index_sha256}},
        "attempts": [_attempt(each) for each in report.attempts],
        "alarms": [{"kind": each.kind.value, "sentence": each.sentence} for each in report.alarms],
        "artifact": {name: getattr(report.artifact, name) for name in ("ecosystem", "name", "version")},
        "report": {"name": "report.json", "digest": {"sha256": report_sha256}},
    }
    if decision.kind is not None:
        findings["kind"] = decision.kind.value
    if decision.attempt is not None:
        findings["decidedBy"] = decision.attempt
    if decision.verdict is Verdict.UNAUTHENTICATED:
        findings["level"] = UNAUTHENTICATED
    if report.diagnosis is not None and report.diagnosis.findings:
        findings["cause"] = report.diagnosis.findings[0].cause.value
    if (environment := report.environment) is not None:
        findings["environment"] = {"name": environment.name, "digest": {"sha256": environment.sha256}}
    if evidence.source is not None:
        findings["source"] = evidence.source.document()
    if report.sboms:
        findings["sboms"] = [_sbom(each) for each in report.sboms]
    if report.provenance is not None:
        findings["upstream"] = _upstream(report.provenance)
    if report.trail is not None:
        findings["trail"] = _trail(report.trail)
    if report.accounting is not None:
        findings["accounting"] = _accounting(report, report.accounting)
    return findings


def _sbom(sbom: Sbom) -> Document:
    about = {"environment": sbom.environment, "dirTree": sbom.about} if sbom.environment is not None else {}
    digest = {"digest": {"sha256": sbom.sha256}, "mediaType": SBOM_TYPE}
    return {"name": sbom.path, **digest, **({"annotations": about} if about else {})}


def _accounting(report: Report, accounting: Accounting) -> Document:
    """How many members are accounted for with what; all of them are in the report, whose digest is signed too."""
    document: Document = {
        "members": len(accounting.members),
        "counts": {how.value: number for how, number in accounting.counts.items()},
        "unaccounted": [
            {"name": each.path, "digest": {"sha256": each.sha256}} for each in accounting.accusing[:_LISTED]
        ],
    }
    if report.decision.verdict is Verdict.ACCOUNTED:
        document["level"] = ACCOUNTED
    if (compiled := accounting.compiled) is not None:
        document["compiled"] = _run(compiled.definition, compiled.run, compiled.rebuilt)
    if accounting.source_sha256 is not None:
        document["source"] = {"digest": {"sha256": accounting.source_sha256}}
    return document


def replayed_document(report: Report) -> list[Document]:
    """What was read from the published file and used by the attempt the verdict rests on."""
    index = report.decision.attempt
    values = report.attempts[index].replayed if index is not None else ()
    return [each.document() for each in values]


def _upstream_attestations(report: Report) -> list[Document]:
    """Each attestation upstream published, whatever checking it said, by the digest of its canonical JSON."""
    uri = report.artifact.file.provenance_url
    results = report.provenance.results if report.provenance is not None else ()
    return [{**({"uri": uri} if uri else {}), "digest": {"sha256": each.sha256}} for each in results]


def _upstream(provenance: Provenance) -> Document:
    document: Document = {
        "status": provenance.status.value,
        "sentence": provenance.sentence,
        "findings": [{"kind": each.kind.value, "sentence": each.sentence} for each in provenance.findings],
    }
    if provenance.document_sha256 is not None:
        document["document"] = {"digest": {"sha256": provenance.document_sha256}}
    if provenance.trust_sha256 is not None:
        document["trustRoot"] = {"digest": {"sha256": provenance.trust_sha256}}
    if provenance.publisher is not None:
        document["publisher"] = provenance.publisher.document()
    return document


def _trail(trail: SourceTrail) -> Document:
    document: Document = {
        "nodes": [each.document() for each in trail.nodes],
        "steps": [_step(each) for each in trail.steps],
        "changes": trail.changes_total,
        "findings": list(trail.findings),
    }
    if trail.origin is not None:
        document["origin"] = trail.origin.document()
    return document


def _step(step: Step) -> Document:
    document = step.document()
    if step.decision is not None:
        told = {"verdict", "kind", "sentence", "attempt"}
        document["decision"] = {name: each for name, each in step.decision.document().items() if name in told}
    return document


def _attempt(attempt: Attempt) -> Document:
    document: Document = {
        "hypothesis": attempt.hypothesis.name,
        "repeat": attempt.repeat,
        **_run(attempt.hypothesis.definition, attempt.run, attempt.rebuilt),
        **attempt.hypothesis.definition.toolchain.findings,
    }
    if attempt.shared:
        document["shared"] = True
    if attempt.comparison is not None:
        document["level"] = attempt.comparison.level.value
        document["differences"] = attempt.comparison.differences_total
    if (done := attempt.finishing) is not None:
        document["finishing"] = {
            "definition": {"digest": {"sha256": done.definition.digest}},
            "record": {"digest": {"sha256": done.record_sha256}},
            "replayed": [each.name for each in done.replayed],
            **({"finished": {"digest": {"sha256": done.finished.sha256}}} if done.finished is not None else {}),
        }
    return document


def _run(definition: BuildDefinition, run: Run, rebuilt: Output | None) -> Document:
    document: Document = {
        "definition": {"digest": {"sha256": definition.digest}},
        "outcome": run.outcome.value,
        "log": {"digest": {"sha256": run.log_sha256}},
    }
    if run.limit is not None:
        document["limit"] = run.limit.value
    if run.exit_code is not None:
        document["exitCode"] = run.exit_code
    if rebuilt is not None:
        document["rebuilt"] = {"name": rebuilt.filename, "digest": {"sha256": rebuilt.sha256}}
    return document


def _versions(report: Report, definition: BuildDefinition, run: Run) -> dict[str, str]:
    tools = [each for each in definition.inputs if each.role is Role.BUILD_TOOL and each.version]
    return {
        **{each.name: str(each.version) for each in tools},
        "rebuilder": report.rebuilder_version,
        "sandbox": run.sandbox_version,
    }


def _byproducts(run: Run, comparison: Comparison | None) -> list[Document]:
    """Files that came out beside the result, as in-toto resource descriptors."""
    found = [("log", "text/plain", run.log_sha256)]
    if run.description is not None:
        found.append(("buildinfo", "text/plain", run.description.sha256))
    diffoscope = comparison.diffoscope if comparison else None
    if diffoscope is not None:
        found += [
            (f"diffoscope.{suffix}", media_type, sha256)
            for suffix, media_type, sha256 in (
                ("html", "text/html", diffoscope.html_sha256),
                ("json", "application/json", diffoscope.json_sha256),
                ("txt", "text/plain", diffoscope.text_sha256),
            )
            if sha256 is not None
        ]
    return [{"name": name, "mediaType": media, "digest": {"sha256": sha256}} for name, media, sha256 in found]


def rfc3339(moment: datetime) -> str:
    """RFC 3339 in UTC, to the second, as in-toto asks for."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
