"""The box “Why” of an artifact's page: causes, what each rests on, what to change, and what varies the result."""

from __future__ import annotations

from dataclasses import dataclass

from rebuilder.model.comparison import Variation
from rebuilder.model.diagnosis import Diagnosis
from rebuilder.model.report import Report


@dataclass(frozen=True, slots=True)
class WhySection:
    """Causes, what none of them explains, and the table of factors."""

    diagnosis: Diagnosis
    variation: Variation | None


def why_section(report: Report) -> WhySection | None:
    """What the box shows; None where nothing is to be explained, and for reports from before causes were sought."""
    diagnosis = report.diagnosis or Diagnosis()
    if report.variation is None and not (diagnosis.findings or diagnosis.unexplained_total):
        return None
    return WhySection(diagnosis, report.variation)
