"""The JSON beside the pages, and the JSON Schemas of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rebuilder.model.alarm import Alarm, RecordedAlarm
from rebuilder.model.operations import Bucket, Operations
from rebuilder.model.report import Report, Summary, page_path
from rebuilder.model.value import Sha256, Sha256Field, Sha512, Sha512Field, Value, indented_json
from rebuilder.resources import resource
from rebuilder.site.counts import FileCounts


class IndexEntry(Summary):
    """The newest verification of one file, and where its page is."""

    page: str
    """Directory below the site's root, as it is on disk: percent-encode it once more for an address."""


class Index(Value):
    """The front page as data (``v1/index.json``)."""

    verifier: str
    key_id: str
    written: datetime
    files_total: int
    """Files we know of: the denominator of every percentage."""
    counts: dict[str, int]
    """Number of files by verdict, ``untested``, and ``revoked``: those whose verdict nobody should believe, because its
    key was revoked. They add up to ``files_total``."""
    reproduced: dict[str, int] = {}
    """Of the reproduced ones, how many ``build-alone`` and how many ``metadata-written``."""
    days: tuple[Bucket, ...] = ()
    """What stood of all files at the end of each day on which something ended, by verdict; oldest first."""
    alarms: tuple[Alarm, ...]
    latest: tuple[IndexEntry, ...]
    """The newest verifications; all of them are in ``projects``."""
    projects: tuple[str, ...]
    """Documents that list all files, by how the names of projects begin, below the site's root."""


class Projects(Value):
    """The projects whose names begin alike as data (``v1/projects/<beginning>.json``)."""

    initial: str
    """How they begin; ``0`` stands for all that is no letter."""
    files: tuple[IndexEntry, ...]
    """The newest verification of each file."""
    parts: tuple[str, ...] = ()
    """Documents that list the files, below the site's root, where there are too many for one."""


class FileList(Value):
    """Files that have something in common as data: ``v1/KIND/KEY.json``, ``v1/ECOSYSTEM/PROJECT/index.json``."""

    kind: str
    """What that is: ``verdicts``, ``ecosystems``, ``causes``, ``environments``, ``publishers``, ``project``."""
    key: str
    """Which one. Of verdicts also ``revoked``: the key that signed it was revoked from an earlier time on, and nobody
    should believe it."""
    counts: dict[str, int]
    """Files by verdict; ``written``: those of ``reproduced`` with recorded values written. Zeroes are left out."""
    files_total: int
    """How many there are; the documents in ``projects`` have all."""
    files: tuple[IndexEntry, ...]
    """The newest first, at most 500; of a project all."""
    days: tuple[Bucket, ...] = ()
    """Of a project: what stood of its files at the end of each day on which a verification ended; oldest first."""


class Overview(Value):
    """All lists of one kind as data (``v1/<kind>/index.json``)."""

    kind: str
    lists: dict[str, dict[str, int]]
    """The ``counts`` of each, by its ``key``."""


class IncidentEntry(Value):
    """One incident in a list of them."""

    asked: str
    """What is under suspicion, as it was asked for."""
    looked: datetime
    page: str
    """Directory below the site's root; what was signed is ``incident.dsse.json`` in it."""
    files: tuple[Sha256Field, ...]
    """Published files that are under suspicion, or of which it says whether they come from their source."""


class Incidents(Value):
    """All incidents that were signed as data (``v1/incidents/index.json``), the newest first."""

    incidents: tuple[IncidentEntry, ...] = ()


class LoggedStatement(Value):
    """A statement, and the proof that it is in the log; both beside the document that lists it."""

    number: int
    """Of its entry in the log."""
    logged: datetime
    predicate_type: str
    key_id: str
    envelope: str
    """File name."""
    proof: str
    """File name; a C2SP tlog-proof."""


class Statements(Value):
    """Everything that was signed about the bytes with one digest (``sha256/AB/DIGEST/index.json``)."""

    sha256: Sha256Field
    statements: tuple[LoggedStatement, ...]
    """The newest first."""


class Digests(Value):
    """Which file has a SHA-512 (``sha512/AB/DIGEST/index.json``): only a hint, since the statements name both."""

    sha256: Sha256Field
    """Where its statements are: ``sha256/AB/DIGEST/``."""
    sha512: Sha512Field


class Operate(Operations):
    """What the service is doing as data (``v1/operate.json``)."""

    verifier: str
    alarms: tuple[RecordedAlarm, ...]
    """The open ones."""


