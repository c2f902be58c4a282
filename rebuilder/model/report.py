"""Everything that is said about one artifact: the value that pages, JSON and statements are made from."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from urllib.parse import quote

from rebuilder.model.artifact import Artifact
from rebuilder.model.attempt import Attempt, Outcome
from rebuilder.model.comparison import Level
from rebuilder.model.evidence import Evidence, Obstacle
from rebuilder.model.value import Value, sha256_hex
from rebuilder.model.verdict import Kind, Verdict


class Stage(StrEnum):
    """The stages a user sees pass by, in order."""

    FETCH = "fetch"
    TOOLCHAIN = "toolchain"
    RESOLVE = "resolve"
    BUILD = "build"
    COMPARE = "compare"
    DIFFOSCOPE = "diffoscope"
    SIGN = "sign"
    PUBLISH = "publish"


class AlarmKind(StrEnum):
    """What deserves somebody's attention whatever the verdict says."""

    DIGEST_CHANGED = "digest-changed"
    """A file name we know now carries other bytes in the registry."""
    UNKNOWN_DIGEST = "unknown-digest"
    """A file on disk has a published name and bytes that were never published."""
    STORE_CORRUPT = "store-corrupt"
    """A blob or a toolchain of ours is not what it was."""


class Alarm(Value):
    """One alarm; it stays visible until somebody deals with it."""

    kind: AlarmKind
    purl: str
    filename: str
    sentence: str
    raised: datetime


class Decision(Value):
    """The verdict with its reason."""

    verdict: Verdict
    kind: Kind | None = None
    sentence: str
    """Why, for a stranger: names the files, limits or commands concerned."""
    attempt: int | None = None
    """Index of the attempt the verdict rests on; None when nothing was built."""


class ToolchainSummary(Value):
    """What a page shows of a toolchain; the package list is a blob."""

    name: str
    sha256: str
    python: str
    packages: tuple[str, ...]
    """``name version`` of each Debian package."""


