"""Finished reports of every verdict, made in code: what a page, a statement or a ledger may be handed."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from rebuilder.compare.diffoscope import defuse
from rebuilder.diagnose.case import DiagnosisInput
from rebuilder.diagnose.diagnosis import diagnose
from rebuilder.ecosystems.pypi.diagnosis import RULES
from rebuilder.model.accounting import Accounting, Content, How, MemberAccount
from rebuilder.model.alarm import Alarm, AlarmKind
from rebuilder.model.artifact import Artifact, PublishedFile
from rebuilder.model.attempt import Attempt, Hypothesis, Limit, Outcome, Output, Run
from rebuilder.model.comparison import (
    Comparison,
    Difference,
    Diffoscope,
    Effect,
    Factor,
    Level,
    MemberChange,
    Variation,
    VariationRow,
)
from rebuilder.model.decision import Decision, decide
from rebuilder.model.definition import BuildDefinition, EnvironmentRef, Input, Role
from rebuilder.model.diagnosis import Cause, Certainty, Diagnosis, EvidenceLine, Finding
from rebuilder.model.environment import Package
from rebuilder.model.evidence import Evidence, Inspection, Member, MemberKind, Obstacle, Source, SourceKind
from rebuilder.model.report import EnvironmentSummary, Report, SignedReport, Stage, Summary, summarise
from rebuilder.model.value import Sha256, sha256_hex
from rebuilder.model.verdict import Verdict
from rebuilder.store.protocol import Blobs

NOW = datetime(2026, 11, 20, 14, 3, 12, tzinfo=UTC)
UPLOADED = datetime(2026, 3, 9, 8, 41, 55, tzinfo=UTC)

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&\u202etxt.exe\x1b[31m\x00\u200b"
"""One text with everything that must not reach a browser or a terminal as it is."""


_TEXTS: dict[str, str] = {}


def sha(text: str) -> Sha256:
    """A digest that belongs to ``text``."""
    digest = sha256_hex(text.encode())
    _TEXTS[digest] = text
    return digest


def store_named(blobs: Blobs, digests: Iterable[bytes]) -> None:
    """Store what digests of :func:`sha` belong to, for a store that has all that its reports name."""
    for digest in digests:
        if (text := _TEXTS.get(digest.hex())) is not None:
            blobs.put(text.encode())


def artifact(name: str = "spindle", version: str = "3.1.6", **file: object) -> Artifact:
    """A pure wheel as an index lists it."""
    filename = f"{name}-{version}-py3-none-any.whl"
    fields: dict[str, object] = {
        "filename": filename,
        "url": f"https://files.example.org/packages/{filename}",
        "sha256": sha(filename),
        "size": 134_899,
        "uploaded": UPLOADED,
        "requires_python": ">=3.7",
    }
    return Artifact(
        ecosystem="pypi",
        purl=f"pkg:pypi/{name}@{version}",
        name=name,
        version=version,
        file=PublishedFile.model_validate(fields | file),
    )


def evidence(subject: Artifact, *, obstacle: Obstacle | None = None, source: bool = True) -> Evidence:
    """What is published about an artifact that has a source archive."""
    archive = f"{subject.name}-{subject.version}.tar.gz"
    url = f"https://files.example.org/packages/{archive}"
    return Evidence(
        artifact=subject,
        source=Source(kind=SourceKind.SDIST, uri=url, digest={"sha256": sha(archive)}, filename=archive)
        if source
        else None,
        source_file=PublishedFile(filename=archive, url=url, sha256=sha(archive), size=245_115, uploaded=UPLOADED)
        if source
        else None,
        index_sha256=sha("index"),
        artifact_inspection=Inspection(
            format="zip",
            members=tuple(
                Member(name=f"{subject.name}/{each}.py", kind=MemberKind.FILE, size=10, mtime="2026-03-09T08:41:54")
                for each in ("__init__", "core", "spin")
            ),
        ),
        obstacle=obstacle,
    )


def definition(subject: Artifact, *, epoch: str | None = "1773045714", **changes: object) -> BuildDefinition:
    """A build of the source archive with one backend and its dependencies."""
    archive = f"{subject.name}-{subject.version}.tar.gz"

    def wheel(name: str, version: str) -> Input:
        filename = f"{name}-{version}-py3-none-any.whl"
        return Input(
            role=Role.BUILD_DEPENDENCY,
            name=name,
            version=version,
            sha256=sha(filename),
            path=f"/inputs/wheels/{filename}",
            uri=f"https://files.example.org/packages/{filename}",
        )

    environment = {
        "HOME": "/build/home",
        "LANG": "C.UTF-8",
        "PATH": "/usr/bin:/bin",
        "PYTHONHASHSEED": "0",
        "TZ": "UTC",
    }
    if epoch is not None:
        environment["SOURCE_DATE_EPOCH"] = epoch
    fields: dict[str, object] = {
        "build_type": "urn:example:pypi-wheel-from-sdist",
        "purl": subject.purl,
        "filename": subject.filename,
        "source": evidence(subject).source,
        "toolchain": EnvironmentRef(name="trixie", sha256=sha("trixie")),
        "inputs": (
            Input(role=Role.SOURCE, name=archive, sha256=sha(archive), path=f"/inputs/{archive}"),
            Input(
                role=Role.BUILD_TOOL, name="uv", version="0.9.9", sha256=sha("uv"), path="/tools/uv", executable=True
            ),
            wheel("flit-core", "3.12.0"),
            wheel("packaging", "25.0"),
            Input(role=Role.PARAMETERS, name="times.json", sha256=sha("times"), path="/inputs/times.json"),
            Input(role=Role.PROGRAM, name="pypi.pyz", sha256=sha("programs"), path="/tools/pypi.pyz"),
        ),
        "commands": (
            ("python3", "/tools/pypi.pyz", "unpack", f"/inputs/{archive}", "/build/source"),
            ("/tools/uv", "pip", "install", "--offline", "--no-deps", "--require-hashes", "-r", "/inputs/pins.txt"),
            ("/build/env/bin/python", "/tools/pypi.pyz", "build_wheel", "--backend", "flit_core.buildapi"),
        ),
        "environment": environment,
    }
    return BuildDefinition.model_validate(fields | changes)


def run(blobs: Blobs, *, log: bytes = b"flit_core: built the wheel\n", **changes: object) -> Run:
    """A run that went well, unless ``changes`` say otherwise; its log and inputs are put into ``blobs``."""
    blobs.put(b"times")
    fields: dict[str, object] = {
        "outcome": Outcome.COMPLETED,
        "exit_code": 0,
        "log_sha256": blobs.put(log),
        "wall_seconds": 0.842,
        "cpu_seconds": 0.71,
        "peak_memory_bytes": 61_430_000,
        "sandbox_version": "bubblewrap 0.8.0",
        "started": NOW - timedelta(seconds=4),
    }
    return Run.model_validate(fields | changes)


def attempt(
    subject: Artifact,
    ran: Run,
    *,
    comparison: Comparison | None = None,
    name: str = "source-date-epoch",
    sentence: str = "Every member of the wheel has the same time, so the build was told to use one for all.",
    epoch: str | None = "1773045714",
    repeat: bool = False,
) -> Attempt:
    """One attempt; what was rebuilt follows from the comparison."""
    rebuilt = comparison and Output(filename=subject.filename, sha256=comparison.rebuilt_sha256, size=134_899)
    return Attempt(
        hypothesis=Hypothesis(name=name, sentence=sentence, definition=definition(subject, epoch=epoch)),
        run=ran,
        rebuilt=rebuilt,
        comparison=comparison,
        repeat=repeat,
    )


def compared(subject: Artifact, level: Level, **changes: object) -> Comparison:
    """A comparison with the published file of ``subject``."""
    rebuilt = subject.sha256 if level is Level.IDENTICAL else sha(f"rebuilt {subject.filename}")
    fields: dict[str, object] = {"level": level, "published_sha256": subject.sha256, "rebuilt_sha256": rebuilt}
    return Comparison.model_validate(fields | changes)


def report(
    subject: Artifact,
    attempts: Sequence[Attempt] = (),
    *,
    obstacle: Obstacle | None = None,
    source: bool = True,
    decision: Decision | None = None,
    finished: datetime = NOW,
    alarms: tuple[Alarm, ...] = (),
    notes: tuple[str, ...] = (),
) -> Report:
    """A report whose verdict is decided as the pipeline decides it."""
    packages = ("base-files 13.8", "dash 0.5.12-12", "libc6 2.41-12", "python3 3.13.5-1", "python3.13 3.13.5-2")
    known = evidence(subject, obstacle=obstacle, source=source).replace(notes=notes)
    decision = decision or decide(tuple(attempts), obstacle)
    return Report(
        artifact=subject,
        evidence=known,
        attempts=tuple(attempts),
        decision=decision,
        diagnosis=diagnose(DiagnosisInput(known, tuple(attempts), decision), RULES),
        toolchains=(
            EnvironmentSummary(name="trixie", sha256=sha("trixie"), provides={"python": "3.13"}, packages=packages),
        ),
        alarms=alarms,
        seconds={
            Stage.FETCH: 0.41,
            Stage.ENVIRONMENT: 0.02,
            Stage.RESOLVE: 0.33,
            Stage.BUILD: 0.842,
            Stage.COMPARE: 0.05,
        }
        if attempts
        else {Stage.FETCH: 0.41},
        started=finished - timedelta(seconds=6),
        finished=finished,
        rebuilder_version="0.1.0",
    )


def reproduced(blobs: Blobs, name: str = "spindle", version: str = "3.1.6") -> Report:
    """Bit for bit, at the first attempt."""
    subject = artifact(name, version)
    return report(subject, [attempt(subject, run(blobs), comparison=compared(subject, Level.IDENTICAL))])


def unauthenticated(blobs: Blobs, name: str = "causeway") -> Report:
    """Bit for bit, with a package that lay in a pool and that nobody signed."""
    whole = reproduced(blobs, name, "1.2")
    package = Package(name="libtide", version="2-1", architecture="amd64", sha256=sha("libtide"), origin="pool")
    [first] = whole.attempts
    definition = first.hypothesis.definition
    unsigned = definition.replace(toolchain=definition.toolchain.replace(unauthenticated=(package,)))
    found = first.replace(hypothesis=first.hypothesis.replace(definition=unsigned))
    return report(whole.artifact, [found])


def equivalent(blobs: Blobs, name: str = "lantern") -> Report:
    """Only the times in the archive differ; the second attempt is as good as the first."""
    subject = artifact(name, "1.4.0")
    times = compared(
        subject,
        Level.EQUIVALENT,
        normalisations=("zip-times",),
        differences=tuple(
            Difference(
                member=f"{name}/{each}.py",
                change=MemberChange.METADATA,
                detail="published 2026-03-09 08:41:54, rebuilt 2026-03-09 08:41:55",
            )
            for each in ("__init__", "core", "spin")
        ),
        differences_total=3,
    )
    return report(
        subject,
        [
            attempt(subject, run(blobs), comparison=times),
            attempt(
                subject,
                run(blobs, log=b"second\n"),
                comparison=times,
                name="source-archive-times",
                sentence="The members carry several times: source files keep those of the source archive.",
                epoch=None,
            ),
        ],
    )


DIFFOSCOPE_HTML = (
    b'<!DOCTYPE html>\n<html lang="en">\n<head>\n  <meta charset="utf-8" />\n'
    b'  <meta http-equiv="refresh" content="0; url=https://attacker.example.org/">\n'
    b"<style>body.diffoscope { background: white; color: black; }</style>\n</head>\n"
    b'<body class="diffoscope"><div class="difference"><table class="diff"><tr><td>-VERSION = &quot;2.0&quot;</td>'
    b"<td>+VERSION = &quot;2.1&quot;</td></tr></table></div>"
    b"<script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">\n</body></html>\n"
)


def differs(blobs: Blobs, name: str = "almanac") -> Report:
    """Content differs, in the same way twice."""
    subject = artifact(name, "2.0")
    diffoscope = Diffoscope(
        version="240",
        html_sha256=blobs.put(defuse(DIFFOSCOPE_HTML)),
        json_sha256=blobs.put(b'{"diffoscope-json-version": 1}\n'),
        text_sha256=blobs.put(b'--- published\n+++ rebuilt\n@@ -1 +1 @@\n-VERSION = "2.0"\n+VERSION = "2.1"\n'),
        missing_tools=("xxd", "zipinfo"),
    )
    found = compared(
        subject,
        Level.DIFFERENT,
        differences=(
            Difference(member=f"{name}/version.py", change=MemberChange.CONTENT, detail="both 18 bytes, other content"),
            Difference(member=f"{name}/py.typed", change=MemberChange.MISSING, detail="0 bytes in the published file"),
            Difference(
                member=f"{name}-2.0.dist-info/RECORD", change=MemberChange.CONTENT, detail="904 against 861 bytes"
            ),
        ),
        differences_total=3,
        diffoscope=diffoscope,
    )
    first = attempt(subject, run(blobs), comparison=found)
    restored = attempt(
        subject,
        run(blobs, log=b"second\n", wall_seconds=71.3),
        comparison=found.replace(differences_total=9),
        name="source-archive-times",
        sentence="The members carry several times: source files keep those of the source archive.",
        epoch=None,
    )
    again = attempt(subject, run(blobs), comparison=found, repeat=True)
    return report(subject, [first, restored, again.replace(agreement=Level.IDENTICAL)])


FAILED_LOG = (
    b"unpack: unpacked 214 files\n\x1b[1mInstalled 3 packages\x1b[0m in 12ms\nbuild_wheel: it requires nothing\n"
    b"Traceback (most recent call last):\n"
    b'  File "/build/source/setup.py", line 12, in <module>\n    import numpy\n'
    b"ModuleNotFoundError: No module named 'numpy'\nbuild_wheel: the backend's build_wheel failed\n"
)


def build_failed(blobs: Blobs) -> Report:
    """A command ended with an error."""
    subject = artifact("gearbox", "0.9.2")
    ran = run(blobs, log=FAILED_LOG, outcome=Outcome.BUILD_FAILED, exit_code=70)
    return report(subject, [attempt(subject, ran)])


def timed_out(blobs: Blobs) -> Report:
    """The memory limit ended the build."""
    subject = artifact("whale", "11.0")
    ran = run(blobs, outcome=Outcome.TIMED_OUT, exit_code=None, limit=Limit.MEMORY, wall_seconds=143.2)
    return report(subject, [attempt(subject, ran)])


def inputs_missing(blobs: Blobs) -> Report:
    """No source was published; the file is yanked as well."""
    subject = artifact("orphan", "1.0", yanked="broken metadata")
    obstacle = Obstacle(verdict=Verdict.INPUTS_MISSING, sentence="The release has no source archive to build from.")
    notes = ("The registry marks this file as yanked: broken metadata.",)
    return report(subject, obstacle=obstacle, source=False, notes=notes)


def unsupported(blobs: Blobs) -> Report:
    """A wheel for one platform."""
    subject = artifact("matrix", "2.4")
    sentence = "This wheel is for one platform (manylinux, x86-64), and only pure wheels can be rebuilt so far."
    return report(subject, obstacle=Obstacle(verdict=Verdict.UNSUPPORTED, sentence=sentence))


def member(path: str, kind: Content, how: How, **more: Any) -> MemberAccount:
    """What a member of a wheel is, and where it is from."""
    return MemberAccount(path=path, sha256=sha(path), size=1204, kind=kind, how=how, **more)


def accounted(blobs: Blobs, *, put_in: bool = False) -> Report:
    """A wheel for one platform whose members were looked at; ``put_in``: one of them starts by itself."""
    subject = artifact("madder", "2.4", filename="madder-2.4-cp313-cp313-manylinux_2_17_x86_64.whl")
    members = [
        member("madder/__init__.py", Content.PYTHON, How.SOURCE, source="src/madder/__init__.py"),
        member("madder/core.py", Content.PYTHON, How.LINE_ENDS, source="src/madder/core.py"),
        member("madder/_dye.so", Content.COMPILED, How.NOT_COMPILED, rule="named-by-source", detail="Named."),
        member("madder/table.bin", Content.DATA, How.UNEXPLAINED),
        member("madder-2.4.dist-info/RECORD", Content.METADATA, How.DERIVED, rule="wheel-record", detail="All."),
    ]
    if put_in:
        detail = "The source archive has no such file, and Python runs it whenever it starts."
        members.append(member("madder.pth", Content.STARTUP, How.UNEXPLAINED, accuses=True, detail=detail))
    known = evidence(subject)
    listed = tuple(
        Member(name=each.path, kind=MemberKind.FILE, size=each.size, sha256=each.sha256, mtime="2026-03-09T08:41:54")
        for each in members
    )
    sentence = "The wheel is for one platform and holds compiled code; only pure wheels are rebuilt as a whole yet."
    found = known.replace(
        obstacle=Obstacle(verdict=Verdict.UNSUPPORTED, sentence=sentence),
        artifact_inspection=Inspection(format="zip", members=listed),
        source_inspection=Inspection(format="tar.gz", members=listed[:1]),
    )
    assert known.source_file is not None
    accounting = Accounting(
        source_sha256=known.source_file.sha256, members=tuple(members), remarks=("The clock was not looked at.",)
    )
    decision = decide((), found.obstacle, (), accounting)
    return report(subject).replace(evidence=found, accounting=accounting, decision=decision, diagnosis=None)


def hostile(blobs: Blobs) -> Report:
    """Whatever a publisher can write is an attack."""
    subject = artifact(
        HOSTILE,
        "1.0" + HOSTILE,
        filename=f"../{HOSTILE}.whl",
        url="javascript:alert(3)",
        yanked=HOSTILE,
        requires_python=HOSTILE,
    ).replace(purl=f"pkg:pypi/{HOSTILE}")
    found = compared(
        subject,
        Level.DIFFERENT,
        differences=(
            Difference(member=HOSTILE, change=MemberChange.CONTENT, detail=HOSTILE),
            Difference(member="long/" * 4000, change=MemberChange.ADDED, detail="x" * 100_000),
            Difference(member="e" + "\u0301" * 400, change=MemberChange.MISSING, detail=HOSTILE),
        ),
        differences_total=12_345,
        problem=HOSTILE,
        diffoscope=Diffoscope(
            version=HOSTILE, text_sha256=blobs.put(HOSTILE.encode() * 20), missing_tools=(HOSTILE,), problem=HOSTILE
        ),
    )
    build = definition(
        subject,
        environment={HOSTILE: HOSTILE, "SOURCE_DATE_EPOCH": "9" * 40},
        commands=((HOSTILE, "\n\r\t"), ("x" * 50_000,)),
        source=Source(kind=SourceKind.GIT, uri="javascript:alert(4)", digest={HOSTILE: HOSTILE}, filename=HOSTILE),
        inputs=(
            Input(role=Role.BUILD_DEPENDENCY, name=HOSTILE, version=HOSTILE, sha256=sha("x"), path="/x", uri="data:,x"),
        ),
    )
    tried = attempt(subject, run(blobs, log=HOSTILE.encode() * 50), comparison=found, name=HOSTILE, sentence=HOSTILE)
    tried = tried.replace(hypothesis=tried.hypothesis.replace(definition=build))
    alarms = (alarm(subject, sentence=HOSTILE),)
    value = report(subject, [tried], alarms=alarms, notes=(HOSTILE,))
    source = build.source
    problems = Inspection(format=HOSTILE, problems=(HOSTILE,))
    evidence_of = value.evidence.replace(source=source, artifact_inspection=problems)
    said = EvidenceLine(member=HOSTILE, published=HOSTILE, rebuilt="y" * 50_000, note=HOSTILE)
    finding = Finding(cause=Cause.LOCALE, sentence=HOSTILE, certainty=Certainty.HINT, evidence=(said,), advice=HOSTILE)
    row = VariationRow(factor=Factor.USER, change=HOSTILE, effect=Effect.FLIPS, members=(HOSTILE,), note=HOSTILE)
    why = {
        "diagnosis": Diagnosis(findings=(finding,), unexplained=(HOSTILE,), unexplained_total=7),
        "variation": Variation(definition=HOSTILE, rebuilt_sha256=sha("x"), steady=False, rows=(row,), seconds=1),
    }
    return value.replace(evidence=evidence_of, **why)


def alarm(
    subject: Artifact,
    kind: AlarmKind = AlarmKind.DIGEST_CHANGED,
    sentence: str = "The index now lists other bytes under this name than on 2026-03-09; both are kept.",
) -> Alarm:
    """An alarm about one file."""
    return Alarm(kind=kind, purl=subject.purl, filename=subject.filename, sentence=sentence, raised=NOW)


EVERY: dict[Verdict, Callable[[Blobs], Report]] = {
    Verdict.REPRODUCED: reproduced,
    Verdict.EQUIVALENT: equivalent,
    Verdict.DIFFERS: differs,
    Verdict.UNAUTHENTICATED: unauthenticated,
    Verdict.ACCOUNTED: accounted,
    Verdict.BUILD_FAILED: build_failed,
    Verdict.INPUTS_MISSING: inputs_missing,
    Verdict.UNSUPPORTED: unsupported,
    Verdict.TIMED_OUT: timed_out,
}
"""A report for each verdict that is published."""


def signed(value: Report, *, key_id: str = "ab" * 32, sign: Callable[[bytes], bytes] | None = None) -> SignedReport:
    """The report with envelopes of the right shape; their signatures are real only with a real ``sign``."""

    def envelope(statement: dict[str, object]) -> str:
        payload = json.dumps(statement, separators=(",", ":"), sort_keys=True).encode()
        kind = b"application/vnd.in-toto+json"
        pae = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
        signature = sign(pae) if sign else hashlib.sha256(pae).digest()
        document = {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": kind.decode(),
            "signatures": [{"keyid": key_id, "sig": base64.b64encode(signature).decode()}],
        }
        return json.dumps(document, separators=(",", ":")) + "\n"

    subject = [{"name": value.artifact.filename, "digest": {"sha256": value.artifact.sha256}}]
    shared = {"_type": "https://in-toto.io/Statement/v1", "subject": subject}
    verdict = envelope({**shared, "predicate": {"verdict": value.decision.verdict.value}})
    provenance = envelope({**shared, "predicate": {}}) if any(each.rebuilt for each in value.attempts) else None
    return SignedReport(report=value, vsa=verdict, provenance=provenance, key_id=key_id)


def history(value: Report, *, releases: int = 9, verdict: Verdict = Verdict.REPRODUCED) -> list[Summary]:
    """Earlier releases of the same project, and an earlier verification of the same file."""
    this = summarise(value)
    earlier = this.replace(
        verdict=verdict,
        kind=None,
        sentence="Our rebuild has exactly the published SHA-256.",
        finished=value.finished - timedelta(days=30),
    )
    others = [
        earlier.replace(
            version=f"0.{number}",
            filename=f"{this.name}-0.{number}-py3-none-any.whl",
            purl=f"pkg:pypi/{this.name}@0.{number}",
            sha256=sha(f"{this.name} {number}"),
        )
        for number in range(releases)
    ]
    return [this, earlier, *others]