SCHEMAS: Mapping[str, type[Value]] = {
    "digests.schema.json": Digests,
    "incidents.schema.json": Incidents,
    "index.schema.json": Index,
    "list.schema.json": FileList,
    "operate.schema.json": Operate,
    "overview.schema.json": Overview,
    "projects.schema.json": Projects,
    "report.schema.json": Report,
    "statements.schema.json": Statements,
}
"""File name of each published schema, and the value it describes."""


def read_incidents(site: Path) -> tuple[IncidentEntry, ...]:
    """Those that a site has."""
    try:
        return Incidents.model_validate_json((site / "v1/incidents/index.json").read_bytes()).incidents
    except (OSError, ValidationError):
        return ()


def schema(name: str) -> bytes:
    """The JSON Schema (2020-12) with this file name, as it is published."""
    model = SCHEMAS[name]
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
    return (json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n").encode()


def index_document(
    latest: Sequence[Summary], alarms: Sequence[Alarm], counts: Mapping[str, int], **about: Any
) -> bytes:
    """``v1/index.json``; ``about`` has the remaining fields of :class:`Index`."""
    total = sum(counts.values())
    entries = tuple(IndexEntry.model_validate(index_entry(each)) for each in latest)
    return indented_json(
        Index(latest=entries, alarms=tuple(alarms), counts=dict(counts), files_total=total, **about).document()
    )


def operate_document(operations: Operations, alarms: Sequence[RecordedAlarm], verifier: str) -> bytes:
    """``v1/operate.json``; ``alarms`` are the open ones."""
    fields = {name: getattr(operations, name) for name in Operations.model_fields}
    return indented_json(Operate(**fields, alarms=tuple(alarms), verifier=verifier).document())


def projects_document(prefix: str, files: Sequence[Summary]) -> bytes:
    """``v1/projects/<beginning>.json`` with files."""
    return _by_line({"initial": prefix}, files)


def parts_document(prefix: str, parts: Sequence[str]) -> bytes:
    """``v1/projects/<beginning>.json`` that leads to others, ``parts``, by how the names in them begin."""
    return indented_json(Projects(initial=prefix, files=(), parts=tuple(parts)).document())


def list_document(
    kind: str, key: str, counts: FileCounts, files: Sequence[Summary], days: Sequence[Bucket] = ()
) -> bytes:
    """``v1/<kind>/<key>.json``."""
    about = {"kind": kind, "key": key, "counts": counts.document(), "files_total": counts.total}
    return _by_line(about | ({"days": [each.document() for each in days]} if days else {}), files)


def overview_document(kind: str, lists: Mapping[str, Mapping[str, int]]) -> bytes:
    """``v1/<kind>/index.json``."""
    return indented_json({"kind": kind, "lists": {key: dict(each) for key, each in lists.items()}})


def _by_line(about: Mapping[str, Any], files: Sequence[Summary]) -> bytes:
    """A line for each file, so that two versions of a document can be compared by line."""
    lines = ",\n".join(json.dumps(index_entry(each), ensure_ascii=False) for each in files)
    head = json.dumps(about, separators=(",", ":"))[:-1]
    return f'{head},"files":[\n{lines}\n]}}\n'.encode("utf-8", "backslashreplace")


def statements_document(known: bytes | None, sha256: Sha256, fresh: Sequence[LoggedStatement]) -> bytes:
    """``sha256/AB/DIGEST/index.json`` with more statements; ``known`` is the document as it was, if there is one."""
    try:
        before = Statements.model_validate_json(known or b"").statements
    except ValidationError:
        before = ()
    rows = {each.number: each for each in (*before, *fresh)}
    newest = tuple(rows[number] for number in sorted(rows, reverse=True))
    return indented_json(Statements(sha256=sha256, statements=newest).document())


def digests_document(sha256: Sha256, sha512: Sha512) -> bytes:
    """``sha512/AB/DIGEST/index.json``."""
    return indented_json(Digests(sha256=sha256, sha512=sha512).document())


def index_entry(summary: Summary) -> dict[str, Any]:
    """The fields of an :class:`IndexEntry`, as plain JSON types."""
    page = page_path(summary.ecosystem, summary.name, summary.version, summary.filename, summary.sha256)
    return {**summary.document(), "page": page}


if __name__ == "__main__":
    for each in SCHEMAS:
        (resource("reports") / "schemas" / each).write_bytes(schema(each))
