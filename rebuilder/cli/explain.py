"""``rebuilder explain``: why a rebuild is not the published file, and what to change."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from rebuilder.cli.display import Display
from rebuilder.cli.verify import SEVERITY, fault_line, subjects_of, verdict_code
from rebuilder.config import Config
from rebuilder.diagnose.case import DiagnosisInput
from rebuilder.errors import ExitCode, RebuilderError
from rebuilder.model.artifact import Subject
from rebuilder.model.comparison import Effect, Variation
from rebuilder.model.diagnosis import Diagnosis, EvidenceLine
from rebuilder.model.report import Report, Summary
from rebuilder.model.text import visible
from rebuilder.verification.coordinator import Coordinator
from rebuilder.verification.findings import diagnosed
from rebuilder.verification.findings import vary as vary_attempt
from rebuilder.wiring import Wired, wire, wire_signer

_EFFECTS = {
    Effect.NONE: "no",
    Effect.UNCLEAR: "cannot be told, it varies by itself",
    Effect.FLIPS: "YES",
    Effect.STEADIES: "YES, fixed it is steady",
    Effect.FAILED: "no result",
    Effect.NOT_TRIED: "not tried",
}


def explain(config: Config, subject_text: str, *, vary: bool, as_json: bool) -> int:
    """Print why the newest verification of each file of a subject did not come out byte for byte.

    What was never verified is verified first. Without a version, it is about the release that was verified last.

    Args:
        config: The settings.
        subject_text: As for ``rebuilder verify``.
        vary: Whether to build again with one thing changed at a time; this adds nothing to the published report.
        as_json: One JSON object a line instead of sentences.

    Returns:
        The exit code, as of ``rebuilder verify``.

    Raises:
        UsageError: the subject cannot be read, or does not exist.
        RebuilderError: the store or the key cannot be used.
    """
    display = Display(sys.stderr)
    code = ExitCode.OK
    with display, wire(config, display) as parts:
        for subject in subjects_of(parts, subject_text):
            try:
                for report in _newest(parts, subject) or _verified(config, parts, subject, display):
                    one = _explained(parts, report, vary=vary)
                    code = max(code, verdict_code(report.decision.verdict), key=SEVERITY.index)
                    text = json.dumps(_document(one)) if as_json else "\n".join(lines(one))
                    print(text, flush=True)  # noqa: T201
            except RebuilderError as error:
                if as_json:
                    print(json.dumps(fault_line(subject, error)), flush=True)  # noqa: T201
                display.fault(subject, error)
                code = max(code, error.exit_code, key=SEVERITY.index)
    return code


def _newest(parts: Wired, subject: Subject) -> list[Report]:
    """The newest report of each file, from the ledger."""
    rows = parts.ledger.history(subject.ecosystem, subject.name)
    rows = sorted(rows, key=lambda each: each.finished, reverse=True)
    version = subject.version or (rows[0].version if rows else None)
    newest: dict[str, Summary] = {}
    for row in rows:
        wanted = row.version == version and subject.filename in {None, row.filename}
        if wanted and subject.local_sha256 in {None, row.sha256}:
            newest.setdefault(row.filename, row)
    found = [parts.ledger.signed_report(row) for _name, row in sorted(newest.items())]
    return [each.report for each in found if each is not None]


def _verified(config: Config, parts: Wired, subject: Subject, display: Display) -> Iterator[Report]:
    """Verify the subject now; what fails on our side is told and left out."""
    fault: RebuilderError | None = None
    for result in Coordinator(parts).verify(subject, wire_signer(config, parts)):
        display.result(result, config.site_directory)
        fault = result.fault or fault
        if result.signed is not None:
            yield result.signed.report
    if fault is not None:
        raise fault


def _explained(parts: Wired, report: Report, *, vary: bool) -> Report:
    """The report with causes if it has none yet, and with the table if it is asked for."""
    index = report.decision.attempt
    variation = report.variation
    if vary and index is not None:
        variation = vary_attempt(parts, report.attempts[index], report.evidence)
        parts.stopwatch.end()
    elif report.diagnosis is not None:
        return report
    case = DiagnosisInput(report.evidence, report.attempts, report.decision, report.trail, variation=variation)
    return report.replace(diagnosis=diagnosed(parts, case), variation=variation)


def _document(report: Report) -> dict[str, Any]:
    artifact, decision = report.artifact, report.decision
    return {
        "subject": {"purl": artifact.purl, "filename": artifact.filename, "sha256": artifact.sha256},
        "verdict": decision.verdict.value,
        "kind": decision.kind.value if decision.kind else None,
        "sentence": decision.sentence,
        "diagnosis": report.diagnosis.document() if report.diagnosis else None,
        "variation": report.variation.document() if report.variation else None,
        "finished": report.finished.isoformat(),
    }


def lines(report: Report) -> Iterator[str]:
    """What is printed about one file; safe for a terminal."""
    decision = report.decision
    yield f"{decision.verdict.icon} {decision.verdict.value}  {visible(report.artifact.filename)}"
    yield f"  {visible(decision.sentence)}"
    if decision.kind is not None:
        yield f"  {visible(decision.rebuilds or decision.kind.spoken)}"
    if report.diagnosis is not None:
        yield from _diagnosis(report.diagnosis)
    if report.variation is not None:
        yield from _table(report.variation)


def _diagnosis(diagnosis: Diagnosis) -> Iterator[str]:
    for number, finding in enumerate(diagnosis.findings, start=1):
        yield ""
        yield f"{number}. {visible(finding.sentence)}  [{finding.cause.value}, {finding.how}]"
        for line in finding.evidence:
            yield f"     {visible(evidence_words(line))}"
        yield f"   {'What a rebuild needs' if finding.cause.ours else 'What to change'}: {visible(finding.advice)}"
    if diagnosis.unexplained_total:
        yield ""
        yield f"No known cause explains {diagnosis.unexplained_total:,}:"
        yield from (f"     {visible(name)}" for name in diagnosis.unexplained[:20])


def evidence_words(line: EvidenceLine, *, left: str = "published", right: str = "rebuilt") -> str:
    """A line of evidence, with what its two sides are called."""
    sides = [f"{left} “{line.published}”"] if line.published is not None else []
    sides += [f"{right} “{line.rebuilt}”"] if line.rebuilt is not None else []
    words = ", ".join(sides)
    return " ".join(
        part for part in (f"{line.member}:" if line.member else None, words or None, line.note) if part
    ).removesuffix(":")


def _table(variation: Variation) -> Iterator[str]:
    yield ""
    yield "One thing changed at a time: does the result change?"
    yield f"  {'nothing':<12} {'no' if variation.steady else 'YES'}"
    for row in variation.rows:
        members = f": {', '.join(row.members[:3])}" if row.members else ""
        note = f"  ({row.note})" if row.note else ""
        yield visible(f"  {row.factor.value:<12} {_EFFECTS[row.effect]}{members}   {row.change}{note}")
