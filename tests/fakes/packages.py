"""A rebuilder with packages in its ledger, signed and served as rebuilderd's clients read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rebuilder.interop.rebuilderd.writer import RebuilderdWriter
from rebuilder.model.artifact import PublishedFile
from rebuilder.model.comparison import Level
from rebuilder.model.report import Report
from rebuilder.model.value import Sha256
from rebuilder.signing.agreement import Agreement
from rebuilder.signing.key_directory import KeyDirectory
from rebuilder.signing.keys import FileKey
from rebuilder.signing.statements import Builder
from rebuilder.site.publisher import Site
from rebuilder.store.ledger import Ledger
from rebuilder.store.protocol import Blobs
from rebuilder.verification.signer import Signer
from tests.fakes import reports
from tests.fakes.api import serving
from tests.fakes.api_context import open_api_context
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.ledgers import open_ledger
from tests.fakes.logs import log_writer
from tests.fakes.signer import MemorySigner
from tests.fakes.verifications import signed

LINK_KEY = FileKey(Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))


@dataclass(frozen=True)
class Packages:
    """What is served, and the parts that made it."""

    http: httpx.Client
    ledger: Ledger
    signer: Signer
    site: Path

    @property
    def address(self) -> str:
        """Of the service, without a slash at its end."""
        return str(self.http.base_url).rstrip("/")


def debian_package(blobs: Blobs, package: str, sha256: Sha256, level: Level = Level.IDENTICAL) -> Report:
    """A report on a Debian package (``NAME VERSION ARCHITECTURE``), as one that was rebuilt."""
    name, version, architecture = package.split()
    filename = f"{name}_{version.partition(':')[2] or version}_{architecture}.deb"
    file = PublishedFile(filename=filename, url=f"http://127.0.0.1/pool/{filename}", sha256=sha256)
    purl = f"pkg:deb/debian/{name}@{version}"
    subject = reports.artifact().replace(ecosystem="deb", purl=purl, name=name, version=version, file=file)
    return reports.report(
        subject, [reports.attempt(subject, reports.run(blobs), comparison=reports.compared(subject, level))]
    )


def add(signer: Signer, *made: Report) -> None:
    """Sign reports, and write the site."""
    for report in made:
        number = signer.ledger.begin(report.artifact, report.started)
        signer.ledger.finish(number, signed(report))
    signer.write_index()


@contextmanager
def serving_packages(root: Path, make: Callable[[MemoryBlobs], Sequence[Report]], **changes: Any) -> Iterator[Packages]:
    """Serve what was found about these files; all of it lives below ``root``."""
    key, blobs, site = MemorySigner(), MemoryBlobs(), root / "site"
    agreement = Agreement({key.key_id: key.public_pem})
    pages = Site(site, blobs, public_key=key.public_pem, key_id=key.key_id, verifier="rebuilder.example.org")
    with open_ledger(root / "packages.sqlite") as ledger:
        writer = RebuilderdWriter(ledger.package_book, blobs, LINK_KEY, agreement, site)
        builder = Builder(id="tag:example.org,2026:test")
        log = log_writer(ledger, site)
        signer = Signer(
            ledger, blobs, key, builder, pages, FixedClock(), agreement, log, KeyDirectory(root / "keys"), writer
        )
        add(signer, *make(blobs))
        given: dict[str, Any] = {
            "ledger": ledger,
            "blobs": blobs,
            "agreeing": signer.told,
            "doubted": signer.keys.doubted_standing,
            "check": agreement.check_report,
        }
        with open_api_context(root / "api", **(given | {"site": site})) as context, serving(context) as http:
            yield Packages(http, ledger, signer, site)
