"""A site as it is after some months: hundreds of files of every verdict and ecosystem, for tests that look at pages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from rebuilder.incident import incident_statement
from rebuilder.model.alarm import Alarm, AlarmKind, RecordedAlarm
from rebuilder.model.incident import Answer, Incident, Named, Shared, Touched, What
from rebuilder.model.report import Report, Summary, listed
from rebuilder.model.value import Sha256
from rebuilder.model.verdict import Verdict
from rebuilder.signing.envelope import sign_statement
from rebuilder.signing.statements import Builder
from rebuilder.site.publisher import Site
from rebuilder.store.protocol import Blobs
from tests.fakes import operations, reports, trails
from tests.fakes.signer import MemorySigner
from tests.fakes.sites import KEY_ID

_PROJECTS = (
    ("pypi", "alembic-kit", 9), ("pypi", "basalt", 14), ("pypi", "click-tools", 21), ("pypi", "dune", 6),
    ("pypi", "express-py", 30), ("pypi", "fjord", 12), ("pypi", "zope.weave", 17), ("pypi", "7bits", 4),
    ("npm", "@loom/core", 25), ("npm", "left-margin", 8), ("npm", "tiny-clock", 40), ("npm", "weft", 11),
    ("deb", "gzipper", 3), ("deb", "libfiber-dev", 5), ("deb", "zlib-ng", 7), ("deb", "bash-lite", 2),
    ("generic", "terraform-lite", 6), ("generic", "busywork", 3),
)  # fmt: skip
_MAKERS = (
    reports.reproduced, reports.reproduced, reports.reproduced, reports.differs, reports.equivalent,
    reports.reproduced, reports.build_failed, reports.accounted, reports.reproduced, reports.unsupported,
    reports.inputs_missing, trails.attested, reports.timed_out,
)  # fmt: skip
_FILES = {"npm": "{name}-{version}.tgz", "deb": "{name}_{version}_amd64.deb", "generic": "{name}-{version}.zip"}


def many(blobs: Blobs, copies: int = 2) -> Iterator[Report]:
    """Reports on ``copies`` files of every release, oldest verification first."""
    releases = [(eco, name, number) for eco, name, versions in _PROJECTS for number in range(versions)]
    total = len(releases) * copies
    for count in range(total):
        ecosystem, name, number = releases[(count * 89) % len(releases)]
        unsigned = ecosystem == "deb" and (number + count) % 3 == 1
        report = (reports.unauthenticated if unsigned else _MAKERS[(count * 5 + number) % len(_MAKERS)])(blobs)
        age = timedelta(hours=4 * (total - count))
        yield _as(report, ecosystem, name, f"1.{number}.0", count // len(releases)).replace(
            started=reports.NOW - age - timedelta(seconds=6), finished=reports.NOW - age
        )


def _as(report: Report, ecosystem: str, name: str, version: str, copy: int) -> Report:
    """The same report about another file."""
    old = report.artifact
    platform = old.filename.rpartition("-")[2] if ecosystem == "pypi" else ""
    filename = _FILES.get(ecosystem, "{name}-{version}-py3-none-" + platform).format(
        name=name.rpartition("/")[2].replace(".", "_"), version=version
    )
    if copy:
        filename = filename.replace(".", f"+build{copy}.", 1) if ecosystem != "pypi" else f"{copy}{filename}"
    purl = f"pkg:{ecosystem}/{name}@{version}"
    text = report.model_dump_json().replace(old.filename, filename).replace(old.sha256, reports.sha(purl + filename))
    text = text.replace(f'"{old.purl}"', f'"{purl}"')
    fresh = Report.model_validate_json(text)
    names = {"ecosystem": ecosystem, "name": name, "version": version}
    artifact = fresh.artifact.replace(**names)
    return fresh.replace(artifact=artifact, evidence=fresh.evidence.replace(artifact=artifact))


def write_large_site(root: Path, blobs: Blobs) -> list[Summary]:
    """Publish it with its alarms; give the newest verification of each file."""
    site = Site(
        root, blobs, public_key=b"a public key\n", key_id=KEY_ID, verifier="rebuilder.example.org",
        address="https://rebuilder.example.org/", public=True,
    )  # fmt: skip
    found = [*many(blobs), reports.hostile(blobs), *(make(blobs) for make in trails.EVERY.values())]
    rows = [listed(each) for each in found]
    lost = [each for each in rows if each.verdict is Verdict.DIFFERS][:3]
    alarms = [
        reports.alarm(found[40].artifact),
        *(_regression(each) for each in lost),
    ]
    recorded = [
        RecordedAlarm(number=at, alarm=each, severity=each.kind.severity, last_seen=each.raised)
        for at, each in enumerate(alarms, 1)
    ]
    recorded += operations.alarms(rows)
    histories: dict[tuple[str, str], list[Summary]] = {}
    for each in rows:
        histories.setdefault((each.ecosystem, each.name), []).append(each)
    site.write_incidents([_incident(lost[0])])
    for report, row in zip(found, rows, strict=True):
        site.write_artifact(reports.signed(report, key_id=KEY_ID), histories[row.ecosystem, row.name], recorded)
    site.write_operations(operations.busy(rows), recorded)
    site.write_index(rows, recorded, reports.NOW, untested={"pypi": 30, "deb": 11})
    return rows


def _incident(row: Summary) -> str:
    """Somebody suspected a file."""
    suspect = Named(what=What.ARTIFACT, name=row.filename, digest=Sha256(row.sha256))
    answer = Answer(file=Touched.of(row), from_source="no", sentence=row.sentence)
    shared = Shared(what=What.PUBLISHER, name="https://forge.example.org/loom/core", total=3, files=(answer.file,))
    found = Incident(asked=row.purl, suspects=(suspect,), answers=(answer,), shared=(shared,), looked=reports.NOW)
    return sign_statement(incident_statement(found, Builder(id="tag:rebuilder.example.org,2026:x")), MemorySigner())


def _regression(row: Summary) -> Alarm:
    sentence, about = f"{row.filename} was reproduced on 2026-10-02, and differs now.", (row.purl, row.filename)
    return Alarm(kind=AlarmKind.REGRESSION, purl=about[0], filename=about[1], sentence=sentence, raised=row.finished)
