"""The JSON line ``rebuilder verify --json`` prints for each artifact; docs/verify-json.md has its fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rebuilder.errors import RebuilderError, UsageError
from rebuilder.model.artifact import Subject
from rebuilder.model.attempt import bits_before
from rebuilder.model.graph import SourceTrail
from rebuilder.model.report import Report, Stage
from rebuilder.verification.coordinator import Verified

_STAGES = (Stage.FETCH, Stage.RESOLVE, Stage.BUILD, Stage.COMPARE)


def result_line(result: Verified, site: Path) -> dict[str, Any]:
    """One artifact as plain JSON types."""
    artifact = result.artifact
    line: dict[str, Any] = {
        "subject": {"purl": artifact.purl, "filename": artifact.filename, "sha256": artifact.sha256},
        "verdict": result.verdict.value if result.verdict else None,
    }
    if result.signed is not None:
        line |= _report_fields(result.signed.report)
    if result.fault is not None:
        line["problem"] = str(result.fault)
    if result.foreign_file is not None:
        line["alarms"] = [result.foreign_file.document()]
    total = sum(result.seconds.values())
    line["seconds"] = {stage.value: round(result.seconds.get(stage, 0.0), 3) for stage in _STAGES} | {
        "total": round(total, 3)
    }
    line["report"] = str(site / result.page / "index.html") if result.page else None
    return line


def fault_line(subject: Subject, error: RebuilderError) -> dict[str, Any]:
    """A subject that came to nothing, as plain JSON types."""
    return {
        "subject": {"asked": subject.asked},
        "verdict": None if isinstance(error, UsageError) else "infra-error",
        "problem": str(error),
    }


def _report_fields(report: Report) -> dict[str, Any]:
    decision = report.decision
    chosen = report.attempts[decision.attempt] if decision.attempt is not None else None
    comparison = chosen.comparison if chosen else None
    source = report.evidence.source
    return {
        "kind": decision.kind.value if decision.kind else None,
        "sentence": decision.sentence,
        "normalisations": list(comparison.normalisations) if comparison else [],
        "replayed": [each.document() for each in chosen.replayed] if chosen else [],
        "replayed_bits": bits_before(chosen.replayed) if chosen else 0,
        "rebuilt": {"sha256": chosen.rebuilt.sha256} if chosen and chosen.rebuilt else None,
        "definition": chosen.hypothesis.definition.digest if chosen else None,
        "source": {"kind": source.kind.value, "uri": source.uri, "digest": source.digest} if source else None,
        "provenance": _provenance(report),
        "trail": _trail(report),
        "contradictions": list(report.evidence.contradictions),
        "attempts": len(report.attempts),
        "remarks": list(report.remarks),
        "alarms": [alarm.document() for alarm in report.alarms],
    }


def _provenance(report: Report) -> dict[str, Any]:
    provenance = report.provenance
    if provenance is None:
        return {"status": "unchecked"}
    fields: dict[str, Any] = {"status": provenance.status.value, "sentence": provenance.sentence}
    if provenance.publisher is not None:
        fields["publisher"] = provenance.publisher.document()
        fields |= {"repository": provenance.repository, "commit": provenance.commit}
        times = [each.log_time for each in provenance.results if each.log_time is not None]
        fields["log_time"] = times[0].isoformat() if times else None
    fields["findings"] = [each.document() for each in provenance.findings]
    return fields


def _has_commit(trail: SourceTrail) -> bool:
    """Whether the files of the commit were there to be compared."""
    return any(step.attempts for step in trail.steps if trail.from_commit(step))


def _trail(report: Report) -> dict[str, Any] | None:
    trail = report.trail
    if trail is None:
        return None
    return {
        "origin": trail.origin.document() if trail.origin else None,
        "steps": {step.name: step.verdict.value for step in trail.steps if step.verdict is not None},
        "disagreement": trail.disagreement,
        "unexplained_files": trail.unexplained if _has_commit(trail) else None,
    }
