"""Finished verifications made up in code: small, complete values for tests of statements and of the ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rebuilder.model.artifact import Artifact, PublishedFile
from rebuilder.model.attempt import Attempt, Hypothesis, Limit, Outcome, Output, Run
from rebuilder.model.comparison import Comparison, Difference, Diffoscope, Level, MemberChange
from rebuilder.model.decision import decide
from rebuilder.model.definition import BuildDefinition, EnvironmentRef, Input, Role
from rebuilder.model.evidence import Evidence, Obstacle, Source, SourceKind
from rebuilder.model.report import Report, SignedReport, report_document
from rebuilder.model.value import Sha256, sha256_hex
from rebuilder.signing.envelope import sign_statement
from rebuilder.signing.statements import _findings, statement_about
from rebuilder.signing.vocabulary import VERDICT_TYPE
from tests.fakes.signer import MemorySigner

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
PUBLISHED = sha256_hex(b"published wheel")
SDIST = sha256_hex(b"sdist")


def digest(text: str) -> Sha256:
    """A digest that belongs to a word."""
    return sha256_hex(text.encode())


def artifact(name: str = "idna", version: str = "3.20", sha256: Sha256 = PUBLISHED) -> Artifact:
    """One pinned wheel."""
    filename = f"{name}-{version}-py3-none-any.whl"
    return Artifact(
        ecosystem="pypi",
        purl=f"pkg:pypi/{name}@{version}",
        name=name,
        version=version,
        file=PublishedFile(
            filename=filename,
            url=f"http://127.0.0.1/files/{filename}",
            sha256=sha256,
            size=15,
            uploaded=NOW - timedelta(days=30),
        ),
    )


def definition(of: Artifact, **changes: object) -> BuildDefinition:
    """How a wheel is built, with one input of each kind that matters to a statement."""
    fields: dict[str, object] = {
        "build_type": "tag:example.org,2026:build/v1",
        "purl": of.purl,
        "filename": of.filename,
        "source": source(of),
        "inputs": (
            Input(role=Role.SOURCE, name=f"{of.name}.tar.gz", sha256=SDIST, path="/inputs/source.tar.gz"),
            Input(
                role=Role.BUILD_TOOL, name="uv", sha256=digest("uv"), path="/tools/uv", version="0.9.9", executable=True
            ),
        ),
        "toolchain": EnvironmentRef(name="trixie", sha256=digest("trixie")),
        "commands": (("uv", "build"),),
        "environment": {"TZ": "UTC"},
    }
    return BuildDefinition.model_validate(fields | changes)


def source(of: Artifact) -> Source:
    """The source archive of a release."""
    name = f"{of.name}-{of.version}.tar.gz"
    return Source(kind=SourceKind.SDIST, uri=f"http://127.0.0.1/{name}", digest={"sha256": SDIST}, filename=name)


def attempt(of: Artifact, level: Level | None, *, umask: str = "0022", repeat: bool = False) -> Attempt:
    """One attempt; ``level`` None is a command that failed."""
    built = {
        None: None,
        Level.IDENTICAL: Sha256(of.sha256),
        Level.EQUIVALENT: digest(f"equivalent {umask}"),
        Level.DIFFERENT: digest(f"different {umask}"),
    }[level]
    rebuilt = Output(filename=of.filename, sha256=built, size=15) if built else None
    return Attempt(
        hypothesis=Hypothesis(name=f"umask-{umask}", sentence="A guess.", definition=definition(of, umask=umask)),
        run=Run(
            outcome=Outcome.COMPLETED if built else Outcome.BUILD_FAILED,
            exit_code=0 if built else 2,
            outputs=(rebuilt,) if rebuilt else (),
            log_sha256=digest("log"),
            wall_seconds=1.25,
            cpu_seconds=1.0,
            peak_memory_bytes=40 << 20,
            sandbox_version="bubblewrap 0.8.0",
            started=NOW - timedelta(seconds=30),
        ),
        rebuilt=rebuilt,
        comparison=comparison(of, level, built) if level and built else None,
        repeat=repeat,
        agreement=Level.IDENTICAL if repeat and built else None,
    )


def comparison(of: Artifact, level: Level, built: Sha256) -> Comparison:
    """What comparing gave at a level."""
    different = level is Level.DIFFERENT
    return Comparison(
        level=level,
        published_sha256=Sha256(of.sha256),
        rebuilt_sha256=built,
        normalisations=("zip-times",) if level is Level.EQUIVALENT else (),
        differences=(Difference(member="a.py", change=MemberChange.CONTENT, detail="1 byte"),) if different else (),
        differences_total=1 if different else 0,
        diffoscope=Diffoscope(version="diffoscope 240", html_sha256=digest("html")) if different else None,
    )


def timed_out(of: Artifact) -> Attempt:
    """An attempt that a limit ended."""
    failed = attempt(of, None)
    run = failed.run.replace(outcome=Outcome.TIMED_OUT, exit_code=None, limit=Limit.MEMORY)
    return failed.replace(run=run)


def report(of: Artifact, *attempts: Attempt, obstacle: Obstacle | None = None, finished: datetime = NOW) -> Report:
    """A report whose verdict follows from its attempts."""
    return Report(
        artifact=of,
        evidence=Evidence(artifact=of, source=source(of), index_sha256=digest("index"), obstacle=obstacle),
        attempts=attempts,
        decision=decide(attempts, obstacle),
        started=finished - timedelta(seconds=40),
        finished=finished,
        rebuilder_version="0.1.0",
    )


def signed(of: Report) -> SignedReport:
    """A report with its statement, signed by the first key of :class:`MemorySigner`; it may contradict itself."""
    signer = MemorySigner()
    moment = of.finished.strftime("%Y-%m-%dT%H:%M:%SZ")
    findings = _findings(of, sha256_hex(report_document(of)))
    predicate = {"timeVerified": moment, "resourceUri": of.artifact.purl, **findings}
    statement = statement_about(of.artifact.filename, of.artifact.sha256, VERDICT_TYPE, predicate)
    return SignedReport(report=of, vsa=sign_statement(statement, signer), provenance=None, key_id=signer.key_id)
