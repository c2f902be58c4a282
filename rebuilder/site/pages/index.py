"""The front page: how much of what is watched is confirmed, what got worse; and what the verdicts mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rebuilder.model.alarm import AlarmKind, RecordedAlarm, Severity
from rebuilder.model.operations import Bucket, day_of
from rebuilder.model.report import Summary
from rebuilder.model.verdict import Kind, Verdict
from rebuilder.site.charts import Chart, chart
from rebuilder.site.counts import Bar, FileCounts, bar, percent, reproduced_ways
from rebuilder.site.display import Moment, count, moment, page_href
from rebuilder.site.documents import IncidentEntry
from rebuilder.site.kinds import CAUSES, ECOSYSTEMS, address
from rebuilder.site.marks import REVOKED, SHOWN, UNTESTED, Mark, mark
from rebuilder.site.pages.artifact import AlarmNote, signature_commands
from rebuilder.site.pages.lists import Entry, Link
from rebuilder.site.rows import Row, row

MOST_ROWS = 10
"""Verifications on the front page; its document and the feed have more."""
FRONT_ALARMS = 5
"""Alarms the front page names, each in a line, and as many that tell of what got worse; the page of alarms has all."""
MOST_CAUSES = 5
_DAYS = 30
"""Columns of the chart; on the first days only those that there are."""


@dataclass(frozen=True, slots=True)
class FrontFacts:
    """What the front page tells besides rows and alarms."""

    counts: FileCounts
    ecosystems: Mapping[str, FileCounts]
    days: Sequence[Bucket]
    """What stood at the end of each day on which something changed, oldest first."""
    causes: Mapping[str, FileCounts]
    initials: tuple[Link, ...]
    now: datetime
    """The time that the page gives as its own."""
    made_from: str
    """Names what all pages depend on besides their rows."""
    incidents: Sequence[IncidentEntry] = ()
    """All of them, the newest first."""


@dataclass(frozen=True, slots=True)
class IndexPage:
    """The front page."""

    root: str
    headline: str
    confirmed: str
    """The share that was confirmed."""
    reproduced: str | None
    """How many files are reproduced in which way; None when none is."""
    bar: Bar
    ecosystems: tuple[Entry, ...]
    chart: Chart | None
    worse: tuple[AlarmNote, ...]
    more_worse: str | None
    alarms: tuple[AlarmNote, ...]
    """What was published first, then what fails here: at most ``FRONT_ALARMS``."""
    more_alarms: str | None
    """How many there are besides, such as ``2 more``."""
    causes: tuple[Entry, ...]
    latest: tuple[Row, ...]
    initials: tuple[Link, ...]
    incidents: Sequence[IncidentEntry]
    """The newest."""
    when: Moment
    made_from: str


def index_page(
    latest: Sequence[Summary], alarms: Sequence[RecordedAlarm], alarmed: Sequence[Summary], facts: FrontFacts
) -> IndexPage:
    """The front page.

    Args:
        latest: The newest verifications, newest first.
        alarms: The open ones.
        alarmed: The newest verification of each file that alarms are about, newest first.
        facts: What else it tells.
    """
    counts = facts.counts
    pages = {(each.purl, each.filename): each for each in reversed(alarmed)}
    ordered = sorted(alarms, key=lambda each: each.alarm.raised, reverse=True)
    ordered.sort(key=_weight)
    worse = [each for each in ordered if each.alarm.kind is AlarmKind.REGRESSION]
    others = [each for each in ordered if each.alarm.kind is not AlarmKind.REGRESSION]
    causes = sorted(facts.causes.items(), key=lambda pair: (-pair[1].total, pair[0]))[:MOST_CAUSES]
    return IndexPage(
        root="",
        headline=_headline(counts),
        confirmed=percent(bar(counts).confirmed, counts.total),
        reproduced=reproduced_ways(counts.number(Verdict.REPRODUCED.value), counts.written),
        bar=bar(counts, ""),
        ecosystems=tuple(
            Entry(
                label=ECOSYSTEMS.label(key),
                href=address(ECOSYSTEMS.path(key)) if each.total > each.untested else "",
                note=f"{percent(bar(each).confirmed, each.total)} confirmed",
                number=count(each.total, "file", "files"),
                bar=bar(each),
            )
            for key, each in facts.ecosystems.items()
        ),
        chart=chart("standing", "What stood at the end of each day", _days(facts.days), standing=True),
        worse=_notes(worse, pages),
        more_worse=_more(worse),
        alarms=_notes(others, pages),
        more_alarms=_more(others),
        causes=tuple(
            Entry(CAUSES.label(key), CAUSES.path(key), "", count(each.total, "file", "files"), bar(each))
            for key, each in causes
        ),
        latest=tuple(row(each, "", listed=True) for each in latest[:MOST_ROWS]),
        initials=facts.initials,
        incidents=facts.incidents[:FRONT_ALARMS],
        when=moment(facts.now),
        made_from=facts.made_from,
    )


def _weight(each: RecordedAlarm) -> tuple[bool, bool, bool]:
    """Replaced bytes before all else, then what was published, then what fails here; the urgent ones first."""
    kind = each.alarm.kind
    return kind is not AlarmKind.DIGEST_CHANGED, kind.for_operators, each.severity is not Severity.PAGE


def _notes(alarms: Sequence[RecordedAlarm], pages: Mapping[tuple[str, str], Summary]) -> tuple[AlarmNote, ...]:
    found = ((each.alarm, pages.get((each.alarm.purl, each.alarm.filename))) for each in alarms[:FRONT_ALARMS])
    return tuple(AlarmNote(each, page_href("", page) if page else None) for each, page in found)


def _more(alarms: Sequence[RecordedAlarm]) -> str | None:
    return f"{len(alarms) - FRONT_ALARMS:,} more" if len(alarms) > FRONT_ALARMS else None


def _days(days: Sequence[Bucket]) -> tuple[Bucket, ...]:
    """One bucket for each of the last days up to the newest: on a day without a change, what stood before stands."""
    if not days:
        return ()
    end, known = days[-1].start, {each.start: each for each in days}
    start = max(day_of(days[0].start), end - timedelta(days=_DAYS - 1))
    stands = max((each for each in days if each.start <= start), key=lambda each: each.start)
    found = []
    for number in range((end - start).days + 1):
        day = start + timedelta(days=number)
        stands = known.get(day, stands)
        found.append(stands.replace(start=day))
    return tuple(found)


_NOT_BUILT = (Verdict.BUILD_FAILED, Verdict.INPUTS_MISSING, Verdict.TIMED_OUT)


def _headline(counts: FileCounts) -> str:
    """What was confirmed, of how many; and what became of all the others."""
    if not counts.total:
        return "Nothing has been verified yet."
    good = sum(counts.number(each.value) for each in Verdict if each.confirms)
    verb, differs = "was" if good == 1 else "were", counts.number(Verdict.DIFFERS.value)
    others = (
        (differs, "differs" if differs == 1 else "differ"),
        (sum(counts.number(each.value) for each in _NOT_BUILT), "could not be built"),
        (counts.number(Verdict.UNAUTHENTICATED.value), "identical, but built with unsigned packages"),
        (counts.number(Verdict.ACCOUNTED.value), "accounted for and not rebuilt"),
        (counts.number(Verdict.UNSUPPORTED.value), "cannot be rebuilt yet"),
        (counts.number(REVOKED.name), "signed by a key that was revoked"),
        (counts.untested, "not yet tested"),
    )
    rest = ", ".join(f"{number:,} {words}" for number, words in others if number)
    known = count(counts.total, "known file", "known files")
    share = f"{good:,} of {known} ({percent(good, counts.total)})"
    return f"{share} {verb} confirmed by a rebuild{'; ' if rest else ''}{rest}."


@dataclass(frozen=True, slots=True)
class Meaning:
    """A verdict and what it means."""

    mark: Mark
    meaning: str


@dataclass(frozen=True, slots=True)
class AboutPage:
    """Words about the verdicts, the claims, the key."""

    root: str
    verdicts: tuple[Meaning, ...]
    key_id: str
    signature: str
    schemas: tuple[str, ...]


_MORE = {
    Verdict.REPRODUCED: (
        "“By the build alone”: the build gave these bytes, the strongest thing a rebuild can show. “With recorded "
        "values written into the archive”: the build gave the same content, and what only the archive around it "
        "records (such as the time of day) was copied from the published file afterwards, where no code of the "
        "build runs. The page lists each such value, and both are counted apart."
    ),
    Verdict.EQUIVALENT: (
        "Every installer puts the same files on disk. What was set aside is named on the page, one by one. Names, "
        "contents, link targets and what is executable are never set aside."
    ),
    Verdict.DIFFERS: f"“{Kind.STABLE.value}”: {Kind.STABLE.spoken} “{Kind.UNSTABLE.value}”: {Kind.UNSTABLE.spoken}",
    Verdict.UNAUTHENTICATED: (
        "A package that the build had is bound by no list that Debian's archive signed: it lay on a mirror, or in a "
        "snapshot. The page names each with its digest. Whoever published the file and served that package can bring "
        "this about, so it is never counted as confirmed."
    ),
    Verdict.ACCOUNTED: (
        "It holds compiled code whose compiler is not to be had here. The page lists every file in it with its digest: "
        "which are the source's byte for byte, which follow from it by a named rule, which are compiled code, and "
        "which nothing explains. This says nothing about what is in the compiled code, and is never counted as "
        "confirmed; were anything executed in it that the source does not have, it would differ."
    ),
    Verdict.BUILD_FAILED: "The log on the page says where. This says nothing about the published file.",
    Verdict.INPUTS_MISSING: "For instance, no source was published, or a dependency was withdrawn.",
    Verdict.UNSUPPORTED: "The page says what is missing in this rebuilder.",
    Verdict.TIMED_OUT: "The page names the limit: time, memory, disk, processes, or the size of what it wrote.",
}


def about_page(key_id: str, schemas: Sequence[str]) -> AboutPage:
    """The page; ``schemas`` are the file names of the published JSON Schemas."""
    verdicts = [Meaning(mark(each), f"{each.spoken} {_MORE[each]}") for each in SHOWN]
    return AboutPage(
        root="",
        verdicts=(*verdicts, Meaning(UNTESTED, f"{UNTESTED.spoken} It counts in every percentage all the same.")),
        key_id=key_id,
        signature=signature_commands(f"{key_id}.pem"),
        schemas=tuple(schemas),
    )
