"""What the signer believes of compiled code that was compiled again."""

from __future__ import annotations

import pytest

from rebuilder.errors import SigningError
from rebuilder.model.accounting import CompiledHere, How
from rebuilder.model.binary import CodeComparison
from rebuilder.model.decision import decide
from rebuilder.model.definition import Input, Role
from rebuilder.model.report import Report
from rebuilder.model.value import Sha256
from rebuilder.model.verdict import Verdict
from rebuilder.signing.consistency import check_report
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs

BLOBS = MemoryBlobs()


def compiled(how: How, rebuilt: str | None, *, build: bool = True, with_published: bool = False) -> Report:
    """A report whose compiled member is said to be compared with a build; ``None``: with the same bytes."""
    value = reports.accounted(BLOBS)
    assert value.accounting is not None
    accounting = value.accounting
    definition = reports.definition(value.artifact)
    if with_published:
        copy = Input(role=Role.SOURCE, name="x", sha256=value.artifact.file.sha256, path="/inputs/x")
        definition = definition.replace(inputs=(*definition.inputs, copy))
    members = tuple(
        each.replace(how=how, recompiled=CodeComparison(rebuilt_sha256=Sha256(rebuilt or each.sha256)))
        if each.path.endswith(".so")
        else each
        for each in accounting.members
    )
    here = CompiledHere(definition=definition, run=reports.run(BLOBS)) if build else None
    accounting = accounting.replace(members=members, compiled=here)
    decision = decide((), value.evidence.obstacle, (), accounting)
    return value.replace(accounting=accounting, decision=decision)


def test_what_a_build_shows_is_signed() -> None:
    """The same bytes, or others; neither passes anything."""
    for value in (compiled(How.COMPILED_EQUAL, None), compiled(How.COMPILED_DIFFERENT, "1" * 64)):
        check_report(value)
        assert Verdict.ACCOUNTED is value.decision.verdict


@pytest.mark.parametrize(
    "value",
    [
        compiled(How.COMPILED_EQUAL, "1" * 64),
        compiled(How.COMPILED_DIFFERENT, None),
        compiled(How.COMPILED_EQUAL, None, build=False),
        compiled(How.COMPILED_EQUAL, None, with_published=True),
    ],
    ids=["other bytes", "the same bytes", "no build", "the published file in the build"],
)
def test_what_no_build_shows_is_refused(value: Report) -> None:
    """An examiner that says so is not believed."""
    with pytest.raises(SigningError):
        check_report(value)
