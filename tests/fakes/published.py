"""Genuine published sites of rebuilders, with what they say about files that a test names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rebuilder.config import Config
from rebuilder.ecosystems.npm.subject import release_purl
from rebuilder.model.comparison import Difference, Level, MemberChange
from rebuilder.model.report import Report
from rebuilder.model.value import sha256_hex
from rebuilder.store.blobs import DiskBlobs
from rebuilder.store.ledger import Ledger
from rebuilder.wiring import publishing
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.ledgers import lay_down


class PublishedRebuilder:
    """A rebuilder with keys, a ledger and a site of its own below a directory."""

    def __init__(self, root: Path) -> None:
        self.config = Config(store=root / "store", keys=root / "keys", site=root / "site")
        self.config.store.mkdir(parents=True)
        lay_down(self.config.store / "ledger.sqlite")

    @property
    def site(self) -> Path:
        """Where it is published."""
        return self.config.site_directory

    def publish(self, *found: Report, contents: Iterable[bytes] = ()) -> None:
        """Sign, log and publish; the bytes of files that are not what their names say are given."""
        blobs = DiskBlobs(self.config.store / "blobs")
        for content in contents:
            blobs.put(content)
        with Ledger.open(self.config.ledger_place) as ledger:
            for each in map(signable, found):
                # What :func:`reports.artifact` takes the digests of; a signer looks at the bytes again.
                for data in (each.artifact.filename, f"rebuilt {each.artifact.filename}"):
                    blobs.put(data.encode())
                ledger.examined(ledger.begin(each.artifact, each.started), each)
        with publishing(self.config) as signer:
            signer.publish_all()


def signable(report: Report) -> Report:
    """The report with what its runs left, which a signer asks for."""
    attempts = (
        each.replace(run=each.run.replace(outputs=(each.rebuilt,))) if each.rebuilt is not None else each
        for each in report.attempts
    )
    return report.replace(attempts=tuple(attempts))


def identical(name: str, version: str = "1.0", content: bytes | None = None, **file: object) -> Report:
    """A wheel that comes out the same; its bytes may be given."""
    given: dict[str, object] = {} if content is None else {"sha256": sha256_hex(content), "size": len(content)}
    subject, blobs = reports.artifact(name, version, **(file | given)), MemoryBlobs()
    same = reports.compared(subject, Level.IDENTICAL)
    return reports.report(subject, [reports.attempt(subject, reports.run(blobs), comparison=same)])


def differing(name: str, version: str, content: bytes, member: str) -> Report:
    """A wheel that has a file which no rebuild has."""
    subject = reports.artifact(name, version, sha256=sha256_hex(content), size=len(content))
    blobs = MemoryBlobs()
    more = Difference(member=member, change=MemberChange.MISSING, detail="in the published file only")
    found = reports.compared(subject, Level.DIFFERENT, differences=(more,), differences_total=1)
    first = reports.attempt(subject, reports.run(blobs), comparison=found)
    again = reports.attempt(subject, reports.run(blobs), comparison=found, repeat=True)
    return reports.report(subject, [first, again.replace(agreement=Level.IDENTICAL)])


def of_npm(report: Report, name: str, version: str) -> Report:
    """The same about a release of an npm package; its file keeps its name, which nobody asks npm for."""
    return _of(report, "npm", release_purl(name, version), name, version)


def of_debian(report: Report, name: str, version: str) -> Report:
    """The same about a Debian package; its file keeps its name."""
    return _of(report, "deb", f"pkg:deb/debian/{name}@{version}", name, version)


def _of(report: Report, ecosystem: str, purl: str, name: str, version: str) -> Report:
    artifact = report.artifact.replace(ecosystem=ecosystem, purl=purl, name=name, version=version)
    return report.replace(artifact=artifact, evidence=report.evidence.replace(artifact=artifact))


def requirement(found: Iterable[Report]) -> str:
    """A requirements file with the digests of some files."""
    return "".join(
        f"{each.artifact.name}=={each.artifact.version} --hash=sha256:{each.artifact.sha256}\n" for each in found
    )
