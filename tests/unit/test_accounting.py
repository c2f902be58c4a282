"""An accounting decides where no rebuild does, and nothing is signed that it does not bear out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rebuilder.environments.protocol import BuildEnvironment
from rebuilder.errors import SigningError
from rebuilder.model.accounting import Accounting, Content, How
from rebuilder.model.attempt import Attempt
from rebuilder.model.decision import decide
from rebuilder.model.environment import Specification
from rebuilder.model.report import Report
from rebuilder.model.verdict import Verdict
from rebuilder.signing.consistency import check_report
from rebuilder.signing.statements import Builder, verdict_statement
from rebuilder.signing.vocabulary import ACCOUNTING_POLICY_URI, POLICY_URI, VERDICT_TYPE, VSA_TYPE
from rebuilder.site.sections.accounting import accounting_section
from rebuilder.verification.recheck import can_be_repeated
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.environments import FakeEnvironments

BUILDER = Builder(id="tag:example.org,2026:rebuilder")
HONEST, PUT_IN = reports.accounted(MemoryBlobs()), reports.accounted(MemoryBlobs(), put_in=True)


def _accounting(report: Report) -> Accounting:
    assert report.accounting is not None
    return report.accounting


def test_what_an_accounting_decides() -> None:
    """Accounted, differs, or what it was with the number of files; and it never confirms."""
    assert (Verdict.ACCOUNTED, False) == (HONEST.decision.verdict, HONEST.decision.verdict.confirms)
    assert (Verdict.DIFFERS, "madder.pth") == (PUT_IN.decision.verdict, PUT_IN.decision.sentence.partition(":")[0])
    alone = _accounting(HONEST).replace(source_sha256=None)
    decision = decide((), HONEST.evidence.obstacle, (), alone)
    assert (Verdict.UNSUPPORTED, True) == (decision.verdict, "5 files are listed" in decision.sentence)


def test_a_rebuild_decides_before_an_accounting() -> None:
    """What came out, or came out otherwise, stands whatever the members are accounted for with."""
    for report in (reports.reproduced(MemoryBlobs()), reports.differs(MemoryBlobs())):
        assert report.decision.verdict is decide(report.attempts, None, None, _accounting(PUT_IN)).verdict
    failed: tuple[Attempt, ...] = reports.build_failed(MemoryBlobs()).attempts
    assert Verdict.ACCOUNTED is decide(failed, None, None, _accounting(HONEST)).verdict


def test_statements() -> None:
    """No verification summary for accounted; FAILED for what was put in; each under the policy of its rules."""
    honest, put_in = (verdict_statement(each, BUILDER, None) for each in (HONEST, PUT_IN))
    assert (VERDICT_TYPE, VSA_TYPE) == (honest["predicateType"], put_in["predicateType"])
    assert {ACCOUNTING_POLICY_URI} == {each["predicate"]["policy"]["uri"] for each in (honest, put_in)}
    assert "REBUILDER_ACCOUNTED" == honest["predicate"]["accounting"]["level"]
    assert "FAILED" == put_in["predicate"]["verificationResult"]
    said = put_in["predicate"][VERDICT_TYPE]["accounting"]
    assert (["madder.pth"], 2) == ([each["name"] for each in said["unaccounted"]], said["counts"]["unexplained"])
    other = verdict_statement(reports.unsupported(MemoryBlobs()), BUILDER, None)
    assert POLICY_URI == other["predicate"]["policy"]["uri"]


def _member(index: int, **changes: Any) -> Callable[[Report], Report]:
    def change(report: Report) -> Report:
        members = list(_accounting(report).members)
        members[index] = members[index].replace(**changes)
        return report.replace(accounting=_accounting(report).replace(members=tuple(members)))

    return change


FORGERIES: dict[str, Callable[[Report], Report]] = {
    "another digest": _member(0, sha256="0" * 64),
    "another name": _member(0, path="madder/other.py"),
    "not in the source": _member(3, how=How.SOURCE),
    "not compared": _member(3, how=How.LISTED),
    "executed and not accused": _member(0, how=How.UNEXPLAINED),
    "left out": lambda report: report.replace(
        accounting=_accounting(report).replace(members=_accounting(report).members[1:])
    ),
    "another source": lambda report: report.replace(accounting=_accounting(report).replace(source_sha256="0" * 64)),
    "no source": lambda report: report.replace(accounting=_accounting(report).replace(source_sha256=None)),
    "no accounting": lambda report: report.replace(accounting=None),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_accounting_is_not_signed(forgery: str) -> None:
    """Members, digests and the source archive must be those that were listed."""
    check_report(HONEST)
    with pytest.raises(SigningError):
        check_report(FORGERIES[forgery](HONEST))


def test_what_was_put_in_is_not_signed_as_accounted() -> None:
    """Neither by the decision alone, nor by taking the accusation away."""
    check_report(PUT_IN)
    with pytest.raises(SigningError):
        check_report(PUT_IN.replace(decision=HONEST.decision))
    with pytest.raises(SigningError):
        check_report(_member(5, accuses=False)(PUT_IN).replace(decision=HONEST.decision))


def test_the_section_of_a_page() -> None:
    """What accuses comes first and is open; every member is in one group; kinds have words."""
    section = accounting_section(_accounting(PUT_IN))
    assert section is not None
    assert ("accusing", True) == (section.groups[0].name, section.groups[0].opened)
    paths = [row.path for group in section.groups for row in group.rows]
    assert sorted(each.path for each in _accounting(PUT_IN).members) == sorted(paths)
    assert accounting_section(None) is None
    assert {each.runs for each in Content} == {True, False}


def test_what_rests_on_an_accounting_is_examined_anew(tmp_path: Path) -> None:
    """There is no definition that could be run again for it."""
    failed, environments = reports.build_failed(MemoryBlobs()), FakeEnvironments(tmp_path)
    assert can_be_repeated(failed, environments)
    assert not can_be_repeated(HONEST.replace(attempts=failed.attempts), environments)


def test_what_does_not_name_what_nobody_signed_is_examined_anew(tmp_path: Path) -> None:
    """A report from before such packages were told would be signed again as what it is not."""
    told = reports.unauthenticated(MemoryBlobs())
    assert told.decision.attempt is not None
    attempt = told.attempts[told.decision.attempt]
    unsigned = attempt.hypothesis.definition.toolchain.unauthenticated
    made = Specification(method="configured", suite="trixie", packages=unsigned, recipe=2)

    class Kept(FakeEnvironments):
        def by_digest(self, sha256: str) -> BuildEnvironment:
            return self.get("trixie").replace(sha256=sha256, specification=made)

    assert can_be_repeated(told, Kept(tmp_path))
    silent = attempt.hypothesis.definition.toolchain.replace(unauthenticated=())
    hypothesis = attempt.hypothesis.replace(definition=attempt.hypothesis.definition.replace(toolchain=silent))
    before = told.replace(
        attempts=tuple(each.replace(hypothesis=hypothesis) if each is attempt else each for each in told.attempts)
    )
    assert not can_be_repeated(before, Kept(tmp_path))
