"""The page of one artifact: what a reader sees of one finished verification."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from rebuilder.model.alarm import Alarm, AlarmKind, RecordedAlarm
from rebuilder.model.artifact import Artifact
from rebuilder.model.attempt import Attempt
from rebuilder.model.comparison import Level
from rebuilder.model.decision import towards
from rebuilder.model.report import Report, Stage, Summary, page_path, summarise
from rebuilder.model.verdict import Verdict
from rebuilder.site.display import LONG, SHORT, count, link, moment, size, visible
from rebuilder.site.documents import IncidentEntry
from rebuilder.site.marks import Mark, mark
from rebuilder.site.rows import HistorySection, history_section
from rebuilder.site.sections.accounting import AccountingSection, accounting_section
from rebuilder.site.sections.attempt import (
    AttemptRow,
    ComparisonSection,
    ReplayedSection,
    attempt_rows,
    comparison_section,
    replayed_section,
)
from rebuilder.site.sections.binaries import BinariesSection, binaries_section
from rebuilder.site.sections.build import BuildSection, Fact, build_section, source_facts
from rebuilder.site.sections.provenance import ProvenanceSection, provenance_section
from rebuilder.site.sections.trail import TrailSection, trail_section
from rebuilder.site.sections.why import WhySection, why_section


@dataclass(frozen=True, slots=True)
class AlarmNote:
    """An alarm as pages show it: a heading and a sentence."""

    alarm: Alarm
    href: str | None = None
    recorded: RecordedAlarm | None = None
    """What became of it, where that is known."""


_WRITTEN = "With recorded values written into its archive, our rebuild is identical to the published file."


_UNACCOUNTED = "It holds something that is executed, or changes what is installed, and that is not from its source."


@dataclass(frozen=True, slots=True)
class Proof:
    """The two digests one above the other: the whole question in two lines."""

    published: str
    rebuilt: str | None
    same: bool
    warning: str | None = None
    """Set when nobody else gets the rebuilt digest again."""
    finished: str | None = None
    """Digest once recorded values are written into the archive, where that was done and is the published one."""


@dataclass(frozen=True, slots=True)
class PageContext:
    """What an artifact's page needs beside its report."""

    history: Sequence[Summary]
    """All verifications of the project, this one or not, in any order."""
    alarms: Sequence[RecordedAlarm]
    key_id: str
    project_href: str
    """Below the site's root."""
    files: Mapping[str, str]
    """Names of the files published beside the page, with what each holds."""
    missing: Sequence[str] = ()
    """Names of the files that should be there and are lost."""
    log_tail: str | None = None
    diffoscope_text: str | None = None
    doubt: str | None = None
    """Why nobody should believe the report."""
    incidents: Sequence[IncidentEntry] = ()
    """Those that concern the file."""
    address: str | None = None
    """Where the directory of the page is published; None: not known."""


@dataclass(frozen=True, slots=True)
class ArtifactPage:
    """What the template of an artifact's page shows."""

    report: Report
    around: PageContext
    root: str
    mark: Mark
    proof: Proof
    alarms: tuple[AlarmNote, ...]
    why: WhySection | None
    trail: TrailSection | None
    provenance: ProvenanceSection | None
    published: tuple[Fact, ...]
    source: tuple[Fact, ...]
    build: BuildSection | None
    replayed: ReplayedSection | None
    attempts: tuple[AttemptRow, ...]
    comparison: ComparisonSection | None
    accounting: AccountingSection | None
    binaries: BinariesSection | None
    check: CheckSection
    history: HistorySection
    stages: list[tuple[Stage, float]]
    """How many seconds each took."""
    key_href: str


def artifact_page(report: Report, around: PageContext) -> ArtifactPage:
    """Compute the page. Pure: equal arguments give an equal page."""
    artifact, decision = report.artifact, report.decision
    root = "../" * len(PurePosixPath(path_of(report)).parts)
    index = decision.attempt if decision.attempt is not None else _first_towards(report)
    if report.accounting is not None and report.accounting.compared and decision.attempt is None:
        index = None  # what was built is no rebuild of the whole: it is among the attempts, and told by member
    decisive = report.attempts[index] if index is not None else None
    key_href = f"{root}keys/{around.key_id}.pem"
    rebuilt = decisive.rebuilt.sha256 if decisive and decisive.rebuilt else None
    replayed = replayed_section(decisive) if decisive is not None else None
    return ArtifactPage(
        report=report,
        around=around,
        root=root,
        mark=_mark(report),
        proof=Proof(
            artifact.sha256,
            rebuilt,
            rebuilt == artifact.sha256,
            _passing(decisive),
            replayed.finished if replayed is not None else None,
        ),
        replayed=replayed,
        alarms=_alarms(report, around.alarms),
        why=why_section(report),
        trail=trail_section(report),
        provenance=provenance_section(report.provenance),
        published=_published(report),
        source=source_facts(report, decisive),
        build=build_section(report, index, root) if index is not None else None,
        attempts=attempt_rows(report.attempts, index),
        comparison=comparison_section(decisive, index, around.diffoscope_text)
        if decisive is not None and index is not None
        else None,
        accounting=accounting_section(report.accounting),
        binaries=binaries_section(report.accounting),
        check=check_section(artifact, key_href, _repeat(report, around)),
        history=history_section(summarise(report), around.history, root),
        stages=[(each, report.seconds[each]) for each in Stage if each in report.seconds],
        key_href=key_href,
    )


def path_of(report: Report) -> str:
    """Directory of the report's page below the site's root."""
    artifact = report.artifact
    return page_path(artifact.ecosystem, artifact.name, artifact.version, artifact.filename, artifact.sha256)


