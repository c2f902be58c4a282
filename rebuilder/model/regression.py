"""Tells when a release or a file that ought to be confirmed is not any more."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from rebuilder.model.alarm import Alarm, AlarmKind, Severity
from rebuilder.model.report import Report, Summary
from rebuilder.model.verdict import Verdict


class ReleaseOrder(Protocol):
    """How the releases of a project follow each other; an ecosystem's conventions say it."""

    def version_key(self, version: str) -> Any:
        """What versions are ordered by."""
        ...

    def file_kind(self, filename: str) -> str:
        """Files of one kind are made the same way."""
        ...


FEWEST_BEFORE = 3
"""So many releases in a row make a difference news."""

_WORDS = ("three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_SILENT = {Verdict.UNSUPPORTED, Verdict.ACCOUNTED, Verdict.INFRA_ERROR}
"""Say something about us and nothing about a release."""


def worse(before: Verdict, after: Verdict) -> bool:
    """Whether something that was confirmed is confirmed less, or not any more; our own faults say nothing."""
    if not before.confirms or not after.publishable:
        return False
    return not after.confirms or (before is Verdict.REPRODUCED and after is Verdict.EQUIVALENT)


def severity(verdict: Verdict) -> Severity:
    """How urgent a regression to this verdict is: other content is, a build that does not complete can wait."""
    return Severity.PAGE if verdict is Verdict.DIFFERS else Severity.TICKET


def regression(report: Report, history: Sequence[Summary], conventions: ReleaseOrder) -> Alarm | None:
    """The alarm a report gives cause for, if it does; its severity is that of :func:`severity`.

    Args:
        report: What was found now.
        history: Earlier verifications of the files of the project, in any order; this one may be among them.
        conventions: Of its ecosystem.
    """
    decision, artifact = report.decision, report.artifact
    if decision.verdict.confirms or not decision.verdict.publishable:
        return None
    earlier = [
        each
        for each in history
        if each.verdict.publishable
        and each.finished < report.finished
        and (each.ecosystem, each.name) == (artifact.ecosystem, artifact.name)
    ]
    before = _this_file_before(report, earlier) or _releases_before(report, earlier, conventions)
    if before is None:
        return None
    return Alarm(
        kind=AlarmKind.REGRESSION,
        purl=artifact.purl,
        filename=artifact.filename,
        sentence=f"{before} {_NOW[decision.verdict]}: {decision.sentence}",
        raised=report.finished,
    )


_NOW = {
    Verdict.DIFFERS: "differs",
    Verdict.BUILD_FAILED: "was not built",
    Verdict.INPUTS_MISSING: "lacks something that its rebuild needs",
    Verdict.TIMED_OUT: "was stopped at a limit",
    Verdict.UNSUPPORTED: "cannot be rebuilt",
    Verdict.UNAUTHENTICATED: "comes out only with what nobody signed",
    Verdict.ACCOUNTED: "is not rebuilt any more",
}


def _this_file_before(report: Report, earlier: Iterable[Summary]) -> str | None:
    artifact = report.artifact
    same = (artifact.purl, artifact.filename, artifact.sha256)
    good = [each for each in earlier if each.verdict.confirms and (each.purl, each.filename, each.sha256) == same]
    if not good:
        return None
    last = max(good, key=lambda each: each.finished)
    return f"This very file was {last.verdict.value} on {last.finished:%Y-%m-%d}; now it"


def _releases_before(report: Report, earlier: Iterable[Summary], conventions: ReleaseOrder) -> str | None:
    """Counts the newest earlier releases, one after the other, as long as all their files of this kind were good."""
    artifact, number = report.artifact, 0
    found: set[Verdict] = set()
    if report.decision.verdict in _SILENT:
        return None
    kind, version = conventions.file_kind(artifact.filename), conventions.version_key(artifact.version)
    before = [
        each
        for each in earlier
        if each.version != artifact.version
        and conventions.file_kind(each.filename) == kind
        and conventions.version_key(each.version) < version
    ]
    before.sort(key=lambda each: (conventions.version_key(each.version), each.version), reverse=True)
    for _, files in itertools.groupby(before, key=lambda each: each.version):
        verdicts = {each.verdict for each in _newest_of_each(files)}
        if not all(each.confirms for each in verdicts):
            break
        number += 1
        found |= verdicts
    if number < FEWEST_BEFORE:
        return None
    spoken = _WORDS[number - FEWEST_BEFORE] if number - FEWEST_BEFORE < len(_WORDS) else f"{number:,}"
    word = "reproduced" if found == {Verdict.REPRODUCED} else "confirmed"
    return f"The {spoken} releases before were {word}; this one"


def _newest_of_each(files: Iterable[Summary]) -> Iterable[Summary]:
    newest: dict[tuple[str, str], Summary] = {}
    for each in sorted(files, key=lambda each: each.finished):
        newest[each.filename, each.sha256] = each
    return newest.values()
