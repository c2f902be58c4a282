"""The box “Why” of an artifact's page: causes, what each rests on, what to change, and what varies the result."""

from __future__ import annotations

from dataclasses import dataclass

from rebuilder.model.comparison import Effect, Level, Variation, VariationRow
from rebuilder.model.diagnosis import Diagnosis, EvidenceLine, Finding
from rebuilder.model.report import Report
from rebuilder.site.display import LONG, SHORT, count, duration, visible

_EFFECTS = {
    Effect.NONE: "changes nothing",
    Effect.UNCLEAR: "cannot be told: the build varies by itself",
    Effect.FLIPS: "changes the result",
    Effect.STEADIES: "makes two builds the same",
    Effect.FAILED: "no result",
    Effect.NOT_TRIED: "not tried",
}
_LEVELS = {Level.EQUIVALENT: ", in archive metadata only", Level.DIFFERENT: ", in its content"}
_MOST_UNEXPLAINED = 20


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """One line a finding rests on; what there is none of is None."""

    member: str | None
    published: str | None
    rebuilt: str | None
    note: str | None


@dataclass(frozen=True, slots=True)
class WhyReason:
    """One cause."""

    name: str
    sentence: str
    certainty: str
    advice: str
    ours: bool
    """Whether the advice is for whoever rebuilds, and whoever publishes has nothing to change."""
    evidence: tuple[EvidenceRow, ...]


@dataclass(frozen=True, slots=True)
class FactorRow:
    """One factor of the table."""

    factor: str
    change: str
    effect: str
    telling: bool
    members: tuple[str, ...]
    note: str | None


@dataclass(frozen=True, slots=True)
class WhySection:
    """Causes, what none of them explains, and the table of factors."""

    reasons: tuple[WhyReason, ...]
    unexplained: tuple[str, ...]
    unexplained_words: str | None
    factors: tuple[FactorRow, ...]
    factors_words: str | None


def why_section(report: Report) -> WhySection | None:
    """What the box shows; None where nothing is to be explained, and for reports from before causes were sought."""
    diagnosis, variation = report.diagnosis, report.variation
    diagnosis = diagnosis or Diagnosis()
    if variation is None and not (diagnosis.findings or diagnosis.unexplained_total):
        return None
    return WhySection(
        reasons=tuple(_reason(each) for each in diagnosis.findings),
        unexplained=tuple(visible(each, 200) for each in diagnosis.unexplained[:_MOST_UNEXPLAINED]),
        unexplained_words=_unexplained(diagnosis),
        factors=tuple(_factor(each) for each in variation.rows) if variation is not None else (),
        factors_words=_factors(variation) if variation is not None else None,
    )


def _reason(finding: Finding) -> WhyReason:
    return WhyReason(
        name=finding.cause.value,
        sentence=visible(finding.sentence, LONG),
        certainty=finding.how,
        advice=visible(finding.advice, LONG),
        ours=finding.cause.ours,
        evidence=tuple(_evidence(each) for each in finding.evidence),
    )


def _evidence(line: EvidenceLine) -> EvidenceRow:
    def shown(text: str | None) -> str | None:
        return visible(text, 300) if text is not None else None

    return EvidenceRow(shown(line.member), shown(line.published), shown(line.rebuilt), shown(line.note))


def _unexplained(diagnosis: Diagnosis) -> str | None:
    total = diagnosis.unexplained_total
    if not total:
        return None
    return f"No known cause explains {count(total, 'file', 'files')}:"


def _factor(row: VariationRow) -> FactorRow:
    effect = _EFFECTS[row.effect]
    if row.effect is Effect.FLIPS and row.level is not None:
        effect += _LEVELS.get(row.level, "")
    telling = row.effect in {Effect.FLIPS, Effect.STEADIES}
    return FactorRow(
        factor=row.factor.value,
        change=visible(row.change, 200),
        effect=effect,
        telling=telling,
        members=tuple(visible(each, SHORT) for each in row.members[:3]) if telling else (),
        note=visible(row.note, LONG) if row.note else None,
    )


def _factors(variation: Variation) -> str:
    how = (
        "Built twice with nothing changed, the result is the same."
        if variation.steady
        else "Built twice with nothing changed, the result is not the same."
    )
    return f"{how} Then one thing was changed at a time. All builds together took {duration(variation.seconds)}."
