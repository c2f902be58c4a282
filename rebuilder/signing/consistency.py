"""Does a report say what its own attempts show? Asked before anything is signed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from rebuilder.errors import SigningError
from rebuilder.model.accounting import Accounting, How, MemberAccount
from rebuilder.model.attempt import Attempt, Outcome
from rebuilder.model.comparison import Comparison, Level
from rebuilder.model.decision import Decision, decide, towards
from rebuilder.model.evidence import MemberKind
from rebuilder.model.graph import NodeKind, SourceTrail, source_id
from rebuilder.model.replayed import When, too_much
from rebuilder.model.report import Report
from rebuilder.model.verdict import Verdict

_NEEDS_ATTEMPTS = {Verdict.REPRODUCED, Verdict.EQUIVALENT, Verdict.DIFFERS, Verdict.UNAUTHENTICATED, Verdict.ACCOUNTED}


def check_report(report: Report) -> None:
    """Go over digests and verdict again: what comes from a builder is evidence, not an order to sign.

    Raises:
        ValueError: the verdict is one that is never published.
        SigningError: digests, levels and verdict do not fit together.
    """
    decision = report.decision
    if not decision.verdict.publishable:
        raise ValueError(f"{decision.verdict} is our own fault, and never signed as a verdict")
    if report.evidence.artifact != report.artifact:
        raise _refusal(report, "its evidence is about another file")
    targets = report.evidence.targets
    for number, attempt in enumerate(report.attempts, 1):
        problem = _problem(attempt, targets.get(attempt.hypothesis.target))
        if problem:
            raise _refusal(report, f"its attempt {number} {problem}")
    if report.trail is not None and (problem := _trail_problem(report, report.trail)):
        raise _refusal(report, problem)
    if report.accounting is not None and (problem := _accounting_problem(report, report.accounting)):
        raise _refusal(report, problem)
    counted = towards(report.attempts, report.artifact.filename)
    if not counted and (report.accounting is None or not report.accounting.compared):
        if decision.attempt is not None or decision.verdict in _NEEDS_ATTEMPTS:
            raise _refusal(report, f"it says {decision.verdict}, but nothing was attempted")
        return
    shown = decide(report.attempts, report.evidence.obstacle, counted, report.accounting)
    if (shown.verdict, shown.kind, shown.attempt) != (decision.verdict, decision.kind, decision.attempt):
        raise _refusal(report, f"it says {_spoken(decision)}, but its attempts show {_spoken(shown)}")


def _problem(attempt: Attempt, published: str | None) -> str | None:
    """What is wrong with one attempt, as the end of a sentence."""
    if published is None:
        return "was to rebuild another file"
    comparison, rebuilt = attempt.comparison, attempt.rebuilt
    if comparison is None:
        return None
    if rebuilt is None or attempt.run.outcome is not Outcome.COMPLETED or rebuilt not in attempt.run.outputs:
        return "compares a file that its run did not leave"
    if rebuilt.filename != attempt.hypothesis.target and rebuilt.filename in attempt.hypothesis.definition.targets:
        return "compares another target of its definition"
    if (comparison.published_sha256, comparison.rebuilt_sha256) != (published, rebuilt.sha256):
        return "compares other bytes than the published and the rebuilt file"
    return _level_problem(comparison) or _finishing_problem(attempt) or _told_problem(attempt, published)


def _trail_problem(report: Report, trail: SourceTrail) -> str | None:
    """What is wrong with the graph, as the end of a sentence."""
    artifacts = [each.sha256 for each in trail.nodes if each.kind is NodeKind.ARTIFACT]
    if trail.nodes and artifacts != [report.artifact.sha256]:
        return "its steps lead to another file"
    for step in trail.steps:
        for index in step.attempts:
            if not 0 <= index < len(report.attempts):
                return f"its step {step.name} counts an attempt that was not made"
            hypothesis = report.attempts[index].hypothesis
            ends = source_id(hypothesis.definition.source), f"sha256:{report.evidence.targets[hypothesis.target]}"
            if ends != (step.start, step.end):
                return f"its step {step.name} counts an attempt at another step"
        if step.attempts:
            whole = trail.node(step.end).sha256 == report.artifact.sha256 and trail.from_commit(step) is False
            shown = decide(report.attempts, None, step.attempts, report.accounting if whole else None).verdict
            if step.verdict is not shown:
                return f"it says {step.verdict} of the step {step.name}, but its attempts show {shown}"
    return None


def _accounting_problem(report: Report, accounting: Accounting) -> str | None:
    """The members must be those that the file was seen to have, and what they are said to be must be in the source."""
    listing = report.evidence.artifact_inspection
    if listing is None:
        return "it accounts for members that nobody listed"
    seen = Counter[tuple[str, str | None, int]](
        (each.name, each.sha256, each.size) for each in listing.members if each.kind is MemberKind.FILE
    )
    links = sum(each.kind not in {MemberKind.FILE, MemberKind.DIRECTORY} for each in listing.members)
    told = Counter[tuple[str, str | None, int]]((each.path, each.sha256, each.size) for each in accounting.members)
    if seen.keys() - told or (told - seen).total() != links:
        return "it accounts for other members than the file has"
    source, file = report.evidence.source_inspection, report.evidence.source_file
    if accounting.compared and (source is None or file is None or file.sha256 != accounting.source_sha256):
        return "it compares members with another source archive"
    compiled = accounting.compiled
    published = report.artifact.file.sha256
    if compiled is not None and any(each.sha256 == published for each in compiled.definition.inputs):
        return "it gives the published file to the build that its compiled code is compared with"
    if compiled is None and any(each.recompiled is not None for each in accounting.members):
        return "it compares compiled code with a build that it does not name"
    held = {each.sha256 for each in source.members} if source is not None else set()
    problems = (_member_problem(each, held, compared=accounting.compared) for each in accounting.members)
    return next(filter(None, problems), None)


_COMPILED = {How.COMPILED_EQUAL, How.COMPILED_DIFFERENT}


def _member_problem(member: MemberAccount, held: Collection[str | None], *, compared: bool) -> str | None:
    if compared is (member.how is How.LISTED):
        return f"it {'does not compare' if compared else 'compares'} {member.path} with the source"
    if member.how is How.SOURCE and member.sha256 not in held:
        return f"it says that {member.path} is in the source archive, which has no such file"
    same = member.recompiled is not None and member.recompiled.rebuilt_sha256 == member.sha256
    shown = How.COMPILED_EQUAL if same else How.COMPILED_DIFFERENT
    if member.how in _COMPILED and (member.recompiled is None or member.how is not shown):
        return f"it says that {member.path} is {member.how}, which no build shows"
    if member.kind.runs and member.how is How.UNEXPLAINED and not member.accuses:
        return f"nothing accounts for {member.path}, which is executed"
    return None


def _finishing_problem(attempt: Attempt) -> str | None:
    """The finished archive must be the rebuilt one with nothing but what the comparison set aside."""
    done, comparison = attempt.finishing, attempt.comparison
    if done is None or comparison is None:
        return None
    if comparison.level is not Level.EQUIVALENT or attempt.repeat:
        return "was finished, and is not equivalent"
    inputs = {each.sha256 for each in done.definition.inputs}
    if comparison.published_sha256 in inputs or not {comparison.rebuilt_sha256, done.record_sha256} <= inputs:
        return "was finished from other files than the rebuilt one and a record"
    if done.finished is not None and done.finished not in done.run.outputs:
        return "was finished with a file that its run did not leave"
    names = [each.name for each in done.replayed]
    if set(names) != set(comparison.normalisations) or any(each.when is When.BEFORE_BUILD for each in done.replayed):
        return "was finished with more than the comparison set aside"
    return None


def _told_problem(attempt: Attempt, published: str) -> str | None:
    """No build may be told much of the published file, and none may see it."""
    hypothesis = attempt.hypothesis
    if too_much(hypothesis.replayed) is not None:
        return "tells the build more of the published file than is allowed"
    if any(each.sha256 == published for each in hypothesis.definition.inputs):
        return "gives the build the published file"
    return None


def _level_problem(comparison: Comparison) -> str | None:
    if (comparison.level is Level.IDENTICAL) != (comparison.rebuilt_sha256 == comparison.published_sha256):
        return f"is called {comparison.level} with SHA-256 {comparison.rebuilt_sha256}"
    if comparison.level is Level.EQUIVALENT and not comparison.normalisations:
        return "is called equivalent and names no normalisation"
    return None


def _spoken(decision: Decision) -> str:
    return decision.verdict + (f" ({decision.kind})" if decision.kind else "")


def _refusal(report: Report, reason: str) -> SigningError:
    return SigningError(
        f"The report on {report.artifact.filename} contradicts itself and was not signed: {reason}.",
        hint="Verify the artifact again; if this repeats, it is a fault of this program worth reporting.",
    )