def _mark(report: Report) -> Mark:
    decision = report.decision
    found = mark(decision.verdict, decision.kind, decision.rebuilds)
    if report.accounting is not None and report.accounting.accusing and decision.attempt is None:
        found = replace(found, spoken=_UNACCOUNTED)
    return replace(found, spoken=_WRITTEN) if report.written else found


def _first_towards(report: Report) -> int | None:
    """The first attempt at the artifact itself: others are steps on the way to it, or beside it."""
    return next(iter(towards(report.attempts, report.artifact.filename)), None)


def _passing(decisive: Attempt | None) -> str | None:
    comparison = decisive.comparison if decisive else None
    if decisive is None or comparison is None or comparison.level is not Level.EQUIVALENT:
        return None
    if (
        "SOURCE_DATE_EPOCH" in decisive.hypothesis.definition.environment
        or "zip-times" not in comparison.normalisations
    ):
        return None
    return "Each rebuild carries the time it was made; the digest of our rebuild is not the one you will get."


def failed(report: Report) -> bool:
    """Whether the verdict is about a build that did not end well, so that the end of its log is worth showing."""
    return report.decision.verdict in {Verdict.BUILD_FAILED, Verdict.TIMED_OUT}


def _alarms(report: Report, others: Sequence[RecordedAlarm]) -> tuple[AlarmNote, ...]:
    """What is wrong with this file: replaced bytes first, and for good, whoever has acknowledged that."""
    about = (report.artifact.purl, report.artifact.filename)
    concerned = {each.alarm.key: each for each in others if (each.alarm.purl, each.alarm.filename) == about}
    lasting = {key: each for key, each in concerned.items() if each.open or each.alarm.kind is AlarmKind.DIGEST_CHANGED}
    every = {each.key: each for each in report.alarms} | {key: each.alarm for key, each in lasting.items()}
    newest = sorted(every.items(), key=lambda pair: pair[1].raised, reverse=True)
    newest.sort(key=lambda pair: pair[1].kind is not AlarmKind.DIGEST_CHANGED)
    return tuple(AlarmNote(each, recorded=concerned.get(key)) for key, each in newest)


def _published(report: Report) -> tuple[Fact, ...]:
    artifact, file = report.artifact, report.artifact.file
    facts = [
        Fact("File", visible(file.filename, SHORT), code=True),
        Fact("Release", visible(artifact.purl), code=True),
        Fact("Size", size(file.size)),
        Fact("SHA-256", file.sha256, code=True),
        Fact("Uploaded", moment(file.uploaded).text if file.uploaded else "not stated"),
    ]
    if file.requires_python:
        facts.append(Fact("Requires Python", visible(file.requires_python, SHORT)))
    if file.yanked is not None:
        why = f": {visible(file.yanked, LONG)}" if file.yanked else ", without a reason"
        facts.append(Fact("Withdrawn", f"The registry marks this file as yanked{why}"))
    facts.append(Fact("Address", visible(file.url), href=link(file.url), code=True))
    inspection = report.evidence.artifact_inspection
    if inspection is not None:
        entries = count(len(inspection.members), "entry", "entries")
        facts.append(Fact("Archive", f"{visible(inspection.format, SHORT)} with {entries}"))
        facts += [Fact("Malformed", visible(each)) for each in inspection.problems[:20]]
    return tuple(facts)


_PASTEABLE = re.compile(r"[\x20-\x5b\x5d-\x7e]{1,600}\Z")
"""Printable ASCII without the backslash, which shells and checksum files read in ways of their own."""


@dataclass(frozen=True, slots=True)
class CheckSection:
    """Commands; None where a name holds characters that no command should be pasted with."""

    own_copy: str | None
    repeat: str | None
    signature: str
    """Run in the directory of the page; prints ``Verified OK``."""


def _repeat(report: Report, around: PageContext) -> str | None:
    """The command that runs the published build again; that verifies anew, where nothing was built."""
    if "provenance.dsse.json" in around.files:
        return _command("rebuilder replay {}", f"{around.address}/report.json" if around.address else "report.json")
    artifact = report.artifact
    return _command("rebuilder verify {}", f"{artifact.ecosystem}:{artifact.name}=={artifact.version}")


def check_section(artifact: Artifact, key_href: str, repeat: str | None) -> CheckSection:
    """The commands for one artifact; ``key_href`` leads from its page to the public key."""
    return CheckSection(
        own_copy=_command("echo {} | sha256sum --check", f"{artifact.sha256}  {artifact.filename}"),
        repeat=repeat,
        signature=signature_commands(key_href),
    )


def signature_commands(key: str) -> str:
    """Check the envelope of the verdict with openssl alone, as docs/verify-a-report.md explains it.

    What is signed is the payload behind its type and length
    (https://github.com/secure-systems-lab/dsse/blob/master/protocol.md, "PAE").
    """
    return f"""cut -d '"' -f 4 verdict.dsse.json | base64 -d > verdict.json
cut -d '"' -f 18 verdict.dsse.json | base64 -d > verdict.sig
{{ printf 'DSSEv1 28 application/vnd.in-toto+json %d ' "$(wc -c < verdict.json)"; cat verdict.json; }} > verdict.pae
openssl dgst -sha256 -verify {key} -signature verdict.sig verdict.pae"""


def _command(shape: str, argument: str) -> str | None:
    if not _PASTEABLE.match(argument):
        return None
    # Always in quotes, also where a shell would not need them: a reader should see where the argument ends.
    return shape.format(shlex.quote(argument) if "'" in argument else f"'{argument}'")
