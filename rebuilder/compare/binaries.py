"""Reads, inside the sandbox, what the compiled files in an archive say about themselves."""

from __future__ import annotations

from pydantic import ValidationError

from rebuilder.compare.comparer import ending
from rebuilder.model.accounting import Accounting, Content
from rebuilder.model.attempt import Outcome
from rebuilder.model.binary import Binaries
from rebuilder.model.definition import Input, Role
from rebuilder.model.value import Sha256, canonical_json, sha256_hex
from rebuilder.sandbox.protocol import PROGRAM_LIMITS, Programs
from rebuilder.store.protocol import Memo

LIMITS = PROGRAM_LIMITS.replace(wall_seconds=240, cpu_seconds=240)
"""The largest archives have a gigabyte of compiled code."""
_PATH = "/inputs/archive"


def read_binaries(programs: Programs, memo: Memo, archive: Sha256) -> Binaries:
    """What every compiled file in an archive says about itself; why not, when that cannot be told.

    Args:
        programs: Runs the reader where nothing in a file can do harm.
        memo: Where answers are kept: the same reader says the same of the same archive.
        archive: A wheel, or any other archive, by its digest.

    Raises:
        SandboxUnavailableError, SandboxFaultError, BuildEnvironmentError: see ``Programs.run``.
    """
    key = sha256_hex(canonical_json(["binaries", programs.program_input("binary").sha256, archive]))
    kept = memo.get(key)
    if kept is None:
        file = Input(role=Role.PARAMETERS, name="archive", sha256=archive, path=_PATH)
        result = programs.run("binary", "read_binaries", [_PATH], inputs=[file], limits=LIMITS)
        if result.run.outcome is not Outcome.COMPLETED or result.document is None:
            why = f"Its compiled files were not read: the reader did not finish; {ending(result.run)}."
            return Binaries(problems=(why,))
    try:
        found = Binaries.model_validate(result.document if kept is None else kept)
    except ValidationError:
        return Binaries(problems=("What the reader of compiled files wrote cannot be understood.",))
    if kept is None:
        memo.put(key, found.document())
    return found


def with_facts(accounting: Accounting, found: Binaries) -> Accounting:
    """An accounting, with what its compiled members say about themselves; it explains none of them."""
    facts = {each.sha256: each.facts for each in found.members}
    members = [
        each.replace(binary=facts[each.sha256]) if each.kind is Content.COMPILED and each.sha256 in facts else each
        for each in accounting.members
    ]
    told = [each for each in found.problems if each not in accounting.remarks]
    return accounting.replace(members=tuple(members), remarks=(*accounting.remarks, *told))
