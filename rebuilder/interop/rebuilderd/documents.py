"""What rebuilderd's API answers with, field by field as its clients read it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic_core import to_json

from rebuilder.ecosystems.registry import conventions, distribution
from rebuilder.model.report import page_path
from rebuilder.model.value import Value
from rebuilder.model.verdict import Verdict
from rebuilder.store.ledger.package_book import Jobs, ListedRow, PackageRow

DIFFOSCOPE = "diffoscope.txt"
"""Beside the page of a file."""
_Record = TypeVar("_Record")


class Status(StrEnum):
    """Of a build, and of a file."""

    GOOD = "GOOD"
    """Reproduced: the same bytes. What is only equivalent is not."""
    BAD = "BAD"
    FAIL = "FAIL"
    """Of a build only: it did not complete, which says nothing about the file."""
    UNKNOWN = "UNKWN"


_STATUS = {
    Verdict.REPRODUCED: Status.GOOD,
    Verdict.DIFFERS: Status.BAD,
    Verdict.BUILD_FAILED: Status.FAIL,
    Verdict.TIMED_OUT: Status.FAIL,
}


class BinaryPackage(Value):
    """One file."""

    id: int
    name: str
    version: str
    distribution: str
    release: str | None
    component: str | None
    architecture: str
    url: str
    status: Status | None
    build_id: int | None
    artifact_id: int | None
    """Only where there is an attestation: a client that gets none for it counts nothing of what we say."""
    diffoscope_log_id: int | None
    attestation_log_id: int | None
    last_seen: datetime
    seen_in_last_sync: bool


class SourcePackage(Value):
    """What one file is built from; each file has its own."""

    id: int
    name: str
    version: str
    distribution: str
    release: str | None
    status: Status | None
    build_id: int | None
    last_seen: datetime
    seen_in_last_sync: bool


class Build(Value):
    """One finished verification."""

    id: int
    name: str
    version: str
    distribution: str
    release: str | None
    architecture: str
    backend: str
    retries: int
    started_at: datetime | None
    built_at: datetime | None
    status: Status | None


class BuildArtifact(Value):
    """The file that a build was about."""

    id: int
    name: str
    has_diffoscope: bool
    has_attestation: bool
    status: Status | None


class ResultPage(Value, Generic[_Record]):
    """A part of a list."""

    total: int
    records: tuple[_Record, ...]


class DashboardRebuilds(Value):
    """Files by what their newest verification came to."""

    good: int
    bad: int
    fail: int
    unknown: int


class DashboardJobs(Value):
    """The queue."""

    running: int
    available: int
    pending: int


class Dashboard(Value):
    """How it is going."""

    rebuilds: DashboardRebuilds
    jobs: DashboardJobs


def has_diffoscope(site: Path, row: ListedRow | PackageRow, verdict: Verdict | None) -> bool:
    """Whether what diffoscope says about a file lies beside its page."""
    if verdict is None or verdict is Verdict.REPRODUCED:
        return False
    page = page_path(row.ecosystem, row.name, row.version, row.filename, row.sha256)
    return (site / page / DIFFOSCOPE).is_file()


def listed_package(row: ListedRow, verdict: Verdict | None, site: Path) -> bytes:
    """A file as the older interface lists it, as JSON; ``verdict``: what was signed about it, and is on the site."""
    told = verdict is not None
    return to_json(
        {
            "name": row.name,
            "version": row.version,
            "status": _status(verdict) if verdict is not None else Status.UNKNOWN,
            "distro": distribution(row.ecosystem),
            "suite": "",
            "architecture": conventions(row.ecosystem).architecture(row.filename),
            "artifact_url": row.url,
            "build_id": row.number if told else None,
            "built_at": _naive(row.finished) if told and row.finished is not None else None,
            "has_diffoscope": has_diffoscope(site, row, verdict),
            "has_attestation": told and row.linked is not None,
        }
    )


def binary_package(row: PackageRow, site: Path) -> BinaryPackage:
    """A file as clients search for it."""
    linked = row.number if row.linked else None
    differs = row.summary is not None and has_diffoscope(site, row, row.summary.verdict)
    return BinaryPackage(
        id=row.artifact,
        **_named(row),
        component=None,
        architecture=architecture(row),
        url=row.url,
        status=artifact_status(row) if row.summary else None,
        build_id=row.number,
        artifact_id=linked,
        diffoscope_log_id=row.number if differs else None,
        attestation_log_id=linked,
        last_seen=_seen(row),
        seen_in_last_sync=True,
    )


def source_package(row: PackageRow) -> SourcePackage:
    """What a file is built from."""
    return SourcePackage(
        id=row.artifact,
        **_named(row),
        status=build_status(row) if row.summary else None,
        build_id=row.number,
        last_seen=_seen(row),
        seen_in_last_sync=True,
    )


def build(row: PackageRow) -> Build:
    """A finished verification."""
    return Build(
        id=row.number or 0,
        **_named(row),
        architecture=architecture(row),
        backend=distribution(row.ecosystem),
        retries=0,
        started_at=_naive(row.started) if row.started else None,
        built_at=_naive(row.summary.finished) if row.summary else None,
        status=build_status(row),
    )


def build_artifact(row: PackageRow, *, has_diffoscope: bool) -> BuildArtifact:
    """The file that a verification was about; it has the number of the verification."""
    return BuildArtifact(
        id=row.number or 0,
        name=row.filename,
        has_diffoscope=has_diffoscope,
        has_attestation=row.linked,
        status=artifact_status(row),
    )


def dashboard(verdicts: Iterable[tuple[Verdict | None, int]], jobs: Jobs) -> Dashboard:
    """How it is going, by the number of files with each verdict."""
    counts = dict.fromkeys(Status, 0)
    for verdict, files in verdicts:
        counts[_STATUS.get(verdict, Status.UNKNOWN) if verdict else Status.UNKNOWN] += files
    good, bad, fail, unknown = (counts[each] for each in Status)
    return Dashboard(
        rebuilds=DashboardRebuilds(good=good, bad=bad, fail=fail, unknown=unknown),
        jobs=DashboardJobs(running=jobs.running, available=jobs.available, pending=jobs.pending),
    )


def architecture(row: PackageRow) -> str:
    """What the files of a release are told apart by."""
    return conventions(row.ecosystem).architecture(row.filename)


def build_status(row: PackageRow) -> Status:
    """What a verification came to; only the same bytes are good, and only other content is bad."""
    return _STATUS.get(row.summary.verdict, Status.UNKNOWN) if row.summary else Status.UNKNOWN


def artifact_status(row: PackageRow) -> Status:
    """The same for the file."""
    return _status(row.summary.verdict) if row.summary else Status.UNKNOWN


def _status(verdict: Verdict) -> Status:
    """Of a file: a build that failed says nothing about it."""
    status = _STATUS.get(verdict, Status.UNKNOWN)
    return Status.UNKNOWN if status is Status.FAIL else status


def _named(row: PackageRow) -> dict[str, Any]:
    return {"name": row.name, "version": row.version, "distribution": distribution(row.ecosystem), "release": None}


def _seen(row: PackageRow) -> datetime:
    return _naive(row.summary.finished if row.summary else row.first_seen)


def _naive(moment: datetime) -> datetime:
    """In UTC without saying so, as these clients read times."""
    return moment.astimezone(UTC).replace(tzinfo=None)
