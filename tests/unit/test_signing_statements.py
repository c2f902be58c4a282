"""Statements: they say what the report says, in the shape the specifications ask for, and nothing more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rebuilder.errors import SigningError
from rebuilder.model.alarm import Alarm, AlarmKind
from rebuilder.model.attempt import Attempt, Output
from rebuilder.model.comparison import Level
from rebuilder.model.decision import Decision
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.evidence import Obstacle
from rebuilder.model.report import Report
from rebuilder.model.value import canonical_json, sha256_hex
from rebuilder.model.verdict import Kind, Verdict
from rebuilder.signing.envelope import sign_statement
from rebuilder.signing.statements import Builder, provenance_statement, verdict_statement
from rebuilder.signing.vocabulary import (
    ACCOUNTING_POLICY,
    ACCOUNTING_POLICY_SHA256,
    LEVELS,
    POLICIES,
    POLICY,
    POLICY_SHA256,
    QUORUM_POLICY,
    QUORUM_POLICY_SHA256,
    VERDICT_TYPE,
    VSA_TYPE,
)
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.published import signable
from tests.fakes.signer import MemorySigner
from tests.fakes.verifications import NOW, artifact, attempt, digest, report, timed_out

BUILDER = Builder(id="tag:example.org,2026:rebuilder")
ARTIFACT = artifact()
DOCS = Path(__file__).parents[2] / "docs" / "predicates"


def differing() -> Report:
    """A report of a stable difference, after a failed attempt."""
    tried = (
        attempt(ARTIFACT, None),
        attempt(ARTIFACT, Level.DIFFERENT, umask="0002"),
        attempt(ARTIFACT, Level.DIFFERENT, umask="0002", repeat=True),
    )
    return report(ARTIFACT, *tried)


def changed(each: Attempt, **changes: Any) -> Attempt:
    """The same attempt with a changed comparison."""
    assert each.comparison is not None
    return each.replace(comparison=each.comparison.replace(**changes))


def test_provenance_is_about_the_rebuilt_file() -> None:
    """Subject, builder, times and byproducts are those of the attempt the verdict rests on."""
    statement = provenance_statement(differing(), BUILDER)
    assert statement is not None
    assert statement["subject"] == [
        {"name": ARTIFACT.filename, "digest": {"sha256": digest("different 0002")}},
    ]
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    details = statement["predicate"]["runDetails"]
    version = {"rebuilder": "0.1.0", "sandbox": "bubblewrap 0.8.0", "uv": "0.9.9"}
    assert details["builder"] == {"id": BUILDER.id, "version": version}
    assert details["metadata"]["startedOn"] == "2026-11-01T11:59:30Z"
    assert details["metadata"]["finishedOn"] == "2026-11-01T11:59:31Z"
    assert [each["name"] for each in details["byproducts"]] == ["log", "diffoscope.html"]


def test_provenance_names_what_the_build_wrote_about_itself() -> None:
    """The ``.buildinfo`` of a Debian build, by its digest."""
    done = differing()
    own = Output(filename="x.buildinfo", sha256=digest("buildinfo"), size=9)
    attempts = [each.replace(run=each.run.replace(outputs=(*each.run.outputs, own))) for each in done.attempts]
    statement = provenance_statement(done.replace(attempts=tuple(attempts)), BUILDER)
    assert statement is not None
    byproducts = {each["name"]: each["digest"] for each in statement["predicate"]["runDetails"]["byproducts"]}
    assert {"sha256": digest("buildinfo")} == byproducts["buildinfo"]


def test_provenance_carries_the_definition_as_it_is() -> None:
    """The published statement alone is enough to run the definition again."""
    done = differing()
    statement = provenance_statement(done, BUILDER)
    assert statement is not None
    published = json.loads(canonical_json(statement))["predicate"]["buildDefinition"]
    definition = done.attempts[1].hypothesis.definition
    assert definition.slsa == statement["predicate"]["buildDefinition"]
    assert definition == BuildDefinition.from_slsa(published)
    assert definition.digest == sha256_hex(canonical_json(published))


def test_two_runs_of_one_definition_are_two_invocations() -> None:
    """The invocation is named by what was run and when."""
    first = report(ARTIFACT, attempt(ARTIFACT, Level.IDENTICAL))
    moved = first.attempts[0].run.replace(started=NOW)
    again = report(ARTIFACT, first.attempts[0].replace(run=moved))
    statements = [provenance_statement(each, BUILDER) for each in (first, again, first)]
    ids = [each and each["predicate"]["runDetails"]["metadata"]["invocationId"] for each in statements]
    assert ids[0] == ids[2]
    assert ids[0] != ids[1]


@pytest.mark.parametrize(
    ("level", "result", "verified"),
    [
        (Level.IDENTICAL, "PASSED", "REBUILDER_BITWISE"),
        (Level.EQUIVALENT, "PASSED", "REBUILDER_EQUIVALENT_CONTENT"),
        (Level.DIFFERENT, "FAILED", "FAILED"),
    ],
)
def test_compared_files_get_a_verification_summary(level: Level, result: str, verified: str) -> None:
    """The subject is the published file, whatever came out; negatives are FAILED."""
    statement = verdict_statement(report(ARTIFACT, attempt(ARTIFACT, level)), BUILDER, "envelope\n")
    predicate = statement["predicate"]
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == VSA_TYPE
    assert statement["subject"] == [{"name": ARTIFACT.filename, "digest": {"sha256": ARTIFACT.sha256}}]
    assert predicate["verificationResult"] == result
    assert predicate["verifiedLevels"] == [verified]
    assert predicate["resourceUri"] == ARTIFACT.purl
    assert predicate["timeVerified"] == "2026-11-01T12:00:00Z"
    assert predicate["verifier"]["id"] == BUILDER.id
    assert predicate["inputAttestations"][0]["digest"] == {"sha256": sha256_hex(b"envelope\n")}
    assert predicate["policy"]["digest"] == {"sha256": POLICY_SHA256}


def test_no_slsa_level_is_claimed() -> None:
    """One rebuilder does not make a SLSA level."""
    assert not [level for level in LEVELS.values() if level.startswith("SLSA_")]


OBSTACLES = [Verdict.INPUTS_MISSING, Verdict.UNSUPPORTED]


@pytest.mark.parametrize(
    "done",
    [
        report(ARTIFACT, attempt(ARTIFACT, None)),
        report(ARTIFACT, timed_out(ARTIFACT)),
        *(report(ARTIFACT, obstacle=Obstacle(verdict=each, sentence="Why.")) for each in OBSTACLES),
    ],
    ids=lambda done: done.decision.verdict.value,
)
def test_what_says_nothing_about_the_file_is_no_summary(done: Report) -> None:
    """Neither PASSED nor FAILED stands anywhere, but the verdict is signed all the same."""
    assert provenance_statement(done, BUILDER) is None
    statement = verdict_statement(done, BUILDER, None)
    assert statement["predicateType"] == VERDICT_TYPE
    assert statement["predicate"]["verdict"] == done.decision.verdict.value
    assert statement["predicate"]["sentence"] == done.decision.sentence
    assert "inputAttestations" not in statement["predicate"]
    text = canonical_json(statement)
    assert b"PASSED" not in text
    assert b"FAILED" not in text


def test_every_attempt_is_signed() -> None:
    """A verdict that shows only the winning try is cherry-picking."""
    done = differing()
    findings = verdict_statement(done, BUILDER, None)["predicate"][VERDICT_TYPE]
    outcomes = [(each["outcome"], each.get("level"), each["repeat"]) for each in findings["attempts"]]
    assert outcomes == [
        ("build-failed", None, False),
        ("completed", "different", False),
        ("completed", "different", True),
    ]
    assert [each["definition"]["digest"]["sha256"] for each in findings["attempts"]] == [
        each.hypothesis.definition.digest for each in done.attempts
    ]
    assert findings["decidedBy"] == 1
    assert findings["kind"] == Kind.STABLE.value
    assert findings["attempts"][0]["exitCode"] == 2


def test_limits_sources_normalisations_and_alarms_are_signed() -> None:
    """What a reader needs to judge the verdict is in the statement."""
    stopped = verdict_statement(report(ARTIFACT, timed_out(ARTIFACT)), BUILDER, None)["predicate"]
    assert stopped["attempts"][0]["limit"] == "memory"
    assert stopped["source"]["kind"] == "sdist"
    alarm = Alarm(
        kind=AlarmKind.DIGEST_CHANGED, purl=ARTIFACT.purl, filename=ARTIFACT.filename, sentence="Changed.", raised=NOW
    )
    done = report(ARTIFACT, attempt(ARTIFACT, Level.EQUIVALENT)).replace(alarms=(alarm,))
    findings = verdict_statement(done, BUILDER, None)["predicate"][VERDICT_TYPE]
    assert findings["normalisations"] == ["zip-times"]
    assert findings["alarms"] == [{"kind": "digest-changed", "sentence": "Changed."}]


def test_our_own_fault_is_never_signed() -> None:
    """``infra-error`` is refused by both statements."""
    fault = report(ARTIFACT).replace(decision=Decision(verdict=Verdict.INFRA_ERROR, sentence="Disk."))
    with pytest.raises(ValueError, match="infra-error"):
        verdict_statement(fault, BUILDER, None)
    with pytest.raises(ValueError, match="infra-error"):
        provenance_statement(fault, BUILDER)


SAME, OTHER = attempt(ARTIFACT, Level.IDENTICAL), attempt(ARTIFACT, Level.DIFFERENT)


@pytest.mark.parametrize(
    "lie",
    [
        changed(OTHER, level=Level.IDENTICAL),
        changed(OTHER, level=Level.EQUIVALENT),
        changed(SAME, level=Level.DIFFERENT),
        changed(SAME, published_sha256=digest("x")),
        changed(SAME, rebuilt_sha256=digest("x")),
        SAME.replace(rebuilt=None),
        SAME.replace(rebuilt=Output(filename="other.whl", sha256=ARTIFACT.sha256, size=1)),
        SAME.replace(run=attempt(ARTIFACT, None).run),
    ],
)
def test_attempts_that_contradict_themselves_are_not_signed(lie: Attempt) -> None:
    """Levels and digests that do not fit are refused, whatever verdict they add up to."""
    with pytest.raises(SigningError, match="attempt 1"):
        verdict_statement(report(ARTIFACT, lie), BUILDER, None)
    with pytest.raises(SigningError, match="attempt 1"):
        provenance_statement(report(ARTIFACT, lie), BUILDER)


@pytest.mark.parametrize(
    "decision",
    [
        Decision(verdict=Verdict.REPRODUCED, sentence="Yes.", attempt=0),
        Decision(verdict=Verdict.DIFFERS, sentence="No.", attempt=0, kind=Kind.UNSTABLE),
        Decision(verdict=Verdict.UNSUPPORTED, sentence="No."),
    ],
    ids=lambda decision: decision.verdict.value,
)
def test_a_verdict_its_attempts_do_not_show_is_not_signed(decision: Decision) -> None:
    """The verdict is worked out again before it is signed."""
    lie = report(ARTIFACT, OTHER).replace(decision=decision)
    with pytest.raises(SigningError, match="its attempts show differs"):
        verdict_statement(lie, BUILDER, None)


def test_a_verdict_out_of_nothing_is_not_signed() -> None:
    """Nothing was built, so nothing can be reproduced; nor can the evidence be about another file."""
    lie = report(ARTIFACT).replace(decision=Decision(verdict=Verdict.REPRODUCED, sentence="Yes."))
    with pytest.raises(SigningError, match="nothing was attempted"):
        verdict_statement(lie, BUILDER, None)
    foreign = report(ARTIFACT, SAME).replace(artifact=artifact("other", "1"))
    with pytest.raises(SigningError, match="another file"):
        verdict_statement(foreign, BUILDER, None)


@pytest.mark.parametrize(
    ("name", "policy", "sha256"),
    [
        ("policy-v4.md", POLICY, POLICY_SHA256),
        ("accounting-policy-v1.md", ACCOUNTING_POLICY, ACCOUNTING_POLICY_SHA256),
        ("quorum-policy-v1.md", QUORUM_POLICY, QUORUM_POLICY_SHA256),
    ],
)
def test_documented_policy_is_the_one_that_is_signed(name: str, policy: dict[str, object], sha256: str) -> None:
    """The page shows the very document whose digest stands in every statement."""
    page = (DOCS / name).read_text()
    shown = page.split("```json\n")[1].split("```")[0]
    assert json.loads(shown) == policy
    assert sha256 in page


def test_every_field_of_ours_is_documented() -> None:
    """A reader finds each field of the findings on the predicate's page."""
    page = (DOCS / "verdict-v2.md").read_text()
    alarm = Alarm(kind=AlarmKind.DIGEST_CHANGED, purl="x", filename="x", sentence="x", raised=NOW)
    names: set[str] = set()
    unsigned = signable(reports.unauthenticated(MemoryBlobs()))
    for done in (differing().replace(alarms=(alarm,)), report(ARTIFACT, timed_out(ARTIFACT)), unsigned):
        predicate = verdict_statement(done, BUILDER, None)["predicate"]
        findings = predicate.get(VERDICT_TYPE, predicate)
        names |= set(findings) | {name for each in findings["attempts"] for name in each} | set(findings["source"])
    assert {name for name in names if f"`{name}`" not in page} == set()