class Report(Value):
    """One finished verification."""

    artifact: Artifact
    evidence: Evidence
    attempts: tuple[Attempt, ...] = ()
    decision: Decision
    toolchains: tuple[ToolchainSummary, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    seconds: dict[Stage, float] = {}
    """Wall time by stage; a stage that did not happen is absent."""
    started: datetime
    finished: datetime
    rebuilder_version: str


class Summary(Value):
    """One row of an index or a history: a verification without its details."""

    ecosystem: str
    name: str
    version: str
    purl: str
    filename: str
    sha256: str
    verdict: Verdict
    kind: Kind | None = None
    sentence: str
    finished: datetime


class SignedReport(Value):
    """A report with the statements made of it, as they are published."""

    report: Report
    vsa: str
    """DSSE envelope (JSON text) with the verification summary of the published file."""
    provenance: str | None = None
    """DSSE envelope (JSON text) with the SLSA provenance of the rebuilt file; None when nothing was built."""
    key_id: str


def summarise(report: Report) -> Summary:
    """The row a report gets in an index."""
    artifact = report.artifact
    return Summary(
        ecosystem=artifact.ecosystem,
        name=artifact.name,
        version=artifact.version,
        purl=artifact.purl,
        filename=artifact.filename,
        sha256=artifact.sha256,
        verdict=report.decision.verdict,
        kind=report.decision.kind,
        sentence=report.decision.sentence,
        finished=report.finished,
    )


def page_path(ecosystem: str, name: str, version: str, filename: str, sha256: str) -> str:
    """Directory of an artifact's page below the site's root, without a slash at its end.

    The digest is part of it: a file name that comes back with other bytes gets a page of its own.
    Names come from registries; each part is percent-encoded, and ``.`` and ``..`` cannot come out. File systems
    allow 255 bytes for a part: a longer one is cut, and a digest keeps it apart from others that begin alike.
    """
    parts = [_cut(quote(part, safe="+!~@")) for part in (ecosystem, name, version, filename)]
    return "/".join(part.replace(".", "%2E") if set(part) == {"."} else part for part in parts) + f"/{sha256[:16]}"


def _cut(part: str) -> str:
    return part if len(part) <= 200 else f"{part[:180]}~{sha256_hex(part.encode())[:16]}"


def decide(attempts: tuple[Attempt, ...], obstacle: Obstacle | None) -> Decision:
    """Derive the verdict from all attempts of one artifact. Pure; the only place verdicts come from.

    The best attempt counts: identical before equivalent before different. Only when nothing was compared
    do failures speak: an obstacle found on the way, then limits, then failed commands.

    Args:
        attempts: In the order they were made; a repeat follows what it repeats.
        obstacle: What kept the hypotheses from producing (more) definitions, if anything did.
    """
    for level, verdict in (
        (Level.IDENTICAL, Verdict.REPRODUCED),
        (Level.EQUIVALENT, Verdict.EQUIVALENT),
    ):
        for index, attempt in enumerate(attempts):
            if attempt.comparison and attempt.comparison.level is level:
                return Decision(verdict=verdict, sentence=_confirmed(attempt), attempt=index)
    compared = [i for i, attempt in enumerate(attempts) if attempt.comparison and not attempt.repeat]
    if compared:
        best = min(compared, key=lambda i: _distance(attempts[i]))
        return Decision(
            verdict=Verdict.DIFFERS,
            kind=_stability(attempts, attempts[best]),
            sentence=_differs(attempts[best]),
            attempt=best,
        )
    if obstacle is not None and not attempts:
        return Decision(verdict=obstacle.verdict, sentence=obstacle.sentence)
    for index, attempt in enumerate(attempts):
        if attempt.run.outcome is Outcome.TIMED_OUT:
            return Decision(verdict=Verdict.TIMED_OUT, sentence=_stopped(attempt), attempt=index)
    if attempts:
        return Decision(verdict=Verdict.BUILD_FAILED, sentence=_failed(attempts[-1]), attempt=len(attempts) - 1)
    return Decision(verdict=Verdict.UNSUPPORTED, sentence="No way to rebuild this file is known yet.")


def _distance(attempt: Attempt) -> int:
    assert attempt.comparison is not None  # noqa: S101 - callers pass compared attempts only
    return attempt.comparison.differences_total or 1 << 30


def _stability(attempts: tuple[Attempt, ...], best: Attempt) -> Kind | None:
    digests = {
        each.rebuilt.sha256
        for each in attempts
        if each.rebuilt and each.hypothesis.definition.digest == best.hypothesis.definition.digest
    }
    repeats = [
        each
        for each in attempts
        if each.repeat and each.rebuilt and each.hypothesis.definition.digest == best.hypothesis.definition.digest
    ]
    if not repeats:
        return None
    return Kind.STABLE if len(digests) == 1 else Kind.UNSTABLE


def _confirmed(attempt: Attempt) -> str:
    comparison = attempt.comparison
    if comparison is None or comparison.level is Level.IDENTICAL:
        return "Our rebuild has exactly the published SHA-256."
    names = ", ".join(comparison.normalisations)
    return f"Every member has the same content; the archives become equal once these are set aside: {names}."


def _differs(attempt: Attempt) -> str:
    comparison = attempt.comparison
    if comparison is None or comparison.problem:
        return (comparison.problem if comparison else None) or "The files differ."
    total = comparison.differences_total
    shown = ", ".join(each.member for each in comparison.differences[:3])
    more = f" and {total - 3} more" if total > 3 else ""
    return f"{total} {'member differs' if total == 1 else 'members differ'}: {shown}{more}."


def _stopped(attempt: Attempt) -> str:
    return f"The build reached its limit on {attempt.run.limit} after {attempt.run.wall_seconds:.0f} s."


def _failed(attempt: Attempt) -> str:
    if attempt.run.outcome is Outcome.COMPLETED:
        return "The build ended without an error, but left no file to compare."
    return f"A build command ended with exit code {attempt.run.exit_code}; the log says where."
