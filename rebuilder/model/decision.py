"""From attempts to a verdict: the only place verdicts come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rebuilder.model.accounting import Accounting, Content, How, MemberAccount
from rebuilder.model.attempt import Attempt, Outcome
from rebuilder.model.comparison import Difference, Level
from rebuilder.model.diagnosis import Cause
from rebuilder.model.evidence import Obstacle
from rebuilder.model.replayed import is_told
from rebuilder.model.value import Value
from rebuilder.model.verdict import Kind, Verdict


class Decision(Value):
    """The verdict with its reason."""

    verdict: Verdict
    kind: Kind | None = None
    sentence: str
    """Why, for a stranger: names the files, limits or commands concerned."""
    attempt: int | None = None
    """Index of the attempt the verdict rests on; None when nothing was built."""
    rebuilds: str | None = None
    """How two rebuilds of one definition compare with each other, as a sentence; None when there was one."""
    cause: Cause | None = None
    """Of an obstacle that says more than the verdict."""


def decide(
    attempts: tuple[Attempt, ...],
    obstacle: Obstacle | None,
    among: Sequence[int] | None = None,
    accounting: Accounting | None = None,
) -> Decision:
    """Derive the verdict from attempts. Pure.

    The best attempt counts: identical by the build alone, then identical once recorded metadata is written into the
    finished archive, then equivalent, then different, which says nothing about the file when something stood in for a
    tool or a Python that it was built with. Only when nothing was compared
    do failures speak: an obstacle found on the way, then limits, then failed commands. In their place stands what the
    members are accounted for with, where the source archive was there to compare them with.

    Where nothing confirms the file, and a build with packages that nobody signed has its bytes, that is a verdict of
    its own; whatever else such a build gave, it accuses nobody.

    Args:
        attempts: In the order they were made; a repeat follows what it repeats.
        obstacle: What kept the hypotheses from producing (more) definitions, if anything did.
        among: Indexes of the attempts that count; all of them when None.
        accounting: Of the members of the file, where it is not rebuilt as a whole.
    """
    decision = _of_attempts(attempts, obstacle, among)
    if accounting is None or decision.verdict not in WITHOUT_REBUILD:
        return decision
    return _accounted(decision, accounting)


WITHOUT_REBUILD = {Verdict.UNSUPPORTED, Verdict.BUILD_FAILED, Verdict.INPUTS_MISSING, Verdict.TIMED_OUT}
"""Verdicts in whose place an accounting stands."""


def _accounted(decision: Decision, accounting: Accounting) -> Decision:
    members, accusing = accounting.members, accounting.accusing
    if not accounting.compared:
        listed = f"Its {_files(len(members))} {'is' if len(members) == 1 else 'are'} listed by digest."
        return decision.replace(sentence=f"{decision.sentence} {listed}")
    if accusing:
        first = accusing[0]
        more = f" And {_files(len(accusing) - 1, 'other file')} like it." if len(accusing) > 1 else ""
        return Decision(
            verdict=Verdict.DIFFERS, sentence=f"{first.path}: {first.detail or 'nothing accounts for it.'}{more}"
        )
    return Decision(verdict=Verdict.ACCOUNTED, sentence=_account(members))


def _account(members: Sequence[MemberAccount]) -> str:
    """What was found, in numbers: what is executed and settled, what is compiled, what nothing accounts for."""
    python = sum(each.kind in {Content.PYTHON, Content.STARTUP, Content.SCRIPT} for each in members)
    compiled = [each for each in members if each.kind is Content.COMPILED and not each.how.explains]
    left = sum(each.how is How.UNEXPLAINED for each in members)
    said = [f"Every one of its {python:,} Python files and scripts follows from the source archive."] if python else []
    if compiled:
        same = sum(each.how is How.COMPILED_EQUAL for each in members)
        other = sum(each.how is How.COMPILED_DIFFERENT for each in members)
        again = f"; {same:,} came out the same when compiled here" if same else ""
        again += f"; {other:,} came out otherwise" if other else ""
        again += _functions(members)
        name = compiled[0].path if len(compiled) == 1 else f"{compiled[0].path} and {len(compiled) - 1:,} more"
        said.append(f"Compiled code that was not rebuilt to the byte: {name}{again}.")
    if left:
        said.append(f"{_files(left, 'file')} that nothing runs {'is' if left == 1 else 'are'} unexplained.")
    return " ".join(said)


def _functions(members: Sequence[MemberAccount]) -> str:
    """How far what came out otherwise is the same, as the end of a sentence; empty where no functions were compared."""
    found = [each.recompiled for each in members if each.recompiled is not None]
    functions, equal = sum(each.functions for each in found), sum(each.functions_equal for each in found)
    return f", where {equal:,} of {functions:,} functions have equal instructions" if functions else ""


def _files(number: int, word: str = "file") -> str:
    return f"{number:,} {word if number == 1 else f'{word}s'}"


def _of_attempts(attempts: tuple[Attempt, ...], obstacle: Obstacle | None, among: Sequence[int] | None) -> Decision:
    every = [(index, attempts[index]) for index in (range(len(attempts)) if among is None else among)]
    signed = [(index, each) for index, each in every if not each.unauthenticated]
    decision = _of_signed(attempts, obstacle, signed)
    unsigned = [(index, each) for index, each in every if each.unauthenticated]
    if decision.verdict.confirms or not unsigned:
        return decision
    for index, each in unsigned:
        if _level(each) is Level.IDENTICAL:
            return Decision(
                verdict=Verdict.UNAUTHENTICATED, sentence=f"{_confirmed(each)} {_said(each)}", attempt=index
            )
    alike = next((each for _, each in unsigned if each.confirms), None)
    if alike is None and (signed or obstacle is not None):
        return decision
    found = _confirmed(alike) if alike is not None else "No build could be made without what nobody signed."
    sentence = f"{found} {_said(alike or unsigned[0][1])}"
    return Decision(verdict=Verdict.INPUTS_MISSING, sentence=sentence, cause=Cause.DEPENDENCY_DRIFT)


def _said(attempt: Attempt) -> str:
    """What nobody signed, as sentences."""
    named = [f"{each.name} {each.version} ({each.origin}, SHA-256 {each.sha256})" for each in attempt.unauthenticated]
    more = f" and {len(named) - 3} more" if len(named) > 3 else ""
    return (
        f"It was built with packages that no signed list of the archive binds: {', '.join(named[:3])}{more}. "
        "Nobody signed those bytes; whoever served them can have made them for this."
    )


def _of_signed(
    attempts: tuple[Attempt, ...], obstacle: Obstacle | None, counted: list[tuple[int, Attempt]]
) -> Decision:
    for verdict, confirmed in _CONFIRMED:
        for index, attempt in counted:
            if confirmed(attempt):
                return Decision(verdict=verdict, sentence=_confirmed(attempt), attempt=index)
    # What one source lacks says nothing about what came of another.
    incomplete = {_start(each) for _, each in counted if _lacks_source(each)}
    counted = [(index, each) for index, each in counted if _start(each) not in incomplete] or counted
    refuted = _refuted(counted)
    counted = [(index, each) for index, each in counted if each.hypothesis.lacks not in refuted]
    lacking = next((each.hypothesis.lacks for _, each in counted if each.hypothesis.lacks is not None), None)
    compared = [(index, attempt) for index, attempt in counted if attempt.comparison and not attempt.repeat]
    if compared and lacking is None:
        best, nearest = min(compared, key=lambda each: each[1].distance)
        repeats = _repeats(attempts, nearest)
        return Decision(
            verdict=Verdict.DIFFERS,
            kind=_stability(repeats),
            sentence=f"{_differs(nearest)}{_told(nearest)}",
            attempt=best,
            rebuilds=_compared_with_each_other(repeats),
        )
    obstacle = lacking or (None if counted else obstacle)
    if obstacle is not None:
        return Decision(verdict=obstacle.verdict, sentence=obstacle.sentence, cause=obstacle.cause)
    for index, attempt in counted:
        if attempt.run.outcome is Outcome.TIMED_OUT:
            return Decision(verdict=Verdict.TIMED_OUT, sentence=_stopped(attempt), attempt=index)
    if counted:
        last, attempt = counted[-1]
        return Decision(verdict=Verdict.BUILD_FAILED, sentence=_failed(attempt), attempt=last)
    return Decision(verdict=Verdict.UNSUPPORTED, sentence="No way to rebuild this file is known yet.")


def _refuted(counted: Sequence[tuple[int, Attempt]]) -> list[Obstacle]:
    """What attempts were said to lack, and one of them was made once more without, since it had lacked nothing."""
    made = [each.hypothesis for _, each in counted]
    return [
        each.lacks
        for index, each in enumerate(made)
        if each.lacks is not None and any(later.same(each.replace(lacks=None)) for later in made[index + 1 :])
    ]


def towards(attempts: Sequence[Attempt], filename: str) -> list[int]:
    """Indexes of the attempts that were to rebuild ``filename``."""
    return [index for index, each in enumerate(attempts) if each.hypothesis.target == filename]


def _start(attempt: Attempt) -> str:
    source = attempt.hypothesis.definition.source
    return source.model_dump_json() if source is not None else ""


def _lacks_source(attempt: Attempt) -> bool:
    lacks = attempt.hypothesis.lacks
    return lacks is not None and lacks.cause is Cause.SOURCE_UNAVAILABLE


def _repeats(attempts: tuple[Attempt, ...], best: Attempt) -> list[Attempt]:
    """Repeats of the best attempt that left something, the least like it first."""
    found = [
        each
        for each in attempts
        if each.repeat and each.agreement is not None and each.hypothesis.same(best.hypothesis)
    ]
    order = (Level.DIFFERENT, Level.EQUIVALENT, Level.IDENTICAL)
    return sorted(found, key=lambda each: order.index(each.agreement or Level.IDENTICAL))


def _stability(repeats: Sequence[Attempt]) -> Kind | None:
    """Whether repeats have the same content; archive times alone do not make a build unstable."""
    if not repeats:
        return None
    return Kind.UNSTABLE if repeats[0].agreement is Level.DIFFERENT else Kind.STABLE


def _compared_with_each_other(repeats: Sequence[Attempt]) -> str | None:
    """What is the same in two rebuilds of one definition, and what is not."""
    if not repeats:
        return None
    least, differences = repeats[0], repeats[0].disagreement
    if least.agreement is Level.IDENTICAL:
        return "Two rebuilds were byte for byte the same."
    if least.agreement is Level.EQUIVALENT:
        names = differences.normalisations if differences is not None else ()
        if not names or all(name.endswith("-times") for name in names):
            return "Two rebuilds were the same but for stored times."
        return f"Two rebuilds had the same content, but other archive metadata ({', '.join(names)})."
    total = differences.differences_total if differences is not None else 0
    what = f" in {_members(total, differences.differences)}" if differences is not None and total else ""
    return f"Two rebuilds of the same definition also differ from each other{what}: the build is not deterministic."


def _members(total: int, differences: Sequence[Difference]) -> str:
    shown = ", ".join(each.member for each in differences[:3])
    more = f" and {total - 3:,} more" if total > 3 else ""
    return f"{total:,} {'file' if total == 1 else 'files'} ({shown}{more})"


def _level(attempt: Attempt) -> Level | None:
    return attempt.comparison.level if attempt.comparison else None


_CONFIRMED: tuple[tuple[Verdict, Callable[[Attempt], bool]], ...] = (
    (Verdict.REPRODUCED, lambda attempt: _level(attempt) is Level.IDENTICAL),
    (Verdict.REPRODUCED, lambda attempt: attempt.finished_identical),
    (Verdict.EQUIVALENT, lambda attempt: _level(attempt) is Level.EQUIVALENT),
)


def _confirmed(attempt: Attempt) -> str:
    return f"{_same(attempt)}{_told(attempt)}"


def _told(attempt: Attempt) -> str:
    """With what it was built, where another build of the same source would give something else."""
    told = [each.value for each in attempt.hypothesis.replayed if is_told(each)]
    return f" Built with {told[0]}, which its source's own build script reads." if told else ""


def _same(attempt: Attempt) -> str:
    comparison = attempt.comparison
    if comparison is None or comparison.level is Level.IDENTICAL:
        return "Our rebuild has exactly the published SHA-256, by the build alone."
    if attempt.finished_identical:
        return (
            "Our rebuild has exactly the published SHA-256 once recorded values are written into the finished archive: "
            f"{', '.join(attempt.written)}."
        )
    names = ", ".join(comparison.normalisations)
    return f"Every member has the same content; the archives become equal once these are set aside: {names}."


def _differs(attempt: Attempt) -> str:
    comparison, rebuilt = attempt.comparison, attempt.rebuilt
    name = None
    if rebuilt is not None and rebuilt.filename != attempt.hypothesis.target:
        name = f"The rebuilt file has another name ({rebuilt.filename})"
    if comparison is None or comparison.problem:
        problem = (comparison.problem if comparison else None) or "The files differ."
        return f"{name}. {problem}" if name else problem
    total = comparison.differences_total
    if name and not total:
        return f"{name}."
    shown = ", ".join(each.member for each in comparison.differences[:3])
    more = f" and {total - 3:,} more" if total > 3 else ""
    files = "file" if total == 1 else "files"
    members = f"{total:,} {files} inside it {'differs' if total == 1 else 'differ'}: {shown}{more}."
    return f"{name}; {members}" if name else members


def _stopped(attempt: Attempt) -> str:
    return f"The build reached its limit on {attempt.run.limit} after {attempt.run.wall_seconds:.0f} s."


def _failed(attempt: Attempt) -> str:
    if attempt.run.outcome is Outcome.COMPLETED:
        return "The build ended without an error, but left no file to compare."
    if attempt.run.exit_code is None:
        return "The build ended the sandbox it ran in, from inside; what it would have made is not known."
    return f"A build command ended with exit code {attempt.run.exit_code}; the log says where."