def test_hostile_text_is_signed_as_it_is_or_refused() -> None:
    """Control characters and markup are data; text that is not Unicode is refused in a sentence."""
    done = report(ARTIFACT, obstacle=Obstacle(verdict=Verdict.UNSUPPORTED, sentence='<b>\u0000\x1b[31m"'))
    statement = verdict_statement(done, BUILDER, None)
    assert json.loads(canonical_json(statement)) == statement
    with pytest.raises(SigningError, match="no canonical form"):
        sign_statement({"text": "\ud800"}, MemorySigner())
    with pytest.raises(SigningError, match="no canonical form"):
        sign_statement({"number": 1 << 60}, MemorySigner())


def test_what_nobody_signed_is_never_passed() -> None:
    """No verification summary; level and packages are signed, and read back out of the definition."""
    done = signable(reports.unauthenticated(MemoryBlobs()))
    statement = verdict_statement(done, BUILDER, None)
    assert (VERDICT_TYPE, "REBUILDER_UNAUTHENTICATED") == (statement["predicateType"], statement["predicate"]["level"])
    assert b"PASSED" not in canonical_json(statement)
    definition = done.attempts[0].hypothesis.definition
    assert definition == BuildDefinition.from_slsa(definition.slsa)
    assert definition.digest != definition.replace(toolchain=definition.toolchain.replace(unauthenticated=())).digest
    assert [each.document() for each in definition.toolchain.unauthenticated] == [
        *statement["predicate"]["attempts"][0]["unauthenticated"]
    ]
    lie = done.replace(decision=done.decision.replace(verdict=Verdict.REPRODUCED))
    with pytest.raises(SigningError, match="its attempts show unauthenticated"):
        verdict_statement(lie, BUILDER, None)


def test_verdicts_under_the_rules_before_still_count() -> None:
    """The digest of the rules that older verdicts refer to is that of their page."""
    shown = (DOCS / "policy-v2.md").read_text().partition("```json\n")[2].partition("\n```")[0]
    assert POLICIES["tag:rebuilder,2026:policy/v2"] == sha256_hex(canonical_json(json.loads(shown)))
    assert POLICIES[POLICY["uri"]] == POLICY_SHA256
    assert "tag:rebuilder,2026:policy/v3" not in POLICIES  # it did not tell apart what nobody signed
