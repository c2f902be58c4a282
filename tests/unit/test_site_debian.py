"""What a page says of a Debian package: a source package, an archive that signs, and nothing of other ecosystems."""

from __future__ import annotations

from pathlib import Path

from rebuilder.model.evidence import Obstacle, Source, SourceKind
from rebuilder.model.graph import Node, NodeKind, SourceTrail, Step, file_node, source_id
from rebuilder.model.report import Report
from rebuilder.model.value import sha256_hex
from rebuilder.model.verdict import Verdict
from rebuilder.site.publisher import Site
from rebuilder.site.sections.trail import trail_section
from rebuilder.verification.findings import nor_from_commit
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.packages import debian_package


def rebuilt(blobs: MemoryBlobs) -> Report:
    """A package that came out of its source package."""
    report = debian_package(blobs, "curl 8.14.1-2 amd64", sha256_hex(b"a package"))
    dsc = "curl_8.14.1-2.dsc"
    source = Source(kind=SourceKind.DSC, uri=f"http://127.0.0.1/{dsc}", digest={"sha256": "0" * 64}, filename=dsc)
    [attempt] = report.attempts
    definition = attempt.hypothesis.definition.replace(source=source, environment={"LC_ALL": "C.UTF-8"})
    attempt = attempt.replace(hypothesis=attempt.hypothesis.replace(definition=definition))
    start = Node(kind=NodeKind.SOURCE_ARCHIVE, id=source_id(source), name=dsc)
    end = file_node(NodeKind.ARTIFACT, report.artifact.file)
    step = Step(name="source-package-to-package", start=start.id, end=end.id, attempts=(0,), decision=report.decision)
    trail = SourceTrail(nodes=(start, end), steps=(step,))
    evidence = report.evidence.replace(source=source, source_file=None)
    return report.replace(attempts=(attempt,), evidence=evidence, trail=trail)


def test_words(tmp_path: Path) -> None:
    """Of the source, of the time that the build was told, and of no repository."""
    blobs = MemoryBlobs()
    site = Site(tmp_path, blobs, public_key=b"key", key_id="0" * 64, verifier="rebuilder.example.org")
    report = rebuilt(blobs)
    page = site.write_artifact(reports.signed(report), [], []).read_text()
    assert "Source package → package" in page
    assert "debian/changelog (SOURCE_DATE_EPOCH)" in page
    section = trail_section(report)
    assert section is not None
    assert ["Source package", "Its SHA-256", "Package", "Its SHA-256"] == [each.label for each in section.facts][:4]


def test_no_repository_is_missed() -> None:
    """What keeps it from being rebuilt is said alone: nobody looks for a commit."""
    report, obstacle = rebuilt(MemoryBlobs()), Obstacle(verdict=Verdict.UNSUPPORTED, sentence="It cannot be.")
    assert report.trail is not None
    untried = report.trail.replace(steps=())
    assert obstacle == nor_from_commit(obstacle, untried, alone=False)
