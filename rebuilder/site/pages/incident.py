"""The page of an incident: what was signed about something under suspicion, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rebuilder.model.incident import Again, Answer, Incident, Shared, Touched
from rebuilder.site.display import LONG, SHORT, Moment, count, moment, page_href, visible
from rebuilder.site.documents import IncidentEntry
from rebuilder.site.kinds import data_path
from rebuilder.site.marks import Mark, mark

_FROM_SOURCE = {
    "yes": Mark("yes", "✓", "Yes", "good", "It is the file that its source gives."),
    "no": Mark("no", "≠", "No", "bad", "It is not the file that its source gives."),
    "not known": Mark("not-known", "?", "Not known", "mute", "Whether its source gives it is not known."),
}
ROOT = "../../"


@dataclass(frozen=True, slots=True)
class IncidentLink:
    """Leads to the page of an incident."""

    asked: str
    when: Moment
    href: str


@dataclass(frozen=True, slots=True)
class IncidentsPage:
    """Leads to all of them."""

    root: str
    incidents: tuple[IncidentLink, ...]
    json: str


@dataclass(frozen=True, slots=True)
class FileRow:
    """A published file."""

    release: str
    filename: str
    href: str
    mark: Mark
    when: Moment


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """Whether one file comes out of its source."""

    file: FileRow
    mark: Mark
    sentence: str
    again: str | None


@dataclass(frozen=True, slots=True)
class SharedRow:
    """Files with something in common."""

    what: str
    name: str
    digest: str | None
    number: str
    files: tuple[FileRow, ...]
    more: str | None


@dataclass(frozen=True, slots=True)
class IncidentPage:
    """Everything the template shows; strings are ready, and still to be escaped."""

    root: str
    asked: str
    when: Moment
    suspects: tuple[tuple[str, str, str], ...]
    answers: tuple[AnswerRow, ...]
    shared: tuple[SharedRow, ...]
    proposals: tuple[tuple[str, str], ...]
    key_id: str
    key_href: str


def incident_page(incident: Incident, key_id: str) -> IncidentPage:
    """Compute the page. Pure: equal arguments give an equal page."""
    return IncidentPage(
        root=ROOT,
        asked=visible(incident.asked, SHORT),
        when=moment(incident.looked),
        suspects=tuple((each.what.words, visible(each.name, SHORT), each.digest) for each in incident.suspects),
        answers=tuple(map(_answer, incident.answers)),
        shared=tuple(map(_shared, incident.shared)),
        proposals=tuple((visible(each.command, LONG), visible(each.reason, LONG)) for each in incident.proposals),
        key_id=key_id,
        key_href=f"{ROOT}keys/{key_id}.pem",
    )


def incident_links(entries: Sequence[IncidentEntry], root: str) -> tuple[IncidentLink, ...]:
    """On a page from which ``root`` leads to the site's root."""
    return tuple(
        IncidentLink(visible(each.asked, SHORT), moment(each.looked), f"{root}{each.page}/index.html")
        for each in entries
    )


def incidents_page(entries: Sequence[IncidentEntry]) -> IncidentsPage:
    """The page that leads to all, the newest first."""
    return IncidentsPage("../", incident_links(entries, "../"), f"../{data_path('incidents/index.html')}")


def _answer(answer: Answer) -> AnswerRow:
    found = _FROM_SOURCE[answer.from_source]
    return AnswerRow(_file(answer.file), found, visible(answer.sentence, LONG), _again(answer.again))


def _again(again: Again | None) -> str | None:
    return f"{again.outcome.sentence} {visible(again.sentence, LONG)}" if again is not None else None


def _shared(shared: Shared) -> SharedRow:
    hidden = shared.total - len(shared.files)
    return SharedRow(
        what=shared.what.words,
        name=visible(shared.name, SHORT),
        digest=shared.digest,
        number=count(shared.total, "file", "files"),
        files=tuple(map(_file, shared.files)),
        more=f"And {hidden:,} more." if shared.files and hidden > 0 else None,
    )


def _file(file: Touched) -> FileRow:
    return FileRow(
        release=f"{visible(file.name, SHORT)} {visible(file.version, SHORT)}",
        filename=visible(file.filename, SHORT),
        href=page_href(ROOT, file),
        mark=mark(file.verdict),
        when=moment(file.finished),
    )
