"""Runs all rules over a case, the specific before the general, and gathers what they explain."""

from __future__ import annotations

from dataclasses import replace

from rebuilder.diagnose import archive_rules, failure_rules, source_rules, text_rules, unstable_rules
from rebuilder.diagnose.case import Claim, DiagnosisInput, EcosystemRules, Rule
from rebuilder.model.comparison import Level
from rebuilder.model.diagnosis import Diagnosis
from rebuilder.model.verdict import Verdict

FIRST: dict[str, Rule] = {
    "limit": failure_rules.stopped,
    "unavailable": failure_rules.unavailable,
    "failure": failure_rules.failed,
    "normalisations": archive_rules.normalised,
    "line-ends": text_rules.line_ends,
    "modes": archive_rules.modes,
    "encoding": text_rules.encoding,
}
"""By name, in the order in which they look: what one explains, later ones do not see."""
LAST: dict[str, Rule] = {
    "signatures": source_rules.signatures,
    "compressed": source_rules.compressed,
    "leftovers": source_rules.leftovers,
    "only-published": source_rules.only_published,
    "only-rebuilt": source_rules.only_rebuilt,
    "varied": unstable_rules.varied,
    "dependencies": text_rules.dependencies,
    "places": text_rules.places,
    "random-values": text_rules.random_values,
    "order": text_rules.order,
    "unsteady": unstable_rules.unsteady,
    "description": source_rules.description,
    "changed": source_rules.changed,
    "container": archive_rules.container,
}
"""The same, of those that look after the rules of the ecosystem."""

_SHOWN = 100
"""Most unexplained members that are named."""


def diagnose(case: DiagnosisInput, ecosystem: EcosystemRules | None = None) -> Diagnosis | None:
    """Find the causes; None for what came out byte for byte by the build alone. Pure."""
    ecosystem = ecosystem or EcosystemRules()
    alone = case.comparison is None or case.comparison.level is Level.IDENTICAL
    if case.decision.verdict is Verdict.INFRA_ERROR or (case.decision.verdict.identical and alone):
        return None
    case = replace(case, ecosystem=ecosystem, taken_lines=case.taken_lines | ecosystem.consequences(case))
    claims: list[Claim] = []
    for rule in (FIRST | dict(ecosystem.rules) | LAST | dict(ecosystem.instead)).values():
        for each in rule(case):
            claims.append(each)
            case = case.without(each)
    left = [each.member for each in case.differences if not case.explained(each)]
    comparison = case.comparison
    if comparison is not None and case.different and not comparison.differences and not claims:
        left = [case.evidence.artifact.filename]
    findings = [
        each.finding.replace(advice=ecosystem.advice[each.finding.cause])
        if each.finding.advice == each.finding.cause.advice and each.finding.cause in ecosystem.advice
        else each.finding
        for each in sorted(claims, key=lambda each: (not each.first, -each.weight))
    ]
    beyond = comparison.differences_total - len(comparison.differences) if comparison and case.different else 0
    return Diagnosis(findings=tuple(findings), unexplained=tuple(left[:_SHOWN]), unexplained_total=len(left) + beyond)
