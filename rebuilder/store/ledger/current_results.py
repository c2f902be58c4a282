"""The results that stand now: the newest verdict of each file, files without one, and why others are not confirmed."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, func, select

from rebuilder.model.diagnosis import Cause
from rebuilder.model.figures import EcosystemFigures
from rebuilder.model.operations import FailureGroup
from rebuilder.model.provenance import ProvenanceStatus
from rebuilder.model.report import Summary
from rebuilder.model.verdict import Verdict
from rebuilder.store.ledger import tables
from rebuilder.store.ledger.rows import UNEXPLAINED, finished_verifications, stands

_EXAMPLES = 3
_GROUPS = 200
"""More groups are put together as one of their verdict: a page shows no more, and sentences are from outside."""
_OTHER = "Other reasons."
_GENERAL = {Cause.BUILD_ERROR, Cause.NOT_SUPPORTED, Cause.RESOURCE_LIMIT, Cause.SOURCE_UNAVAILABLE}
"""Causes that say less than the sentence of the verdict."""
_CONFIRMING = [each.value for each in Verdict if each.confirms]


def version(connection: Connection) -> tuple[Any, ...]:
    """Another value whenever the results that stand may be others: cheap to ask for."""
    verification = tables.verification.c
    done = verification.state == "done"
    # One by one: the newest of an index is found at once only by a query that asks for nothing else.
    questions = (
        select(func.count()).where(done),
        select(func.max(verification.finished)).where(done),
        select(func.max(tables.artifact.c.id)),
    )
    return tuple(connection.execute(each).scalar() for each in questions)


def by_ecosystem(connection: Connection) -> tuple[dict[str, EcosystemFigures], datetime | None]:
    """Figures of the files that were seen, by ecosystem, and when the oldest result that stands was reached."""
    artifact, verification = tables.artifact, tables.verification
    later = tables.verification.alias()
    newest = (
        select(func.max(later.c.id)).where(later.c.artifact_id == artifact.c.id, later.c.state == "done")
    ).scalar_subquery()
    columns = (artifact.c.ecosystem, verification.c.verdict, verification.c.provenance, verification.c.written)
    query = (
        select(*columns, func.count(), func.min(verification.c.finished))
        .select_from(artifact.outerjoin(verification, verification.c.id == newest))
        .group_by(*columns)
    )
    verdicts: dict[str, dict[Verdict, int]] = defaultdict(lambda: defaultdict(int))
    provenance: dict[str, dict[ProvenanceStatus, int]] = defaultdict(lambda: defaultdict(int))
    untested: dict[str, int] = defaultdict(int)
    oldest: list[datetime] = []
    written: dict[str, int] = defaultdict(int)
    for ecosystem, verdict, status, was_written, number, finished in connection.execute(query):
        if verdict is None:
            untested[ecosystem] += number
            continue
        verdicts[ecosystem][Verdict(verdict)] += number
        written[ecosystem] += number if was_written else 0
        oldest.append(finished)
        if status is not None:
            provenance[ecosystem][ProvenanceStatus(status)] += number
    figures = {
        name: EcosystemFigures(
            verdicts=verdicts[name], written=written[name], untested=untested[name], provenance=provenance[name]
        )
        for name in sorted({*verdicts, *untested})
    }
    return figures, min(oldest, default=None)


def _summaries(connection: Connection, numbers: Sequence[int]) -> dict[int, Summary]:
    """Finished verifications by their numbers."""
    verification = tables.verification.c
    query = finished_verifications().add_columns(verification.id).where(verification.id.in_(numbers))
    found = [dict(row) for row in connection.execute(query).mappings()]
    return {row.pop("id"): Summary.model_validate(row) for row in found}


def reached_at(connection: Connection, moment: datetime) -> Summary | None:
    """The result that stands and was reached at a moment."""
    verification = tables.verification.c
    number = select(func.min(verification.id)).where(stands(), verification.finished == moment)
    return next(iter(_summaries(connection, connection.execute(number).scalars().all()).values()), None)


def _failing(connection: Connection) -> list[tuple[int, str, str]]:
    """Number, verdict and cause of results that stand and do not confirm, newest first."""
    verification = tables.verification.c
    columns = (verification.id, verification.verdict, verification.sentence, verification.cause)
    query = select(*columns).where(stands(), verification.verdict.not_in(_CONFIRMING))
    rows = connection.execute(query)
    return sorted(
        ((number, verdict, _spoken(known, said or "")) for number, verdict, said, known in rows), reverse=True
    )


def _spoken(diagnosed: str | None, sentence: str) -> str:
    """The diagnosed cause in words; where there is none, what was said, without what belongs to the single case."""
    if diagnosed == UNEXPLAINED:
        return "No known cause explains the difference."
    known = next((each for each in Cause if each.value == diagnosed and each not in _GENERAL), None)
    return known.spoken if known is not None else cause(sentence)


def failures(connection: Connection) -> tuple[FailureGroup, ...]:
    """Results that stand and do not confirm, grouped by cause, the largest group first."""
    rows = _failing(connection)
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, verdict, words in rows:
        found[verdict, words].append(number)
    if len(found) > _GROUPS:
        large = {key for key, _ in sorted(found.items(), key=lambda group: -len(group[1]))[:_GROUPS]}
        found = defaultdict(list)
        for number, verdict, words in rows:
            key = verdict, words
            found[key if key in large else (verdict, _OTHER)].append(number)
    groups = dict(sorted(found.items(), key=lambda group: (-len(group[1]), group[0])))
    shown = _summaries(connection, [each for numbers in groups.values() for each in numbers[:_EXAMPLES]])
    return tuple(
        FailureGroup(
            verdict=Verdict(verdict),
            cause=words,
            count=len(numbers),
            examples=tuple(shown[each] for each in numbers[:_EXAMPLES] if each in shown),
        )
        for (verdict, words), numbers in groups.items()
    )


_GAP = "…"
_LONGEST = 300
_QUOTED = re.compile(r"“[^”]*”|\"[^\"]*\"|`[^`]*`|(?<!\w)'[^']*'(?!\w)")
_DETAIL = re.compile(r":\s.*", re.DOTALL)
"""What follows a colon tells of the single case: member names, what a program said."""
_SINGULAR = re.compile(r"\b1 (\w+?)( inside (?:it|the \w+))? (differs|was|is|has)\b")
_PLURALS = {"differs": "differ", "was": "were", "is": "are", "has": "have"}
_NAME = re.compile(r"(?<![^\s,;()])(?!SHA-256\b)[^\s,;()]*(?:\d|[/\\_@=]|\w\.\w)[^\s,;()]*")
"""A word with a digit, a slash, a dot within: a figure, a version, a path, a digest, an address."""
_SEVERAL = re.compile(rf"{_GAP}(?:(?:, | and |, and | )?{_GAP})+")


@lru_cache(maxsize=1 << 16)
def cause(sentence: str) -> str:
    """The sentence, with names and figures taken out; never empty, at most 300 characters."""
    kept = _QUOTED.sub(_GAP, sentence[: 4 * _LONGEST])
    kept = _SINGULAR.sub(lambda found: f"1 {found[1]}s{found[2] or ''} {_PLURALS[found[3]]}", kept)
    kept = _NAME.sub(_name, kept)
    kept = _DETAIL.sub(f": {_GAP}", kept, count=1)
    kept = " ".join(_SEVERAL.sub(_GAP, kept).split())
    return kept[:_LONGEST] or _GAP


def _name(found: re.Match[str]) -> str:
    word = found[0]
    end = word[-1] if word[-1] in ".:!?" else ""
    return _GAP + end
