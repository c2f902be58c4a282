"""Why there is nothing to compare: from how the build ended, then from the words of its log as hints."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rebuilder.diagnose.case import Claim, DiagnosisInput, claim
from rebuilder.model.diagnosis import Basis, Cause, Certainty, EvidenceLine
from rebuilder.model.verdict import Verdict
from rebuilder.programs.families import PROGRAMS

COMPILER = re.compile(
    r"(?:gcc|cc|g\+\+|rustc|cargo|cmake|make|git): (?:command )?not found|fatal error: [\w/.+-]+\.h: No such file"
    r"|can't find Rust compiler"
)
_NETWORK = re.compile(
    r"Temporary failure in name resolution|Network is unreachable|Name or service not known|Could not resolve host"
    r"|urlopen error|Failed to establish a new connection|getaddrinfo failed"
)
_ERROR = re.compile(r"^(?:[\w.]*(?:Error|Exception|Exit)\b.*|error: .*|[\w./-]+: .*)$")
_OURS = re.compile(f"(?:{'|'.join(sorted({name for each in PROGRAMS.values() for name in each}))}): ")
_PLACE = re.compile(r'^File ".+", line \d+')
_LONGEST_LINE = 2000
_ENDINGS = {65: "the source archive could not be unpacked"}
"""Exit codes of the sandbox programs that make source trees."""


def stopped(case: DiagnosisInput) -> Iterator[Claim]:
    """A limit was reached."""
    if case.decision.verdict is Verdict.TIMED_OUT:
        attempt = case.attempt
        limit = attempt.run.limit.value if attempt is not None and attempt.run.limit is not None else "time"
        yield claim(
            Cause.RESOURCE_LIMIT,
            f"The build reached our limit on {limit}.",
            [EvidenceLine(note=case.decision.sentence)],
            basis=Basis.ENDING,
        )


def unavailable(case: DiagnosisInput) -> Iterator[Claim]:
    """Something a rebuild needs is not there, or the kind of file is not handled."""
    note = [EvidenceLine(note=case.decision.sentence)]
    named = case.decision.cause or (case.decision.verdict is Verdict.UNSUPPORTED and Cause.NOT_SUPPORTED)
    if named:
        yield claim(named, named.spoken, note, basis=Basis.KIND)
    elif case.decision.verdict is Verdict.INPUTS_MISSING and case.evidence.source is None:
        sentence = "No source is published that the file could be built from."
        if case.trail is not None and case.trail.origin is not None:  # one is named, and was not reached or lacks it
            sentence = Cause.SOURCE_UNAVAILABLE.spoken
        yield claim(Cause.SOURCE_UNAVAILABLE, sentence, note, basis=Basis.KIND)
    elif case.decision.verdict is Verdict.INPUTS_MISSING:
        yield claim(
            Cause.SOURCE_UNAVAILABLE,
            "The source is there, but something else that the build needs cannot be had.",
            note,
            basis=Basis.KIND,
            advice="Require only releases that stay available, and do not delete releases that others build with.",
        )


def failed(case: DiagnosisInput) -> Iterator[Claim]:
    """The build ended with an error; the log hints at why."""
    if case.decision.verdict is not Verdict.BUILD_FAILED:
        return
    code = case.attempt.run.exit_code if case.attempt is not None else None
    ending = (_ENDINGS | dict(case.ecosystem.endings)).get(code or 0, "a build command failed")
    how = EvidenceLine(note=f"{ending[0].upper()}{ending[1:]}" + (f" (exit code {code})." if code else "."))
    lines = [line.strip()[:_LONGEST_LINE] for line in case.log.splitlines() if line.strip()]
    for cause, sentence, line in _hints(case, lines):
        yield claim(
            cause,
            sentence,
            [how, EvidenceLine(note=line[:300])],
            certainty=Certainty.HINT,
            basis=Basis.ENDING,
        )
        return
    yield claim(
        Cause.BUILD_ERROR,
        f"The build stopped with an error: {ending}.",
        [how, *(EvidenceLine(note=each[:300]) for each in _last_error(lines))],
        basis=Basis.ENDING,
    )


def _last_error(lines: list[str]) -> list[str]:
    """The last error of a log, with where Python says it is; what our own programs say only where nothing else does."""
    found = [number for number, line in enumerate(lines) if _ERROR.match(line)]
    if not found:
        return []
    last = max((each for each in found if not _OURS.match(lines[each])), default=found[-1])
    return [*[line for line in lines[max(0, last - 4) : last] if _PLACE.match(line)][-1:], lines[last]]


def _hints(case: DiagnosisInput, lines: list[str]) -> Iterator[tuple[Cause, str, str]]:
    """What the words of the log point to, last line first; one is enough."""
    for line in reversed(lines):
        for cause, sentence in case.ecosystem.hints(line):
            yield cause, sentence, line
        if COMPILER.search(line):
            yield Cause.MISSING_COMPILER, Cause.MISSING_COMPILER.spoken, line
        if _NETWORK.search(line):
            yield Cause.NETWORK_WANTED, Cause.NETWORK_WANTED.spoken, line
